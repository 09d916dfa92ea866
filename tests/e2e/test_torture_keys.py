"""Keys that mean harm, or nothing good: whatever the store accepts comes back byte for byte in another bucket, and nothing lies outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from lockstep.postgres.embedded import EmbeddedServer
from support.fixture_types import Lockstep
from support.servers import MotoServer, RcloneS3, SeaweedFS
from support.world import S3, Deployment, World, open_world

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

NAMES = (
    "a", "A", "a.", "a-", "a!", "Case", "case", "CASE", "%41", "a%2Fb", "%2e%2e", "q?x=1", "h#x", "plus+", "a&b=c;d", "a:b", "*", "<>|\"'",
    "sp ace", " lead", "end ",
    "caf\u00e9", "cafe\u0301", "\u00a0", "\u2028", "\u202egnp", "\ufeff", "\ufffd", "\U0010ffff", "🙂/🙃", "dot.",
    "dots...", "trail./x", "...", ".hidden", "con", "NUL.txt", "-rf", "--", "$HOME", "`id`", "'; DROP TABLE alone; --", "{}", "~", "@x",
    "lockstep.json", "snapshots/x", "locks/a", "k" * 255, "é" * 127, ("p" * 100 + "/") * 10 + "q" * 14, "long/" + "d/" * 500 + "e",
)  # fmt: skip
CONTROLS = ("r\rc", "t\tb", "c\x01d", "\x7fdel")
FOLDERS = ("b/c/d", "b", "b/c", "z", "z/y")
PATHS = ("../../x", "..", ".", "/abs", "e//f", "//", "./dot", "x/./y", "x/../y", "C:\\x", "back\\slash", "dir/")
LONG = ("o" * 1024, "k" * 256, "s" * 200 + "/" + "t" * 300, "é" * 128)

KEYS = {
    "moto": (*NAMES, *CONTROLS, *FOLDERS, *PATHS, *LONG),
    "seaweedfs": (*NAMES, *CONTROLS, "n\nl", *FOLDERS, *PATHS, *LONG),
    "rclone": NAMES,  # its objects are files
}
REFUSED = {
    "moto": set[str](),
    "seaweedfs": {"../../x", "..", ".", "./dot", "x/./y", "x/../y", *LONG},
    "rclone": set[str](),
}
ELSEWHERE = {
    "moto": set[str](),
    "seaweedfs": {"/abs", "e//f", "//", "C:\\x", "back\\slash"},  # kept as `abs`, `e/f`, `C:/x`: another key, and nobody can tell
    "rclone": set[str](),
}


@pytest.fixture(params=["moto", "seaweedfs", "rclone"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, S3]]:
    if request.param == "rclone":
        with RcloneS3(tmp_path / "rclone") as rclone:
            yield "rclone", rclone
    else:
        made: MotoServer | SeaweedFS = request.getfixturevalue("moto_server" if request.param == "moto" else "s3_server")
        yield request.param, made


def contents(client: Any, bucket: str) -> dict[str, bytes]:
    """What a bucket holds, by another client than lockstep's."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_whatever_a_store_accepts_comes_back_in_another_bucket(
    servers: tuple[str, S3], lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_server: EmbeddedServer, tmp_path: Path
) -> None:
    name, s3 = servers
    with open_world(lockstep, lockstep_environment, postgres_server, s3, tmp_path) as world:
        source, target, client = Deployment(world.new_database(), world.new_bucket()), world.nowhere(), s3.client()
        with psycopg.connect(source.database.conninfo) as connection:
            connection.execute("CREATE TABLE alone AS SELECT 1 AS n")
        refused = set()
        for number, key in enumerate(KEYS[name]):
            data = b"" if key.endswith("/") else f"{number} {key}".encode()  # SeaweedFS forgets the bytes of `dir/`, and keeps their ETag
            try:
                client.put_object(Bucket=source.bucket_name, Key=key, Body=data)
            except ClientError:
                refused.add(key)
        held = contents(client, source.bucket_name)
        assert refused == REFUSED[name]
        assert set(KEYS[name]) - held.keys() - refused == ELSEWHERE[name]
        outside = around(tmp_path)
        come_and_go(world, source, target, held)
        assert around(tmp_path) == outside | {"repository"}
        assert contents(client, target.bucket_name) == held


def come_and_go(world: World, source: Deployment, target: Deployment, held: dict[str, bytes]) -> None:
    ran = world.backup(source, "--app", "bucket")
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["referenced"], ran.json["objects"]["new"]) == (len(held), len(held))
    verified = world.run("verify", "--read-data", "--json")
    assert (verified.returncode, verified.json["ok"]) == (0, True), verified
    assert len(set(held.values())) <= verified.json["checked"]["objects_read"] <= len(held), verified  # equal bytes may lie at one place
    restored = world.restore(target)
    assert (restored.returncode, restored.json["objects"]["uploaded"]) == (0, len(held)), restored
    again = world.run("restore", "latest", *target.options, "--only", "objects", "--json")
    assert (again.returncode, again.json["objects"]["already_there"]) == (0, len(held)), again


def around(tmp_path: Path) -> set[str]:
    """What lies in the test's directory, above it, and where absolute keys would lead."""
    return {each.name for place in (tmp_path, tmp_path.parent, Path("/")) for each in place.iterdir()} - {"pytest"}
