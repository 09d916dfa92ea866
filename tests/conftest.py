"""The servers, databases, buckets and the command line that tests are run with. All of it is real, and gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.postgres.embedded import EmbeddedServer, available_servers
from support.fixture_types import Lockstep, MakeDatabase, PostgresServers, Ran
from support.parsec_shape import Generation, create_schema
from support.servers import MotoServer, SeaweedFS

# A deadline in milliseconds would measure the neighbours on the machine, not the code.
hypothesis.settings.register_profile("lockstep", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("lockstep")

EMBEDDED_MAJOR = 18
DEBIAN_MAJOR = 15

DEEP = (
    "contract/test_every_store.py::test_a_listing_is_cut_by_prefix_and_range[google",
    "contract/test_every_store.py::test_a_listing_of_many_objects_has_each_of_them_once[google",
    "contract/test_listings_that_fail.py",
    "contract/test_s3_services.py",
    "e2e/test_audit.py::test_a_repository_tells_since",
    "e2e/test_audit.py::test_writers_at_work",
    "e2e/test_backup_again.py::test_a_pair_restored_from_a_backup_under_load",
    "e2e/test_backup_again.py::test_an_object_that_was_truncated",
    "e2e/test_backup_any_deployment.py",
    "e2e/test_backup_round_trip.py::test_what_was_backed_up_comes_back_row_for_row_and_byte_for_byte[pg15",
    "e2e/test_clouds.py",
    "e2e/test_copy.py",
    "e2e/test_demo.py::test_demo_keeps",
    "e2e/test_demo.py::test_demo_tells",
    "e2e/test_demo.py::test_demo_that_is_stopped",
    "e2e/test_encrypted_objects.py",
    "e2e/test_encryption.py",
    "e2e/test_export.py",
    "e2e/test_formats_matrix.py",
    "e2e/test_import.py",
    "e2e/test_object_lock.py::test_a_mirror",
    "e2e/test_object_lock.py::test_a_prune",
    "e2e/test_object_lock.py::test_all_that_a_snapshot_needs_is_locked_and_the_rest_is_not[moto",
    "e2e/test_object_lock.py::test_an_option",
    "e2e/test_object_lock.py::test_in_another",
    "e2e/test_object_lock.py::test_objects",
    "e2e/test_object_lock.py::test_the_policy",
    "e2e/test_object_lock.py::test_what",
    "e2e/test_object_lock.py::test_where",
    "e2e/test_object_lock.py::test_workers",
    "e2e/test_probe.py::test_keys_that_are_one",
    "e2e/test_prune.py::test_nothing_is_removed_while_somebody_reads",
    "e2e/test_prune.py::test_what_no_kept_snapshot_needs_goes_and_all_else_is_whole[bucket",
    "e2e/test_prune_elsewhere.py",
    "e2e/test_raid.py",
    "e2e/test_real_parsec_server.py::test_parsec_server_goes_on_working_on_what_was_restored_after_both_stores_were_lost[pg15",
    "e2e/test_restore_by_hand.py::test_createdb_pg_restore_and_aws_sync_are_enough[18-directory",
    "e2e/test_restore_damaged_repository.py",
    "e2e/test_restore_objects.py::test_a_bucket_that",
    "e2e/test_restore_objects.py::test_an_upload_that_arrives_wrong",
    "e2e/test_restore_objects.py::test_large_objects",
    "e2e/test_scale_out.py::test_what_is_missing",
    "e2e/test_scale_out.py::test_workers_bring",
    "e2e/test_scale_out.py::test_workers_copy_what_one_process_copies_and_the_result_is_the_same[pg15",
    "e2e/test_scale_out.py::test_workers_encrypt",
    "e2e/test_scale_out.py::test_workers_read",
    "e2e/test_scale_out.py::test_workers_reach",
    "e2e/test_signatures.py",
    "e2e/test_tampered_repository.py",
    "e2e/test_torture_keys.py",
    "faults/test_cluster.py",
    "faults/test_databases.py",
    "faults/test_disks.py",
    "faults/test_interruptions.py",
    "faults/test_kill_at_each_step.py",
    "faults/test_locks.py",
    "faults/test_object_lock_killed.py",
    "faults/test_prune_killed.py",
    "faults/test_random_kills.py",
    "faults/test_secrets.py",
    "faults/test_slow_disks.py",
    "faults/test_store_faults.py",
    "faults/test_stores_that_change.py",
    "faults/test_workers_die.py",
    "integration/postgres/test_dump_and_restore.py",
    "integration/test_audit.py::test_a_store_that_goes_away",
    "integration/test_catch_up.py",
    "integration/test_check.py",
    "integration/test_drill.py",
    "integration/test_profiles.py",
    "integration/test_repository_in_s3.py::test_a_manifest_of_another",
    "integration/test_repository_in_s3.py::test_a_repository_has_an_endpoint",
    "integration/test_repository_in_s3.py::test_a_store_that_refuses",
    "integration/test_repository_in_s3.py::test_bucket_to_bucket",
    "integration/test_repository_in_s3.py::test_bucket_to_bucket_and_back[directory",
    "integration/test_repository_in_s3.py::test_damage",
    "integration/test_server_side_copy.py::test_the_service_copies_in_and_out_and_on_and_all_of_it_is_proven[seaweedfs",
    "integration/test_server_side_copy.py::test_what_is",
    "integration/test_snapshot_names.py::test_a_snapshot_has_what_killed",
    "integration/test_snapshot_names.py::test_a_snapshot_has_what_was_copied_before_it_had_its_name[numbers",
    "integration/test_support.py",
    "integration/test_verify.py::test_a_backup_that_runs_meanwhile",
    "integration/test_verify.py::test_a_repository_in_an_object_store",
    "integration/test_verify.py::test_harm_to_any_file_is_found",
    "integration/test_verify.py::test_partial_readings",
    "integration/test_verify.py::test_random_changes_of_a_byte",
    "integration/test_verify.py::test_two_files",
    "property/test_prune_life.py::test_of_many",
)
"""What `make test` leaves to `make test-all`: files, and tests by how their names begin; together longer than everything else."""


def pytest_configure() -> None:
    """Let SIGINT mean what it means at a terminal: a shell starts what runs in the background with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the deep tests by where they lie."""
    for item in items:
        if any(item.nodeid.startswith(f"tests/{place}") for place in DEEP):
            item.add_marker(pytest.mark.deep)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A SeaweedFS for the whole session. Don't stop it: a test that stops a store starts one of its own."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture
def bucket(s3_server: SeaweedFS) -> StoreAddress:
    """A new, empty bucket."""
    return s3_server.address(s3_server.create_bucket())


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """A moto for the whole session: versioned buckets and conditional writes."""
    with MotoServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServers]:
    """Gives the session's server of a major version, started when first asked for. See `installed_majors`."""
    running: dict[int, EmbeddedServer] = {}
    with ExitStack() as stack:

        def server_of(major: int) -> EmbeddedServer:
            if major not in running:
                directory = tmp_path_factory.mktemp(f"postgres-{major}")
                running[major] = stack.enter_context(EmbeddedServer(available_servers()[major], directory))
            return running[major]

        yield server_of


