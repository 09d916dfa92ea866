"""`lockstep check` on real servers: what it says when all is well, and of each thing that is not."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lockstep.cli.wiring import open_repository_store
from lockstep.config.repository import RepositorySettings
from lockstep.deployment.deployment import Deployment
from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.checkup import Answer, Checkup
from lockstep.objects.open import open_store
from lockstep.operations.backup import backup
from lockstep.operations.check import CheckSubject, check
from lockstep.postgres.embedded import EmbeddedServer, available_servers
from lockstep.progress import SILENT
from lockstep.repository.locks import writer_lock
from support.fixture_types import Lockstep, MakeDatabase, PostgresServers
from support.middlemen import pooler, skewed_service
from support.parsec_shape import Filled, create_schema, delete_objects, fill
from support.servers import MotoServer, SeaweedFS

PASSWORD = "correct-horse-battery"
OLDER = [major for major in available_servers() if major < 18]
ALL_CHECKS = [
    "database", "privileges", "row-level security", "client programs", "archive", "frozen view", "bucket", "profile", "objects", "listing",
    "versioning", "lifecycle", "bucket clock", "repository", "repository writable", "keys", "repository lock", "room",
    "temporary directory", "database clock", "restore",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """A deployment in Parsec's shape, and a place for its repository."""

    database: DatabaseAddress
    bucket: StoreAddress
    filled: Filled
    repository: Path

    def subject(self, **changes: object) -> CheckSubject:
        place = StoreAddress(self.repository.as_uri(), name="repository")
        whole = CheckSubject(self.database, (self.bucket,), place, open_repository=lambda at: open_repository_store(RepositorySettings(at)))
        return replace(whole, **changes)  # type: ignore[arg-type] # fields by name

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.database.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def database_with(self, **parameters: str | int) -> DatabaseAddress:
        return replace(self.database, conninfo=make_conninfo(self.database.conninfo, **parameters))

    def back_up(self) -> None:
        deployment = Deployment(self.database, {"main": open_store(self.bucket)})
        backup(deployment, open_repository_store(RepositorySettings(self.subject().repository)))


@pytest.fixture(scope="session", params=[18], ids=["pg18"])
def postgres_server(request: pytest.FixtureRequest, postgres_servers: PostgresServers) -> EmbeddedServer:
    """One server for most of these tests; what differs from version to version is tried `on_every_server`."""
    return postgres_servers(request.param)


on_every_server = pytest.mark.parametrize("postgres_server", [major for major in available_servers() if major != 17], indirect=True)


@pytest.fixture
def world(make_database: MakeDatabase, bucket: StoreAddress, tmp_path: Path) -> World:
    database = make_database(schema="current")
    with psycopg.connect(database.conninfo) as connection:
        filled = fill(connection, bucket, blocks=8)
    return World(database, bucket, filled, tmp_path / "repository")


@pytest.fixture
def role(world: World) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = f"role_{secrets.token_hex(4)}"
    world.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield name
    world.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def answers(checkup: Checkup) -> dict[str, Answer]:
    return {each.name: each.answer for each in checkup.checks}


def troubles(checkup: Checkup) -> dict[str, str]:
    """Everything that is neither fine nor the lack of versions, which SeaweedFS's new buckets have."""
    found = {name: answer.verdict for name, answer in answers(checkup).items() if answer.verdict != "ok"}
    assert found.pop("versioning") in {"warning", "untried"}
    return dict(found)


def everything_below(directory: Path) -> dict[str, int]:
    return {str(path.relative_to(directory)): path.stat().st_size for path in directory.rglob("*")}


