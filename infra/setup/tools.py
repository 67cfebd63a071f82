"""System tools that set-up needs: found, installed by apt-get where that is allowed, else named."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.setup.progress import SetupError, SetupProgress

JAVA_OLDEST = 17
JAVA_PACKAGES = (
    "openjdk-21-jre-headless",
    "openjdk-17-jre-headless",
    "openjdk-25-jre-headless",
    "default-jre-headless",
)


def java() -> str | None:
    """A Java of version 17 or newer: $JAVA_HOME's, else the PATH's, else one of Debian's places."""
    places = [Path("/usr/lib/jvm") / name / "bin/java" for name in _listed(Path("/usr/lib/jvm"))]
    home = os.environ.get("JAVA_HOME")
    found = [str(Path(home) / "bin/java") if home else None, shutil.which("java"), *map(str, places)]
    return next((path for path in found if path and java_version(path) >= JAVA_OLDEST), None)


def java_version(path: str) -> int:
    """The feature version of a Java, 0 when it can't be run."""
    try:
        done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(version[1]) if version else 0


def require_java(progress: SetupProgress) -> str:
    """The path of a Java that can run the broker; installed when missing."""
    if path := java():
        return path
    _install(progress, "Java 17 or newer", JAVA_PACKAGES)
    if path := java():
        return path
    raise SetupError("Java 17 or newer is missing: apt-get install openjdk-17-jre-headless")


def require_maven(progress: SetupProgress) -> str:
    """The path of Maven; installed when missing."""
    return _require(progress, "mvn", "Maven", ("maven",))


def require_npm(progress: SetupProgress) -> str:
    """The path of npm; installed when missing."""
    return _require(progress, "npm", "npm", ("npm",))


def install_venv(progress: SetupProgress, python: tuple[int, int]) -> None:
    """Debian ships ensurepip, which builds virtual environments, in a package of its own."""
    _install(progress, "Python's venv", (f"python{python[0]}.{python[1]}-venv", "python3-venv"))


def install_compiler(progress: SetupProgress) -> None:
    """A C compiler with the headers of the C library, both small packages of Debian."""
    _install(progress, "C compiler", ("gcc",))
    _install(progress, "C library's headers", ("libc6-dev",))


def require_fuzzer(progress: SetupProgress) -> tuple[str, Path]:
    """The path of Clang, and of its libFuzzer without a main; installed when missing, with the sanitizers."""
    clang = _require(progress, "clang", "Clang", ("clang",))
    if found := _libfuzzer(clang):
        return clang, found
    shown = subprocess.run([clang, "-dumpversion"], capture_output=True, text=True, check=True).stdout
    packages = [f"libclang-{part}-{shown.split('.')[0].strip()}-dev" for part in ("rt", "common")]
    _install(progress, "libFuzzer and the sanitizers", packages)
    if found := _libfuzzer(clang):
        return clang, found
    raise SetupError(f"{clang} has no libFuzzer, and apt-get install {packages[0]} did not bring it")


def _libfuzzer(clang: str) -> Path | None:
    shown = subprocess.run([clang, "-print-resource-dir"], capture_output=True, text=True, check=True).stdout
    names = ("fuzzer_no_main", f"fuzzer_no_main-{platform.machine()}")
    found = (sorted(Path(shown.strip()).glob(f"lib/*/libclang_rt.{name}.a")) for name in names)
    return next((paths[0] for paths in found if paths), None)


def _require(progress: SetupProgress, command: str, title: str, packages: Sequence[str]) -> str:
    if path := shutil.which(command):
        return path
    _install(progress, title, packages)
    if path := shutil.which(command):
        return path
    raise SetupError(f"{title} is missing, and apt-get install {packages[0]} did not bring it")


def _install(progress: SetupProgress, title: str, packages: Sequence[str]) -> None:
    """Install the first of the packages that the machine's apt knows."""
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"{title} is missing: install it, then start again (on Debian: apt-get install {packages[0]})"
        )
    if os.geteuid() != 0:
        wanted = next((p for p in packages if _known(p)), packages[-1])
        raise SetupError(f"{title} is missing; type: sudo apt-get update && sudo apt-get install -y {wanted}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

    def update() -> None:
        progress.run("Debian's package lists", ["apt-get", "update", "-q"], environ=environ)

    def install() -> None:
        wanted = next((p for p in packages if _known(p)), packages[-1])
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", wanted]
        progress.run(f"{title} (Debian's {wanted})", command, environ=environ)

    listed = any(map(_known, packages)) and _has_lists()
    if not listed:
        update()
    try:
        install()
    except SetupError:
        if not listed:
            raise
        update()  # the lists were there, but old: what they name is gone from the archive
        install()


def _known(package: str) -> bool:
    shown = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    candidate = re.search(r"Candidate: (\S+)", shown.stdout)
    return candidate is not None and candidate[1] != "(none)"


def _has_lists() -> bool:
    return any(
        name.endswith("_Packages") or "_Packages." in name for name in _listed(Path("/var/lib/apt/lists"))
    )


def _listed(directory: Path) -> list[str]:
    try:
        return sorted((p.name for p in directory.iterdir()), reverse=True)
    except OSError:
        return []
