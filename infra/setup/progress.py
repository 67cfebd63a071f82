"""What set-up shows: one line per step, alive on a terminal, plain text elsewhere."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TICK_SECONDS = 0.15
PLAIN_SECONDS = 10.0
LAST_LINES = 15


class SetupError(Exception):
    """Set-up can't go on; the message says what to do."""


class SetupProgress:
    """Steps on a text stream; silent as long as there is nothing to do."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._live = self._out.isatty() and os.environ.get("TERM") != "dumb"

    def say(self, text: str) -> None:
        """One line of its own."""
        self._write(f"{self._clear()}{text}\n")

    def run(
        self,
        title: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        grows: Path | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Run one step to its end and return what it printed; `grows` is the directory whose size is shown.

        Raises SetupError with the last lines of what it printed when it fails.
        """
        began = time.monotonic()
        with tempfile.TemporaryFile() as log:
            try:
                child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, cwd=cwd
                )
            except OSError as e:
                raise SetupError(f"{title}: {command[0]} can't be started: {e}") from e
            try:
                self._watch(child, title, began, grows)
            except BaseException:
                child.kill()
                child.wait()
                raise
            log.seek(0)
            printed = log.read().decode(errors="replace")
        if child.returncode:
            last = "\n".join(printed.strip().splitlines()[-LAST_LINES:])
            raise SetupError(f"{title}: `{' '.join(command)}` failed ({child.returncode})\n{last}")
        size = f", {_megabytes(grows)}" if grows else ""
        self.say(f"✓ {title} ({time.monotonic() - began:.0f} s{size})")
        return printed

    def _watch(self, child: "subprocess.Popen[bytes]", title: str, began: float, grows: Path | None) -> None:
        if not self._live:
            self.say(f"  {title} …")
        frame, next_plain = 0, began + PLAIN_SECONDS
        while True:
            try:
                child.wait(TICK_SECONDS)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                grown = f", {_megabytes(grows)}" if grows else ""
                if self._live:
                    frame = (frame + 1) % len(FRAMES)
                    line = f"{FRAMES[frame]} {title} ({now - began:.0f} s{grown})"
                    self._write(self._clear() + line[: shutil.get_terminal_size().columns - 1])
                elif now >= next_plain:
                    next_plain = now + PLAIN_SECONDS
                    self.say(f"  {title} … {now - began:.0f} s{grown}")
            else:
                return

    def _clear(self) -> str:
        return "\r\x1b[2K" if self._live else ""

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
        except UnicodeEncodeError:  # a terminal of the C locale
            self._out.write(text.encode("ascii", "replace").decode())
        self._out.flush()


def exit_status(work: Callable[[], object]) -> int:
    """Do a part of set-up; 0, or 1 or 130 after a line that says why it is not done."""
    try:
        work()
    except (SetupError, OSError) as e:
        sys.stderr.write(f"songlo: {e}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("songlo: interrupted; what is whole is kept\n")
        return 130
    return 0


def _megabytes(directory: Path) -> str:
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118  # called often, on many files
            except OSError:  # renamed meanwhile
                continue
    return f"{total / 1e6:.0f} MB"
