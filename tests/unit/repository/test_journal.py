from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import StoreUnreachable
from lockstep.model.inventory import InventoryEntry
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.progress import SILENT, Event
from lockstep.repository.history import inventory_files, read_history
from lockstep.repository.journal import EVERY_SECONDS, Journal, open_journal
from lockstep.repository.repository import Repository
from lockstep.tables import inventory
from lockstep.tables.engine import TableLimits, Tables

RUN = SnapshotId("20261122T124000Z-1a2b3c4d")
LATER = SnapshotId("20261123T124000Z-1a2b3c4d")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(repository: Repository, tables: Tables, clock: Clock) -> Journal:
    inventory.create(tables, [], run=RUN)
    return Journal(repository.store, tables, RUN, clock)


def entry(key: str) -> InventoryEntry:
    return InventoryEntry("main", key, 1, "ab" * 32, None, None, None)


def segments(store: ObjectStore) -> list[str]:
    return [info.key for page in store.list("inventory/") for info in page]


def keys(repository: Repository, tables: Tables, path: str) -> list[str]:
    copy = repository.local_copy(repository.describe(path), tables.directory)
    return [row[0] for row in tables.rows("SELECT key FROM read_parquet($1)", [str(copy)])]


def test_what_is_added_is_committed_after_a_few_seconds(journal: Journal, repository: Repository, clock: Clock) -> None:
    journal.add([entry("a")])
    clock.now += EVERY_SECONDS - 0.1
    journal.add([entry("b")])
    assert segments(repository.store) == []
    clock.now += 0.1
    journal.add([])
    assert segments(repository.store) == [f"inventory/{RUN}-0.parquet"]


def test_each_segment_holds_what_came_since_the_one_before(journal: Journal, repository: Repository, tables: Tables) -> None:
    journal.add([entry("b"), entry("a")])
    journal.commit()
    journal.commit()
    journal.add([entry("c")])
    journal.commit()
    assert [keys(repository, tables, path) for path in segments(repository.store)] == [["a", "b"], ["c"]]


def test_objects_are_durable_before_a_segment_names_them(journal: Journal, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    at_flush: list[list[str]] = []
    monkeypatch.setattr(repository.store, "flush", lambda: at_flush.append(segments(repository.store)))
    journal.add([entry("a")])
    journal.commit()
    assert at_flush == [[]]


def test_what_could_not_be_flushed_is_not_named(journal: Journal, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise StoreUnreachable("the disk is gone", hint="Look.")

    monkeypatch.setattr(repository.store, "flush", fails)
    journal.add([entry("a")])
    with pytest.raises(StoreUnreachable):
        journal.commit()
    assert segments(repository.store) == []


def test_a_run_that_copied_nothing_leaves_no_segment(journal: Journal, repository: Repository) -> None:
    journal.add([])
    assert journal.close() == ([], [])
    assert segments(repository.store) == []


def test_a_run_with_one_segment_keeps_it(journal: Journal, repository: Repository) -> None:
    journal.add([entry("a")])
    assert journal.close() == ([f"inventory/{RUN}-0.parquet"], [])
    assert segments(repository.store) == [f"inventory/{RUN}-0.parquet"]


def test_at_the_end_all_segments_are_gathered_into_one_and_none_is_deleted_yet(
    journal: Journal, repository: Repository, tables: Tables
) -> None:
    for key in ("c", "a", "b"):
        journal.add([entry(key)])
        journal.commit()
    journal.add([entry("d")])
    counting, replaced = journal.close()
    assert counting == [f"inventory/{RUN}-4.parquet"]
    assert replaced == [f"inventory/{RUN}-{number}.parquet" for number in range(4)]
    assert keys(repository, tables, counting[0]) == ["a", "b", "c", "d"]
    assert segments(repository.store) == sorted([*counting, *replaced])


def test_nothing_of_a_segment_stays_in_the_work_directory(journal: Journal, tables: Tables) -> None:
    journal.add([entry("a")])
    journal.close()
    assert [path.name for path in tables.directory.iterdir()] == ["spill"]


def test_a_segment_that_could_not_be_written_is_written_by_the_next_commit(
    journal: Journal, repository: Repository, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise StoreUnreachable("the store is gone", hint="Look.")

    journal.add([entry("a")])
    with monkeypatch.context() as patch:
        patch.setattr(repository.store, "write_stream", fails)
        with pytest.raises(StoreUnreachable):
            journal.commit()
    journal.add([entry("b")])
    counting, _ = journal.close()
    assert keys(repository, tables, counting[0]) == ["a", "b"]


def test_of_what_was_copied_twice_in_a_run_the_last_one_counts(journal: Journal, repository: Repository, tables: Tables) -> None:
    journal.add([entry("a"), entry("b")])
    again = replace(entry("a"), sha256="cd" * 32, location="odd/cd/" + "cd" * 32)
    journal.add([again])
    [path], [before] = journal.close()
    assert path != before
    copy = repository.local_copy(repository.describe(path), tables.directory)
    rows = tables.rows("SELECT key, sha256 FROM read_parquet($1) ORDER BY key", [str(copy)])
    assert list(rows) == [("a", again.sha256), ("b", entry("b").sha256)]


def test_what_a_run_gathered_before_it_was_killed_counts_once(
    journal: Journal, repository: Repository, clock: Clock, tmp_path: Path
) -> None:
    for key in ("a", "b"):
        clock.now += EVERY_SECONDS + 1
        journal.add([entry(key)])
        clock.now += EVERY_SECONDS + 1
        journal.add([])
    [gathered], small = journal.close()
    assert len(small) == 2
    (tmp_path / "next").mkdir()
    history = read_history(repository, listener=SILENT)
    files = inventory_files(repository, history, tmp_path / "next", listener=SILENT)
    assert files.keys() == {gathered, *small}
    following = Tables(tmp_path / "next" / "tables", limits=TableLimits(threads=1))
    resumed = open_journal(repository, history, files, following, LATER, listener=SILENT)
    assert following.row("SELECT count(*) FROM inventory") == (2,)
    resumed.add([entry("c")])
    [path], replaced = resumed.close()
    assert sorted(replaced) == sorted([f"inventory/{LATER}-0.parquet", gathered, *small])
    assert keys(repository, following, path) == ["a", "b", "c"]
    following.close()


def test_a_leftover_that_cannot_be_read_is_told_and_deleted_at_the_end(repository: Repository, tables: Tables, tmp_path: Path) -> None:
    repository.store.write(f"inventory/{RUN}-0.parquet", b"damaged")
    history, heard = read_history(repository, listener=SILENT), list[Event]()
    files = inventory_files(repository, history, tmp_path, listener=SILENT)
    resumed = open_journal(repository, history, files, tables, LATER, listener=heard.append)
    assert len(heard) == 1
    assert resumed.close() == ([], [f"inventory/{RUN}-0.parquet"])
