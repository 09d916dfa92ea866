"""A listing in several ranges of keys at once.

Where the ranges are cut is a guess from a sample of keys that are expected to be there; a wrong guess costs time, never an object: the
ranges cover every key there can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lockstep.errors import LockstepError
from lockstep.model.objects import ObjectInfo
from lockstep.objects.retry import PATIENT, RetryPolicy, noting, retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, in_parallel

KEYS_A_RANGE = 50_000
"""What a range holds at least. Its ends cost pages that are half used: one on S3, about seven on SeaweedFS, which walks directories
(measured: 200,000 keys took 200 requests in one range, 259 in 8, 406 in 40)."""

MOST_RANGES = 64
"""Enough for every worker to find another one when its own was short, few enough that their ends do not count."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys greater than `after` and not greater than `until`; None: no bound."""

    after: str | None = None
    until: str | None = None


def plan_ranges(sample: Sequence[str], *, expected: int) -> list[KeyRange]:
    """Ranges that together hold every key once, with about equally many of `expected` keys in each, judged by a sample of them."""
    wanted = max(1, min(MOST_RANGES, expected // KEYS_A_RANGE, len(sample)))
    ordered = sorted(sample)
    cuts = sorted({ordered[len(ordered) * number // wanted] for number in range(1, wanted)})
    return [KeyRange(after, until) for after, until in zip([None, *cuts], [*cuts, None], strict=True)]


def list_ranges(
    store: ObjectStore,
    ranges: Sequence[KeyRange],
    *,
    take: Callable[[list[ObjectInfo]], None],
    threads: int,
    stop: Stop,
    policy: RetryPolicy = PATIENT,
) -> bool:
    """Hand every page of the ranges to `take`, which is called from several threads; True when nothing had to be asked for twice.

    A page that fails is asked for again behind the last key of its range; then an object may come twice from a store that does not list in
    the order of its keys. Raises what the store raises when its patience is at an end;
    ends early, without an error, when `stop` is set.
    """
    retried: list[LockstepError] = []

    def list_one(wanted: KeyRange) -> None:
        for page in _pages(store, wanted, policy=policy, stop=stop, retried=retried):
            take(page)
            if stop.is_set():
                return

    for _ in in_parallel(ranges, list_one, threads=min(threads, len(ranges)), stop=stop):
        pass
    return not retried


def _pages(
    store: ObjectStore, wanted: KeyRange, *, policy: RetryPolicy, stop: Stop, retried: list[LockstepError]
) -> Iterator[list[ObjectInfo]]:
    last = wanted.after
    listing = store.list(after=last, until=wanted.until)

    def next_page() -> list[ObjectInfo] | None:
        nonlocal listing
        try:
            return next(listing, None)
        except LockstepError:
            listing = store.list(after=last, until=wanted.until)  # a generator that raised is over
            raise

    on_retry = noting(store.requests, and_then=retried.append)
    while (page := retrying(next_page, policy=policy, on_retry=on_retry, stop=stop)) is not None:
        if page:
            last = page[-1].key
            yield page
