"""A repository on a disk is restored without lockstep, by the very commands of docs/restore-by-hand.md, and equals the source."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from psycopg.conninfo import conninfo_to_dict

from lockstep.postgres.embedded import available_servers
from support.world import Deployment, World, same

ON_15 = pytest.mark.skipif(15 not in available_servers(), reason="PostgreSQL 15 is not installed")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "restore-by-hand.md"


class Hand:
    """Types the commands of the page: a command is found by how it begins, and the words in capitals are filled in."""

    def __init__(self, world: World, snapshot: str, target: Deployment, *, programs: Path | None = None) -> None:
        known = conninfo_to_dict(world.postgres.address().conninfo)
        path = [str(programs or world.postgres.bin_dir), str(Path(sys.executable).parent), os.defpath]
        self.environment = {
            **world.keys,
            "PATH": os.pathsep.join(path),
            "HOME": str(world.tmp_path / "home"),
            "AWS_ENDPOINT_URL": world.s3.endpoint_url,
            **{f"PG{name.upper()}": str(known[name]) for name in ("host", "port", "user", "password")},
        }
        self.directory = world.tmp_path
        self.words = {"ID": snapshot, "BUCKET": target.bucket_name, "NAME": target.dbname}

    def type(self, beginning: str, *, having: str = "", **words: str) -> str:
        """Run the page's command that begins so; returns what it printed. It must end well and find nothing to warn of."""
        command = command_of_page(beginning, having)
        for word, value in {**self.words, **words}.items():
            command = command.replace(word, shlex.quote(value))
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done)
        return done.stdout


def command_of_page(beginning: str, having: str = "") -> str:
    """The one command on the page that begins so and has these words: in a block, or else in a sentence. Comments are left out."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)
    in_blocks = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    in_sentences = re.findall(r"`([^`\n]+)`", text)
    for lines in (in_blocks, in_sentences):
        found = {line for line in lines if line.startswith(f"{beginning} ") and having in line}
        if found:
            [command] = found
            return re.sub(r"\s+#.*$", "", command)
    raise AssertionError(f"the page has no command {beginning} … {having}")


def manifest_of(world: World, snapshot: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((world.repo_path / "snapshots" / snapshot / "manifest.json").read_text())
    return found


@pytest.mark.parametrize(
    ("postgres_server", "format_"),
    [(18, "custom"), (18, "directory"), (18, "plain"), pytest.param(15, "custom", marks=ON_15)],
    indirect=["postgres_server"],
)
def test_createdb_pg_restore_and_aws_sync_are_enough(world: World, format_: str) -> None:
    source, target = world.deployment(organizations=("Acme", "株式会社テスト"), blocks=25, size=(1, 900), doubled=3), world.nowhere()
    made = world.backup(source, "--format", format_)
    assert made.returncode == 0, made
    snapshot = made.json["snapshot"]
    manifest = manifest_of(world, snapshot)
    hand = Hand(world, snapshot, target)

    assert hand.type("ls").split() == [f"repository/snapshots/{snapshot}/manifest.json"]
    if format_ == "custom":
        [entry] = [each for each in manifest["files"] if each["path"].endswith("/database.dump")]
        assert hand.type("sha256sum").split()[0] == entry["sha256"]
    hand.type("aws s3 sync", having="repository/objects")
    hand.type("createdb")
    hand.type("psql" if format_ == "plain" else "pg_restore", having=f"# {format_}")
    hand.type("psql", having="ANALYZE")

    same(source, target)
    with target.connect() as connection:
        for table, rows in manifest["database"]["rows"].items():
            schema, _, name = table.rpartition(".")
            counted = connection.execute(f'SELECT count(*) FROM "{schema or "public"}"."{name}"'.encode()).fetchall()
            assert counted == [(rows,)]
        named = {row[0] for row in connection.execute(manifest["profile"]["query"].encode()).fetchall()}
    assert named == target.objects().keys()


@pytest.mark.parametrize("postgres_server", [pytest.param(15, marks=ON_15)], indirect=True)
def test_a_newer_pg_restore_feeds_an_older_server_through_psql(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    newer = available_servers()[18]
    made = world.backup(source, "--client-programs", str(newer))
    assert made.returncode == 0, made
    hand = Hand(world, made.json["snapshot"], target, programs=newer)
    hand.type("aws s3 sync", having="repository/objects")
    hand.type("createdb")
    hand.type("pg_restore", having="sed")
    same(source, target)


@pytest.mark.parametrize("postgres_server", [18], indirect=True)
def test_objects_that_lie_aside_are_found_with_the_inventory(world: World) -> None:
    source, target = Deployment(world.new_database(), world.new_bucket()), world.nowhere()
    client = world.s3.client()
    odd = "with\ttab"
    for key, body in {"plain/key": b"plain", odd: b"odd"}.items():
        client.put_object(Bucket=source.bucket_name, Key=key, Body=body)
    made = world.backup(source, "--app", "bucket")
    assert made.returncode == 0, made
    hand = Hand(world, made.json["snapshot"], target)
    hand.type("aws s3 sync", having="repository/objects")
    query = re.search(r'-c "(.*)"', command_of_page("duckdb"))
    assert query is not None
    with duckdb.connect() as connection:
        connection.execute(f"SET file_search_path = '{world.tmp_path}'")
        rows = connection.execute(query[1]).fetchall()
        columns = [column[0] for column in connection.description or ()]
    for row in rows:
        known = dict(zip(columns, row, strict=True))
        assert known["store"] == "main"
        assert known["snapshot"] <= made.json["snapshot"]
        hand.type("aws s3api put-object", KEY=known["key"], LOCATION=known["location"])
    keys = {item["Key"] for item in client.list_objects_v2(Bucket=target.bucket_name)["Contents"]}
    assert keys == {"plain/key", odd}
    assert client.get_object(Bucket=target.bucket_name, Key=odd)["Body"].read() == b"odd"


@pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")
@pytest.mark.parametrize(("postgres_server", "format_"), [(18, "custom"), (18, "directory")], indirect=["postgres_server"])
def test_age_reads_what_is_encrypted(world: World, format_: str) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    made = world.lockstep("key", "generate", "--output", str(world.tmp_path / "key"), "--json")
    keys = ("--recipient", made.json["recipient"], "--encrypt-objects")
    snapshot = world.backup(source, *keys, "--format", format_).json["snapshot"]
    hand = Hand(world, snapshot, target)
    hand.type("cp")
    hand.type("find", having="plain", KEYFILE="key")
    hand.words = {"repository/snapshots/ID": "plain", **hand.words}
    hand.type("find", having="encrypted", KEYFILE="key")
    hand.type("aws s3 sync", having=" objects ")
    hand.type("createdb")
    hand.type("pg_restore", having=f"# {format_}")
    same(source, target)


def test_the_page_names_no_program_that_this_test_does_not_run() -> None:
    blocks = re.findall(r"^ *```\n(.*?)^ *```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    words = {line.split()[0] for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()}
    assert words == {"ls", "sha256sum", "aws", "duckdb", "createdb", "pg_restore", "psql", "cp", "find"}
