"""Operations that are to be stopped at each of their steps: the ground they need, what must hold after a kill, and after the next run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.fixture_types import Ran
from support.kills import Place, Victim, status_of
from support.parsec_shape import add_blocks, delete_objects, put_objects
from support.world import Deployment, World

BLOCKS = 40

SEARCH = 2
"""How many requests more it takes to find the object that lies under its older key."""

_LOCK = {"lock.taken", "lock.leaving"}
_COPYING = {"object.copied", "file.made", "journal.flushed", "journal.written", "journal.gathered"}
_COMMIT = {"commit.signed", "commit.durable", "commit.manifest", "commit.head", "commit.done"}
_BACKUP = {"frozen", "planned", "referenced", "dumped", "copied", "asked_again", "catching_up"}
_RESTORE = {"prepared", "bucket", "uploaded", "created", "filled", "proved", "renamed_aside", "renamed", "visible"}
_DRILL = {"drill.prepared", "drill.created", "drill.filled", "drill.database", "drill.done", "drill.recorded", "file.made"}
_COPY = {"marked", "begun", "object", "objects", "file", "recorded", "signed", "durable", "manifest", "snapshots", "head", "told"}
_PRUNE = {"planned", "folded", "gathered", "durable", "recorded", "head", "snapshots", "unnamed", "records", "objects", "done"}

REACHES: dict[str, set[str]] = {
    "backup": {f"backup.{each}" for each in _BACKUP} | _LOCK | _COPYING | _COMMIT | {"repository.marked", "reclaim.done", "dump.chunk"},
    "abandon": {"draft.hidden"},
    "restore": {f"restore.{each}" for each in _RESTORE} | {"object.uploaded"},
    "in place": {"restore.prepared", "restore.bucket", "object.uploaded", "restore.uploaded", "restore.filled_in_place", "restore.visible"},
    "repair": {"repair.planned", "object.uploaded", "repair.uploaded"},
    "repair of the repository": _LOCK | {"heal.planned", "heal.object", "heal.done", "verify.record_begun", "verify.recorded", "file.made"},
    "drill": _DRILL | {"drill.server"},
    "drill on a server of the user's": _DRILL,
    "verify": {"verify.record_begun", "verify.recorded", "file.made"},
    "copy": {f"copy.{each}" for each in _COPY} | _LOCK | {"file.made", "reclaim.done"},
    "copy of one": {f"copy.{each}" for each in _COPY} | _LOCK | {"file.made", "reclaim.done", "bridges.signed", "bridges.written"},
    "backup with locks": {"locks.begun", "locks.set", "locks.extended", "locks.closed"},
    "prune": {f"prune.{each}" for each in _PRUNE} | _LOCK | {"file.made", "reclaim.done", "bridges.signed", "bridges.written"},
}
"""What each scenario comes past, which the scenarios hold; together it is all that the code names, which a test holds."""

ONLY_ON_A_DISK = {"file.made"}


@dataclass
class Scenario:
    """An operation that is to be killed: its command line, what makes the ground ready for it, and what must hold after it ran."""

    name: str
    command: list[str]
    repo: str
    places: tuple[Place, ...]
    """The repositories that must be sound, whenever the kill was."""
    ready: Callable[[], None]
    held: Callable[[], None]
    """Must hold after a kill, whenever it was."""
    done: Callable[[Ran, list[str]], None]
    """Must hold after the next run, which is told what the killed one reached."""
    damaged: bool = False
    """The repository is damaged until the operation is done."""
    resumes: bool = False
    """A stop leaves files of snapshots that are none, for the next run to go on with."""
    refused_after: frozenset[str] = frozenset()
    """Steps after which the next run is refused, since there is nothing left to do."""

    @property
    def steps(self) -> set[str]:
        """What a whole run comes past."""
        elsewhere = not any(isinstance(place.at, Path) for place in self.places)
        return REACHES[self.name] - (ONLY_ON_A_DISK if elsewhere else set())


def stop_at_each_step(victim: Victim, scenario: Scenario, signal_name: str, *, only: set[str] | None = None) -> list[str]:
    """Stop the operation at each step that it comes to (or at some) and let it run again; where that was, each step once."""
    scenario.ready()
    databases = victim.world.databases()
    reached = sorted(scenario.steps if only is None else only)
    if only is None:
        ran, found = victim.run(*scenario.command, repo=scenario.repo)
        assert ran.returncode == 0, ran
        assert set(found) == scenario.steps
        scenario.done(ran, [])
        leaves_nothing(victim, scenario, databases)
        reached = found
    for step in reached:
        with told(f"{scenario.name}: {signal_name} at {step}"):
            scenario.ready()
            ran, came_to = victim.run(*scenario.command, at=f"{step}:{signal_name}", repo=scenario.repo)
            assert ran.returncode == status_of(signal_name), ran
            _check_stopped(victim, scenario, ran, databases, handled=signal_name != "KILL")
            ran, _ = victim.run(*scenario.command, repo=scenario.repo)
            if step in scenario.refused_after:
                assert ran.json["error"]["kind"] == "target_refused", ran
                continue
            assert ran.returncode == 0, ran
            scenario.done(ran, came_to)
            for place in scenario.places:
                place.sound()
            leaves_nothing(victim, scenario, databases)
    return reached


def _check_stopped(victim: Victim, scenario: Scenario, ran: Ran, databases: set[str], *, handled: bool) -> None:
    victim.nothing_survives()
    scenario.held()
    if handled:
        assert "Traceback" not in ran.stderr, ran
        assert ran.stdout == "", ran
        leaves_nothing(victim, scenario, databases, stopped=True)
    if not scenario.damaged:
        for place in scenario.places:
            place.sound()


@contextmanager
def told(what: str) -> Iterator[None]:
    """Let a failure say what was being tried."""
    try:
        yield
    except BaseException as error:
        error.add_note(what)
        raise


def leaves_nothing(victim: Victim, scenario: Scenario, databases: set[str], *, stopped: bool = False) -> None:
    victim.nothing_is_left(*scenario.places, locks=scenario.command[0] in {"backup", "prune"}, files=not (stopped and scenario.resumes))
    assert not [name for name in victim.world.databases() - databases if "_lockstep_" in name]


def nothing() -> None:
    """Nothing is to be made ready, and nothing more must hold."""


def empty(world: World, deployment: Deployment, keys: list[str] | None = None) -> None:
    for key in deployment.objects() if keys is None else keys:
        world.s3.client().delete_object(Bucket=deployment.bucket_name, Key=key)


def source_of(world: World, blocks: int = BLOCKS) -> Deployment:
    """A deployment with an object that lies under its older key: it is found when all others are copied."""
    source = world.deployment(blocks=blocks, size=200, vlobs=6)
    block = source.filled.blocks[0]
    delete_objects(source.bucket, [block.key])
    put_objects(source.bucket, [(block.key.replace("-", ""), block.contents())])
    return source


def backing_up(source: Deployment, place: Place) -> Scenario:
    """A first backup."""
    blocks = len(source.filled.blocks)

    def held() -> None:
        assert len(place.listed()) <= 1

    def done(ran: Ran, reached: list[str]) -> None:
        assert ran.json["complete"] is True
        assert ran.json["objects"]["referenced"] == blocks
        gets = ran.json["requests"]["get"]
        if "backup.copied" in reached:
            assert gets < blocks / 2, reached  # what was journalled is not fetched again, but the one that takes some asking may be
        elif "journal.written" in reached:
            assert gets < blocks + SEARCH, reached
        else:
            assert gets == blocks + SEARCH

    command = ["backup", *source.options, "--json"]
    return Scenario("backup", command, place.repo, (place,), lambda: place.become(None), held, done)


def restoring(world: World, source: Deployment, *options: str) -> Scenario:
    """A restore over a database that somebody loves, or into an empty one."""
    target, in_place = world.nowhere(), "--in-place" in options
    saved: list[object] = []

    def ready() -> None:
        for name in world.databases():
            if name.startswith(target.dbname):
                world.admin(f'DROP DATABASE "{name}" WITH (FORCE)')
        empty(world, target)
        world.new_database(target.dbname)
        if not in_place:
            target.execute("CREATE TABLE precious AS SELECT 42 AS n")
        saved[:] = [target.tables()]

    def held() -> None:
        rows = target.tables()
        assert rows in (saved[0], source.tables())
        assert rows == saved[0] or target.objects() == source.filled.objects

    def done(ran: Ran, reached: list[str]) -> None:
        assert target.tables() == source.tables()
        assert target.objects() == source.filled.objects
        assert ran.json["objects"]["uploaded"] == (0 if "restore.uploaded" in reached else ran.json["objects"]["uploaded"])

    name, refused = ("in place", frozenset({"restore.filled_in_place", "restore.visible"})) if in_place else ("restore", frozenset())
    command = ["restore", "latest", *target.options, "--json", "--create-bucket", *options]
    return Scenario(name, command, world.repo, (Place(world.repo_path),), ready, held, done, refused_after=refused)


def three_snapshots(world: World) -> Deployment:
    """A repository with three snapshots, each of which has objects that the others do not reference."""
    source = world.deployment(blocks=20, size=200)
    assert world.backup(source).returncode == 0
    for number in (1, 2):
        with source.connect() as connection:
            connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT 5)")
            add_blocks(connection, source.bucket, source.filled, 5, seed=number)
        assert world.backup(source).returncode == 0
    return source


def copying(world: World, mirror: Place, *snapshots: str) -> Scenario:
    """A copy into a place where nothing is yet."""

    def ready() -> None:
        mirror.become(None)

    def done(ran: Ran, _reached: list[str]) -> None:
        count = len(snapshots) or 3
        assert (ran.json["ok"], len(mirror.listed())) == (True, count)
        for each in mirror.listed():
            path = f"snapshots/{each.snapshot}/manifest.json"
            assert mirror.store.read(path).bytes() == (world.repo_path / path).read_bytes()

    places = (mirror, Place(world.repo_path))
    command = ["copy", mirror.repo, *snapshots, "--json"]
    return Scenario("copy of one" if snapshots else "copy", command, world.repo, places, ready, nothing, done, resumes=True)


def pruning(world: World, place: Place) -> Scenario:
    """A prune that keeps the newest of three."""
    model = world.tmp_path / "model"
    shutil.copytree(world.repo_path, model)
    newest = Place(model).listed()[-1].snapshot

    def held() -> None:
        assert newest in {each.snapshot for each in place.listed()}

    def done(ran: Ran, _reached: list[str]) -> None:
        assert ran.json["kept"] == [newest]
        objects = [name for name in place.files() if name.startswith(("objects/", "odd/"))]
        assert len(objects) == 20, "what only removed snapshots referenced is gone, and nothing else"

    def ready() -> None:
        place.become(model)

    command = ["prune", "--keep-last", "1", "--grace", "0h", "--yes", "--json"]
    return Scenario("prune", command, place.repo, (place,), ready, held, done, resumes=True)
