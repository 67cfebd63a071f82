"""The embedded ClickHouse: a recent `clickhouse` of the PATH, else the engine of an npm package."""

import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.setup.progress import SetupError, SetupProgress
from infra.setup.store import is_whole, keep
from infra.setup.tools import require_npm

SERVER_OLDEST = (25, 3)
VERSION = "26.7.3-stable.1"
# one package per processor; a package is taken only if it is byte for byte the one that was tried
PACKAGES = {
    "x86_64": (
        "@chdb/lib-linux-x64-gnu",
        "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
    ),
}
LIBRARY = "libchdb.so"


@dataclass(frozen=True, slots=True)
class ClickHouseBinary:
    """What runs ClickHouse: a server's binary, or the engine's library."""

    path: Path

    @property
    def is_library(self) -> bool:
        """Whether it is the library, which needs a process to host it."""
        return self.path.name == LIBRARY


def require_engine(cache: Path, progress: SetupProgress) -> ClickHouseBinary:
    """A ClickHouse to run; the engine is fetched when there is none."""
    if server := installed_server():
        return ClickHouseBinary(server)
    package, checksum = PACKAGES.get(platform.machine(), (None, ""))
    if package is None or sys.platform != "linux":
        raise SetupError(
            f"there is no embedded ClickHouse for {sys.platform} on {platform.machine()}: install ClickHouse "
            f"{SERVER_OLDEST[0]}.{SERVER_OLDEST[1]} or newer, so that `clickhouse` is on the PATH"
        )
    item = cache / f"engine-{VERSION}"
    if is_whole(item):
        return ClickHouseBinary(item / LIBRARY)

    def fetch(into: Path) -> None:
        # npm's own cache is left out: this directory is the cache, and the package is large
        npm = [
            require_npm(progress),
            "pack",
            f"{package}@{VERSION}",
            "--pack-destination",
            str(into),
            "--silent",
        ]
        scratch = into / "npm"
        environ = {**os.environ, "npm_config_cache": str(scratch), "npm_config_update_notifier": "false"}
        progress.run(f"ClickHouse engine {VERSION}", npm, environ=environ, grows=into, cwd=into)
        shutil.rmtree(scratch, ignore_errors=True)
        (archive,) = into.glob("*.tgz")
        _check(archive, checksum)
        unpack = [sys.executable, "-c", UNPACK, str(archive), LIBRARY, str(into / LIBRARY)]
        progress.run(f"ClickHouse engine {VERSION}: unpacking", unpack, grows=into)
        archive.unlink()

    return ClickHouseBinary(keep(item, fetch) / LIBRARY)


UNPACK = """
import shutil, sys, tarfile
archive, name, target = sys.argv[1:]
with tarfile.open(archive) as tar, open(target, "wb") as out:
    shutil.copyfileobj(tar.extractfile("package/" + name), out, 1 << 20)
"""


def installed_server() -> Path | None:
    """The `clickhouse` binary of the PATH when it is recent enough."""
    path = shutil.which("clickhouse")
    if path is None:
        return None
    try:
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"version (\d+)\.(\d+)", shown.stdout)
    return Path(path) if version and (int(version[1]), int(version[2])) >= SERVER_OLDEST else None


def _check(archive: Path, checksum: str) -> None:
    with archive.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if digest != checksum:
        raise SetupError(
            f"{archive.name} is not the package that was tried: sha512 {digest}, expected {checksum}"
        )
