"""Many objects at once: worker threads that share one iterator, with a cap on the bytes in flight.

Threads, because a blocking GET of obstore costs half the CPU of an awaited one (docs/adr/0001-threads-not-asyncio.md), and because
hashing and writing files release the interpreter by themselves.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """What a transfer may use. All the memory of the objects themselves is in `bytes_in_flight`."""

    threads: int = 16
    """Objects in flight. On two cores with a store beside them 16 were fastest (5.1 s for 20,000 GETs; 8: 7.4 s; 32: 6.7 s)."""
    bytes_in_flight: int = 48 << 20
    whole_up_to: int = 4 << 20
    """Objects up to this size are read at once and written with one call; larger ones stream."""
    chunk: int = 1 << 20
    """The pieces in which larger objects stream; about two of them are in memory for each object."""


Stop: TypeAlias = threading.Event
"""A request to end soon. Workers look at it between objects, and whoever waits, waits on it."""


class ByteBudget:
    """Lets through at most `limit` bytes at once; one object larger than that is let through alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Hold `count` bytes of the budget for the length of the block."""
        count = min(count, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._used + count <= self._limit)
            self._used += count
        try:
            yield
        finally:
            with self._changed:
                self._used -= count
                self._changed.notify_all()


class _Shared(Generic[Item]):
    """One iterator for many threads."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def take(self) -> Item | None:
        with self._lock:
            return next(self._items, None)


def in_parallel(
    items: Iterable[Item], work: Callable[[Item], Result], *, threads: int, stop: Stop, every_seconds: float = 0.2
) -> Iterator[list[Result]]:
    """Apply `work` to every item in `threads` threads; yield what is done, in no order, in a list every `every_seconds` (may be empty).

    `items` is advanced by one thread at a time and never ahead of the work, so it may be endless memory-wise. The first error of any
    worker ends all and is raised here; when the consumer stops early, the workers end after the object in hand.
    """
    shared = _Shared(items)
    done: queue.SimpleQueue[Result] = queue.SimpleQueue()
    failed: list[BaseException] = []
    over = threading.Event()

    def worker() -> None:
        try:
            while not (over.is_set() or stop.is_set()):
                item = shared.take()
                if item is None:
                    return
                done.put(work(item))
        except BaseException as error:  # noqa: BLE001 - carried to the thread that consumes
            failed.append(error)
            over.set()

    workers = [threading.Thread(target=worker, name=f"transfer-{number}", daemon=True) for number in range(threads)]
    for each in workers:
        each.start()
    try:
        while any(each.is_alive() for each in workers):
            workers[0].join(every_seconds) if workers[0].is_alive() else over.wait(every_seconds)
            yield _drain(done)
            if failed:
                break
            workers = [each for each in workers if each.is_alive()] or workers
        yield _drain(done)
    finally:
        over.set()
    if failed:
        raise failed[0]


def _drain(results: queue.SimpleQueue[Result]) -> list[Result]:
    found: list[Result] = []
    while True:
        try:
            found.append(results.get_nowait())
        except queue.Empty:
            return found
