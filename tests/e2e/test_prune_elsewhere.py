"""Prunes of repositories that are not the plain ones: versions, mirrors, overwritten objects, encryption; and beside other runs."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from support.parsec_shape import add_blocks, put_objects
from support.servers import MotoServer
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def changed(world: World, source: Deployment, *arguments: str, seed: int, gone: int = 3) -> str:
    with source.connect() as connection:
        connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT %s)", [gone])
        add_blocks(connection, source.bucket, source.filled, 2, size=(1, 900), seed=seed)
    ran = world.backup(source, *arguments)
    assert ran.returncode == 0, ran
    return str(ran.json["snapshot"])


def pruned(world: World, *arguments: str, repo: str | None = None, env: dict[str, str] | None = None) -> Any:
    ran = world.run("prune", *arguments, "--yes", "--json", repo=repo, env=env)
    assert ran.returncode == 0, ran
    return ran.json


def sound(world: World, *arguments: str, repo: str | None = None, env: dict[str, str] | None = None) -> None:
    proven = world.run("verify", "--read-data", "--json", *arguments, repo=repo, env=env)
    assert (proven.returncode, proven.json["findings"]) == (0, []), proven


@pytest.mark.parametrize("locked", [False, True])
def test_of_a_bucket_with_versions_it_says_that_nothing_is_freed(world: World, moto_server: MotoServer, locked: bool) -> None:
    source, client = world.deployment(blocks=6, size=50), moto_server.client()
    bucket = f"kept-{'locked' if locked else 'versions'}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=locked)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    world.repo = f"s3://{bucket}/r"
    access = {
        "LOCKSTEP_REPO_ENDPOINT_URL": moto_server.endpoint_url,
        "LOCKSTEP_REPO_ACCESS_KEY_ID": moto_server.access_key_id,
        "LOCKSTEP_REPO_SECRET_ACCESS_KEY": moto_server.secret_access_key,
    }
    world.environment = {**world.environment, **access}
    ids = [str(world.backup(source, env=access).json["snapshot"])]
    with source.connect() as connection:
        connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT 2)")
    ids.append(str(world.backup(source, env=access).json["snapshot"]))
    done = pruned(world, "--keep-last", "1", env=access)
    assert (done["removed"], done["objects_removed"], done["bytes_freed"]) == ([ids[0]], 2, 0)
    assert (done["bytes_are"], done["bytes_deleted"] > 100) == ("locked" if locked else "kept", True)
    sound(world, env=access)
    versions = client.list_object_versions(Bucket=bucket, Prefix="r/objects/")["Versions"]
    assert len(versions) == 6  # they are all there


def test_a_mirror_and_the_first_repository_are_pruned_each_for_itself(world: World, tmp_path: Path) -> None:
    source, target, mirror = world.deployment(blocks=20, size=(1, 900)), world.nowhere(), str(tmp_path / "mirror")
    ids = [str(world.backup(source).json["snapshot"]), *(changed(world, source, seed=seed) for seed in range(1, 5))]
    assert world.run("copy", mirror, "--json").returncode == 0
    pruned(world, "--keep-last", "2")
    ids.append(changed(world, source, seed=5))
    copied = world.run("copy", mirror, "--json")
    assert (copied.returncode, copied.json["snapshots"]["copied"]) == (0, [ids[5]]), copied
    assert pruned(world, "--keep-last", "3", repo=mirror)["kept"] == ids[3:]
    pruned(world, "--keep-last", "1")
    ids.append(changed(world, source, seed=6))
    copied = world.run("copy", mirror, "--json")
    assert (copied.returncode, copied.json["snapshots"]["copied"]) == (0, [ids[6]]), copied
    pruned(world, "--keep-last", "1", repo=mirror)
    for place in (world.repo, mirror):
        sound(world, repo=place)
    assert world.restore(target).returncode == 0
    world.repo = mirror
    assert [each["snapshot"] for each in world.snapshots()] == [ids[6]]
    assert world.run("drill", "latest", "--json").returncode == 0


def test_of_an_object_that_is_overwritten_each_kept_snapshot_keeps_its_version(world: World) -> None:
    source, ids = world.deployment(blocks=2, size=10), []
    for day in range(4):
        put_objects(source.bucket, [("page", f"of day {day}".encode()), ("other", b"the same")])
        ids.append(world.backup(source, "--app", "bucket").json["snapshot"])
    done = pruned(world, "--keep-last", "2")
    assert done["objects_removed"] == 2
    sound(world)
    for snapshot, day in ((ids[2], 2), (ids[3], 3)):
        target = world.nowhere()
        assert world.restore(target, snapshot=snapshot).returncode == 0
        assert target.objects()["page"] == f"of day {day}".encode()


@pytest.mark.parametrize("objects", [False, True])
def test_what_is_encrypted_is_pruned_without_a_key(world: World, tmp_path: Path, objects: bool) -> None:
    source, target = world.deployment(blocks=12, size=(1, 900)), world.nowhere()
    secret = tmp_path / "secret"
    public = world.lockstep("key", "generate", "--output", str(secret), "--json").json["recipient"]
    for_all = ("--recipient", public, *(("--encrypt-objects",) if objects else ()))
    ids = [str(world.backup(source, *for_all).json["snapshot"]), *(changed(world, source, *for_all, seed=seed) for seed in (1, 2))]
    done = pruned(world, "--keep-last", "1")
    assert (done["kept"], done["objects_removed"]) == ([ids[2]], 6)
    sound(world)
    sound(world, "--identity", str(secret))
    restored = world.restore(target, "--identity", str(secret))
    assert restored.returncode == 0, restored
    assert source.tables() == target.tables()


def test_the_policy_may_stand_in_the_file_or_the_environment_and_must_stand_somewhere(world: World) -> None:
    source = world.deployment(blocks=3, size=10)
    ids = [str(world.backup(source).json["snapshot"]), changed(world, source, seed=1, gone=1), changed(world, source, seed=2, gone=1)]
    assert "no policy" in error_of(world.run("prune", "--json", "--yes"), status=2, kind="configuration")
    assert "--keep-within" in error_of(world.run("prune", "--keep-within", "soon", "--json"), status=2, kind="configuration")
    (world.tmp_path / "lockstep.toml").write_text('[prune]\nkeep_last = 2\nkeep_tag = ["x"]\n')
    assert world.run("prune", "--dry-run", "--json").json["kept"] == ids[1:]
    assert world.run("prune", "--dry-run", "--json", env={"LOCKSTEP_KEEP_LAST": "1"}).json["kept"] == ids[2:]
    assert world.run("prune", "--dry-run", "--json", "--keep-last", "3").json["removed"] == []
    missing = world.run("prune", "--dry-run", "--json", repo=str(world.tmp_path / "nowhere"))
    error_of(missing, kind="repository_not_found")


def test_beside_a_running_backup_it_is_refused(world: World) -> None:
    source = world.deployment(blocks=6, size=50)
    first = world.backup(source).json["snapshot"]
    with world.started("backup", *source.options, "--json") as running:
        while not (world.repo_path / "locks" / "writer.lock").exists():
            assert running.poll() is None
            time.sleep(0.005)
        running.send_signal(signal.SIGSTOP)
        refused = world.run("prune", "--keep-last", "1", "--yes", "--json")
        running.send_signal(signal.SIGCONT)
        assert running.wait(60) == 0
    assert "by a running backup" in error_of(refused, status=4, kind="repository_locked")
    assert pruned(world, "--keep-last", "1")["removed"] == [first]
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target)


def test_an_import_of_something_older_is_not_taken_for_the_newest(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=8, size=(1, 900))
    ids, out = [str(world.backup(source).json["snapshot"])], tmp_path / "out"
    exported = world.run("export", ids[0], str(out), "--json")
    assert exported.returncode == 0, exported
    ids.append(changed(world, source, seed=1))
    imported = world.run("import", "--dump", str(out / "backup.dump"), "--objects", str(out / "objects"), "--tag", "old", "--json")
    assert imported.returncode == 0, imported
    late = imported.json["snapshot"]
    planned = world.run("prune", "--keep-last", "1", "--dry-run", "--json").json
    assert (planned["kept"], sorted(planned["removed"])) == ([ids[1]], sorted([ids[0], late]))
    assert set(pruned(world, "--keep-last", "1", "--keep-tag", "old")["kept"]) == {late, ids[1]}
    sound(world)
    changed(world, source, seed=2)
    sound(world)
    target = world.nowhere()
    assert world.restore(target, snapshot=late).returncode == 0
    assert len(target.objects()) == 8
