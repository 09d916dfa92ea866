"""A snapshot given out as plain files: the plain tools alone make the deployment of it, and nothing damaged leaves the repository."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from support.parsec_shape import delete_objects
from support.world import Deployment, World, error_of, same

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "export-a-snapshot.md"

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def type_page(world: World, directory: Path, target: Deployment, *, form: str) -> None:
    """Run the commands of the page, as far as they are for this form of dump; each must end well."""
    [block] = re.findall(r"^## Going on.*?^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    known = conninfo_to_dict(world.postgres.address().conninfo)
    environment = {
        **world.keys,
        "PATH": os.pathsep.join([str(world.postgres.bin_dir), str(Path(sys.executable).parent), os.defpath]),
        "HOME": str(world.tmp_path / "home"),
        "AWS_ENDPOINT_URL": world.s3.endpoint_url,
        **{f"PG{name.upper()}": str(known[name]) for name in ("host", "port", "user", "password")},
    }
    ran = 0
    for line in block.splitlines():
        command, _, only = (part.strip() for part in line.partition("# "))
        if only in {"", form}:
            for word, value in {"/srv/export": str(directory), "BUCKET": target.bucket_name, "NAME": target.dbname}.items():
                command = command.replace(word, shlex.quote(value))
            done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (command, done)
            ran += 1
    assert ran == 3


def files(directory: Path) -> dict[str, bytes]:
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("format_", "options"), [("custom", []), ("custom", ["--plain"]), ("directory", []), ("plain", [])])
def test_the_plain_tools_alone_restore_an_export(world: World, tmp_path: Path, format_: str, options: list[str]) -> None:
    source, target = world.deployment(organizations=("Acme", "株式会社テスト"), blocks=25, size=(1, 900), doubled=3), world.nowhere()
    assert world.backup(source, "--format", format_).returncode == 0
    directory = tmp_path / "new" / "export"
    directory.parent.mkdir()
    ran = world.run("export", "latest", str(directory), *options, "--json")
    assert ran.returncode == 0, ran
    form = "plain" if options else format_
    named = {"custom": "backup.dump", "plain": "backup.sql", "directory": "backup"}[form]
    assert (ran.json["complete"], ran.json["database"]["format"], ran.json["database"]["path"]) == (True, form, named)
    assert (ran.json["objects"]["exported"], ran.json["objects"]["missing"]) == (len(source.objects()), 0)
    assert {path.name for path in directory.iterdir()} == {named, "objects", "attributes.jsonl"}
    assert {path.stat().st_mode & 0o077 for path in directory.rglob("*")} == {0}
    type_page(world, directory, target, form=form)
    same(source, target)


def test_keys_that_cannot_be_file_names_and_attributes_are_listed(world: World, tmp_path: Path) -> None:
    source, client = Deployment(world.new_database(), world.new_bucket()), world.s3.client()
    wanted = {"a": b"one", "a/b": b"two", "tab\there": b"five", "plain/key": b"six"}
    for key, body in wanted.items():
        client.put_object(
            Bucket=source.bucket_name, Key=key, Body=body, ContentType="image/png" if key == "plain/key" else "binary/octet-stream"
        )
    made = world.backup(source, "--app", "bucket")
    assert made.returncode == 0, made
    directory = tmp_path / "export"
    ran = world.run("export", "latest", str(directory), "--json")
    assert ran.returncode == 0, ran
    found = files(directory)
    listed = [json.loads(line) for line in (directory / "odd.jsonl").read_text().splitlines()]
    assert ran.json["objects"]["odd"] == len(listed)
    odd = {row["key"]: found[row["path"]] for row in listed}
    own = {path.removeprefix("objects/"): data for path, data in found.items() if path.startswith("objects/")}
    assert {**own, **odd} == wanted
    assert not own.keys() & odd.keys()
    attributes = {row["key"]: row["content_type"] for row in map(json.loads, (directory / "attributes.jsonl").read_text().splitlines())}
    assert attributes["plain/key"] == "image/png"


def test_an_export_leaves_out_what_is_lost_or_damaged_and_says_so(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=12, size=500)
    never, flipped, gone = source.filled.keys[:3]
    delete_objects(source.bucket, [never])
    assert world.backup(source).returncode == 3
    (world.repo_path / "objects/main" / gone).unlink()
    (world.repo_path / "objects/main" / flipped).write_bytes(b"x" * 500)
    directory = tmp_path / "export"
    ran = world.run("export", "latest", str(directory), "--json")
    assert ran.returncode == 3, ran
    assert (ran.json["complete"], ran.json["objects"]["exported"], ran.json["objects"]["missing"]) == (False, 9, 3)
    listed = {row["key"] for row in map(json.loads, (directory / "missing.jsonl").read_text().splitlines())}
    assert listed == {never, flipped, gone}
    exported = {path.removeprefix("objects/") for path in files(directory) if path.startswith("objects/")}
    assert exported == set(source.filled.keys) - listed

    dump = world.repo_path / f"snapshots/{ran.json['snapshot']}/database.dump"
    dump.write_bytes(dump.read_bytes()[:-1] + b"x")
    error_of(world.run("export", "latest", str(tmp_path / "other"), "--json"), kind="repository_invalid")
    assert not (tmp_path / "other").exists()


def test_a_killed_export_goes_on_and_reads_what_it_had_once_more(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=2_000, size=2_000)
    assert world.backup(source).returncode == 0
    directory = tmp_path / "export"
    with world.started("export", "latest", str(directory), "--concurrency", "1") as process:
        while len(list((directory / "objects").rglob("*-*"))) < 40:
            assert process.poll() is None, process.communicate()
        process.kill()
    assert (directory / ".lockstep-export").is_dir()
    half = sorted(path for path in (directory / "objects").rglob("*-*") if path.is_file())
    assert 40 <= len(half) < 2_000
    half[0].write_bytes(b"x" * 2_000)  # a file whose bytes the disk never got
    ran = world.run("export", "latest", str(directory), "--json")
    assert ran.returncode == 0, ran
    assert (ran.json["objects"]["already_there"], ran.json["objects"]["exported"]) == (len(half) - 1, 2_000 - len(half) + 1)
    own = {path.removeprefix("objects/"): data for path, data in files(directory).items() if path.startswith("objects/")}
    assert own == source.objects()
    assert {path.name for path in directory.iterdir()} == {"backup.dump", "objects", "attributes.jsonl"}


def test_an_export_refuses_a_place_where_other_things_lie(world: World, tmp_path: Path) -> None:
    source = world.deployment(blocks=2)
    first: dict[str, Any] = world.backup(source).json
    world.backup(source)
    used = tmp_path / "used"
    used.mkdir()
    (used / "file").write_text("somebody's")
    assert "is not empty" in error_of(world.run("export", "latest", str(used), "--json"), kind="target_refused")
    assert "not a directory" in error_of(world.run("export", "latest", str(used / "file"), "--json"), kind="target_refused")
    inside = error_of(world.run("export", "latest", str(world.repo_path / "export"), "--json"), kind="target_refused")
    assert "inside the repository" in inside
    unfinished = tmp_path / "unfinished"
    (unfinished / ".lockstep-export").mkdir(parents=True)
    (unfinished / ".lockstep-export" / "export.json").write_text(json.dumps({"repository": "x", "snapshot": first["snapshot"]}))
    assert "unfinished" in error_of(world.run("export", "latest", str(unfinished), "--json"), kind="target_refused")
    assert files(used) == {"file": b"somebody's"}
    empty = tmp_path / "empty"
    empty.mkdir()
    assert world.run("export", first["snapshot"], str(empty), "--json").returncode == 0
