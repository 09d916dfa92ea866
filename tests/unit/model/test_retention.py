from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lockstep.model.retention import Candidate, Policy, Span, decide_retention, parse_span
from lockstep.model.snapshots import SnapshotId

BERLIN = ZoneInfo("Europe/Berlin")


def candidate(moment: str, *, complete: bool = True, tag: str | None = None) -> Candidate:
    created = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return Candidate(SnapshotId(f"{created:%Y%m%dT%H%M%SZ}-00000000"), created, complete, tag)


def kept(candidates: list[Candidate], policy: Policy, zone: ZoneInfo = BERLIN) -> list[str]:
    return [f"{each.created:%m-%d %H:%M}" for each in decide_retention(candidates, policy, zone=zone) if each.kept]


def test_a_day_begins_at_midnight_of_the_operator_not_of_greenwich() -> None:
    late = [candidate("2026-11-20T22:30"), candidate("2026-11-20T23:30"), candidate("2026-11-21T22:30")]  # 23:30, 00:30 and 23:30 in Berlin
    assert kept(late, Policy(daily=2)) == ["11-20 22:30", "11-21 22:30"]
    assert kept(late, Policy(daily=2), ZoneInfo("UTC")) == ["11-20 23:30", "11-21 22:30"]


def test_the_hour_that_comes_twice_when_clocks_are_set_back_is_two_hours() -> None:
    twice = [candidate("2026-10-25T00:30"), candidate("2026-10-25T01:30")]  # both 02:30 in Berlin
    assert kept(twice, Policy(hourly=2)) == ["10-25 00:30", "10-25 01:30"]
    assert kept(twice, Policy(daily=2)) == ["10-25 01:30"]


def test_a_day_of_25_hours_has_one_daily_snapshot_and_a_day_of_23_too() -> None:
    hours = [candidate((datetime(2026, 10, 24, 21, 59, tzinfo=UTC) + timedelta(hours=step)).isoformat()) for step in range(27)]
    assert kept(hours, Policy(daily=3)) == ["10-24 21:59", "10-25 22:59", "10-25 23:59"]


def test_incomplete_snapshots_take_no_place_of_a_complete_one() -> None:
    days = [candidate("2026-11-20T10:00"), candidate("2026-11-21T10:00", complete=False), candidate("2026-11-22T10:00", complete=False)]
    verdicts = decide_retention(days, Policy(last=1), zone=BERLIN)
    assert [(each.kept, each.reasons) for each in verdicts] == [
        (True, ("last",)),
        (False, ("last: it is not among the 1 that are kept",)),
        (True, ("last after the last complete one",)),
    ]


def test_the_last_complete_snapshot_stays_whatever_the_policy_says() -> None:
    found = [candidate("2026-11-20T10:00"), candidate("2026-11-21T10:00"), candidate("2026-11-22T10:00", complete=False, tag="x")]
    verdicts = decide_retention(found, Policy(tags=("x",)), zone=BERLIN)
    assert [each.kept for each in verdicts] == [False, True, True]
    assert verdicts[1].reasons == ("the last complete snapshot",)


def test_an_imported_old_snapshot_counts_by_the_date_of_its_dump() -> None:
    old = candidate("2024-05-05T10:00")
    late = Candidate(SnapshotId("20261123T000000Z-00000000"), old.created, complete=True)
    found = [candidate("2026-11-20T10:00"), candidate("2026-11-21T10:00"), late]
    assert kept(found, Policy(last=1)) == ["11-21 10:00"]
    assert kept(found, Policy(yearly=2)) == ["05-05 10:00", "11-21 10:00"]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("12h", Span(hours=12)),
        ("30d", Span(days=30)),
        ("2w", Span(days=14)),
        ("1y6m", Span(months=18)),
        (" 1D12H ", Span(days=1, hours=12)),
    ],
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, span: Span) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", " ", "30", "d", "-1d", "1d2w", "1.5d", "30 days", "9999999999d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        parse_span(text)


def test_a_span_goes_back_by_the_calendar_and_by_the_clock() -> None:
    noon = datetime(2026, 3, 31, 10, tzinfo=UTC)  # 12:00 in Berlin, two days after clocks were set forward
    assert Span(months=1).before(noon, BERLIN) == datetime(2026, 2, 28, 11, tzinfo=UTC)
    assert Span(days=3).before(noon, BERLIN) == datetime(2026, 3, 28, 11, tzinfo=UTC)
    assert Span(hours=72).before(noon, BERLIN) == datetime(2026, 3, 28, 10, tzinfo=UTC)
    assert Span(months=12 * 5000).before(noon, BERLIN) == datetime.min.replace(tzinfo=UTC)
