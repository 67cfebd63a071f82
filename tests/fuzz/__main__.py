"""`infra/fuzz`: search for an input on which the compiled fold differs from the plain one, or breaks."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from infra.setup.progress import SetupError, SetupProgress
from infra.setup.store import cache_directory, locked
from tests.fuzz import corpus
from tests.fuzz.build import require_harness
from tests.fuzz.campaign import line, minimised, run, write_script
from tests.fuzz.cases import case_of
from tests.fuzz.findings import SUFFIX, found_in
from tests.fuzz.seeds import seeds
from tests.fuzz.words import dictionary

SHORTEN_SECONDS = 120
# of the log that an input is, to be in the tree
KEPT_BYTES = 32 * 1024


def main() -> int:
    """The command line. Exit status 1 when something was found."""
    parser = argparse.ArgumentParser(prog="infra/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long (default: %(default)s)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: the cores)"
    )
    parser.add_argument("--home", type=Path, help="where inputs and findings are kept between runs")
    parser.add_argument("--keep", action="store_true", help="put the inputs that are needed into the tree")
    parser.add_argument(
        "--replay", type=Path, nargs="+", metavar="FILE", help="tell what inputs do, in words"
    )
    a = parser.parse_args()
    cache = cache_directory(os.environ)
    home = (a.home or cache / "fuzz").absolute()
    try:
        library, runtime = require_harness(cache / "fuzz", SetupProgress())
    except (SetupError, OSError) as error:
        sys.stderr.write(f"songlo: {error}\n")
        return 1
    findings = home / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    script = write_script(home / "fold", library, runtime, findings)
    if a.replay:
        return max([_tell(script, path, shorten=False) for path in a.replay])
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background of a shell the first would be ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with locked(home / "lock"):
            return _fuzz(a, home, script)
    except KeyboardInterrupt:
        sys.stderr.write(f"songlo: interrupted; inputs and findings are in {home}\n")
        return 130


def _fuzz(a: argparse.Namespace, home: Path, script: Path) -> int:
    corpus.write_files([*seeds(), *corpus.stored()], home / "inputs")
    (home / "words").write_bytes(dictionary())
    total = run(script, home, a.minutes, a.jobs, say)
    if a.keep:
        with tempfile.TemporaryDirectory(dir=home) as aside:
            minimised(script, home / "inputs", Path(aside) / "few")
            corpus.store(filter(_is_small, corpus.read_files(Path(aside) / "few")))
    say(line(total))
    found = found_in(home / "findings")
    for path in found:
        _tell(script, path, shorten=path.suffix == SUFFIX)
    say(f"{len(found)} found: infra/fuzz --replay FILE tells one again" if found else "nothing found")
    return 1 if found else 0


def _is_small(data: bytes) -> bool:
    """Whether it is folded in no time; of what is large there are seeds."""
    return sum(len(step.batches.data) for step in case_of(data).steps) <= KEPT_BYTES


def _tell(script: Path, path: Path, *, shorten: bool) -> int:
    """Tell an input in words, with what the sanitizers say of it; 1 when it is a finding."""
    say(f"\n{path}")
    if shorten:
        with suppress(subprocess.TimeoutExpired):  # it stays as it is
            subprocess.run([script, "shorten", path], timeout=SHORTEN_SECONDS, check=False)
    done = subprocess.run(
        [script, "tell", path], stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    if done.returncode > 1 or done.returncode < 0:
        say(done.stderr)
    return int(done.returncode != 0)


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