@on_every_server
def test_a_sound_deployment_passes_and_nothing_is_left_behind(world: World, tmp_path: Path) -> None:
    before = everything_below(tmp_path)
    started = time.process_time()  # a clock on the wall would measure the neighbours on the machine
    checkup = check(world.subject())
    assert time.process_time() - started < 3
    assert [each.name for each in checkup.checks] == ALL_CHECKS
    assert troubles(checkup) == {}
    assert checkup.ok
    found = answers(checkup)
    assert found["objects"].detail.startswith("5 of 5 sampled are there and can be read")
    assert found["room"].sizes["objects"] == sum(block.size for block in world.filled.blocks)
    assert everything_below(tmp_path) == before


def test_a_repository_with_a_snapshot_is_told_and_stays_as_it_is(world: World) -> None:
    world.back_up()
    before = everything_below(world.repository)
    checkup = check(world.subject())
    assert troubles(checkup) == {}
    found = answers(checkup)
    assert "has one snapshot, the newest of " in found["repository"].detail
    assert found["repository writable"].detail == "an object was written, read back and removed"
    assert "the newest snapshot, " in found["restore"].detail
    assert everything_below(world.repository) == before


def test_the_command_line_gives_one_document_and_its_exit_status(world: World, lockstep: Lockstep, s3_server: SeaweedFS) -> None:
    environment = s3_server.environment()
    common: list[str | Path] = ["check", "--bucket", world.bucket.url, "--repo", world.repository, "--json"]
    sound = lockstep(*common, "--database", world.database.conninfo, env=environment)
    assert sound.returncode == 0, sound.stderr
    assert sound.json["ok"] is True
    assert [each["name"] for each in sound.json["checks"]] == ALL_CHECKS
    assert all({"name", "ok", "detail", "hint"} <= each.keys() for each in sound.json["checks"])

    wrong = lockstep(*common, "--database", world.database_with(password="wrong-wrong-wrong").conninfo, env=environment)
    assert wrong.returncode == 1
    assert "wrong-wrong-wrong" not in wrong.stdout + wrong.stderr
    first = wrong.json["checks"][0]
    assert (first["ok"], first["level"]) == (False, "error")
    assert "the password is wrong or missing" in first["detail"]
    assert "~/.pgpass" in first["hint"]


def test_text_has_a_line_a_check_and_no_colours_where_there_is_no_terminal(world: World, lockstep: Lockstep, s3_server: SeaweedFS) -> None:
    ran = lockstep(
        "check",
        "--bucket",
        world.bucket.url,
        "--repo",
        world.repository,
        "--database",
        world.database.conninfo,
        env=s3_server.environment(),
    )
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stdout.splitlines() if "hint:" not in line]
    assert len(lines) == len(ALL_CHECKS) + 1
    assert lines[-1] == f"all {len(ALL_CHECKS)} checks passed, 1 warning"
    assert "\x1b" not in ran.stdout


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"password": "wrong-wrong-wrong"}, "the password is wrong or missing"),
        ({"host": "nowhere.invalid"}, "the host is unknown"),
        ({"port": 1}, "nothing listens there"),
        ({"dbname": "absent"}, "the database does not exist"),
    ],
)
def test_a_database_out_of_reach_leaves_the_stores_to_be_checked(world: World, parameters: dict[str, str | int], says: str) -> None:
    checkup = check(world.subject(database=world.database_with(**parameters)))
    found = answers(checkup)
    assert not checkup.ok
    assert found["database"].verdict == "failed"
    assert says in found["database"].detail
    assert found["frozen view"].detail == "not tried, because the check 'database' failed"
    assert found["objects"].detail == "not tried, because the check 'database' failed"
    assert {name for name, answer in found.items() if answer.verdict == "ok"} >= {"bucket", "listing", "repository writable", "room"}


@on_every_server
def test_one_table_that_cannot_be_read_is_named(world: World, role: str) -> None:
    world.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
    weak = world.database_with(user=role, password=PASSWORD)
    assert answers(check(world.subject(database=weak)))["privileges"].verdict == "ok"
    world.execute(f"REVOKE SELECT ON vlob_atom FROM {role}")
    answer = answers(check(world.subject(database=weak)))["privileges"]
    assert answer.verdict == "failed"
    assert answer.detail == f'the user "{role}" may not read table public.vlob_atom; pg_dump would refuse'
    assert answer.hint is not None
    assert f"GRANT pg_read_all_data TO {role}" in answer.hint


