"""Objects that lie encrypted in the repository: nobody reads them without an identity, and every command works with them all the same."""

from __future__ import annotations

import os
from pathlib import Path

import pyrage
import pytest

from support.parsec_shape import add_blocks, delete_objects
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

MARKER = b"meet me at the old mill"
LARGE = MARKER + os.urandom(5 << 20)
"""Larger than what is read at once, so it streams."""


@pytest.fixture
def pair(world: World) -> tuple[str, str]:
    """A recipient, and the file with its identity."""
    return new_pair(world, "identity.txt")


def new_pair(world: World, name: str) -> tuple[str, str]:
    path = world.tmp_path / name
    ran = world.lockstep("key", "generate", "--output", str(path), "--json")
    assert ran.returncode == 0, ran
    return str(ran.json["recipient"]), str(path)


def bucket_of(world: World, objects: dict[str, bytes]) -> Deployment:
    source = Deployment(world.new_database(), world.new_bucket())
    for key, body in objects.items():
        world.s3.client().put_object(Bucket=source.bucket_name, Key=key, Body=body)
    return source


def test_keys_of_every_kind_and_objects_of_every_size_come_back(world: World, pair: tuple[str, str]) -> None:
    recipient, identity = pair
    objects = {
        "a": MARKER,
        "b/large": LARGE,
        "empty": b"",
        "x.age": b"not age",
        "x": b"x",
        "with\ttab": MARKER,
        "odd\t": LARGE,
        "n" * 253: b"long",
    }
    source, target = bucket_of(world, objects), world.nowhere()
    made = world.backup(source, "--app", "bucket", "--recipient", recipient, "--encrypt-objects")
    assert made.returncode == 0, made
    files = world.files()
    assert MARKER not in b"".join((world.repo_path / path).read_bytes() for path in files)
    assert [path for path in files if path.startswith("objects/")] == []
    assert len([path for path in files if path.startswith(("encrypted/main/", "odd/")) and path.endswith(".age")]) == len(objects)
    again = world.backup(source, "--app", "bucket", "--recipient", recipient, "--encrypt-objects")
    assert (again.json["objects"]["reused"], again.json["objects"]["new"]) == (len(objects), 0)

    for given in ((), ("--identity", identity)):
        sound = world.run("verify", "--json", "--read-data", *given)
        assert (sound.returncode, sound.json["checked"]["objects_read"]) == (0, len(objects)), sound
        some = world.run("verify", "--json", "--read-data=50", *given)
        assert (some.returncode, some.json["checked"]["objects_read"]) == (0, len(objects) / 2), some
    assert world.restore(target, "--identity", identity).returncode == 0
    client = world.s3.client()
    restored = {key: client.get_object(Bucket=target.bucket_name, Key=key)["Body"].read() for key in objects}
    assert restored == objects
    exported = world.run("export", "latest", str(world.tmp_path / "out"), "--json", "--identity", identity)
    assert exported.returncode == 0, exported
    assert (world.tmp_path / "out" / "objects" / "b" / "large").read_bytes() == LARGE
    drilled = world.run("drill", "--json", "--identity", identity, "--database", world.postgres.address().conninfo)
    assert drilled.returncode == 0, drilled


