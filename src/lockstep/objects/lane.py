"""The lane of small objects: many plain requests at once from one thread, beside the workers that take whatever needs care.

Of a small object, switching threads costs more than anything else: 20,000 of 4 KiB took 4.1 s of CPU with obstore in 8 threads, and
1.6 s with libcurl in one (docs/adr/0001-threads-not-asyncio.md). The lane settles nothing that is out of the ordinary: what is not a
whole answer goes to the workers, who ask again with all their patience. A lane that never had an answer, since it trusts other
certificates, say, or goes by another proxy, is left for good at its first failure; so is one whose
objects take long to read or to store (a disk across a network), since workers do many at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from lockstep.errors import LockstepError, StoreUnreachable
from lockstep.objects.curl_requests import CurlRequests
from lockstep.objects.limits import LANE
from lockstep.objects.memory import MemoryBody
from lockstep.objects.plain_requests import PlainRequests, Question
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, in_parallel

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Lane(Generic[Item, Result]):
    """Takes the items in order; `ask` says how an item is asked for (None: with care), `finish` what came of an answer (None: with care).

    Use it as a context: `careful` gives the workers their items, `drain` the results so far. At most `pacer.lane_width` items are
    in flight, each within the budget of bytes.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        ask: Callable[[Item], Question | None],
        finish: Callable[[Item, MemoryBody | LockstepError], Result | None],
        pacer: Pacer,
        budget: ByteBudget,
        stop: Stop,
    ) -> None:
        self._items, self._ask, self._finish = iter(items), ask, finish
        self._pacer, self._budget, self._stop = pacer, budget, stop
        self._done: deque[Result] = deque()
        self._careful: deque[Item] = deque()
        self._changed = threading.Condition()
        self._over, self._ended = threading.Event(), False
        self._answered, self._left, self._mean_seconds = False, False, 0.0
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lane", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        with self._changed:
            self._changed.notify_all()

    def careful(self) -> Iterator[Item]:
        """What needs care, as it comes; ends when there is nothing more. Raises what failed in the lane."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._careful or self._ended or self._over.is_set(), timeout=0.2)
                if self._over.is_set() or self._stop.is_set():
                    return
                if self._failed is not None:
                    raise self._failed
                if not self._careful:
                    if self._ended:
                        return
                    continue
                item = self._careful.popleft()
                self._changed.notify_all()
            yield item

    def drain(self) -> list[Result]:
        """What is done since the last call."""
        return [self._done.popleft() for _ in range(len(self._done))]

    def _run(self) -> None:
        curl = CurlRequests()
        try:
            self._drive(curl)
        except BaseException as error:  # noqa: BLE001 - carried to the workers, who raise it
            self._failed = error
        finally:
            self._budget.give_back(LANE.weight_bytes * curl.in_flight)
            curl.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _drive(self, curl: CurlRequests) -> None:
        more = True
        while not (self._over.is_set() or self._stop.is_set()):
            more = more and self._fill(curl)
            if not curl.in_flight:
                if not more:
                    return
                with self._changed:  # the workers have enough in hand, or the memory is full
                    self._changed.wait(0.05)
            for item, answer in curl.answers(0.1):
                self._budget.give_back(LANE.weight_bytes)
                self._settle(item, answer)

    def _settle(self, item: Item, answer: MemoryBody | LockstepError) -> None:
        if isinstance(answer, StoreUnreachable) and not self._answered:
            self._left = True
            self._to_workers(item)
            return
        self._answered = True
        with self._timed():
            result = self._finish(item, answer)
        if result is None:
            self._to_workers(item)
        else:
            self._done.append(result)

    def _fill(self, curl: CurlRequests) -> bool:
        """Begin what may be begun; False when there is nothing more."""
        while curl.in_flight < self._pacer.lane_width and len(self._careful) < LANE.waiting:
            if not self._budget.try_take(LANE.weight_bytes):
                return True
            item = next(self._items, None)
            question = None
            if item is not None and not self._left:
                with self._timed():
                    question = self._ask(item)
            if question is None:
                self._budget.give_back(LANE.weight_bytes)
            if item is None:
                return False
            if question is None:
                self._to_workers(item)
            else:
                curl.begin(item, question)
        return True

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._mean_seconds += (time.perf_counter() - began - self._mean_seconds) / LANE.mean_of
        self._left = self._left or self._mean_seconds > LANE.slow_seconds

    def _to_workers(self, item: Item) -> None:
        with self._changed:
            self._careful.append(item)
            self._changed.notify()


class Carrier(Protocol[Item_contra, Result_co]):
    """Whoever moves objects both ways: an item at a time with care, or through the lane with `ask` and `settle` (None: with care)."""

    @property
    def plain(self) -> Mapping[str, PlainRequests]:
        """The buckets that the lane reaches, by the names of their stores."""

    @property
    def budget(self) -> ByteBudget:
        """The bytes that may be in flight."""

    @property
    def stop(self) -> Stop:
        """What ends it."""

    def carry(self, item: Item_contra, pacer: Pacer) -> Result_co:
        """Move one object, with all patience."""

    def ask(self, item: Item_contra) -> Question | None:
        """The one request that moves the object, if it can be so."""

    def settle(self, item: Item_contra, answer: MemoryBody | LockstepError, pacer: Pacer) -> Result_co | None:
        """What came of it."""


def carry_all(items: Iterable[Item], carrier: Carrier[Item, Result], pacer: Pacer) -> Iterator[list[Result]]:
    """Move objects, small ones through the lane where it can be taken and the rest by workers; yields what is done every now and then."""

    def with_care(item: Item) -> Result:
        return carrier.carry(item, pacer)

    def settle(item: Item, answer: MemoryBody | LockstepError) -> Result | None:
        return carrier.settle(item, answer, pacer)

    stop = carrier.stop
    if not carrier.plain:
        yield from in_parallel(items, with_care, threads=pacer, stop=stop)
        return
    with Lane(items, ask=carrier.ask, finish=settle, pacer=pacer, budget=carrier.budget, stop=stop) as lane:
        yield from in_parallel(lane.careful(), with_care, threads=pacer, stop=stop, beside=lane.drain)
