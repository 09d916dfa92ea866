"""A repository in a bucket with Object Lock: what is locked until when, what a thief can do to it, and what it refuses."""

from __future__ import annotations

import re
import secrets
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.parsec_shape import add_blocks
from support.s3_policy import PolicyProxy, policy_on_page
from support.servers import MotoServer
from support.world import S3, Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

DAYS = timedelta(days=30)
PAGE = Path(__file__).parents[2] / "docs/how-to/lock-a-repository.md"


class Locked:
    """A world whose repository lies in a bucket of its own, with what its service knows of it."""

    def __init__(self, world: World, service: S3, *, lock: bool = True) -> None:
        self.service, self.client, self.bucket, self.prefix = service, service.client(), f"locked-{secrets.token_hex(4)}", "r/"
        self.client.create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=lock)
        world.repo = f"s3://{self.bucket}/r"
        self.access = {
            "LOCKSTEP_REPO_ENDPOINT_URL": service.endpoint_url,
            "LOCKSTEP_REPO_ACCESS_KEY_ID": service.access_key_id,
            "LOCKSTEP_REPO_SECRET_ACCESS_KEY": service.secret_access_key,
        }
        self.world = world
        world.environment = {**world.environment, **self.access}

    def run(self, command: str, *arguments: str, **env: str) -> Any:
        return self.world.run(command, *arguments, "--json", env={**self.access, **env})

    def backup(self, source: Deployment, *arguments: str) -> Any:
        ran = self.run("backup", *source.options, *arguments)
        assert ran.returncode == 0, ran
        return ran.json

    def files(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [each["Key"].removeprefix(self.prefix) for page in pages for each in page.get("Contents", [])]

    def locks(self) -> dict[str, datetime | None]:
        """Until when each file that is to be seen is locked."""
        return {path: self.head(path).get("ObjectLockRetainUntilDate") for path in self.files()}

    def head(self, path: str) -> Any:
        return self.client.head_object(Bucket=self.bucket, Key=self.prefix + path)


@pytest.fixture
def locked(world: World) -> Locked:
    """On SeaweedFS, which has Object Lock."""
    return Locked(world, world.s3)


@pytest.mark.parametrize("service", ["seaweedfs", "moto"])
def test_all_that_a_snapshot_needs_is_locked_and_the_rest_is_not(world: World, moto_server: MotoServer, service: str) -> None:
    locked = Locked(world, world.s3 if service == "seaweedfs" else moto_server)
    source, before = locked.world.deployment(blocks=12, size=(1, 900)), datetime.now(UTC)
    made = locked.backup(source, "--lock-for", "30d")
    assert (made["locked"]["mode"], made["locked"]["extended"]) == ("governance", 0)
    assert datetime.fromisoformat(made["locked"]["until"]) >= before + DAYS - timedelta(seconds=1)
    locks = locked.locks()
    loose = {path for path, until in locks.items() if until is None}
    assert {path.partition("/")[0] for path in loose} <= {"locks", "object-lock.json"}, loose
    assert {until >= before + DAYS for until in locks.values() if until} == {True}
    assert {until <= datetime.now(UTC) + 1.5 * DAYS for until in locks.values() if until} == {True}
    assert sum(path.startswith("objects/") for path in locks) == 12
    assert {locked.head(path)["ObjectLockMode"] for path in locks.keys() - loose} == {"GOVERNANCE"}
    target = locked.world.nowhere()
    assert locked.run("restore", "latest", *target.options).returncode == 0
    same(source, target)


def test_what_a_newer_snapshot_needs_is_locked_for_longer_and_the_rest_is_not(locked: Locked) -> None:
    source = locked.world.deployment(blocks=12, size=(1, 900))
    locked.backup(source, "--lock-for", "1h")
    first = locked.locks()
    with source.connect() as connection:
        connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT 3)")
        add_blocks(connection, source.bucket, source.filled, 2, size=(1, 900), seed=1)
    before = datetime.now(UTC)
    made = locked.backup(source, "--lock-for", "30d")
    second = locked.locks()
    objects = {path for path in first if path.startswith("objects/")}
    left = {path for path in objects if second[path] == first[path]}
    assert len(left) == 3
    dump = f"snapshots/{min(path.split('/')[1] for path in first if path.startswith('snapshots/'))}/database.dump"
    assert {path for path, until in second.items() if until and until < before + DAYS} == {*left, dump}
    assert made["locked"]["extended"] >= 9
    again = locked.backup(source, "--lock-for", "30d")
    assert again["locked"]["extended"] == 0
    assert again["repository_requests"]["put"] < 20


