from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import ClientToolFailed, RepositoryLocked
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.progress import SILENT, Event, Note
from lockstep.repository.draft import Draft, reclaim
from lockstep.repository.manifest import FileEntry, Previous
from lockstep.repository.repository import Repository
from lockstep.repository.seal import is_sealed

OLDER, ID, NEWER = (SnapshotId(f"2026112{day}T124000Z-1a2b3c4d") for day in (1, 2, 3))


class Held:
    def check(self) -> None:
        pass


class Lost:
    def check(self) -> None:
        raise RepositoryLocked("the repository is locked", hint="Wait.")


def draft_of(repository: Repository, snapshot: SnapshotId = ID) -> Draft:
    return Draft(repository, snapshot, Held())


def keys(store: ObjectStore) -> set[str]:
    return {info.key for page in store.list() for info in page}


def commit(repository: Repository, make_manifest: Any, snapshot: SnapshotId, **fields: object) -> None:
    with draft_of(repository, snapshot) as draft:
        draft.save_stream("database.dump", [b"dump"])
        draft.commit(make_manifest(repository, snapshot, files=tuple(draft.files), **fields))


def test_a_file_is_checksummed_on_the_way(repository: Repository) -> None:
    draft = draft_of(repository)
    entry = draft.save_stream("database.dump", [b"con", b"", b"tents"])
    assert entry == FileEntry(path=f"snapshots/{ID}/database.dump", size=8, sha256=hashlib.sha256(b"contents").hexdigest())
    assert draft.files == [entry]
    assert repository.store.read(entry.path).bytes() == b"contents"


def test_a_stream_that_breaks_leaves_no_file(repository: Repository) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ClientToolFailed("pg_dump failed", hint="Look at the server's log.")

    draft, before = draft_of(repository), keys(repository.store)
    with pytest.raises(ClientToolFailed):
        draft.save_stream("database.dump", chunks())
    assert keys(repository.store) == before
    assert draft.files == []


