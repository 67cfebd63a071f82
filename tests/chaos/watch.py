"""Looks on while things go wrong: no stored version may ever go down."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sinks.clickhouse import ClickHouseAccess
from streams.sink import SinkError
from tests.chaos.stored import versions

EVERY_S = 2.0


class Watch:
    """Reads all stored versions now and then, in a thread of its own, and remembers which went down."""

    def __init__(self, server: ClickHouseAccess, by_row: bool = True) -> None:
        self._server, self._by_row = server, by_row
        self._known: dict[tuple[Any, ...], int] = {}
        self._fallen: list[str] = []
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.looks = 0

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> list[str]:
        """Look once more; all that went down since the beginning, in words."""
        with self._looking:
            found = versions(self._server, self._by_row)
            for row, known in self._known.items():
                if found.get(row, -1) < known:
                    self._fallen.append(f"the version of {row} went from {known} down to {found.get(row)}")
            self._known = found
            self.looks += 1
            return list(self._fallen)

    @contextmanager
    def closed_eyes(self) -> Iterator[None]:
        """While versions are set back on purpose; begins anew after that."""
        with self._looking:
            yield
            self._known = {}

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            try:
                self.look()
            except SinkError:
                continue  # away, as it is meant to be now and then
