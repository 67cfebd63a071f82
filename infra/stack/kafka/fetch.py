"""The local Kafka: Apache Kafka's jars, resolved by Maven from the pom beside this file."""

import re
from pathlib import Path

from infra.setup.progress import SetupProgress
from infra.setup.store import is_whole, keep
from infra.setup.tools import require_java, require_maven

POM = Path(__file__).with_name("pom.xml")
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def kafka_version() -> str:
    """The version that the pom asks for."""
    found = re.search(r"<kafka.version>([^<]+)</kafka.version>", POM.read_text(encoding="utf-8"))
    assert found, POM  # noqa: S101  # a broken pom is a broken checkout
    return found[1]


def broker_jars(cache: Path) -> Path:
    """The directory of the jars, whether it is there or not."""
    return cache / f"kafka-{kafka_version()}"


def require_broker(cache: Path, progress: SetupProgress) -> Path:
    """The directory of the jars; fetched when missing. Also sees to a Java that can run them."""
    jars = broker_jars(cache)
    if is_whole(jars):
        return jars
    require_java(progress)
    maven = require_maven(progress)

    def fetch(into: Path) -> None:
        progress.run(
            f"Apache Kafka {kafka_version()}",
            [maven, "-q", "-B", "-f", str(POM), COPY, f"-DoutputDirectory={into}", "-DincludeScope=runtime"],
            grows=into,
        )

    return keep(jars, fetch)
