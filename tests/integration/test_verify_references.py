"""References are derived anew from the dump alone, and a list of references that is another one is found, however well it is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg
import pytest

from lockstep.operations.verify import VerifyOptions, verify
from lockstep.repository.seal import sealed
from support.fixture_types import Lockstep, PostgresServers
from support.parsec_shape import Generation, put_objects
from support.servers import SeaweedFS
from support.sound_repository import local_store
from support.world import Deployment, World, open_world

STRANGE = ["tab\tand\nnewline", "back\\slash", "two\\\\slashes\\n", "\\N", "ünïcødé 🐘", "'quote' \"double\"", "\r\v\f\b", "\\", "a,b", " "]


@pytest.fixture
def world(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_servers: PostgresServers, s3_server: SeaweedFS, tmp_path: Path
) -> Iterator[World]:
    with open_world(lockstep, lockstep_environment, postgres_servers(18), s3_server, tmp_path) as made:
        yield made


def derived(world: World, *snapshots: str, **options: object) -> tuple[int, list[str], list[str]]:
    """How many were derived, why others were not, and what was found."""
    given = VerifyOptions(snapshots, **options)  # type: ignore[arg-type] # checked by the dataclass's own use
    with verify(local_store(world.repo_path), options=given, now=datetime.now(UTC), zone=UTC) as found:
        said = [f"{each.kind} {each.path}: {each.detail}" for each in found.findings()]
        return found.checked.references_derived, list(found.not_derived.values()), said


def profile(world: World, query: str) -> str:
    path = world.tmp_path / "own.toml"
    path.write_text(f"name = 'own'\ndescription = 'own'\nreferences = '''\n{query}\n'''\n")
    return str(path)


@pytest.fixture
def strange(world: World) -> Deployment:
    """A table with values that COPY escapes, and keys that S3 takes."""
    made = Deployment(world.new_database(), world.new_bucket())
    with made.connect() as connection:
        connection.execute("CREATE SCHEMA \"My files\"; CREATE TYPE \"My files\".kind AS ENUM ('kept', 'gone')")
        connection.execute(
            'CREATE TABLE "My files"."File" '
            '(n int, "Name" text, kind "My files".kind, made timestamptz, info jsonb, size numeric(12,0), ok bool)'
        )
        for number, name in enumerate(STRANGE):
            row = [number, name, "gone" if number == 8 else "kept", None, json.dumps({"a": name}), 3, True]
            connection.execute('INSERT INTO "My files"."File" VALUES (%s, %s, %s, %s, %s, %s, %s)', row)
    put_objects(made.bucket, [(f"k/{hashlib.md5(name.encode()).hexdigest()}", b"abc") for name in STRANGE])
    return made


QUERY = """SELECT 'k/' || md5("Name") AS key, size FROM "My files"."File" AS f WHERE ok AND kind = 'kept' AND made IS NULL"""


@pytest.mark.parametrize("generation", ["current", "before_0014"])
@pytest.mark.parametrize("form", ["custom", "directory", "plain"])
def test_references_are_derived_from_dumps_of_every_format(world: World, generation: Generation, form: str) -> None:
    source = world.deployment(generation=generation, blocks=12, doubled=2 if generation == "current" else 0)
    made = world.backup(source, "--format", form)
    assert made.returncode == 0, made
    assert derived(world) == (1, [], [])
    assert derived(world, "latest", depth="data") == (1, [], [])
    assert derived(world, depth="quick") == (0, [], [])
    ran = world.run("verify", "--json")
    assert (ran.json["checked"]["references_derived"], ran.json["not_derived"]) == (1, [])
    assert "references of 1 snapshot derived anew from the dump" in world.run("verify").stdout


@pytest.mark.parametrize("form", ["custom", "directory", "plain"])
def test_strange_values_are_read_as_the_server_reads_them(world: World, strange: Deployment, form: str) -> None:
    made = world.backup(strange, "--format", form, "--app", profile(world, QUERY))
    assert made.returncode == 0, made
    assert made.json["objects"]["referenced"] == len(STRANGE) - 1
    assert derived(world) == (1, [], [])


@pytest.mark.parametrize(
    ("query", "because"),
    [
        (QUERY + " AND info ->> 'a' <> 'x'", "not known to mean the same"),
        (QUERY + " AND \"Name\" ~ '.'", "not known to mean the same"),
        (QUERY + " AND info IS NOT NULL AND made IS DISTINCT FROM now()", "not known to mean the same"),
        ("""SELECT 'k/' || md5("Name") AS key, size FROM "My files".v AS f""", "does not exist"),
    ],
)
def test_what_only_postgresql_can_tell_is_no_finding(world: World, strange: Deployment, query: str, because: str) -> None:
    strange.execute('CREATE VIEW "My files".v AS SELECT * FROM "My files"."File"')
    made = world.backup(strange, "--app", profile(world, query))
    assert made.returncode == 0, made
    number, why, findings = derived(world)
    assert (number, findings) == (0, [])
    assert because in why[0]
    ran = world.run("verify")
    assert ran.returncode == 0
    assert "'lockstep drill' proves them" in ran.stderr


def test_swapped_references_with_right_checksums_are_found(world: World) -> None:
    source = world.deployment(blocks=12)
    assert world.backup(source).returncode == 0
    [manifest_path] = world.repo_path.glob("snapshots/*/manifest.json")
    table = manifest_path.with_name("references.parquet")
    duckdb.sql(f"COPY (SELECT * FROM read_parquet('{table}') ORDER BY key LIMIT 9) TO '{table}.new' (FORMAT parquet)")
    table.with_name("references.parquet.new").rename(table)
    document = json.loads(manifest_path.read_bytes())
    document.pop("checksum")
    for entry in document["files"]:
        if entry["path"].endswith("/references.parquet"):
            entry |= {"size": table.stat().st_size, "sha256": hashlib.sha256(table.read_bytes()).hexdigest()}
    manifest_path.write_bytes(sealed(document))
    head = json.loads((world.repo_path / "head.json").read_bytes())
    head.pop("checksum")
    (world.repo_path / "head.json").write_bytes(sealed({**head, "sha256": hashlib.sha256(manifest_path.read_bytes()).hexdigest()}))
    assert derived(world, depth="quick") == (0, [], [])
    number, why, [finding] = derived(world)
    assert (number, why) == (0, [])
    assert finding.startswith(f"tampered {table.relative_to(world.repo_path)}: is not what the dump's own rows give")
    assert "0 references of" in finding
    assert "3 of the dump's are not in the snapshot" in finding
    assert world.run("verify").returncode == 3


def test_every_snapshot_that_is_named_is_derived_along_its_chain(world: World) -> None:
    source = world.deployment(blocks=5)
    assert world.backup(source).returncode == 0
    with psycopg.connect(source.database.conninfo) as connection:
        connection.execute("DELETE FROM block WHERE _id = (SELECT min(_id) FROM block)")
    assert world.backup(source).returncode == 0
    first, second = [each["id"] if "id" in each else each["snapshot"] for each in world.snapshots()]
    assert derived(world, first, second) == (2, [], [])