def test_damage_and_wrong_identities_are_found_before_anything_comes_of_them(world: World, pair: tuple[str, str]) -> None:
    recipient, identity = pair
    source, target = world.deployment(blocks=6), world.nowhere()
    plain = world.backup(source, "--recipient", recipient)
    with source.connect() as connection:
        filled = add_blocks(connection, source.bucket, source.filled, 4, seed=7)
    assert world.backup(source, "--recipient", recipient, "--encrypt-objects").json["objects"]["new"] == 4
    assert "--encrypt-objects" in error_of(world.backup(source, "--recipient", recipient), status=2, kind="configuration")

    _, stranger = new_pair(world, "stranger.txt")
    before = world.everything(source, target)
    for only in ("objects", "database"):
        assert "no identity" in error_of(world.restore(target, "--only", only), status=2, kind="identity_needed")
        told = error_of(world.restore(target, "--only", only, "--identity", stranger), status=2, kind="identity_needed")
        assert "encrypted to others" in told
    for arguments in (["export", "latest", str(world.tmp_path / "out")], ["drill"], ["verify", "--read-data"]):
        error_of(world.run(*arguments, "--json", "--identity", stranger), status=2, kind="identity_needed")
    assert world.everything(source, target) == before
    assert not (world.tmp_path / "out").exists()
    # What the first snapshot has is plain: its objects alone need no identity.
    assert world.restore(world.nowhere(), "--only", "objects", snapshot=plain.json["snapshot"]).returncode == 0

    mirror = str(world.tmp_path / "mirror")
    assert world.run("copy", mirror, "--json").json["objects"]["copied"] == 10
    assert world.run("verify", "--json", "--read-data", "--identity", identity, repo=mirror).returncode == 0
    lost = [key for key in filled.keys if key not in source.filled.keys][:2]
    delete_objects(source.bucket, lost)
    error_of(world.run("repair", *source.options, "--yes", "--json"), status=2, kind="identity_needed")
    assert world.run("repair", *source.options, "--yes", "--json", "--identity", identity).json["restored"] == 2

    first, second = (world.repo_path / "encrypted" / "main" / f"{key}.age" for key in lost)
    flip(first)
    second.write_bytes(pyrage.encrypt(b"forged", [pyrage.x25519.Recipient.from_str(recipient)]))
    for given in ((), ("--identity", identity)):
        found = world.run("verify", "--json", "--read-data", *given).json["findings"]
        assert sorted(each["key"] for each in found) == sorted(lost)
    ran = world.restore(target, "--identity", identity)
    assert (ran.returncode, sorted(ran.json["objects"]["missing_sample"])) == (3, sorted(lost))
    drilled = world.run("drill", "--json", "--identity", identity, "--database", world.postgres.address().conninfo)
    assert drilled.returncode == 3
    # The bucket cannot heal that, since what is encrypted anew is something else. A mirror has the very bytes.
    assert world.run("repair", *source.options, "--repository", "--yes", "--json").json["still_missing"] == 2
    first.unlink()
    assert world.run("copy", world.repo, "--json", repo=mirror).json["objects"]["copied"] == 2
    sound = world.run("verify", "--json", "--read-data", "--identity", identity)
    assert sound.returncode == 0, sound


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def test_a_repository_in_an_object_store_and_workers_encrypt_too(world: World, pair: tuple[str, str]) -> None:
    recipient, identity = pair
    source, target = world.deployment(blocks=12, size=(1, 4096)), world.nowhere()
    repo = f"{world.new_bucket().url}/repository"
    endpoint = ("--endpoint-url", str(source.bucket.endpoint_url))
    keys = ("--recipient", recipient, "--encrypt-objects", "--workers", "2")
    made = world.run("backup", *source.options, "--json", *keys, repo=repo)
    assert made.returncode == 0, made
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 3, seed=2)
    assert world.run("backup", *source.options, "--json", *keys, repo=repo).json["objects"]["new"] == 3
    pruned = world.run("prune", "--keep-last", "1", "--yes", "--json", *endpoint, repo=repo)
    assert pruned.returncode == 0, pruned
    for given in ((), ("--identity", identity)):
        sound = world.run("verify", "--json", "--read-data", *endpoint, *given, repo=repo)
        assert sound.returncode == 0, sound
    restored = world.run("restore", "latest", *target.options, "--json", "--identity", identity, "--workers", "2", repo=repo)
    assert restored.returncode == 0, restored
    same(source, target)
    local = str(world.tmp_path / "local")
    copied = world.run("copy", local, "--json", *endpoint, repo=repo)
    assert copied.returncode == 0, copied
    assert world.run("verify", "--json", "--read-data", "--identity", identity, repo=local).returncode == 0
