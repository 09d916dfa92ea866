from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from lockstep.errors import StoreUnreachable
from lockstep.model.pacing import PaceLimits
from lockstep.objects.limits import LANE
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits, in_parallel

QUICK = 0.01


def run(items: Iterable[int], work: object = None, *, threads: int | Pacer = 4, stop: Stop | None = None) -> list[int]:
    worked = work if callable(work) else lambda item: item
    return [each for batch in in_parallel(items, worked, threads=threads, stop=stop or Stop(), every_seconds=QUICK) for each in batch]


def no_worker_is_left() -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not [each for each in threading.enumerate() if each.name.startswith("transfer")]:
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("threads", [1, 2, 16, 50])
@pytest.mark.parametrize("count", [0, 1, 15, 1000])
def test_every_item_is_worked_on_exactly_once(count: int, threads: int) -> None:
    assert sorted(run(range(count), threads=threads)) == list(range(count))


def test_results_come_when_they_are_done_and_not_in_the_order_of_the_items() -> None:
    slow = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            slow.wait(5)
        if item == 9:
            slow.set()
        return item

    results = run(range(10), work)
    assert sorted(results) == list(range(10))
    assert results[0] != 0


def test_items_are_worked_on_side_by_side() -> None:
    meeting = threading.Barrier(4, timeout=5)
    assert len(run(range(4), lambda item: (meeting.wait(), item)[1], threads=4)) == 4


def test_the_iterator_is_advanced_by_one_thread_at_a_time() -> None:
    busy = threading.Lock()

    def items() -> Iterator[int]:
        for number in range(200):
            assert busy.acquire(blocking=False)
            time.sleep(0.0001)
            busy.release()
            yield number

    assert sorted(run(items(), threads=8)) == list(range(200))


def test_the_iterator_is_never_far_ahead_of_the_work() -> None:
    taken = done = 0
    furthest = 0

    def items() -> Iterator[int]:
        nonlocal taken, furthest
        for number in range(300):
            taken += 1
            furthest = max(furthest, taken - done)
            yield number

    def work(item: int) -> int:
        nonlocal done
        time.sleep(0.0002)
        done += 1
        return item

    run(items(), work, threads=4)
    assert furthest <= 8  # one in the hand of each worker; `done` is counted without a lock


def test_the_first_error_of_a_worker_is_raised_and_ends_the_others() -> None:
    worked = []

    def work(item: int) -> int:
        worked.append(item)
        if item == 20:
            raise StoreUnreachable("the store is gone", hint="Look.")
        time.sleep(0.001)
        return item

    with pytest.raises(StoreUnreachable, match="the store is gone"):
        run(range(100_000), work)
    assert no_worker_is_left()
    assert len(worked) < 10_000


def test_an_error_of_the_items_themselves_is_raised() -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise StoreUnreachable("the listing broke", hint="Look.")

    with pytest.raises(StoreUnreachable, match="the listing broke"):
        run(items())
    assert no_worker_is_left()


def test_what_was_done_before_an_error_is_told_first() -> None:
    got: list[int] = []
    finished = threading.Event()

    def work(item: int) -> int:
        if item == 5:
            finished.wait(5)
            raise StoreUnreachable("the store is gone", hint="Look.")
        return item

    def consume() -> None:
        for batch in in_parallel(range(6), work, threads=2, stop=Stop(), every_seconds=QUICK):
            got.extend(batch)
            if len(got) == 5:
                finished.set()

    with pytest.raises(StoreUnreachable):
        consume()
    assert sorted(got) == [0, 1, 2, 3, 4]


def test_a_stop_ends_the_work_early_and_is_no_error() -> None:
    stop = Stop()

    def work(item: int) -> int:
        if item == 20:
            stop.set()
        time.sleep(0.0005)
        return item

    results = run(range(100_000), work, stop=stop)
    assert set(range(15)) <= set(results)
    assert len(results) < 1000
    assert no_worker_is_left()


