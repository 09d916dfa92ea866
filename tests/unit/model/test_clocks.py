from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.model.checkup import Verdict
from lockstep.model.clocks import decide_skew, measured_skew

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("shown", "step", "seconds"),
    [
        (0.1, 0, 0),  # between question and answer
        (0, 0, 0),
        (0.2, 0, 0),
        (60.2, 0, 60),  # ahead, whatever the way took
        (-60, 0, -60),
        (-0.9, 1, 0),  # a date without its fraction may be as old as that
        (-61, 1, -60),
        (61, 1, 60.8),
    ],
)
def test_only_what_the_way_and_the_resolution_cannot_explain_is_a_difference(shown: float, step: float, seconds: float) -> None:
    found = measured_skew(after(shown), asked=NOON, answered=after(0.2), resolution=timedelta(seconds=step))
    assert found == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds", "signs_requests", "verdict"),
    [
        (0, True, "ok"),
        (5, True, "ok"),
        (-5.1, True, "warning"),
        (900, True, "warning"),
        (901, True, "failed"),
        (-901, True, "failed"),
        (90_000, False, "warning"),
    ],
)
def test_a_clock_is_a_failure_only_where_requests_are_refused_for_it(seconds: float, *, signs_requests: bool, verdict: Verdict) -> None:
    assert decide_skew(seconds, signs_requests=signs_requests).verdict == verdict


def test_a_difference_has_a_direction() -> None:
    assert decide_skew(61, signs_requests=True).detail == "61 s ahead of this machine's clock"
    assert decide_skew(-61, signs_requests=True).detail == "61 s behind this machine's clock"
