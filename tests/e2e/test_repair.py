"""Healing the living bucket from the repository: what is missing or of the wrong size comes back, nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.parsec_shape import delete_objects, put_objects
from support.world import Deployment, World

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def stamps(world: World, target: Deployment) -> dict[str, Any]:
    """When each object was written."""
    found = world.s3.client().list_objects_v2(Bucket=target.bucket_name)
    return {item["Key"]: item["LastModified"] for item in found.get("Contents", [])}


def audited(world: World, deployment: Deployment) -> dict[str, Any]:
    """What an audit finds."""
    ran = world.lockstep("audit", *deployment.options, "--json", env=world.keys)
    return dict(ran.json)


def test_repair_brings_back_exactly_what_an_audit_finds_and_the_next_audit_is_clean(world: World) -> None:
    source = world.deployment(blocks=60, size=200)
    world.backup(source)
    gone, cut, untouched = source.filled.keys[:5], source.filled.keys[5:8], source.filled.keys[8:]
    delete_objects(source.bucket, gone)
    put_objects(source.bucket, [(key, b"short") for key in cut] + [("Acme/orphan", b"nobody's")])
    before, found = stamps(world, source), audited(world, source)
    assert (found["missing"]["count"], found["mismatched"]["count"], found["orphans"]["count"]) == (5, 3, 1)

    planned = world.run("repair", *source.options, "--dry-run", "--json")
    assert (planned.json["restorable"], planned.json["unrestorable"]) == (8, 0)
    assert stamps(world, source) == before

    repaired = world.run("repair", *source.options, "--json")
    assert repaired.returncode == 0, repaired
    assert (repaired.json["restored"], repaired.json["restored_bytes"], repaired.json["still_missing"]) == (8, 8 * 200, 0)
    after = stamps(world, source)
    assert {key: after[key] for key in untouched} == {key: before[key] for key in untouched}
    assert source.objects() == {**source.filled.objects, "Acme/orphan": b"nobody's"}
    assert audited(world, source)["consistent"] is True


def test_what_the_repository_lacks_too_is_told_and_ends_in_findings(world: World, tmp_path: Any) -> None:
    source = world.deployment(blocks=12)
    lost_before = source.filled.keys[:2]
    delete_objects(source.bucket, lost_before)
    world.backup(source)
    lost_after = source.filled.keys[2:3]
    delete_objects(source.bucket, lost_after)
    listed = tmp_path / "missing.jsonl"
    ran = world.run("repair", *source.options, "--json", "--list-missing", str(listed))
    assert ran.returncode == 3, ran
    assert (ran.json["restored"], ran.json["still_missing"]) == (1, 2)
    assert sorted(json.loads(line)["key"] for line in listed.read_text().splitlines()) == sorted(lost_before)
    assert lost_after[0] in source.objects()


def test_an_object_that_the_repository_holds_damaged_does_not_reach_the_bucket(world: World) -> None:
    source = world.deployment(blocks=5, size=300)
    world.backup(source)
    key = source.filled.keys[0]
    delete_objects(source.bucket, [key])
    kept = world.repo_path / "objects" / "main" / key
    kept.write_bytes(b"\x00" + kept.read_bytes()[1:])
    ran = world.run("repair", *source.options, "--json")
    assert ran.returncode == 3, ran
    assert (ran.json["restored"], ran.json["still_missing"]) == (0, 1)
    assert key not in source.objects()


def test_a_repository_is_healed_from_the_living_bucket_when_that_has_the_right_bytes(world: World) -> None:
    source = world.deployment(blocks=8, size=300)
    world.backup(source)
    flipped, gone, hopeless = (world.repo_path / "objects" / "main" / key for key in source.filled.keys[:3])
    flipped.write_bytes(b"\x00" + flipped.read_bytes()[1:])
    gone.unlink()
    hopeless.unlink()
    put_objects(source.bucket, [(source.filled.keys[2], b"x" * 300)])  # the same size, other bytes
    ran = world.run("repair", "--repository", *source.options, "--json")
    assert ran.returncode == 3, ran
    assert (ran.json["restored"], ran.json["still_missing"]) == (2, 1)
    assert (flipped.read_bytes(), gone.read_bytes()) == tuple(source.filled.objects[key] for key in source.filled.keys[:2])
    assert not hopeless.exists()
    found = world.run("verify", "--json", "--read-data").json["findings"]
    assert [finding["key"] for finding in found] == [source.filled.keys[2]]
