"""The second backup costs what changed, whatever happens to the deployment meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from support.parsec_shape import add_blocks, delete_objects, put_objects
from support.s3_proxy import Answer, S3Proxy
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def test_second_backup_asks_only_for_what_is_new(world: World) -> None:
    source = world.deployment(blocks=40)
    with S3Proxy(world.s3.endpoint_url) as proxy:
        seen = replace(source, bucket=replace(source.bucket, endpoint_url=proxy.endpoint_url))
        first = world.backup(seen)
        assert first.returncode == 0, first
        assert first.json["requests"]["get"] == proxy.counts["GET"] == 40
        assert first.json["requests"]["list"] == proxy.counts["LIST"] == 0

        proxy.counts.clear()
        second = world.backup(seen)
        assert second.returncode == 0, second
        made = second.json
        assert made["complete"] is True
        assert made["parent"] == first.json["snapshot"]
        assert made["snapshot"] > first.json["snapshot"]
        assert made["objects"] | {"seconds": 0} == first.json["objects"] | {"new": 0, "copied_bytes": 0, "reused": 40, "seconds": 0}
        assert made["requests"]["list"] == made["requests"]["get"] == made["requests"]["put"] == 0
        assert (proxy.counts["LIST"], proxy.counts["GET"], proxy.counts["PUT"]) == (0, 0, 0)
        assert made["requests"]["head"] == proxy.counts["HEAD"] <= 1  # is the bucket there?

        with source.connect() as connection:
            filled = add_blocks(connection, source.bucket, source.filled, 7, seed=5)
        proxy.counts.clear()
        third = world.backup(seen)
        assert third.returncode == 0, third
        assert (third.json["objects"]["new"], third.json["objects"]["reused"]) == (7, 40)
        assert third.json["requests"]["get"] == proxy.counts["GET"] == 7
        assert third.json["requests"]["list"] == proxy.counts["LIST"] == 0

    assert [each["snapshot"] for each in world.snapshots()] == [ran.json["snapshot"] for ran in (first, second, third)]
    old, new = world.nowhere(), world.nowhere()
    assert world.restore(old, snapshot=first.json["snapshot"]).json["objects"]["uploaded"] == 40
    assert old.objects().keys() == set(source.filled.keys)
    assert world.restore(new).json["objects"]["uploaded"] == 47
    assert new.objects().keys() == set(filled.keys)
    same(source, new)


def test_rows_and_objects_that_are_gone_stay_in_the_snapshots_that_had_them(world: World) -> None:
    source, first, second = world.deployment(blocks=10, vlobs=0), world.nowhere(), world.nowhere()
    world.backup(source)
    before, deleted = source.tables(), source.filled.keys[:4]
    ids = ", ".join(f"'{key.partition('/')[2]}'" for key in deleted)
    source.execute(f"DELETE FROM block WHERE block_id IN ({ids})")
    delete_objects(source.bucket, deleted)
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["referenced"], ran.json["complete"]) == (6, True)
    [old, new] = [each["snapshot"] for each in world.snapshots()]
    assert world.restore(first, snapshot=old).returncode == 0
    assert first.tables() == before
    assert first.objects() == source.filled.objects
    assert world.restore(second, snapshot=new).returncode == 0
    same(source, second)


def test_a_pair_restored_from_a_backup_under_load_dangles_nowhere(world: World) -> None:
    source = world.deployment(blocks=200, size=(100, 5000))
    with writers(source) as written:
        made = [world.backup(source), world.backup(source, "--format", "directory", "--jobs", "2"), world.backup(source)]
    assert written[0] > 10
    for ran in made:
        assert ran.returncode == 0, ran
        assert ran.json["complete"] is True, ran
        assert ran.json["requests"]["list"] == 0
    assert made[2].json["objects"]["referenced"] > made[0].json["objects"]["referenced"] >= 200
    for ran in made[:2]:
        target = world.nowhere()
        restored = world.restore(target, snapshot=ran.json["snapshot"])
        assert restored.returncode == 0, restored
        with target.connect() as connection:
            rows = connection.execute(
                "SELECT organization_id || '/' || block_id, size FROM block b JOIN realm r ON r._id = b.realm "
                "JOIN organization o ON o._id = r.organization"
            ).fetchall()
        assert {key: len(data) for key, data in target.objects().items()} == dict(rows)
        assert len(rows) == ran.json["objects"]["referenced"]


def test_a_dry_run_counts_and_writes_nothing(world: World) -> None:
    source = world.deployment(blocks=9)
    before = world.everything(source)
    ran = world.backup(source, "--dry-run")
    assert ran.returncode == 0, ran
    assert (ran.json["dry_run"], ran.json["referenced"], ran.json["new"]) == (True, 9, 9)
    assert (ran.json["rate"], ran.json["seconds"], ran.json["requests"] >= 9) == (None, None, True)
    assert world.everything(source) == before
    assert not world.repo_path.exists()
    world.backup(source)
    before = world.everything(source)
    text = world.run("backup", *source.options, "--dry-run")
    assert text.returncode == 0, text
    assert "0 new objects" in text.stdout
    assert "  take      about " in text.stdout
    assert world.everything(source) == before


def test_an_object_that_was_purged_while_the_backup_ran_is_told_from_a_lost_one(world: World) -> None:
    source = world.deployment(blocks=8, vlobs=0)
    purged, lost = source.filled.keys[2], source.filled.keys[5]
    delete_objects(source.bucket, [lost])
    gone = threading.Lock()
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def answering(method: str, path: str, ask: object) -> Answer:
            """The administrator deletes a workspace's block just when it is about to be read."""
            if method == "GET" and path.endswith(purged):
                with gone:
                    source.execute(f"DELETE FROM block WHERE block_id = '{purged.partition('/')[2]}'")
                    delete_objects(source.bucket, [purged])
            return ask()  # type: ignore[operator,no-any-return]

        proxy.answering = answering
        ran = world.backup(replace(source, bucket=replace(source.bucket, endpoint_url=proxy.endpoint_url)))
    assert ran.returncode == 3, ran
    listed = world.run("show", "latest", "--missing", "--json").json["missing"]
    assert {each["key"]: each["why"] for each in listed} == {purged: "purged", lost: "lost"}


