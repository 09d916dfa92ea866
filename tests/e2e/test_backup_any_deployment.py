"""Databases and stores as they are found in the wild."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from support.parsec_shape import read_objects
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

WILD = '''
CREATE SCHEMA "other ""schema""";
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 20);
CREATE TABLE "other ""schema"""."A ""table"" with;odd 'name'" (
    id bigint GENERATED ALWAYS AS IDENTITY,
    m mood, s short, twice int GENERATED ALWAYS AS (7 * 6) STORED);
INSERT INTO "other ""schema"""."A ""table"" with;odd 'name'" (m, s)
VALUES ('ok', E'tab\\tnew\\nline\\\\N'), (NULL, NULL), ('sad', '');
CREATE TABLE parted (n int, t text) PARTITION BY RANGE (n);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (100);
INSERT INTO parted SELECT n, 'row ' || n FROM generate_series(0, 40) n;
CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;
BEGIN; INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1); COMMIT;
CREATE TABLE logged (at timestamptz DEFAULT now()); CREATE TABLE watched (n int);
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO logged DEFAULT VALUES; RETURN NEW; END $$;
CREATE TRIGGER t AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION log_it();
INSERT INTO watched SELECT generate_series(1, 5);
CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS n;
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE guarded (n int); INSERT INTO guarded VALUES (1); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE VIEW seen AS SELECT count(*) AS n FROM watched;
CREATE MATERIALIZED VIEW kept AS SELECT n FROM parted WHERE n % 2 = 0;
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS n WITH NO DATA;
CREATE SEQUENCE far START 9000000000; SELECT nextval('far'); CREATE SEQUENCE never_used;
SELECT lo_from_bytea(0, 'a large object');
COMMENT ON TABLE watched IS 'with a comment; and ''quotes'' in it';
CREATE PUBLICATION told FOR TABLE watched;
'''


def schema_of(world: World, deployment: Deployment) -> list[str]:
    """What pg_dump says of everything but the rows."""
    known = conninfo_to_dict(deployment.database.conninfo)
    done = subprocess.run(
        [world.postgres.bin_dir / "pg_dump", "--schema-only", "--dbname", deployment.dbname],
        env={f"PG{name.upper()}": str(known[name]) for name in ("host", "port", "user", "password")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


def every_row(deployment: Deployment) -> dict[str, list[str]]:
    with deployment.connect() as connection:
        tables = connection.execute(
            "SELECT relnamespace::regnamespace::text, oid::regclass::text, relname FROM pg_class "
            "WHERE relkind IN ('r', 'p', 'm') AND relispopulated AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'"
        ).fetchall()
        found = {
            name: sorted(str(row) for row in connection.execute(f"SELECT t::text FROM {name} t".encode()).fetchall())
            for _, name, _ in tables
        }
        large = "SELECT lo_get(oid) FROM pg_largeobject_metadata"
        return {**found, "large objects": [str(row) for row in connection.execute(large.encode()).fetchall()]}


@pytest.mark.parametrize("options", [("--jobs", "2"), ("--format", "plain")], ids=["directory", "plain"])
def test_everything_a_database_can_hold_comes_back(world: World, options: tuple[str, ...]) -> None:
    source = world.deployment(blocks=4)
    for statement in [WILD]:
        with psycopg.connect(source.database.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())
    target = world.nowhere()
    ran = world.backup(source, *options)
    assert ran.returncode == 0, ran
    restored = world.restore(target, *(["--jobs", "2"] if "plain" not in options else []))
    assert restored.returncode == 0, restored
    assert every_row(target) == every_row(source)
    assert schema_of(world, target) == schema_of(world, source)
    same(source, target)


@pytest.mark.parametrize("name", ['-%s{}\'x "DB" ä; DROP', "ö" * 31 + "n"])
def test_a_database_may_have_any_name(world: World, name: str) -> None:
    source = world.deployment(blocks=2)
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    target = replace(world.nowhere(), database=world.postgres.address(name))
    before = world.databases()
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    assert ran.json["database"]["name"] == name
    assert world.databases() == before | {name}
    same(source, target)
    ran = world.restore(target, "--replace")
    assert ran.returncode == 0, ran
    kept = ran.json["database"]["replaced"]
    assert world.databases() == before | {name, kept}
    same(source, target)


def test_settings_of_a_database_do_not_get_in_the_way(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    for setting in (
        "statement_timeout = '20ms'", "default_transaction_read_only = on", "search_path = nowhere", "lock_timeout = '1ms'",
        "DateStyle = 'German'", "bytea_output = 'escape'", "client_encoding = 'LATIN1'", "TimeZone = 'Asia/Kathmandu'",
        "default_transaction_isolation = 'serializable'", "standard_conforming_strings = off", "extra_float_digits = -5",
    ):  # fmt: skip
        world.admin(sql.SQL("ALTER DATABASE {} SET ").format(sql.Identifier(source.dbname)) + sql.SQL(setting))
    options = ["--app", "parsec"]
    ran = world.backup(source, *options)
    told = ran.json.get("error", {}).get("message", "")
    assert ran.returncode == 0 or "nowhere" in told or "relation" in told, ran
    world.admin(sql.SQL("ALTER DATABASE {} RESET search_path").format(sql.Identifier(source.dbname)))
    ran = world.backup(source, *options)
    assert ran.returncode == 0, ran
    assert ran.json["objects"]["referenced"] == 3
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    world.admin(sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(source.dbname)))
    same(source, target)


def test_a_database_of_another_encoding_keeps_it(world: World) -> None:
    name, target = "latin", world.nowhere()
    world.admin("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    source = Deployment(world.postgres.address(name), world.new_bucket())
    world.s3.client().put_object(Bucket=source.bucket_name, Key="Müller/é", Body=b"12345")
    with source.connect() as connection:
        connection.execute("CREATE TABLE file AS SELECT %s::text AS path, 5 AS bytes", ["Müller/é"])
    profile = world.tmp_path / "files.toml"
    profile.write_text('name = "files"\nreferences = "SELECT path AS key, bytes AS size FROM file"\n')
    for options in ((), ("--format", "plain")):
        ran = world.backup(source, "--app", str(profile), *options)
        assert ran.returncode == 0, ran
        target = world.nowhere()
        ran = world.restore(target)
        assert ran.returncode == 0, ran
        assert target.objects() == {"Müller/é": b"12345"}
        encodings = "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = "
        assert world.admin(f"{encodings}'{target.dbname}'") == [("LATIN1", "C")]
        with target.connect() as connection:
            assert connection.execute("SELECT path FROM file").fetchall() == [("Müller/é",)]


def test_versions_of_an_object_that_is_overwritten_come_back_each_with_its_snapshot(world: World) -> None:
    """With `--app bucket` an application may overwrite; same size or another, `a` may become `a/b`."""
    source = Deployment(world.new_database(), world.new_bucket())
    client = world.s3.client()

    def put(**objects: bytes) -> None:
        for key, body in objects.items():
            client.put_object(Bucket=source.bucket_name, Key=key.replace("__", "/"), Body=body, ContentType=f"text/{body.decode()[:1]}")

    taken = []
    put(stays=b"s", longer=b"1", same=b"1", back=b"1", folder=b"f", empty=b"")
    taken.append((source.objects(), world.backup(source, "--app", "bucket")))
    put(longer=b"22", same=b"2", back=b"2")
    client.delete_object(Bucket=source.bucket_name, Key="folder")
    put(folder__file=b"f")
    taken.append((source.objects(), world.backup(source, "--app", "bucket")))
    put(back=b"1", longer=b"3")
    client.delete_object(Bucket=source.bucket_name, Key="folder/file")
    put(folder=b"g")
    taken.append((source.objects(), world.backup(source, "--app", "bucket")))
    for objects, ran in taken:
        assert ran.returncode == 0, ran
        assert ran.json["objects"]["referenced"] == len(objects)
        target = world.nowhere()
        restored = world.restore(target, snapshot=ran.json["snapshot"])
        assert restored.returncode == 0, restored
        assert target.objects() == objects
    assert client.get_object(Bucket=target.bucket_name, Key="longer")["ContentType"] == "text/3"


def test_an_object_that_its_application_replaced_is_fetched_again_when_the_metadata_says_so(world: World) -> None:
    source = Deployment(world.new_database(), world.new_bucket())
    source.execute("CREATE TABLE file (path text, bytes int, digest bytea)")
    profile = world.tmp_path / "files.toml"
    profile.write_text('name = "files"\nreferences = "SELECT path AS key, bytes AS size, digest AS sha256 FROM file"\n')
    taken = []
    for body in ("one", "two"):
        world.s3.client().put_object(Bucket=source.bucket_name, Key="k", Body=body.encode())
        source.execute(f"DELETE FROM file; INSERT INTO file VALUES ('k', 3, sha256('{body}'))")
        taken.append((body.encode(), world.backup(source, "--app", str(profile))))
    for data, ran in taken:
        assert ran.returncode == 0, ran
        assert (ran.json["complete"], ran.json["objects"]["new"]) == (True, 1)
        target = world.nowhere()
        assert world.restore(target, snapshot=ran.json["snapshot"]).returncode == 0
        assert target.objects() == {"k": data}


def test_sizes_that_the_metadata_does_not_know_and_keys_named_twice(world: World) -> None:
    source, target = Deployment(world.new_database(), world.new_bucket()), world.nowhere()
    keys = ["plain", "with 'quotes' and \"doubles\"", "comma,semi;colon", "back\\slash", "$HOME *?[x]", "~tilde", "-dash", "ключ/株式/é"]
    with source.connect() as connection:
        connection.execute("CREATE TABLE file (path text, bytes int)")
        for key in [*keys, "plain"]:
            connection.execute("INSERT INTO file VALUES (%s, NULL)", [key])
        connection.execute("INSERT INTO file VALUES (NULL, 5), ('plain', NULL)")
    for number, key in enumerate(keys):
        world.s3.client().put_object(Bucket=source.bucket_name, Key=key, Body=b"x" * number)
    profile = world.tmp_path / "files.toml"
    profile.write_text('name = "files"\nreferences = "SELECT path AS key, bytes AS size FROM file"\n')
    ran = world.backup(source, "--app", str(profile))
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["referenced"], ran.json["objects"]["copied_bytes"]) == (len(keys), sum(range(len(keys))))
    again = world.backup(source, "--app", str(profile))
    assert (again.returncode, again.json["requests"]["get"]) == (0, 0)
    shown = world.run("show", "latest", "--objects", "--json").json["objects"]
    assert {each["key"]: each["size"] for each in shown} == {key: number for number, key in enumerate(keys)}
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    assert read_objects(target.bucket) == read_objects(source.bucket)


def test_directories_can_be_the_stores(world: World) -> None:
    here, there = world.tmp_path / "blobs here", world.tmp_path / "there"
    source, target = world.deployment(blocks=6), world.nowhere()
    for key, data in source.filled.objects.items():
        (here / key).parent.mkdir(parents=True, exist_ok=True)
        (here / key).write_bytes(data)
    there.mkdir()
    ran = world.run("backup", "--database", source.database.conninfo, "--bucket", here.as_uri(), "--json")
    assert ran.returncode == 0, ran
    assert (ran.json["complete"], ran.json["objects"]["new"]) == (True, 6)
    ran = world.run("restore", "latest", "--database", target.database.conninfo, "--bucket", there.as_uri(), "--json")
    assert ran.returncode == 0, ran
    found = {str(path.relative_to(there)): path.read_bytes() for path in there.rglob("*") if path.is_file()}
    assert found == source.filled.objects
    assert target.tables() == source.tables()


def test_libpq_finds_the_database_by_all_its_own_ways(world: World) -> None:
    source = world.deployment(blocks=1)
    known = {name: str(value) for name, value in conninfo_to_dict(source.database.conninfo).items()}
    stores = ["--bucket", source.bucket.url, "--endpoint-url", str(source.bucket.endpoint_url), "--json"]
    home = world.tmp_path / "home"
    passfile = home / ".pgpass"
    passfile.write_text(f"{known['host']}:*:*:{known['user']}:{known['password']}\n")
    passfile.chmod(0o600)
    service = world.tmp_path / "services.conf"
    service.write_text(f"[prod]\nhost={known['host']}\nport={known['port']}\ndbname={known['dbname']}\nuser={known['user']}\n")
    place = {"PGHOST": known["host"], "PGPORT": known["port"], "PGUSER": known["user"], "PGDATABASE": known["dbname"]}
    ways: Sequence[tuple[list[str], dict[str, str]]] = [
        ([], place),
        ([], {"PGSERVICE": "prod", "PGSERVICEFILE": str(service)}),
        (["--database", f"dbname={known['dbname']}"], place | {"PGDATABASE": "not_this"}),
        (["--database", f"postgresql:///{known['dbname']}?host={world.postgres.socket_directory}&port={known['port']}&user={known['user']}"],
         {"PGPASSWORD": known["password"]}),
    ]  # fmt: skip
    for options, env in ways:
        ran = world.run("backup", *options, *stores, "--dry-run", env=env)
        assert ran.returncode == 0, (options, ran)
        assert ran.json["database"] == source.dbname
    ran = world.run("backup", *stores, env={"PGSERVICE": "prod", "PGSERVICEFILE": str(service)})
    assert ran.returncode == 0, ran  # pg_dump too


def test_options_come_from_the_environment_and_the_file_in_that_order(world: World) -> None:
    source = world.deployment(blocks=2)
    config = world.tmp_path / "lockstep.toml"
    config.write_text(
        f"database = {json.dumps(source.database.conninfo)}\nbucket = [{json.dumps(source.bucket.url)}]\n"
        f'endpoint_url = "http://127.0.0.1:1"\nrepo = "r"\ntag = "from the file"\nformat = "plain"\njson = true\n'
    )
    env = {**world.keys, "LOCKSTEP_ENDPOINT_URL": world.s3.endpoint_url, "LOCKSTEP_TAG": "from the environment"}
    ran = world.lockstep("backup", "--format", "custom", env=env)
    assert ran.returncode == 0, ran
    assert ran.json["database"]["format"] == "custom"
    [listed] = world.run("list", "--json", repo="r").json["snapshots"]
    assert listed["tag"] == "from the environment"
    config.write_text("reppo = 'typo'\n")
    told = error_of(world.lockstep("list", "--json"), status=2)
    assert "reppo" in told


def test_what_is_said_is_said_in_the_form_that_was_asked_for(world: World) -> None:
    source = world.deployment(blocks=3)
    plain = world.run("backup", *source.options)
    assert plain.returncode == 0, plain
    assert plain.stdout.startswith("snapshot 2")
    assert "\x1b" not in plain.stdout + plain.stderr
    assert all(is_time(line.split()[0]) for line in plain.stderr.splitlines())
    quiet = world.run("backup", *source.options, "--quiet")
    assert quiet.stderr == ""
    logged = world.run("backup", *source.options, "--log-format", "json", "--json")
    assert [json.loads(line) for line in logged.stderr.splitlines()]
    document = logged.json
    assert logged.stdout.count("\n") == 1
    assert document["created"].endswith("Z")
    assert is_time(document["created"])
    assert set(document) >= {"snapshot", "complete", "created", "parent", "database", "objects", "requests", "seconds", "peak_rss"}
    assert set(document["database"]) == {"name", "server_version", "format", "bytes", "seconds"}
    assert isinstance(document["database"]["seconds"], float)
    assert 0 < document["peak_rss"] < 250_000_000


def is_time(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def test_a_role_that_may_only_read_is_enough_for_a_backup(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    world.admin("CREATE ROLE reader LOGIN PASSWORD 'reader-secret' IN ROLE pg_read_all_data")
    ran = world.backup(replace(source, database=world.postgres.address(source.dbname, user="reader", password="reader-secret")))
    assert ran.returncode == 0, ran
    assert world.restore(target).returncode == 0
    same(source, target)


def test_temporary_files_are_gone(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    place = world.tmp_path / "tmp"
    place.mkdir()
    env = {"TMPDIR": str(place)}
    for options in ((), ("--jobs", "2")):
        assert world.backup(source, *options, env=env).returncode == 0
    assert world.restore(target, env=env).returncode == 0
    assert list(place.iterdir()) == []
    hidden = [name for name in world.files() if Path(name).name.startswith(".") or "tmp" in name]
    assert hidden == []
