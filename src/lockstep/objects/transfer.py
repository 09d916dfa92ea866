"""Many objects at once: worker threads that share one iterator, with a cap on the bytes in flight.

Threads, because a blocking GET of obstore costs half the CPU of an awaited one (docs/adr/0001-threads-not-asyncio.md), and because
hashing and writing files release the interpreter by themselves.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

from lockstep.errors import StoreBusy, StoreUnreachable
from lockstep.model.pacing import Pace, PaceLimits, decide_pace
from lockstep.objects.limits import LANE

LOOK_SECONDS = 1.0
"""How long a rate is measured before the pace is decided anew."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """What a transfer may use. All the memory of the objects themselves is in `bytes_in_flight`."""

    threads: int | None = None
    """Objects in flight; None: found out by itself, within `pace`."""
    pace: PaceLimits = field(default_factory=PaceLimits)
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
            self.give_back(count)

    def try_take(self, count: int) -> bool:
        """Take bytes if they are there now; whoever took them gives them back."""
        with self._changed:
            if self._used and self._used + count > self._limit:
                return False
            self._used += count
            return True

    def give_back(self, count: int) -> None:
        """Let others have bytes that were taken."""
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


class Pacer:
    """How many workers may be at work; looked at about once a second, and told by anybody when a store is busy."""

    def __init__(self, limits: TransferLimits) -> None:
        fixed = limits.threads
        self._is_fixed = fixed is not None
        self._limits = limits.pace if fixed is None else replace(limits.pace, first=fixed, most=fixed, least=min(fixed, limits.pace.least))
        self._pace = Pace(self._limits.first)
        self._busy = threading.Event()
        self._looked, self._done = time.monotonic(), 0

    @property
    def width(self) -> int:
        """How many workers may be at work now, each with one object."""
        return self._pace.width

    @property
    def lane_width(self) -> int:
        """How many small objects may be in flight now where none of them costs a thread; a fixed number holds here too."""
        return self.width if self._is_fixed else min(LANE.most, LANE.for_a_worker * self.width)

    def slow_down(self) -> None:
        """A store asked for fewer requests."""
        self._busy.set()

    def note(self, error: StoreUnreachable) -> None:
        """A request failed: so much the slower, when a store asked for that."""
        if isinstance(error, StoreBusy):
            self.slow_down()

    def count(self, done: int) -> None:
        """So much more is done. Only the consumer of the results calls this."""
        self._done += done
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            rate, busy = self._done / (now - self._looked), self._busy.is_set()
            self._busy.clear()
            self._looked, self._done = now, 0
            self._pace = decide_pace(self._pace, rate=rate, busy=busy, limits=self._limits)


def in_parallel(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    *,
    threads: int | Pacer,
    stop: Stop,
    every_seconds: float = 0.2,
    beside: Callable[[], list[Result]] = list,
) -> Iterator[list[Result]]:
    """Apply `work` to every item in threads; yield what is done, in no order, in a list every `every_seconds` (may be empty).

    `beside` gives the results of whoever works beside the threads on the same items.
    `threads` is their number, or a pacer that finds it. `items` is advanced by one thread at a time and never ahead of the work.
    The first error of any worker ends all and is raised here;
    when the consumer stops early, the workers end after the object in hand.
    """
    pacer = threads if isinstance(threads, Pacer) else Pacer(TransferLimits(threads=threads))
    crew = _Crew(items, work, pacer, stop)
    try:
        while crew.is_at_work():
            crew.wait(every_seconds)
            results = _drain(crew.done) + beside()
            pacer.count(len(results))
            yield results
            if crew.failed:
                raise crew.failed[0]
    finally:
        crew.over.set()
    if crew.failed:
        raise crew.failed[0]
    yield _drain(crew.done) + beside()


class _Crew(Generic[Item, Result]):
    """Workers, as many as the pacer lets; more are hired when it lets more, and those above its number pause."""

    def __init__(self, items: Iterable[Item], work: Callable[[Item], Result], pacer: Pacer, stop: Stop) -> None:
        self.done: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self.failed: list[BaseException] = []
        self.over = threading.Event()
        self._items, self._work, self._pacer, self._stop = _Shared(items), work, pacer, stop
        self._exhausted, self._ended = threading.Event(), threading.Event()
        self._workers: list[threading.Thread] = []
        self._hire()

    def is_at_work(self) -> bool:
        """True while a worker has something in hand or to take."""
        self._workers = [each for each in self._workers if each.is_alive()]
        if not self._exhausted.is_set():
            self._hire()
        return bool(self._workers) and not self.failed

    def wait(self, seconds: float) -> None:
        """Wait until a worker has ended, at the longest for so long."""
        self._ended.wait(seconds)
        self._ended.clear()

    def _hire(self) -> None:
        while len(self._workers) < self._pacer.width and not (self._exhausted.is_set() or self.over.is_set() or self._stop.is_set()):
            worker = threading.Thread(target=self._run, args=(len(self._workers),), name="transfer", daemon=True)
            self._workers.append(worker)
            worker.start()

    def _run(self, number: int) -> None:
        try:
            while not (self.over.is_set() or self._stop.is_set()):
                if number >= self._pacer.width:
                    return
                item = self._items.take()
                if item is None:
                    self._exhausted.set()
                    return
                self.done.put(self._work(item))
        except BaseException as error:  # noqa: BLE001 - carried to the thread that consumes
            self.failed.append(error)
            self.over.set()
        finally:
            self._ended.set()


def _drain(results: queue.SimpleQueue[Result]) -> list[Result]:
    found: list[Result] = []
    while True:
        try:
            found.append(results.get_nowait())
        except queue.Empty:
            return found
