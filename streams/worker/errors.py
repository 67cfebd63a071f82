"""Why a worker stops: each message names the place, and what to do.

WorkerStop
├── TopicMissing      a stream's topic is not there
├── PaneChanged       the panes stored have another length than those configured
├── LogTruncated      Kafka no longer has what a partition must replay
├── LogRecreated      the stored position lies behind the end of the log
├── HomesUnclear      which homes a topic's events have is not what was counted by
├── StraysRefused     Kafka will not take what was sent home
├── FetchFailed       Kafka refuses a fetch, and will refuse it again
└── FoldFailed        the fold itself raised: a defect

LogUnknown            Kafka does not say what its log holds; the worker goes on

`EXIT_*` are the exit statuses of a worker, for whoever starts it.
"""

# stopped as asked; failed, so that a restart may help; stopped until a person has acted; stood still
EXIT_OK, EXIT_FAILED, EXIT_HELP, EXIT_STALLED = 0, 1, 3, 4


class WorkerStop(Exception):
    """The worker must stop; going on would lose or falsify something."""


class TopicMissing(WorkerStop):
    """A stream's topic is not there."""


class PaneChanged(WorkerStop):
    """The panes stored have another length than those configured."""


class LogTruncated(WorkerStop):
    """Kafka no longer has what a partition must replay."""


class LogRecreated(WorkerStop):
    """The stored position lies behind the end of the log."""


class HomesUnclear(WorkerStop):
    """Which homes a topic's events have is not decided, or not what was counted by."""


class StraysRefused(WorkerStop):
    """Kafka does not take strays, and will refuse them again."""


class FetchFailed(WorkerStop):
    """Kafka refuses a fetch, and will refuse it again."""


class FoldFailed(WorkerStop):
    """The fold raised on a batch: a defect; nothing was flushed beyond it."""


class LogUnknown(Exception):
    """Kafka does not answer, or not for all partitions: ask again."""
