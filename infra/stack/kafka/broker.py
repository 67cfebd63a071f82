"""One Kafka node (KRaft) as a service of the local stack."""

import shutil
import socket
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from infra.stack.process.ports import HOST
from infra.stack.process.service import ChildError, Service, last_lines, tethered

HEAP = "384m"
CLUSTER = "songlo-local"
MESSAGE_BYTES = 8 << 20
RETENTION_MS = 7 * 24 * 3600 * 1000
JVM = (
    "-Xms64m",
    "-XX:+UseSerialGC",  # two cores and a small heap: the fewest threads, the least memory
    # measured: the start costs half the CPU, and sending no more, since most of that is in the system
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)
LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server
logger.server.level = warn
logger.start.name = kafka.server.KafkaRaftServer
logger.start.level = info
logger.config.name = org.apache.kafka.common.config
logger.config.level = error
"""


def broker_service(
    home: Path,
    java: str,
    jars: Path,
    port: int,
    controller_port: int,
    *,
    heap: str = HEAP,
    archive: Path | None = None,
) -> Service:
    """Kafka on 127.0.0.1:`port`, its data in `home`/data/broker."""
    data, run = home / "data" / "broker", home / "run"
    config, logging, output = (
        run / "broker.properties",
        run / "broker-log4j2.properties",
        home / "log" / "broker.log",
    )
    classpath = [java, "-cp", f"{jars}/*", f"-Dlog4j2.configurationFile={logging}"]

    shared = [f"-XX:SharedArchiveFile={archive}"] if archive else []

    def prepare() -> None:
        _write(config, properties(data, port, controller_port))
        logging.write_text(LOGGING, encoding="ascii")
        if not (data / "meta.properties").exists():
            _format(data, [*classpath, *shared], run, port, controller_port, output)

    return Service(
        name="broker",
        command=[*classpath, *shared, *JVM, f"-Xmx{heap}", "kafka.Kafka", str(config)],
        log=output,
        prepare=prepare,
        well=lambda _: broker_answers(port),
        grace_seconds=20.0,
    )


def properties(data: Path, port: int, controller_port: int) -> dict[str, object]:
    """The broker's configuration."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "num.partitions": 6,
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # a group of one machine need not wait for members that start later
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # after kill -9 a broker has to wait until its former self counts as gone: 9 s by default
        "broker.session.timeout.ms": 5000,
        "broker.heartbeat.interval.ms": 1000,
        # time that windows can trust: the broker's, when it appended
        "log.message.timestamp.type": "LogAppendTime",
        "message.max.bytes": MESSAGE_BYTES,
        "replica.fetch.max.bytes": MESSAGE_BYTES,
        "log.retention.ms": RETENTION_MS,
        "log.segment.bytes": 256 << 20,
        "log.index.size.max.bytes": 2 << 20,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "num.recovery.threads.per.data.dir": 2,
        # its default takes a third of this heap
        "log.cleaner.dedupe.buffer.size": 16 << 20,
    }


def broker_answers(port: int, timeout: float = 2.0) -> bool:
    """Whether the broker answers a Metadata request (version 4, no topics) and names itself."""
    body = struct.pack(">hhih5sib", 3, 4, 1, 5, b"songl", 0, 0)
    try:
        with socket.create_connection((HOST, port), timeout) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            answer = _read(connection, struct.unpack(">i", _read(connection, 4))[0])
    except OSError:
        return False
    # correlation id, throttle time, brokers
    return len(answer) >= 12 and struct.unpack_from(">iii", answer)[2] > 0


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data


def _format(data: Path, java: list[str], run: Path, port: int, controller_port: int, output: Path) -> None:
    """Lay the data directory out; done aside and renamed, so that it is whole or not there."""
    fresh = data.with_name(data.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    if data.exists():
        raise ChildError(f"{data} holds no meta.properties, so it is not Kafka's: move it away")
    fresh.parent.mkdir(parents=True, exist_ok=True)
    config = run / "format.properties"
    _write(config, properties(fresh, port, controller_port))
    tool = [*JVM, "kafka.tools.StorageTool", "format", "--standalone"]
    with output.open("ab") as out:
        done = subprocess.run(
            tethered([*java, *tool, "-t", CLUSTER, "-c", str(config)]),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
        )
    if done.returncode:
        raise ChildError(f"Kafka can't format {fresh}{last_lines(output)}")
    fresh.rename(data)


def _write(path: Path, values: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{k}={v}\n" for k, v in values.items()), encoding="utf-8")
