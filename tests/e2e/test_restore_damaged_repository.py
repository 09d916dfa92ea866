"""Whatever is wrong with a repository: a restore from it is right, or it says that it is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.parsec_shape import add_blocks
from support.world import World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, Callable[[Path], None]] = {"flip": flip, "halve": halve, "delete": Path.unlink}


def test_no_damage_to_any_file_goes_unsaid(world: World) -> None:
    source = world.deployment(blocks=3, size=200, vlobs=3)
    first = world.backup(source).json["snapshot"]
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 2, size=200, seed=4)
    newest = world.backup(source).json["snapshot"]
    expected, wanted = source.tables(), source.objects()
    whole = world.tmp_path / "whole"
    shutil.copytree(world.repo_path, whole)
    said: dict[str, int] = {}
    for name, damage in damaged_files(world, newest=newest):
        DAMAGES[damage](world.repo_path / name)
        target, databases = world.nowhere(), world.databases()
        ran = world.restore(target, snapshot=newest)
        said[f"{damage} {name}"] = ran.returncode
        assert "Traceback" not in ran.stderr
        if ran.returncode == 1:
            error_of(ran)
            assert world.databases() == databases, name
        else:
            assert ran.returncode in {0, 3}, (name, ran)
            assert ran.json["consistent"] is (ran.returncode == 0), name
            assert target.tables() == expected, name
            restored = target.objects()
            assert all(wanted[key] == data for key, data in restored.items()), name
            assert len(wanted) - len(restored) == ran.json["objects"]["missing"], name
            assert (len(wanted) == len(restored)) is (ran.returncode == 0), name
        (world.repo_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(whole / name, world.repo_path / name)
    for name in ("database.dump", "references.parquet", "manifest.json"):
        assert said[f"delete snapshots/{newest}/{name}"] == 1
    assert said[f"flip snapshots/{newest}/references.parquet"] == 1
    assert said[f"halve snapshots/{first}/references.parquet"] == 1  # the newest one's list builds on it
    assert {status for name, status in said.items() if " objects/" in name} == {3}


def damaged_files(world: World, *, newest: str) -> Iterator[tuple[str, str]]:
    """Files to damage and how: what the snapshot needs in more ways than one, of the objects one."""
    names = sorted(world.files())
    objects = [name for name in names if name.startswith("objects/")]
    for name in names:
        if name in objects[1:] or name.endswith("database.dump"):
            continue  # how a dump is damaged is told in test_restore_database.py
        yield name, "halve"
        if name.startswith("inventory/") or (newest in name and not name.endswith("manifest.json")):
            yield name, "flip"
    for name in ("database.dump", "references.parquet", "manifest.json"):
        yield f"snapshots/{newest}/{name}", "delete"
    yield objects[0], "flip"


@pytest.mark.parametrize("lost", ["inventory/", "head.json", "objects/"])
def test_the_next_backup_goes_on_or_says_why_not(world: World, lost: str) -> None:
    source, target = world.deployment(blocks=5), world.nowhere()
    first = world.backup(source).json
    for name in world.files():
        if name.startswith(lost):
            (world.repo_path / name).unlink()
            break
    ran = world.backup(source)
    if ran.returncode == 1:
        error_of(ran, kind="repository_invalid")
        return
    assert ran.returncode == 0, ran
    restored = world.restore(target)
    if lost == "objects/":  # kept objects are not looked at by a backup; the restore tells
        assert (restored.returncode, restored.json["objects"]["missing"]) == (3, 1)
        return
    assert restored.returncode == 0, restored
    same(source, target)
    older = world.restore(world.nowhere(), snapshot=first["snapshot"])
    assert older.returncode in {0, 1, 3}
    assert [each["snapshot"] for each in world.snapshots()] == [first["snapshot"], ran.json["snapshot"]]


def test_an_older_head_is_mended_silently(world: World) -> None:
    """As if the power had gone between the manifest and `head.json`."""
    source = world.deployment(blocks=2)
    world.backup(source)
    head = (world.repo_path / "head.json").read_bytes()
    world.backup(source)
    (world.repo_path / "head.json").write_bytes(head)
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    assert "warning" not in ran.stderr.lower()
    assert len(world.snapshots()) == 3
    assert ran.json["snapshot"] in (world.repo_path / "head.json").read_text()


def test_a_repository_may_be_moved_and_be_anywhere(world: World) -> None:
    source, target = world.deployment(blocks=4), world.nowhere()
    odd = world.tmp_path / "my backups é %41 #1 ?x=y&z"
    odd.mkdir()
    world.repo = str(odd / "the repository")
    ran = world.backup(source, "--jobs", "2")
    assert ran.returncode == 0, ran
    assert sorted(path.name for path in world.tmp_path.iterdir()) == ["home", odd.name]
    assert sorted(path.name for path in odd.iterdir()) == ["the repository"]
    (odd / "the repository").rename(world.tmp_path / "moved")
    told = error_of(world.run("list", "--json"), kind="repository_not_found")
    assert str(odd / "the repository") in told
    link = world.tmp_path / "link"
    link.symlink_to(world.tmp_path / "moved")
    for name in ("./moved/", str(link), (world.tmp_path / "moved").as_uri()):
        world.repo = name
        assert len(world.snapshots()) == 1
    world.repo = str(link)
    assert world.backup(source).json["objects"]["new"] == 0
    assert world.restore(target).returncode == 0
    same(source, target)


def test_nothing_in_a_repository_can_make_a_restore_write_elsewhere(world: World) -> None:
    """Objects behind links that lead out of the repository are not read as its own."""
    source, target = world.deployment(blocks=2, size=40), world.nowhere()
    world.backup(source)
    secret = world.tmp_path / "secret"
    secret.write_bytes(b"s" * 40)
    path = world.repo_path / "objects" / "main" / source.filled.keys[0]
    path.unlink()
    path.symlink_to(secret)
    ran = world.restore(target)
    assert ran.returncode == 3, ran
    assert b"s" * 40 not in target.objects().values()
