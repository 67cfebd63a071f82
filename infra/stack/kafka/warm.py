"""An archive of the broker's classes as loaded, made once: it takes more than half off Kafka's start."""

import hashlib
import sys
import tempfile
from pathlib import Path

from infra.setup.progress import SetupError, SetupProgress
from infra.setup.store import is_whole, keep
from infra.stack.kafka.broker import JVM, broker_service
from infra.stack.process.ports import PortError, reserve
from infra.stack.process.service import ROOT, ChildError

ARCHIVE = "classes.jsa"


def class_archive(cache: Path, java: str, jars: Path, progress: SetupProgress) -> Path | None:
    """The archive for this Java and these jars, made when missing; None where Java can't make one.

    A Java that can't use an archive ignores it, so this never keeps a broker from starting.
    """
    real = Path(java).resolve()
    key = hashlib.sha256(repr((real, real.stat().st_mtime_ns, str(jars), JVM)).encode()).hexdigest()[:16]
    item = cache / f"kafka-classes-{key}"
    if not is_whole(item):
        try:
            keep(item, lambda into: _make(into, java, jars, progress))
        except (SetupError, ChildError, PortError) as e:
            progress.say(f"Kafka will start without an archive of its classes: {e}")
            return None
    archive = item / ARCHIVE
    return archive if archive.exists() else None


def _make(into: Path, java: str, jars: Path, progress: SetupProgress) -> None:
    """Start a broker that is thrown away, and have Java write down what it loaded."""
    ports = [reserve(), reserve()]
    try:
        with tempfile.TemporaryDirectory(prefix="songlo-warm-") as home:
            broker = broker_service(Path(home), java, jars, ports[0].port, ports[1].port)
            broker.log.parent.mkdir(parents=True, exist_ok=True)
            broker.prepare()
            command = [java, f"-XX:ArchiveClassesAtExit={into / ARCHIVE}", *broker.command[1:]]
            script = [sys.executable, "-c", RUN, str(ports[0].port), *command]
            progress.run("Kafka: archive of its classes", script, grows=into, cwd=ROOT)
    finally:
        for port in ports:
            port.close()


RUN = """
import subprocess, sys, time
from infra.stack.kafka.broker import broker_answers
from infra.stack.process.service import tethered
broker = subprocess.Popen(tethered(sys.argv[2:]))
try:
    deadline = time.monotonic() + 120
    while broker.poll() is None and not broker_answers(int(sys.argv[1])):
        if time.monotonic() > deadline:
            sys.exit("the broker does not answer")
        time.sleep(0.1)
    broker.terminate()  # Java writes the archive as it leaves
    broker.wait(120)
finally:
    broker.kill()
"""