def test_where_nothing_can_be_locked_it_is_refused_before_anything_is_written(world: World) -> None:
    source, local = world.deployment(blocks=3, size=50), world.repo
    refused = world.backup(source, "--lock-for", "30d")
    assert "in a bucket of S3" in error_of(refused, status=2, kind="configuration")
    assert "s3://" in refused.json["error"]["hint"]
    plain = Locked(world, world.s3, lock=False)
    for command in (["backup", *source.options], ["backup", *source.options, "--dry-run"]):
        ran = plain.run(*command, "--lock-for", "30d")
        assert "has no Object Lock" in error_of(ran, status=2, kind="configuration")
    assert plain.files() == []
    copied = world.run("copy", local, "--lock-for", "30d", "--json", env=plain.access)
    assert "in a bucket of S3" in error_of(copied, status=2)
    archive = plain.run("backup", *source.options, "--storage-class", "DEEP_ARCHIVE")
    assert "is an archive" in error_of(archive, status=2, kind="configuration")
    assert plain.files() == []
    checked = {each["name"]: each for each in plain.run("check", *source.options, "--lock-for", "30d").json["checks"]}
    assert not checked["object lock"]["ok"]
    assert "has no Object Lock" in checked["object lock"]["detail"]


def test_an_option_that_was_forgotten_is_refused_and_may_be_taken_back(locked: Locked) -> None:
    source = locked.world.deployment(blocks=4, size=50)
    locked.backup(source, "--lock-for", "30d")
    checked = {each["name"]: each for each in locked.run("check", *source.options, "--lock-for", "30d").json["checks"]}
    assert checked["object lock"]["ok"]
    assert "30 days" in checked["object lock"]["detail"]
    files = locked.files()
    for command in (["backup", *source.options], ["prune", "--keep-last", "1", "--yes"]):
        ran = locked.run(*command)
        assert "was locked so far" in error_of(ran, status=2, kind="configuration")
    assert locked.files() == files
    (locked.world.tmp_path / "lockstep.toml").write_text('[repository]\nlock_for = "30d"\nlock_mode = "compliance"\n')
    assert locked.backup(source)["locked"]["mode"] == "compliance"
    assert locked.run("prune", "--keep-last", "1", "--yes").returncode == 0
    assert locked.run("list").returncode == 0
    made = locked.backup(source, "--lock-for", "none")
    assert made["locked"] is None
    assert locked.locks()[f"snapshots/{made['snapshot']}/manifest.json"] is None
    (locked.world.tmp_path / "lockstep.toml").unlink()
    assert locked.backup(source)["locked"] is None
    again = locked.backup(source, "--lock-for", "30d")  # of what was written meanwhile nothing is known: all is locked anew
    assert again["locked"]["extended"] >= 4
    assert [path for path, until in locked.locks().items() if until is None and "manifest" in path] == []


def test_objects_lie_in_their_class_and_the_rest_in_that_of_the_bucket(locked: Locked) -> None:
    source, target = locked.world.deployment(blocks=4, size=50), locked.world.nowhere()
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 1, size=17 << 20, seed=1)
    for arguments in ([], ["--lock-for", "1d"]):
        place = Locked(locked.world, locked.service)
        place.backup(source, "--storage-class", "STANDARD_IA", *arguments)
        classes = {path: place.head(path).get("StorageClass", "STANDARD") for path in place.files()}
        assert {path for path, each in classes.items() if each == "STANDARD_IA"} == {
            each for each in classes if each.startswith("objects/")
        }
        assert set(classes.values()) == {"STANDARD", "STANDARD_IA"}
        locks = [until for path, until in place.locks().items() if path.startswith("objects/")]
        assert (None in locks) == (not arguments)
    assert place.run("restore", "latest", *target.options).returncode == 0
    same(source, target)


