"""aiokafka's client as a worker uses it: how it connects, and what it may decide by itself."""

import aiokafka
from aiokafka import conn
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from streams.worker.config import WorkerConfig

# leaving the group for want of polls would only move back-pressure to another worker
POLL_INTERVAL_MS = 7 * 24 * 3600 * 1000
FETCH_WAIT_MS = 100


def client(config: WorkerConfig) -> aiokafka.AIOKafkaConsumer:
    """aiokafka's client: aborted transactions hidden, and never a position of its own choice.

    From now on the connections of this process read an answer without a halt at each quarter of a megabyte.
    """
    # asyncio stops reading while twice as much waits; a public constant, as aiokafka has no setting
    conn.READER_LIMIT = config.fetch_most_bytes
    return aiokafka.AIOKafkaConsumer(
        **config.kafka.options(),
        group_id=config.group,
        partition_assignment_strategy=[RoundRobinPartitionAssignor],
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        check_crcs=True,
        max_poll_records=config.poll_batches,
        max_poll_interval_ms=POLL_INTERVAL_MS,
        max_partition_fetch_bytes=config.fetch_bytes,
        fetch_max_bytes=config.fetch_most_bytes,
        # a fetch costs a millisecond of processor time whatever it brings, and the flush has more patience
        fetch_min_bytes=config.fetch_least_bytes,
        fetch_max_wait_ms=min(FETCH_WAIT_MS, max(1, config.flush_ms // 10)),
        session_timeout_ms=config.session_ms,
        heartbeat_interval_ms=config.heartbeat_ms,
        rebalance_timeout_ms=config.rebalance_ms,
        metadata_max_age_ms=config.metadata_ms,
    )
