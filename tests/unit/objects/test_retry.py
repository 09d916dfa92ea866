from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from lockstep.errors import ObjectNotFound, StoreBusy, StoreUnreachable
from lockstep.objects.retry import NO_RETRY, PATIENT, Backoff, retrying

UNREACHABLE = StoreUnreachable("cannot reach http://s3: connection refused", hint="Check it.")
BUSY = StoreBusy("s3://bucket asks for fewer requests", hint="Wait.")


class Failing:
    """Fails with each of the given errors in turn, then returns 7."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


def collecting(seen: list[float]) -> Callable[[float], None]:
    return seen.append


def test_a_call_that_works_is_made_once() -> None:
    call = Failing()
    assert retrying(call) == 7
    assert call.calls == 1


def test_a_failure_that_passes_is_tried_again_after_growing_pauses() -> None:
    pauses: list[float] = []
    told: list[tuple[StoreUnreachable, float]] = []
    call = Failing(UNREACHABLE, BUSY, UNREACHABLE)
    answer = retrying(call, sleep=collecting(pauses), random=lambda: 1.0, on_retry=lambda error, delay: told.append((error, delay)))
    assert answer == 7
    assert pauses == [0.5, 1, 2]
    assert told == [(UNREACHABLE, 0.5), (BUSY, 1), (UNREACHABLE, 2)]


def test_the_last_failure_is_raised() -> None:
    for error, policy in ((UNREACHABLE, PATIENT.unreachable), (BUSY, PATIENT.busy)):
        pauses: list[float] = []
        call = Failing(*[error] * 100)
        with pytest.raises(type(error)):
            retrying(call, sleep=collecting(pauses), random=lambda: 1.0)
        assert call.calls == policy.attempts
        assert sum(pauses) == policy.longest_total_seconds


def test_an_operator_waits_seconds_for_a_wrong_host_and_a_minute_for_a_busy_one() -> None:
    assert PATIENT.unreachable.longest_total_seconds <= 30
    assert 45 <= PATIENT.busy.longest_total_seconds <= 60


def test_jitter_is_full() -> None:
    backoff = Backoff(attempts=5, first_delay_seconds=1, factor=3, longest_delay_seconds=10)
    assert [backoff.delay_seconds(attempt, 1.0) for attempt in (1, 2, 3, 4)] == [1, 3, 9, 10]
    assert backoff.delay_seconds(3, 0.0) == 0
    assert backoff.delay_seconds(3, 0.5) == 4.5


def test_other_failures_pass_at_once() -> None:
    call = Failing(ObjectNotFound("no object", hint="Look."))
    with pytest.raises(ObjectNotFound):
        retrying(call)
    assert call.calls == 1


def test_without_patience_the_first_failure_counts() -> None:
    call = Failing(BUSY)
    with pytest.raises(StoreBusy):
        retrying(call, policy=NO_RETRY)
    assert call.calls == 1


def test_a_stop_wakes_whoever_waits() -> None:
    stop = threading.Event()
    call = Failing(*[UNREACHABLE] * 100)
    threading.Timer(0.05, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(StoreUnreachable):
        retrying(call, stop=stop, random=lambda: 1.0)
    assert time.monotonic() - begun < 0.45
    assert call.calls == 1
