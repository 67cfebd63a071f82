"""Where workers under chaos come from: a process that has imported all of a worker, and forks them.

They run `songlo worker` as any other does; only a second of imports for each is saved. Run as a module this
is that process: a line of JSON on stdin asks for a child, lines on stdout tell of births and ends.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from infra.cli import main
from infra.stack.process.service import ROOT, tethered
from infra.stack.process.tether import PR_SET_PDEATHSIG

LOOK_S = 0.02
BIRTH_S = 60.0


class Nursery:
    """Forks children and knows how they ended; a context manager, whose end is that of all children.

    Enter it in a thread that lives on: the process dies with that thread.
    """

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._born: list[int] = []
        self._codes: dict[int, int] = {}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            tethered([sys.executable, "-m", "tests.chaos.nursery"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self._process,), name="nursery", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def bear(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> int:
        """The process id of a new `songlo` with these arguments; it appends to `log`. One call at a time."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("enter the nursery first")
        order = {"arguments": list(arguments), "environ": dict(environ), "log": str(log)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        with self._news:
            if not self._news.wait_for(lambda: self._born, BIRTH_S):
                raise TimeoutError(f"no process after {BIRTH_S:.0f} s")
            return self._born.pop(0)

    def exit_code(self, pid: int) -> int | None:
        """As `subprocess` has it: None while it runs, negative for a signal."""
        return self._codes.get(pid)

    def wait(self, pid: int, timeout_s: float) -> int | None:
        """The exit code, None when it still runs after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: pid in self._codes, timeout_s)
        return self._codes.get(pid)

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        for line in process.stdout or ():
            with self._news:
                pid, code = json.loads(line)
                if code is None:
                    # a number may come again
                    self._codes.pop(pid, None)
                    self._born.append(pid)
                else:
                    self._codes[pid] = code
                self._news.notify_all()


def _tell(pid: int, code: int | None) -> None:
    os.write(1, f"{json.dumps([pid, code])}\n".encode())


def _live(order: Mapping[str, Any]) -> None:
    """The life of a child; does not return."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor, becomes in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(descriptor, becomes)
    os.environ.clear()
    os.environ.update(order["environ"])
    main(order["arguments"])


def _serve() -> None:
    import infra.cli.worker  # noqa: F401, PLC0415  # what all children need, and nobody who imports this module

    while True:
        readable, _, _ = select.select([0], [], [], LOOK_S)
        if readable:
            line = sys.stdin.readline()
            if not line:
                return
            if (pid := os.fork()) == 0:
                _live(json.loads(line))
            _tell(pid, None)
        _bury()


def _bury() -> None:
    """Tell of all children that have ended."""
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(ended[0], os.waitstatus_to_exitcode(ended[1]))
    except ChildProcessError:
        return


if __name__ == "__main__":
    _serve()
