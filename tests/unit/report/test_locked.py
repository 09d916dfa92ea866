from __future__ import annotations

from datetime import UTC, datetime

from lockstep.model.results import LockedObjects
from lockstep.report.locked import locked_lines

UNTIL = datetime(2026, 12, 26, 3, 0, tzinfo=UTC)


def test_where_nothing_is_locked_nothing_is_said() -> None:
    assert locked_lines(None) == []


def test_it_says_until_when_and_what_was_done_for_it() -> None:
    assert locked_lines(LockedObjects("governance", UNTIL, 0, 0, 0)) == [
        "  locked    all that it needs until 2026-12-26 03:00 UTC at least (governance)"
    ]
    (line,) = locked_lines(LockedObjects("compliance", UNTIL, 1700, 2, 1))
    assert line.endswith("(compliance), 1,700 of them for longer than before; 2 lie under delete markers, 1 are gone")
