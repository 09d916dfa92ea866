from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import RepositoryInvalid
from lockstep.model.inventory import InventoryEntry
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.progress import SILENT, Event, Note
from lockstep.repository.draft import Draft
from lockstep.repository.history import all_segments, inventory_files, read_history, readable_segments
from lockstep.repository.journal import Journal
from lockstep.repository.repository import Repository
from lockstep.tables import inventory
from lockstep.tables.engine import TableLimits, Tables

FIRST, SECOND, THIRD = (SnapshotId(f"2026112{day}T124000Z-1a2b3c4d") for day in (1, 2, 3))


class Held:
    def check(self) -> None:
        pass


def run(
    repository: Repository, make_manifest: Any, work: Path, snapshot: SnapshotId, *keys: str, killed: bool = False, **fields: object
) -> None:
    """A backup that copies an object of each key, a segment each, and is killed before its manifest or is not."""
    history = read_history(repository, listener=SILENT)
    tables = Tables(work, limits=TableLimits(threads=1))
    inventory.create(tables, [], run=snapshot)
    journal = Journal(repository.store, tables, snapshot)
    for key in keys:
        journal.add([InventoryEntry("main", key, 1, "ab" * 32, None, None, None)])
        journal.commit()
    draft = Draft(repository, snapshot, Held())
    if not killed:
        segments, replaced = journal.close()
        named = (*history.leftovers, *(repository.describe(path) for path in segments))
        manifest = make_manifest(repository, snapshot, previous=history.previous, parent=history.parent, inventory=named, **fields)
        draft.commit(manifest, replaced=replaced)
    tables.close()


def warnings(heard: list[Event]) -> list[str]:
    return [event.message for event in heard if isinstance(event, Note) and event.level == "warning"]


def present(store: ObjectStore) -> list[str]:
    return [info.key for page in store.list("inventory/") for info in page]


def test_a_new_repository_has_no_history(repository: Repository) -> None:
    history = read_history(repository, listener=SILENT)
    assert (history.newest, history.previous, history.parent, history.newest_name) == (None, None, None, None)
    assert (history.segments, history.leftovers) == ((), ())


def test_history_ends_with_the_newest_snapshot_and_the_checksum_of_its_manifest(
    repository: Repository, make_manifest: Any, tmp_path: Path
) -> None:
    heard: list[Event] = []
    for snapshot in (FIRST, SECOND):
        run(repository, make_manifest, tmp_path / snapshot, snapshot, snapshot)
    history = read_history(repository, listener=heard.append)
    assert history.newest == repository.manifest(SECOND)
    assert history.parent == history.newest_name == SECOND
    assert history.previous is not None
    assert history.previous.sha256 == repository.manifest_and_checksum(SECOND)[1]
    assert [entry.path for entry in history.segments] == [f"inventory/{FIRST}-0.parquet", f"inventory/{SECOND}-0.parquet"]
    assert history.leftovers == ()
    assert heard == []


def test_the_segments_of_a_killed_run_are_used_and_then_named(repository: Repository, make_manifest: Any, tmp_path: Path) -> None:
    run(repository, make_manifest, tmp_path / "1", FIRST, "a")
    run(repository, make_manifest, tmp_path / "2", SECOND, "b", "c", killed=True)
    history = read_history(repository, listener=SILENT)
    assert [entry.path for entry in history.leftovers] == [f"inventory/{SECOND}-{number}.parquet" for number in range(2)]
    assert history.parent == FIRST
    assert history.newest_name == SECOND  # what follows must sort behind the rows of the killed run
    run(repository, make_manifest, tmp_path / "3", THIRD, "d")
    history = read_history(repository, listener=SILENT)
    assert history.leftovers == ()
    assert [entry.path for entry in history.segments] == present(repository.store)
    assert len(history.segments) == 4


def test_a_run_killed_while_it_gathered_its_segments_loses_nothing(repository: Repository, make_manifest: Any, tmp_path: Path) -> None:
    run(repository, make_manifest, tmp_path / "1", FIRST, "a", "b", killed=True)
    repository.store.write(f"inventory/{FIRST}-2.parquet", repository.store.read(f"inventory/{FIRST}-0.parquet").bytes())
    history = read_history(repository, listener=SILENT)
    assert len(history.leftovers) == 3


@pytest.mark.parametrize("name", ["inventory/notes.txt", f"inventory/{FIRST}-0.parquet.tmp"])
def test_what_is_no_segment_is_not_taken_for_one(repository: Repository, name: str) -> None:
    repository.store.write(name, b"mine")
    assert read_history(repository, listener=SILENT).leftovers == ()


def test_a_segment_that_is_gone_is_told_and_does_not_count(repository: Repository, make_manifest: Any, tmp_path: Path) -> None:
    run(repository, make_manifest, tmp_path / "1", FIRST, "a")
    repository.store.delete([f"inventory/{FIRST}-0.parquet"])
    heard: list[Event] = []
    assert read_history(repository, listener=heard.append).segments == ()
    assert warnings(heard) == [f"'inventory/{FIRST}-0.parquet' is gone; the objects that it recorded are copied again"]
    assert all_segments(repository) == []