@on_every_server
def test_sequences_schemas_and_large_objects_that_cannot_be_read_are_named(world: World, role: str) -> None:
    world.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
    world.execute(f'REVOKE SELECT ON block__id_seq FROM {role}; CREATE SCHEMA "odd. schema"; CREATE TABLE "odd. schema".t ()')
    weak = world.database_with(user=role, password=PASSWORD)
    detail = answers(check(world.subject(database=weak)))["privileges"].detail
    assert 'may not read schema "odd. schema", sequence public.block__id_seq; pg_dump' in detail
    world.execute(f"GRANT pg_read_all_data TO {role}; SELECT lo_from_bytea(4711, 'large')")
    answer = answers(check(world.subject(database=weak)))["privileges"]
    assert "may not read large object 4711; pg_dump" in answer.detail
    world.execute(f"GRANT SELECT ON LARGE OBJECT 4711 TO {role}")
    assert answers(check(world.subject(database=weak)))["privileges"].verdict == "ok"


@on_every_server
def test_rows_that_a_policy_hides_are_a_failure_for_those_it_hides_them_from(world: World, role: str) -> None:
    world.execute(f"GRANT pg_read_all_data TO {role}; ALTER TABLE realm ENABLE ROW LEVEL SECURITY")
    answer = answers(check(world.subject(database=world.database_with(user=role, password=PASSWORD))))["row-level security"]
    assert answer.verdict == "failed"
    assert answer.detail.endswith("in public.realm")
    assert answers(check(world.subject()))["row-level security"].verdict == "ok"


def test_a_role_that_can_read_and_not_create_databases_is_enough_for_backups(world: World, role: str) -> None:
    world.execute(f"GRANT pg_read_all_data TO {role}")
    checkup = check(world.subject(database=world.database_with(user=role, password=PASSWORD)))
    assert checkup.ok
    assert troubles(checkup) == {"restore": "warning"}
    assert "--in-place" in (answers(checkup)["restore"].hint or "")


def test_a_pooler_in_between_is_noticed(world: World) -> None:
    port = int(conninfo_to_dict(world.database.conninfo)["port"] or 0)
    with pooler(port) as before_it:
        checkup = check(world.subject(database=world.database_with(port=before_it)))
    assert troubles(checkup) == {"frozen view": "warning"}
    assert "a connection pooler stands in between" in answers(checkup)["frozen view"].detail


@pytest.mark.parametrize("older", OLDER)
def test_client_programs_older_than_the_server_fail(
    older: int, postgres_servers: PostgresServers, bucket: StoreAddress, tmp_path: Path
) -> None:
    insisted = replace(postgres_servers(18).address(), client_programs=str(available_servers()[older]))
    place = StoreAddress((tmp_path / "repository").as_uri())
    found = answers(check(CheckSubject(insisted, (bucket,), place, app="bucket")))
    assert found["client programs"].verdict == "failed"
    assert f"found: {older}." in found["client programs"].detail
    assert found["archive"].verdict == "untried"
    assert found["profile"].verdict == "ok"


@on_every_server
def test_archives_that_the_servers_own_pg_restore_cannot_read_are_a_warning(world: World, postgres_server: EmbeddedServer) -> None:
    newest = max(available_servers())
    checkup = check(world.subject(database=replace(world.database, client_programs=str(available_servers()[newest]))))
    with psycopg.connect(postgres_server.address().conninfo) as connection:
        server = connection.info.server_version // 10_000
    assert answers(checkup)["archive"].verdict == ("warning" if server < 17 <= newest else "ok")
    assert checkup.ok


