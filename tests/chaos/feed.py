"""Sends traffic at a rate, through brokers that come and go."""

import contextlib
import threading
import time
from collections.abc import Iterable

from infra.kafka.access import KafkaFailureError
from infra.kafka.producer import Producer
from streams.kafka_access import KafkaAccess
from tests.chaos.hostile import Raw, Truth
from tests.chaos.traffic import Message

CHECKPOINT = 400
PAUSE_S = 0.5


class Feed:
    """Sends messages in a thread of its own, `rate` a second; 0 is as fast as it goes.

    What was not acknowledged when Kafka failed is sent again: at least once, as producers do.
    """

    def __init__(self, brokers: str, messages: Iterable[Message | Raw], rate: float = 0) -> None:
        self._brokers, self._messages, self._rate = brokers, messages, rate
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self.sent = 0
        self.sent_again = 0
        # what a reader must find in each batch that may have been sent, by its tag
        self.truths: dict[int, Truth] = {}
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Send no more, and wait until what was sent is acknowledged."""
        self._stopping.set()
        self.join()

    def join(self) -> None:
        """Wait until all is sent and acknowledged. Raises what went wrong."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        producer: Producer | None = None
        unsure: list[Message | Raw] = []
        began = time.monotonic()
        try:
            for message in self._messages:
                unsure.append(message)
                producer = self._send(producer, unsure, len(unsure) - 1)
                self.sent += 1
                if len(unsure) >= CHECKPOINT:
                    producer = self._settle(producer, unsure)
                if self._wait(began):
                    break
            producer = self._settle(producer, unsure)
            producer.close()
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            self._failure = error

    def _wait(self, began: float) -> bool:
        """Keep to the rate; whether to stop."""
        ahead_s = began + self.sent / self._rate - time.monotonic() if self._rate else 0.0
        return self._stopping.wait(ahead_s) if ahead_s > 0.005 else self._stopping.is_set()

    def _send(self, producer: Producer | None, unsure: list[Message | Raw], begin: int) -> Producer:
        """Send `unsure[begin:]`; all of it again, by a new producer, as often as Kafka fails."""
        while True:
            try:
                if producer is None:
                    producer = Producer(KafkaAccess.at(self._brokers))
                for message in unsure[begin:]:
                    if isinstance(message, Raw):
                        self.truths[message.tag] = message.truth
                        message.send(self._brokers)
                    else:
                        producer.send(message.topic, message.key, message.value, message.partition)
            except KafkaFailureError:
                self._give_up(producer, unsure)
                producer, begin = None, 0
            else:
                return producer

    def _settle(self, producer: Producer | None, unsure: list[Message | Raw]) -> Producer:
        """Wait until all that is unsure is acknowledged."""
        while True:
            producer = self._send(producer, unsure, len(unsure))
            try:
                producer.flush()
            except KafkaFailureError:
                self._give_up(producer, unsure)
                producer = self._send(None, unsure, 0)
            else:
                unsure.clear()
                return producer

    def _give_up(self, producer: Producer | None, unsure: list[Message | Raw]) -> None:
        self.sent_again += len(unsure)
        if producer is not None:
            with contextlib.suppress(KafkaFailureError):
                producer.close()
        time.sleep(PAUSE_S)
