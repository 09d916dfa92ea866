from __future__ import annotations

from collections.abc import Iterator

import pytest

from lockstep.errors import PermissionMissing, StoreUnreachable
from lockstep.model.objects import ObjectInfo
from lockstep.objects.memory import MemoryStore
from lockstep.objects.pages import pages
from lockstep.objects.retry import NO_RETRY, Backoff, RetryPolicy

AT_ONCE = RetryPolicy(unreachable=Backoff(3, 0, 1, 0), busy=Backoff(3, 0, 1, 0))
UNREACHABLE = StoreUnreachable("no answer", hint="Wait.")


class Flaky(MemoryStore):
    """Pages of three keys; `failures` says before which pages (counted over all listings) the store fails, and how."""

    def __init__(self, count: int, failures: dict[int, Exception]) -> None:
        super().__init__()
        self.failures, self.page = failures, 0
        self.asked: list[tuple[str, str | None]] = []
        for number in range(count):
            self.write(f"{number:03}", b"")

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        self.asked.append((prefix, after))
        infos = [info for page in super().list(prefix, after=after, until=until) for info in page]
        for start in range(0, max(len(infos), 1), 3):
            self.page += 1
            if self.page in self.failures:
                raise self.failures[self.page]
            yield infos[start : start + 3]


def keys(store: MemoryStore, prefix: str = "", *, policy: RetryPolicy = AT_ONCE) -> list[str]:
    return [info.key for page in pages(store, prefix, policy=policy) for info in page]


@pytest.mark.parametrize("count", [0, 1, 3, 10])
def test_a_listing_without_failures_is_passed_on(count: int) -> None:
    store = Flaky(count, {})
    assert keys(store) == [f"{number:03}" for number in range(count)]
    assert store.asked == [("", None)]


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_listing_that_fails_is_begun_again_behind_the_last_key_and_nothing_is_lost_or_told_twice(failing: int) -> None:
    store = Flaky(10, {failing: UNREACHABLE})
    assert keys(store) == [f"{number:03}" for number in range(10)]
    assert store.asked == [("", None), ("", None if failing == 1 else f"{3 * (failing - 1) - 1:03}")]
    assert store.requests.counts().retried == 1


def test_a_listing_that_keeps_failing_once_a_page_comes_to_its_end() -> None:
    store = Flaky(10, dict.fromkeys(range(1, 12, 2), UNREACHABLE))
    assert keys(store) == [f"{number:03}" for number in range(10)]


@pytest.mark.parametrize("failing", [1, 3])
def test_a_listing_that_fails_for_good_is_never_taken_for_a_short_one(failing: int) -> None:
    store = Flaky(10, dict.fromkeys(range(failing, 100), UNREACHABLE))
    with pytest.raises(StoreUnreachable):
        keys(store)
    assert len(store.asked) == 3


@pytest.mark.parametrize("error", [UNREACHABLE, PermissionMissing("denied", hint="Ask.")])
def test_an_error_after_which_nothing_is_tried_again_is_raised_at_once(error: Exception) -> None:
    store = Flaky(10, {2: error})
    with pytest.raises(type(error)):
        keys(store, policy=NO_RETRY)


def test_the_prefix_is_kept_when_a_listing_is_begun_again() -> None:
    store = Flaky(10, {2: UNREACHABLE})
    assert keys(store, "00") == [f"{number:03}" for number in range(10)]
    assert store.asked == [("00", None), ("00", "002")]


def test_empty_pages_are_not_passed_on_and_end_nothing() -> None:
    class WithGaps(MemoryStore):
        def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
            assert (prefix, after, until) == ("", None, None)
            yield []
            yield [ObjectInfo("a", 1)]
            yield []
            yield [ObjectInfo("b", 1)]

    assert list(pages(WithGaps(), policy=AT_ONCE)) == [[ObjectInfo("a", 1)], [ObjectInfo("b", 1)]]
