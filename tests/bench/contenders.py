"""Who is measured: each contender is a script of its own in tests/bench/peers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

MAIN = "main"
JAVA = "java"
# five minutes of events: the first two close
CLOSING = 150_000


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to read a topic of events.

    `script` is its program; `environment` the list of pinned packages that it runs in, MAIN for Songlo's own.
    `share` is the part of the load that it gets: slow ones get a topic of their own with fewer events.
    `windows` is whether it makes windows; those that do are checked. `target` is how many times the cost of
    Songlo it is hoped to be. `complete` is whether it hands over open windows too; one that does not gets
    enough events for some to close.
    """

    name: str
    title: str
    script: str
    environment: str
    target: float | None = None
    share: float = 1.0
    windows: bool = True
    complete: bool = True
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def events(self, asked: int) -> int:
        """How many events it gets of a load of so many."""
        least = 1 if self.complete else min(asked, CLOSING)
        return max(least, round(asked * self.share))


def _kafka_streams(letter: str, title: str, store: str, guarantee: str) -> Contender:
    options = MappingProxyType({"store": store, "guarantee": guarantee})
    return Contender(letter, title, "kafka_streams", JAVA, target=4, options=options)


CONTENDERS = (
    Contender("a", "Songlo, exact, into ClickHouse", "songlo_worker.py", MAIN),
    Contender("b", "Faust windowed table", "faust_table.py", "faust", target=100, share=0.05),
    Contender("c", "Quix Streams 3.28", "quix_window.py", "quix", target=20, share=0.25, complete=False),
    Contender("d", "Bytewax 0.21", "bytewax_window.py", "bytewax", target=5),
    Contender("e", "ClickHouse Kafka engine + view", "clickhouse_kafka.py", MAIN, target=3),
    _kafka_streams("f1", "Kafka Streams memory", "memory", "at_least_once"),
    _kafka_streams("f2", "Kafka Streams memory, exactly once", "memory", "exactly_once"),
    _kafka_streams("f3", "Kafka Streams RocksDB", "rocksdb", "at_least_once"),
    _kafka_streams("f4", "Kafka Streams RocksDB, exactly once", "rocksdb", "exactly_once"),
    Contender("g", "aiokafka getmany + decode", "aiokafka_loop.py", MAIN, target=1 / 0.8, windows=False),
    Contender(
        "h", "confluent-kafka + decode", "confluent_loop.py", "confluent", target=1 / 1.2, windows=False
    ),
)


def choose(names: str) -> list[Contender]:
    """The contenders named, as in `a,d,f`; a letter alone stands for all that begin with it.

    Raises ValueError naming what is unknown.
    """
    wanted = [n.strip() for n in names.split(",") if n.strip()]
    unknown = [n for n in wanted if not any(c.name.startswith(n) for c in CONTENDERS)]
    if unknown:
        known = ", ".join(f"{c.name} ({c.title})" for c in CONTENDERS)
        raise ValueError(f"no contender {', '.join(unknown)}; there are {known}")
    return [c for c in CONTENDERS if not wanted or any(c.name.startswith(n) for n in wanted)]
