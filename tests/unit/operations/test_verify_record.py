from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lockstep.operations.verify_record import Record, when_sound

DAY = datetime(2026, 11, 22, 12, 40, tzinfo=UTC)


def test_a_snapshot_is_as_old_as_its_last_verification_of_that_depth() -> None:
    record = Record("r")
    record.add_sound(["a", "b"], "data", at=DAY)
    record.add_sound(["a"], "sizes", at=DAY + timedelta(days=1))
    record.add_sound(["a", "c"], "quick", at=DAY + timedelta(days=2))
    assert when_sound(record, "data") == {"a": DAY, "b": DAY}
    assert when_sound(record, "sizes") == {"a": DAY + timedelta(days=1), "b": DAY}
    assert when_sound(record, "quick") == {"a": DAY + timedelta(days=2), "b": DAY, "c": DAY + timedelta(days=2)}


def test_what_is_no_time_proves_nothing() -> None:
    record = Record("r", {"a": {"data": "yesterday"}, "b": {"data": "2026-11-22T12:40:00"}, "c": {}, "d": {"data": "2026-11-22T12:40:00Z"}})
    assert when_sound(record, "data") == {"d": DAY}
