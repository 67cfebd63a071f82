"""ClickHouse as a service of the local stack: the embedded engine, or a server's binary.

Run as a module, this is the process that hosts the engine's library. The library is clickhouse-local; a query
that never ends keeps it open while its ports serve. It ignores SIGTERM: the host takes that and ends it.
"""

import argparse
import ctypes
import http.client
import os
import signal
import sys
import threading
from pathlib import Path

from infra.stack.clickhouse.fetch import ClickHouseBinary
from infra.stack.process.ports import HOST
from infra.stack.process.service import Service

KEEP_OPEN = "songlo-keeps-the-engine-open"
STOP_SECONDS = 10.0
SERVER_CONFIG = """\
<clickhouse>
    <logger><level>information</level><console>1</console></logger>
    <listen_host>{host}</listen_host>
    <tcp_port>{native}</tcp_port>
    <http_port>{http}</http_port>
    <path>{path}/</path>
    <tmp_path>{path}/tmp/</tmp_path>
    <user_files_path>{path}/user_files/</user_files_path>
    <format_schema_path>{path}/format_schemas/</format_schema_path>
    <mark_cache_size>268435456</mark_cache_size>
    <users><default>
        <password></password><profile>default</profile><quota>default</quota>
        <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
        <access_management>1</access_management>
    </default></users>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
</clickhouse>
"""


def engine_service(home: Path, engine: ClickHouseBinary, native_port: int, http_port: int) -> Service:
    """ClickHouse on 127.0.0.1, its data in `home`/data/clickhouse; `native_port` is for the guard alone."""
    data, output = home / "data" / "clickhouse", home / "log" / "clickhouse.log"
    config = home / "run" / "clickhouse.xml"

    def prepare() -> None:
        data.mkdir(parents=True, exist_ok=True)
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(
            SERVER_CONFIG.format(host=HOST, native=native_port, http=http_port, path=data), encoding="utf-8"
        )

    if engine.is_library:
        command = [
            sys.executable,
            "-m",
            "infra.stack.clickhouse.server",
            "--library",
            str(engine.path),
            "--path",
            str(data),
        ]
        command += ["--native", str(native_port), "--http", str(http_port)]
    else:
        command = [str(engine.path), "server", f"--config-file={config}"]
    return Service(
        name="clickhouse",
        command=command,
        log=output,
        prepare=prepare,
        well=lambda _: engine_answers(http_port),
        grace_seconds=STOP_SECONDS + 5,
    )


def engine_answers(http_port: int, timeout: float = 2.0) -> bool:
    """Whether ClickHouse answers a ping."""
    connection = http.client.HTTPConnection(HOST, http_port, timeout=timeout)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().read() == b"Ok.\n"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def host(library: Path, data: Path, native_port: int, http_port: int) -> None:
    """Run the engine until SIGTERM or SIGINT; leaves the process with its exit status."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    engine = threading.Thread(target=_serve, args=(library, data, native_port, http_port), daemon=True)
    engine.start()
    while engine.is_alive():
        if signal.sigtimedwait(signals, 0.5):
            _end_query(http_port)
            engine.join(STOP_SECONDS)
            os._exit(0)  # an engine that does not let go survives this no worse than a kill
    os._exit(1)  # it left by itself: its log says why


def _serve(library: Path, data: Path, native_port: int, http_port: int) -> None:
    queries = (
        "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; "
        "SELECT sleepEachRow(3) FROM system.numbers FORMAT Null SETTINGS max_block_size = 1, "
        "function_sleep_max_microseconds_per_block = 0, max_execution_time = 0, log_comment = "
    )
    arguments = [
        "clickhouse",
        f"--path={data}",
        f"--query={queries}'{KEEP_OPEN}'",
        "--",
        f"--listen_host={HOST}",
        f"--tcp_port={native_port}",
        f"--http_port={http_port}",
        "--log-level=warning",
        "--logger.log=/dev/stderr",
        "--logger.level=warning",
        "--mark_cache_size=268435456",
    ]
    run = ctypes.CDLL(str(library)).chdb_query_cmdline
    run.restype = ctypes.c_void_p
    run(len(arguments), (ctypes.c_char_p * len(arguments))(*(os.fsencode(a) for a in arguments)))


def _end_query(http_port: int) -> None:
    connection = http.client.HTTPConnection(HOST, http_port, timeout=STOP_SECONDS)
    try:
        query = f"KILL QUERY WHERE Settings['log_comment'] = '{KEEP_OPEN}' ASYNC"
        connection.request("POST", "/", query.encode())
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as e:
        sys.stderr.write(f"the engine could not be asked to stop: {e}\n")
    finally:
        connection.close()


def main() -> None:
    """The command line of the host process."""
    parser = argparse.ArgumentParser(description="Hosts the embedded ClickHouse engine.")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--native", type=int, required=True)
    parser.add_argument("--http", type=int, required=True)
    a = parser.parse_args()
    host(a.library, a.path, a.native, a.http)


if __name__ == "__main__":
    main()
