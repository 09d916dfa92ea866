"""The process group is killed at random moments, as often as `LOCKSTEP_TEST_KILLS` says: what is listed is sound, and nothing survives."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lockstep.objects.open import open_store
from support.kill_scenarios import told
from support.kills import Place, Victim, a_victim
from support.parsec_shape import add_blocks
from support.world import Deployment, World, same

KILLS = int(os.environ.get("LOCKSTEP_TEST_KILLS", "8"))
"""How often a backup is killed; a restore half as often, a backup with workers a quarter as often."""

OBJECTS = int(os.environ.get("LOCKSTEP_TEST_OBJECTS", "800"))

SEED = int(os.environ.get("LOCKSTEP_TEST_SEED", "5"))

pytestmark = pytest.mark.timeout(300 + 60 * KILLS)

Property = Callable[[str, object], None]


@pytest.fixture
def victim(world: World) -> Iterator[Victim]:
    with a_victim(world) as made:
        yield made


def kill_after(victim: Victim, seconds: float, command: str, *arguments: str) -> bool:
    """Start a command and kill its group after so many seconds; False when it was over by then, which it must have been well."""
    with victim.world.started(command, *arguments, env=victim.settings) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            victim.nothing_survives()
            return True
        assert process.returncode == 0, process.communicate()
        return False


def timed(run: Callable[[], object]) -> float:
    began = time.monotonic()
    run()
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("operation", "options", "kills"),
    [("backup", (), KILLS), ("backup with workers", ("--workers", "2"), max(1, KILLS // 4))],
    ids=["alone", "workers"],
)
def test_a_backup_is_killed_at_random_moments(
    world: World, victim: Victim, record_property: Property, operation: str, options: tuple[str, ...], kills: int
) -> None:
    """Again and again: until there is a snapshot, then until there is another one with a little that is new, then from the beginning."""
    source, chance, place = world.deployment(blocks=OBJECTS, size=(1, 400)), random.Random(SEED), Place(world.repo_path)
    first, later = timed(lambda: world.backup(source, *options)), timed(lambda: world.backup(source, *options))
    place.become(None)
    outcomes: Counter[str] = Counter()
    longer = 1.0  # on a machine that has become slower meanwhile, nothing would ever come of a run that is killed so early
    while outcomes["kills"] < kills:
        before = len(place.listed())
        moment = chance.uniform(0.1, 1.0) * (later if before else first) * longer
        with told(f"{outcomes}, then after {moment:.2f} s"):
            killed = kill_after(victim, moment, "backup", *source.options, *options)
            snapshots = place.sound()
            assert snapshots - before in ({0, 1} if killed else {1})
            outcomes["kills" if killed else "ended before"] += 1
            outcomes["behind"] += killed and snapshots > before
            outcomes["came of it"] += snapshots > before
            longer = 1.0 if snapshots > before else longer * 1.1
        if snapshots == 1 > before:
            with source.connect() as connection:
                add_blocks(connection, source.bucket, source.filled, 50, size=(1, 400), seed=outcomes["came of it"])
        elif snapshots > 1:
            place.become(None)
    ran = world.backup(source, *options, env=victim.settings)
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    assert place.sound() >= 1
    victim.nothing_is_left(place)
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target)
    record_property("random kills", json.dumps({"operation": operation, "objects": OBJECTS, "seed": SEED, **outcomes}))


def test_a_restore_is_killed_at_random_moments(world: World, victim: Victim, record_property: Property) -> None:
    """Over a database that is there: until it is done, then from the beginning."""
    source, chance, databases = world.deployment(blocks=OBJECTS, size=(1, 400)), random.Random(SEED), set[str]()
    assert world.backup(source).returncode == 0
    target = world.nowhere()
    command = ("restore", "latest", *target.options, "--replace")
    takes = timed(lambda: world.run(*command))
    rows, objects = source.tables(), source.filled.objects
    old, databases = _begin_anew(world, target)
    outcomes: Counter[str] = Counter()
    while outcomes["kills"] < max(1, KILLS // 2):
        moment = chance.uniform(0.1, 1.0) * takes
        with told(f"{outcomes}, then after {moment:.2f} s"):
            killed = kill_after(victim, moment, *command)
            outcomes["kills" if killed else "ended before"] += 1
            found = target.tables()
            assert found in (old, rows)
            if found == rows:  # visible: then nothing lacks
                assert target.objects() == objects
                outcomes["came of it"] += 1
                outcomes["behind"] += killed
            left = world.databases() - databases
            assert len([name for name in left if "_lockstep_" in name]) <= 1
        if found == rows:
            old, databases = _begin_anew(world, target)
    assert world.run(*command, env=victim.settings).returncode == 0
    same(source, target)
    assert not [name for name in world.databases() if name.startswith(f"{target.dbname}_lockstep_")]
    victim.nothing_is_left(Place(world.repo_path))
    record_property("random kills", json.dumps({"operation": "restore", "objects": OBJECTS, "seed": SEED, **outcomes}))


def _begin_anew(world: World, target: Deployment) -> tuple[object, set[str]]:
    """An empty bucket and a database with something else in it; its rows, and the databases that there are."""
    for name in world.databases():
        if name.startswith(target.dbname):
            world.admin(f'DROP DATABASE "{name}" WITH (FORCE)')
    store = open_store(target.bucket)
    for page in list(store.list()):
        store.delete([info.key for info in page])
    world.new_database(target.dbname)
    target.execute("CREATE TABLE precious AS SELECT 42 AS n")
    return target.tables(), world.databases()
