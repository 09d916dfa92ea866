from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from lockstep.errors import RepositoryLocked, StoreUnreachable
from lockstep.model.objects import ObjectAttributes
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryStore
from lockstep.progress import SILENT, Event
from lockstep.repository.locks import FILE, LEASE, LeaseTimes, writer_lock

TIMES = LeaseTimes(beat=0.05, dead_after=0.4, settle=0.02, look=0.03)
"""As the real ones, in hundredths."""

HOLD = """
import sys, time
from pathlib import Path
from lockstep.objects.local import LocalStore
from lockstep.repository.locks import writer_lock
with writer_lock(LocalStore(Path(sys.argv[1])), "backup", listener=lambda _: None):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of a directory."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            out: IO[str] | None = process.stdout
            assert out is not None
            assert out.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_writer_in_another_process_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        with pytest.raises(RepositoryLocked, match=rf"locked by a running backup \(process {holder.pid} on ") as caught, hold(tmp_path):
            pass
        assert caught.value.hint
        assert (tmp_path / FILE).exists()  # refused, not taken away


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_killed_process_is_taken_over_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with another_process(tmp_path) as holder:
        holder.send_signal(number)
        holder.wait()
        started = time.monotonic()
        with hold(tmp_path):
            assert time.monotonic() - started < 1


def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(RepositoryLocked), hold(tmp_path):
        pass


def test_a_lock_that_was_given_back_leaves_nothing_behind(tmp_path: Path) -> None:
    with hold(tmp_path):
        assert json.loads((tmp_path / FILE).read_text())["operation"] == "backup"
    assert not (tmp_path / FILE).exists()
    with hold(tmp_path):
        pass


def test_an_error_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path):
        _ = 1 / 0
    with hold(tmp_path):
        pass


def test_an_old_lock_file_of_nobody_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / FILE).write_text("not even JSON")
    with hold(tmp_path) as lock:
        lock.check()


def test_of_many_writers_at_once_one_works_at_a_time_and_each_gets_its_turn(tmp_path: Path) -> None:
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(20):
            while True:
                try:
                    with hold(tmp_path):
                        inside += 1
                        most = max(most, inside)
                        time.sleep(0.0005)
                        inside -= 1
                    break
                except RepositoryLocked:
                    time.sleep(0.0003)
            done += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (most, done) == (1, 80)


def hold(root: Path) -> Any:
    return writer_lock(LocalStore(root), "backup", listener=SILENT)


def lease(store: MemoryStore, listener: Any = SILENT) -> Any:
    return writer_lock(store, "backup", listener=listener, times=TIMES)


def of_a_dead_holder(store: MemoryStore, **fields: object) -> None:
    """What a holder leaves that was killed: a lease that nobody renews."""
    holder = {
        "operation": "backup",
        "host": "elsewhere",
        "boot": "another machine",
        "pid": 1,
        "since": "2026-11-22T12:40:00+00:00",
        "token": "t",
        "beat": 3,
    }
    store.write(LEASE, json.dumps({**holder, **fields}).encode())


def keys(store: MemoryStore) -> list[str]:
    return [info.key for page in store.list() for info in page]


def test_a_lease_is_taken_and_given_back() -> None:
    store = MemoryStore()
    with lease(store) as lock:
        lock.check()
        assert json.loads(store.read(LEASE).bytes())["pid"] == os.getpid()
    assert keys(store) == []


def test_a_lease_is_renewed_while_it_is_held() -> None:
    store = MemoryStore()
    with lease(store):
        first = store.read(LEASE).bytes()
        time.sleep(4 * TIMES.beat)
        assert store.read(LEASE).bytes() != first
    time.sleep(3 * TIMES.beat)
    assert keys(store) == []  # nobody renews it any more


def test_a_living_holder_of_a_lease_is_not_disturbed() -> None:
    store = MemoryStore()
    with lease(store) as first:
        started = time.monotonic()
        with pytest.raises(RepositoryLocked, match=f"process {os.getpid()}"), lease(store):
            pass
        assert time.monotonic() - started < TIMES.dead_after  # its beat is enough, nobody waits for its death
        first.check()


def test_a_lease_that_stands_still_is_taken_over_and_that_is_told() -> None:
    store, heard = MemoryStore(), list[Event]()
    of_a_dead_holder(store)
    started = time.monotonic()
    with lease(store, heard.append) as lock:
        assert time.monotonic() - started >= TIMES.dead_after
        lock.check()
    assert any("dead" in str(event) for event in heard)
    assert keys(store) == []


def test_a_lease_whose_holder_died_on_this_machine_is_taken_over_at_once() -> None:
    store = MemoryStore()
    with lease(store):
        boot = json.loads(store.read(LEASE).bytes())["boot"]
    if boot is None:
        return  # a system that does not tell its starts apart: the long way is the only one
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    of_a_dead_holder(store, boot=boot, pid=gone.pid)
    started = time.monotonic()
    with lease(store):
        assert time.monotonic() - started < TIMES.dead_after


def test_a_process_number_of_another_machine_proves_nothing() -> None:
    store = MemoryStore()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    of_a_dead_holder(store, pid=gone.pid)
    started = time.monotonic()
    with lease(store):
        assert time.monotonic() - started >= TIMES.dead_after


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[]", b'{"token": 5}', b"[" * 200_000], ids=range(5))
def test_a_damaged_lease_is_taken_over_in_the_end(content: bytes) -> None:
    store = MemoryStore()
    store.write(LEASE, content)
    with lease(store) as lock:
        lock.check()
    assert keys(store) == []


def test_a_holder_that_lost_its_lease_notices_before_anything_counts_and_leaves_the_other_one_alone() -> None:
    store = MemoryStore()
    with lease(store) as lock:
        of_another = json.dumps({"operation": "backup", "token": "other", "host": "h", "pid": 1, "since": "now"}).encode()
        store.write(LEASE, of_another, overwrite=True)
        with pytest.raises(RepositoryLocked, match="process 1 on h"):
            lock.check()
        time.sleep(3 * TIMES.beat)
        assert store.read(LEASE).bytes() == of_another  # not beaten back
    assert store.read(LEASE).bytes() == of_another  # not given back for it


class Suspended(MemoryStore):
    """A store in front of which the holder of a lease is suspended once, between finding it its own and renewing it."""

    def __init__(self) -> None:
        super().__init__()
        self.suspend = threading.Event()
        self.meanwhile = threading.Event()

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        if key == LEASE and b'"beat": 0' not in data and self.suspend.is_set():
            self.suspend.clear()
            self.meanwhile.wait()
        return super().write(key, data, attributes=attributes, overwrite=overwrite)


def test_who_is_suspended_while_renewing_a_lease_and_beats_a_new_holder_back_has_lost_it_and_so_has_the_other() -> None:
    store = Suspended()
    with lease(store) as first:
        store.suspend.set()
        with lease(store) as second:
            store.meanwhile.set()
            time.sleep(3 * TIMES.beat)
            for each in (first, second):
                with pytest.raises(RepositoryLocked):
                    each.check()


@pytest.mark.parametrize(
    ("unseen", "asked", "lost"), [(39.0, 30.0, False), (41.0, 0.4, False), (41.0, 0.6, True), (500.0, 0.1, False), (500.0, 400.0, True)]
)
def test_a_slow_store_is_no_reason_to_give_a_lease_up_and_a_long_sleep_while_renewing_it_is(
    unseen: float, asked: float, *, lost: bool
) -> None:
    assert LeaseTimes().may_be_lost(unseen=unseen, asked=asked) is lost


def test_a_lease_that_vanished_is_lost_too() -> None:
    store = MemoryStore()
    with lease(store) as lock:
        store.delete([LEASE])
        with pytest.raises(RepositoryLocked):
            lock.check()


def test_of_two_that_take_over_a_dead_lease_at_once_one_gets_it() -> None:
    store = MemoryStore()
    of_a_dead_holder(store)
    outcomes: list[str] = []
    overlap = threading.Semaphore(1)

    def work() -> None:
        try:
            with lease(store):
                outcomes.append("held" if overlap.acquire(blocking=False) else "both")
                time.sleep(5 * TIMES.beat)
                overlap.release()
        except RepositoryLocked:
            outcomes.append("refused")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert "both" not in outcomes
    assert outcomes.count("held") >= 1


class _Flaky(MemoryStore):
    failing = False

    def write(self, key: str, data: bytes, **options: Any) -> str | None:
        if self.failing:
            raise StoreUnreachable("no answer", hint="Wait.")
        return super().write(key, data, **options)


def test_a_beat_that_is_missed_is_made_up_for() -> None:
    store = _Flaky()
    with lease(store) as lock:
        store.failing = True
        time.sleep(3 * TIMES.beat)
        store.failing = False
        before = store.read(LEASE).bytes()
        time.sleep(3 * TIMES.beat)
        assert store.read(LEASE).bytes() != before
        lock.check()
