"""Tells a listener of every request that failed and was sent again: each counts in one line, and many share a line."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from lockstep.errors import FaultKind
from lockstep.objects.store import ObjectStore
from lockstep.progress import Listener, Note

SECONDS_BETWEEN_LINES = 10.0
"""A store that fails every second request must not fill the disk with the news of it."""

WORDS: Mapping[FaultKind, str] = {
    "busy": "asked for fewer requests",
    "failed": "failed",
    "broken_off": "broke off",
    "silent": "stayed silent",
    "unreachable": "could not be connected to",
    "wrong_bytes": "gave wrong bytes",
    "not_found": "did not find what was there",
    "credentials": "refused keys that had expired",
    "older_version": "had what was recorded in an older version only",
}
"""What a store did, by the kind of fault."""


@contextmanager
def telling(stores: Iterable[ObjectStore], listener: Listener) -> Iterator[None]:
    """Tell `listener` of the faults of these stores for the length of the block: the first at once, the others summed up."""
    with ExitStack() as stack:
        for requests, url in {store.requests: store.url for store in stores}.items():
            log = FaultLog(url, listener)
            stack.callback(log.close)
            stack.enter_context(requests.heard_by(log))
        yield


class FaultLog:
    """The faults of one store. Called from many threads."""

    def __init__(self, url: str, listener: Listener, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._listener, self._clock = url, listener, clock
        self._lock = threading.Lock()
        self._untold: Counter[FaultKind] = Counter()
        self._told_at: float | None = None

    def __call__(self, fault: FaultKind, message: str) -> None:
        """Take a fault."""
        with self._lock:
            if self._told_at is None:
                self._told_at = self._clock()
                self._listener(Note(f"{message}; trying again", level="warning", fields={"store": self._url, "faults": {fault: 1}}))
                return
            self._untold[fault] += 1
            if self._clock() - self._told_at >= SECONDS_BETWEEN_LINES:
                self._tell()

    def close(self) -> None:
        """Tell what has not been told."""
        with self._lock:
            self._tell()

    def _tell(self) -> None:
        if self._untold:
            counts = dict(self._untold)
            self._listener(
                Note(f"{self._url} {in_words(counts)}; sent again", level="warning", fields={"store": self._url, "faults": counts})
            )
        self._untold.clear()
        self._told_at = self._clock()


def in_words(faults: Mapping[FaultKind, int]) -> str:
    """`failed 12 times, broke off once`: the most frequent first."""
    ordered = sorted(faults.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{WORDS[fault]} {'once' if count == 1 else f'{count} times'}" for fault, count in ordered)


def faults_of(stores: Iterable[ObjectStore]) -> dict[str, int]:
    """The faults of all these stores together, by kind; empty when there were none."""
    total: Counter[str] = Counter()
    for requests in {store.requests for store in stores}:
        total.update(requests.faults())
    return dict(sorted(total.items()))
