"""A repository in an object store: bucket to bucket, with keys of its own, locked by a lease, damaged, and interrupted."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fixture_types import Lockstep, PostgresServers
from support.parsec_shape import add_blocks
from support.s3_proxy import Answer, S3Proxy
from support.servers import MotoServer, SeaweedFS
from support.world import World, error_of, open_world, same


@pytest.fixture
def world(
    lockstep: Lockstep,
    lockstep_environment: dict[str, str],
    postgres_servers: PostgresServers,
    s3_server: SeaweedFS,
    tmp_path: Path,
) -> Iterator[World]:
    """A world whose repository is below a prefix of a bucket of the same S3 store."""
    with open_world(lockstep, lockstep_environment, postgres_servers(18), s3_server, tmp_path) as made:
        made.repo = f"s3://{s3_server.create_bucket()}/backups/parsec"
        yield made


def access(world: World) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": world.s3.endpoint_url}


def stored(world: World, server: Any = None) -> dict[str, int]:
    """The repository's files by their path in it."""
    bucket, _, prefix = world.repo.removeprefix("s3://").partition("/")
    pages = (server or world.s3).client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
    assert all(key.startswith(f"{prefix}/") for key in found)
    return {key.removeprefix(f"{prefix}/"): size for key, size in found.items()}


def write(world: World, path: str, body: bytes) -> None:
    bucket, _, prefix = world.repo.removeprefix("s3://").partition("/")
    world.s3.client().put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=body)


def read(world: World, path: str) -> bytes:
    bucket, _, prefix = world.repo.removeprefix("s3://").partition("/")
    data: bytes = world.s3.client().get_object(Bucket=bucket, Key=f"{prefix}/{path}")["Body"].read()
    return data


@pytest.mark.parametrize("options", [(), ("--jobs", "2")], ids=["custom", "directory"])
def test_bucket_to_bucket_and_back(world: World, options: tuple[str, ...]) -> None:
    source, target = world.deployment(organizations=("Acme", "Ελλάδα_1"), blocks=30, size=(1, 2000)), world.nowhere()
    ran = world.backup(source, *options)
    assert ran.returncode == 0, ran
    assert (ran.json["complete"], ran.json["objects"]["new"]) == (True, 30)
    assert ran.json["requests"] | {"head": 0} == {"list": 0, "get": 30, "head": 0, "put": 0, "retried": 0}
    files = stored(world)
    assert {path.removeprefix("objects/main/") for path in files if path.startswith("objects/")} == set(source.filled.keys)
    assert {"lockstep.json", "head.json", f"snapshots/{ran.json['snapshot']}/manifest.json"} <= files.keys()
    assert not [path for path in files if path.startswith("locks/")]

    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 3, seed=9)
    again = world.backup(source, *options)
    assert again.returncode == 0, again
    assert (again.json["objects"]["new"], again.json["requests"]["get"], again.json["requests"]["list"]) == (3, 3, 0)
    listed = world.run("list", "--json", env=access(world)).json["snapshots"]
    assert [each["snapshot"] for each in listed] == [ran.json["snapshot"], again.json["snapshot"]]
    shown = world.run("show", "latest", "--objects", "--json", env=access(world))
    assert len(shown.json["objects"]) == 33
    restored = world.restore(target)
    assert restored.returncode == 0, restored
    same(source, target)


def test_a_repository_has_an_endpoint_and_keys_of_its_own(world: World, moto_server: MotoServer) -> None:
    source, target = world.deployment(blocks=8), world.nowhere()
    world.repo = f"s3://{moto_server.create_bucket()}/r"
    own = {
        "LOCKSTEP_REPO_ENDPOINT_URL": moto_server.endpoint_url,
        "LOCKSTEP_REPO_ACCESS_KEY_ID": moto_server.access_key_id,
        "LOCKSTEP_REPO_SECRET_ACCESS_KEY": moto_server.secret_access_key,
        "LOCKSTEP_REPO_REGION": "us-east-1",
    }
    ran = world.backup(source, env=own)
    assert ran.returncode == 0, ran
    assert len([path for path in stored(world, moto_server) if path.startswith("objects/")]) == 8
    restored = world.restore(target, env=own)
    assert restored.returncode == 0, restored
    same(source, target)
    config = world.tmp_path / "elsewhere.toml"
    config.write_text(
        f'repo = "{world.repo}"\n[repository]\nendpoint_url = "{moto_server.endpoint_url}"\n'
        f'access_key_id = "{moto_server.access_key_id}"\nsecret_access_key = "{moto_server.secret_access_key}"\nregion = "us-east-1"\n'
    )
    listed = world.lockstep("list", "--config", config, "--json")
    assert listed.returncode == 0, listed
    assert len(listed.json["snapshots"]) == 1
    half = {"LOCKSTEP_REPO_ACCESS_KEY_ID": "x", "AWS_ENDPOINT_URL": moto_server.endpoint_url}
    error_of(world.run("list", "--json", env=half), status=2, kind="configuration")


