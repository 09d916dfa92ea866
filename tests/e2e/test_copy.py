"""A second repository with the same snapshots: only what lacks travels, and nothing damaged arrives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.parsec_shape import add_blocks, delete_objects
from support.servers import MotoServer
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def copied(world: World, target: Path | str, *arguments: str, status: int = 0, env: dict[str, str] | None = None) -> Any:
    ran = world.run("copy", str(target), *arguments, "--json", env=env)
    assert ran.returncode == status, ran
    return ran.json


def sound(world: World, repo: Path | str, *, env: dict[str, str] | None = None) -> None:
    proven = world.run("verify", "--read-data", "--json", repo=str(repo), env=env)
    assert (proven.returncode, proven.json["findings"]) == (0, []), proven


def add(world: World, source: Deployment, number: int, *, seed: int, status: int = 0) -> str:
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, number, seed=seed)
    ran = world.backup(source)
    assert ran.returncode == status, ran
    return str(ran.json["snapshot"])


def test_a_mirror_gets_what_it_lacks_and_is_as_good_as_the_first(world: World, tmp_path: Path) -> None:
    source, target = world.deployment(blocks=20, size=(1, 900)), world.nowhere()
    first = world.backup(source).json["snapshot"]
    mirror = tmp_path / "mirror"
    done = copied(world, mirror)
    assert (done["snapshots"]["copied"], done["new"], done["objects"]["copied"], done["findings"]) == ([first], True, 20, [])
    assert (mirror / "lockstep.json").read_bytes() == (world.repo_path / "lockstep.json").read_bytes()
    second = add(world, source, 5, seed=1)
    (mirror / "objects" / "main" / source.filled.keys[0]).unlink()  # what the mirror lost comes back too
    done = copied(world, mirror)
    assert (done["snapshots"], done["objects"]["copied"]) == ({"copied": [second], "already_there": [first], "left_out": []}, 6)
    for snapshot in (first, second):
        path = f"snapshots/{snapshot}/manifest.json"
        assert (mirror / path).read_bytes() == (world.repo_path / path).read_bytes()
    sound(world, mirror)
    assert copied(world, mirror)["objects"]["copied"] == 0
    assert not (mirror / "bridges").exists()
    listed = world.snapshots()
    assert [row["copies"] for row in listed] == [[mirror.as_uri()]] * 2
    assert f"copies of 2 are in {mirror.as_uri()}" in world.run("list").stdout
    world.repo = str(mirror)
    assert world.snapshots()[0]["copies"] == [(tmp_path / "repository").as_uri()]
    restored = world.restore(target)
    assert restored.returncode == 0, restored
    same(source, target)


def test_some_snapshots_alone_are_a_whole_repository_and_the_rest_can_follow(world: World, tmp_path: Path) -> None:
    source, target = world.deployment(blocks=10, size=50), world.nowhere()
    ids = [str(world.backup(source).json["snapshot"]), *(add(world, source, 3, seed=seed) for seed in range(1, 5))]
    mirror = tmp_path / "mirror"
    assert copied(world, mirror, ids[1], ids[3])["snapshots"]["copied"] == [ids[1], ids[3]]
    sound(world, mirror)
    assert copied(world, mirror, ids[2])["snapshots"]["copied"] == [ids[2]]
    sound(world, mirror)
    assert copied(world, mirror)["snapshots"]["copied"] == [ids[0], ids[4]]
    sound(world, mirror)
    [record] = (mirror / "bridges").glob("*.json")
    assert json.loads(record.read_text())["previous"] == {}  # the whole history is there: nothing is to be bridged any more
    world.repo = str(mirror)
    proven = world.run("drill", ids[2], "--json")
    assert (proven.returncode, proven.json["ok"]) == (0, True), proven
    assert world.restore(target).returncode == 0
    same(source, target)
    assert world.backup(source).json["objects"]["new"] == 0  # a mirror can take the first one's place
    world.repo = str(tmp_path / "repository")
    assert "of this repository" in error_of(world.run("copy", str(mirror), "--json"), kind="target_refused")


def test_what_is_damaged_is_found_and_does_not_travel(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=12, size=100)
    ids = [str(world.backup(source).json["snapshot"]), *(add(world, source, 3, seed=seed) for seed in (1, 2))]
    kept = world.repo_path / "objects" / "main"
    rotten, gone = source.filled.keys[:2]
    (kept / rotten).write_bytes(b"x" * 100)
    (kept / gone).unlink()
    dump = world.repo_path / "snapshots" / ids[1] / "database.dump"
    dump.write_bytes(dump.read_bytes()[:-10])
    mirror = tmp_path / "mirror"
    done = copied(world, mirror, status=3)
    found = {(each["kind"], each["key"] or each["path"]): each["snapshots"] for each in done["findings"]}
    assert found == {
        ("damaged", rotten): ids,
        ("missing", gone): ids,
        ("truncated", f"snapshots/{ids[1]}/database.dump"): [ids[1]],
    }
    assert (done["snapshots"]["copied"], done["snapshots"]["left_out"]) == ([ids[0], ids[2]], [ids[1]])
    there = {path.name for path in mirror.rglob("*") if path.is_file()}
    assert not there & {Path(rotten).name, Path(gone).name}
    proven = world.run("verify", "--read-data", "--json", repo=str(mirror))
    assert {(each["kind"], each["key"]) for each in proven.json["findings"]} == {("missing", rotten), ("missing", gone)}
    assert "not copied" in world.run("copy", str(mirror)).stderr
    assert world.run("repair", "--repository", "--yes", *source.options).returncode == 0
    done = copied(world, mirror, status=3)
    assert (done["objects"]["copied"], len(done["findings"])) == (2, 1)
    sound(world, mirror)


def test_another_repository_is_refused_and_so_is_the_first_one(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=2)
    assert world.backup(source).returncode == 0
    other = tmp_path / "other"
    assert world.run("backup", *source.options, repo=str(other)).returncode == 0
    before = sorted(path for path in other.rglob("*"))
    error_of(world.run("copy", str(other), "--json"), kind="target_refused")
    assert sorted(path for path in other.rglob("*")) == before
    error_of(world.run("copy", world.repo, "--json"), status=2)
    error_of(world.run("copy", f"{world.repo}/objects/x", "--json"), kind="target_refused")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    error_of(world.run("copy", str(tmp_path / "full"), "--json"), kind="repository_invalid")
    error_of(world.run("copy", str(tmp_path / "new"), "--json", repo=str(tmp_path / "nothing")), kind="repository_not_found")
    error_of(world.run("copy", str(tmp_path / "new"), "20200101T000000Z-00000000", "--json"), kind="snapshot_not_found")
    error_of(world.run("copy", "--json"), status=2)
    assert not (tmp_path / "new").exists()


def test_to_a_bucket_and_back_with_keys_that_a_disk_cannot_hold(world: World, moto_server: MotoServer, tmp_path: Path) -> None:
    source = world.deployment(blocks=8, size=300)
    client, odd = world.s3.client(), ("a/b", "tab\t", "ﬁle")
    for key in odd:
        client.put_object(Bucket=source.bucket_name, Key=key, Body=key.encode(), ContentType="text/x-odd")
    at_moto = {"ENDPOINT_URL": moto_server.endpoint_url, "ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "moto-secret"}
    env = {f"LOCKSTEP_{repo}_{name}": value for repo in ("REPO", "REPO2") for name, value in at_moto.items()}
    first, second = f"s3://{moto_server.create_bucket()}/repo", f"s3://{moto_server.create_bucket()}/mirror"
    world.repo = first
    made = world.run("backup", *source.options, "--app", "bucket", "--json", env=env)
    assert made.returncode == 0, made
    assert copied(world, second, env=env)["objects"]["copied"] == 11
    sound(world, second, env=env)
    back = tmp_path / "back"
    world.repo = second
    assert copied(world, back, env=env)["objects"]["copied"] == 11
    sound(world, back)
    shutil.rmtree(back / "copies")
    world.repo, target = str(back), world.nowhere()
    restored = world.restore(target)
    assert restored.returncode == 0, restored
    for key in odd:
        assert client.get_object(Bucket=target.bucket_name, Key=key)["Body"].read() == key.encode()
        for bucket in (source.bucket_name, target.bucket_name):
            client.delete_object(Bucket=bucket, Key=key)
    same(source, target)
    again = copied(world, second, env=env)
    assert (again["objects"]["copied"], again["snapshots"]["copied"]) == (0, [])


def test_a_killed_copy_goes_on_where_it_ended(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=900, size=4_000)
    assert world.backup(source).returncode == 0
    mirror = tmp_path / "mirror"
    with world.started("copy", str(mirror), "--concurrency", "1") as process:
        kept = mirror / "objects" / "main"
        while not kept.exists() or sum(1 for path in kept.rglob("*-*")) < 30:
            assert process.poll() is None, process.communicate()
        process.kill()
    assert world.run("list", "--json", repo=str(mirror)).json["snapshots"] == []
    done = copied(world, mirror)
    assert done["objects"]["already_there"] >= 30
    assert done["objects"]["copied"] + done["objects"]["already_there"] == 900
    sound(world, mirror)


def test_what_a_snapshot_lacks_it_lacks_in_the_mirror_too(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=6)
    delete_objects(source.bucket, [source.filled.keys[0]])
    assert world.backup(source).returncode == 3
    copied(world, tmp_path / "mirror")
    missing = world.run("show", "latest", "--missing", "--json", repo=str(tmp_path / "mirror")).json["missing"]
    assert [each["key"] for each in missing] == [source.filled.keys[0]]
