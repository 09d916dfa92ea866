from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from lockstep.errors import DiskFailed, LockstepError, RepositoryInvalid, RepositoryLocked
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.model.retention import Policy
from lockstep.objects import known
from lockstep.objects.memory import MemoryStore
from lockstep.objects.store import ObjectStore
from lockstep.objects.wrapped import WrappedStore
from lockstep.operations.prune import PruneOptions, plan_prune, prune
from lockstep.operations.verify import verify
from lockstep.progress import SILENT, Event, Note
from lockstep.repository import locks
from lockstep.repository.bridges import load_bridges
from lockstep.repository.copies import known_copies, save_copies
from lockstep.repository.drills import save_drill
from lockstep.repository.locks import LeaseTimes
from support.kept_repository import Keeper

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEWEST_ONE = PruneOptions(Policy(last=1))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else wants these locks, and this store does not forget for a moment: there is nothing to wait for."""
    monkeypatch.setattr(locks, "LeaseTimes", lambda: LeaseTimes(settle=0.0))
    monkeypatch.setattr(known, "time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def keeper(store: MemoryStore, tmp_path: Path) -> Keeper:
    return Keeper(store, tmp_path)


@pytest.fixture
def ids(keeper: Keeper) -> list[str]:
    """Four snapshots; each has an object of its own, and one is common to all."""
    return [keeper.backup({"common": b"c", f"of day {day}": bytes([day])}, at=DAY + timedelta(days=day)) for day in range(4)]


def everything(store: ObjectStore) -> dict[str, bytes]:
    return {info.key: store.read(info.key).bytes() for page in store.list() for info in page if not info.key.startswith("locks/")}


def done(store: ObjectStore, options: PruneOptions = NEWEST_ONE, *, now: datetime | None = None) -> tuple[tuple[str, ...], int]:
    plan = prune(store, options=options, now=now or datetime.now(UTC), zone=UTC).plan
    return plan.removed, plan.objects


def counted(store: ObjectStore) -> set[str]:
    """What lies there, without what has a number in its name."""
    numbered = ("bridges/", "inventory/", "snapshots/", "verifications/")
    return {path for path in everything(store) if not path.startswith(numbered)}


def sound(keeper: Keeper) -> None:
    with verify(keeper.store, now=DAY, zone=UTC) as found:
        assert list(found.findings()) == []


def test_a_repository_without_any_object_is_pruned_too(store: MemoryStore, keeper: Keeper) -> None:
    ids = [keeper.backup({}, at=DAY + timedelta(days=day)) for day in range(3)]
    assert done(store) == ((ids[0], ids[1]), 0)
    sound(keeper)


def test_a_place_with_nothing_but_its_marker_has_nothing_to_remove(store: MemoryStore, keeper: Keeper) -> None:
    keeper.backup({}, at=DAY, stop=True)
    assert done(store) == ((), 0)


def lose_manifest(store: MemoryStore, ids: list[str]) -> str:
    store.delete([f"snapshots/{ids[1]}/manifest.json"])
    return ids[1]


def alter_manifest(store: MemoryStore, ids: list[str]) -> str:
    path = f"snapshots/{ids[3]}/manifest.json"
    store.write(path, store.read(path).bytes().replace(b'"complete": true', b'"complete": null'), overwrite=True)
    return path


def rewrite_date(store: MemoryStore, ids: list[str]) -> str:
    path = f"snapshots/{ids[2]}/manifest.json"
    store.write(path, store.read(path).bytes().replace(b"2026-03-03", b"2029-03-03"), overwrite=True)
    return path


def damage_references(store: MemoryStore, ids: list[str]) -> str:
    path = f"snapshots/{ids[1]}/references.parquet"  # of one that goes, but the newest is told by it
    store.write(path, store.read(path).bytes()[:-9] + b"123456789", overwrite=True)
    return path


def lose_segment(store: MemoryStore, ids: list[str]) -> str:
    path = f"inventory/{ids[0]}-0.parquet"
    store.delete([path])
    return path


def damage_record(store: MemoryStore, ids: list[str]) -> str:
    done(store, PruneOptions(Policy(last=3)))
    assert ids
    store.write("bridges/1.json", b"{}", overwrite=True)
    return "bridges/1.json"


@pytest.mark.parametrize("harm", [lose_manifest, alter_manifest, rewrite_date, damage_references, lose_segment, damage_record])
def test_nothing_is_removed_while_it_is_not_known_what_is_needed(
    store: MemoryStore, ids: list[str], harm: Callable[[MemoryStore, list[str]], str]
) -> None:
    named = harm(store, ids)
    before = everything(store)
    for run in (prune, plan_prune):
        with pytest.raises(RepositoryInvalid, match=named):
            run(store, options=NEWEST_ONE, now=DAY, zone=UTC)
    assert everything(store) == before


def test_damage_of_what_goes_and_nothing_else_builds_on_is_in_nobodys_way(store: MemoryStore, keeper: Keeper, ids: list[str]) -> None:
    done(store)
    newest = keeper.backup({"common": b"c"}, at=DAY + timedelta(days=9))
    store.write(f"snapshots/{ids[3]}/database.dump", b"rotten", overwrite=True)
    assert done(store)[0] == (ids[3],)
    assert keeper.restored(newest) == {"common": b"c"}


def test_no_snapshot_goes_that_was_not_in_the_plan_which_a_person_saw(store: MemoryStore, keeper: Keeper, ids: list[str]) -> None:
    seen = plan_prune(store, options=NEWEST_ONE, now=DAY, zone=UTC)
    keeper.backup({"common": b"c"}, at=DAY + timedelta(days=9))
    before = everything(store)
    with pytest.raises(LockstepError, match=ids[3]):
        done(store, replace(NEWEST_ONE, agreed=seen))
    assert everything(store) == before
    assert done(store, PruneOptions(Policy(last=2), agreed=seen))[0] == tuple(ids[:3])


class Forgetful(WrappedStore):
    """A service whose listings leave out what it has."""

    def __init__(self, store: ObjectStore, hidden: str) -> None:
        super().__init__(store)
        self.hidden = hidden

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        for page in super().list(prefix, after=after, until=until):
            yield [info for info in page if info.key != self.hidden]


def test_a_listing_that_leaves_out_a_snapshot_does_not_cost_its_objects(store: MemoryStore, ids: list[str]) -> None:
    before = everything(store)
    with pytest.raises(RepositoryInvalid, match=ids[2]):
        done(Forgetful(store, f"snapshots/{ids[2]}/manifest.json"), PruneOptions(Policy(last=3)))
    assert everything(store) == before


def test_of_a_listing_that_does_not_show_what_is_needed_only_what_is_known_to_be_needless_goes(
    store: MemoryStore, keeper: Keeper, ids: list[str]
) -> None:
    store.write("objects/main/of nobody", b"?")
    heard: list[Event] = []
    place = Forgetful(store, "objects/main/common")
    plan = prune(place, options=NEWEST_ONE, now=DAY, zone=UTC, listener=heard.append).plan
    assert (plan.removed, plan.objects) == (tuple(ids[:3]), 3)
    assert any(isinstance(each, Note) and "not in the listing" in each.message for each in heard)
    assert keeper.pool() == {"objects/main/common", "objects/main/of day 3", "objects/main/of nobody"}
    assert done(store) == ((), 1)
    assert keeper.restored(ids[3]) == {"common": b"c", "of day 3": b"\3"}


def test_a_replaced_segment_that_a_listing_leaves_out_does_not_count_again(store: MemoryStore, keeper: Keeper, ids: list[str]) -> None:
    first = f"inventory/{ids[0]}-0.parquet"
    data = store.read(first).bytes()
    done(store, PruneOptions(Policy(last=2)))
    store.write(first, data)  # as if its deletion had been lost
    done(Forgetful(store, first), PruneOptions(Policy(last=1)))
    assert first in load_bridges(store).replaced
    again = {"common": b"c", "of day 0": b"\0"}
    assert keeper.restored(keeper.backup(again, at=DAY + timedelta(days=5))) == again


def test_what_a_stopped_backup_copied_waits_for_the_next(store: MemoryStore, keeper: Keeper, ids: list[str]) -> None:
    keeper.backup({"days of work": b"w"}, at=DAY + timedelta(days=5), stop=True)
    plan = prune(store, options=NEWEST_ONE, now=datetime.now(UTC), zone=UTC).plan
    assert (plan.objects, plan.spared) == (3, 1)
    assert "objects/main/days of work" in keeper.pool()
    assert done(store, now=datetime.now(UTC) + timedelta(days=8)) == ((), 1)
    assert keeper.pool() == {"objects/main/common", "objects/main/of day 3"}
    assert keeper.restored(ids[3]) == {"common": b"c", "of day 3": b"\3"}
    sound(keeper)


def test_what_was_said_of_removed_snapshots_is_forgotten(store: MemoryStore, ids: list[str]) -> None:
    for snapshot in ids:
        save_drill(store, snapshot, DAY, {"ok": True, "snapshot": snapshot})
    save_copies(store, "s3://other", ids, now=DAY, listener=SILENT)
    with verify(store, now=DAY, zone=UTC) as found:
        assert found.ok
    done(store)
    left = everything(store)
    assert [path for path in left if path.startswith("drills/")] == [f"drills/20260301T120000Z-{ids[3]}.json"]
    assert known_copies(store) == {ids[3]: ["s3://other"]}
    assert all(ids[0].encode() not in left[path] for path in ("verifications/1.json", "verifications/2.json"))


class Overtaken(WrappedStore):
    """A place at which a prune is suspended before it first writes, and another one, which keeps two, does all its work meanwhile."""

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        if not load_bridges(self._store).number:
            self._store.delete([locks.LEASE])  # taken over, and given back
            done(self._store, PruneOptions(Policy(last=2)))
        return super().write_stream(key, chunks, attributes=attributes, overwrite=overwrite)


@pytest.mark.usefixtures("ids")
def test_a_prune_that_slept_while_another_one_did_its_work_harms_nothing(keeper: Keeper, store: MemoryStore) -> None:
    contents = {"common": b"c", "of day 0": b"\0"}, {"common": b"c"}
    kept = [keeper.backup(objects, at=DAY + timedelta(days=day)) for day, objects in enumerate(contents, start=4)]
    with pytest.raises(RepositoryLocked):
        prune(Overtaken(store), options=NEWEST_ONE, now=DAY, zone=UTC)
    sound(keeper)
    assert [keeper.restored(snapshot) for snapshot in kept] == list(contents)
    assert load_bridges(store).number == 1


class Dying(WrappedStore):
    """A place at which the power goes before the n-th deletion."""

    def __init__(self, store: ObjectStore, deletions: int) -> None:
        super().__init__(store)
        self.left = deletions

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            if not key.startswith("locks/"):
                self.left -= 1
                if self.left < 0:
                    raise DiskFailed("the power went", hint="Wait.")
            super().delete([key])


def test_wherever_a_prune_ends_the_next_one_goes_on(keeper: Keeper, store: MemoryStore, ids: list[str], tmp_path: Path) -> None:
    save_drill(store, ids[0], DAY, {"ok": True, "snapshot": ids[0]})
    before = everything(store)
    done(store)
    wanted = counted(store)
    for deletions in range(0, 100, 2):
        place = MemoryStore()
        for path, data in before.items():
            place.write(path, data)
        try:
            prune(Dying(place, deletions), options=NEWEST_ONE, now=DAY, zone=UTC)
        except DiskFailed:
            survivor = Keeper(place, tmp_path, keeper.living)
            sound(survivor)
            done(place)
            sound(survivor)
            assert counted(place) == wanted
            assert survivor.restored(ids[3]) == {"common": b"c", "of day 3": b"\3"}
        else:
            assert deletions > 10
            return
    raise AssertionError("it never ended")
