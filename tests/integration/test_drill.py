"""The unattended proof on real servers: what is whole is proven, what is not is named by the right step, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockstep.errors import ClientToolFailed
from lockstep.postgres.embedded import EmbeddedServer, available_servers
from lockstep.postgres.guard import PREFIX, remove_leftovers
from lockstep.repository.seal import is_sealed, sealed
from support.fixture_types import Lockstep, PostgresServers, Ran
from support.parsec_shape import delete_objects
from support.servers import SeaweedFS
from support.world import Deployment, World, open_world

STEPS = ["dump", "restore", "rows", "references", "objects", "checksums"]


@pytest.fixture(scope="session")
def postgres_server(postgres_servers: PostgresServers) -> EmbeddedServer:
    return postgres_servers(18)


@pytest.fixture
def world(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_server: EmbeddedServer, s3_server: SeaweedFS, tmp_path: Path
) -> Iterator[World]:
    with open_world(lockstep, lockstep_environment, postgres_server, s3_server, tmp_path) as made:
        yield made


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory of temporary files of the test's own, which the servers' account may enter."""
    with tempfile.TemporaryDirectory(prefix="drill-", dir="/tmp") as made:
        Path(made).chmod(0o1777)
        yield Path(made)


def drill(world: World, *arguments: str | Path, env: dict[str, str] | None = None) -> Ran:
    return world.run("drill", "--json", *arguments, env=env)


def wrong(ran: Ran) -> list[str]:
    """The steps that were not proven."""
    assert ran.returncode == 3, ran
    assert ran.json["ok"] is False
    return [step["name"] for step in ran.json["steps"] if not step["ok"]]


def detail(ran: Ran, name: str) -> str:
    return str(next(step["detail"] for step in ran.json["steps"] if step["name"] == name))


def objects_of(world: World) -> list[Path]:
    return sorted(path for path in (world.repo_path / "objects").rglob("*") if path.is_file())


@pytest.fixture
def backed_up(world: World) -> Deployment:
    source = world.deployment(blocks=12, size=300, doubled=2)
    assert world.backup(source).returncode == 0
    return source


@pytest.mark.parametrize("form", ["custom", "directory", "plain"])
def test_a_whole_snapshot_is_proven_in_every_format_and_nothing_is_left(world: World, form: str, temporary: Path) -> None:
    source = world.deployment(blocks=12, size=300, doubled=2)
    made = world.backup(source, "--format", form)
    assert made.returncode == 0, made
    before, databases = world.files(), world.databases()

    page = world.tmp_path / "drill.html"
    ran = drill(world, "--report", page, env={"TMPDIR": str(temporary)})
    assert ran.returncode == 0, ran
    found = ran.json
    assert (found["ok"], found["snapshot"]) == (True, made.json["snapshot"])
    assert [step["name"] for step in found["steps"]] == STEPS
    assert all(step["ok"] and step["detail"] and step["seconds"] >= 0 for step in found["steps"])
    assert "exactly the snapshot's 12 objects" in detail(ran, "references")
    assert "all 12 objects (3,600 bytes)" in detail(ran, "objects")
    assert 0 < found["rto_seconds"] < found["seconds"]
    assert found["extrapolated"] is False
    text = page.read_text()
    assert "restored and proven" in text
    assert "src=" not in text
    assert "href=" not in text

    assert list(temporary.iterdir()) == []
    assert world.databases() == databases
    [record] = world.files().keys() - before.keys()
    assert record == found["recorded"]
    data = (world.repo_path / record).read_bytes()
    assert is_sealed(data)
    assert json.loads(data)["steps"] == [step | {"seconds": pytest.approx(step["seconds"], abs=0.001)} for step in found["steps"]]


@pytest.mark.usefixtures("backed_up")
def test_list_and_show_say_when_a_snapshot_was_last_proven(world: World) -> None:
    assert world.snapshots()[0]["proven"] is None
    assert "proven     never" in world.run("show", "latest").stdout
    assert drill(world).returncode == 0
    [listed] = world.snapshots()
    assert listed["proven"].endswith("Z")
    assert world.run("show", "latest", "--json").json["proven"] == listed["proven"]
    assert listed["proven"][:10] in world.run("list").stdout
    assert listed["proven"][:10] in world.run("show", "latest").stdout

    objects_of(world)[0].unlink()
    assert drill(world).returncode == 3
    assert world.snapshots()[0]["proven"] == listed["proven"]  # a drill that is not green proves nothing, and unproves nothing


