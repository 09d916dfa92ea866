from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import RepositoryInvalid, RepositoryNotFound, SnapshotNotFound
from lockstep.model.inventory import InventoryEntry, MissingObject
from lockstep.model.results import SnapshotObject
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.memory import MemoryStore
from lockstep.operations.browse import find_snapshot, list_snapshots, missing_of, objects_of
from lockstep.progress import SILENT
from lockstep.repository.draft import Draft
from lockstep.repository.history import read_history
from lockstep.repository.journal import Journal
from lockstep.repository.manifest import DatabaseRecord, DumpRecord, Manifest, ObjectCounts, ProfileRecord
from lockstep.repository.repository import Repository
from lockstep.tables import inventory, plans, references
from lockstep.tables.engine import TableLimits, Tables

NOW = datetime(2026, 11, 22, 12, 40, tzinfo=UTC)
FIRST, SECOND, THIRD = (SnapshotId(f"202611{day}T000000Z-00000000") for day in (20, 21, 22))


class Held:
    def check(self) -> None:
        pass


def back_up(
    repository: Repository,
    work: Path,
    snapshot: SnapshotId,
    named: dict[str, int | None],
    *,
    copied: dict[str, int],
    lost: tuple[str, ...] = (),
    whole: bool = False,
) -> Manifest:
    """A snapshot made by the same steps as a backup, without a database."""
    history, tables = read_history(repository, listener=SILENT), Tables(work, limits=TableLimits(threads=1))
    inventory.create(tables, [], run=snapshot)

    def blocks() -> Generator[bytes, None, int]:
        for key, size in named.items():
            yield f"main,{key},{'' if size is None else size},,\n".encode()
        return len(named)

    references.load(tables, blocks())
    journal, draft = Journal(repository.store, tables, snapshot), Draft(repository, snapshot, Held())
    journal.add([InventoryEntry("main", key, size, f"{size:064}", None, None, None) for key, size in copied.items()])
    if history.newest is None or whole:
        references.save_full(tables, work / "references.parquet")
    else:
        files = [repository.local_copy(entry, work) for entry in repository.chain(history.newest)]
        references.replay(tables, files, into="before")
        references.save_changes(tables, work / "references.parquet", since="before")
    draft.save_file("references.parquet", work / "references.parquet")
    if lost:
        plans.add_missing(tables, [MissingObject("main", key, named[key], "lost") for key in lost])
        plans.save_missing(tables, work / "missing.parquet", snapshot=snapshot, before=None)
        draft.save_file("missing.parquet", work / "missing.parquet")
    tables_closed = journal.close()[0]
    manifest = Manifest(
        repository=repository.id,
        snapshot=snapshot,
        created=datetime.strptime(snapshot[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
        complete=not lost,
        parent=history.parent,
        chain_length=0 if whole or history.newest is None else history.newest.chain_length + 1,
        previous=history.previous,
        database=DatabaseRecord(
            name="a", server_version="18.6", server_major=18, encoding="UTF8", collate="C", ctype="C", locale_provider="libc", owner="a"
        ),
        dump=DumpRecord(format="custom", size_bytes=1, pg_dump_major=18, seconds=1),
        profile=ProfileRecord(name="a"),
        stores={"main": "memory://main"},
        objects=ObjectCounts(**dict.fromkeys(ObjectCounts.model_fields, 0)),
        files=tuple(draft.files),
        inventory=tuple(repository.describe(path) for path in tables_closed),
    )
    draft.commit(manifest)
    tables.close()
    return manifest


@pytest.fixture
def two(repository: Repository, tmp_path: Path) -> tuple[Manifest, Manifest]:
    """A snapshot, and a second one in which an object changed, one went, one came and one is missing."""
    first = back_up(repository, tmp_path / "1", FIRST, {"a": 1, "b": 2, "c": None}, copied={"a": 1, "b": 2, "c": 3})
    second = back_up(repository, tmp_path / "2", SECOND, {"a": 5, "c": None, "d": 4, "gone": 7}, copied={"a": 5, "d": 4}, lost=("gone",))
    return first, second


def objects(repository: Repository, manifest: Manifest) -> list[SnapshotObject]:
    with objects_of(repository.store, manifest) as found:
        return list(found)


def test_snapshots_are_listed_oldest_first(repository: Repository, two: tuple[Manifest, Manifest]) -> None:
    assert list_snapshots(repository.store) == list(two)


def test_a_person_finds_a_snapshot(repository: Repository, two: tuple[Manifest, Manifest]) -> None:
    assert find_snapshot(repository.store, "latest", now=NOW, zone=UTC) == two[1]
    assert find_snapshot(repository.store, "2026-11-20", now=NOW, zone=UTC) == two[0]
    with pytest.raises(SnapshotNotFound):
        find_snapshot(repository.store, "2020-01-01", now=NOW, zone=UTC)


@pytest.mark.parametrize("read", [list_snapshots, lambda store: find_snapshot(store, "latest", now=NOW, zone=UTC)])
def test_where_there_is_no_repository_it_is_said(read: Any) -> None:
    with pytest.raises(RepositoryNotFound):
        read(MemoryStore())


def test_the_objects_of_a_snapshot_are_those_of_its_day(repository: Repository, two: tuple[Manifest, Manifest]) -> None:
    first, second = two
    assert objects(repository, first) == [SnapshotObject("main", key, size, f"{size:064}") for key, size in (("a", 1), ("b", 2), ("c", 3))]
    assert objects(repository, second) == [
        SnapshotObject("main", "a", 5, f"{5:064}"),
        SnapshotObject("main", "c", 3, f"{3:064}"),
        SnapshotObject("main", "d", 4, f"{4:064}"),
        SnapshotObject("main", "gone", 7, None),
    ]


def test_what_a_snapshot_lacks_is_listed(repository: Repository, two: tuple[Manifest, Manifest]) -> None:
    with missing_of(repository.store, two[0]) as found:
        assert list(found) == []
    with missing_of(repository.store, two[1]) as found:
        assert list(found) == [MissingObject("main", "gone", 7, "lost", SECOND)]


@pytest.mark.parametrize("damage", [b"damaged", None])
def test_a_chain_with_a_damaged_link_is_refused_for_what_hangs_on_it(
    repository: Repository, two: tuple[Manifest, Manifest], damage: bytes | None
) -> None:
    path = f"snapshots/{FIRST}/references.parquet"
    if damage is None:
        repository.store.delete([path])
    else:
        repository.store.write(path, damage, overwrite=True)
    with pytest.raises(RepositoryInvalid, match=FIRST):
        objects(repository, two[1])


def test_a_damaged_old_manifest_takes_nothing_from_what_does_not_hang_on_it(
    repository: Repository, two: tuple[Manifest, Manifest], tmp_path: Path
) -> None:
    third = back_up(repository, tmp_path / "3", THIRD, {"a": 5, "b": 2}, copied={}, whole=True)
    expected = objects(repository, third)
    assert [each.sha256 for each in expected] == [f"{5:064}", f"{2:064}"]
    repository.store.write(f"snapshots/{FIRST}/manifest.json", b"{}", overwrite=True)  # it named the segment with `b`
    assert find_snapshot(repository.store, "latest", now=NOW, zone=UTC) == third
    assert objects(repository, third) == expected
    for wanted in (FIRST, "2026-11-20"):
        with pytest.raises(RepositoryInvalid, match=FIRST):
            find_snapshot(repository.store, wanted, now=NOW, zone=UTC)
    with pytest.raises(RepositoryInvalid, match=FIRST):
        objects(repository, two[1])


def test_a_damaged_segment_takes_only_what_it_recorded(repository: Repository, two: tuple[Manifest, Manifest]) -> None:
    repository.store.write(f"inventory/{FIRST}-0.parquet", b"damaged", overwrite=True)
    assert list_snapshots(repository.store) == list(two)
    assert find_snapshot(repository.store, "latest", now=NOW, zone=UTC) == two[1]
    assert {each.key: each.sha256 for each in objects(repository, two[1])} == {"a": f"{5:064}", "c": None, "d": f"{4:064}", "gone": None}


def test_reading_leaves_no_trace_in_the_work_directory(repository: Repository, two: tuple[Manifest, Manifest], tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with objects_of(repository.store, two[1], temporary=tmp_path / "t") as found:
        assert len(list(found)) == 4
    with missing_of(repository.store, two[1], temporary=tmp_path / "t") as lacking:
        assert len(list(lacking)) == 1
    assert list((tmp_path / "t").iterdir()) == []


def test_reading_changes_nothing_in_the_repository(repository: Repository, two: tuple[Manifest, Manifest]) -> None:
    def everything() -> dict[str, int]:
        return {info.key: info.size for page in repository.store.list() for info in page}

    before = everything()
    list_snapshots(repository.store)
    objects(repository, two[1])
    assert everything() == before
