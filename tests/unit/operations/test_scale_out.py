from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.cli.scaling import scale_out
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.repository import RepositorySettings
from lockstep.encryption.keyring import Keyring
from lockstep.errors import LockstepError, MissingObjects, StoreUnreachable, WorkersFailed
from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.inventory import InventoryEntry, MissingObject, Wanted
from lockstep.model.workers import CarriedError, Shard, ShardReport
from lockstep.objects.local import LocalStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations import scale_out as scaling
from lockstep.operations.fetching import Outcome
from lockstep.operations.scale_out import ScaledWork, ScaleOut, ShardLimits
from lockstep.operations.shard_work import do_shard
from lockstep.progress import SILENT
from lockstep.repository.locks import writer_lock


class Here:
    """A crew that does everything at once, in this process."""

    width, lost = 2, 0

    def __init__(self) -> None:
        self.given: list[Shard] = []
        self.stop = Stop()
        self._reports: list[ShardReport] = []

    def give(self, task: Shard) -> None:
        self.given.append(task)
        self._reports.append(do_shard(task, self.stop))

    def take(self, seconds: float) -> list[ShardReport]:  # noqa: ARG002
        taken, self._reports = self._reports, []
        return taken

    def wind_down(self) -> None:
        self.stop.set()

    def close(self) -> None:
        """Nothing was started."""


@pytest.fixture
def bucket(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "bucket")
    store.create_bucket()
    return store


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LocalStore]:
    """The place of a repository whose lock this process holds."""
    store = LocalStore(tmp_path / "place")
    store.create_bucket()
    with writer_lock(store, "backup", listener=SILENT):
        yield store


def address(path: Path) -> StoreAddress:
    return StoreAddress(f"file://{path}", access_key_id="id-a", secret_access_key="secret-b", session_token="token-c")


@pytest.fixture
def scale(tmp_path: Path) -> ScaleOut:
    """As the command line makes it, from addresses with secrets."""
    deployment = DeploymentSettings(DatabaseAddress("password=secret-d"), (address(tmp_path / "bucket"),))
    made = scale_out(deployment, RepositorySettings(address(tmp_path / "place")), Keyring(("age1x",)), workers=2, dask=None, temporary=None)
    assert made is not None
    return made


def copying(scale: ScaleOut, bucket: LocalStore, place: LocalStore, crew: Here, **options: Any) -> ScaledWork:
    return ScaledWork(crew, scale, {"main": bucket}, place, **{"stop": Stop(), "limits": TransferLimits(), "listener": SILENT, **options})


def filled(bucket: LocalStore, count: int) -> list[Wanted]:
    for number in range(count):
        bucket.write(f"k{number:04}", b"x" * number)
    return [Wanted("main", f"k{number:04}", number) for number in range(count)]


def everything(outcomes: Iterator[list[Outcome]]) -> list[Outcome]:
    return [each for some in outcomes for each in some]


def test_shards_are_cut_so_that_each_worker_has_some_and_none_has_too_much(scale: ScaleOut, bucket: LocalStore, place: LocalStore) -> None:
    crew, wanted = Here(), filled(bucket, 200)
    copied = everything(copying(scale, bucket, place, crew).copy(iter(wanted), objects=200, fail_fast=False))
    assert {each.key for each in copied} == {each.key for each in wanted}
    assert [len(shard.objects) for shard in crew.given] == [25] * 8


def test_no_secret_is_inside_a_task(scale: ScaleOut, bucket: LocalStore, place: LocalStore) -> None:
    crew = Here()
    everything(copying(scale, bucket, place, crew).copy(iter(filled(bucket, 1)), objects=1, fail_fast=False))
    pickled = pickle.dumps(crew.given[0])
    assert b"bucket" in pickled
    assert b"age1x" in pickled
    assert not [secret for secret in (b"id-a", b"secret-b", b"token-c", b"secret-d") if secret in pickled]
    assert "secret-b" not in repr(scale)
    assert scale.secrets["LOCKSTEP_STORE_MAIN_SECRET_ACCESS_KEY"] == "secret-b"


