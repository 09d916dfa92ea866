"""A first backup copies before it freezes: in rounds that end, also when writers are faster, and after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.deployment.deployment import Deployment
from lockstep.errors import StoreUnreachable
from lockstep.objects.open import open_store
from lockstep.operations.backup import backup
from lockstep.operations.backup_options import BackupOptions, CatchUp
from lockstep.progress import Event, Note, StageEnded, StageStarted
from support import world as worlds
from support.fixture_types import Lockstep, PostgresServers
from support.parsec_shape import add_blocks, delete_objects
from support.servers import SeaweedFS
from support.sound_repository import local_store
from support.world import World, open_world, same

OPTIONS = BackupOptions(catch_up=CatchUp(from_objects=0, rounds=3))


@pytest.fixture
def world(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_servers: PostgresServers, s3_server: SeaweedFS, tmp_path: Path
) -> Iterator[World]:
    with open_world(lockstep, lockstep_environment, postgres_servers(18), s3_server, tmp_path) as made:
        yield made


def opened(source: worlds.Deployment) -> Deployment:
    return Deployment(source.database, {"main": open_store(source.bucket)})


class Heard:
    """What was told of rounds; `after_each` is called when the objects of one have been copied."""

    def __init__(self, after_each: Callable[[int], None]) -> None:
        self.rounds: list[str] = []
        self.stages: list[str] = []
        self._after_each, self._copied = after_each, 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note) and ("round" in event.fields or "rounds" in event.fields):
            self.rounds.append(event.message)
        if isinstance(event, StageStarted):
            self.stages.append(event.stage)
        if isinstance(event, StageEnded) and event.stage == "objects":
            self._copied += 1
            self._after_each(self._copied)


def test_writers_that_are_faster_than_the_copying_do_not_keep_the_freeze_from_coming(world: World) -> None:
    source = world.deployment(blocks=6, vlobs=2)
    sources = [source]

    def write(round_: int) -> None:
        if round_ <= 3:
            with source.connect() as connection:
                sources.append(replace(source, filled=add_blocks(connection, source.bucket, sources[-1].filled, 4, seed=round_)))

    heard = Heard(write)
    made = backup(opened(source), local_store(world.repo_path), options=OPTIONS, listener=heard)
    assert heard.rounds == [
        "much is new (6 objects): copying before the dump, round 1 of at most 3",
        "much is new (4 objects): copying before the dump, round 2 of at most 3",
        "much is new (4 objects): copying before the dump, round 3 of at most 3",
        "after 3 rounds 4 objects are new again: the dump comes now, and they are copied beside it",
    ]
    assert heard.stages.index("database") == 3  # behind the copying of three rounds
    assert (made.complete, made.objects.referenced, made.objects.new, made.requests.get) == (True, 18, 18, 18)
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target)


def test_objects_that_are_missing_are_asked_for_in_one_round_only(world: World) -> None:
    source = world.deployment(blocks=6, vlobs=2)
    delete_objects(source.bucket, source.filled.keys)
    heard = Heard(lambda _: None)
    made = backup(opened(source), local_store(world.repo_path), options=OPTIONS, listener=heard)
    assert heard.rounds == ["much is new (6 objects): copying before the dump, round 1 of at most 3"]
    assert (made.complete, made.objects.missing) == (False, 6)


def test_what_was_copied_before_a_kill_is_not_copied_again_and_the_snapshot_is_of_the_second_run(world: World) -> None:
    source = world.deployment(blocks=6, vlobs=2)
    place = local_store(world.repo_path)

    def kill(_round: int) -> None:
        raise StoreUnreachable("the machine lost its power", hint="Wait.")

    with pytest.raises(StoreUnreachable):
        backup(opened(source), place, options=OPTIONS, listener=Heard(kill))
    assert world.snapshots() == []
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 3, seed=5)
    heard = Heard(lambda _: None)
    made = backup(opened(source), place, options=OPTIONS, listener=heard)
    assert heard.rounds == ["much is new (3 objects): copying before the dump, round 1 of at most 3"]
    assert (made.complete, made.objects.referenced, made.requests.get) == (True, 9, 3)
