"""`lockstep check --probe` on real services: what each of them really does, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.parsec_shape import put_objects
from support.servers import MotoServer, RcloneS3
from support.world import S3, Deployment, World

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

IGNORED = "If-None-Match is ignored without a word: HEAD asks before an object is made, and whoever takes the lock looks again after 0.5 s"
LAYS_ASIDE = "the repository has none of them, they lie in odd/"

SEEN: dict[str, dict[str, str]] = {
    "seaweedfs": {
        "conditional_put": "If-None-Match is honoured (412)",
        "odd_keys": "refused: slash at the end, dot segment, double dot segment; one with another key: 'strange/e/x', 'strange/b/s'; "
        "not listed: empty segment, backslash; ",
        "list_order": "listings go by directories",
        "if_match": "If-Match is honoured",
        "checksums": "a SHA-256 can be sent along: a wrong one is refused, and it is given back",
        "multipart": "large files go up in parts, their ETags are as S3 forms them; ending one where an object lies is refused",
    },
    "moto": {
        "conditional_put": "If-None-Match is honoured (412)",
        "odd_keys": "refused: line break; ",
        "list_order": "listings go by the bytes of keys",
        "if_match": "If-Match is honoured",
        "checksums": "a SHA-256 can be sent along: a wrong one is taken too, and it is not given back",
        "versions": "versions on, no Object Lock",
    },
    "rclone": {
        "conditional_put": IGNORED,
        "odd_keys": "refused: empty segment, dot segment, double dot segment; one with another key: 'strange/d'; ",
        "list_order": "listings go by the bytes of keys",
        "if_match": "If-Match is ignored",
        "multipart": "large files go up in parts, their ETags are as S3 forms them; ending one where an object lies replaces it",
    },
}
"""How the answers begin, as seen on SeaweedFS 4.48, moto 5.2.5 and rclone 1.75.2."""

NOTICED = {
    "moto": {"probe.cleanup": "1 small objects of the probe stay as older versions or markers, which cannot be deleted now"},
}
"""moto spells control characters in a listing of versions as they are, which no XML may hold: of one object nothing can be learned."""


@pytest.fixture(params=[pytest.param("moto", marks=pytest.mark.deep), pytest.param("rclone", marks=pytest.mark.deep), "seaweedfs"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, S3]]:
    name = str(request.param)
    if name == "rclone":
        with RcloneS3(tmp_path / "rclone") as server:
            yield name, server
    else:
        yield name, request.getfixturevalue("moto_server" if name == "moto" else "s3_server")


def probed(world: World, *options: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The answers of the probes, by what follows `probe.` in their names."""
    ran = world.run("check", *options, "--probe", "--json", env=env)
    assert ran.returncode == 0, ran
    return {each["name"].removeprefix("probe."): each for each in ran.json["checks"] if each["name"].startswith("probe")}


