"""How far this tree reaches into its libraries: what is private there, and used here."""

from pathlib import Path

from tests.support.private_names import ROOT, private_names

PLANTED = """
from faust.transport.drivers import aiokafka as driver

class Thread(driver.AIOKafkaConsumerThread):
    def _fetch_records(self, consumer):
        self._mine = consumer._coordinator
        return self._mine, self._consumer
"""


def test_two_private_names_are_left() -> None:
    """Each more has to buy exactness, or 15 % of a worker's processor time: see `streams.worker.client`."""
    assert private_names(ROOT) == {
        "streams/worker/client/consumer.py": {"_create_worker_consumer", "_new_consumer_thread"}
    }


def test_what_is_read_called_or_overridden_is_found(tmp_path: Path) -> None:
    """A count that sees nothing would be as low."""
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams/thread.py").write_text(PLANTED, "utf-8")
    assert private_names(tmp_path) == {"streams/thread.py": {"_fetch_records", "_coordinator", "_consumer"}}