def test_bytes_that_a_store_gets_wrong_are_asked_for_again_and_never_kept(world: World) -> None:
    source = world.deployment(blocks=12, size=2000)
    flipped_once, flipped_always, cut_once, busy = source.filled.keys[:4]
    wrong: set[str] = set()
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def answering(method: str, path: str, ask: object) -> Answer:
            key = path.split("/", 2)[2] if path.count("/") > 1 else ""
            answer: Answer = ask()  # type: ignore[operator]
            if method != "GET" or (key in wrong and key != flipped_always):
                return answer
            wrong.add(key)
            if key in {flipped_once, flipped_always}:
                return replace(answer, body=bytes([answer.body[0] ^ 1]) + answer.body[1:])
            if key == cut_once:
                return replace(answer, cut=True)
            return Answer(503, {}, b"<Error><Code>SlowDown</Code></Error>") if key == busy else answer

        proxy.answering = answering
        ran = world.backup(replace(source, bucket=replace(source.bucket, endpoint_url=proxy.endpoint_url)))
    assert ran.returncode == 3, ran
    assert ran.json["objects"]["mismatched"] == 1
    assert ran.json["objects"]["missing"] == 0
    assert ran.json["requests"]["retried"] >= 3
    [finding] = world.run("show", "latest", "--missing", "--json").json["missing"]
    assert (finding["key"], finding["why"]) == (flipped_always, "wrong_checksum")
    assert not any(flipped_always.partition("/")[2] in name for name in world.files())
    again = world.backup(source)  # past the liar
    assert again.returncode == 0, again
    assert again.json["objects"]["new"] == 1
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target)


def test_an_object_that_was_truncated_after_its_backup_is_not_noticed_by_asking_but_kept(world: World) -> None:
    """A kept object counts, whatever became of the live one: the repository is the copy that heals it."""
    source, target = world.deployment(blocks=4, size=100), world.nowhere()
    world.backup(source)
    put_objects(source.bucket, [(source.filled.keys[0], b"short")])
    delete_objects(source.bucket, [source.filled.keys[1]])
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    assert (ran.json["complete"], ran.json["requests"]["get"]) == (True, 0)
    assert world.restore(target).returncode == 0
    assert target.objects() == source.filled.objects


def test_snapshots_are_found_by_id_prefix_latest_and_time(world: World) -> None:
    source = world.deployment(blocks=2)
    first, second = (world.backup(source, "--tag", tag).json for tag in ("one", "two"))

    def shown(name: str) -> str:
        ran = world.run("show", name, "--json")
        assert ran.returncode == 0, ran
        return str(ran.json["snapshot"])

    assert shown("latest") == second["snapshot"]
    assert shown(first["snapshot"]) == first["snapshot"]
    assert shown(second["snapshot"][:-1]) == second["snapshot"]
    assert shown(first["created"]) == first["snapshot"]
    assert shown("2199-01-01") == second["snapshot"]
    for unknown in ("20", "2 days ago", "nonsense"):
        error_of(world.run("show", unknown, "--json"), kind="snapshot_not_found")
    objects = world.run("show", "latest", "--objects", "--json").json["objects"]
    assert [each["key"] for each in objects] == list(source.filled.keys)
    lines = world.run("show", "latest", "--objects", "--jsonl").stdout.splitlines()
    assert len(lines) == 2
    text = world.run("show", "latest")
    assert second["snapshot"] in text.stdout
    table = world.run("list")
    assert [line.split()[0] for line in table.stdout.splitlines()[1:]] == [first["snapshot"], second["snapshot"]]


def test_of_two_first_backups_at_once_one_is_refused_and_the_repository_is_sound(world: World) -> None:
    source = world.deployment(blocks=40)
    with world.started("backup", *source.options, "--json") as one, world.started("backup", *source.options, "--json") as other:
        ended = [process.communicate(timeout=60) for process in (one, other)]
    statuses = sorted([one.returncode, other.returncode])
    assert statuses in ([0, 0], [0, 4]), ended
    assert len(world.snapshots()) == statuses.count(0)
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target)


@contextmanager
def writers(source: Deployment) -> Iterator[list[int]]:
    """Two clients that put an object and then insert its row, as fast as they can, until the block ends; counts their blocks."""
    ending, written, seeds = threading.Event(), [0], iter(range(1000, 10**9))
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with psycopg.connect(source.database.conninfo) as connection:
                while not ending.is_set():
                    add_blocks(connection, source.bucket, source.filled, 3, size=(10, 3000), seed=next(seeds))
                    written[0] += 3
                    ending.wait(0.02)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        ending.set()
        for thread in threads:
            thread.join()
        assert not failed
