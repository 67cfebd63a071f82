"""The local Kafka: its jars fetched, and how it is run. Clients of it are in `infra.kafka`."""