def test_what_a_worker_has_no_time_for_is_given_out_again(
    scale: ScaleOut, bucket: LocalStore, place: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "LIMITS", ShardLimits(seconds=0.0))
    crew, wanted = Here(), filled(bucket, 3)
    outcomes = copying(scale, bucket, place, crew).copy(iter(wanted), objects=3, fail_fast=False)
    assert [next(outcomes) for _ in range(3)] == [[], [], []]
    monkeypatch.setattr(scaling, "LIMITS", ShardLimits())
    assert len(everything(outcomes)) == 3


def test_the_last_that_is_left_is_shared(scale: ScaleOut, bucket: LocalStore, place: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "LIMITS", ShardLimits(seconds=0.0, objects=100, shards_each=1))
    crew, wanted = Here(), filled(bucket, 100)
    outcomes = copying(scale, bucket, place, crew).copy(iter(wanted), objects=1000, fail_fast=False)
    assert next(outcomes) == []
    monkeypatch.setattr(scaling, "LIMITS", ShardLimits())
    assert len(everything(outcomes)) == 100
    assert [len(shard.objects) for shard in crew.given] == [100, 50, 50]


def test_what_cannot_be_had_is_told_apart_from_what_was_copied(scale: ScaleOut, bucket: LocalStore, place: LocalStore) -> None:
    wanted = [*filled(bucket, 2), Wanted("main", "gone", 7)]
    found = everything(copying(scale, bucket, place, Here()).copy(iter(wanted), objects=3, fail_fast=False))
    assert sorted(each.key for each in found if isinstance(each, InventoryEntry)) == ["k0000", "k0001"]
    assert [each for each in found if isinstance(each, MissingObject)] == [MissingObject("main", "gone", 7, "lost")]


def test_an_error_of_a_worker_is_raised_here_after_what_was_copied(scale: ScaleOut, bucket: LocalStore, place: LocalStore) -> None:
    wanted = [*filled(bucket, 30), Wanted("main", "gone", 7)]
    outcomes, found = copying(scale, bucket, place, Here()).copy(iter(wanted), objects=31, fail_fast=True), list[Outcome]()
    with pytest.raises(MissingObjects, match="gone"):
        found.extend(each for some in outcomes for each in some)
    assert found


@pytest.mark.parametrize("change", [{"proof": "other"}, {"version": "0.0.1"}])
def test_a_worker_that_sees_another_place_or_is_of_another_version_refuses(
    scale: ScaleOut, bucket: LocalStore, place: LocalStore, change: dict[str, Any]
) -> None:
    crew = Here()
    everything(copying(scale, bucket, place, crew).copy(iter(filled(bucket, 1)), objects=1, fail_fast=False))
    place.delete(["objects/main/k0000"])
    report = do_shard(replace(crew.given[0], **change), Stop())
    assert report.error is not None
    assert report.error.kind == "WorkersFailed"
    assert (report.outcomes, list(place.list("objects/"))) == ((), [])


def test_without_a_lock_nothing_is_given_out(scale: ScaleOut, bucket: LocalStore, tmp_path: Path) -> None:
    place, crew = LocalStore(tmp_path / "place"), Here()
    with pytest.raises(WorkersFailed, match="lock"):
        everything(copying(scale, bucket, place, crew).copy(iter(filled(bucket, 1)), objects=1, fail_fast=False))
    assert crew.given == []


def test_a_stop_takes_what_the_workers_have_by_then(scale: ScaleOut, bucket: LocalStore, place: LocalStore) -> None:
    crew, stop = Here(), Stop()
    outcomes = copying(scale, bucket, place, crew, stop=stop).copy(iter(filled(bucket, 200)), objects=10_000, fail_fast=False)
    first = next(outcomes)
    stop.set()
    assert everything(outcomes) == []
    assert len(first) == 200
    assert not crew.stop.is_set()  # nobody had anything in hand


def test_every_error_of_ours_can_be_carried(scale: ScaleOut) -> None:
    assert scale.processes == 2
    for kind in (StoreUnreachable, MissingObjects, WorkersFailed):
        carried = CarriedError(kind.__name__, "a message", "A hint.")
        made = scaling._as_error(carried)
        assert isinstance(made, LockstepError)
        assert (type(made), made.message, made.hint) == (kind, "a message", "A hint.")
