from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lockstep.errors import SnapshotNotFound
from lockstep.model.snapshots import SnapshotId, SnapshotTime, is_snapshot_id, new_snapshot_id, select_snapshot

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 22, 12, 40, 0, 500_000, tzinfo=UTC)


def taken(created: datetime, suffix: str = "00000000") -> SnapshotTime:
    return SnapshotTime(SnapshotId(f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{suffix}"), created)


def select(wanted: str, snapshots: Sequence[SnapshotTime], *, now: datetime = NOW) -> str:
    return select_snapshot(wanted, snapshots, now=now, zone=PARIS)


A = taken(datetime(2026, 11, 19, 22, 30, tzinfo=UTC), "aaaaaaaa")  # 23:30 on the 19th in Paris
B = taken(datetime(2026, 11, 20, 22, 59, 59, 999_999, tzinfo=UTC), "bbbbbbbb")  # the last instant of the 20th in Paris
C = taken(datetime(2026, 11, 20, 23, 0, tzinfo=UTC), "cccccccc")  # the first of the 21st in Paris
D = taken(datetime(2026, 11, 22, 12, 0, tzinfo=UTC), "dddddddd")
ALL = (C, A, D, B)


def test_an_id_is_the_second_in_utc_and_eight_digits() -> None:
    frozen_at = datetime(2026, 11, 22, 13, 40, 7, 999_999, tzinfo=PARIS)
    assert new_snapshot_id(frozen_at, newest=None, randomness=0x1A2B) == "20261122T124007Z-00001a2b"


def test_a_later_snapshot_takes_its_own_second() -> None:
    assert new_snapshot_id(NOW, newest=SnapshotId("20261122T123959Z-ffffffff"), randomness=7) == "20261122T124000Z-00000007"


@pytest.mark.parametrize("randomness", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize(
    "newest", ["20261122T124000Z-00000000", "20261122T124000Z-1a2b3c4d", "20261122T124000Z-fffffffe", "20261122T124000Z-ffffffff"]
)
def test_a_second_snapshot_in_one_second_sorts_after_the_first(newest: str, randomness: int) -> None:
    made = new_snapshot_id(NOW, newest=SnapshotId(newest), randomness=randomness)
    assert made > newest
    assert is_snapshot_id(made)


def test_a_clock_that_was_set_back_does_not_turn_the_order_around() -> None:
    made = new_snapshot_id(NOW - timedelta(days=400), newest=SnapshotId("20261122T124000Z-1a2b3c4d"), randomness=5)
    assert made > "20261122T124000Z-1a2b3c4d"
    assert made.startswith("20261122T124000Z-")


def test_after_the_largest_suffix_comes_the_following_second() -> None:
    assert new_snapshot_id(NOW, newest=SnapshotId("20261231T235959Z-ffffffff"), randomness=5) == "20270101T000000Z-00000005"


@pytest.mark.parametrize("text", ["20261122T124000Z-1a2b3c4d", "00000000T000000Z-00000000"])
def test_an_id_is_recognised_by_its_form(text: str) -> None:
    assert is_snapshot_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "20261122T124000Z",
        "20261122T124000Z-1A2B3C4D",
        "20261122T124000Z-1a2b3c4",
        "20261122T124000Z-1a2b3c4d\n",
        "x20261122T124000Z-1a2b3c4d",
        "٢0261122T124000Z-1a2b3c4d",
    ],
)
def test_what_only_resembles_an_id_is_none(text: str) -> None:
    assert not is_snapshot_id(text)


def test_an_id_names_its_snapshot() -> None:
    assert select(B.snapshot, ALL) == B.snapshot


def test_white_space_around_a_name_is_no_part_of_it() -> None:
    assert select(f" {B.snapshot}\n", ALL) == B.snapshot


def test_a_unique_prefix_names_its_snapshot() -> None:
    assert select("20261119", ALL) == A.snapshot
    assert select("20261120T23", ALL) == C.snapshot


def test_a_prefix_of_several_snapshots_is_refused_and_their_number_told() -> None:
    with pytest.raises(SnapshotNotFound, match="2 snapshots begin with '20261120'"):
        select("20261120", ALL)


def test_latest_is_the_one_that_sorts_last() -> None:
    assert select("latest", ALL) == D.snapshot


def test_latest_goes_by_the_id_since_clocks_may_have_been_set_back() -> None:
    after = SnapshotTime(SnapshotId("20261122T120000Z-eeeeeeee"), D.created - timedelta(days=10))
    assert select("latest", (after, D)) == after.snapshot


def test_a_date_means_the_whole_of_that_day_where_the_person_is() -> None:
    assert select("2026-11-20", ALL) == B.snapshot
    assert select("2026-11-19", ALL) == A.snapshot
    assert select("2026-11-21", ALL) == C.snapshot


def test_yesterday_is_the_day_before_where_the_person_is() -> None:
    just_after_midnight_in_paris = datetime(2026, 11, 20, 23, 5, tzinfo=UTC)
    assert select("yesterday", ALL, now=just_after_midnight_in_paris) == B.snapshot


def test_a_time_without_a_zone_is_where_the_person_is() -> None:
    assert select("2026-11-22 13:00", ALL) == D.snapshot
    assert select("2026-11-22T12:59", ALL) == C.snapshot


def test_a_time_with_a_zone_is_in_that_zone() -> None:
    assert select("2026-11-22T12:00:00Z", ALL) == D.snapshot
    assert select("2026-11-22T11:59:59+00:00", ALL) == C.snapshot


def test_a_time_to_the_second_includes_that_second_because_seconds_are_what_is_shown() -> None:
    shown = taken(datetime(2026, 11, 22, 12, 0, 0, 700_000, tzinfo=UTC))
    assert select("2026-11-22T12:00:00Z", (shown, A)) == shown.snapshot
    assert select("2026-11-22T12:00:00.600Z", (shown, A)) == A.snapshot


@pytest.mark.parametrize(
    ("wanted", "found"), [("2 days ago", B), ("1 day ago", C), ("37 hours", B), ("30 minutes ago", D), ("3 Days Ago", A)]
)
def test_so_long_ago_means_the_newest_that_was_there_then(wanted: str, found: SnapshotTime) -> None:
    now = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
    now = now if wanted != "37 hours" else datetime(2026, 11, 22, 11, 59, 59, 999_999, tzinfo=UTC)
    now = now if wanted != "2 days ago" else now - timedelta(microseconds=1)
    assert select(wanted, ALL, now=now) == found.snapshot


def test_a_time_goes_by_the_moment_of_the_snapshot_and_not_by_its_id() -> None:
    set_back = SnapshotTime(SnapshotId("20261122T120000Z-eeeeeeee"), datetime(2026, 11, 1, tzinfo=UTC))
    assert select("2026-11-10", (D, set_back)) == set_back.snapshot


def test_of_two_snapshots_of_one_moment_the_later_one_is_meant() -> None:
    other = SnapshotTime(SnapshotId("20261122T120000Z-eeeeeeee"), D.created)
    assert select("2026-11-22", (other, D)) == other.snapshot


def test_a_time_before_all_snapshots_is_answered_with_the_oldest_there_is() -> None:
    with pytest.raises(SnapshotNotFound, match="no snapshot is as old as '2020-01-01'") as caught:
        select("2020-01-01", ALL)
    assert "2026-11-19T22:30:00Z" in caught.value.hint


@pytest.mark.parametrize("wanted", ["3000 years ago", "99999999999999999999 days ago", f"{'9' * 5000} seconds"])
def test_a_time_before_the_calendar_begins_finds_nothing(wanted: str) -> None:
    with pytest.raises(SnapshotNotFound):
        select(wanted, ALL)


@pytest.mark.parametrize(
    "wanted", ["", "  ", "newest", "2026-13-01", "2026-11-20 25:00", "2026-11-20x", "days ago", "-1 days ago", "%", "deadbeef"]
)
def test_a_word_that_means_nothing_is_refused(wanted: str) -> None:
    with pytest.raises(SnapshotNotFound, match="no snapshot '"):
        select(wanted, ALL)


@pytest.mark.parametrize("wanted", ["latest", "2 days ago", "2026-11-20", "20261122T124000Z-1a2b3c4d"])
def test_a_repository_without_snapshots_says_so_whatever_is_asked(wanted: str) -> None:
    with pytest.raises(SnapshotNotFound, match="no snapshot yet"):
        select(wanted, ())
