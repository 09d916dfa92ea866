from __future__ import annotations

from collections.abc import Sequence

import pytest

from support.fixture_types import Ran
from support.parsec_shape import delete_objects, put_objects
from support.raid import Raid, on_raid
from support.world import World, error_of, same


def told(ran: Ran) -> dict[str, object]:
    """What must not depend on who copied."""
    document = ran.json
    objects = {name: value for name, value in document["objects"].items() if name != "seconds"}
    gets = {name: document["requests"][name] for name in ("list", "get", "retried")}
    return {**objects, **gets, "complete": document["complete"], "parent": document["parent"], "keys": sorted(document)}


def test_workers_copy_what_one_process_copies_and_the_result_is_the_same(world: World) -> None:
    source, target = world.deployment(blocks=300), world.nowhere()
    alone = world.run("backup", *source.options, "--json", repo=str(world.tmp_path / "alone"))
    ran = world.backup(source, "--workers", "2")
    assert ran.returncode == 0, ran
    assert told(ran) | {"keys": 0} == told(alone) | {"keys": 0}
    assert (ran.json["objects"]["new"], ran.json["workers"]["count"], ran.json["workers"]["lost"]) == (300, 2, 0)
    again = world.backup(source, "--workers", "2")
    assert (again.json["objects"]["new"], again.json["requests"]["get"], again.json["workers"]["count"]) == (0, 0, 0)
    assert world.run("verify", "--read-data").returncode == 0
    assert world.restore(target).returncode == 0
    same(source, target)


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_workers_reach_a_raid_and_a_repository_in_an_object_store_with_keys_that_no_environment_holds(world: World) -> None:
    source, raid = on_raid(world, "raid5", blocks=60, size=(1, 900))
    lost, damaged = source.filled.keys[3], source.filled.keys[5]
    raid.lose(0, [lost])
    raid.lose(1, [lost])
    raid.lose(0, [damaged])
    recipient = world.lockstep("key", "generate", "--output", world.tmp_path / "key.txt", "--json").json["recipient"]
    repository = world.new_bucket()
    (world.tmp_path / "lockstep.toml").write_text(
        "[repository]\n"
        f'endpoint_url = "{repository.endpoint_url}"\nregion = "us-east-1"\n'
        f'access_key_id = "{repository.access_key_id}"\nsecret_access_key = "{repository.secret_access_key}"\n'
    )
    options = ["--repo", f"{repository.url}/place", *raid.options(source.database, world.tmp_path)]
    ran = world.lockstep("backup", *options, "--recipient", recipient, "--workers", "2", "--json")
    assert ran.returncode == 3, ran
    objects = ran.json["objects"]
    assert (objects["new"], objects["missing"], ran.json["missing_sample"]) == (59, 1, [lost])
    assert [sentence for sentence in ran.json["degraded"] if "1 object missing" in sentence], ran
    assert ran.json["requests"]["get"] >= 3 * 59
    assert ran.json["repository_requests"]["put"] > 59
    assert (ran.json["workers"]["count"], ran.json["workers"]["lost"]) == (2, 0)
    assert world.lockstep("verify", *options[:2], "--read-data", "--json").json["checked"]["objects_read"] == 59
    assert str(source.bucket.secret_access_key) not in ran.stdout + ran.stderr


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_workers_encrypt_objects_and_read_encrypted_ones(world: World) -> None:
    source, target, secret = world.deployment(blocks=60, size=(1, 900)), world.nowhere(), world.tmp_path / "key.txt"
    recipient = world.lockstep("key", "generate", "--output", secret, "--json").json["recipient"]
    ran = world.backup(source, "--recipient", recipient, "--encrypt-objects", "--workers", "2")
    assert (ran.returncode, ran.json["objects"]["new"], ran.json["workers"]["count"]) == (0, 60, 2), ran
    stored = [path.read_bytes() for path in world.repo_path.rglob("*") if path.is_file() and path.parts[-3] in {"objects", "odd"}]
    assert not set(stored) & set(source.filled.objects.values())
    assert "--identity" in error_of(world.restore(target, "--workers", "2"), status=2)
    assert world.restore(target, "--workers", "2", "--identity", secret).returncode == 0
    same(source, target)


