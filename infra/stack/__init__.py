"""Kafka and ClickHouse on this machine: fetched, and run as supervised children of one process."""
