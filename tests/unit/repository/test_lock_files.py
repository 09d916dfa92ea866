from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lockstep.errors import RepositoryLocked
from lockstep.objects.memory import MemoryStore
from lockstep.operations.unlock import show_locks, unlock
from lockstep.progress import SILENT, Event, Note
from lockstep.repository.locks import FILE, LEASE, LeaseTimes, WriterLock, holder_of_this_process, writer_lock
from lockstep.repository.readers import GATE, READER, reading
from lockstep.repository.repository import Repository

TIMES = LeaseTimes(beat=0.05, dead_after=0.4, settle=0.02, look=0.03)


@contextmanager
def held(repository: Repository) -> Iterator[WriterLock]:
    with writer_lock(repository.store, "backup", listener=SILENT, times=TIMES) as lock:
        yield lock


def left(repository: Repository, **changes: Any) -> str:
    """A lock of a writer on another machine that is gone; where it lies."""
    path = FILE if repository.store.local_file(FILE) else LEASE
    holder = {**holder_of_this_process("backup"), "host": "db9", "boot": "another", **changes}
    repository.store.write(path, json.dumps(holder).encode())
    return path


def test_where_nobody_holds_a_lock_there_is_nothing_to_remove(repository: Repository) -> None:
    assert unlock(repository.store, times=TIMES).locks == ()


def test_a_living_writer_is_shown_and_keeps_its_lock(repository: Repository) -> None:
    with held(repository) as lock:
        [found] = show_locks(repository.store, times=TIMES)
        assert (found.kind, found.operation, found.lives) == ("writer", "backup", True)
        with pytest.raises(RepositoryLocked, match=r"by a running backup \(process \d+ on ") as caught:
            unlock(repository.store, times=TIMES)
        assert "unlock --force" in str(caught.value.hint)
        lock.check()


def test_a_living_reader_keeps_its_note(repository: Repository) -> None:
    with reading(repository.store, "verify", listener=SILENT, times=TIMES):
        [found] = show_locks(repository.store, times=TIMES)
        assert (found.kind, found.operation, found.lives) == ("reader", "verify", True)
        with pytest.raises(RepositoryLocked, match="by a running verify"):
            unlock(repository.store, times=TIMES)


def test_who_loses_the_lock_to_force_finds_out_and_does_not_take_the_next_one_away(repository: Repository) -> None:
    with held(repository) as first:
        assert unlock(repository.store, force=True, times=TIMES).removed
        with pytest.raises(RepositoryLocked, match="took the lock of this operation away"):
            first.check()
        second = writer_lock(repository.store, "prune", listener=SILENT, times=TIMES)
        lock = second.__enter__()
    lock.check()
    second.__exit__(None, None, None)


@pytest.mark.parametrize("since", ["2026-11-25T00:00:00+00:00", "2036-01-01T00:00:00+00:00"], ids=["earlier", "years ahead"])
def test_a_dead_writers_lock_goes_whatever_its_clock_said(repository: Repository, since: str) -> None:
    path = left(repository, since=since)
    repository.store.write(GATE, b"not JSON")
    repository.store.write(f"{READER}1.json", b"[]")
    result = unlock(repository.store, times=TIMES)
    assert [(each.kind, each.host, each.since, each.lives) for each in result.locks] == [
        ("writer", "db9", since, False),
        ("gate", None, None, False),
        ("reader", None, None, False),
    ]
    assert [info.key for page in repository.store.list("locks/") for info in page if info.key == path] == []
    assert show_locks(repository.store, times=TIMES) == ()


def test_who_takes_over_says_from_whom(repository: Repository) -> None:
    left(repository)
    heard: list[Event] = []
    with writer_lock(repository.store, "prune", listener=heard.append, times=TIMES):
        pass
    [note] = [event for event in heard if isinstance(event, Note)]
    assert "took over the lock of a dead backup (process " in note.message
    assert " on db9, since " in note.message


def test_of_two_that_take_over_at_once_only_one_goes_on() -> None:
    store = MemoryStore()
    store.write(LEASE, json.dumps({**holder_of_this_process("backup"), "boot": "another"}).encode())
    outcomes: list[str] = []
    ready = threading.Barrier(4)

    def take() -> None:
        ready.wait()
        try:
            with writer_lock(store, "backup", listener=SILENT, times=LeaseTimes(beat=0.05, dead_after=0.3, settle=0.2, look=0.03)) as lock:
                threading.Event().wait(0.5)
                lock.check()
                outcomes.append("held")
        except RepositoryLocked:
            outcomes.append("refused")

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused", "refused", "refused"]
