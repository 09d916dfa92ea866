from __future__ import annotations

import hashlib
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lockstep.errors import BucketNotFound, RepositoryInvalid, RepositoryNotFound, SnapshotNotFound
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryStore
from lockstep.objects.store import ObjectStore
from lockstep.repository import layout
from lockstep.repository.manifest import FileEntry
from lockstep.repository.repository import Repository, open_or_create, open_repository
from lockstep.repository.seal import is_sealed

NOW = datetime(2026, 11, 22, 12, 40, tzinfo=UTC)
IDS = [SnapshotId(f"2026110{day}T000000Z-00000000") for day in range(1, 6)]


def put(place: Repository, make_manifest: Any, snapshot: SnapshotId, **fields: object) -> None:
    created = datetime.strptime(snapshot[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    references = FileEntry(path=f"snapshots/{snapshot}/references.parquet", size=1, sha256="ab" * 32)
    data = make_manifest(place, snapshot, created=created, **{"files": (references,), **fields}).as_bytes()
    place.store.write(layout.manifest_path(snapshot), data)


def test_a_new_repository_is_made_once_and_then_opened(store: ObjectStore) -> None:
    first, new = open_or_create(store, now=NOW)
    assert new
    second, new = open_or_create(store, now=NOW)
    assert not new
    assert first.id == second.id == open_repository(store).id
    data = store.read("lockstep.json").bytes()
    assert is_sealed(data)
    marker = json.loads(data)
    del marker["checksum"]
    assert marker.items() >= {"format": 1, "id": first.id, "created": "2026-11-22T12:40:00+00:00"}.items()
    assert str(UUID(first.id)) == first.id


def test_a_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_or_create(LocalStore(tmp_path / "new" / "repository", private=True), now=NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "repository").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "repository" / "lockstep.json").stat().st_mode) == 0o600


def test_a_bucket_is_not_made() -> None:
    store = MemoryStore(exists=False)
    with pytest.raises(BucketNotFound):
        open_or_create(store, now=NOW)


@pytest.mark.parametrize("exists", [True, False])
def test_where_there_is_no_repository_it_is_said(*, exists: bool) -> None:
    with pytest.raises(RepositoryNotFound, match=r"there is no repository at 'memory://main'"):
        open_repository(MemoryStore(exists=exists))


def test_an_empty_or_absent_directory_is_no_repository(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RepositoryNotFound):
            open_repository(LocalStore(path))
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("left", ["snapshots/x/manifest.json", "objects/main/a", "inventory/x"])
def test_a_repository_that_lost_its_marker_is_neither_opened_nor_made_anew(store: ObjectStore, left: str) -> None:
    store.create_bucket()
    store.write(left, b"x")
    with pytest.raises(RepositoryInvalid, match=r"its lockstep\.json is gone"):
        open_or_create(store, now=NOW)


@pytest.mark.parametrize("left", ["notes.txt", "photos/2026/cat.jpg", "lockstep.json.old"])
def test_a_place_that_holds_other_things_is_refused_and_left_as_it_was(store: ObjectStore, left: str) -> None:
    store.create_bucket()
    store.write(left, b"mine")
    with pytest.raises(RepositoryInvalid, match=r"is no repository, and not empty: it holds '" + left.partition("/")[0]) as caught:
        open_or_create(store, now=NOW)
    assert caught.value.hint == "Name an empty place, or one that does not exist yet."
    assert [info.key for page in store.list() for info in page] == [left]


@pytest.mark.parametrize("left", ["locks/writer.json", "lost+found/x", ".snapshot/x", ".work/x"])
def test_what_lies_in_a_place_that_nobody_uses_is_no_obstacle(store: ObjectStore, left: str) -> None:
    store.create_bucket()
    store.write(left, b"x")
    assert open_or_create(store, now=NOW)[1]


class _TakenMeanwhile(MemoryStore):
    """Somebody else makes the repository between the look and the write."""

    def write(self, key: str, data: bytes, **options: Any) -> str | None:
        if key == layout.MARKER and not options.get("overwrite"):
            other = {"format": 1, "id": "00000000-0000-0000-0000-00000000000f"}
            super().write(key, json.dumps(other).encode(), overwrite=True)
        return super().write(key, data, **options)


