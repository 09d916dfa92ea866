from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from lockstep.errors import StoreUnreachable
from lockstep.model.objects import ObjectInfo
from lockstep.objects.memory import MemoryStore
from lockstep.objects.ranges import KEYS_A_RANGE, MOST_RANGES, KeyRange, list_ranges, plan_ranges
from lockstep.objects.retry import NO_RETRY, Backoff, RetryPolicy

QUICK = RetryPolicy(unreachable=Backoff(4, 0, 1, 0), busy=Backoff(4, 0, 1, 0))


@pytest.mark.parametrize("expected", [0, 1, KEYS_A_RANGE, 10 * KEYS_A_RANGE, 10**9])
@pytest.mark.parametrize("sample", [[], ["a"], ["a"] * 50, [f"Ελλάδα/{n:04}" for n in range(500)]])
def test_ranges_cover_every_key_once(sample: list[str], expected: int) -> None:
    ranges = plan_ranges(sample, expected=expected)
    assert (ranges[0].after, ranges[-1].until) == (None, None)
    assert all(one.until == other.after is not None for one, other in pairwise(ranges))
    assert all(one.until < other.until for one, other in pairwise(ranges[:-1]) if one.until and other.until)
    assert len(ranges) <= max(1, min(MOST_RANGES, expected // KEYS_A_RANGE))


def test_ranges_are_even_when_the_sample_is_like_the_keys() -> None:
    keys = [f"{organization}/{number:06}" for organization in ("A", "Ü", "株") for number in range(4000)]
    ranges = plan_ranges(keys[::7], expected=8 * KEYS_A_RANGE)
    held = [sum((r.after is None or key > r.after) and (r.until is None or key <= r.until) for key in keys) for r in ranges]
    assert sum(held) == len(keys)
    assert max(held) < 1.2 * len(keys) / 8


def test_a_page_that_fails_is_asked_for_again_behind_the_last_key() -> None:
    store = FailingStore(failures=3)
    found: list[str] = []
    ranges = [KeyRange(None, "k3"), KeyRange("k3", None)]
    undisturbed = list_ranges(
        store, ranges, take=lambda page: found.extend(each.key for each in page), threads=1, stop=threading.Event(), policy=QUICK
    )
    assert not undisturbed
    assert found == [f"k{n}" for n in range(8)]
    assert store.requests.counts().retried == 3


def test_a_store_that_keeps_failing_ends_the_listing_with_its_error() -> None:
    with pytest.raises(StoreUnreachable):
        list_ranges(FailingStore(failures=99), [KeyRange()], take=lambda _: None, threads=2, stop=threading.Event(), policy=NO_RETRY)


def test_a_listing_ends_early_when_it_is_stopped() -> None:
    stop, pages = threading.Event(), []

    def take(page: list[ObjectInfo]) -> None:
        pages.append(page)
        stop.set()

    list_ranges(FailingStore(failures=0), [KeyRange()], take=take, threads=1, stop=stop)
    assert len(pages) == 1


class FailingStore(MemoryStore):
    """Lists eight objects, one a page, and fails before the second page of a listing as often as it is told to."""

    def __init__(self, *, failures: int) -> None:
        super().__init__()
        self._failures = failures
        for number in range(8):
            self.write(f"k{number}", b"")

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        for number, each in enumerate(each for page in super().list(prefix, after=after, until=until) for each in page):
            if number == 1 and self._failures:
                self._failures -= 1
                raise StoreUnreachable("it broke off", hint="Wait.")
            yield [each]
