"""Where a partition goes on: decided from what the sink stores, what Kafka holds, and the settings."""

from dataclasses import replace

from streams.core.home import Homes
from streams.core.values import Progress
from streams.core.window import pane_start
from streams.worker.config import WorkerConfig
from streams.worker.errors import LogRecreated, LogTruncated, PaneChanged
from streams.worker.recover.homes import check_agrees, settled
from streams.worker.values import LogBounds


def resume(
    empty: Progress, stored: Progress | None, log: LogBounds, config: WorkerConfig, homes: Homes | None
) -> Progress:
    """The progress to build a partition's fold from.

    `empty` names the stream and the partition; it is used when nothing is stored. A configured epoch above
    the stored one accepts that the topic was recreated; a topic that was not keeps its epoch. `homes` is what
    holds of the topic. Raises WorkerStop when going on would lose events or falsify rows.
    """
    pane_ms = config.rules.pane_ms
    if stored is None:
        return replace(_begun(empty, log, config, homes), pane_ms=pane_ms)
    place = f"{stored.topic}[{stored.partition}]"
    if stored.pane_ms != pane_ms:
        raise PaneChanged(
            f"{place}: its windows are stored in panes of {stored.pane_ms // 1000} s, but "
            f"SONGLO_WINDOW_SECONDS is {pane_ms // 1000}: set it back, or fold into a database of its own "
            "(SONGLO_CLICKHOUSE_DATABASE, with a SONGLO_GROUP to it)"
        )
    if recreated(stored, log):
        if stored.epoch < config.epoch:
            return _begun(_closed(stored), log, config, homes)
        raise LogRecreated(
            f"{place}: folded up to offset {stored.next_offset}, but the log {_told(stored, log)}, so the "
            f"topic was recreated or cut: restore it, or set SONGLO_EPOCH to {stored.epoch + 1} to count the "
            "new log as well"
        )
    check_agrees(stored, homes)
    known = replace(stored, topic_id=log.topic_id or stored.topic_id)
    return _across_gap(known, log, config) if known.replay_from < log.start else known


def _begun(progress: Progress, log: LogBounds, config: WorkerConfig, homes: Homes | None) -> Progress:
    """At the beginning of a log."""
    decided = settled(progress, homes)
    return replace(
        progress,
        epoch=max(config.epoch, decided.epoch),
        next_offset=log.start,
        replay_from=log.start,
        topic_id=log.topic_id,
        homes=decided.partitions,
        forward=decided.forward,
    )


def _across_gap(stored: Progress, log: LogBounds, config: WorkerConfig) -> Progress:
    if not config.accept_gap:
        place = f"{stored.topic}[{stored.partition}]"
        lost = max(0, log.start - stored.next_offset)
        raise LogTruncated(
            f"{place}: must replay from offset {stored.replay_from}, but Kafka's log starts at {log.start}: "
            f"{lost} offsets were never folded, and events of the panes open then can't be told from their "
            "duplicates. Restore the log, or accept the gap: songlo worker --accept-gap"
        )
    return replace(_closed(stored), next_offset=max(stored.next_offset, log.start), replay_from=log.start)


def recreated(stored: Progress, log: LogBounds) -> bool:
    """Whether the log is not the one that was folded: of another topic, or too short.

    Where the topics' ids are not both known: also when all of it was appended later.
    """
    if stored.next_offset > log.end:
        return True
    if stored.topic_id and log.topic_id:
        return stored.topic_id != log.topic_id
    return 0 == log.start == log.news and stored.max_append_ms > 0


def _told(stored: Progress, log: LogBounds) -> str:
    if stored.next_offset > log.end:
        return f"ends at {log.end}"
    if stored.topic_id and log.topic_id:
        return f"is of another topic by the same name ({log.topic_id}, not {stored.topic_id})"
    return "holds only what was appended later"


def _closed(stored: Progress) -> Progress:
    """The progress with every pane closed that may be open: what still comes for one is late, its own row.

    Where the beginning of an open pane is gone from the log, folding the rest would make a smaller total
    with a higher version.
    """
    end_ms = pane_start(stored.max_event_ms, stored.pane_ms) + stored.pane_ms
    return replace(stored, watermark_ms=max(stored.watermark_ms, end_ms))