def installed_majors() -> list[int]:
    """The majors that most tests run on: the embedded one, and Debian's where it is installed; the matrix tests use all there are."""
    return [major for major in (EMBEDDED_MAJOR, DEBIAN_MAJOR) if major == EMBEDDED_MAJOR or major in available_servers()]


@pytest.fixture(scope="session", params=installed_majors(), ids=lambda major: f"pg{major}")
def postgres_server(request: pytest.FixtureRequest, postgres_servers: PostgresServers) -> EmbeddedServer:
    """A PostgreSQL server for the whole session, one of each major. Don't stop it."""
    return postgres_servers(request.param)


@pytest.fixture
def make_database(postgres_server: EmbeddedServer) -> Iterator[MakeDatabase]:
    """Databases of the test's own, dropped after it."""
    made: list[str] = []

    def make(name: str | None = None, *, schema: Generation | None = None) -> DatabaseAddress:
        database = name or f"test_{secrets.token_hex(6)}"
        template = _template(postgres_server, schema) if schema else "template0"
        _execute(postgres_server, sql.SQL("CREATE DATABASE {} TEMPLATE {}"), database, template)
        made.append(database)
        return postgres_server.address(database)

    yield make
    for database in made:
        _execute(postgres_server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), database)


def _template(server: EmbeddedServer, schema: Generation) -> str:
    """The name of the server's template database with a schema, made when first needed."""
    name = f"shape_{schema}"
    with psycopg.connect(server.address().conninfo, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    if known is None:
        _execute(server, sql.SQL("CREATE DATABASE {} TEMPLATE template0"), name)
        with psycopg.connect(server.address(name).conninfo) as connection:
            create_schema(connection, schema)
    return name


def _execute(server: EmbeddedServer, statement: sql.SQL, *names: str) -> None:
    with psycopg.connect(server.address().conninfo, autocommit=True) as connection:
        connection.execute(statement.format(*map(sql.Identifier, names)))


@pytest.fixture
def lockstep_environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing of the caller's can be found: no `PG*`, no `AWS_*`, no settings in the home directory."""
    home = tmp_path / "home"
    home.mkdir()
    package = importlib.util.find_spec("lockstep.version")
    assert package is not None
    assert package.origin is not None
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(package.origin).parents[1]),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture
def lockstep(tmp_path: Path, lockstep_environment: dict[str, str]) -> Lockstep:
    """Runs `python -m lockstep …` in a directory and an environment of the test's own."""

    def run(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout_seconds: float = 120) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "lockstep", *map(str, arguments)],
            env={**lockstep_environment, **(env or {})},
            cwd=cwd or tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