def test_what_a_thief_covers_is_named_and_restored_all_the_same(locked: Locked, tmp_path: Path) -> None:
    source, target = locked.world.deployment(blocks=8, size=(40, 900)), locked.world.nowhere()
    locked.backup(source, "--lock-for", "30d")
    objects = [path for path in locked.files() if path.startswith("objects/")]
    (dump,) = (path for path in locked.files() if path.endswith("database.dump"))
    for path in (*objects[:3], dump):  # with a marker, which is all that he can do who may delete
        locked.client.delete_object(Bucket=locked.bucket, Key=locked.prefix + path)
    for path, data in ((objects[3], b"x" * locked.head(objects[3])["ContentLength"]), (objects[4], b"longer" * 999)):
        locked.client.put_object(Bucket=locked.bucket, Key=locked.prefix + path, Body=data)
    for version in locked.client.list_object_versions(Bucket=locked.bucket)["Versions"]:
        if version["Key"].removeprefix(locked.prefix) in objects[5:]:
            with pytest.raises(ClientError, match="AccessDenied"):
                locked.client.delete_object(Bucket=locked.bucket, Key=version["Key"], VersionId=version["VersionId"])
    verified = locked.run("verify", "--read-data")
    assert verified.returncode == 3
    found = {each["path"]: each for each in verified.json["findings"]}
    assert found.keys() == {*objects[:5], dump}
    assert {each["kind"] for each in found.values()} == {"missing", "damaged"}
    assert all("an older version of it is right" in each["detail"] for each in found.values())
    restored = locked.run("restore", "latest", *target.options)
    assert (restored.returncode, restored.json["consistent"]) == (0, True), restored
    assert restored.json["faults"]["older_version"] == 6
    assert "older version" in restored.stderr
    same(source, target)
    (tmp_path / "covered.txt").write_text("".join(f"{path}\n" for path in found))
    (script,) = re.findall(r"^while read -r path.*?covered\.txt$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    script = script.replace("offsite", locked.bucket).replace("parsec/", "r/")
    keys = {**locked.world.environment, **locked.world.keys, "AWS_ENDPOINT_URL": locked.service.endpoint_url}
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=keys, check=True, timeout=100)
    assert locked.run("verify", "--read-data").json["findings"] == []


def test_a_prune_frees_nothing_that_is_locked_and_what_stays_is_locked(locked: Locked) -> None:
    source = locked.world.deployment(blocks=8, size=(40, 900))
    first = locked.backup(source, "--lock-for", "30d")["snapshot"]
    with source.connect() as connection:
        connection.execute("DELETE FROM block WHERE _id IN (SELECT _id FROM block ORDER BY _id LIMIT 3)")
    second = locked.backup(source, "--lock-for", "30d")["snapshot"]
    pruned = locked.run("prune", "--keep-last", "1", "--yes", "--lock-for", "30d")
    assert (pruned.returncode, pruned.json["removed"], pruned.json["objects_removed"]) == (0, [first], 3), pruned
    assert (pruned.json["bytes_are"], pruned.json["bytes_freed"]) == ("locked", 0)
    versions = locked.client.list_object_versions(Bucket=locked.bucket, Prefix="r/objects/")
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (8, 3)
    loose = {path.partition("/")[0] for path, until in locked.locks().items() if until is None}
    assert loose <= {"locks", "object-lock.json", "copies", "verifications"}
    assert locked.backup(source, "--lock-for", "30d")["locked"]["extended"] == 0
    assert next(each["snapshot"] for each in locked.run("list").json["snapshots"]) == second
    assert locked.run("verify", "--read-data").json["findings"] == []


def test_a_mirror_is_locked_whatever_the_first_repository_is(locked: Locked) -> None:
    world, mirror = locked.world, locked.world.repo
    world.repo = str(world.tmp_path / "first")
    source, target = world.deployment(blocks=8, size=(40, 900)), world.nowhere()
    access = {name.replace("_REPO_", "_REPO2_"): value for name, value in locked.access.items()}

    def copied(*arguments: str) -> Any:
        ran = world.run("copy", mirror, "--json", *arguments, env=access)
        assert ran.returncode == 0, ran
        return ran.json

    world.backup(source)
    assert copied("--lock-for", "1h")["locked"]["extended"] == 0
    first = locked.locks()
    assert copied("--lock-for", "30d")["locked"]["extended"] == 0  # there is nothing new, so its time goes on
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 2, size=(40, 900), seed=1)
    world.backup(source)
    before = datetime.now(UTC)
    assert copied("--lock-for", "30d")["locked"]["extended"] >= 8
    second = locked.locks()
    dump = next(path for path in sorted(first) if path.endswith("database.dump"))
    assert {path for path, until in second.items() if until and until < before + DAYS} == {dump}
    assert {path.partition("/")[0] for path, until in second.items() if until is None} <= {"locks", "object-lock.json", "copies"}
    refused = world.run("copy", mirror, "--json", env=access)
    assert "was locked so far" in error_of(refused, status=2)
    world.repo = mirror
    assert world.run("restore", "latest", *target.options, "--json", env=locked.access).returncode == 0
    same(source, target)