def test_a_running_writer_holds_a_lease_and_a_dead_one_loses_it(world: World) -> None:
    source = world.deployment(blocks=5)
    blocker = source.connect()
    blocker.execute("LOCK TABLE vlob_atom IN ACCESS EXCLUSIVE MODE")
    with world.started("backup", *source.options) as process:
        wait_until(lambda: any(path.startswith("locks/") for path in stored(world)))
        assert [path for path in stored(world) if path.startswith("locks/")] == ["locks/writer.json"]
        told = error_of(world.backup(source), status=4, kind="repository_locked")
        assert str(process.pid) in told
        assert world.run("list", "--json", env=access(world)).json["snapshots"] == []
        process.kill()
        process.wait()
    blocker.close()
    ran = world.backup(source)  # the holder ran on this machine and is gone: no waiting
    assert ran.returncode == 0, ran
    assert "took over" in ran.stderr
    assert not [path for path in stored(world) if path.startswith("locks/")]


def test_a_signal_gives_the_lease_back_and_leaves_no_half_made_snapshot(world: World) -> None:
    source = world.deployment(blocks=5)
    with source.connect() as blocker:
        blocker.execute("LOCK TABLE vlob_atom IN ACCESS EXCLUSIVE MODE")
        with world.started("backup", *source.options) as process:
            wait_until(lambda: any(path.startswith("locks/") for path in stored(world)))
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=10)
    assert process.returncode == 143, stderr
    assert not [path for path in stored(world) if path.startswith(("locks/", "snapshots/"))]
    bucket = world.repo.removeprefix("s3://").partition("/")[0]
    assert "Uploads" not in world.s3.client().list_multipart_uploads(Bucket=bucket)
    assert world.backup(source).returncode == 0


def test_damage_in_the_bucket_is_found_before_it_reaches_a_target(world: World) -> None:
    source, target = world.deployment(blocks=6, size=100), world.nowhere()
    made = world.backup(source).json
    bucket, _, prefix = world.repo.removeprefix("s3://").partition("/")
    flipped, lost = source.filled.keys[:2]
    write(world, f"objects/main/{flipped}", b"x" * 100)
    world.s3.client().delete_object(Bucket=bucket, Key=f"{prefix}/objects/main/{lost}")
    ran = world.restore(target)
    assert ran.returncode == 3, ran
    assert (ran.json["consistent"], ran.json["objects"]["uploaded"], ran.json["objects"]["missing"]) == (False, 4, 2)
    assert target.objects().keys() == set(source.filled.keys[2:])
    other = world.nowhere()
    dump = f"snapshots/{made['snapshot']}/database.dump"
    write(world, dump, read(world, dump)[:-100])
    told = error_of(world.restore(other), kind="repository_invalid")
    assert "database.dump" in told
    assert other.dbname not in world.databases()
    assert other.objects() == {}


@pytest.mark.parametrize("spared", ["objects/", "snapshots/"])
def test_a_store_that_refuses_to_write_leaves_no_snapshot(world: World, spared: str) -> None:
    source = world.deployment(blocks=5)
    assert world.backup(source).returncode == 0
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 5, seed=3)
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def answering(method: str, path: str, ask: Any) -> Answer:
            """The quota is used up as soon as files of this kind are to be stored."""
            if method in {"PUT", "POST"} and f"/parsec/{spared}" in path:
                return Answer(403, {"Content-Type": "application/xml"}, b"<Error><Code>QuotaExceeded</Code><Message>full</Message></Error>")
            return ask()  # type: ignore[no-any-return]

        proxy.answering = answering
        ran = world.backup(source, env={"LOCKSTEP_REPO_ENDPOINT_URL": proxy.endpoint_url})
    error_of(ran)
    assert len(world.run("list", "--json", env=access(world)).json["snapshots"]) == 1
    assert not [path for path in stored(world) if path.startswith("locks/")]
    assert world.backup(source).returncode == 0


def test_a_manifest_of_another_repository_is_not_taken_for_ones_own(world: World) -> None:
    source = world.deployment(blocks=1)
    made = world.backup(source).json
    path = f"snapshots/{made['snapshot']}/manifest.json"
    document = json.loads(read(world, path))
    write(world, path, json.dumps({**document, "repository": "00000000-0000-4000-8000-000000000000"}).encode())
    listed = world.run("list", "--json", env=access(world))
    assert (listed.returncode, listed.json["snapshots"]) == (3, []), listed
    assert "of another repository" in listed.json["damaged"][0]["why"]
    error_of(world.run("show", made["snapshot"], "--json", env=access(world)), kind="repository_invalid")


def wait_until(condition: Any, *, seconds: float = 30) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)