def test_a_directory_without_client_programs_is_named(world: World, tmp_path: Path) -> None:
    answer = answers(check(world.subject(database=replace(world.database, client_programs=str(tmp_path)))))["client programs"]
    assert answer.verdict == "failed"
    assert str(tmp_path) in answer.detail


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": "s3://absent-bucket"}, "bucket absent-bucket does not exist"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "connection refused"),
        ({"endpoint_url": "http://nowhere.invalid"}, "unknown host"),
        ({"access_key_id": "nobody"}, "refuses access"),
        ({"secret_access_key": PASSWORD}, "SignatureDoesNotMatch"),
    ],
)
def test_a_bucket_out_of_reach_leaves_the_database_to_be_checked(world: World, changes: dict[str, str], says: str) -> None:
    checkup = check(world.subject(stores=(replace(world.bucket, **changes),)))  # type: ignore[arg-type] # fields by name
    found = answers(checkup)
    assert not checkup.ok
    assert found["bucket"].verdict == "failed"
    assert says in found["bucket"].detail
    assert PASSWORD not in found["bucket"].detail
    assert found["objects"].detail == "not tried, because the check 'bucket' failed"
    assert {name for name, answer in found.items() if answer.verdict == "ok"} >= {"privileges", "profile", "repository", "restore"}


def test_stores_of_several_names_are_checked_each_by_its_name(world: World, s3_server: SeaweedFS) -> None:
    first, second = replace(world.bucket, name="one"), s3_server.address("absent-bucket", name="two")
    found = answers(check(world.subject(stores=(first, second))))
    assert found["bucket one"].verdict == "ok"
    assert found["bucket two"].verdict == "failed"
    assert found["profile"].detail == "'parsec' names the store 'main', which the deployment does not have"


def test_objects_that_are_missing_are_a_warning_and_the_wrong_bucket_a_failure(world: World, s3_server: SeaweedFS) -> None:
    delete_objects(world.bucket, world.filled.keys[:4])  # of 8, and 5 are sampled: one of them at least is gone and one is there
    answer = answers(check(world.subject()))["objects"]
    assert answer.verdict == "warning"
    other = s3_server.address(s3_server.create_bucket())
    answer = answers(check(world.subject(stores=(other,))))["objects"]
    assert answer.verdict == "failed"
    assert answer.hint == "Check that bucket and prefix belong to this database."


def test_an_unknown_application_is_a_failure_of_the_profile_alone(make_database: MakeDatabase, world: World) -> None:
    empty = make_database()
    found = answers(check(world.subject(database=empty)))
    assert found["profile"].verdict == "failed"
    assert "--app" in (found["profile"].hint or "")
    assert found["objects"].verdict == "untried"
    assert answers(check(world.subject(database=empty, app="bucket")))["objects"].verdict == "ok"


def test_objects_in_the_database_need_no_bucket(world: World) -> None:
    checkup = check(world.subject(stores=()))
    assert checkup.ok
    assert answers(checkup)["profile"].detail == "'parsec', and the objects are in the database itself"


