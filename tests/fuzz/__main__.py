"""`infra/fuzz`: search for an input on which the compiled fold differs from the plain one, or breaks."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.setup.progress import Progress, SetupError
from infra.setup.store import cache_directory, locked
from streams.native.build import build
from streams.native.library import Library
from tests.fuzz import corpus
from tests.fuzz.build import require_harness
from tests.fuzz.campaign import line, minimised, run, write_script
from tests.fuzz.findings import SUFFIX, found_in, shortened, told
from tests.fuzz.judge import made_once
from tests.fuzz.seeds import seeds
from tests.fuzz.words import dictionary


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
        library, runtime = require_harness(cache / "fuzz", Progress())
        plain = Library(build(cache / "native"))
    except (SetupError, OSError) as error:
        sys.stderr.write(f"songlo: {error}\n")
        return 1
    findings = home / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    script = write_script(home / "fold", library, runtime, findings)
    if a.replay:
        return _replay(a.replay, script, plain)
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background of a shell the first would be ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with locked(home / "lock"):
            return _fuzz(a, home, script, plain)
    except KeyboardInterrupt:
        sys.stderr.write(f"songlo: interrupted; inputs and findings are in {home}\n")
        return 130


def _fuzz(a: argparse.Namespace, home: Path, script: Path, plain: Library) -> int:
    corpus.write_files([*seeds(), *corpus.stored()], home / "inputs")
    (home / "words").write_bytes(dictionary())
    total = run(script, home, a.minutes, a.jobs, say)
    if a.keep:
        with tempfile.TemporaryDirectory(dir=home) as aside:
            minimised(script, home / "inputs", Path(aside) / "few")
            corpus.store(corpus.read_files(Path(aside) / "few"))
    say(line(total))
    found = found_in(home / "findings")
    for path in found:
        _tell(path, plain)
    say(f"{len(found)} found: infra/fuzz --replay FILE tells one again" if found else "nothing found")
    return 1 if found else 0


def _tell(path: Path, plain: Library) -> None:
    say(f"\n{path}")
    if path.suffix != SUFFIX:  # what ended a process would end this one too
        return
    with made_once():
        path.write_bytes(shortened(path.read_bytes(), plain))
        for each in told(path.read_bytes(), plain):
            say(each)


def _replay(paths: list[Path], script: Path, plain: Library) -> int:
    status = 0
    for path in paths:
        say(str(path))
        done = subprocess.run([script, path], capture_output=True, text=True, errors="replace", check=False)
        status |= done.returncode != 0
        with made_once():
            for each in told(path.read_bytes(), plain, folded=not done.returncode):
                say(each)
        if done.returncode:
            say(done.stderr)
    return status


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