def test_a_file_of_the_work_directory_moves(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(b"references")
    entry = draft_of(repository).save_file("references.parquet", tmp_path / "made")
    assert repository.store.read(entry.path).bytes() == b"references"
    assert not (tmp_path / "made").exists()


def test_a_directory_is_stored_with_all_its_files(repository: Repository, tmp_path: Path) -> None:
    def fill(directory: Path) -> None:
        directory.mkdir()
        (directory / "toc.dat").write_bytes(b"contents")
        (directory / "1.dat.gz").write_bytes(b"rows")
        (directory / "toc.dat").chmod(0o644)

    draft = draft_of(repository)
    entries = draft.save_directory("database", fill, work=tmp_path)
    assert [(entry.path, entry.size) for entry in entries] == [
        (f"snapshots/{ID}/database/1.dat.gz", 4),
        (f"snapshots/{ID}/database/toc.dat", 8),
    ]
    assert draft.files == entries
    assert [repository.store.read(entry.path).bytes() for entry in entries] == [b"rows", b"contents"]
    here = repository.store.local_file(entries[1].path)
    if here is not None:
        assert stat.S_IMODE(here.stat().st_mode) == 0o600
        assert stat.S_IMODE(here.parent.stat().st_mode) == 0o700


def test_nobody_sees_a_snapshot_before_it_is_committed(repository: Repository, make_manifest: Any) -> None:
    with draft_of(repository) as draft:
        draft.save_stream("database.dump", [b"dump"])
        assert repository.snapshot_ids() == []
        draft.commit(make_manifest(repository, ID, files=tuple(draft.files)))
        assert repository.snapshot_ids() == [ID]
    assert repository.snapshot_ids() == [ID]
    assert repository.manifest(ID).file("database.dump") is not None


def test_the_head_names_the_newest_manifest_by_its_content(repository: Repository, make_manifest: Any) -> None:
    for snapshot in (ID, NEWER):
        commit(repository, make_manifest, snapshot)
        data = repository.store.read("head.json").bytes()
        assert is_sealed(data)
        head = json.loads(data)
        del head["checksum"]
        assert head.items() >= {"snapshot": snapshot, "sha256": repository.manifest_and_checksum(snapshot)[1]}.items()


def test_replaced_segments_go_only_after_the_manifest_is_there(
    repository: Repository, make_manifest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.store.write("inventory/old", b"1")
    seen: list[list[SnapshotId]] = []
    delete = repository.store.delete

    def watched(names: list[str]) -> None:
        seen.append(repository.snapshot_ids())
        delete(names)

    monkeypatch.setattr(repository.store, "delete", watched)
    draft_of(repository).commit(make_manifest(repository, ID), replaced=["inventory/old"])
    assert seen == [[ID]]
    assert "inventory/old" not in keys(repository.store)


def test_everything_is_made_durable_before_the_manifest_names_it(
    repository: Repository, make_manifest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    flush, write = repository.store.flush, repository.store.write

    def flushed() -> None:
        steps.append("flush")
        flush()

    def written(key: str, data: bytes, **options: Any) -> str | None:
        steps.append(key.rpartition("/")[2])
        return write(key, data, **options)

    monkeypatch.setattr(repository.store, "flush", flushed)
    monkeypatch.setattr(repository.store, "write", written)
    draft_of(repository).commit(make_manifest(repository, ID))
    assert steps == ["head.json", "flush", "manifest.json", "flush", "head.json", "flush"]  # the first one names nothing yet


def test_a_snapshot_is_never_written_over_another(repository: Repository, make_manifest: Any) -> None:
    commit(repository, make_manifest, ID)
    before = repository.store.read(f"snapshots/{ID}/manifest.json").bytes()
    with pytest.raises(Exception, match="lies under"):
        Draft(repository, ID, Held()).commit(make_manifest(repository, ID, complete=False))
    assert repository.store.read(f"snapshots/{ID}/manifest.json").bytes() == before


def test_without_the_lock_nothing_is_committed(repository: Repository, make_manifest: Any) -> None:
    def run() -> None:
        with Draft(repository, ID, Lost()) as draft:
            draft.save_stream("database.dump", [b"dump"])
            draft.commit(make_manifest(repository, ID))

    before = keys(repository.store)
    with pytest.raises(RepositoryLocked):
        run()
    assert keys(repository.store) == before


def test_who_lost_the_lock_between_the_last_look_and_the_manifest_takes_it_back(repository: Repository, make_manifest: Any) -> None:
    commit(repository, make_manifest, OLDER)

    class LostAtTheEnd:
        def check(self) -> None:
            if repository.has_manifest(ID):
                raise RepositoryLocked("somebody took the lock away", hint="Wait.")

    draft = Draft(repository, ID, LostAtTheEnd())
    draft.save_stream("database.dump", [b"dump"])
    with draft, pytest.raises(RepositoryLocked):
        draft.commit(make_manifest(repository, ID, files=tuple(draft.files)))
    assert repository.snapshot_ids() == [OLDER]
    assert not [path for path in keys(repository.store) if ID in path]


def test_an_error_takes_the_draft_away_and_no_other_snapshot(repository: Repository, make_manifest: Any) -> None:
    def run() -> None:
        with draft_of(repository) as draft:
            draft.save_stream("database.dump", [b"dump"])
            draft.save_stream("database/1.dat", [b"dump"])
            raise ClientToolFailed("pg_dump failed", hint="Look.")

    commit(repository, make_manifest, OLDER)
    before = keys(repository.store)
    with pytest.raises(ClientToolFailed):
        run()
    assert keys(repository.store) == before


def test_what_a_stopped_run_left_is_removed_and_told(repository: Repository, make_manifest: Any) -> None:
    commit(repository, make_manifest, OLDER)
    before = keys(repository.store)
    for snapshot in (ID, NEWER):
        draft_of(repository, snapshot).save_stream("database/toc.dat", [b"dump"])
    heard: list[Event] = []
    assert reclaim(repository, listener=heard.append) == 2
    assert keys(repository.store) == before
    assert [event.fields["snapshot"] for event in heard if isinstance(event, Note)] == [ID, NEWER]
    assert reclaim(repository, listener=SILENT) == 0


@pytest.mark.parametrize("path", ["snapshots/README", "snapshots/notes/todo.txt", f"snapshots/{ID}.bak/manifest.json"])
def test_what_is_no_snapshot_is_left_alone(repository: Repository, path: str) -> None:
    repository.store.write(path, b"mine")
    assert reclaim(repository, listener=SILENT) == 0
    assert repository.store.read(path).bytes() == b"mine"


def test_the_files_of_a_snapshot_whose_manifest_was_deleted_are_not_taken_for_half_made(repository: Repository, make_manifest: Any) -> None:
    """Its dump may be all that is left of that day: the head, or the snapshot after it, knows that it existed."""
    heard: list[Event] = []
    commit(repository, make_manifest, OLDER)
    repository.store.delete([f"snapshots/{OLDER}/manifest.json"])
    assert reclaim(repository, listener=heard.append) == 0  # head.json names it
    commit(repository, make_manifest, ID, previous=Previous(snapshot=OLDER, sha256="ab" * 32))
    assert reclaim(repository, listener=heard.append) == 0  # the next manifest names it
    assert repository.store.read(f"snapshots/{OLDER}/database.dump").bytes() == b"dump"
    assert {event.level for event in heard if isinstance(event, Note)} == {"warning"}
