"""A whole listing, begun again behind the last key whenever the store fails in the middle."""

from __future__ import annotations

from collections.abc import Iterator

from lockstep.errors import LockstepError
from lockstep.model.objects import ObjectInfo
from lockstep.objects.retry import PATIENT, RetryPolicy, Stop, retrying
from lockstep.objects.store import ObjectStore


def pages(store: ObjectStore, prefix: str = "", *, policy: RetryPolicy = PATIENT, stop: Stop | None = None) -> Iterator[list[ObjectInfo]]:
    """The pages of `store.list(prefix)`, with the patience of `policy` for each page."""
    last: str | None = None
    listing = store.list(prefix)

    def next_page() -> list[ObjectInfo] | None:
        nonlocal listing
        try:
            return next(listing, None)
        except LockstepError:
            # A generator that raised is over: asked again it would say that the listing had come to its end.
            listing = store.list(prefix, after=last)
            raise

    while (page := retrying(next_page, policy=policy, on_retry=lambda *_: store.requests.add("retried"), stop=stop)) is not None:
        if page:
            last = page[-1].key
            yield page
