"""Builds the tables that are invented: where cameras might hang, and who might take QR payments.

The same names always give the same files; a test holds them to it. Run as `python -m schemas.reference.make`
after a change here.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from itertools import combinations, islice

from schemas.reference import FOLDER, Camera, Merchant, Office, Row, Ward, wards
from schemas.reference.places import CITY_OFFICE, PLACES, WardPlaces

HEADINGS = (("north", "bắc"), ("east", "đông"), ("south", "nam"), ("west", "tây"))
EYES = {"junction": 4, "market": 3, "square": 4, "station": 3, "bridge": 2, "hospital": 2, "school": 1}
"""Camera eyes for each kind of place."""


def make_cameras() -> Iterator[Camera]:
    """The eyes that each ward has been given: where crowds gather, at schools, then at junctions."""
    for code, places in sorted(PLACES.items()):
        eyes = islice(_eyes(places), places.cameras)
        for n, (name, place, direction) in enumerate(eyes, start=1):
            yield Camera(f"cam-{code}-{n:03}", code, name, place, direction)


def make_merchants() -> Iterator[Merchant]:
    """Public schools, health, trade and government of each ward."""
    for ward in wards():
        for category, names in _trade(ward, PLACES[ward.ward_code]).items():
            for n, name in enumerate(names, start=1):
                short = category.replace("_", "-")
                yield Merchant(f"mer-{ward.ward_code}-{short}-{n:02}", ward.ward_code, category, name)


def make_offices() -> Iterator[Office]:
    """The city's office, and one for each ward."""
    yield CITY_OFFICE
    for ward in wards():
        name = f"Bộ phận Một cửa UBND {_in_sentence(ward)}"
        yield Office(f"oso-{ward.ward_code}", ward.ward_code, name, "ward")


def as_csv(rows: Iterable[Row]) -> str:
    """Rows as CSV text with a header, sorted by their first field."""
    ordered = sorted(rows, key=astuple)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(f.name for f in fields(ordered[0]))
    writer.writerows(map(astuple, ordered))
    return text.getvalue()


def made() -> dict[str, str]:
    """The text of each file that is built, by name."""
    return {
        "cameras.csv": as_csv(make_cameras()),
        "merchants.csv": as_csv(make_merchants()),
        "offices.csv": as_csv(make_offices()),
    }


def _eyes(places: WardPlaces) -> Iterator[tuple[str, str, str]]:
    """Every place that could have eyes: (name, kind of place, direction)."""
    for kind, names in places.crowds:
        yield from _looking(names, kind)
    yield from _looking(places.schools, "school")
    yield from _looking([f"Ngã tư {a} – {b}" for a, b in _crossings(places.streets)], "junction")


def _looking(names: Sequence[str], kind: str) -> Iterator[tuple[str, str, str]]:
    for name in names:
        for direction, heading in HEADINGS[: EYES[kind]]:
            yield f"{name}, hướng {heading}", kind, direction


def _crossings(streets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Main streets, named first, cross all others; side streets cross no other side street."""
    return ((a, b) for a, b in combinations(streets, 2) if a in streets[:3])


def _trade(ward: Ward, places: WardPlaces) -> dict[str, Sequence[str]]:
    crowds = dict(places.crowds)
    return {
        "school": places.schools,
        "hospital": (*crowds.get("hospital", ()), f"Trạm Y tế {_in_sentence(ward)}"),
        "supermarket": places.supermarkets,
        "convenience_store": [f"Tiện lợi {street}" for street in places.streets[: places.stores]],
        "market": crowds.get("market", ()),
        "government": (f"UBND {_in_sentence(ward)}",),
        "other": (f"Nhà thuốc {ward.name}", f"Quán phở {ward.name}"),
    }


def _in_sentence(ward: Ward) -> str:
    return ward.full_name[:1].lower() + ward.full_name[1:]


def main() -> None:
    """Write the files."""
    for name, text in made().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
