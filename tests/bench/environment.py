"""What each contender runs in: an environment of its own, or a jar; made once, kept in the cache."""

import hashlib
import shutil
import sys
from pathlib import Path

from infra.setup.progress import SetupError, SetupProgress
from infra.setup.store import keep
from infra.setup.tools import require_java, require_maven
from tests.bench.contenders import JAVA, MAIN

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "tests" / "bench" / "peers"
JVM = ("-XX:+UseSerialGC", "-Xms1g", "-Xmx2g", "-XX:-UsePerfData")


def command(script: str, environment: str, cache: Path, progress: SetupProgress) -> list[str]:
    """How to start a contender's script. Raises SetupError when its environment can't be made."""
    if environment == JAVA:
        java, jars = require_java(progress), _jars(script, cache, progress)
        return [java, *JVM, "-cp", f"{jars}/*", "songlo.bench.Windows"]
    return [str(python(environment, cache, progress)), str(PEERS / script)]


def python(environment: str, cache: Path, progress: SetupProgress) -> Path:
    """The interpreter of an environment. Raises SetupError when it can't be made."""
    if environment == MAIN:
        return Path(sys.executable)
    pinned = PEERS / "environments" / f"{environment}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def build(into: Path) -> None:
        progress.run(f"bench: Python for {environment}", [sys.executable, "-m", "venv", "--clear", str(into)])
        pip = [str(into / "bin/python"), "-m", "pip", "install", "--only-binary", ":all:", "-r", str(pinned)]
        progress.run(
            f"bench: packages of {environment}", [*pip, "--no-input", "--progress-bar", "off"], grows=into
        )

    item = cache / "bench" / f"{environment}-python{version}-{_digest(pinned)}"
    return keep(item, build) / "bin" / "python"


def _jars(project: str, cache: Path, progress: SetupProgress) -> Path:
    source = PEERS / project
    files = [source / "pom.xml", *sorted(source.rglob("*.java"))]

    def build(into: Path) -> None:
        if shutil.which("javac") is None:
            raise SetupError("javac is missing: apt-get install openjdk-17-jdk-headless")
        work = into / "build"
        shutil.copytree(source, work)
        maven = [require_maven(progress), "-q", "-B", "-f", str(work / "pom.xml"), "package"]
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={into / 'jars'}"]
        progress.run(f"bench: {project}", [*maven, *copy], grows=into)
        (work / "target" / "peer.jar").rename(into / "jars" / "peer.jar")
        shutil.rmtree(work)

    return keep(cache / "bench" / f"{project}-{_digest(*files)}", build) / "jars"


def _digest(*files: Path) -> str:
    together = hashlib.sha256()
    for file in files:
        together.update(file.read_bytes())
    return together.hexdigest()[:12]
