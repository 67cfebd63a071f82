"""(a) Songlo: one worker, exactness on, windows and ids into ClickHouse; done when ClickHouse has it all."""

from peer import arguments, done, ready

from tests.bench.songlo import Target, Worker, create_database, drop_database, windows_csv


def main() -> None:
    """Fold the whole topic."""
    given = arguments()
    target = Target(
        brokers=given.brokers,
        topic=given.topic,
        clickhouse=given.options["clickhouse"],
        clickhouse_http=given.options["clickhouse_http"],
        database="bench_" + given.run.replace("-", "_"),
    )
    create_database(target)
    with Worker(target, given.work) as worker:
        worker.wait_ready()
        ready(worker.pid, *worker.began())
        worker.wait_folded(given.events, seconds=3600)
        done()
    with given.out.open("wb") as file:
        file.writelines(windows_csv(target))
    drop_database(target)


main()
