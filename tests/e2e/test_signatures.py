"""Signed snapshots: who has the public key sees what somebody else wrote, before anything comes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstep.repository.seal import sealed
from support.parsec_shape import add_blocks
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


@dataclass(frozen=True)
class Signer:
    """A key: its file, and its public half."""

    path: Path
    public: str

    @property
    def sign(self) -> tuple[str, str]:
        return ("--sign-with", str(self.path))

    @property
    def ask(self) -> tuple[str, str]:
        return ("--verify-key", self.public)


def new_signer(world: World, name: str) -> Signer:
    path = world.tmp_path / name
    ran = world.lockstep("key", "generate", "--signing", "--output", str(path), "--json")
    assert ran.returncode == 0, ran
    assert path.stat().st_mode & 0o777 == 0o600
    return Signer(path, str(ran.json["verify_key"]))


@pytest.fixture
def signer(world: World) -> Signer:
    return new_signer(world, "signing.pem")


def two_signed(world: World, signer: Signer) -> tuple[Deployment, list[str]]:
    source = world.deployment(blocks=4)
    first = world.backup(source, *signer.sign)
    assert first.returncode == 0, first
    with source.connect() as connection:
        add_blocks(connection, source.bucket, source.filled, 2, seed=5)
    second = world.backup(source, *signer.sign)
    assert second.returncode == 0, second
    return source, [str(ran.json["snapshot"]) for ran in (first, second)]


def manifest_path(world: World, snapshot: str) -> Path:
    return world.repo_path / "snapshots" / snapshot / "manifest.json"


def rewrite(world: World, snapshot: str) -> None:
    """What somebody with all rights to the repository could do: another manifest, sealed, and the head that names it."""
    path = manifest_path(world, snapshot)
    document = json.loads(path.read_text())
    del document["checksum"]
    document["tag"] = "mine"
    path.write_bytes(sealed(document))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (world.repo_path / "head.json").write_bytes(sealed({"snapshot": snapshot, "sha256": sha256}))


def test_a_signed_repository_comes_back_and_its_mirror_and_its_pruned_self_too(world: World, signer: Signer) -> None:
    source, (_first, second) = two_signed(world, signer)
    assert world.run("verify", "--json").json["checked"]["signatures"] == 2
    for place in (world.repo, str(world.tmp_path / "mirror")):
        if place != world.repo:
            assert world.run("copy", place, "--json", *signer.ask).returncode == 0
            (Path(place) / "snapshots" / second / "manifest.json.sig").unlink()
            found = world.run("verify", "--json", repo=place)
            assert [each["path"] for each in found.json["findings"]] == [f"snapshots/{second}/manifest.json.sig"]
            assert world.run("copy", place, "--json").returncode == 0
        sound = world.run("verify", "--json", *signer.ask, repo=place)
        assert (sound.returncode, sound.json["checked"]["signatures"]) == (0, 2), sound

    signature = world.tmp_path / "raw.sig"
    signature.write_bytes(base64.b64decode(manifest_path(world, second).with_name("manifest.json.sig").read_bytes()))
    key = world.tmp_path / "public.pem"
    key.write_text(f"-----BEGIN PUBLIC KEY-----\n{signer.public}\n-----END PUBLIC KEY-----\n")
    if shutil.which("openssl"):
        openssl = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(key), "-sigfile", str(signature)]
        subprocess.run([*openssl, "-in", str(manifest_path(world, second))], check=True, capture_output=True)

    prune = ("prune", "--keep-last", "1", "--yes", "--json")
    assert "--sign-with" in error_of(world.run(*prune), status=2, kind="configuration")
    assert world.run(*prune, *signer.sign).returncode == 0
    assert not (world.repo_path / "snapshots" / _first).exists()
    sound = world.run("verify", "--json", "--read-data", "--verify-key", key)
    assert (sound.returncode, sound.json["checked"]["signatures"]) == (0, 1), sound
    target = world.nowhere()
    assert world.restore(target, "--verify-key", key).returncode == 0
    same(source, target)
    third = world.backup(source, *signer.sign)
    assert third.returncode == 0, third

    record = next((world.repo_path / "bridges").glob("*.json.sig"))
    record.unlink()
    assert "is not signed" in error_of(world.restore(world.nowhere(), *signer.ask), kind="signature_invalid")
    assert {each["path"] for each in world.run("verify", "--json", *signer.ask).json["findings"]} == {"bridges/1.json"}
    assert world.run("verify", "--json").returncode == 0


def test_what_the_key_did_not_sign_is_refused_before_the_first_write(world: World, signer: Signer) -> None:
    source, (first, second) = two_signed(world, signer)
    target, stranger = world.nowhere(), new_signer(world, "stranger.pem")
    before = world.everything(source, target)
    for command, arguments in {"restore": target.options, "export": [str(world.tmp_path / "out")], "drill": []}.items():
        ran = world.run(command, "latest", *arguments, "--json", *stranger.ask)
        assert second in error_of(ran, kind="signature_invalid"), ran
    assert not (world.tmp_path / "out").exists()
    assert len(world.run("verify", "--json", *stranger.ask).json["findings"]) == 2
    assert "by a key that is given" in error_of(world.backup(source, *stranger.sign), status=2)
    assert world.everything(source, target)["rows"] == before["rows"]

    rewrite(world, second)
    assert world.run("verify", "--json").json["findings"][0]["path"] == f"snapshots/{second}/manifest.json.sig"
    found = world.run("verify", "--json", *signer.ask)
    assert (found.returncode, [each["kind"] for each in found.json["findings"]]) == (3, ["tampered"])
    error_of(world.restore(target, *signer.ask), kind="signature_invalid")
    assert world.restore(target, *signer.ask, snapshot=first).returncode == 0

    manifest_path(world, first).with_name("manifest.json.sig").unlink()
    assert "is not signed" in error_of(world.restore(world.nowhere(), *signer.ask, snapshot=first), kind="signature_invalid")
    missing = [each for each in world.run("verify", first, "--json", *signer.ask).json["findings"] if each["kind"] == "missing"]
    assert [each["path"] for each in missing] == [f"snapshots/{first}/manifest.json.sig"]


def test_the_row_of_signatures_is_begun_and_left_only_when_that_is_meant(world: World, signer: Signer) -> None:
    source = world.deployment(blocks=3)
    plain = world.backup(source)
    assert plain.returncode == 0, plain
    assert "is not signed" in error_of(world.restore(world.nowhere(), *signer.ask), kind="signature_invalid")
    (world.tmp_path / "lockstep.toml").write_text(f'[backup]\nsign_with = "{signer.path.name}"\n[verify]\nverify_key = "{signer.public}"\n')
    assert world.backup(source).returncode == 0
    # The first one is older than all signatures, and the chain of a signed one leads to it.
    verified = world.run("verify", "--json")
    assert (verified.returncode, verified.json["checked"]["signatures"]) == (0, 1), verified
    target = world.nowhere()
    assert world.restore(target, *signer.ask).returncode == 0
    same(source, target)
    error_of(world.restore(world.nowhere(), *signer.ask, snapshot=plain.json["snapshot"]), kind="signature_invalid")

    (world.tmp_path / "lockstep.toml").unlink()
    before = world.files()
    assert "--allow-unsigned" in error_of(world.backup(source), status=2, kind="configuration")
    assert "--allow-unsigned" in error_of(world.backup(source, "--dry-run"), status=2, kind="configuration")
    for given, right in (((), False), (signer.sign, True)):
        checked = world.run("check", *source.options, "--json", *given)
        [keys] = [each for each in checked.json["checks"] if each["name"] == "keys"]
        assert (keys["ok"], checked.returncode) == (right, 0 if right else 1), checked
    assert "no key" in error_of(world.backup(source, "--sign-with", str(world.tmp_path / "nowhere")), status=2)
    assert world.files() == before
    assert world.backup(source, "--allow-unsigned").returncode == 0
    assert "is not signed" in error_of(world.backup(source, *signer.sign), status=2, kind="configuration")
    last = world.snapshots()[-1]["snapshot"]
    [found] = world.run("verify", "--json", *signer.ask).json["findings"]
    assert (found["kind"], found["path"]) == ("tampered", f"snapshots/{last}/manifest.json")
    error_of(world.restore(world.nowhere(), *signer.ask), kind="signature_invalid")
