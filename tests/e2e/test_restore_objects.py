"""The objects' side of a restore: only what is not there travels, nothing is overwritten unasked, nothing damaged arrives."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from support.parsec_shape import put_objects
from support.s3_proxy import S3Proxy
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def stamps(world: World, target: Deployment) -> dict[str, Any]:
    """When each object was written."""
    found = world.s3.client().list_objects_v2(Bucket=target.bucket_name)
    return {item["Key"]: item["LastModified"] for item in found.get("Contents", [])}


def test_objects_that_are_there_are_not_sent_again(world: World) -> None:
    source, target = world.deployment(blocks=20, size=300), world.nowhere()
    world.backup(source)
    put_objects(target.bucket, list(source.filled.objects.items())[:8])
    before = stamps(world, target)
    with S3Proxy(world.s3.endpoint_url) as proxy:
        seen = replace(target, bucket=replace(target.bucket, endpoint_url=proxy.endpoint_url))
        ran = world.restore(seen)
        assert ran.returncode == 0, ran
        assert proxy.counts["PUT"] in {12, 13}  # one is sent twice, to learn whether the store honours If-None-Match
    assert (ran.json["objects"]["uploaded"], ran.json["objects"]["already_there"]) == (12, 8)
    assert ran.json["objects"]["uploaded_bytes"] == 12 * 300
    assert {key: stamps(world, target)[key] for key in before} == before
    same(source, target)


def test_another_object_under_a_key_is_a_finding_until_it_may_be_overwritten(world: World) -> None:
    source, target = world.deployment(blocks=10, size=100), world.nowhere()
    world.backup(source)
    other_size, same_size = source.filled.keys[2:4]
    put_objects(target.bucket, [(other_size, b"another"), (same_size, b"x" * 100), ("a/stranger", b"left alone")])
    ran = world.restore(target)
    assert ran.returncode == 3, ran
    assert ran.json["consistent"] is False
    assert (ran.json["objects"]["uploaded"], ran.json["objects"]["different"]) == (8, 2)
    objects = target.objects()
    assert (objects[other_size], objects[same_size], objects["a/stranger"]) == (b"another", b"x" * 100, b"left alone")
    text = world.run("restore", "latest", *target.options, "--only", "objects")
    assert text.returncode == 3, text
    assert "--overwrite" in text.stdout
    ran = world.restore(target, "--only", "objects", "--overwrite")
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["uploaded"], ran.json["objects"]["already_there"], ran.json["objects"]["different"]) == (2, 8, 0)
    assert target.objects() == {**source.filled.objects, "a/stranger": b"left alone"}
    assert target.tables() == source.tables()


def test_only_one_side_leaves_the_other_alone(world: World) -> None:
    source, target = world.deployment(blocks=6), world.nowhere()
    world.backup(source)
    databases = world.databases()
    ran = world.restore(target, "--only", "objects")
    assert ran.returncode == 0, ran
    assert ran.json["database"] is None
    assert target.objects() == source.filled.objects
    assert world.databases() == databases
    other = world.nowhere()
    ran = world.run(
        "restore", "latest", "--database", other.database.conninfo, "--only", "database", "--json", env=dict.fromkeys(world.keys, "")
    )
    assert ran.returncode == 0, ran
    assert ran.json["objects"] is None
    assert other.objects() == {}
    assert other.tables() == source.tables()


def test_a_prefix_brings_back_one_organization(world: World) -> None:
    source, target = world.deployment(organizations=("Acme", "Acme2", "Müller-Söhne"), blocks=18), world.nowhere()
    world.backup(source)
    ran = world.restore(target, "--prefix", "Müller-Söhne/", "--only", "objects")
    assert ran.returncode == 0, ran
    assert ran.json["consistent"] is True
    wanted = {key: data for key, data in source.filled.objects.items() if key.startswith("Müller-Söhne/")}
    assert (ran.json["objects"]["uploaded"], target.objects()) == (len(wanted), wanted)
    assert target.dbname not in world.databases()


def test_a_dry_run_says_the_steps_and_takes_none(world: World) -> None:
    source, target = world.deployment(blocks=6, size=1000), world.nowhere()
    world.new_database(target.dbname)
    target.execute("CREATE TABLE precious AS SELECT 42 AS n")
    world.backup(source)
    before = world.everything(source, target)
    plan = world.restore(target, "--replace", "--dry-run")
    assert plan.returncode == 0, plan
    assert (plan.json["dry_run"], plan.json["objects"], plan.json["objects_bytes"]) == (True, 6, 6000)
    text = world.run("restore", "latest", *target.options, "--replace", "--dry-run")
    assert text.returncode == 0, text
    lines = text.stdout.splitlines()
    order = [
        next(n for n, line in enumerate(lines) if words in line) for words in ("6 objects", "restore the dump", f"{target.dbname}_before_")
    ]
    assert order == sorted(order)  # objects first
    assert "nothing was changed" in text.stdout
    error_of(world.restore(target, "--dry-run"), kind="target_refused")
    assert world.everything(source, target) == before


def test_a_bucket_that_does_not_exist_is_made_only_when_asked(world: World) -> None:
    source = world.deployment(blocks=4)
    world.backup(source)
    target = replace(world.nowhere(), bucket=world.s3.address("bucket-to-be-made"))
    before = world.everything(source)
    told = error_of(world.restore(target), kind="bucket_not_found")
    assert "bucket-to-be-made" in told
    assert "--create-bucket" in told
    plan = world.restore(target, "--create-bucket", "--dry-run")
    assert plan.returncode == 0, plan
    assert world.everything(source) == before
    assert world.restore(target, "--create-bucket").returncode == 0
    same(source, target)


def test_what_the_repository_lost_or_damaged_does_not_arrive(world: World) -> None:
    source, target = world.deployment(blocks=10, size=500), world.nowhere()
    world.backup(source)
    flipped, lost, truncated = source.filled.keys[1], source.filled.keys[4], source.filled.keys[8]
    kept = world.repo_path / "objects" / "main"
    data = (kept / flipped).read_bytes()
    (kept / flipped).write_bytes(data[:100] + bytes([data[100] ^ 4]) + data[101:])
    (kept / lost).unlink()
    (kept / truncated).write_bytes(b"short")
    listing = world.tmp_path / "missing.jsonl"
    ran = world.restore(target, "--list-missing", listing)
    assert ran.returncode == 3, ran
    assert ran.json["consistent"] is False
    assert (ran.json["objects"]["uploaded"], ran.json["objects"]["missing"]) == (7, 3)
    assert sorted(ran.json["objects"]["missing_sample"]) == sorted([flipped, lost, truncated])
    assert {json.loads(line)["key"] for line in listing.read_text().splitlines()} == {flipped, lost, truncated}
    assert target.objects().keys() == set(source.filled.keys) - {flipped, lost, truncated}
    assert target.tables() == source.tables()
    text = world.run("restore", "latest", *target.options, "--only", "objects")
    assert text.returncode == 3, text
    assert all(key in text.stdout for key in (flipped, lost, truncated))


def test_large_objects_come_back_in_parts(world: World) -> None:
    source, target = world.deployment(blocks=1, size=21 << 20), world.nowhere()
    [key] = source.filled.keys
    world.s3.client().put_object(
        Bucket=source.bucket_name, Key=key, Body=source.filled.objects[key], ContentType="video/mp4", Metadata={"part": "one"}
    )
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    assert target.objects() == source.filled.objects
    head = world.s3.client().head_object(Bucket=target.bucket_name, Key=key)
    assert (head["ContentType"], head["Metadata"]) == ("video/mp4", {"part": "one"})
    again = world.restore(target, "--only", "objects")
    assert (again.returncode, again.json["objects"]["already_there"]) == (0, 1)
    other = world.nowhere()
    path = world.repo_path / "objects" / "main" / key
    with path.open("r+b") as file:
        file.seek(-10, 2)
        file.write(b"0123456789")
    ran = world.restore(other, "--only", "objects")
    assert (ran.returncode, ran.json["objects"]["missing"], other.objects()) == (3, 1, {})


def test_an_upload_that_arrives_wrong_is_noticed(world: World) -> None:
    source, target = world.deployment(blocks=3, size=400), world.nowhere()
    world.backup(source)
    spoiled = source.filled.keys[1]
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def answering(method: str, path: str, ask: Any) -> Any:
            """A store that loses bytes: what it keeps is not what was sent, and its ETag says so."""
            answer = ask()
            if method == "PUT" and path.endswith(spoiled):
                put_objects(target.bucket, [(spoiled, b"x" * 400)])
                return replace(answer, headers={**answer.headers, "ETag": '"00000000000000000000000000000000"', "Etag": '"0"'})
            return answer

        proxy.answering = answering
        ran = world.restore(replace(target, bucket=replace(target.bucket, endpoint_url=proxy.endpoint_url)))
    told = error_of(ran, kind="store_unreachable")
    assert spoiled in told
    assert target.dbname not in world.databases()
