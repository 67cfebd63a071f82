"""(e) ClickHouse alone: its Kafka engine, and a materialized view that adds up windows; at least once.

It gets an engine of its own, so that the whole of its process is its cost.
"""

import http.client
import os
import signal
import subprocess
import time

from peer import arguments, done, ready

from infra.setup.progress import Progress
from infra.setup.store import cache_directory
from infra.stack.clickhouse.fetch import require_engine
from infra.stack.clickhouse.server import engine_answers, engine_service
from infra.stack.process.ports import HOST, reserve
from infra.stack.process.service import tethered
from tests.bench.processes import usage

START_SECONDS = 60.0
LOOK_SECONDS = 0.2

given = arguments()
TABLES = (
    """
    CREATE TABLE windows (camera_id String, window_start UInt64,
        events SimpleAggregateFunction(sum, UInt64), total SimpleAggregateFunction(sum, Float64),
        top SimpleAggregateFunction(max, Float64))
    ENGINE = AggregatingMergeTree ORDER BY (window_start, camera_id)
    """,
    f"""
    CREATE TABLE queue (camera_id String, occurred_at UInt64, speed_kmh Float64)
    ENGINE = Kafka
    SETTINGS kafka_broker_list = '{given.brokers}', kafka_topic_list = '{given.topic}',
        kafka_group_name = '{given.run}', kafka_format = 'JSONEachRow', kafka_num_consumers = 1,
        kafka_poll_max_batch_size = 65536, kafka_max_block_size = 524288, kafka_flush_interval_ms = 1000
    """,
)
VIEW = """
    CREATE MATERIALIZED VIEW fold TO windows AS
    SELECT camera_id, intDiv(occurred_at, 60000) * 60000 AS window_start,
        count() AS events, sum(speed_kmh) AS total, max(speed_kmh) AS top
    FROM queue GROUP BY camera_id, window_start
"""
WINDOWS = """
    SELECT camera_id, window_start, sum(events), sum(total), max(top) FROM windows
    GROUP BY camera_id, window_start FORMAT CSV
"""


def ask(port: int, sql: str) -> bytes:
    """One query by HTTP."""
    connection = http.client.HTTPConnection(HOST, port, timeout=600)
    try:
        connection.request("POST", "/", sql.encode())
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise RuntimeError(text.decode(errors="replace"))
    return text


def main() -> None:
    """Fold the whole topic."""
    native, web = reserve(), reserve()
    engine = require_engine(cache_directory(os.environ), Progress())
    service = engine_service(given.work, engine, native.port, web.port)
    service.prepare()
    with (given.work / "engine.log").open("wb") as log:
        child = subprocess.Popen(tethered(service.command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not engine_answers(web.port):
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the engine does not start")
            time.sleep(LOOK_SECONDS)
        for table in TABLES:
            ask(web.port, table)
        ready(child.pid, usage(child.pid).cpu_seconds)
        ask(web.port, VIEW)
        while int(ask(web.port, "SELECT sum(events) FROM windows")) < given.events:
            time.sleep(LOOK_SECONDS)
        done()
        given.out.write_bytes(ask(web.port, WINDOWS).replace(b'"', b""))
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(60)


main()