def test_of_two_that_make_a_repository_at_once_both_use_the_same_one() -> None:
    repository, new = open_or_create(_TakenMeanwhile(), now=NOW)
    assert not new
    assert repository.id == "00000000-0000-0000-0000-00000000000f"


@pytest.mark.parametrize(
    "marker",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"format": 1}', b'{"format": 1, "id": "x"}', b'{"format": 1, "id": 5}', b"[" * 200_000],
    ids=range(9),
)
def test_a_damaged_marker_is_told(store: ObjectStore, marker: bytes) -> None:
    store.create_bucket()
    store.write(layout.MARKER, marker)
    with pytest.raises(RepositoryInvalid, match=r"has a damaged lockstep\.json"):
        open_repository(store)


@pytest.mark.parametrize("found", [0, 2, 99])
def test_another_format_is_refused_before_anything_is_read_or_written(store: ObjectStore, found: int) -> None:
    store.create_bucket()
    store.write(layout.MARKER, json.dumps({"format": found, "id": "00000000-0000-0000-0000-000000000001"}).encode())
    with pytest.raises(RepositoryInvalid, match=f"has format {found}, and this lockstep reads format 1") as caught:
        open_or_create(store, now=NOW)
    assert caught.value.hint == "Use a newer lockstep for this repository."


def test_snapshots_are_told_oldest_first_and_only_those_with_a_manifest(repository: Repository, make_manifest: Any) -> None:
    for snapshot in (IDS[2], IDS[0], IDS[1]):
        put(repository, make_manifest, snapshot)
    repository.store.write(f"snapshots/{IDS[3]}/database.dump", b"half")
    repository.store.write("snapshots/notes/manifest.json", b"not ours")
    repository.store.write(f"snapshots/{IDS[3]}/old/manifest.json", b"{}")
    assert repository.snapshot_ids() == IDS[:3]
    assert [manifest.snapshot for manifest in repository.manifests()] == IDS[:3]


def test_a_manifest_comes_with_the_checksum_of_its_file(repository: Repository, make_manifest: Any) -> None:
    put(repository, make_manifest, IDS[0])
    manifest, checksum = repository.manifest_and_checksum(IDS[0])
    assert manifest.snapshot == IDS[0]
    assert checksum == hashlib.sha256(repository.store.read(layout.manifest_path(IDS[0])).bytes()).hexdigest()


def test_a_manifest_of_another_repository_is_refused(repository: Repository, make_manifest: Any) -> None:
    put(repository, make_manifest, IDS[0], repository="00000000-0000-0000-0000-00000000000f")
    with pytest.raises(RepositoryInvalid, match="is of another repository"):
        repository.manifest(IDS[0])


def test_a_manifest_that_is_gone_is_the_repositorys_fault(repository: Repository) -> None:
    with pytest.raises(RepositoryInvalid, match=f"'snapshots/{IDS[0]}/manifest.json' is gone"):
        repository.manifest(IDS[0])


def test_a_person_selects_by_what_the_manifests_say(repository: Repository, make_manifest: Any) -> None:
    for snapshot in IDS[:3]:
        put(repository, make_manifest, snapshot)
    assert repository.select("2026-11-02", now=NOW, zone=UTC).snapshot == IDS[1]
    assert repository.select("latest", now=NOW, zone=UTC).snapshot == IDS[2]
    with pytest.raises(SnapshotNotFound):
        repository.select("2026-10-02", now=NOW, zone=UTC)


@pytest.mark.parametrize("damage", [b"{}", b"", b"[" * 200_000, b"\xff"], ids=range(4))
def test_a_damaged_manifest_is_an_obstacle_only_for_its_own_snapshot(repository: Repository, make_manifest: Any, damage: bytes) -> None:
    for snapshot in IDS[:3]:
        put(repository, make_manifest, snapshot)
    repository.store.write(layout.manifest_path(IDS[1]), damage, overwrite=True)
    for wanted, found in (("latest", IDS[2]), (IDS[0], IDS[0]), ("2026-11-01", IDS[0]), ("2026-11-09", IDS[2])):
        assert repository.select(wanted, now=NOW, zone=UTC).snapshot == found
    for wanted in (IDS[1], "2026-11-02"):  # its name tells when it was made; the older one is not silently taken for it
        with pytest.raises(RepositoryInvalid, match=IDS[1]):
            repository.select(wanted, now=NOW, zone=UTC)


