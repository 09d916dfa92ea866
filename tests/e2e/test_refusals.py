"""What cannot work is refused with one sentence and what to do, before anything is changed anywhere."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from psycopg.conninfo import make_conninfo

from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.embedded import available_servers
from support.world import Deployment, World, error_of

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def with_conninfo(deployment: Deployment, **changes: str | int) -> Deployment:
    return replace(deployment, database=DatabaseAddress(make_conninfo(deployment.database.conninfo, **changes)))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_database_that_cannot_be_reached_is_told_apart_by_its_reason(world: World) -> None:
    source = world.deployment(blocks=3)
    before = world.everything(source)
    cases: list[tuple[dict[str, str | int], str]] = [
        ({"password": "wrong-secret"}, "the password is wrong"),
        ({"host": "no-such-host.invalid"}, "the host is unknown"),
        ({"dbname": "no_such_database"}, "the database does not exist"),
        ({"port": free_port()}, "nothing listens there"),
        ({"user": "no_such_user"}, "wrong|does not exist"),
        ({"sslmode": "require"}, "TLS"),
    ]
    told = set()
    for changes, words in cases:
        ran = world.backup(with_conninfo(source, **changes))
        said = error_of(ran, kind="database_unreachable")
        assert any(word in said for word in words.split("|")), said
        assert "wrong-secret" not in ran.stdout + ran.stderr
        told.add(said)
    assert len(told) == len(cases)
    assert world.everything(source) == before
    assert not world.repo_path.exists()


def test_a_store_that_cannot_be_used_is_told_apart_by_its_reason(world: World) -> None:
    source = world.deployment(blocks=3)
    before = world.everything(source)

    def at(endpoint: str) -> Deployment:
        return replace(source, bucket=replace(source.bucket, endpoint_url=endpoint))

    bad_keys = {"AWS_SECRET_ACCESS_KEY": "not-the-right-secret-key"}
    no_keys = dict.fromkeys(world.keys, "")
    cases: list[tuple[Deployment, dict[str, str], str, str]] = [
        (replace(source, bucket=world.s3.address("no-such-bucket")), {}, "bucket_not_found", "no-such-bucket"),
        (at("http://no-such-host.invalid:8333"), {}, "store_unreachable", "no-such-host.invalid"),
        (at(f"http://127.0.0.1:{free_port()}"), {}, "store_unreachable", "127.0.0.1"),
        (source, bad_keys, "permission_missing", source.bucket_name),
        (source, no_keys, "permission_missing|configuration", "AWS_ACCESS_KEY_ID"),
    ]
    for deployment, env, kind, words in cases:
        ran = world.backup(deployment, env=env)
        assert ran.returncode in {1, 2}, ran
        assert ran.json["error"]["kind"] in kind.split("|"), ran
        assert words in error_of(ran, status=ran.returncode)
        assert "not-the-right-secret-key" not in ran.stdout + ran.stderr
    assert world.everything(source) == before
    assert not world.repo_path.exists()


def test_a_table_that_may_not_be_read_is_named_with_the_grant_that_helps(world: World) -> None:
    source = world.deployment(blocks=3)
    world.admin("CREATE ROLE nosy LOGIN PASSWORD 'nosy-secret'")
    source.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO nosy; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO nosy")
    source.execute("REVOKE SELECT ON vlob_atom FROM nosy")
    as_nosy = replace(source, database=world.postgres.address(source.dbname, user="nosy", password="nosy-secret"))
    before = world.everything(source)
    for options in ([], ["--format", "plain"], ["--jobs", "2"]):
        told = error_of(world.backup(as_nosy, *options), kind="permission_missing")
        assert "vlob_atom" in told
        assert "nosy" in told
        assert "GRANT" in told
        assert world.everything(source) == before  # not even an empty repository
    source.execute("REVOKE SELECT ON block FROM nosy; GRANT SELECT ON vlob_atom TO nosy")
    assert "block" in error_of(world.backup(as_nosy), kind="permission_missing")
    source.execute("GRANT SELECT ON block TO nosy")
    ran = world.backup(as_nosy)
    assert ran.returncode == 0, ran


def test_rows_that_a_policy_hides_are_not_left_out_silently(world: World) -> None:
    source = world.deployment(blocks=3)
    world.admin("CREATE ROLE nosy LOGIN PASSWORD 'nosy-secret' IN ROLE pg_read_all_data")
    source.execute("ALTER TABLE block ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON block USING (size < 0)")
    as_nosy = replace(source, database=world.postgres.address(source.dbname, user="nosy", password="nosy-secret"))
    told = error_of(world.backup(as_nosy), kind="permission_missing")
    assert "block" in told
    assert "BYPASSRLS" in told
    assert not world.repo_path.exists() or world.snapshots() == []


def test_client_programs_older_than_the_server_are_refused(world: World) -> None:
    if 15 not in available_servers():
        pytest.skip("PostgreSQL 15 is not installed")
    source = world.deployment(blocks=3)
    before = world.everything(source)
    told = error_of(world.backup(source, "--client-programs", str(available_servers()[15])), kind="client_tool_failed")
    assert "18" in told
    assert "15." in told
    told = error_of(world.backup(source, "--client-programs", str(world.tmp_path)), status=2, kind="configuration")
    assert "pg_dump" in told
    assert world.everything(source) == before
    assert not world.repo_path.exists()
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    target = world.nowhere()
    told = error_of(world.restore(target, "--client-programs", str(available_servers()[15])), kind="client_tool_failed")
    assert target.dbname not in world.databases()
    assert target.objects() == {}


def test_what_the_target_server_lacks_is_named(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    made = world.backup(source).json
    before = world.everything(source, target)
    manifest = world.repo_path / "snapshots" / made["snapshot"] / "manifest.json"
    whole = manifest.read_text()
    cases: list[tuple[Callable[[dict[str, object]], None], str]] = [
        (lambda database: database.update(collate="xx_YY.UTF-8"), "xx_YY.UTF-8"),
        (lambda database: database.update(extensions={"postgis": "3.5.0"}), "postgis"),
        (lambda database: database.update(owner="nobody_here"), "nobody_here"),
        (lambda database: database.update(locale_provider="icu", locale="de-DE-x-icu"), "ICU"),
    ]
    for change, words in cases:
        document = json.loads(whole)
        change(document["database"])
        manifest.write_text(json.dumps(document))
        told = error_of(world.restore(target), kind="target_refused")
        assert words in told
        assert manifest.read_text() != whole
        manifest.write_text(whole)
        assert world.everything(source, target) == before
    assert world.restore(target).returncode == 0


def test_a_place_without_a_repository_is_said_to_be_one(world: World) -> None:
    source, target = world.deployment(blocks=1), world.nowhere()
    empty = world.tmp_path / "empty"
    empty.mkdir()
    before = world.everything(source, target)
    for repo in (str(world.tmp_path / "absent"), str(empty), f"s3://{source.bucket_name}-other", target.bucket.url):
        access = ["--endpoint-url", world.s3.endpoint_url]
        error_of(world.run("list", *access, "--json", repo=repo), kind="repository_not_found")
    error_of(world.run("restore", "latest", *target.options, "--json", repo=str(empty)), kind="repository_not_found")
    assert not (world.tmp_path / "absent").exists()
    assert list(empty.iterdir()) == []
    assert world.everything(source, target) == before


def test_unknown_snapshots_and_newer_formats_are_refused_politely(world: World) -> None:
    source, target = world.deployment(blocks=1), world.nowhere()
    made = world.backup(source).json
    before = world.everything(source, target)
    told = error_of(world.restore(target, snapshot="20200101T000000Z-00000000"), kind="snapshot_not_found")
    assert "20200101T000000Z-00000000" in told
    manifest = world.repo_path / "snapshots" / made["snapshot"] / "manifest.json"
    for path, deployment, command, reading in (
        (world.repo_path / "lockstep.json", source, world.backup, ("list",)),
        (manifest, target, world.restore, ("show", made["snapshot"])),
    ):
        whole = path.read_text()
        path.write_text(json.dumps({**json.loads(whole), "format": 2}))
        for ran in (command(deployment), world.run(*reading, "--json")):
            told = error_of(ran, kind="repository_invalid")
            assert "newer" in told
        path.write_text("{")
        error_of(world.run(*reading, "--json"), kind="repository_invalid")
        path.write_text(whole)
    assert world.everything(source, target) == before


def test_a_held_lock_refuses_writers_and_lets_readers_pass(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    world.backup(source)
    blocker = source.connect()
    blocker.execute("LOCK TABLE vlob_atom IN ACCESS EXCLUSIVE MODE")  # pg_dump waits for it
    try:
        with world.started("backup", *source.options) as process:
            lock = world.repo_path / "locks"
            wait_for(lambda: any(lock.iterdir()) if lock.exists() else False)
            told = error_of(world.backup(source), status=4, kind="repository_locked")
            assert str(process.pid) in told
            assert len(world.snapshots()) == 1
            assert world.run("show", "latest", "--json").returncode == 0
            assert world.restore(target).returncode == 0
            process.kill()
            process.wait()
    finally:
        blocker.close()
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    assert not [name for name in world.files() if name.startswith("locks/")]
    assert len(world.snapshots()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "command"),
        (["backup", "--explode"], "--explode"),
        (["backup"], "--repo"),
        (["backup", "--repo", "r"], "no database is named"),
        (["backup", "--repo", "r", "--database", "not a conninfo", "--bucket", "s3://b"], "--database"),
        (["backup", "--repo", "r", "--database", "dbname=d", "--bucket", "ftp://b"], "ftp"),
        (["backup", "--repo", "r", "--database", "dbname=d", "--bucket", "s3://b", "--format", "tar"], "tar"),
        (["backup", "--repo", "r", "--database", "dbname=d", "--bucket", "s3://b", "--jobs", "2", "--format", "plain"], "--jobs 2"),
        (["backup", "--repo", "s3://b/inside", "--database", "dbname=d", "--bucket", "s3://b"], "inside the store"),
        (["backup", "--repo", "r", "--parsec-env", "swift.env"], "swift"),
        (["backup", "--repo", "r", "--parsec-env", "mocked.env"], "MOCKED"),
        (["restore", "--repo", "r"], "SNAPSHOT"),
        (["restore", "latest", "--repo", "r", "--in-place", "--replace"], "--in-place"),
        (["restore", "latest", "--repo", "r", "--prefix", "p", "--only", "database"], "--prefix"),
        (["list", "--config", "absent.toml"], "absent.toml"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else None,
)
def test_wrong_usage_is_status_2_with_json(world: World, arguments: list[str], words: str) -> None:
    database = "PARSEC_DB=postgresql://u:very-secret@h/d\n"
    (world.tmp_path / "swift.env").write_text(f"{database}PARSEC_BLOCKSTORE=swift:http\\://s:t:c:user:very-secret\n")
    (world.tmp_path / "mocked.env").write_text(f"{database}PARSEC_BLOCKSTORE=MOCKED\n")
    ran = world.lockstep(*arguments, "--json")
    told = error_of(ran, status=2)
    assert words in told
    assert "very-secret" not in ran.stdout + ran.stderr
    assert sorted(path.name for path in world.tmp_path.iterdir()) == ["home", "mocked.env", "swift.env"]


def test_a_profile_at_fault_is_shown_with_its_query_and_the_fix(world: World) -> None:
    source = world.deployment(blocks=1)
    cases = {
        "fails": ("SELECT nothing AS key, 1 AS size FROM block", "nothing"),
        "columns": ("SELECT block_id AS id, size FROM block", "column key is missing"),
        "types": ("SELECT block_id AS key, created_on AS size FROM block", "column size is of type"),
        "store": ("SELECT block_id AS key, size, 'cold' AS store FROM block", "--bucket cold"),
        "divides": ("SELECT block_id AS key, size / (size - size) AS size FROM block", "division by zero"),
    }
    for name, (query, words) in cases.items():
        profile = world.tmp_path / f"{name}.toml"
        profile.write_text(f'name = "{name}"\nreferences = "{query}"\n')
        told = error_of(world.backup(source, "--app", str(profile)))
        assert words in told
        assert name == "store" or query in told
    other = Deployment(world.new_database(), source.bucket)
    told = error_of(world.backup(other), status=2, kind="configuration")
    assert "--app" in told
    assert not world.repo_path.exists() or world.snapshots() == []


def test_a_repository_that_may_not_be_written_is_refused(world: World) -> None:
    source = world.deployment(blocks=1)
    (world.tmp_path / "file").write_text("in the way")
    for repo in (str(world.tmp_path / "file"), "/proc/nowhere", "s3://no-such-bucket-for-repo/x"):
        ran = world.run("backup", *source.options, "--json", repo=repo)
        error_of(ran)
    assert (world.tmp_path / "file").read_text() == "in the way"


def test_results_still_fit_when_nobody_reads_them(world: World) -> None:
    """A closed pipe ends the command, not the snapshot."""
    source = world.deployment(blocks=2)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "lockstep", "backup", "--repo", world.repo, *source.options, "--json"],
        env={**world.environment, **world.keys}, stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=world.tmp_path,
    )  # fmt: skip
    os.close(write)
    assert done.returncode in {0, 1}, done
    assert "Traceback" not in done.stderr
    assert len(world.snapshots()) == 1


def wait_for(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
