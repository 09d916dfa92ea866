"""An encrypted repository: the machine that makes backups holds public keys, and nobody reads it without a secret one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.parsec_shape import add_blocks, delete_objects
from support.world import World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)

MARKER = "meet me at the old mill"


@pytest.fixture
def pair(world: World) -> tuple[str, Path]:
    """A recipient, and the file with its identity."""
    return new_pair(world, "identity.txt")


def new_pair(world: World, name: str) -> tuple[str, Path]:
    path = world.tmp_path / name
    ran = world.lockstep("key", "generate", "--output", str(path), "--json")
    assert ran.returncode == 0, ran
    assert "AGE-SECRET-KEY" not in ran.stdout + ran.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    return str(ran.json["recipient"]), path


def everything_in(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


@pytest.mark.parametrize("form", ["custom", "directory", "plain"])
def test_every_format_comes_back_from_an_encrypted_repository(world: World, pair: tuple[str, Path], form: str) -> None:
    recipient, identity = pair
    source, target = world.deployment(blocks=6), world.nowhere()
    source.execute(f"CREATE TABLE secret AS SELECT '{MARKER}' AS said")
    made = world.backup(source, "--recipient", recipient, "--format", form)
    assert made.returncode == 0, made
    again = world.backup(source, "--recipient", recipient, "--format", form)
    assert again.json["objects"]["reused"] == 6
    assert MARKER.encode() not in everything_in(world.repo_path)
    dumps = [path for path in world.files() if path.startswith("snapshots/") and "database" in path]
    assert dumps
    assert all(path.endswith(".age") for path in dumps)

    assert "no identity is given" in error_of(world.restore(target), status=2, kind="identity_needed")
    restored = world.restore(target, "--identity", identity)
    assert restored.returncode == 0, restored
    same(source, target)
    sound = world.run("verify", "--json", "--read-data")
    assert sound.returncode == 0, sound
    assert sound.json["checked"]["references_derived"] == 0
    assert world.run("verify", "--json", "--identity", identity).json["checked"]["references_derived"] == 1
    drilled = world.run("drill", "--json", "--identity", identity, "--database", world.postgres.address().conninfo)
    assert drilled.returncode == 0, drilled
    record = json.loads((world.repo_path / drilled.json["recorded"]).read_bytes())
    assert [step["ok"] for step in record["steps"]] == [True] * len(drilled.json["steps"])
    assert all(step["detail"] for step in drilled.json["steps"])
    assert not any("detail" in step for step in record["steps"])  # a sentence can name what is missing, or quote a row


def test_what_is_missing_is_told_to_identities_alone_and_since_when_without_one(world: World, pair: tuple[str, Path]) -> None:
    recipient, identity = pair
    source = world.deployment(blocks=8)
    early, late = source.filled.keys[0], source.filled.keys[1]
    delete_objects(source.bucket, [early])
    first = world.backup(source, "--recipient", recipient)
    assert first.returncode == 3, first
    with source.connect() as connection:
        filled = add_blocks(connection, source.bucket, source.filled, 2, seed=3)
    newest = next(key for key in filled.keys if key not in source.filled.keys)
    delete_objects(source.bucket, [newest])
    second = world.backup(source, "--recipient", recipient)
    third = world.backup(source, "--recipient", recipient)
    assert (second.returncode, third.returncode) == (3, 3)
    assert world.files().keys() & {f"snapshots/{ran.json['snapshot']}/missing.parquet" for ran in (first, second, third)} == set()

    assert "no identity" in error_of(world.run("show", "latest", "--missing", "--json"), status=2, kind="identity_needed")
    shown = world.run("show", "latest", "--missing", "--json", "--identity", identity)
    since = {each["key"]: each["since"] for each in shown.json["missing"]}
    assert since == {early: first.json["snapshot"], newest: second.json["snapshot"]}
    for given in ((), ("--identity", identity)):
        assert world.run("verify", "--json", *given).returncode == 0
        assert world.run("verify", "--json", second.json["snapshot"], *given).returncode == 0

    (world.repo_path / "objects" / "main" / late).unlink()
    [found] = world.run("verify", "--json").json["findings"]
    assert (found["kind"], found["key"]) == ("missing", late)


def test_keys_that_do_not_fit_are_refused_before_anything_is_written(world: World, pair: tuple[str, Path]) -> None:
    recipient, identity = pair
    source, target = world.deployment(blocks=3), world.nowhere()
    assert "no recipient" in error_of(world.backup(source, "--recipient", "age1nonsense"), status=2)
    assert "secret key" in error_of(world.backup(source, "--recipient", str(identity)), status=2)
    assert not world.repo_path.exists()
    assert world.backup(source, "--recipient", recipient).returncode == 0

    before = world.everything(source, target)
    told = error_of(world.backup(source), status=2, kind="configuration")
    assert recipient in told
    assert "--allow-plain" in told
    assert recipient in error_of(world.backup(source, "--dry-run"), status=2)
    _, stranger = new_pair(world, "stranger.txt")
    for command in ("restore", "drill", "verify"):
        arguments = {"restore": ["latest", *target.options], "drill": [], "verify": []}[command]
        told = error_of(world.run(command, *arguments, "--json", "--identity", stranger), status=2, kind="identity_needed")
        assert "encrypted to others" in told
    nowhere = ["--identity", str(world.tmp_path / "nowhere.txt")]
    assert "cannot be read" in error_of(world.restore(target, *nowhere), status=2)
    assert world.everything(source, target) == before

    dump = next(world.repo_path.glob("snapshots/*/database.dump.age"))
    data = dump.read_bytes()
    for place in (30, len(data) // 2):  # the list of recipients, and what is encrypted
        dump.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        error_of(world.restore(target, "--identity", identity), kind="repository_invalid")
        [found] = world.run("verify", "--json", "--identity", identity).json["findings"]
        assert (found["kind"], found["path"]) == ("damaged", str(dump.relative_to(world.repo_path)))
    dump.write_bytes(data)
    assert world.everything(source, target)["databases"] == before["databases"]

    assert world.backup(source, "--allow-plain").returncode == 0
    assert world.restore(target).returncode == 0
    same(source, target)
    assert world.backup(source).returncode == 0


def test_several_recipients_each_read_all_of_it_by_file_by_ssh_key_and_by_command(world: World, pair: tuple[str, Path]) -> None:
    recipient, identity = pair
    for kind in ("ed25519", "rsa"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "a comment", "-f", world.tmp_path / kind], check=True)
    (world.tmp_path / "lockstep.toml").write_text('recipient = ["ed25519.pub", "age1…"]\n'.replace("age1…", recipient))
    source = world.deployment(blocks=2)
    assert world.backup(source).returncode == 0
    rsa = " ".join((world.tmp_path / "rsa.pub").read_text().split()[:2])
    assert world.backup(source, env={"LOCKSTEP_RECIPIENT": f"{rsa} me@here {recipient}"}).returncode == 0
    assert world.run("show", "latest", "--json").json["encryption"] == {"recipients": [rsa, recipient], "objects": False}
    readers = (["--identity", "rsa"], ["--identity", str(identity)], ["--identity-command", f"cat '{identity}'"])
    for given in readers:
        assert world.run("verify", "latest", "--json", *given).json["checked"]["references_derived"] == 1
    first = world.snapshots()[0]["snapshot"]
    assert world.run("verify", first, "--json", "--identity", "ed25519").json["checked"]["references_derived"] == 1
    assert world.run("verify", first, "--json", "--identity", "rsa").returncode == 2
