"""The embedded stack: Kafka and ClickHouse as supervised children of one process."""
