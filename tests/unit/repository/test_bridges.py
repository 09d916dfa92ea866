from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lockstep.errors import ObjectExists, RepositoryInvalid
from lockstep.model.snapshots import SnapshotId
from lockstep.progress import SILENT, Event, Note
from lockstep.repository import layout
from lockstep.repository.bridges import (
    NOTHING_REMOVED,
    Bridges,
    Fold,
    link_of,
    load_bridges,
    named_segments,
    previous_of,
    read_bridges,
    save_bridges,
)
from lockstep.repository.draft import reclaim
from lockstep.repository.history import all_segments, read_history
from lockstep.repository.manifest import FileEntry, Previous
from lockstep.repository.repository import Repository
from lockstep.repository.seal import is_sealed, sealed

NOW = datetime(2026, 11, 22, 12, 40, tzinfo=UTC)
IDS = [SnapshotId(f"2026110{day}T000000Z-00000000") for day in range(1, 6)]
SHA = "ab" * 32


def entry(path: str) -> FileEntry:
    return FileEntry(path=path, size=1, sha256=SHA)


def put(place: Repository, make_manifest: Any, snapshot: SnapshotId, **fields: object) -> None:
    files = (entry(f"snapshots/{snapshot}/references.parquet"),)
    place.store.write(layout.manifest_path(snapshot), make_manifest(place, snapshot, **{"files": files, **fields}).as_bytes())


def record(repository: Repository, number: int = 1, **fields: Any) -> Bridges:
    return Bridges(repository=repository.id, number=number, written=NOW, **fields)


def test_where_nothing_was_removed_every_manifest_speaks_for_itself(repository: Repository, make_manifest: Any) -> None:
    before = Previous(snapshot=IDS[0], sha256=SHA)
    made = make_manifest(repository, IDS[1], previous=before, parent=IDS[0], chain_length=1, inventory=(entry("inventory/a"),))
    assert load_bridges(repository.store) == read_bridges(repository.store) == NOTHING_REMOVED
    assert previous_of(made, NOTHING_REMOVED) == before
    assert link_of(made, NOTHING_REMOVED).parent == IDS[0]
    assert named_segments([made], NOTHING_REMOVED) == {"inventory/a": entry("inventory/a")}


def test_the_record_with_the_highest_number_counts_alone(repository: Repository) -> None:
    for number in (1, 9, 10):
        save_bridges(repository.store, record(repository, number, removed=(IDS[number % 5],)))
    repository.store.write("bridges/011.json", b"no record")
    found = load_bridges(repository.store)
    assert (found.number, found.removed) == (10, (IDS[0],))
    assert is_sealed(repository.store.read("bridges/10.json").bytes())


def test_a_record_is_never_overwritten(repository: Repository) -> None:
    save_bridges(repository.store, record(repository))
    with pytest.raises(ObjectExists):
        save_bridges(repository.store, record(repository))


def test_a_removed_snapshot_is_no_snapshot_though_its_files_are_still_there(repository: Repository, make_manifest: Any) -> None:
    for snapshot in IDS[:3]:
        put(repository, make_manifest, snapshot)
    repository.write_head(IDS[2], SHA)
    save_bridges(repository.store, record(repository, removed=(IDS[0], IDS[2]), newest=IDS[4]))
    heard: list[Event] = []
    history = read_history(repository, listener=heard.append)
    assert repository.snapshot_ids() == [IDS[1]]
    assert heard == []  # that the head names a removed one is what a kill leaves
    assert history.newest_name == IDS[4]  # a row of the inventory that is later than the newest snapshot must not fit the next one
    assert reclaim(repository, listener=SILENT) == 2
    assert [info.key for page in repository.store.list("snapshots/") for info in page] == [layout.manifest_path(IDS[1])]


def test_a_lost_manifest_keeps_its_files_although_others_were_removed(repository: Repository, make_manifest: Any) -> None:
    put(repository, make_manifest, IDS[2], previous=Previous(snapshot=IDS[1], sha256=SHA))
    for snapshot in IDS[:2]:
        repository.store.write(f"snapshots/{snapshot}/database.dump", b"rows")
    save_bridges(repository.store, record(repository, removed=(IDS[0],)))
    heard: list[Event] = []
    assert reclaim(repository, listener=heard.append) == 1
    assert [event.message for event in heard if isinstance(event, Note) and event.level == "warning"] == [
        f"the snapshot {IDS[1]} has lost its manifest; its other files are left alone"
    ]
    assert repository.store.read(f"snapshots/{IDS[1]}/database.dump").bytes() == b"rows"


