"""What the manual procedure made becomes a snapshot like any other, and the verdict on it is honest."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from lockstep.postgres.embedded import available_servers
from support.parsec_shape import add_blocks, delete_objects
from support.world import Deployment, World, error_of, same

ON_18 = pytest.mark.parametrize("postgres_server", [18], indirect=True)
ON_15 = pytest.mark.skipif(15 not in available_servers(), reason="PostgreSQL 15 is not installed")


def by_hand(world: World, source: Deployment, *options: str, file: str = "backup.dump") -> tuple[Path, Path]:
    """Dump and sync as an operator does who has no lockstep; the dump's path and the directory of objects."""
    known = conninfo_to_dict(source.database.conninfo)
    environment = {
        **world.keys,
        "PATH": os.pathsep.join([str(world.postgres.bin_dir), str(Path(sys.executable).parent), os.defpath]),
        "HOME": str(world.tmp_path / "home"),
        "AWS_ENDPOINT_URL": world.s3.endpoint_url,
        **{f"PG{name.upper()}": str(known[name]) for name in ("host", "port", "user", "password")},
        "PGDATABASE": source.dbname,
    }
    place = world.tmp_path / "by-hand"
    place.mkdir(exist_ok=True)
    for command in (
        ["pg_dump", *options, f"--file={place / file}"],
        ["aws", "s3", "sync", f"s3://{source.bucket_name}", str(place / "objects")],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
    return place / file, place / "objects"


def imported(world: World, dump: Path, objects: Path, *options: str) -> Any:
    return world.run("import", "--dump", str(dump), "--objects", str(objects), "--json", *options)


@pytest.mark.parametrize(
    ("postgres_server", "options"),
    [
        (18, ["-Fc"]),
        (18, ["-Fp"]),
        (18, ["-Fd"]),
        (18, ["-Ft"]),
        pytest.param(15, ["-Fc"], marks=ON_15),
        pytest.param(15, ["-Fp"], marks=ON_15),
    ],
    indirect=["postgres_server"],
)
def test_the_pair_of_the_manual_procedure_becomes_a_snapshot(world: World, options: list[str]) -> None:
    source, target = world.deployment(organizations=("Acme", "株式会社テスト"), blocks=25, size=(1, 900), doubled=3), world.nowhere()
    role = f"owner_{source.dbname}"
    world.admin(f'CREATE ROLE "{role}"')
    source.execute(f'ALTER TABLE realm OWNER TO "{role}"')
    before = datetime.now(UTC) - timedelta(seconds=2)
    dump, objects = by_hand(world, source, *options)
    ran = imported(world, dump, objects, "--tag", "by hand")
    assert ran.returncode == 0, ran
    found = ran.json
    assert (found["complete"], found["parent"], found["objects"]["new"], found["unreferenced"]) == (True, None, len(source.objects()), 0)
    assert before <= datetime.fromisoformat(found["created"]) <= datetime.now(UTC)
    assert found["database"]["format"] == {"-Fc": "custom", "-Fd": "directory"}.get(options[0], "plain")
    manifest = world.run("show", "latest", "--json").json
    assert (manifest["profile"]["name"], manifest["tag"], manifest["imported"]) == (
        "parsec",
        "by hand",
        {"dump": "backup.dump", "late": False},
    )
    assert role in manifest["database"]["roles"]
    assert manifest["database"]["server_version"] == world.admin("SHOW server_version")[0][0].split()[0]
    for command in (["verify", "--read-data"], ["drill"]):
        proven = world.run(*command, "--json")
        assert (proven.returncode, proven.json["ok"]) == (0, True), proven

    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 4, seed=5)
    again = world.backup(source)
    assert again.returncode == 0, again
    assert (again.json["objects"]["new"], again.json["requests"]["get"], again.json["parent"]) == (4, 4, found["snapshot"])
    restored = world.restore(target)
    assert restored.returncode == 0, restored
    same(source, target)


@ON_18
def test_a_pair_that_is_not_whole_is_said_to_be_so_and_orphans_stay_behind(world: World) -> None:
    source = world.deployment(blocks=20, size=300)
    dump, objects = by_hand(world, source, "-Fc")
    lost, cut = source.filled.keys[:2]
    (objects / lost).unlink()
    (objects / cut).write_bytes(b"short")
    (objects / "Acme" / "nobody's").write_bytes(b"orphan")
    ran = imported(world, dump, objects)
    assert ran.returncode == 3, ran
    counts = ran.json["objects"]
    assert (ran.json["complete"], counts["new"], counts["missing"], counts["mismatched"], ran.json["unreferenced"]) == (False, 18, 1, 1, 1)
    missing = {row["key"]: row["why"] for row in world.run("show", "latest", "--missing", "--json").json["missing"]}
    assert missing == {lost: "lost", cut: "wrong_size"}
    text = world.run("import", "--dump", str(dump), "--objects", str(objects))
    assert text.returncode == 3, text
    assert "NOT whole together" in text.stdout
    assert world.run("list", "--json").json["snapshots"][1]["new"] == 0  # what an earlier import took is there


