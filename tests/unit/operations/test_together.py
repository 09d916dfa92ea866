from __future__ import annotations

import threading
import time

import pytest

from lockstep.errors import ClientToolFailed, StoreUnreachable
from lockstep.objects.transfer import Stop
from lockstep.operations.together import Together

DUMP = ClientToolFailed("pg_dump failed", hint="Look.")
STORE = StoreUnreachable("the store is gone", hint="Look.")


def fail(error: BaseException, *, when: Stop | None = None) -> None:
    if when is not None:
        when.wait(5)
    raise error


def test_what_was_started_runs_beside_the_block_and_gives_its_result() -> None:
    meeting = threading.Barrier(3, timeout=5)
    stop = Stop()
    with Together(stop) as work:
        one = work.start(lambda: (meeting.wait(), "one")[1], name="one")
        two = work.start(lambda: (meeting.wait(), 2)[1], name="two")
        meeting.wait()
        assert (one.result(), two.result()) == ("one", 2)
        assert one.result() == "one"
    assert not stop.is_set()


def test_the_block_ends_only_when_everything_has_ended() -> None:
    ended = threading.Event()

    def slowly() -> None:
        time.sleep(0.1)
        ended.set()

    with Together(Stop()) as work:
        work.start(slowly, name="slow")
    assert ended.is_set()


def test_an_error_that_nobody_asked_for_is_raised_at_the_end_of_the_block() -> None:
    with pytest.raises(ClientToolFailed), Together(Stop()) as work:
        work.start(lambda: fail(DUMP), name="dump")


def test_when_one_fails_the_other_is_asked_to_stop_and_waited_for() -> None:
    stop, ended = Stop(), threading.Event()

    def until_stopped() -> None:
        assert stop.wait(5)
        time.sleep(0.05)
        ended.set()

    def run() -> None:
        with Together(stop) as work:
            other = work.start(until_stopped, name="objects")
            dumping = work.start(lambda: fail(DUMP), name="dump")
            dumping.result()
            other.result()

    with pytest.raises(ClientToolFailed):
        run()
    assert ended.is_set()


def test_when_the_block_fails_what_runs_is_asked_to_stop_and_waited_for() -> None:
    stop, ended = Stop(), threading.Event()

    def until_stopped() -> None:
        assert stop.wait(5)
        ended.set()

    def run() -> None:
        with Together(stop) as work:
            work.start(until_stopped, name="objects")
            raise STORE

    with pytest.raises(StoreUnreachable):
        run()
    assert ended.is_set()


def test_what_failed_first_is_raised_and_not_what_followed_from_it() -> None:
    stop = Stop()

    def run() -> None:
        with Together(stop) as work:
            work.start(lambda: fail(DUMP), name="dump")
            copying = work.start(lambda: fail(STORE, when=stop), name="objects")
            copying.result()

    with pytest.raises(ClientToolFailed, match="pg_dump failed"):
        run()


def test_an_error_of_the_block_is_not_hidden_by_what_follows_from_it() -> None:
    stop = Stop()

    def run() -> None:
        with Together(stop) as work:
            work.start(lambda: fail(STORE, when=stop), name="objects")
            raise DUMP

    with pytest.raises(ClientToolFailed):
        run()


def test_ctrl_c_stays_ctrl_c() -> None:
    stop = Stop()

    def run() -> None:
        with Together(stop) as work:
            task = work.start(lambda: fail(DUMP), name="dump")
            task.join(5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert stop.is_set()


def test_what_does_not_listen_is_left_behind_after_a_while() -> None:
    deaf = threading.Event()

    def run() -> None:
        with Together(Stop(), patience_seconds=0.4) as work:
            for _ in range(5):
                work.start(lambda: deaf.wait(5), name="deaf")
            raise DUMP

    started = time.monotonic()
    with pytest.raises(ClientToolFailed):
        run()
    assert time.monotonic() - started < 1.6, "five are given no more time than one"
    deaf.set()


def test_when_one_fails_after_the_block_has_ended_the_other_is_waited_for() -> None:
    stop, ended = Stop(), threading.Event()

    def until_stopped() -> None:
        assert stop.wait(5)
        time.sleep(0.05)
        ended.set()

    def run() -> None:
        with Together(stop) as work:
            work.start(lambda: fail(DUMP), name="dump")
            work.start(until_stopped, name="objects")

    with pytest.raises(ClientToolFailed):
        run()
    assert ended.is_set()
