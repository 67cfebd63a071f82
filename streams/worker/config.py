"""What a worker is told: one frozen value, built by whoever starts it."""

from dataclasses import dataclass, field
from pathlib import Path

from streams.core.rules import Rules
from streams.kafka_access import KafkaAccess

FORWARD, COUNT = "forward", "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Kafka, times and bounds of one worker; times in milliseconds.

    `epoch` is raised by one to accept that a topic was recreated; other topics keep theirs. `pending_bytes`
    bounds what may wait for a flush before consuming pauses; while the sink is away a worker holds at most
    twice as much beside its open panes. `flush_ms` is the time between two flushes, which grows up to
    `flush_most_ms` (see `streams.core.pace`). `accept_gap` goes on where Kafka no longer has what a partition
    would replay.
    Above `open_bytes` of open windows it folds no more between two flushes than one poll brings; a compressed
    batch is unpacked to `unpack_bytes` at most.
    A fetch waits for `fetch_least_bytes`, though not for long, and brings at most `fetch_bytes` of each
    partition, `fetch_most_bytes` in all.
    `strays` says what becomes of events in another partition than their home, where a topic is met first:
    they are sent there (`FORWARD`), or count where they are (`COUNT`).
    `fold` chooses the engine (see `streams.engine`), whose compiled code set-up keeps in `library_folder`.
    A stream of which more than `breaker_percent` of the last `breaker_events` events were refused is paused
    (0: never). `stall_ms` is how long a worker may stand still while it has something to read (0: no bound),
    `recheck_ms` how long it looks again at a log or a store that seems set back before it stops.
    `failpoints` is for tests (see `streams.worker.failpoints`).
    """

    kafka: KafkaAccess
    group: str = "songlo"
    rules: Rules = field(default_factory=Rules)
    epoch: int = 0
    flush_ms: int = 1000
    flush_most_ms: int = 10_000
    pending_bytes: int = 64 * 1024 * 1024
    open_bytes: int = 1024 * 1024 * 1024
    unpack_bytes: int = 64 * 1024 * 1024
    poll_batches: int = 20
    fetch_least_bytes: int = 128 * 1024
    fetch_bytes: int = 3 * 1024 * 1024
    fetch_most_bytes: int = 8 * 1024 * 1024
    session_ms: int = 6_000
    heartbeat_ms: int = 1_000
    rebalance_ms: int = 30_000
    metadata_ms: int = 30_000
    commit_ms: int = 10_000
    stop_ms: int = 18_000
    accept_gap: bool = False
    strays: str = FORWARD
    fold: str = "auto"
    library_folder: Path | None = None
    breaker_percent: int = 50
    breaker_events: int = 10_000
    stall_ms: int = 60_000
    recheck_ms: int = 10_000
    status_path: Path | None = None
    log_level: str = "INFO"
    failpoints: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat_ms < self.session_ms:
            raise ValueError(
                f"heartbeat_ms ({self.heartbeat_ms}) must be below session_ms ({self.session_ms})"
            )
        if self.strays not in (FORWARD, COUNT):
            raise ValueError(f"strays ({self.strays}) must be {FORWARD} or {COUNT}")
        if self.flush_ms < 1 or self.pending_bytes < 1 or self.poll_batches < 1:
            raise ValueError("flush_ms, pending_bytes and poll_batches must be at least 1")
