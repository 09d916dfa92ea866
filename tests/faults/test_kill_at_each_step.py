"""The process is killed at every step that its code names: what is listed is sound, and the next run needs no help."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.fixture_types import Ran
from support.kill_scenarios import (
    BLOCKS,
    REACHES,
    Scenario,
    backing_up,
    copying,
    empty,
    nothing,
    pruning,
    restoring,
    source_of,
    stop_at_each_step,
    three_snapshots,
)
from support.kills import Place, Victim, a_victim, steps_in_the_code
from support.world import World

Property = Callable[[str, object], None]

pytestmark = pytest.mark.timeout(1800)

SIGNALS = ("KILL", "TERM", "INT")


@pytest.fixture
def victim(world: World) -> Iterator[Victim]:
    with a_victim(world) as made:
        yield made


@pytest.fixture
def stop(victim: Victim, record_property: Property) -> Callable[[Scenario, str], None]:
    """Stops a scenario at each of its steps, and keeps where that was for the tables of the page on faults."""

    def stop_and_count(scenario: Scenario, signal_name: str) -> None:
        steps = stop_at_each_step(victim, scenario, signal_name)
        where = "disk" if all(isinstance(place.at, Path) for place in scenario.places) else "s3"
        record_property("kills", json.dumps({"operation": scenario.name, "where": where, "signal": signal_name, "steps": steps}))

    return stop_and_count


Stop = Callable[[Scenario, str], None]


def in_s3(world: World) -> Place:
    return Place(world.s3.address(world.s3.create_bucket(), prefix="backups"))


def place_of(world: World, where: str) -> Place:
    return Place(world.repo_path) if where == "disk" else in_s3(world)


def test_no_step_of_the_code_is_left_out() -> None:
    assert set().union(*REACHES.values()) == steps_in_the_code()


@pytest.mark.parametrize(("where", "signal_name"), [*(("disk", each) for each in SIGNALS), ("s3", "KILL"), ("s3", "TERM")])
def test_a_backup_is_stopped_at_each_step(world: World, stop: Stop, where: str, signal_name: str) -> None:
    stop(backing_up(source_of(world), place_of(world, where)), signal_name)


def test_a_backup_is_killed_while_it_takes_back_what_it_made(world: World, victim: Victim) -> None:
    place = Place(world.repo_path)
    scenario = backing_up(source_of(world), place)
    for step in ("backup.dumped", "commit.durable", "commit.manifest"):
        scenario.ready()
        ran, _ = victim.run(*scenario.command, at=f"{step}:TERM,draft.hidden:KILL", repo=scenario.repo)
        assert ran.returncode == -9, ran
        assert place.sound() == 0
        ran, _ = victim.run(*scenario.command, repo=scenario.repo)
        assert ran.returncode == 0, ran
        assert place.sound() == 1
        victim.nothing_is_left(place)


@pytest.mark.parametrize("signal_name", SIGNALS)
@pytest.mark.parametrize("options", ["--replace", "--in-place"])
def test_a_restore_is_stopped_at_each_step(world: World, stop: Stop, options: str, signal_name: str) -> None:
    source = source_of(world)
    assert world.backup(source).returncode == 0
    stop(restoring(world, source, options), signal_name)


@pytest.mark.parametrize("signal_name", ["KILL", "TERM"])
@pytest.mark.parametrize("where", ["disk", "s3"])
def test_a_copy_is_stopped_at_each_step(world: World, stop: Stop, where: str, signal_name: str) -> None:
    three_snapshots(world)
    mirror = Place(world.tmp_path / "mirror") if where == "disk" else in_s3(world)
    stop(copying(world, mirror), signal_name)


@pytest.mark.parametrize("signal_name", ["KILL", "TERM"])
def test_a_copy_of_one_snapshot_is_stopped_at_each_step(world: World, stop: Stop, signal_name: str) -> None:
    three_snapshots(world)
    stop(copying(world, Place(world.tmp_path / "mirror"), "latest"), signal_name)


@pytest.mark.parametrize("signal_name", ["KILL", "TERM"])
@pytest.mark.parametrize("where", ["disk", "s3"])
def test_a_prune_is_stopped_at_each_step(world: World, stop: Stop, where: str, signal_name: str) -> None:
    three_snapshots(world)
    stop(pruning(world, place_of(world, where)), signal_name)


@pytest.mark.parametrize("signal_name", ["KILL", "TERM"])
def test_a_repair_is_stopped_at_each_step(world: World, stop: Stop, signal_name: str) -> None:
    source = world.deployment(blocks=BLOCKS, size=200)
    assert world.backup(source).returncode == 0
    lost = list(source.filled.keys[::4])

    def done(ran: Ran, reached: list[str]) -> None:
        assert source.objects() == source.filled.objects
        assert ran.json["still_missing"] == 0
        assert ran.json["restored"] <= (0 if "repair.uploaded" in reached else len(lost))

    def held() -> None:
        assert source.objects().items() <= source.filled.objects.items()

    command = ["repair", *source.options, "--json", "--yes"]
    places = (Place(world.repo_path),)
    stop(Scenario("repair", command, world.repo, places, lambda: empty(world, source, lost), held, done), signal_name)


@pytest.mark.parametrize("signal_name", ["KILL", "TERM"])
def test_a_repair_of_the_repository_is_stopped_at_each_step(world: World, stop: Stop, signal_name: str) -> None:
    source, place = world.deployment(blocks=BLOCKS, size=200), Place(world.repo_path)
    assert world.backup(source).returncode == 0
    objects = world.repo_path / "objects" / "main"
    lost = source.filled.keys[::4]

    def ready() -> None:
        shutil.rmtree(world.repo_path / "verifications", ignore_errors=True)
        for number, key in enumerate(lost):
            (objects / key).unlink() if number % 2 else (objects / key).write_bytes(b"rot")

    def held() -> None:
        assert set(source.filled.keys[1::4]) <= {path.relative_to(objects).as_posix() for path in objects.rglob("*") if path.is_file()}

    def done(ran: Ran, reached: list[str]) -> None:
        assert ran.json["restored"] <= (0 if "heal.done" in reached else len(lost))
        assert place.sound() == 1

    command = ["repair", *source.options, "--repository", "--json", "--yes"]
    stop(Scenario("repair of the repository", command, place.repo, (place,), ready, held, done, damaged=True), signal_name)


def done_well(ran: Ran, _reached: list[str]) -> None:
    assert ran.json["ok"] is True


@pytest.mark.parametrize("signal_name", SIGNALS)
@pytest.mark.parametrize("name", ["drill", "drill on a server of the user's"])
def test_a_drill_is_stopped_at_each_step(world: World, stop: Stop, name: str, signal_name: str) -> None:
    assert world.backup(world.deployment(blocks=10)).returncode == 0
    server = [] if name == "drill" else ["--database", world.postgres.address().conninfo]
    place = Place(world.repo_path)
    stop(Scenario(name, ["drill", "--json", *server], place.repo, (place,), nothing, nothing, done_well), signal_name)


def test_a_verification_is_killed_at_each_step(world: World, stop: Stop) -> None:
    place = Place(world.repo_path)
    assert world.backup(world.deployment(blocks=10)).returncode == 0

    def ready() -> None:
        shutil.rmtree(world.repo_path / "verifications", ignore_errors=True)

    stop(Scenario("verify", ["verify", "--json"], place.repo, (place,), ready, nothing, done_well), "KILL")
