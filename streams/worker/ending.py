"""How a worker comes to its end: who may stop it, what went wrong, and what its parent is told."""

import asyncio
import logging

from streams.sink import SinkError, SinkRejected
from streams.worker.errors import EXIT_FAILED, EXIT_HELP, EXIT_OK, WorkerStop

log = logging.getLogger(__name__)


class Ending:
    """Whether the worker is to stop, and why. For one event loop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.failure: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Stop the worker; the first failure is the one that is told."""
        if self.failure is None:
            self.failure = error
            known = isinstance(error, WorkerStop | SinkError)
            log.error("stopping: %s", error if known else repr(error), exc_info=None if known else error)
        self.stopping.set()

    @property
    def message(self) -> str:
        """What went wrong, '' while nothing has."""
        return str(self.failure) or repr(self.failure) if self.failure else ""

    @property
    def may_flush(self) -> bool:
        """Whether what was captured before has been stored: behind changes that are lost nothing may be."""
        return not isinstance(self.failure, SinkError | WorkerStop)

    @property
    def exit_code(self) -> int:
        """What the worker's parent is told."""
        if self.failure is None:
            return EXIT_OK
        return EXIT_HELP if isinstance(self.failure, WorkerStop | SinkRejected) else EXIT_FAILED