def test_a_place_where_no_repository_can_be_made_fails(world: World, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    # Root may write in closed directories, but not even root in a file system that takes nothing.
    unwritable = Path("/proc/lockstep") if os.geteuid() == 0 else closed / "repository"
    for place in (file / "repository", unwritable):
        answer = answers(check(world.subject(repository=StoreAddress(place.as_uri()))))["repository writable"]
        assert answer.verdict == "failed"
        assert str(place.parent) in answer.detail


def test_a_repository_in_a_bucket_is_written_to_and_left_as_it_was(world: World, s3_server: SeaweedFS) -> None:
    place = s3_server.address(s3_server.create_bucket(), prefix="deep/er", name="repository")
    checkup = check(world.subject(repository=place, open_repository=open_store))
    assert troubles(checkup) == {}
    assert answers(checkup)["repository writable"].detail == "an object was written, read back and removed"
    assert list(open_store(place).list()) == []
    absent = s3_server.address("absent-bucket", name="repository")
    found = answers(check(world.subject(repository=absent, open_repository=open_store)))
    assert found["repository"].detail == f"bucket absent-bucket does not exist at {s3_server.endpoint_url}"
    assert found["repository writable"].verdict == "untried"


def test_a_directory_with_other_things_in_it_is_a_warning(world: World) -> None:
    world.repository.mkdir()
    (world.repository / "photo.jpg").write_bytes(b"not ours")
    answer = answers(check(world.subject()))["repository"]
    assert answer.verdict == "warning"
    assert "photo.jpg" in answer.detail


def test_a_repository_of_a_newer_format_is_a_failure(world: World) -> None:
    world.repository.mkdir()
    (world.repository / "lockstep.json").write_text(json.dumps({"format": 9, "id": "0b6f1c0e-6a0c-4d7e-9a5e-3b7a1d1f0c55"}))
    answer = answers(check(world.subject()))["repository"]
    assert answer.verdict == "failed"
    assert "format 9" in answer.detail


def test_a_running_writer_is_told_and_not_disturbed(world: World) -> None:
    world.back_up()
    store = open_repository_store(RepositorySettings(world.subject().repository))
    with writer_lock(store, "backup", listener=SILENT) as lock:
        answer = answers(check(world.subject()))["repository lock"]
        lock.check()
    assert answer.verdict == "failed"
    assert answer.detail.startswith(f"a running backup (process {os.getpid()} on ")
    assert answers(check(world.subject()))["repository lock"].verdict == "ok"


def test_a_lease_in_a_bucket_is_told_without_waiting_for_it(world: World, s3_server: SeaweedFS) -> None:
    place = s3_server.address(s3_server.create_bucket(), name="repository")
    with writer_lock(open_store(place), "backup", listener=SILENT):
        checkup = check(world.subject(repository=place, open_repository=open_store))
    assert answers(checkup)["repository lock"].verdict == "warning"
    assert "a running backup" in answers(checkup)["repository lock"].detail


def test_versions_and_rules_of_the_bucket_are_told(make_database: MakeDatabase, moto_server: MotoServer, tmp_path: Path) -> None:
    bucket = moto_server.address(moto_server.create_bucket())
    client, name = moto_server.client(), bucket.url.removeprefix("s3://")
    database = make_database()
    with psycopg.connect(database.conninfo) as connection:
        create_schema(connection)
        fill(connection, bucket, blocks=3, organizations=("Acme",))
    subject = CheckSubject(database, (bucket,), StoreAddress((tmp_path / "repository").as_uri()))
    assert answers(check(subject))["versioning"].detail.startswith("off: ")
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def with_rule(prefix: str) -> Answer:
        rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": 30}}
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
        found = answers(check(subject))
        assert found["versioning"] == Answer("ok", "on")
        return found["lifecycle"]

    assert with_rule("").verdict == "failed"
    assert with_rule("Ac").detail == "rule 'tidy' deletes objects under 'Ac' after 30 days: referenced objects are among them"
    assert with_rule("tmp/").verdict == "warning"
    kept = replace(subject, repository=replace(bucket, url=f"{bucket.url}-kept", name="repository"))
    client.create_bucket(Bucket=f"{name}-kept")
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    client.put_bucket_lifecycle_configuration(Bucket=f"{name}-kept", LifecycleConfiguration={"Rules": [rule]})
    assert answers(check(kept))["repository lifecycle"].verdict == "failed"


def test_a_service_whose_clock_is_wrong_is_told_by_how_much(world: World) -> None:
    with skewed_service(timedelta(hours=-2)) as endpoint:
        answer = answers(check(world.subject(stores=(replace(world.bucket, endpoint_url=endpoint),))))["bucket"]
    assert answer.verdict == "failed"
    assert "RequestTimeTooSkewed" in answer.detail
    assert "s behind this machine's clock" in answer.detail
    assert answer.hint == "Set this machine's clock by NTP."
