"""A repository that somebody changed on purpose, checksums and all: it is refused in a sentence, and costs neither time, room nor data."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lockstep.repository.seal import seal
from support.parsec_shape import add_blocks
from support.world import Deployment, World, error_of

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

LARGE = 10**30
ELSEWHERE = ("/etc/passwd", "../../outside", "snapshots/../../outside", "objects/main/../../../outside", "C:\\outside", "")


@pytest.fixture
def source(world: World) -> Deployment:
    """Backed up twice; the newest snapshot builds on the references of the first."""
    made = world.deployment(blocks=6, size=60)
    world.backup(made)
    with made.connect() as connection:
        add_blocks(connection, made.bucket, made.filled, 2, size=60, seed=3)
    assert world.backup(made).returncode == 0
    return made


def manifests(world: World) -> list[Path]:
    return sorted(world.repo_path.glob("snapshots/*/manifest.json"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a sealed file as one who knows how it is made."""
    document = json.loads(path.read_bytes())
    del document["checksum"]
    change(document)
    path.write_bytes(seal(json.dumps(document, indent=2)))


def describe_again(manifest: Path, name: str) -> None:
    """Let a manifest say what a file of its snapshot is now."""
    data = (manifest.parent / name).read_bytes()

    def change(document: dict[str, Any]) -> None:
        entry = next(each for each in document["files"] if each["path"].endswith(name))
        entry.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    rewrite(manifest, change)


