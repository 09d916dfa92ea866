from __future__ import annotations

from datetime import timedelta

from lockstep.model.cost import PastRun
from lockstep.operations.backup_options import CatchUp
from lockstep.tables.plans import NewObjects

FAST = PastRun(objects=10_000, size_bytes=10_000_000, copy_seconds=10.0, dump_seconds=0.0, database_bytes=0)
CATCH_UP = CatchUp(from_objects=100, from_bytes=1_000_000, longest=timedelta(minutes=1))


def test_while_no_rate_is_known_a_number_decides() -> None:
    assert not CATCH_UP.is_needed(NewObjects(100, 1_000_000))
    assert CATCH_UP.is_needed(NewObjects(101, 0))
    assert CATCH_UP.is_needed(NewObjects(1, 1_000_001))


def test_where_the_rate_is_known_the_time_decides() -> None:
    assert not CATCH_UP.is_needed(NewObjects(60_000, 0), runs=[FAST])
    assert CATCH_UP.is_needed(NewObjects(60_001, 0), runs=[FAST])
    assert CATCH_UP.is_needed(NewObjects(1, 61_000_000), runs=[FAST])


def test_objects_that_cannot_be_had_keep_nothing_waiting() -> None:
    assert not CATCH_UP.is_needed(NewObjects(100_000, 50_000_000), lacking=100_000, runs=[FAST])
    assert not CATCH_UP.is_needed(NewObjects(100_000, 50_000_000), lacking=100_000)
    assert CATCH_UP.is_needed(NewObjects(200_000, 0), lacking=100_000, runs=[FAST])
    assert not CATCH_UP.is_needed(NewObjects(5, 0), lacking=9)  # some of them were purged meanwhile
    assert not CATCH_UP.is_needed(NewObjects(0, 0))
