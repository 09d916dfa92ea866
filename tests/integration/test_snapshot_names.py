"""A snapshot's name sorts behind every row of the inventory that it may use, whatever the clock and chance say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from lockstep.deployment.deployment import Deployment
from lockstep.errors import StoreUnreachable
from lockstep.model.snapshots import SnapshotId, new_snapshot_id
from lockstep.objects.open import open_store
from lockstep.operations import backup as module
from lockstep.operations.backup import backup
from lockstep.operations.backup_options import BackupOptions, CatchUp
from lockstep.progress import Event, StageEnded
from lockstep.repository import layout
from support import world as worlds
from support.fixture_types import Lockstep, PostgresServers
from support.parsec_shape import add_blocks
from support.servers import SeaweedFS
from support.sound_repository import local_store
from support.world import World, open_world, same

LARGEST = 0xFFFFFFFF
BEFORE_THE_FREEZE = BackupOptions(catch_up=CatchUp(from_objects=0))
"""Objects are copied before the snapshot has its name."""


@pytest.fixture
def world(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_servers: PostgresServers, s3_server: SeaweedFS, tmp_path: Path
) -> Iterator[World]:
    with open_world(lockstep, lockstep_environment, postgres_servers(18), s3_server, tmp_path) as made:
        yield made


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Freezes every moment in one second, and deals these numbers instead of random ones, again and again."""

    def name(_frozen_at: datetime, *, newest: SnapshotId | None, randomness: int) -> SnapshotId:
        return new_snapshot_id(datetime(2026, 11, 22, 12, 40, tzinfo=UTC), newest=newest, randomness=randomness)

    def deal(*numbers: int) -> None:
        dealt = cycle(numbers)
        monkeypatch.setattr("lockstep.operations.backup.secrets.randbits", lambda _bits: next(dealt))

    monkeypatch.setattr(module, "new_snapshot_id", name)
    return deal


def killed_after_copying(event: Event) -> None:
    if isinstance(event, StageEnded) and event.stage == "objects":
        raise StoreUnreachable("the machine lost its power", hint="Wait.")


def recorded(world: World) -> list[str]:
    """The runs that the inventory's segments are named for."""
    return [name[len(layout.INVENTORY) :][:25] for name in world.files() if name.startswith(layout.INVENTORY)]


def opened(source: worlds.Deployment) -> Deployment:
    return Deployment(source.database, {"main": open_store(source.bucket)})


def restored_whole(world: World, source: worlds.Deployment, snapshot: str) -> None:
    target = world.nowhere()
    ran = world.restore(target, snapshot=snapshot)
    assert ran.returncode == 0, ran
    assert (ran.json["consistent"], ran.json["objects"]["missing"]) == (True, 0)
    same(source, target)


@pytest.mark.parametrize("numbers", [(LARGEST, 0), (LARGEST - 1, 0), (0x80000000, 0), (0, 0), (LARGEST, LARGEST)])
def test_a_snapshot_has_what_was_copied_before_it_had_its_name(world: World, chance: Any, numbers: tuple[int, ...]) -> None:
    source = world.deployment(blocks=6, vlobs=2)
    place = local_store(world.repo_path)
    chance(*numbers)
    made = backup(opened(source), place, options=BEFORE_THE_FREEZE)
    assert made.complete
    assert made.snapshot > max(recorded(world))
    restored_whole(world, source, made.snapshot)


def test_a_snapshot_has_what_killed_runs_left_however_late_their_names_are(world: World, chance: Any) -> None:
    source = world.deployment(blocks=6, vlobs=2)
    place = local_store(world.repo_path)
    chance(LARGEST - 2)
    for blocks in (0, 3):
        if blocks:
            with source.connect() as connection:
                add_blocks(connection, source.bucket, source.filled, blocks, seed=8)
        with pytest.raises(StoreUnreachable):
            backup(opened(source), place, options=BEFORE_THE_FREEZE, listener=killed_after_copying)
    left = recorded(world)
    assert len(set(left)) == 2
    chance(0)
    made = backup(opened(source), place)
    assert (made.complete, made.requests.get) == (True, 0)  # all of it was copied by the killed runs
    assert made.snapshot > max(left)
    again = backup(opened(source), place)
    assert again.snapshot > made.snapshot
    assert again.objects.new == 0
    for snapshot in (made.snapshot, again.snapshot):
        restored_whole(world, source, snapshot)
