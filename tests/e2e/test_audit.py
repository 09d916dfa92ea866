"""`lockstep audit`: the live database held against the live bucket, as an operator does it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

from support.fixture_types import Ran
from support.parsec_shape import add_blocks, delete_objects, put_objects
from support.servers import MotoServer
from support.world import Deployment, World, error_of, open_world

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

ORGANIZATIONS = ("Acme", "Ελλάδα_1", "株式会社テスト")


def audit(world: World, deployment: Deployment, *arguments: str | Path) -> Ran:
    return world.lockstep("audit", *deployment.options, "--json", *arguments, env=world.keys)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_deleted_truncated_and_orphaned_objects_are_exactly_what_is_found(world: World) -> None:
    source = world.deployment(organizations=ORGANIZATIONS, realms=2, blocks=240, size=(100, 300), doubled=12)
    blocks = {block.key: block for block in source.filled.blocks}
    keys = sorted(blocks, key=lambda key: key[::-1])  # spread over all organizations
    lost, short = keys[:25], keys[25:30]
    orphans = [(f"{ORGANIZATIONS[n % 3]}/orphan-{n}", bytes(n)) for n in range(40)]
    delete_objects(source.bucket, lost)
    put_objects(source.bucket, [*((key, b"short") for key in short), *orphans])
    before = world.everything(source)
    page, missing, orphaned = world.tmp_path / "report.html", world.tmp_path / "missing.jsonl", world.tmp_path / "orphans.jsonl"

    ran = audit(world, source, "--report", page, "--list-missing", missing, "--list-orphans", orphaned)
    assert ran.returncode == 3, ran
    found = ran.json
    assert found["consistent"] is False
    assert (found["referenced"], found["present"]) == (240, 210)
    assert found["missing"]["count"] == 25
    assert found["missing"]["bytes"] == sum(blocks[key].size for key in lost)
    assert found["missing"]["sample"] == sorted(lost)
    assert found["mismatched"]["count"] == 5
    assert found["mismatched"]["bytes"] == sum(blocks[key].size for key in short)
    assert found["mismatched"]["sample"] == sorted(short)
    assert found["orphans"] == {"count": 40, "bytes": sum(range(40))}
    assert (found["purged"]["count"], found["in_flight"]["count"], found["classes"]) == (0, 0, {"lost": 25})
    assert found["requests"]["head"] < 60  # for the suspects, and whether the bucket is there; not for what the listing showed

    with source.connect() as connection:
        realms: dict[int, str] = dict(connection.execute("SELECT _id, realm_id::text FROM realm").fetchall())
    for part, affected in (("missing", lost), ("mismatched", short)):
        groups = {(group["organization"], group["realm"]): (group["count"], group["bytes"]) for group in found[part]["groups"]}
        assert sum(count for count, _ in groups.values()) == len(affected)
        assert sum(size for _, size in groups.values()) == sum(blocks[key].size for key in affected)
        by_organization: Counter[str] = Counter()
        for (organization, _), (count, _) in groups.items():
            by_organization[organization] += count
        assert by_organization == Counter(blocks[key].realm.organization for key in affected)
        assert {realm for _, realm in groups} <= set(realms.values())
    assert sum(each["count"] for each in found["breakdown"]["author"]) == 30

    listed = {each["key"]: each for each in lines_of(missing)}
    assert {key: (each["store"], each["size"], each["why"]) for key, each in listed.items()} == {
        **{key: ("main", blocks[key].size, "lost") for key in lost},
        **{key: ("main", blocks[key].size, "wrong_size") for key in short},
    }
    assert all(listed[key]["found_size"] == 5 for key in short)
    assert all(each["organization"] == each["key"].partition("/")[0] for each in listed.values())
    assert {(each["key"], each["size"]) for each in lines_of(orphaned)} == {(key, len(data)) for key, data in orphans}

    html = page.read_text(encoding="utf-8")
    embedded = json.loads(html.partition('<script type="application/json" id="audit">')[2].partition("</script>")[0])
    assert embedded["missing"] == found["missing"]
    assert "http://" not in html.replace("http-equiv", "")
    assert all(name in html for name in ORGANIZATIONS)
    assert world.everything(source) == before

    put_objects(source.bucket, [(key, blocks[key].contents()) for key in (*lost, *short)])
    healed = audit(world, source)
    assert healed.returncode == 0, healed
    assert (healed.json["consistent"], healed.json["present"], healed.json["orphans"]["count"]) == (True, 240, 40)
    text = world.lockstep("audit", *source.options, env=world.keys)
    assert text.stdout.startswith("the deployment is consistent"), text


def test_a_repository_tells_since_when_and_what_it_could_put_back(world: World) -> None:
    source = world.deployment(organizations=2, blocks=40, size=100)
    early, late = source.filled.keys[:2], source.filled.keys[2:5]
    delete_objects(source.bucket, early)
    first = world.backup(source)
    assert first.returncode == 3, first
    assert world.backup(source).returncode == 3
    newest = world.snapshots()[-1]["snapshot"]
    delete_objects(source.bucket, late)
    with source.connect() as connection:
        new = add_blocks(connection, source.bucket, source.filled, 1, seed=5).blocks[-1].key
    delete_objects(source.bucket, [new])
    page, missing = world.tmp_path / "report.html", world.tmp_path / "missing.jsonl"

    ran = audit(world, source, "--repo", world.repo, "--report", page, "--list-missing", missing)
    assert ran.returncode == 3, ran
    since = first.json["snapshot"]
    kept = ran.json["repository"]
    assert (kept["newest"], kept["copied"]) == (newest, {"count": 3, "bytes": 300})
    assert kept["since"] == [{"since": since, "count": 2, "bytes": 200}]
    assert kept["unknown"]["count"] == 1
    listed = {each["key"]: (each.get("since"), each.get("copied")) for each in lines_of(missing)}
    assert listed == {**dict.fromkeys(early, (since, None)), **dict.fromkeys(late, (None, since)), new: (None, None)}
    assert f"missing since the snapshot {since}" in page.read_text(encoding="utf-8")
    text = world.lockstep("audit", *source.options, "--repo", world.repo, env=world.keys).stdout
    assert f"    2 missing since the snapshot {since} at the latest" in text.splitlines()
    assert audit(world, source).json["repository"] is None


def test_a_repository_that_cannot_tell_does_not_make_an_audit_fail(world: World) -> None:
    source = world.deployment(organizations=1, blocks=4)
    delete_objects(source.bucket, source.filled.keys[:1])
    ran = audit(world, source, "--repo", world.tmp_path / "nowhere")
    assert (ran.returncode, ran.json["missing"]["count"], ran.json["repository"]) == (3, 1, None)
    assert "there is no repository at" in ran.stderr


def test_writers_at_work_bring_no_false_finding(world: World) -> None:
    source = world.deployment(organizations=2, blocks=40)
    over = threading.Event()

    def write() -> None:
        number = 0
        with source.connect() as connection:
            while not over.is_set():
                number += 1
                add_blocks(connection, source.bucket, source.filled, 5, seed=1000 + number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            found = audit(world, source)
            assert found.returncode == 0, found
            assert found.json["consistent"] is True
            assert found.json["orphans"] == {"count": 0, "bytes": 0}
            assert found.json["missing"]["count"] == found.json["purged"]["count"] == 0
    finally:
        over.set()
        writer.join()


def test_objects_under_an_older_servers_key_or_an_older_version_are_told_apart(world: World, moto_server: MotoServer) -> None:
    with open_world(world.lockstep, world.environment, world.postgres, moto_server, world.tmp_path) as other:
        source = other.deployment(blocks=30, size=80)
        client = moto_server.client()
        client.put_bucket_versioning(Bucket=source.bucket_name, VersioningConfiguration={"Status": "Enabled"})
        lost, older, renamed, cut = source.filled.keys[:4]
        objects = source.filled.objects
        put_objects(source.bucket, [(key, objects[key]) for key in (older, cut)])  # versions from here on
        delete_objects(source.bucket, [older])
        put_objects(source.bucket, [(cut, b"cut"), (renamed.replace("-", ""), objects[renamed])])
        for key in (lost, renamed):
            client.delete_object(Bucket=source.bucket_name, Key=key, VersionId="null")

        listing = other.tmp_path / "missing.jsonl"
        ran = audit(other, source, "--list-missing", listing)
        assert ran.returncode == 3, ran
        assert ran.json["classes"] == {"lost": 1, "older_key": 1, "older_version": 1}
        assert (ran.json["missing"]["count"], ran.json["mismatched"]["count"], ran.json["recoverable"]) == (3, 1, 3)
        assert ran.json["orphans"]["count"] == 0  # what holds a missing object's bytes is none
        listed = {each["key"]: each for each in lines_of(listing)}
        assert listed[renamed]["found_key"] == renamed.replace("-", "")
        assert listed[older]["found_version"]
        assert (listed[cut]["why"], listed[cut]["found_size"], bool(listed[cut]["found_version"])) == ("wrong_size", 3, True)
        assert "found_key" not in listed[lost]


def test_a_bucket_that_does_not_exist_is_a_failure_and_not_a_loss(world: World) -> None:
    source = world.deployment(blocks=4)
    nowhere = replace(source, bucket=replace(source.bucket, url="s3://no-such-bucket"))
    assert "no-such-bucket" in error_of(audit(world, nowhere), kind="bucket_not_found")


def test_without_a_reference_query_there_is_nothing_to_audit(world: World) -> None:
    source = world.deployment(blocks=4)
    assert "reference query" in error_of(audit(world, source, "--app", "bucket"), status=2, kind="configuration")


def test_a_list_that_cannot_be_written_is_refused_before_the_work(world: World) -> None:
    source = world.deployment(blocks=4)
    assert "nowhere" in error_of(audit(world, source, "--report", world.tmp_path / "nowhere" / "page.html"), status=2, kind="configuration")


def test_objects_inside_the_database_leave_nothing_to_audit(world: World) -> None:
    source = world.deployment(blocks=4)
    known = conninfo_to_dict(source.database.conninfo)
    url = f"postgresql://{known['user']}:{quote(str(known['password']))}@{known['host']}:{known['port']}/{source.dbname}"
    env_file = world.tmp_path / "parsec.env"
    env_file.write_text(f"PARSEC_DB={url}\nPARSEC_BLOCKSTORE=POSTGRESQL\n", encoding="utf-8")
    ran = world.lockstep("audit", "--parsec-env", env_file, "--json")
    assert ran.returncode == 0, ran
    assert (ran.json["consistent"], ran.json["referenced"]) == (True, 0)
