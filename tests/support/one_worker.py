"""A worker on a topic of its own, as a process: `python -m tests.support.one_worker JSON`.

`topics` names the topics of more streams than that of cameras.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from infra.settings.environment import load_settings
from sinks.clickhouse import ClickHouseAccess
from sinks.store import ClickHouseSink
from streams.kafka_access import KafkaAccess
from streams.registry import load_streams
from streams.worker.app import run_worker
from streams.worker.config import WorkerConfig


def main(told: dict[str, object]) -> int:
    """Run until told to stop; the exit code of the worker."""
    topics: Any = {"camera": told.pop("topic"), **cast(dict[str, str], told.pop("topics", {}))}
    specs = [replace(load_streams()[name], topic=topic) for name, topic in topics.items()]
    server = ClickHouseAccess.at(str(told.pop("clickhouse")), database=str(told.pop("database")))
    kafka = KafkaAccess.at(str(told.pop("brokers")))
    status = Path(str(told.pop("status")))
    # that of the tests themselves is no setting
    environ = {name: value for name, value in os.environ.items() if name != "SONGLO_TEST_STACK"}
    told = {"library_folder": load_settings(environ).library_folder, **told}
    config = WorkerConfig(kafka=kafka, status_path=status, **told)  # type: ignore[arg-type] # as the test says
    return run_worker(config, specs, ClickHouseSink(server))


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
