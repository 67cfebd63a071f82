"""What the sink has, and what Kafka is still to be told."""

from streams.core.values import Progress, version_of
from streams.worker.acknowledged import Acknowledged

TOPIC, P0, P1 = "camera.events", ("camera.events", 0), ("camera.events", 1)


def at(partition: int, offset: int, epoch: int = 0) -> Progress:
    """A progress."""
    return Progress("camera", TOPIC, partition, epoch=epoch, next_offset=offset)


def test_what_was_found_stands_for_what_was_thought() -> None:
    """Another worker may have flushed in between; of what the sink has not, nothing is expected."""
    acknowledged = Acknowledged()
    for progress in (at(0, 5), at(1, 6)):
        acknowledged.flushed(progress)
    acknowledged.found([P0, P1], {P0: at(0, 9, epoch=1)})
    assert acknowledged.versions(TOPIC, {P0, P1}) == {0: version_of(1, 9)}
    assert acknowledged.versions(TOPIC, {P1}) == acknowledged.versions("qr.payments", {P0}) == {}


def test_kafka_is_told_each_position_until_it_takes_it() -> None:
    """One that moved on while Kafka took the one before goes with the next commit; lost ones go with none."""
    acknowledged = Acknowledged()
    acknowledged.flushed(at(0, 5))
    acknowledged.resumed(at(1, 2))
    told = acknowledged.uncommitted({P0, P1})
    acknowledged.flushed(at(0, 7))
    acknowledged.committed(told)
    assert (told, acknowledged.uncommitted({P0, P1})) == ({P0: 5, P1: 2}, {P0: 7})
    assert acknowledged.uncommitted({P1}) == acknowledged.uncommitted({P0}) == {}