def reseal(world: World) -> None:
    """Let each manifest name the one before it as it is now, and the head the newest."""
    before: dict[str, str] = {}

    def follow(document: dict[str, Any]) -> None:
        document.update(previous=dict(before) or None)

    for path in manifests(world):
        rewrite(path, follow)
        before.update(snapshot=path.parent.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    rewrite(world.repo_path / "head.json", lambda document: document.update(before))


@contextmanager
def harmed(world: World) -> Iterator[None]:
    """Whatever is done to the repository in the block is undone behind it."""
    whole = world.tmp_path / "whole"
    shutil.copytree(world.repo_path, whole)
    try:
        yield
    finally:
        shutil.rmtree(world.repo_path)
        whole.rename(world.repo_path)


def refuses_everything(world: World, source: Deployment, *, what: str = "") -> None:
    """No command gets through, none hangs, and nothing appears on the servers."""
    target = world.nowhere()
    before = world.databases()
    ran = world.restore(target)
    assert ran.returncode in {1, 3}, ran
    assert "Traceback" not in ran.stderr, ran
    if ran.returncode == 1:
        error_of(ran)
        assert world.databases() == before
        assert target.objects().items() <= source.objects().items()
    else:
        assert ran.json["consistent"] is False
    proven = world.run("verify", "--read-data", "--json")
    assert proven.returncode == 3, (what, proven)
    for command in (["drill", "--json"], ["show", "latest", "--objects", "--json"], ["prune", "--keep-last", "1", "--dry-run", "--json"]):
        ran = world.run(*command)
        assert ran.returncode in {0, 1, 3}, ran
        assert "Traceback" not in ran.stderr, ran
        assert command[0] != "drill" or ran.returncode != 0, ran


def point_elsewhere(entry: str, told: dict[str, object], document: dict[str, Any]) -> None:
    document[entry][0].update(told)


@pytest.mark.parametrize("entry", ["files", "inventory"])
def test_a_manifest_that_points_elsewhere_is_refused(world: World, source: Deployment, entry: str) -> None:
    outside = world.tmp_path / "outside"
    outside.write_bytes(b"x" * 10)
    for path in ELSEWHERE:
        with harmed(world):
            told = {"path": path, "size": 10, "sha256": hashlib.sha256(b"x" * 10).hexdigest()}
            rewrite(manifests(world)[-1], partial(point_elsewhere, entry, told))
            reseal(world)
            refuses_everything(world, source)
    assert outside.read_bytes() == b"x" * 10


ABSURD: dict[str, Callable[[dict[str, Any]], None]] = {
    "a size that no file has": lambda document: document["files"][0].update(size=LARGE),
    "a size below nothing": lambda document: document["files"][0].update(size=-1),
    "a dump that fits nowhere": lambda document: document["dump"].update(size_bytes=LARGE),
    "more references than there are": lambda document: document["objects"].update(referenced=LARGE),
    "a chain without end": lambda document: document.update(chain_length=LARGE),
    "a chain that is cut": lambda document: document.update(chain_length=0),
    "its own parent": lambda document: document.update(parent=document["snapshot"]),
    "no time": lambda document: document.update(created="9999-99-99T00:00:00Z"),
    "no files": lambda document: document.update(files=[]),
}


def test_absurd_manifests_are_refused(world: World, source: Deployment) -> None:
    for absurd, change in ABSURD.items():
        with harmed(world):
            rewrite(manifests(world)[-1], change)
            reseal(world)
            refuses_everything(world, source, what=absurd)


@pytest.mark.parametrize("name", ["database.dump", "references.parquet", "manifest.json", "../../lockstep.json", "../../head.json"])
@pytest.mark.parametrize("kind", ["fifo", "link", "directory"])
@pytest.mark.usefixtures("source")
def test_what_is_no_file_is_neither_waited_for_nor_followed(world: World, name: str, kind: str) -> None:
    path = (manifests(world)[-1].parent / name).resolve()
    outside = world.tmp_path / "outside"
    with harmed(world):
        path.rename(outside)
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to(outside)
        else:
            path.mkdir()
        ran = world.run("verify", "--json")
        assert ran.returncode in {1, 3}, ran
        ran = world.restore(world.nowhere())
        if name == "manifest.json":  # it is not there then, nor is its snapshot
            assert (ran.returncode, ran.json["snapshot"]) == (0, manifests(world)[0].parent.name), ran
            assert "has lost its manifest" in ran.stderr
        elif name.endswith("head.json"):
            assert ran.returncode == 0, ran
        else:
            error_of(ran)
        assert world.run("list", "--json").returncode in {0, 1}
    outside.unlink(missing_ok=True)


def test_a_list_that_unfolds_to_more_than_the_manifest_says_is_not_unfolded(world: World, source: Deployment) -> None:
    """A few kilobytes of Parquet can hold two thousand million rows."""
    [first, _] = manifests(world)
    bomb = first.parent / "references.parquet"
    for key, rows in (("repeat('k', 60000)", 2_000_000), ("'k'", 40_000_000)):
        with harmed(world):
            bomb.unlink()
            made = f"SELECT 'main' AS store, {key} AS key, 1::BIGINT AS size, '+' AS change FROM range({rows})"
            duckdb.execute(f"COPY ({made}) TO '{bomb}' (FORMAT parquet, COMPRESSION zstd)")
            describe_again(first, "references.parquet")
            reseal(world)
            refuses_everything(world, source)


def test_swapped_dumps_do_not_get_through_even_with_their_checksums(world: World, source: Deployment) -> None:
    one, other = (path.parent / "database.dump" for path in manifests(world))
    with harmed(world):
        one.rename(one.with_name("aside"))
        other.rename(one)
        one.with_name("aside").rename(other)
        refuses_everything(world, source)
        for path in manifests(world):
            describe_again(path, "database.dump")
        reseal(world)
        refuses_everything(world, source)


def test_a_manifest_of_another_repository_is_no_snapshot_of_this_one(world: World, source: Deployment) -> None:
    here = world.repo
    world.repo = str(world.tmp_path / "other")
    made = world.backup(source).json["snapshot"]
    foreign = world.repo_path / "snapshots" / made
    world.repo = here
    with harmed(world):
        shutil.copytree(foreign, world.repo_path / "snapshots" / made)
        error_of(world.restore(world.nowhere(), snapshot=made), kind="repository_invalid")
        assert made not in [each["snapshot"] for each in world.run("list", "--json").json["snapshots"]]
        assert world.run("verify", "--json").returncode == 3
        assert world.backup(source).returncode == 1