def test_what_is_missing_is_missing_for_workers_too_and_fail_fast_ends_them(world: World) -> None:
    source = world.deployment(blocks=50)
    delete_objects(source.bucket, source.filled.keys[:2])
    assert error_of(world.backup(source, "--workers", "2", "--fail-fast"), kind="missing_objects")
    assert world.snapshots() == []
    ran = world.backup(source, "--workers", "2")
    assert (ran.returncode, ran.json["objects"]["missing"], ran.json["complete"]) == (3, 2, False)
    assert sorted(ran.json["missing_sample"]) == sorted(source.filled.keys[:2])


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_workers_bring_back_what_one_process_brings_back(world: World) -> None:
    source, target, again = world.deployment(blocks=300), world.nowhere(), world.nowhere()
    assert world.backup(source).returncode == 0
    lost, damaged, there = source.filled.keys[:3]
    (world.repo_path / "objects" / "main" / lost).unlink()
    (world.repo_path / "objects" / "main" / damaged).write_bytes(b"x" * len(source.filled.objects[damaged]))
    put_objects(target.bucket, [(there, source.filled.objects[there])])
    put_objects(again.bucket, [(there, source.filled.objects[there])])
    ran, alone = world.restore(target, "--workers", "2"), world.restore(again)
    assert (ran.returncode, ran.json["consistent"]) == (3, False)
    for name in ("uploaded", "uploaded_bytes", "already_there", "different", "missing", "missing_sample"):
        assert ran.json["objects"][name] == alone.json["objects"][name], name
    assert (ran.json["objects"]["uploaded"], ran.json["objects"]["already_there"], ran.json["objects"]["missing"]) == (297, 1, 2)
    assert 0 <= ran.json["requests"]["put"] - alone.json["requests"]["put"] <= 1  # each process asks once what it can rely on
    assert ran.stderr.count("the repository's object") == 2
    assert target.objects() == again.objects()
    resumed = world.restore(target, "--workers", "2", "--only", "objects")
    assert (resumed.json["objects"]["uploaded"], resumed.json["objects"]["already_there"]) == (0, 298)


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_workers_bring_objects_back_to_a_raid_with_the_keys_of_its_env_file(world: World) -> None:
    source = world.deployment(blocks=60, size=(1, 900))
    assert world.backup(source).returncode == 0
    target, raid = world.nowhere(), Raid("raid5", tuple(world.new_bucket() for _ in range(3)))
    options = ["--repo", world.repo, *raid.options(target.database, world.tmp_path), "--json", "--workers", "2"]
    ran = world.lockstep("restore", "latest", *options)
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["uploaded"], ran.json["consistent"]) == (60, True)
    assert raid.held() == raid.layout(source.filled.objects)


def verified(ran: Ran) -> dict[str, object]:
    """What must not depend on who read."""
    return {name: value for name, value in ran.json.items() if name not in {"workers", "repository_requests"}}


def spoil(world: World, keys: Sequence[str]) -> None:
    """Of three objects of the repository: lose one, change a bit of one, cut one."""
    lost, damaged, cut = (world.repo_path / "objects" / "main" / key for key in keys)
    lost.unlink()
    damaged.write_bytes(bytes([damaged.read_bytes()[0] ^ 1]) + damaged.read_bytes()[1:])
    cut.write_bytes(cut.read_bytes()[:-1])


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_workers_find_what_one_process_finds(world: World) -> None:
    source = world.deployment(blocks=300, size=(2, 900))
    assert world.backup(source).returncode == 0
    sound, alone = (world.run("verify", "--read-data", *more, "--json") for more in (["--workers", "2"], []))
    assert (sound.returncode, sound.json["checked"]["objects_read"], verified(sound)) == (0, 300, verified(alone)), sound
    assert (sound.json["workers"]["count"], sound.json["workers"]["lost"], alone.json["workers"]) == (2, 0, None)
    assert world.snapshots()[0]["verified_data"]
    spoil(world, source.filled.keys[:3])
    found, alone = (world.run("verify", "latest", "--read-data", *more, "--json") for more in (["--workers", "2"], []))
    assert (found.returncode, verified(found)) == (3, verified(alone))
    assert sorted(each["kind"] for each in found.json["findings"]) == ["damaged", "missing", "truncated"]
    assert found.json["checked"]["objects_read"] == 300
    (world.repo_path / "lockstep.json").write_bytes(b"not this")
    worse, alone = (world.run("verify", "--read-data", *more, "--json") for more in (["--workers", "2"], []))
    assert (worse.returncode, len(worse.json["findings"]), verified(worse)) == (3, 4, verified(alone))


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_without_read_data_there_is_nothing_for_workers(world: World) -> None:
    assert world.backup(world.deployment(blocks=1)).returncode == 0
    ran = world.run("verify", "--workers", "2", "--json")
    assert (ran.returncode, ran.json["workers"]) == (0, None)
    assert "without --read-data" in ran.stderr
    error_of(world.run("verify", "--read-data", "--workers", "0", "--json"), status=2)


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_workers_read_encrypted_objects_of_an_object_store_in_parts_of_the_whole(world: World) -> None:
    source, secret = world.deployment(blocks=60, size=(1, 900)), world.tmp_path / "key.txt"
    recipient = world.lockstep("key", "generate", "--output", secret, "--json").json["recipient"]
    repository = world.new_bucket()
    world.repo = f"{repository.url}/place"
    assert world.backup(source, "--recipient", recipient, "--encrypt-objects").returncode == 0
    env = {"LOCKSTEP_REPO_ENDPOINT_URL": world.s3.endpoint_url}
    options = ["--workers", "2", "--json"]
    first, second = (world.run("verify", "--read-data=50", *options, "--identity", secret, env=env) for _ in range(2))
    assert [ran.json["checked"]["objects_read"] for ran in (first, second)] == [30, 30], (first, second)
    assert first.json["repository_requests"]["get"] >= 30
    wrong = world.tmp_path / "wrong.txt"
    world.lockstep("key", "generate", "--output", wrong, "--json")
    refused = world.run("verify", "--read-data", *options, "--identity", wrong, env=env)
    assert "encrypted to others" in error_of(refused, status=2, kind="identity_needed")


def test_a_bad_number_of_workers_is_refused_before_anything_is_written(world: World) -> None:
    source = world.deployment(blocks=1)
    for number in ("0", "-1", "x", "1000"):
        error_of(world.backup(source, "--workers", number), status=2)
    assert not world.repo_path.exists()
