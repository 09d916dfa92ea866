"""Bucket and repository in one S3 service: the service copies, and only what is proven counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.operations.service_copies import LEAST_BYTES
from support.fixture_types import Lockstep, PostgresServers
from support.parsec_shape import put_objects
from support.servers import MotoServer
from support.world import Deployment, World, open_world, same

SIZE = LEAST_BYTES + 4321


@pytest.fixture(params=["seaweedfs", "moto"])
def world(
    request: pytest.FixtureRequest,
    lockstep: Lockstep,
    lockstep_environment: dict[str, str],
    postgres_servers: PostgresServers,
    tmp_path: Path,
) -> Iterator[World]:
    """A world whose repository is in the S3 service of its bucket. moto tells the SHA-256 of what it copies, SeaweedFS does not."""
    server = request.getfixturevalue("s3_server" if request.param == "seaweedfs" else "moto_server")
    with open_world(lockstep, lockstep_environment, postgres_servers(18), server, tmp_path) as made:
        made.repo = f"s3://{server.create_bucket()}/backups/app"
        yield made


def filled(world: World) -> Deployment:
    """Three objects that are worth it, one with attributes; one that is not."""
    source = world.deployment(blocks=3, size=SIZE)
    client, key = world.s3.client(), source.filled.keys[0]
    body = client.get_object(Bucket=source.bucket_name, Key=key)["Body"].read()
    client.put_object(Bucket=source.bucket_name, Key=key, Body=body, ContentType="text/x-block", Metadata={"kind": "block"})
    return source


def of_repository(world: World, path: str) -> tuple[str, str]:
    bucket, _, prefix = world.repo.removeprefix("s3://").partition("/")
    return bucket, f"{prefix}/{path}"


def manifest_of(world: World, snapshot: str) -> Any:
    bucket, key = of_repository(world, f"snapshots/{snapshot}/manifest.json")
    return json.loads(world.s3.client().get_object(Bucket=bucket, Key=key)["Body"].read())


def test_the_service_copies_in_and_out_and_on_and_all_of_it_is_proven(world: World) -> None:
    tells = isinstance(world.s3, MotoServer)
    asked = () if tells else ("--server-side-copy",)
    access = {"AWS_ENDPOINT_URL": world.s3.endpoint_url}
    source, target, one = filled(world), world.nowhere(), ("--concurrency", "1")
    ran = world.backup(source, *asked, *one)
    assert ran.returncode == 0, ran
    objects = ran.json["objects"]
    assert (objects["new"], objects["by_service"], objects["hashed_by_service"]) == (3, 3, 3 if tells else 0)
    assert ran.json["requests"]["get"] == 0
    assert manifest_of(world, ran.json["snapshot"])["objects"]["hashed_by_service"] == (3 if tells else 0)
    verified = world.run("verify", "--read-data", "--json", env=access)
    assert (verified.returncode, verified.json["checked"]["objects"]) == (0, 3), verified

    second = f"s3://{world.s3.create_bucket()}/mirror"
    copied = world.run("copy", second, "--json", *asked, *one, env=access)
    assert copied.returncode == 0, copied
    assert (copied.json["objects"]["copied"], copied.json["objects"]["by_service"]) == (3, 3)
    assert world.run("verify", "--read-data", "--json", env=access, repo=second).json["ok"]

    restored = world.restore(target, *asked, *one)
    assert restored.returncode == 0, restored
    assert (restored.json["objects"]["uploaded"], restored.json["objects"]["by_service"]) == (3, 3)
    same(source, target)
    found = world.s3.client().head_object(Bucket=target.bucket_name, Key=source.filled.keys[0])
    assert (found["ContentType"], found["Metadata"]) == ("text/x-block", {"kind": "block"})


def test_without_a_sha256_of_the_service_everything_travels_unless_it_is_asked_for(world: World) -> None:
    source, target, one = filled(world), world.nowhere(), ("--concurrency", "1")
    tells = isinstance(world.s3, MotoServer)
    ran = world.backup(source, *one)
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["new"], ran.json["objects"].get("by_service", 0)) == (3, 3 if tells else 0)
    assert ("tells no SHA-256 of what it copies; all objects travel" in ran.stderr) is not tells
    never = world.restore(target, "--no-server-side-copy")
    assert (never.returncode, never.json["objects"]["uploaded"], "by_service" in never.json["objects"]) == (0, 3, False), never
    same(source, target)


def test_what_is_wrong_in_the_repository_does_not_come_back(world: World) -> None:
    source, target = filled(world), world.nowhere()
    assert world.backup(source).returncode == 0
    flipped, lost = source.filled.keys[1:3]
    bucket, key = of_repository(world, f"objects/main/{flipped}")
    world.s3.client().put_object(Bucket=bucket, Key=key, Body=b"x" * SIZE)
    world.s3.client().delete_object(Bucket=bucket, Key=of_repository(world, f"objects/main/{lost}")[1])
    ran = world.restore(target, "--server-side-copy")
    assert (ran.returncode, ran.json["consistent"], ran.json["objects"]["missing"]) == (3, False, 2), ran
    assert target.objects().keys() == {source.filled.keys[0]}


def test_what_is_missing_or_of_another_size_is_told_as_ever(world: World) -> None:
    source = filled(world)
    longer, lost = source.filled.keys[1:3]
    put_objects(source.bucket, [(longer, b"x" * (SIZE + 1))])
    world.s3.client().delete_object(Bucket=source.bucket_name, Key=lost)
    ran = world.backup(source, "--server-side-copy")
    assert ran.returncode == 3, ran
    assert (ran.json["objects"]["new"], ran.json["objects"]["missing"], ran.json["objects"]["mismatched"]) == (1, 1, 1)
