"""What a policy does not keep is gone, with what only it needed; all that stays is whole, and the next backup goes on from it."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from support.parsec_shape import add_blocks
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def access(world: World) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": world.s3.endpoint_url}


def pruned(world: World, *arguments: str, status: int = 0) -> Any:
    ran = world.run("prune", *arguments, "--yes", "--json", env=access(world))
    assert ran.returncode == status, ran
    return ran.json


def sound(world: World) -> None:
    proven = world.run("verify", "--read-data", "--json", env=access(world))
    assert (proven.returncode, proven.json["findings"]) == (0, []), proven


def change(world: World, source: Deployment, *, seed: int, gone: int = 0, new: int = 3, tag: str | None = None) -> str:
    """Forget the rows of some objects, add others, and back up."""
    with source.connect() as connection:
        connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT %s)", [gone])
        add_blocks(connection, source.bucket, source.filled, new, size=(1, 900), seed=seed)
    ran = world.backup(source, *(("--tag", tag) if tag else ()))
    assert ran.returncode == 0, ran
    return str(ran.json["snapshot"])


def listed(world: World) -> list[str]:
    return [each["snapshot"] for each in world.run("list", "--json", env=access(world)).json["snapshots"]]


def objects_of(world: World, snapshot: str) -> set[str]:
    return {each["key"] for each in world.run("show", snapshot, "--objects", "--json", env=access(world)).json["objects"]}


def stored(world: World) -> set[str]:
    """The keys of the objects in the repository."""
    if world.repo.startswith("s3://"):
        bucket, _, prefix = world.repo.removeprefix("s3://").partition("/")
        pages = world.s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/objects/main/")
        paths = [item["Key"].removeprefix(f"{prefix}/") for page in pages for item in page.get("Contents", [])]
    else:
        paths = [path for path in world.files() if path.startswith("objects/")]
    return {path.removeprefix("objects/main/") for path in paths}


def test_nothing_is_removed_while_somebody_reads_it(world: World) -> None:
    source, target = world.deployment(blocks=12, size=(1, 900)), world.nowhere()
    first, second = str(world.backup(source).json["snapshot"]), change(world, source, seed=1, gone=4)
    with world.started("restore", first, *target.options, "--json") as reader:
        deadline = time.monotonic() + 60
        while not any(path.startswith("locks/reader-") for path in world.files()):
            assert reader.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        reader.send_signal(signal.SIGSTOP)
        refused = world.run("prune", "--keep-last", "1", "--yes", "--json")
        reader.send_signal(signal.SIGCONT)
        restored = reader.communicate(timeout=60)
    assert "by a running restore" in error_of(refused, status=4, kind="repository_locked")
    assert reader.returncode == 0, restored
    assert listed(world) == [first, second]
    assert pruned(world, "--keep-last", "1")["kept"] == [second]
    sound(world)


@pytest.mark.parametrize("place", ["disk", "bucket"])
def test_what_no_kept_snapshot_needs_goes_and_all_else_is_whole(world: World, place: str) -> None:
    if place == "bucket":
        world.repo = f"s3://{world.s3.create_bucket()}/backups"
    source, target = world.deployment(blocks=12, size=(1, 900)), world.nowhere()
    ids = [str(world.backup(source).json["snapshot"])]
    ids += [change(world, source, seed=seed, gone=2, tag="release" if seed == 2 else None) for seed in range(1, 7)]
    before = {snapshot: objects_of(world, snapshot) for snapshot in ids}
    kept = [ids[2], ids[5], ids[6]]
    needed = set().union(*(before[each] for each in kept))
    gone = set().union(*before.values()) - needed
    assert gone
    told = pruned(world, "--keep-last", "2", "--keep-tag", "release", "--dry-run")
    assert (told["kept"], told["removed"], told["objects_removed"]) == (kept, [ids[0], ids[1], ids[3], ids[4]], len(gone))
    assert listed(world) == ids
    done = pruned(world, "--keep-last", "2", "--keep-tag", "release")
    assert {key: done[key] for key in told} == told
    assert done["bytes_freed"] > done["objects_bytes"] > 0
    assert listed(world) == kept
    assert stored(world) == needed
    assert {snapshot: objects_of(world, snapshot) for snapshot in kept} == {snapshot: before[snapshot] for snapshot in kept}
    sound(world)
    again = pruned(world, "--keep-last", "2", "--keep-tag", "release")
    assert (again["removed"], again["objects_removed"], again["bytes_freed"]) == ([], 0, 0)
    latest = change(world, source, seed=9, new=2)
    assert world.run("show", latest, "--json", env=access(world)).json["objects"]["new"] == 2
    assert pruned(world, "--keep-last", "1")["kept"] == [latest]
    sound(world)
    assert stored(world) == objects_of(world, latest)
    restored = world.restore(target)
    assert restored.returncode == 0, restored
    same(source, target, keys=sorted(stored(world)))
