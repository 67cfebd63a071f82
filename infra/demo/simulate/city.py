"""The city that is simulated: the reference tables, together."""

from dataclasses import dataclass

from schemas import reference
from schemas.reference import Camera, Merchant, Office, Procedure


@dataclass(frozen=True, slots=True)
class City:
    """Who sees, pays and serves; no part may be empty."""

    cameras: tuple[Camera, ...]
    merchants: tuple[Merchant, ...]
    offices: tuple[Office, ...]
    procedures: tuple[Procedure, ...]


def tuyen_quang() -> City:
    """The city of the reference tables."""
    return City(reference.cameras(), reference.merchants(), reference.offices(), reference.procedures())