def test_a_damaged_segment_is_told_and_left_out(repository: Repository, make_manifest: Any, tmp_path: Path) -> None:
    for snapshot in (FIRST, SECOND):
        run(repository, make_manifest, tmp_path / snapshot, snapshot, "a")
    repository.store.write(f"inventory/{FIRST}-0.parquet", b"damaged", overwrite=True)
    heard: list[Event] = []
    (tmp_path / "work").mkdir()
    files = inventory_files(repository, read_history(repository, listener=SILENT), tmp_path / "work", listener=heard.append)
    assert list(files) == [f"inventory/{SECOND}-0.parquet"]
    assert len(warnings(heard)) == 1


def test_readers_see_only_what_manifests_name(repository: Repository, make_manifest: Any, tmp_path: Path) -> None:
    run(repository, make_manifest, tmp_path / "1", FIRST, "a")
    run(repository, make_manifest, tmp_path / "2", SECOND, "b", killed=True)
    assert [entry.path for entry in all_segments(repository)] == [f"inventory/{FIRST}-0.parquet"]


def test_when_a_manifest_is_damaged_readers_take_every_segment_that_is_there(
    repository: Repository, make_manifest: Any, tmp_path: Path
) -> None:
    for snapshot in (FIRST, SECOND):
        run(repository, make_manifest, tmp_path / snapshot, snapshot, snapshot)
    repository.store.write(f"snapshots/{FIRST}/manifest.json", b"{}", overwrite=True)
    segments = [f"inventory/{snapshot}-0.parquet" for snapshot in (FIRST, SECOND)]
    assert sorted(entry.path for entry in all_segments(repository)) == segments
    (tmp_path / "work").mkdir()
    tables = Tables(tmp_path / "tables", limits=TableLimits(threads=1))
    inventory.create(tables, readable_segments(repository, tmp_path / "work"))
    assert sorted(entry.key for entry in inventory.entries(tables, "inventory")) == [FIRST, SECOND]
    tables.close()


def test_readers_leave_out_a_damaged_segment(repository: Repository, make_manifest: Any, tmp_path: Path) -> None:
    for snapshot in (FIRST, SECOND):
        run(repository, make_manifest, tmp_path / snapshot, snapshot, snapshot)
    repository.store.write(f"inventory/{FIRST}-0.parquet", b"damaged", overwrite=True)
    (tmp_path / "work").mkdir()
    assert [path.name for path in readable_segments(repository, tmp_path / "work")] == [f"inventory-{SECOND}-0.parquet"]


def test_a_kill_between_manifest_and_head_is_no_warning(repository: Repository, make_manifest: Any, tmp_path: Path) -> None:
    run(repository, make_manifest, tmp_path / "1", FIRST)
    head = repository.store.read("head.json").bytes()
    run(repository, make_manifest, tmp_path / "2", SECOND)
    repository.store.write("head.json", head, overwrite=True)
    heard: list[Event] = []
    read_history(repository, listener=heard.append)
    repository.store.delete(["head.json"])
    read_history(repository, listener=heard.append)
    assert heard == []


@pytest.mark.parametrize("left", [True, False])
def test_a_newest_snapshot_that_is_gone_is_told(repository: Repository, make_manifest: Any, tmp_path: Path, *, left: bool) -> None:
    if left:
        run(repository, make_manifest, tmp_path / "1", FIRST)
    run(repository, make_manifest, tmp_path / "2", SECOND)
    repository.store.delete([f"snapshots/{SECOND}/manifest.json"])
    heard: list[Event] = []
    read_history(repository, listener=heard.append)
    assert warnings(heard) == [f"the newest snapshot {SECOND} is gone from the repository; 'lockstep verify' tells more"]


@pytest.mark.parametrize(
    "head",
    [b"", b"null", b"[]", b"{}", b'{"snapshot": 5}', b'{"snapshot": null}', b'{"snapshot": "zzz"}', b"[" * 200_000, b"\xff"],
    ids=range(9),
)
def test_a_damaged_head_is_no_obstacle(repository: Repository, make_manifest: Any, tmp_path: Path, head: bytes) -> None:
    run(repository, make_manifest, tmp_path / "1", FIRST)
    repository.store.write("head.json", head, overwrite=True)
    assert read_history(repository, listener=SILENT).parent == FIRST


def test_a_damaged_manifest_stops_the_writer(repository: Repository, make_manifest: Any, tmp_path: Path) -> None:
    run(repository, make_manifest, tmp_path / "1", FIRST)
    repository.store.write(f"snapshots/{FIRST}/manifest.json", b"{}", overwrite=True)
    with pytest.raises(RepositoryInvalid):
        read_history(repository, listener=SILENT)
