"""What the first call of the launcher leaves behind, so that no later one has to make it, nor any worker."""

import os
import shutil
import subprocess
from pathlib import Path

from infra.setup.store import cache_directory
from streams.native.build import library_path, source_version
from tests.support.engines import library

ROOT = Path(__file__).resolve().parents[3]


def launch(root: Path, cache: Path) -> None:
    """`songlo --help` of a clone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SONGLO_")}
    command = [root / "infra" / "songlo", "--help"]
    subprocess.run(command, env={**kept, "SONGLO_CACHE": str(cache)}, check=True, capture_output=True)


def test_the_first_call_builds_the_fold_and_a_change_of_its_source_too(tmp_path: Path) -> None:
    """The environment is there already; the second call of the same version makes nothing."""
    library()
    cache, clone = tmp_path / "cache", tmp_path / "clone"
    cache.mkdir()
    for environment in cache_directory(os.environ).glob("python*"):
        (cache / environment.name).symlink_to(environment)
    launch(ROOT, cache)
    made = library_path(cache / "native")
    built = made.stat().st_mtime_ns
    launch(ROOT, cache)
    assert list((cache / "native").iterdir()) == [made]
    assert made.stat().st_mtime_ns == built

    for room in ("schemas", "streams", "sinks", "infra"):
        shutil.copytree(ROOT / room, clone / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", clone)
    source = clone / "streams" / "native" / "c" / "fold.c"
    source.write_text(source.read_text("utf-8") + "/* changed */\n", "utf-8")
    assert source_version(source) != source_version()
    launch(clone, cache)
    assert set((cache / "native").iterdir()) == {made, library_path(cache / "native", source)}
