"""The end of patience: a stop that takes too long ends the process, whatever still hangs."""

import os
import sys
import threading


class Deadline:
    """Ends the process `seconds` after `start`; kept by a thread, so that a blocked loop can't stop it."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._seconds = seconds
        self.code = 1

    def start(self, code: int) -> None:
        """Begin to count, once; `code` is the exit code when the time is up."""
        self.code = code
        if not self._timer.ident:
            self._timer.start()

    def cancel(self) -> None:
        """The stop was in time."""
        self._timer.cancel()

    def _end(self) -> None:
        # not through logging, which may be what hangs
        print(
            f"songlo: not stopped after {self._seconds:g} s, ending the process", file=sys.stderr, flush=True
        )
        os._exit(self.code or 1)
