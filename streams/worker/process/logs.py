"""Logging of a worker: one line per event, to stderr; the libraries speak only when something is wrong."""

import logging
import sys
import time
from collections.abc import Callable

LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# a broker that is away makes them repeat themselves ten times a second
LIBRARIES = ("aiokafka", "kafka", "faust", "mode", "asyncio")
REPEAT_S = 10.0


class Repeats(logging.Filter):
    """Lets a message of the same template pass once in `REPEAT_S`, with the number of those held back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        if not record.name.startswith(LIBRARIES):
            return True
        key, now = (record.name, str(record.msg)), self._now()
        since, held_back = self._seen.get(key, (-REPEAT_S, 0))
        if now - since < REPEAT_S:
            self._seen[key] = (since, held_back + 1)
            return False
        self._seen[key] = (now, 0)
        if held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} more like it)", ()
        return True


def set_up_logging(level: str) -> None:
    """Configure the root logger of this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LINE))
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in LIBRARIES:
        # Faust reports each step of a rebalance at INFO, and its own defects as ERROR
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
