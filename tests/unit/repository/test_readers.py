from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lockstep.errors import PermissionMissing, RepositoryLocked
from lockstep.objects.memory import MemoryStore
from lockstep.objects.store import ObjectStore
from lockstep.objects.wrapped import WrappedStore
from lockstep.progress import SILENT
from lockstep.repository.locks import LeaseTimes
from lockstep.repository.readers import GATE, READER, reading, without_readers
from lockstep.repository.repository import Repository

TIMES = LeaseTimes(beat=0.02, dead_after=0.4, settle=0.0, look=0.02)


def notes(store: ObjectStore) -> list[str]:
    return [info.key for page in store.list("locks/") for info in page]


def test_readers_do_not_mind_each_other_and_leave_nothing_behind(repository: Repository) -> None:
    store = repository.store
    with reading(store, "restore", listener=SILENT, times=TIMES), reading(store, "verify", listener=SILENT, times=TIMES):
        assert len([path for path in notes(store) if path.startswith(READER)]) == 2
    assert notes(store) == []
    with without_readers(store, times=TIMES):
        pass
    assert notes(store) == []


def test_while_somebody_reads_nothing_may_be_removed_and_it_is_said_who(repository: Repository) -> None:
    with (
        reading(repository.store, "restore", listener=SILENT, times=TIMES),
        pytest.raises(RepositoryLocked, match="by a running restore"),
        without_readers(repository.store, times=TIMES),
    ):
        raise AssertionError("it went on")
    assert notes(repository.store) == []


def test_who_begins_to_read_while_the_gate_is_shut_waits_until_it_is_open(repository: Repository) -> None:
    began = threading.Event()

    def read() -> None:
        with reading(repository.store, "verify", listener=SILENT, times=LeaseTimes(beat=0.02, dead_after=30, look=0.02)):
            began.set()

    with without_readers(repository.store, times=TIMES):
        reader = threading.Thread(target=read)
        reader.start()
        assert not began.wait(0.3)
    assert began.wait(10)
    reader.join()


def test_a_reader_whose_note_nobody_renews_is_dead() -> None:
    store = MemoryStore()
    store.write(f"{READER}abc.json", b'{"operation": "drill", "pid": 1, "host": "elsewhere", "since": "long ago"}')
    with without_readers(store, times=TIMES):
        assert GATE in notes(store)
    assert notes(store) == []


def test_a_gate_that_a_dead_prune_left_shut_keeps_nobody_off_for_long(repository: Repository) -> None:
    repository.store.write(GATE, b"{}")
    started = time.monotonic()
    with reading(repository.store, "verify", listener=SILENT, times=TIMES):
        assert time.monotonic() - started < 5


@contextmanager
def another_process_reads(root: Path) -> Iterator[subprocess.Popen[str]]:
    program = (
        "import sys; from pathlib import Path; from lockstep.objects.local import LocalStore; from lockstep.progress import SILENT;"
        "from lockstep.repository.readers import reading\n"
        "with reading(LocalStore(Path(sys.argv[1])), 'export', listener=SILENT):\n    print('reads', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reads\n"
        yield process
        process.kill()


@pytest.mark.parametrize("store", ["directory"], indirect=True)
def test_a_killed_reader_on_a_disk_is_known_to_be_dead_at_once(tmp_path: Path, repository: Repository) -> None:
    with another_process_reads(tmp_path / "repository") as process:
        with pytest.raises(RepositoryLocked, match=f"by a running export .process {process.pid} "), without_readers(repository.store):
            pass
        process.kill()
        process.wait()
        with without_readers(repository.store):
            pass
    assert notes(repository.store) == []


class ReadOnly(WrappedStore):
    """Credentials that may read and no more."""

    def write(self, key: str, data: bytes, **_: object) -> str | None:
        raise PermissionMissing(f"{key}: {len(data)} bytes refused", hint="Ask.")


def test_where_nothing_may_be_written_reading_goes_on_without(repository: Repository) -> None:
    if repository.store.local_file("x") is not None:
        locks = repository.store.local_file("locks") or Path()
        shutil.rmtree(locks)
        locks.write_text("in the way")
        store: ObjectStore = repository.store
    else:
        store = ReadOnly(repository.store)
    with reading(store, "restore", listener=SILENT, times=TIMES):
        pass


def test_a_place_that_is_no_repository_is_left_as_it_is(tmp_path: Path) -> None:
    store = MemoryStore()
    with reading(store, "verify", listener=SILENT, times=TIMES):
        assert notes(store) == []
    assert list(tmp_path.iterdir()) == []