def keys_in(server: S3, bucket: str) -> list[str]:
    return [each["Key"] for each in server.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


def left_in(locks: Path) -> list[Path]:
    return [path for path in locks.glob("probe-*/**/*") if path.is_file()]


def test_what_a_service_really_does_is_told_and_nothing_of_it_stays(world: World, service: tuple[str, S3]) -> None:
    name, server = service
    bucket = server.create_bucket()
    if name == "moto":
        server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    world.repo = f"s3://{bucket}/some where/backups"
    access = {
        "LOCKSTEP_REPO_ENDPOINT_URL": server.endpoint_url,
        "LOCKSTEP_REPO_ACCESS_KEY_ID": server.access_key_id,
        "LOCKSTEP_REPO_SECRET_ACCESS_KEY": server.secret_access_key,
    }
    source = world.deployment(blocks=4, size=60)
    before = source.objects()
    found = probed(world, *source.options, env=access)
    noticed = {each["name"]: each["detail"] for each in found.values() if not each["ok"] or each.get("level")}
    assert noticed == NOTICED.get(name, {})
    assert {what: found[what]["detail"][: len(says)] for what, says in SEEN[name].items()} == SEEN[name]
    assert found["odd_keys"]["detail"].endswith(LAYS_ASIDE)
    assert found["keys"]["detail"] == "18 kinds of keys: all can be written, listed and read"
    assert found["lock"]["detail"].startswith("of two writers at the same time one was let in")
    assert found["bucket.etag_md5"]["detail"] == "the ETag of an object is its MD5: it proves what arrived"
    assert found["bucket.paging"]["detail"] == "4 objects are listed, each once, in 2 pages"
    assert keys_in(server, bucket) == []
    if name == "moto":
        for what in ("once", "list", "pages", "parts", "keys"):
            kept = server.client().list_object_versions(Bucket=bucket, Prefix=found["place"]["detail"].partition(f"{bucket}/")[2] + what)
            assert not kept.get("Versions")
            assert not kept.get("DeleteMarkers")
    assert source.objects() == before


def test_a_disk_is_tried_where_the_repository_is_or_is_to_be(world: World) -> None:
    source = world.deployment(blocks=2, size=60)
    found = probed(world, *source.options)
    assert ".lockstep-probe-" in found["place"]["detail"]
    assert not world.repo_path.exists()
    assert not list(world.repo_path.parent.glob(".lockstep-probe-*"))
    assert world.backup(source).returncode == 0
    before = world.files()
    found = probed(world, *source.options)
    assert "/repository/locks/probe-" in found["place"]["detail"]
    assert found["conditional_put"]["detail"] == "a name is given once, by the file system itself"
    assert set(found) > {"read_after_write", "list_after_put", "lock", "keys", "clock", "flush", "modes", "cleanup"}
    assert all(each["ok"] for each in found.values())
    assert world.files() == before


@pytest.mark.parametrize("stopped_by", [signal.SIGTERM, signal.SIGKILL])
def test_a_probe_that_is_stopped_is_in_nobodys_way(world: World, stopped_by: signal.Signals) -> None:
    source = world.deployment(blocks=2, size=60)
    assert world.backup(source).returncode == 0
    before, locks = world.files(), world.repo_path / "locks"
    with world.started("check", *source.options, "--probe", "--json") as running:
        deadline = time.monotonic() + 60
        while not left_in(locks):  # stopped for the look, so that it is still so when the signal comes
            running.send_signal(signal.SIGCONT)
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.0005)
            running.send_signal(signal.SIGSTOP)
        running.send_signal(stopped_by)
        running.send_signal(signal.SIGCONT)
        running.communicate(timeout=60)
    if stopped_by == signal.SIGKILL:
        assert left_in(locks)
        long_ago = time.time() - 7200
        for path in left_in(locks):
            os.utime(path, (long_ago, long_ago))
        proven = world.run("verify", "--json")
        assert (proven.returncode, proven.json["findings"]) == (0, []), proven
        assert world.backup(source).returncode == 0
        before = {**world.files(), **before}
        assert "of a killed probe are removed" in probed(world, *source.options)["place"]["detail"]
    assert not list(locks.glob("probe-*"))
    assert world.files().keys() >= before.keys() - {path for path in before if "probe-" in path}


def test_without_asking_for_it_nothing_is_tried(world: World) -> None:
    source = world.deployment(blocks=2, size=60)
    ran = world.run("check", *source.options, "--json")
    assert ran.returncode == 0, ran
    assert not [each["name"] for each in ran.json["checks"] if each["name"].startswith("probe")]


def test_keys_that_are_one_on_a_service_are_kept_apart_there(world: World, moto_server: MotoServer) -> None:
    world.repo = f"s3://{world.s3.create_bucket()}/kept"
    kept = {
        "LOCKSTEP_REPO_ENDPOINT_URL": world.s3.endpoint_url,
        "LOCKSTEP_REPO_ACCESS_KEY_ID": world.s3.access_key_id,
        "LOCKSTEP_REPO_SECRET_ACCESS_KEY": world.s3.secret_access_key,
        "AWS_ACCESS_KEY_ID": moto_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": moto_server.secret_access_key,
    }
    source = Deployment(world.new_database(), moto_server.address(moto_server.create_bucket()))
    put_objects(source.bucket, [("b/s", b"with a slash"), ("b\\s", b"with a backslash")])
    ran = world.backup(source, "--app", "bucket", env=kept)
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    proven = world.run("verify", "--read-data", "--json", env=kept)
    assert (proven.returncode, proven.json["findings"]) == (0, []), proven
    target = Deployment(world.new_database(), moto_server.address(moto_server.create_bucket()))
    restored = world.restore(target, "--only", "objects", env=kept)
    assert restored.returncode == 0, restored
    assert target.objects() == source.objects()