@pytest.mark.usefixtures("backed_up")
def test_a_flipped_byte_in_an_object_is_found_by_its_checksum(world: World) -> None:
    victim = objects_of(world)[5]
    data = bytearray(victim.read_bytes())
    data[17] ^= 1
    victim.write_bytes(data)
    ran = drill(world)
    assert wrong(ran) == ["checksums"]
    assert victim.name in detail(ran, "checksums")
    assert wrong(drill(world, "--read-data")) == ["checksums"]


@pytest.mark.usefixtures("backed_up")
def test_a_lost_and_a_cut_object_are_found_without_reading(world: World) -> None:
    lost, cut = objects_of(world)[2:4]
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    ran = drill(world, "--read-data=0")
    assert wrong(ran) == ["objects"]
    assert lost.name in detail(ran, "objects")
    assert cut.name in detail(ran, "objects")


@pytest.mark.usefixtures("backed_up")
def test_a_damaged_dump_is_not_restored(world: World) -> None:
    [dump] = world.repo_path.glob("snapshots/*/database.dump")
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    ran = drill(world)
    assert wrong(ran) == ["dump", "restore", "rows", "references"]
    assert "is not what its manifest says" in detail(ran, "dump")
    assert "not tried" in detail(ran, "restore")


def rewritten(world: World, change: Any) -> None:
    """The manifest of the only snapshot with something changed, as a consistent forger would write it."""
    [path] = world.repo_path.glob("snapshots/*/manifest.json")
    document = json.loads(path.read_bytes())
    del document["checksum"]
    change(document)
    path.write_bytes(sealed(document))


def test_references_that_differ_from_the_restored_database_are_named(world: World, backed_up: Deployment) -> None:
    def other_query(manifest: dict[str, Any]) -> None:
        query = manifest["profile"]["query"].rstrip().rstrip(";")
        manifest["profile"]["query"] = f"SELECT key, size FROM ({query}) AS q WHERE key <> '{backed_up.filled.keys[3]}'"

    rewritten(world, other_query)
    ran = drill(world)
    assert wrong(ran) == ["references"]
    assert "references 11 objects; the snapshot has 12" in detail(ran, "references")
    assert backed_up.filled.keys[3] in detail(ran, "references")


@pytest.mark.usefixtures("backed_up")
def test_rows_that_differ_are_named_by_table(world: World) -> None:
    rewritten(world, lambda manifest: manifest["database"]["rows"].update({"public.block": 99}))
    ran = drill(world)
    assert wrong(ran) == ["rows"]
    assert "the table public.block has 14 rows; the snapshot says 99" in detail(ran, "rows")


@pytest.mark.usefixtures("backed_up")
def test_an_extension_that_the_server_lacks_is_named_and_a_locale_is_replaced(world: World) -> None:
    rewritten(world, lambda manifest: manifest["database"].update({"collate": "xx_YY.UTF-8", "ctype": "xx_YY.UTF-8"}))
    ran = drill(world)
    assert ran.returncode == 0, ran
    assert 'the locale "xx_YY.UTF-8"' in detail(ran, "restore")
    assert "restored with the locale C" in detail(ran, "restore")

    rewritten(world, lambda manifest: manifest["database"]["extensions"].update({"flying_carpet": "1.0"}))
    ran = drill(world)
    assert wrong(ran) == ["restore", "rows", "references"]
    assert 'the extension "flying_carpet" is not installed' in detail(ran, "restore")


def test_objects_that_a_snapshot_never_had_are_not_proven(world: World) -> None:
    source = world.deployment(blocks=9, size=50)
    delete_objects(source.bucket, source.filled.keys[:2])
    assert world.backup(source).returncode == 3
    ran = drill(world)
    assert wrong(ran) == ["objects"]
    assert "2 objects the snapshot lists itself as missing" in detail(ran, "objects")


def test_owners_that_the_throw_away_server_lacks_are_made_for_the_time(world: World) -> None:
    source = world.deployment(blocks=3, size=50)
    world.admin('CREATE ROLE "app owner"')
    source.execute('ALTER TABLE block OWNER TO "app owner"')
    assert world.backup(source).returncode == 0
    ran = drill(world)
    assert ran.returncode == 0, ran
    source.execute("ALTER TABLE block OWNER TO postgres")


