"""Whatever happens to a file of a repository, verification says so, names the file, and names the snapshots that need it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from lockstep.errors import PermissionMissing, RepositoryNotFound, SnapshotNotFound
from lockstep.model.addresses import StoreAddress
from lockstep.objects.local import LocalStore
from lockstep.objects.open import open_store
from lockstep.repository.seal import seal, sealed
from support.fixture_types import Lockstep, PostgresServers
from support.parsec_shape import create_schema, fill
from support.servers import SeaweedFS
from support.sound_repository import (
    HARM,
    Found,
    change_one_byte,
    copied,
    files_of,
    flip_one_bit,
    local_store,
    make_sound_repository,
    verified,
)


@pytest.fixture(scope="module")
def built(postgres_servers: PostgresServers, s3_server: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A sound repository, verified once, and its snapshots."""
    server = postgres_servers(18)
    name = "verify_source"
    with psycopg.connect(server.address().conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    root = tmp_path_factory.mktemp("verify") / "repository"
    made = make_sound_repository(server.address(name), s3_server.address(s3_server.create_bucket()), local_store(root))
    assert verified(root).ok
    return root, made


@pytest.fixture
def repo(built: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of the sound repository, to do harm to."""
    return copied(built[0], tmp_path / "repository")


@pytest.fixture
def snapshots(built: tuple[Path, list[str]]) -> list[str]:
    return built[1]


def names_of(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in files_of(root)]


def found_in(root: Path, name: str, **options: object) -> Found:
    found = verified(root, **options)
    assert not found.ok, name
    assert name in found.paths, (name, found.findings)
    return found


def test_a_sound_repository_is_sound_at_every_depth(repo: Path) -> None:
    for depth, objects, read in (("quick", 0, 0), ("sizes", 18, 0), ("data", 18, 18)):
        found = verified(repo, depth=depth)
        assert (found.ok, found.objects, found.objects_read) == (True, objects, read)


def test_random_changes_of_a_byte_or_a_bit_are_all_found(built: tuple[Path, list[str]], repo: Path) -> None:
    sound, chance = built[0], random.Random(3)
    names = names_of(sound)
    for number, name in enumerate(names):
        what = (flip_one_bit if number % 2 else change_one_byte)(repo / name, chance)
        found = verified(repo)
        assert name in found.paths, (name, what, found.findings)
        for mended in (name, "verifications/1.json", "verifications/2.json"):
            shutil.copy(sound / mended, repo / mended)
    assert verified(repo).ok


@pytest.mark.parametrize("harm", HARM)
def test_harm_to_any_file_is_found(built: tuple[Path, list[str]], repo: Path, harm: str) -> None:
    sound = built[0]
    for name in names_of(sound):
        HARM[harm](repo / name)
        found = found_in(repo, name)
        kind = next(finding.kind for finding in found.findings if finding.path == name)
        assert kind == {"gone": "missing", "grown": "damaged"}.get(harm, "truncated"), (name, found.findings)
        for mended in (name, "verifications/1.json", "verifications/2.json"):
            shutil.copy(sound / mended, repo / mended)


def test_two_files_that_changed_places_are_found(repo: Path) -> None:
    names = [name for name in names_of(repo) if not name.startswith("verifications/")]
    chance = random.Random(1)
    chance.shuffle(names)
    for one, other in zip(names[::2], names[1::2], strict=False):
        swap(repo / one, repo / other)
        found = verified(repo)
        # of the objects that only a spoilt inventory records nothing is known
        unknown = {name for name in (one, other) if name.startswith(("objects/", "odd/")) and "inventory/" in one + other}
        assert {one, other} - unknown <= found.paths, (one, other, found.findings)
        swap(repo / one, repo / other)
    assert verified(repo).ok


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_the_depths_find_what_they_promise(repo: Path) -> None:
    name = next(each for each in names_of(repo) if each.startswith("objects/"))
    size = (repo / name).stat().st_size
    (repo / name).write_bytes(b"?" * size)
    assert verified(repo, depth="quick").ok
    assert verified(repo, depth="sizes").ok
    assert found_in(repo, name).of(name).kind == "damaged"
    (repo / name).unlink()
    assert verified(repo, depth="quick").ok
    assert found_in(repo, name, depth="sizes").of(name).kind == "missing"


def test_a_finding_names_the_key_and_the_snapshots_that_reference_the_object(repo: Path, snapshots: list[str]) -> None:
    odd = next(each for each in names_of(repo) if each.startswith("odd/"))
    (repo / odd).unlink()
    found = found_in(repo, odd).of(odd)
    assert found.key is not None
    assert found.snapshots == tuple(snapshots[1:])
    first = f"objects/main/{found.key}"  # the version from before
    (repo / first).unlink()
    assert found_in(repo, first).of(first).snapshots == (snapshots[0],)


def test_only_what_a_named_snapshot_needs_is_its_concern(repo: Path, snapshots: list[str]) -> None:
    odd = next(each for each in names_of(repo) if each.startswith("odd/"))
    (repo / odd).unlink()
    (repo / f"snapshots/{snapshots[2]}/database.sql").unlink()
    assert verified(repo, snapshots=(snapshots[0],)).ok
    assert verified(repo, snapshots=(snapshots[1],)).paths == {odd}
    assert verified(repo, snapshots=("latest", snapshots[0])).paths == {odd, f"snapshots/{snapshots[2]}/database.sql"}
    with pytest.raises(SnapshotNotFound):
        verified(repo, snapshots=("2001-01-01",))


def test_damaged_references_touch_every_snapshot_that_builds_on_them(repo: Path, snapshots: list[str]) -> None:
    name = f"snapshots/{snapshots[0]}/references.parquet"
    flip_one_bit(repo / name, random.Random(0))
    assert found_in(repo, name).of(name).snapshots == tuple(snapshots)


def test_a_lost_inventory_is_one_finding_and_not_one_for_each_object(repo: Path) -> None:
    name = next(each for each in names_of(repo) if each.startswith("inventory/"))
    (repo / name).unlink()
    found = found_in(repo, name)
    assert found.paths == {name}
    assert "objects are in no other inventory" in found.of(name).detail


def test_a_deleted_manifest_is_missed_wherever_it_stood(repo: Path, snapshots: list[str], tmp_path: Path) -> None:
    for snapshot in snapshots:
        harmed = copied(repo, tmp_path / "harmed")
        name = f"snapshots/{snapshot}/manifest.json"
        (harmed / name).unlink()
        found = found_in(harmed, name)
        assert found.of(name).kind == "missing"
        assert found.of(name).snapshots == (snapshot,)
        assert found.objects == 18  # the rest is verified all the same


def test_a_rewritten_history_is_found_even_where_it_is_well_written(repo: Path, snapshots: list[str]) -> None:
    for snapshot in snapshots:
        path = repo / f"snapshots/{snapshot}/manifest.json"
        right = path.read_bytes()
        document = json.loads(right)
        del document["checksum"]
        document["complete"] = not document["complete"]
        path.write_bytes(json.dumps(document).encode())
        assert found_in(repo, str(path.relative_to(repo))).of(str(path.relative_to(repo))).kind in {"tampered", "truncated"}
        path.write_bytes(seal(json.dumps(document, indent=2)))
        assert found_in(repo, str(path.relative_to(repo))).of(str(path.relative_to(repo))).kind == "tampered"
        path.write_bytes(right)


def test_a_manifest_of_another_repository_is_found(repo: Path, snapshots: list[str]) -> None:
    document = json.loads((repo / f"snapshots/{snapshots[0]}/manifest.json").read_bytes())
    del document["checksum"]
    foreign = "20200101T000000Z-00000000"
    text = json.dumps({**document, "repository": "0b6f1c0e-6a0c-4d7e-9a5e-3b7a1d1f0c55", "inventory": []}, indent=2)
    path = repo / f"snapshots/{foreign}/manifest.json"
    path.parent.mkdir()
    path.write_bytes(seal(text.replace(snapshots[0], foreign)))
    found = found_in(repo, str(path.relative_to(repo)))
    assert found.of(str(path.relative_to(repo))).kind == "tampered"


def test_a_marker_of_another_repository_is_found(repo: Path) -> None:
    (repo / "lockstep.json").write_bytes(
        sealed({"format": 1, "id": "0b6f1c0e-6a0c-4d7e-9a5e-3b7a1d1f0c55", "created": "2026-01-01T00:00:00+00:00"})
    )
    assert verified(repo).of("lockstep.json").kind == "tampered"
    assert verified(repo).paths == {"lockstep.json"}


def test_what_stopped_and_running_runs_leave_is_no_finding(repo: Path, snapshots: list[str]) -> None:
    half_made = repo / "snapshots/20991122T000000Z-00000000"
    half_made.mkdir()
    (half_made / "database.dump").write_bytes(b"half")
    (repo / "objects/main/Acme/left-over").write_bytes(b"half")
    (repo / f"inventory/{snapshots[2]}-9.parquet").write_bytes(b"half")
    (repo / "objects/main").joinpath(os.fsdecode(b"not \xff utf-8")).write_bytes(b"")
    for depth in ("quick", "sizes", "data"):
        assert verified(repo, depth=depth).ok


def test_an_older_head_is_what_a_kill_leaves_and_no_finding(repo: Path, snapshots: list[str]) -> None:
    checksum = json.loads((repo / f"snapshots/{snapshots[2]}/manifest.json").read_bytes())["previous"]["sha256"]
    (repo / "head.json").write_bytes(sealed({"snapshot": snapshots[1], "sha256": checksum}))
    assert verified(repo).ok


def test_a_link_that_leads_outside_is_not_followed(repo: Path, tmp_path: Path) -> None:
    name = next(each for each in names_of(repo) if each.startswith("objects/"))
    outside = tmp_path / "outside"
    shutil.copy(repo / name, outside)
    (repo / name).unlink()
    (repo / name).symlink_to(outside)
    for depth in ("sizes", "data"):
        found_in(repo, name, depth=depth)


def test_partial_readings_go_round_and_find_everything_in_one_round(repo: Path) -> None:
    name = next(each for each in names_of(repo) if each.startswith("objects/"))
    flip_one_bit(repo / name, random.Random(0))
    found = [verified(repo, percent=5.0) for _ in range(18)]
    assert {each.objects_read for each in found} == {1}
    assert [each.ok for each in found].count(False) == 1
    recorded = json.loads((repo / "verifications/1.json").read_bytes())["rounds"]["all"]
    assert recorded["all_read_since"]


def test_a_record_says_which_snapshot_was_sound_when(repo: Path, snapshots: list[str]) -> None:
    before = json.loads((repo / "verifications/1.json").read_bytes())["sound"]
    assert set(before) == set(snapshots)
    (repo / f"snapshots/{snapshots[1]}/database/toc.dat").unlink()
    verified(repo)
    after = json.loads((repo / "verifications/2.json").read_bytes())["sound"]
    assert after[snapshots[1]] == before[snapshots[1]]
    assert after[snapshots[0]]["data"] > before[snapshots[0]]["data"]


def test_a_damaged_record_of_a_drill_is_found(repo: Path) -> None:
    path = repo / "drills/20261122T171854Z-20261122T171854Z-dfd015d3.json"
    path.parent.mkdir()
    path.write_bytes(sealed({"ok": True}))
    assert verified(repo).ok
    flip_one_bit(path, random.Random(0))
    assert verified(repo).of(str(path.relative_to(repo))).kind == "damaged"


def test_a_repository_that_cannot_be_written_is_verified_all_the_same(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionMissing("read-only", hint="Write elsewhere.")

    monkeypatch.setattr(LocalStore, "write", refuse)
    before = names_of(repo)
    assert verified(repo).ok
    assert names_of(repo) == before


def test_a_place_without_a_repository_is_an_error_and_one_without_snapshots_is_sound(tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFound):
        verified(tmp_path / "nothing")
    (tmp_path / "lockstep.json").write_bytes(
        sealed({"format": 1, "id": "0b6f1c0e-6a0c-4d7e-9a5e-3b7a1d1f0c55", "created": "2026-01-01T00:00:00+00:00"})
    )
    assert verified(tmp_path).ok


def test_a_repository_in_an_object_store_is_verified_alike(repo: Path, bucket: StoreAddress) -> None:
    store = open_store(bucket)
    for name in names_of(repo):
        store.write(name, (repo / name).read_bytes())
    for depth in ("quick", "sizes", "data"):
        assert verified(store, depth=depth).ok
    chance = random.Random(5)
    for name in [each for each in names_of(repo) if not each.startswith("verifications/")]:
        right = (repo / name).read_bytes()
        changed = bytearray(right)
        changed[chance.randrange(len(right))] ^= 1 << chance.randrange(8)
        harm = chance.choice([bytes(changed), right[:-1], right + b"?", None])
        if harm is None:
            store.delete([name])
        else:
            store.write(name, harm, overwrite=True)
        assert name in verified(store).paths
        store.write(name, right, overwrite=True)
    assert verified(store, percent=50.0).ok


def test_a_list_goes_on_behind_a_damaged_manifest(repo: Path, snapshots: list[str], lockstep: Lockstep) -> None:
    (repo / f"snapshots/{snapshots[1]}/manifest.json").write_bytes(b"{}")
    ran = lockstep("list", "--repo", repo, "--json")
    assert ran.returncode == 3, ran
    assert [each["snapshot"] for each in ran.json["snapshots"]] == [snapshots[0], *snapshots[2:]]
    [damaged] = ran.json["damaged"]
    assert (damaged["snapshot"], damaged["path"]) == (snapshots[1], f"snapshots/{snapshots[1]}/manifest.json")
    assert "DAMAGED" in lockstep("list", "--repo", repo).stdout


@pytest.fixture
def environment(lockstep_environment: dict[str, str], s3_server: SeaweedFS) -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": s3_server.access_key_id, "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key, "AWS_REGION": "us-east-1"}
    return {**lockstep_environment, **keys}


def test_the_command_line_reports_as_it_promises(repo: Path, snapshots: list[str], lockstep: Lockstep) -> None:
    sound = lockstep("verify", "--repo", repo, "--read-data", "latest", "--json")
    assert sound.returncode == 0, sound
    assert sound.json["ok"] is True
    assert sound.json["findings"] == []
    assert (sound.json["checked"]["snapshots"], sound.json["checked"]["objects"]) == (1, 16)
    assert lockstep("verify", "--repo", repo, "--all", "--quick").returncode == 0
    first, last = (lockstep("list", "--repo", repo, "--json").json["snapshots"][number] for number in (0, -1))
    assert last["verified"] == last["verified_data"] > first["verified"]  # by the fixture's own verification
    shown = lockstep("show", "--repo", repo, "latest", "--json").json
    assert (shown["verified"], shown["verified_data"]) == (last["verified"], last["verified_data"])
    assert last["verified"][:10] in lockstep("list", "--repo", repo).stdout
    name = next(each for each in names_of(repo) if each.startswith("objects/"))
    (repo / name).write_bytes(b"")
    ran = lockstep("verify", "--repo", repo, "--json")
    assert ran.returncode == 3, ran
    assert ran.json["ok"] is False
    [finding] = ran.json["findings"]
    assert (finding["kind"], finding["path"], finding["key"]) == ("truncated", name, name.removeprefix("objects/main/"))
    assert set(finding["snapshots"]) <= set(snapshots)
    text = lockstep("verify", "--repo", repo, "--read-data=100")
    assert text.returncode == 3, text
    assert name in text.stdout
    for wrong in (["--all", "latest"], ["--quick", "--read-data=5"], ["--read-data=0"], ["--read-data=101"]):
        assert lockstep("verify", "--repo", repo, *wrong, "--json").returncode == 2, wrong


def test_a_backup_that_runs_meanwhile_is_no_finding(
    postgres_servers: PostgresServers, bucket: StoreAddress, environment: dict[str, str], tmp_path: Path
) -> None:
    server, root = postgres_servers(18), tmp_path / "repository"
    with psycopg.connect(server.address().conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE verify_running TEMPLATE template0")
    database = server.address("verify_running")
    with psycopg.connect(database.conninfo) as connection:
        create_schema(connection)
        fill(connection, bucket, blocks=1500)
    arguments = ["--repo", str(root), "--database", database.conninfo, "--bucket", bucket.url, "--endpoint-url", str(bucket.endpoint_url)]
    looked = 0
    for _ in range(3):
        with running([*arguments, "--concurrency", "2"], environment, tmp_path) as process:
            while process.poll() is None:
                if (root / "lockstep.json").exists():
                    found = verified(root)
                    assert found.ok, found.findings
                    looked += 1
            assert process.returncode == 0
    assert looked >= 3
    assert verified(root).objects == 1500


class running:  # noqa: N801 - reads as a verb
    """A backup as a process of its own, which is over when the block is."""

    def __init__(self, arguments: list[str], environment: dict[str, str], directory: Path) -> None:
        command = [sys.executable, "-m", "lockstep", "backup", *arguments]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, env=environment, cwd=directory, stdin=quiet, stdout=quiet, stderr=quiet)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