def test_workers_lock_what_they_copy(locked: Locked) -> None:
    source, before = locked.world.deployment(blocks=30, size=(40, 900)), datetime.now(UTC)
    made = locked.backup(source, "--lock-for", "30d", "--workers", "2", "--storage-class", "STANDARD_IA")
    assert made["workers"]["count"] >= 1
    objects = {path: until for path, until in locked.locks().items() if path.startswith("objects/")}
    assert len(objects) == 30
    assert {bool(until and until >= before + DAYS) for until in objects.values()} == {True}
    assert {locked.head(path)["StorageClass"] for path in objects} == {"STANDARD_IA"}


def test_the_policy_of_the_page_is_enough_for_a_backup_and_lets_it_destroy_nothing(locked: Locked) -> None:
    source, policy = locked.world.deployment(blocks=6, size=(40, 900)), policy_on_page(PAGE)
    names = {"offsite/parsec/": f"{locked.bucket}/r/", "arn:aws:s3:::offsite": f"arn:aws:s3:::{locked.bucket}"}
    with PolicyProxy(locked.world.s3.endpoint_url, policy, names=names) as proxy:
        locked.access["LOCKSTEP_REPO_ENDPOINT_URL"] = proxy.endpoint_url
        checked = locked.run("check", *source.options, "--lock-for", "30d")
        assert {each["name"]: each["hint"] for each in checked.json["checks"] if not each["ok"] and each["name"] != "restore"} == {}
        for seed in range(1, 3):
            locked.backup(source, "--lock-for", f"{seed}d")
            with source.connect() as connection:
                add_blocks(connection, source.bucket, source.filled, 2, size=(40, 900), seed=seed)
        assert proxy.denied == []
        left = "r/snapshots/20261101T000000Z-00000000/database.dump"
        locked.client.put_object(Bucket=locked.bucket, Key=left, Body=b"of a stopped backup")
        made = locked.backup(source, "--lock-for", "4d")
        assert made["locked"]["extended"] > 8
        assert {action for action, _ in proxy.denied} == {"s3:DeleteObject"}
        assert all(place.startswith(f"{locked.bucket}/r/snapshots/20261101T000000Z-00000000/") for _, place in proxy.denied)
        assert left in {each["Key"] for each in locked.client.list_objects_v2(Bucket=locked.bucket, Prefix=left)["Contents"]}
        proven = locked.run("verify", "--read-data")
        assert proven.returncode == 0, proven


def test_in_another_bucket_the_record_is_not_believed(locked: Locked) -> None:
    source = locked.world.deployment(blocks=10, size=(40, 900))
    locked.backup(source, "--lock-for", "30d")
    other = Locked(locked.world, locked.service)
    for path in locked.files():  # as any tool does that copies a bucket: the bytes, and none of the locks
        body = locked.client.get_object(Bucket=locked.bucket, Key=locked.prefix + path)["Body"].read()
        other.client.put_object(Bucket=other.bucket, Key=other.prefix + path, Body=body)
    before = datetime.now(UTC)
    ran = other.run("backup", *source.options, "--lock-for", "30d")
    assert ran.returncode == 0, ran
    assert "is not locked, and should be" in ran.stderr
    assert ran.json["locked"]["extended"] >= 14
    locks = other.locks()
    assert {path for path, until in locks.items() if path.startswith("objects/") and not (until and until >= before + DAYS)} == set()


def test_what_is_imported_is_locked(locked: Locked, tmp_path: Path) -> None:
    source, out = locked.world.deployment(blocks=6, size=(40, 900)), tmp_path / "out"
    locked.backup(source, "--lock-for", "1h")
    assert locked.run("export", "latest", str(out)).returncode == 0
    before = datetime.now(UTC)
    taken = ("--dump", str(out / "backup.dump"), "--objects", str(out / "objects"))
    assert "was locked so far" in error_of(locked.run("import", *taken), status=2)
    assert locked.run("import", *taken, "--lock-for", "30d").returncode == 0
    short = {path for path, until in locked.locks().items() if until and until < before + DAYS}
    assert {path.partition("/")[0] for path in short} == {"snapshots"}  # the first dump, which the second snapshot does not need
    assert len(short) == 1
