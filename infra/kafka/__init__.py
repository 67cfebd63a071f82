"""Kafka for commands, by kafka-python: topics, offsets, reading a part of a log, sending. Workers have a
client of their own, in `streams.worker.client`; a Kafka to run is in `infra.stack.kafka`.
"""