def test_a_scratch_server_of_the_users_is_left_as_it_was(world: World, backed_up: Deployment) -> None:
    before = world.everything(backed_up)
    ran = drill(world, "--database", world.postgres.address().conninfo)
    assert ran.returncode == 0, ran
    assert "a server of yours" in ran.json["server"]
    after = world.everything(backed_up)
    assert {path for path in after.pop("repository") if not path.startswith("drills/")} == set(before.pop("repository"))  # type: ignore[attr-defined, call-overload] # mappings
    assert after == before

    rewritten(world, lambda manifest: manifest["database"]["rows"].update({"public.block": 99}))
    assert wrong(drill(world, "--database", world.postgres.address().conninfo)) == ["rows"]
    assert world.databases() == before["databases"]


def test_the_deployments_own_database_is_never_taken_for_a_scratch_server(world: World, backed_up: Deployment) -> None:
    (world.tmp_path / "lockstep.toml").write_text(f'database = "{backed_up.database.conninfo}"\n')
    ran = drill(world, "--read-data=0", env={"LOCKSTEP_DATABASE": backed_up.database.conninfo})
    assert ran.returncode == 0, ran
    assert "started for this drill" in ran.json["server"]


@pytest.mark.usefixtures("backed_up")
def test_a_drill_that_is_stopped_ends_in_order_and_leaves_nothing(world: World, temporary: Path) -> None:
    with world.started("drill", env={"TMPDIR": str(temporary)}) as process:
        wait_for_server(temporary)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    assert list(temporary.iterdir()) == []
    assert not list(world.repo_path.glob("drills/*"))


@pytest.mark.usefixtures("backed_up")
def test_a_killed_drill_leaves_no_server_and_no_file(world: World, temporary: Path) -> None:
    with world.started("drill", env={"TMPDIR": str(temporary)}) as process:
        home = wait_for_server(temporary)
        pid = int((home / "server/data/postmaster.pid").read_text().split()[0])
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), "the server of a killed drill still runs")
    wait_until(lambda: not home.exists(), "its directory is still there")
    assert drill(world, env={"TMPDIR": str(temporary)}).returncode == 0
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("backed_up")
def test_what_a_drill_left_that_was_killed_with_its_guard_goes_with_the_next(world: World, temporary: Path) -> None:
    with world.started("drill", env={"TMPDIR": str(temporary)}) as process:
        home = wait_for_server(temporary)
        pid = int((home / "server/data/postmaster.pid").read_text().split()[0])
        for guard in guards_of(home):
            os.kill(guard, signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
    assert alive(pid)
    assert remove_leftovers([temporary]) == 1
    assert not alive(pid)
    assert not home.exists()


def test_the_server_of_a_living_process_is_no_leftover(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with EmbeddedServer() as server:
        assert remove_leftovers([temporary]) == 0
        with psycopg.connect(server.address().conninfo) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.usefixtures("backed_up")
def test_a_read_only_repository_is_drilled_without_a_record(world: World) -> None:
    (world.repo_path / "drills").write_text("in the way of the directory")
    ran = drill(world)
    assert ran.returncode == 0, ran
    assert ran.json["recorded"] is None
    assert "not recorded" in ran.stderr


@pytest.mark.usefixtures("backed_up")
def test_a_server_that_is_older_than_all_that_are_installed_is_drilled_on_a_newer_one(world: World) -> None:
    newest = max(available_servers())
    rewritten(world, lambda manifest: manifest["database"].update({"server_major": 16}))
    assert drill(world).returncode == 0
    rewritten(world, lambda manifest: manifest["database"].update({"server_major": newest + 1}))
    ran = drill(world)
    assert ran.returncode == 1, ran
    assert ran.json["error"]["kind"] == ClientToolFailed.kind
    assert f"no PostgreSQL server {newest + 1} or newer" in ran.json["error"]["message"]


def wait_for_server(temporary: Path) -> Path:
    """The temporary directory of a drill's server, once that takes connections."""
    ready: list[Path] = []

    def started() -> bool:
        ready[:] = [pid.parents[2] for pid in temporary.glob(f"{PREFIX}*/server/data/postmaster.pid") if "ready" in pid.read_text()]
        return bool(ready)

    wait_until(started, "no server was started")
    return ready[0]


def guards_of(home: Path) -> list[int]:
    listed = subprocess.run(["ps", "-ww", "-e", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "lockstep-guard" in line and str(home) in line]


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: Any, otherwise: str, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
