"""What the metadata references and the store does not have: reported, left out, and the backup goes on."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from support.parsec_shape import delete_objects, put_objects
from support.world import World, error_of

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def test_missing_truncated_and_orphaned_objects_are_told_apart_and_keep_their_date(world: World) -> None:
    source = world.deployment(organizations=("Acme", "Ελλάδα_1"), realms=2, blocks=24, size=200)
    by_realm = {block.key: (block.realm.organization, block.realm.number) for block in source.filled.blocks}
    lost, short, late = list(source.filled.keys[:3]), source.filled.keys[10], source.filled.keys[20]
    delete_objects(source.bucket, lost)
    put_objects(source.bucket, [(short, b"short"), ("Acme/orphan", b"an orphan")])
    before = source.objects()

    first = world.backup(source)
    assert first.returncode == 3, first
    made = first.json
    assert made["complete"] is False
    assert made["objects"] | {"seconds": 0, "recovered": 0} == {
        "referenced": 24, "referenced_bytes": 24 * 200, "new": 20, "copied_bytes": 20 * 200, "reused": 0, "missing": 3, "mismatched": 1,
        "seconds": 0, "recovered": 0,
    }  # fmt: skip
    assert source.objects() == before  # the orphan too
    assert not any("orphan" in name for name in world.files())
    [listed] = world.snapshots()
    assert (listed["complete"], listed["missing"]) == (False, 3)

    def missing_in(snapshot: str) -> dict[str, tuple[str, str]]:
        found = world.run("show", snapshot, "--missing", "--json").json["missing"]
        assert all(set(each) == {"store", "key", "size", "why", "since"} for each in found)
        assert all((each["store"], each["size"]) == ("main", 200) for each in found)
        return {each["key"]: (each["why"], each["since"]) for each in found}

    one = made["snapshot"]
    assert missing_in(one) == dict.fromkeys(lost, ("lost", one)) | {short: ("wrong_size", one)}

    text = world.run("backup", *source.options)
    assert text.returncode == 3, text
    assert "NOT complete" in text.stdout
    with source.connect() as connection:
        realms: dict[int, str] = dict(connection.execute("SELECT _id, realm_id::text FROM realm").fetchall())
    groups = Counter(by_realm[key] for key in [*lost, short])
    for (organization, realm), count in groups.items():
        line = next(line for line in text.stdout.splitlines() if realms[realm] in line)
        assert organization in line
        assert f"{count} object" in line

    delete_objects(source.bucket, [late])  # is in the repository already: not missing
    put_objects(source.bucket, [(lost[0], source.filled.objects[lost[0]])])
    source.execute(f"UPDATE block SET size = 201 WHERE block_id = '{source.filled.keys[15].partition('/')[2]}'")
    third = world.backup(source)
    assert third.returncode == 3, third
    assert (third.json["objects"]["missing"], third.json["objects"]["mismatched"], third.json["objects"]["new"]) == (2, 2, 1)
    shown = world.run("show", "latest", "--missing", "--json").json["missing"]
    assert {each["key"]: each["since"] for each in shown} == {
        lost[1]: one, lost[2]: one, short: one, source.filled.keys[15]: third.json["snapshot"]
    }  # fmt: skip

    put_objects(source.bucket, [(key, source.filled.objects[key]) for key in (*lost, short)])
    source.execute("UPDATE block SET size = 200")
    healed = world.backup(source)
    assert healed.returncode == 0, healed
    assert (healed.json["complete"], healed.json["objects"]["new"]) == (True, 3)
    assert missing_in("latest") == {}


def test_what_a_snapshot_never_had_is_listed_by_its_restore(world: World) -> None:
    source, target = world.deployment(blocks=12, size=50), world.nowhere()
    lost = list(source.filled.keys[3:6])
    delete_objects(source.bucket, lost)
    assert world.backup(source).returncode == 3
    listing = world.tmp_path / "missing.jsonl"
    ran = world.restore(target, "--list-missing", listing)
    assert ran.returncode == 3, ran
    assert ran.json["consistent"] is False
    assert (ran.json["objects"]["uploaded"], ran.json["objects"]["missing"]) == (9, 3)
    assert ran.json["objects"]["missing_sample"] == lost
    lines = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]
    assert [(each["store"], each["key"], each["size"], each["why"]) for each in lines] == [("main", key, 50, "lost") for key in lost]
    assert target.tables() == source.tables()
    assert target.objects() == source.objects()


def test_fail_fast_ends_at_the_first_missing_object_without_a_snapshot(world: World) -> None:
    source = world.deployment(blocks=12)
    delete_objects(source.bucket, source.filled.keys[5:6])
    told = error_of(world.backup(source, "--fail-fast"), kind="missing_objects")
    assert source.filled.keys[5] in told
    assert world.snapshots() == []
    assert not [name for name in world.files() if name.startswith(("snapshots/", "locks/"))]
    ran = world.backup(source, "--keep-going")
    assert (ran.returncode, ran.json["objects"]["missing"]) == (3, 1)