@pytest.mark.parametrize("damage", [b"{}", b"", b"\xff", None], ids=range(4))
def test_a_survey_goes_on_behind_a_damaged_manifest(repository: Repository, make_manifest: Any, damage: bytes | None) -> None:
    for snapshot in IDS[:3]:
        put(repository, make_manifest, snapshot)
    path, data = layout.manifest_path(IDS[1]), make_manifest(repository, IDS[1]).as_bytes()
    changed = data.replace(b'"complete": true', b'"complete": false') if damage is None else damage
    repository.store.write(path, changed, overwrite=True)
    readable, [damaged] = repository.survey()
    assert [each.snapshot for each in readable] == (IDS[:3] if damage is None else [IDS[0], IDS[2]])
    assert (damaged.snapshot, damaged.path) == (IDS[1], path)
    assert path in damaged.why


def test_a_manifest_that_cannot_be_read_is_an_obstacle_only_for_its_own_snapshot(tmp_path: Path, make_manifest: Any) -> None:
    repository, _ = open_or_create(LocalStore(tmp_path / "repository"), now=NOW)
    for snapshot in IDS[:3]:
        put(repository, make_manifest, snapshot)
    path = tmp_path / "repository" / layout.manifest_path(IDS[1])
    (outside := tmp_path / "outside").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(outside)
    readable, _ = repository.survey()
    assert [each.snapshot for each in readable] == [IDS[0], IDS[2]]
    assert repository.select("latest", now=NOW, zone=UTC).snapshot == IDS[2]


def test_a_chain_goes_back_to_the_snapshot_with_a_full_list(repository: Repository, make_manifest: Any) -> None:
    put(repository, make_manifest, IDS[0])
    put(repository, make_manifest, IDS[1], parent=IDS[0], chain_length=0)
    put(repository, make_manifest, IDS[2], parent=IDS[1], chain_length=1)
    put(repository, make_manifest, IDS[3], parent=IDS[2], chain_length=2)
    assert [entry.path.split("/")[1] for entry in repository.chain(repository.manifest(IDS[3]))] == IDS[1:4]
    assert [entry.path.split("/")[1] for entry in repository.chain(repository.manifest(IDS[1]))] == [IDS[1]]


def test_a_manifest_without_references_is_refused(repository: Repository, make_manifest: Any) -> None:
    put(repository, make_manifest, IDS[0], files=())
    with pytest.raises(RepositoryInvalid, match="names no references"):
        repository.chain(repository.manifest(IDS[0]))


@pytest.mark.parametrize(
    "broken", [{"parent": None, "chain_length": 1}, {"parent": IDS[0], "chain_length": 1}, {"parent": IDS[3], "chain_length": 1}]
)
def test_a_chain_without_a_beginning_is_refused_and_not_followed_for_ever(
    repository: Repository, make_manifest: Any, broken: dict[str, object]
) -> None:
    put(repository, make_manifest, IDS[0], **broken)
    put(repository, make_manifest, IDS[1], parent=IDS[0], chain_length=2)
    put(repository, make_manifest, IDS[3], parent=IDS[0], chain_length=9)
    with pytest.raises(RepositoryInvalid):
        repository.chain(repository.manifest(IDS[1]))


def test_a_local_copy_has_the_bytes_that_the_manifest_says(repository: Repository, tmp_path: Path) -> None:
    repository.store.write(f"snapshots/{IDS[0]}/a", b"contents")
    copy = repository.local_copy(repository.describe(f"snapshots/{IDS[0]}/a"), tmp_path)
    assert copy.parent == tmp_path
    assert copy.read_bytes() == b"contents"
    assert repository.local_copy(repository.describe(f"snapshots/{IDS[0]}/a"), tmp_path) == copy


@pytest.mark.parametrize("found", [b"content", b"contents!", b"CONTENTS", None])
def test_what_is_not_as_the_manifest_says_is_refused_and_leaves_nothing(
    repository: Repository, tmp_path: Path, found: bytes | None
) -> None:
    path = f"snapshots/{IDS[0]}/a"
    entry = FileEntry(path=path, size=8, sha256=hashlib.sha256(b"contents").hexdigest())
    if found is not None:
        repository.store.write(path, found)
    (tmp_path / "copies").mkdir()
    with pytest.raises(RepositoryInvalid, match=f"'{path}'"):
        repository.local_copy(entry, tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []
