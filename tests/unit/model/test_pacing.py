from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lockstep.model.pacing import Pace, PaceLimits, decide_pace

LIMITS = PaceLimits(first=16, least=2, most=64, growth=1.5, gain=1.08, rest=3)


def follow(pace: Pace, *rates: float) -> list[int]:
    widths = []
    for rate in rates:
        pace = decide_pace(pace, rate=rate, busy=False, limits=LIMITS)
        widths.append(pace.width)
    return widths


def test_a_wider_step_is_tried_and_kept_while_the_rate_grows() -> None:
    assert follow(Pace(16), 100, 120, 140) == [24, 36, 54]


def test_a_step_that_does_not_help_is_taken_back_and_not_tried_again_at_once() -> None:
    assert follow(Pace(16), 100, 104, 100, 100, 100, 100) == [24, 16, 16, 16, 16, 24]


def test_a_step_never_leads_beyond_the_most() -> None:
    assert follow(Pace(50), 100, 200, 300) == [64, 64, 64]


def test_even_one_worker_finds_a_wider_step() -> None:
    assert follow(Pace(1), 10) == [2]


def test_a_busy_store_is_given_half_and_then_left_in_peace() -> None:
    pace = decide_pace(Pace(16, rate=100), rate=100, busy=True, limits=LIMITS)
    assert pace.width == 8
    assert follow(pace, 100, 100, 100, 100) == [8, 8, 8, 12]


def test_a_busy_store_is_not_given_less_than_the_least() -> None:
    assert decide_pace(Pace(3), rate=1, busy=True, limits=LIMITS).width == 2


def test_a_busy_store_is_never_given_more() -> None:
    assert decide_pace(Pace(1), rate=1, busy=True, limits=LIMITS).width == 1


@given(st.integers(1, 64), st.lists(st.tuples(st.floats(0, 1e9), st.booleans()), max_size=60))
def test_the_number_in_flight_stays_within_its_bounds(first: int, looks: list[tuple[float, bool]]) -> None:
    pace = Pace(first)
    for rate, busy in looks:
        before, pace = pace, decide_pace(pace, rate=rate, busy=busy, limits=LIMITS)
        assert min(first, LIMITS.least) <= pace.width <= LIMITS.most
        assert not busy or pace.width <= before.width
