"""What one message, one batch and one source may cost: bounds that a function of the log alone can keep."""

from dataclasses import dataclass

from schemas.codec import MOST_EVENTS


@dataclass(frozen=True, slots=True)
class Limits:
    """`bundle_events` events in a message at most, and `letter_bytes` of what was refused are kept.

    `source_letters` refusals of one source in a minute of Kafka's append time become dead letters with their
    bytes; of the rest only the places are noted. Raises ValueError for a bound below 1.
    """

    bundle_events: int = MOST_EVENTS
    letter_bytes: int = 1024 * 1024
    source_letters: int = 1000

    def __post_init__(self) -> None:
        if min(self.bundle_events, self.letter_bytes, self.source_letters) < 1:
            raise ValueError(f"{self}: each must be at least 1")
