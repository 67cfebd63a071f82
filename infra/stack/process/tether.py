"""Runs a command that can't outlive its parent: `python tether.py PARENT_PID COMMAND…`.

The command takes this process over, so its process id is the one that was started. Linux kills it when the
thread that started it ends, however that came about.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(
        signal.SIG_SETMASK, ()
    )  # whatever the parent holds back is no concern of the command
    if os.getppid() != parent:  # it died before the tie was made
        os._exit(1)
    os.execvp(command[0], command)  # noqa: S606  # no shell wanted


if __name__ == "__main__":
    main()
