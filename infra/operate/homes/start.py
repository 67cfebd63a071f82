"""What rehomes the topics that are set, and does so by itself after an upgrade, before workers start."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager

from infra.kafka.admin import Admin
from infra.operate.homes.rehomer import Rehomer
from infra.operate.homes.text import warnings
from infra.operate.reads import native_server
from infra.settings.addresses import kafka_access
from infra.settings.rules import rules_of
from infra.settings.values import STRAYS, Settings
from sinks.fence import ClickHouseFence
from sinks.store import ClickHouseSink
from streams.core.rehoming import CannotRehome
from streams.engine import choose_engine
from streams.registry import load_streams
from streams.rehome import ALL, Fence
from streams.sink import Sink
from streams.spec import StreamSpec

# how long a member may need beyond its session, and how often it is looked for
LEAVE_S, LOOK_S = 20.0, 0.5


@contextmanager
def rehomer(settings: Settings) -> Iterator[Rehomer]:
    """One for the Kafka and the ClickHouse that are set; raises NoStackError and EngineError."""
    server, specs = native_server(settings), load_streams().values()
    engine, _ = choose_engine(settings.fold, settings.library_folder, specs)
    with ExitStack() as opened:
        sink = opened.enter_context(closing(ClickHouseSink(server)))

        def fence(spec: StreamSpec) -> Fence:
            return opened.enter_context(closing(ClickHouseFence(server, spec)))

        access, rules = kafka_access(settings), rules_of(settings)
        yield Rehomer(sink, fence, access, engine, rules, settings.unpack_mb << 20)


def without_homes(sink: Sink, specs: Iterable[StreamSpec]) -> list[StreamSpec]:
    """The streams that were folded by a version that knew no homes; no worker goes on from there."""
    return [s for s in specs if any(not p.homes for p in sink.progress(s.topic, ALL).values())]


def forwards(settings: Settings) -> bool:
    """Whether strays are to be sent home, as it is set."""
    return settings.strays == STRAYS[0]


def rehome_homeless(settings: Settings) -> Iterator[str]:
    """Rehome what was folded by a version that knew no homes, before any worker starts; says what it does.

    Raises CannotRehome, KafkaFailureError and SinkErrors.
    """
    with rehomer(settings) as work:
        homeless = without_homes(work.sink, load_streams().values())
        if not homeless:
            return
        with Admin(work.kafka) as admin:
            topics = admin.topics([s.topic for s in homeless])
            # workers that were killed are members for a while
            patience_s = settings.session_ms / 1000 + LEAVE_S
            if members := wait_until_left(admin, settings.group, patience_s):
                raise CannotRehome(
                    f"the consumer group {settings.group} has members: {', '.join(members[:5])}: stop them"
                )
        for spec in homeless:
            if spec.topic in topics:
                found = work.look(topics[spec.topic], spec, forward=forwards(settings), accept_gap=True)
                yield f"{spec.topic}: {found.reason}, rehoming …"
                yield from warnings([work.rehome(found, lambda _: None)])


def wait_until_left(admin: Admin, group: str, patience_s: float) -> list[str]:
    """Who is in a consumer group still, after at most so long."""
    until = time.monotonic() + patience_s
    while (members := admin.members(group)) and time.monotonic() < until:
        time.sleep(LOOK_S)
    return members
