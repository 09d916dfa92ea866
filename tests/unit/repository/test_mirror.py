"""Which bridges a mirror needs, and whose place it may be."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import RepositoryInvalid, RepositoryLocked, TargetRefused
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.local import LocalStore
from lockstep.progress import SILENT
from lockstep.repository import layout
from lockstep.repository.bridges import NOTHING_REMOVED, load_bridges
from lockstep.repository.copies import known_copies, save_copies
from lockstep.repository.manifest import Previous
from lockstep.repository.mirror import bridged_previous, changed_bridges, commit_bridges, open_mirror, refuse_diverged
from lockstep.repository.repository import Repository

A, B, C = (SnapshotId(f"2026110{day}T000000Z-00000000") for day in (1, 2, 3))
SHA = {A: "aa" * 32, B: "bb" * 32}
NOW = datetime(2026, 11, 22, 12, 40, tzinfo=UTC)


class Mine:
    def check(self) -> None:
        pass


class LostMeanwhile:
    def check(self) -> None:
        raise RepositoryLocked("somebody took the lock away", hint="Wait.")


MINE = Mine()


@pytest.mark.parametrize(
    ("said", "present", "needed", "bridge"),
    [
        (None, (), False, None),
        (B, (A, B), False, None),
        (B, (A,), True, A),
        (B, (), True, None),
        (None, (A,), True, A),
        (A, (A, B), True, B),
    ],
)
def test_a_snapshot_follows_the_nearest_one_that_is_there(
    repository: Repository,
    make_manifest: Any,
    said: SnapshotId | None,
    present: tuple[SnapshotId, ...],
    needed: bool,
    bridge: SnapshotId | None,
) -> None:
    previous = Previous(snapshot=said, sha256=SHA[said]) if said else None
    found = bridged_previous(C, make_manifest(repository, C, previous=previous), {each: SHA[each] for each in present})
    assert found == (needed, Previous(snapshot=bridge, sha256=SHA[bridge]) if bridge else None)


def test_a_mirror_with_snapshots_of_its_own_is_refused(repository: Repository, make_manifest: Any) -> None:
    source = [make_manifest(repository, B, previous=Previous(snapshot=A, sha256=SHA[A]))]
    refuse_diverged(source, NOTHING_REMOVED, [A, B], url="u")  # A is known by name
    with pytest.raises(TargetRefused, match=C):
        refuse_diverged(source, NOTHING_REMOVED, [A, B, C], url="u")
    refuse_diverged(source, NOTHING_REMOVED.model_copy(update={"newest": C}), [A, B, C], url="u")  # it may have been removed


def test_a_mirror_has_the_same_marker_and_another_repository_is_refused(repository: Repository, tmp_path: Path) -> None:
    place = LocalStore(tmp_path / "mirror")
    mirror, new = open_mirror(repository, place)
    assert (mirror.id, new) == (repository.id, True)
    assert place.read(layout.MARKER).bytes() == repository.store.read(layout.MARKER).bytes()
    assert open_mirror(repository, place)[1] is False
    other = LocalStore(tmp_path / "other")
    marker = repository.store.read(layout.MARKER).bytes().replace(repository.id.encode(), b"00000000-0000-0000-0000-000000000000")
    other.create_bucket()
    other.write(layout.MARKER, marker)
    with pytest.raises(TargetRefused):
        open_mirror(repository, other)
    strange = LocalStore(tmp_path / "strange")
    strange.create_bucket()
    strange.write("thesis.tex", b"")
    with pytest.raises(RepositoryInvalid):
        open_mirror(repository, strange)


def test_a_record_takes_the_place_of_the_one_before(repository: Repository) -> None:
    for expected in (1, 2):
        commit_bridges(repository, changed_bridges(load_bridges(repository.store), repository.id, previous={B: None}), MINE)
        assert load_bridges(repository.store).number == expected
    assert [info.key for page in repository.store.list("bridges/") for info in page] == ["bridges/2.json"]


def test_a_record_of_a_writer_that_lost_its_lock_meanwhile_counts_no_longer(repository: Repository) -> None:
    commit_bridges(repository, changed_bridges(load_bridges(repository.store), repository.id, previous={B: None}), MINE)
    with pytest.raises(RepositoryLocked):
        commit_bridges(repository, changed_bridges(load_bridges(repository.store), repository.id, previous={}), LostMeanwhile())
    found = load_bridges(repository.store)
    assert (found.number, found.previous) == (1, {B: None})


def test_what_is_known_of_copies_is_what_the_last_one_found(repository: Repository) -> None:
    for snapshots in ([A], [A, B]):
        save_copies(repository.store, "s3://second", snapshots, now=NOW, listener=SILENT)
    save_copies(repository.store, "file:///third", [B], now=NOW, listener=SILENT)
    assert known_copies(repository.store) == {A: ["s3://second"], B: ["file:///third", "s3://second"]}
    for path in [info.key for page in repository.store.list("copies/") for info in page]:
        repository.store.write(path, repository.store.read(path).bytes().replace(b"2026", b"2025"), overwrite=True)
    assert known_copies(repository.store) == {}