@ON_18
def test_an_older_dump_keeps_its_date_and_is_not_the_latest(world: World) -> None:
    source = world.deployment(blocks=3)
    dump, objects = by_hand(world, source, "-Fp", file="app.sql")
    newest = world.backup(source).json
    packed = dump.with_name("app.sql.gz")
    packed.write_bytes(gzip.compress(dump.read_bytes()))
    ran = imported(world, packed, objects, "--created", "2026-01-02T03:04:05+01:00")
    assert ran.returncode == 0, ran
    assert (ran.json["created"], ran.json["late"], ran.json["parent"]) == ("2026-01-02T02:04:05Z", True, newest["snapshot"])
    assert ran.json["snapshot"] > newest["snapshot"]
    assert world.run("show", "latest", "--json").json["snapshot"] == newest["snapshot"]
    assert world.run("show", "2026-06-01", "--json").json["snapshot"] == ran.json["snapshot"]
    assert world.run("verify", "--read-data", "--json").returncode == 0
    again = world.backup(source).json
    assert (again["objects"]["new"], world.run("show", "latest", "--json").json["snapshot"]) == (0, again["snapshot"])


@ON_18
def test_what_is_no_dump_or_does_not_restore_leaves_no_repository(world: World) -> None:
    source = world.deployment(blocks=2)
    dump, objects = by_hand(world, source, "-Fc")
    data = dump.read_bytes()
    plain, _ = by_hand(world, source, "-Fp", file="whole.sql")
    created, _ = by_hand(world, source, "-Fp", "-C", file="created.sql")
    bad = {
        "cut.dump": data[:-200],
        "text.sql": b"SELECT 1;\n",
        "empty.dump": b"",
        "cut.sql": plain.read_bytes()[:-300],
        "broken.sql": plain.read_bytes().replace(b"CREATE TABLE", b"CREATE TABEL", 1),
        "created.sql": created.read_bytes(),
    }
    for name, content in bad.items():
        path = world.tmp_path / name
        path.write_bytes(content)
        error_of(imported(world, path, objects))
        assert not world.repo_path.exists(), name
    error_of(imported(world, world.tmp_path / "nothing", objects), status=2)
    error_of(imported(world, dump, world.tmp_path / "nothing"), status=2)
    error_of(world.run("import", "--dump", str(dump), "--json"), status=2)
    error_of(imported(world, dump, objects, "--created", "yesterday"), status=2)
    inside = objects / "repository"
    error_of(world.run("import", "--dump", str(dump), "--objects", str(objects), "--json", repo=str(inside)), status=2)
    profile = world.tmp_path / "app.toml"
    profile.write_text('name = "app"\nreferences = "SELECT nothing FROM nowhere"\n')
    error_of(imported(world, dump, objects, "--app", str(profile)), kind="profile_invalid")
    assert not world.repo_path.exists()
    server = imported(world, dump, objects, "--scratch-database", world.postgres.address().conninfo)
    assert server.returncode == 0, server
    assert not [name for name in world.databases() if "lockstep" in name]


@ON_18
def test_a_killed_import_goes_on_where_it_ended(world: World) -> None:
    source = world.deployment(blocks=600, size=8_000)
    dump, objects = by_hand(world, source, "-Fc")
    command = ("import", "--dump", str(dump), "--objects", str(objects), "--concurrency", "1")
    kept = world.repo_path / "objects" / "main"
    with world.started(*command) as process:
        while not kept.exists() or sum(1 for path in kept.rglob("*-*")) < 30:
            assert process.poll() is None, process.communicate()
        process.terminate()  # what is journalled counts; a kill costs the last seconds more
        process.wait(timeout=60)
    assert process.returncode == 143
    assert world.snapshots() == []
    ran = imported(world, dump, objects)
    assert ran.returncode == 0, ran
    assert ran.json["objects"]["reused"] >= 30
    assert ran.json["objects"]["new"] + ran.json["objects"]["reused"] == 600
    assert world.run("verify", "--read-data", "--json").returncode == 0


@ON_18
def test_an_exported_snapshot_comes_back_by_import(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=10)
    lost = source.filled.keys[0]
    delete_objects(source.bucket, [lost])
    assert world.backup(source).returncode == 3
    assert world.run("export", "latest", str(tmp_path / "out")).returncode == 3
    world.repo = str(tmp_path / "second")
    ran = imported(world, tmp_path / "out" / "backup.dump", tmp_path / "out" / "objects")
    assert ran.returncode == 3, ran
    assert ran.json["missing_sample"] == [lost]
    assert json.dumps(ran.json["objects"]["new"]) == "9"