def test_a_chain_goes_through_what_was_folded(repository: Repository, make_manifest: Any) -> None:
    put(repository, make_manifest, IDS[1], parent=IDS[0], chain_length=1)
    put(repository, make_manifest, IDS[3], parent=IDS[2], chain_length=3)
    put(repository, make_manifest, IDS[4], parent=IDS[3], chain_length=4)
    folds = {
        IDS[1]: Fold(references=entry(layout.folded_path(IDS[1], 1))),
        IDS[3]: Fold(references=entry(layout.folded_path(IDS[3], 1)), parent=IDS[1]),
    }
    save_bridges(repository.store, record(repository, folds=folds))
    assert [file.path for file in repository.chain(repository.manifest(IDS[4]))] == [
        f"snapshots/{IDS[1]}/references-1.parquet",
        f"snapshots/{IDS[3]}/references-1.parquet",
        f"snapshots/{IDS[4]}/references.parquet",
    ]


def test_segments_that_were_gathered_stand_for_those_that_are_gone(repository: Repository, make_manifest: Any) -> None:
    old, kept, left = (f"inventory/{IDS[number]}-0.parquet" for number in (0, 1, 2))
    gathered, unfinished = layout.gathered_path(1), layout.gathered_path(2)
    for path in (kept, left, gathered, unfinished):
        repository.store.write(path, b"rows")
    put(repository, make_manifest, IDS[0], inventory=(entry(old),))
    put(repository, make_manifest, IDS[1], inventory=(entry(kept),))
    save_bridges(repository.store, record(repository, segments=(entry(gathered),), replaced=(old,)))
    heard: list[Event] = []
    history = read_history(repository, listener=heard.append)
    assert [each.path for each in history.segments] == [kept, gathered]
    assert [each.path for each in history.leftovers] == [left]  # what a stopped prune gathered is nothing to go on from
    assert [each.path for each in all_segments(repository)] == [kept, gathered]
    assert [event for event in heard if isinstance(event, Note) and event.level == "warning"] == []


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"null", b"[" * 200_000, b"\xff", sealed({"format": 1}), sealed({}), sealed({"format": "1"})]
)
def test_a_damaged_record_takes_only_what_needs_it(repository: Repository, make_manifest: Any, damage: bytes) -> None:
    gathered = layout.gathered_path(7)
    put(repository, make_manifest, IDS[1])
    put(repository, make_manifest, IDS[3], parent=IDS[2], chain_length=3)
    repository.store.write(gathered, b"rows")
    repository.store.write("bridges/7.json", damage)
    found = read_bridges(repository.store)
    assert (found.number, found.damaged, found.removed) == (7, True, ())
    with pytest.raises(RepositoryInvalid, match=r"bridges/7\.json"):
        load_bridges(repository.store)
    assert len(repository.chain(repository.manifest(IDS[1]))) == 1
    with pytest.raises(RepositoryInvalid):
        repository.chain(repository.manifest(IDS[3]))
    assert [each.path for each in read_history(repository, listener=SILENT).leftovers] == [gathered]
    assert [each.path for each in all_segments(repository)] == [gathered]


def test_a_record_of_a_newer_format_is_refused_politely(repository: Repository) -> None:
    repository.store.write("bridges/1.json", sealed({"format": 2}))
    for read in (load_bridges, read_bridges):
        with pytest.raises(RepositoryInvalid, match="has format 2") as caught:
            read(repository.store)
        assert caught.value.hint == "Use a newer lockstep for this repository."


def test_head_names_the_record_that_counts(repository: Repository) -> None:
    repository.write_head(IDS[0], SHA)
    assert b"bridges" not in repository.store.read("head.json").bytes()
    save_bridges(repository.store, record(repository, 3))
    repository.write_head(IDS[0], SHA)
    assert repository.head() == IDS[0]
    assert b'"bridges": "bridges/3.json"' in repository.store.read("head.json").bytes()
