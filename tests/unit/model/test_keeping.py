from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.model.keeping import SHARES, Keeping, LockState, decide_due, new_state

START = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
KEEPING = Keeping(lock_for=30 * DAY)


def test_a_lock_reaches_further_than_it_was_asked_for() -> None:
    assert KEEPING.locked_until(START) == START + 45 * DAY


def test_where_nothing_is_locked_nothing_is_due() -> None:
    assert decide_due(LockState({}), keeping=Keeping(), now=START) == ()


def test_of_what_is_not_known_all_is_due() -> None:
    assert set(decide_due(LockState({}), keeping=KEEPING, now=START)) == set(SHARES)
    some = LockState(dict.fromkeys(SHARES[:7], START + 45 * DAY))
    assert set(decide_due(some, keeping=KEEPING, now=START)) == set(SHARES[7:])


def test_right_after_all_was_locked_nothing_is_due() -> None:
    assert decide_due(new_state(KEEPING.locked_until(START)), keeping=KEEPING, now=START) == ()


def test_what_has_less_left_than_was_asked_for_is_due_first() -> None:
    state = new_state(START + 45 * DAY).extended(["c7"], START + 29 * DAY).extended(["03"], START + 28 * DAY)
    assert decide_due(state, keeping=KEEPING, now=START) == ("03", "c7")


@pytest.mark.parametrize("every", [timedelta(hours=1), timedelta(hours=6), DAY, 7 * DAY])
def test_every_backup_has_its_part_to_do_and_nothing_is_ever_locked_for_less(every: timedelta) -> None:
    now, state, done = START, new_state(KEEPING.locked_until(START)), []
    while now < START + 90 * DAY:
        now += every
        due = decide_due(state, keeping=KEEPING, now=now)
        state = state.extended(due, KEEPING.locked_until(now))
        done.append(len(due))
        assert min(state.until.values()) >= now + 30 * DAY
    fair = len(SHARES) * (every / (15 * DAY))
    assert max(done) <= fair + 1  # also after the first backup, which locked all at once
    assert sum(done) == pytest.approx(6 * len(SHARES), rel=0.05)  # each share once in fifteen days


def test_where_backups_are_rarer_than_the_slack_all_is_due_each_time() -> None:
    state = new_state(KEEPING.locked_until(START))
    assert set(decide_due(state, keeping=KEEPING, now=START + 31 * DAY)) == set(SHARES)


def test_a_longer_period_makes_all_due_and_a_shorter_one_nothing() -> None:
    state = new_state(KEEPING.locked_until(START))
    assert set(decide_due(state, keeping=Keeping(lock_for=60 * DAY), now=START + DAY)) == set(SHARES)
    assert decide_due(state, keeping=Keeping(lock_for=7 * DAY), now=START + DAY) == ()


def test_what_is_written_with_a_shorter_lock_counts() -> None:
    state = new_state(START + 45 * DAY).extended(["00"], START + DAY)
    assert set(state.at_most(START + 9 * DAY).until.values()) == {START + DAY, START + 9 * DAY}
    assert state.at_most(START + 50 * DAY) == state
