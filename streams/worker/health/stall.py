"""Whether a worker stands still though there is something to read: a pure decision over samples.

A worker may wait: for the sink, within a rebalance, for an operator to resume a stream, for Kafka. Only a
worker that has had no such reason for the whole time is said to stand still.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from streams.worker.values import Partition

# many partitions are read in turn, so a single one has so much more time than a stream
PARTITION_TIMES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was seen at one moment, by a monotonic clock.

    `ends` are the ends of the logs, None where Kafka did not say; `paused` are topics; `waits` is whether the
    sink holds the worker up; `silent` names the threads that have not answered since the sample before;
    `rebalance_s` is for how long a rebalance, or the start, has been under way, 0 when none is.
    """

    at_s: float
    positions: Mapping[Partition, int] = field(default_factory=dict)
    ends: Mapping[Partition, int] | None = field(default_factory=dict)
    paused: Collection[str] = ()
    waits: bool = False
    silent: Collection[str] = ()
    rebalance_s: float = 0

    @property
    def excused(self) -> bool:
        """There is something outside that it has to wait for, or may have."""
        return self.ends is None or self.waits

    def lags(self, partition: Partition) -> bool:
        """Whether a partition could be read on."""
        at = self.positions.get(partition)
        end = (self.ends or {}).get(partition)
        return at is not None and end is not None and end > at and partition[0] not in self.paused


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may stand still, and how long a rebalance may take before it counts as that."""

    stall_s: float
    rebalance_s: float

    @property
    def memory_s(self) -> float:
        """For how long samples have to be kept."""
        return self.stall_s * (PARTITION_TIMES + 1)


def stalled(samples: Sequence[Sample], now_s: float, patience: Patience) -> str:
    """Why the worker has to be ended, '' while it need not be. `samples` are in order, the newest last.

    A gap in the samples begins them anew: the process itself was stopped, or had no CPU.
    """
    run = _unbroken(samples, now_s, patience.stall_s / 2)
    if not run:
        return ""
    return _silent(run, now_s, patience) or _rebalancing(run, now_s, patience) or _stuck(run, now_s, patience)


def _unbroken(samples: Sequence[Sample], now_s: float, gap_s: float) -> Sequence[Sample]:
    """The samples since the last gap."""
    if not samples or now_s - samples[-1].at_s > gap_s:
        return ()
    breaks = (i for i, (a, b) in enumerate(pairwise(samples), 1) if b.at_s - a.at_s > gap_s)
    return samples[max(breaks, default=0) :]


def _lasts_s(run: Sequence[Sample], now_s: float, holds: Callable[[Sample], bool]) -> float:
    """For how long something has held without a break, 0 when it does not."""
    since = now_s
    for sample in reversed(run):
        if not holds(sample):
            break
        since = sample.at_s
    return now_s - since


def _silent(run: Sequence[Sample], now_s: float, patience: Patience) -> str:
    """A thread that does not answer has no excuse: nothing that it may wait for blocks it."""
    for name in sorted(run[-1].silent):
        length_s = _lasts_s(run, now_s, lambda s, name=name: name in s.silent)  # type: ignore[misc] # bound now
        if length_s >= patience.stall_s:
            return f"the {name} has not answered for {length_s:.0f} s"
    return ""


def _rebalancing(run: Sequence[Sample], now_s: float, patience: Patience) -> str:
    """A rebalance, or a start, that was never completed."""
    bound_s = patience.rebalance_s
    if _lasts_s(run, now_s, lambda s: not s.excused and s.rebalance_s > bound_s) < patience.stall_s:
        return ""
    took_s = run[-1].rebalance_s
    return f"a rebalance, or the start, has not ended after {took_s:.0f} s; it may take {bound_s:.0f} s"


def _stuck(run: Sequence[Sample], now_s: float, patience: Patience) -> str:
    """A stream of which no partition moves, or one partition that does not move for much longer."""
    newest = run[-1]
    lagging = sorted(filter(newest.lags, newest.positions))
    if not lagging:
        return ""

    def stays(partition: Partition) -> Callable[[Sample], bool]:
        at = newest.positions[partition]
        return lambda s: s.positions.get(partition) == at

    def stands(partition: Partition) -> Callable[[Sample], bool]:
        still = stays(partition)
        return lambda s: not s.excused and not s.rebalance_s and still(s) and s.lags(partition)

    moving = {p[0] for p in newest.positions if _lasts_s(run, now_s, stays(p)) < patience.stall_s}
    for partition in lagging:
        length_s = _lasts_s(run, now_s, stands(partition))
        if length_s >= patience.stall_s * (PARTITION_TIMES if partition[0] in moving else 1):
            (topic, number), at = partition, newest.positions[partition]
            end = (newest.ends or {})[partition]
            return f"{topic}[{number}] has stood at offset {at} for {length_s:.0f} s, its log ends at {end}"
    return ""
