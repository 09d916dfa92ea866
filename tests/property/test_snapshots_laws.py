from __future__ import annotations

import contextlib
import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import SnapshotNotFound
from lockstep.model.snapshots import SnapshotId, SnapshotTime, is_snapshot_id, new_snapshot_id, select_snapshot

MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract
NEAR = st.integers(-2_000_000, 2_000_000).map(lambda micro: datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(microseconds=micro))
RANDOM = st.one_of(st.integers(0, 0xFFFFFFFF), st.sampled_from([0, 1, 0xFFFFFFFE, 0xFFFFFFFF]))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.lists(st.tuples(st.one_of(MOMENTS, NEAR), RANDOM), min_size=1, max_size=20))
def test_ids_are_in_the_order_of_their_making_whatever_the_clock_says(made: list[tuple[datetime, int]]) -> None:
    ids: list[SnapshotId] = []
    for moment, randomness in made:
        ids.append(new_snapshot_id(moment, newest=ids[-1] if ids else None, randomness=randomness))
    assert all(is_snapshot_id(each) for each in ids)
    assert all(one < other for one, other in itertools.pairwise(ids))


@given(moment=MOMENTS, newest=MOMENTS, randomness=RANDOM, zone=ZONES)
def test_an_id_tells_the_second_unless_the_newest_one_is_not_earlier(
    moment: datetime, newest: datetime, randomness: int, zone: timezone
) -> None:
    before = new_snapshot_id(newest, newest=None, randomness=0)
    made = new_snapshot_id(moment.astimezone(zone), newest=before, randomness=randomness)
    assert made[:16] == max(f"{moment:%Y%m%dT%H%M%SZ}", before[:16])


@given(moments=st.lists(NEAR, min_size=1, max_size=8), at=NEAR, zone=ZONES)
def test_a_time_selects_the_newest_at_or_before_it(moments: list[datetime], at: datetime, zone: timezone) -> None:
    snapshots = as_snapshots(moments)
    wanted = at.astimezone(zone).isoformat(timespec="microseconds")
    earlier = [each for each in snapshots if each.created <= at]
    if not earlier:
        with pytest.raises(SnapshotNotFound):
            select_snapshot(wanted, snapshots, now=at, zone=UTC)
        return
    found = select_snapshot(wanted, snapshots, now=at, zone=UTC)
    created = next(each.created for each in snapshots if each.snapshot == found)
    assert created == max(each.created for each in earlier)


@given(moments=st.lists(NEAR, min_size=1, max_size=8), data=st.data())
def test_every_prefix_selects_the_one_that_has_it_or_nothing(moments: list[datetime], data: st.DataObject) -> None:
    snapshots = as_snapshots(moments)
    chosen = data.draw(st.sampled_from(snapshots)).snapshot
    prefix = chosen[: data.draw(st.integers(1, len(chosen)))]
    alike = [each.snapshot for each in snapshots if each.snapshot.startswith(prefix)]
    if len(alike) == 1:
        assert select_snapshot(prefix, snapshots, now=moments[0], zone=UTC) == chosen
    else:
        with pytest.raises(SnapshotNotFound, match=f"{len(alike)} snapshots begin"):
            select_snapshot(prefix, snapshots, now=moments[0], zone=UTC)


@given(text=st.text(max_size=30), moments=st.lists(NEAR, max_size=3), zone=ZONES)
def test_whatever_a_person_types_is_a_snapshot_or_a_clear_refusal(text: str, moments: list[datetime], zone: timezone) -> None:
    snapshots = as_snapshots(moments)
    with contextlib.suppress(SnapshotNotFound):
        found = select_snapshot(text, snapshots, now=datetime(2026, 11, 22, tzinfo=UTC), zone=zone)
        assert found in {each.snapshot for each in snapshots}


def as_snapshots(moments: list[datetime]) -> list[SnapshotTime]:
    ids: list[SnapshotId] = []
    for number, moment in enumerate(moments):
        ids.append(new_snapshot_id(moment, newest=ids[-1] if ids else None, randomness=number * 0x11111111))
    return [SnapshotTime(each, moment) for each, moment in zip(ids, moments, strict=True)]
