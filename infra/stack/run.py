"""Runs Kafka and ClickHouse alone, in the foreground: `python -m infra.stack.run --home DIR`.

Prints one JSON line with the addresses when both answer; Ctrl-C or SIGTERM stops them.
"""

import argparse
import json
import logging
import signal
import sys
from pathlib import Path

from infra.setup.progress import SetupError
from infra.stack.kafka.broker import HEAP
from infra.stack.process.ports import PortError
from infra.stack.process.service import ChildError
from infra.stack.stack import AlreadyRunningError, Stack


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kafka and ClickHouse on this machine, in the foreground.")
    parser.add_argument("--home", type=Path, required=True, help="directory of the data and logs")
    parser.add_argument("--heap", default=HEAP, help=f"Kafka's heap (default: {HEAP})")
    a = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(message)s")
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    stack = Stack(a.home, heap=a.heap)
    try:
        stack.start()
    except (SetupError, ChildError, AlreadyRunningError, PortError) as e:
        sys.stderr.write(f"songlo: {e}\n")
        return 1
    try:
        print(json.dumps(stack.addresses()), flush=True)  # the answer
        signal.sigwait(stops)
    finally:
        stack.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