def test_nothing_is_begun_after_a_stop() -> None:
    stop = Stop()
    stop.set()
    assert run(range(10), stop=stop) == []


def test_a_consumer_that_stops_early_ends_the_workers() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(10_000_000):
            taken.append(number)
            yield number

    def work(item: int) -> int:
        time.sleep(0.001)
        return item

    for batch in in_parallel(items(), work, threads=4, stop=Stop(), every_seconds=QUICK):
        if batch:
            break
    assert no_worker_is_left()
    assert len(taken) < 10_000


def test_no_worker_is_left_when_all_is_done() -> None:
    run(range(100))
    assert no_worker_is_left()


def test_a_slow_last_item_is_waited_for() -> None:
    def work(item: int) -> int:
        if item == 0:
            time.sleep(0.2)
        return item

    assert sorted(run(range(50), work, threads=3)) == list(range(50))


class _At(Pacer):
    """A pacer whose width the test sets."""

    at = 2

    @property
    def width(self) -> int:
        return self.at


def test_the_number_of_workers_follows_the_pacer_both_ways_and_no_item_is_lost() -> None:
    pacer, lock = _At(TransferLimits()), threading.Lock()
    inside, seen = 0, dict[int, int]()

    def work(item: int) -> int:
        nonlocal inside
        with lock:
            inside += 1
            seen[item] = inside
        time.sleep(0.002)
        with lock:
            inside -= 1
            if item == 100:
                pacer.at = 8
            if item == 600:
                pacer.at = 1
        return item

    assert sorted(run(range(900), work, threads=pacer)) == list(range(900))
    assert max(count for item, count in seen.items() if item < 100) <= 2
    assert 2 < max(count for item, count in seen.items() if 200 < item < 600) <= 8
    assert max(count for item, count in seen.items() if item > 700) == 1


def test_a_number_of_workers_that_was_asked_for_is_kept() -> None:
    pacer = Pacer(TransferLimits(threads=5))
    for _ in range(3):
        pacer._looked -= 10
        pacer.count(1000)
    assert pacer.width == pacer.lane_width == 5


def test_what_costs_no_thread_may_be_more_but_never_more_than_its_most() -> None:
    assert Pacer(TransferLimits(pace=PaceLimits(first=16))).lane_width == 16 * LANE.for_a_worker
    assert Pacer(TransferLimits(pace=PaceLimits(first=64))).lane_width == LANE.most


@pytest.mark.parametrize("threads", [None, 16])
def test_a_store_that_asks_for_fewer_requests_gets_fewer(threads: int | None) -> None:
    pacer = Pacer(TransferLimits(threads=threads, pace=PaceLimits(first=16)))
    pacer.slow_down()
    pacer._looked -= 10
    pacer.count(1)
    assert pacer.width == 8


def test_a_budget_lets_through_what_fits() -> None:
    budget, inside, most = ByteBudget(100), 0, 0
    lock = threading.Lock()

    def work(count: int) -> int:
        nonlocal inside, most
        with budget.take(count):
            with lock:
                inside += count
                most = max(most, inside)
            time.sleep(0.0005)
            with lock:
                inside -= count
        return count

    counts = [40, 1, 60, 99, 100, 30] * 20
    assert sorted(run(counts, work, threads=8)) == sorted(counts)
    assert most <= 100


def test_what_is_larger_than_the_budget_is_let_through_alone() -> None:
    budget, order = ByteBudget(10), list[str]()
    entered = threading.Event()

    def small() -> None:
        entered.wait(5)
        with budget.take(1):
            order.append("small")

    other = threading.Thread(target=small)
    other.start()
    with budget.take(1_000_000):
        entered.set()
        time.sleep(0.05)
        order.append("large")
    other.join(5)
    assert order == ["large", "small"]


def test_a_budget_is_given_back_after_an_error() -> None:
    budget = ByteBudget(10)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), budget.take(10):
            _ = 1 / 0
    with budget.take(10):
        pass
