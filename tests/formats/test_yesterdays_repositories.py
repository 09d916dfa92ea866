"""A repository of every released format lies here, as that release wrote it: it opens, restores and is added to today.

A repository is made once, before the release, by `make_repository` on the oldest PostgreSQL at hand, and committed as `format-N`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.parsec_shape import put_objects
from support.world import Deployment, World

HERE = Path(__file__).parent
FORMATS = sorted(path.name for path in HERE.glob("format-*"))

FIRST = {"plain": b"first bytes", "folder/file": b"in a folder", "with\ttab": b"lies aside", "ключ/é": b"", "replaced": b"old"}
SECOND = {**FIRST, "replaced": b"and new", "second": b"came later"}
LOST = "never there"

PROFILE = """\
name = "files"
references = "SELECT path AS key, bytes AS size FROM file"
"""


def make_repository(world: World) -> None:
    """Two snapshots: the first lacks an object, the second is built on it, and has a second version of one."""
    source = Deployment(world.new_database("files"), world.new_bucket())
    source.execute("CREATE TABLE file (path text PRIMARY KEY, bytes int)")
    profile = world.tmp_path / "files.toml"
    profile.write_text(PROFILE)
    for objects, lost, status in ((FIRST, [LOST], 3), (SECOND, [], 0)):
        for key, data in objects.items():
            world.s3.client().put_object(Bucket=source.bucket_name, Key=key, Body=data, ContentType="text/plain", Metadata={"of": "format"})
        with source.connect() as connection:
            connection.execute("TRUNCATE file")
            for key, size in [*((key, len(data)) for key, data in objects.items()), *((key, 7) for key in lost)]:
                connection.execute("INSERT INTO file VALUES (%s, %s)", [key, size])
        assert world.backup(source, "--app", str(profile), "--tag", f"{len(objects)} objects").returncode == status


def test_every_released_format_is_here() -> None:
    assert FORMATS == ["format-1"]


@pytest.mark.parametrize("format_", FORMATS)
def test_an_old_repository_restores_and_is_added_to(world: World, format_: str) -> None:
    shutil.copytree(HERE / format_, world.repo_path)
    first, second = world.snapshots()
    assert [(each["tag"], each["complete"], each["missing"]) for each in (first, second)] == [
        ("5 objects", False, 1),
        ("6 objects", True, 0),
    ]
    [missing] = world.run("show", first["snapshot"], "--missing", "--json").json["missing"]
    assert missing == {"store": "main", "key": LOST, "size": 7, "why": "lost", "since": first["snapshot"]}
    for snapshot, objects, status in ((first, FIRST, 3), (second, SECOND, 0)):
        target = world.nowhere()
        ran = world.restore(target, "--no-owner", snapshot=snapshot["snapshot"])
        assert ran.returncode == status, ran
        assert contents(world, target) == objects
        with target.connect() as connection:
            rows: dict[str, int] = dict(connection.execute("SELECT path, bytes FROM file").fetchall())
        assert rows == {key: len(data) for key, data in objects.items()} | ({LOST: 7} if status else {})
    head = world.s3.client().head_object(Bucket=target.bucket_name, Key="plain")
    assert (head["ContentType"], head["Metadata"]) == ("text/plain", {"of": "format"})

    profile = world.tmp_path / "files.toml"
    profile.write_text(PROFILE)
    put_objects(target.bucket, [("third", b"today")])
    target.execute("INSERT INTO file VALUES ('third', 5)")
    ran = world.backup(target, "--app", str(profile))
    assert ran.returncode == 0, ran
    assert (ran.json["parent"], ran.json["objects"]["new"]) == (second["snapshot"], 1)
    again = world.nowhere()
    assert world.restore(again).returncode == 0
    assert contents(world, again) == SECOND | {"third": b"today"}


def contents(world: World, deployment: Deployment) -> dict[str, bytes]:
    client = world.s3.client()
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=deployment.bucket_name)["Contents"]]
    return {key: client.get_object(Bucket=deployment.bucket_name, Key=key)["Body"].read() for key in keys}
