"""The packaged log of real junctions."""

from collections import Counter

import orjson

from infra.demo.sample import junction_events
from schemas import reference
from schemas.camera import CameraEvent
from schemas.codec import Codec

END_MS = 1_750_000_000_000


def test_the_sample_is_three_hours_of_valid_events_up_to_now() -> None:
    """As many as the log has, in order, all valid, on cameras of the city, ended at the time asked for."""
    events = list(junction_events(reference.cameras(), END_MS, "x"))
    decode = Codec(CameraEvent).decode
    assert all(isinstance(decode(orjson.dumps(e)), CameraEvent) for e in events[::100])
    # figures of the data's own authors: 103,363 vehicles; and 221 pedestrians
    assert Counter(e["kind"] for e in events) == {"vehicle": 103_363, "person": 221}
    times = [e["occurred_at"] for e in events]
    assert times == sorted(times)
    assert END_MS - 3 * 3_600_000 <= times[0] < times[-1] < END_MS
    assert len({e["event_id"] for e in events}) == len(events)
    wards = {c.camera_id: c.ward_code for c in reference.cameras()}
    assert all(wards[e["camera_id"]] == e["ward_code"] for e in events)


def test_another_replay_has_other_ids() -> None:
    """An id belongs to one time: a replay at another time must not pass for a repetition."""
    first = next(junction_events(reference.cameras(), END_MS, "a"))
    second = next(junction_events(reference.cameras(), END_MS + 1, "b"))
    assert first["event_id"] != second["event_id"]
