"""The database beside the target: made like the source, renamed in one step, and dropped when it was left behind."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from lockstep.errors import DatabaseUnreachable, PermissionMissing, TargetRefused
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DatabaseFacts
from lockstep.postgres.connection import open_database
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.names import replaced_name, staging_name
from lockstep.postgres.requirements import missing_on_target
from lockstep.postgres.staging import claimed, create_staging, drop_staging, rename_into_place
from lockstep.postgres.target import plan_target
from support.postgres_samples import SAMPLE, FreshDatabase, ServerOf, as_user, execute

ID = "20261122T124000Z-1a2b3c4d"


def facts_of(address: DatabaseAddress) -> DatabaseFacts:
    with open_database(address) as database:
        return database.facts()


def databases(address: DatabaseAddress) -> set[str]:
    with psycopg.connect(address.conninfo) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database").fetchall()}


def test_facts_of_a_database_are_what_the_server_has(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server, "CREATE EXTENSION citext", "CREATE TABLE t (a citext)")
    role = f"owner_{server.port}"
    execute(
        address, f"CREATE ROLE {role}; CREATE ROLE {role}_reader; GRANT SELECT ON t TO {role}_reader; CREATE SCHEMA s AUTHORIZATION {role}"
    )
    try:
        facts = facts_of(address)
    finally:
        execute(address, f"DROP OWNED BY {role}, {role}_reader; DROP ROLE {role}, {role}_reader")
    assert facts.roles == (role, f"{role}_reader", "postgres")
    assert (facts.encoding, facts.collate, facts.ctype, facts.owner) == ("UTF8", "C.UTF-8", "C.UTF-8", "postgres")
    assert (facts.locale_provider, facts.locale) == ("libc", None)
    assert set(facts.extensions) == {"plpgsql", "citext"}
    assert facts.server_version.startswith(f"{facts.server_major}.")
    assert facts.size_bytes > 1_000_000
    assert not facts.in_recovery


def test_the_staging_database_is_made_like_the_source(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    facts = replace(facts_of(fresh_database(server)), encoding="LATIN1", collate="C", ctype="C")
    target = fresh_database(server)
    name = facts_of(target).name
    staging = create_staging(target, name, facts=facts, snapshot_id=ID)
    made = facts_of(server.address(staging))
    assert (made.name, made.encoding, made.collate) == (f"{name}_lockstep_{ID}", "LATIN1", "C")
    with pytest.raises(TargetRefused, match="exists"):
        create_staging(target, name, facts=facts, snapshot_id=ID)
    assert plan_target(target, name).leftovers == (staging,)
    with claimed(target, name, ID) as dropped:
        assert dropped == [staging]
        assert staging not in databases(target)


@pytest.mark.parametrize("major", [17, 18])
def test_a_builtin_locale_comes_back_where_it_exists(major: int, server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    server = server_of(major)
    target = fresh_database(server)
    facts = replace(facts_of(target), locale_provider="builtin", locale="C.UTF-8", collate="C", ctype="C")
    staging = create_staging(target, facts.name, facts=facts, snapshot_id=ID)
    made = facts_of(server.address(staging))
    assert (made.locale_provider, made.locale) == ("builtin", "C.UTF-8")


def test_an_icu_locale_is_made_or_refused_by_what_the_server_was_built_with(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    target = fresh_database(server)
    facts = replace(facts_of(target), locale_provider="icu", locale="de")
    state = plan_target(target, facts.name)
    if state.icu:
        assert missing_on_target(facts, state) == []
        made = facts_of(server.address(create_staging(target, facts.name, facts=facts, snapshot_id=ID)))
        assert (made.locale_provider, made.locale) == ("icu", "de")
    else:
        assert "has no ICU" in missing_on_target(facts, state)[0].message
        with pytest.raises(TargetRefused, match="cannot make a database like the one that was dumped"):
            create_staging(target, facts.name, facts=facts, snapshot_id=ID)


def test_what_the_target_lacks_is_named_before_anything_is_made(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    target = fresh_database(server)
    real = facts_of(target)
    facts = replace(real, collate="xx_YY.UTF-8", extensions={"plpgsql": "1.0", "timescaledb": "2"}, roles=("nobody_here", "postgres"))
    before = databases(target)
    lacks = missing_on_target(facts, plan_target(target, "new_one", facts=facts))
    assert [lack.message for lack in lacks] == [
        'the locale "xx_YY.UTF-8" of the database is not installed on the target\'s server',
        'the extension "timescaledb" is not installed on the target\'s server',
        'the role "nobody_here" does not exist on the target',
    ]
    with pytest.raises(TargetRefused, match="xx_YY"):
        create_staging(target, "new_one", facts=facts, snapshot_id=ID)
    assert missing_on_target(real, plan_target(target, "new_one", facts=real)) == []
    assert databases(target) == before


def test_a_plan_tells_absent_empty_and_full_targets_apart(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    empty, full = fresh_database(server), fresh_database(server, SAMPLE)
    with psycopg.connect(full.conninfo):
        state = plan_target(full, facts_of(full).name)
    assert (state.exists, state.empty, state.owner, state.sessions, state.superuser, state.may_create) == (
        True,
        False,
        "postgres",
        1,
        True,
        True,
    )
    state = plan_target(empty, facts_of(empty).name)
    assert (state.exists, state.empty, state.sessions, state.leftovers) == (True, True, 0, ())
    state = plan_target(empty, "not there")
    assert (state.exists, state.empty, state.owner) == (False, False, None)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t (a int)",
        "CREATE SCHEMA s",
        "SELECT lo_create(0)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE e AS ENUM ()",
    ],
)
def test_whatever_a_user_made_keeps_a_database_from_being_empty(statement: str, server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(18), "CREATE EXTENSION citext")
    name = facts_of(address).name
    assert plan_target(address, name).empty
    execute(address, statement)
    assert not plan_target(address, name).empty


def test_both_renames_happen_or_neither(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    target = fresh_database(server, "CREATE TABLE old (a int)")
    facts = facts_of(target)
    staging = create_staging(target, facts.name, facts=facts, snapshot_id=ID)
    execute(server.address(staging), "CREATE TABLE new (a int)")
    with pytest.raises(TargetRefused, match="already exists"):
        rename_into_place(target, staging, facts.name)
    before = replaced_name(facts.name, datetime(2026, 11, 22, 12, 40, tzinfo=UTC))
    execute(target, f'CREATE DATABASE "{before}" TEMPLATE template0')
    with pytest.raises(TargetRefused, match="already exists"):
        rename_into_place(target, staging, facts.name, replaced=before)
    execute(server.address(), f'DROP DATABASE "{before}"')
    execute(server.address(facts.name), "SELECT 'old'::regclass")
    rename_into_place(target, staging, facts.name, replaced=before)
    execute(server.address(facts.name), "SELECT 'new'::regclass")
    execute(server.address(before), "SELECT 'old'::regclass")
    assert before == f"{facts.name}_before_20261122T124000Z"


def test_sessions_on_the_target_are_counted_and_ended_only_when_asked(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    target = fresh_database(server)
    facts = facts_of(target)
    staging = create_staging(target, facts.name, facts=facts, snapshot_id=ID)
    before = f"{facts.name}_before"
    with psycopg.connect(target.conninfo) as first, psycopg.connect(target.conninfo) as second:
        with pytest.raises(TargetRefused, match="is in use by 2 sessions") as raised:
            rename_into_place(target, staging, facts.name, replaced=before)
        assert "--disconnect" in raised.value.hint
        first.execute("SELECT 1")
        rename_into_place(target, staging, facts.name, replaced=before, disconnect=True)
        for session in (first, second):
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
    assert {facts.name, before} <= databases(server.address())
    assert staging not in databases(server.address())


def test_an_application_that_reconnects_at_once_does_not_stop_the_rename(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    server = server_of(18)
    target = fresh_database(server)
    facts = facts_of(target)
    staging = create_staging(target, facts.name, facts=facts, snapshot_id=ID)
    stop = threading.Event()

    def application() -> None:
        while not stop.is_set():
            try:
                with psycopg.connect(target.conninfo, autocommit=True) as session:
                    while not stop.is_set():
                        session.execute("SELECT pg_sleep(0.01)")
            except psycopg.OperationalError:
                continue

    threads = [threading.Thread(target=application) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        rename_into_place(target, staging, facts.name, replaced=f"{facts.name}_before", disconnect=True)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert f"{facts.name}_before" in databases(server.address())


def test_leftovers_go_with_what_the_server_still_does_in_them_unless_a_living_restore_works_there(
    server_of: ServerOf, fresh_database: FreshDatabase
) -> None:
    server = server_of(18)
    target = fresh_database(server)
    facts = facts_of(target)
    staging = create_staging(target, facts.name, facts=facts, snapshot_id=ID)
    lookalike = f"{facts.name}_lockstep_mine"
    execute(target, f'CREATE DATABASE "{lookalike}" TEMPLATE template0')
    for other, maintenance_db in ((ID, None), ("20261123T124000Z-1a2b3c4d", "template1")):
        with claimed(target, facts.name, ID):
            create_staging(target, facts.name, facts=facts, snapshot_id=ID)
            with (
                pytest.raises(TargetRefused, match="another restore works in"),
                claimed(target, facts.name, other, maintenance_db=maintenance_db),
            ):
                pass
        assert staging in databases(target)
    with psycopg.connect(server.address(staging).conninfo), claimed(target, facts.name, ID) as dropped:  # as of a dead pg_restore
        assert dropped == [staging]
    assert staging_name(facts.name, ID) not in databases(target)
    with claimed(target, facts.name, ID) as dropped:
        assert dropped == []
    drop_staging(target, staging)
    assert lookalike in databases(target)


def test_the_maintenance_database_can_be_chosen(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    server = server_of(18)
    target = fresh_database(server)
    assert plan_target(target, "x", maintenance_db="template1").user == "postgres"
    with pytest.raises(DatabaseUnreachable, match="the database does not exist"):
        plan_target(target, "x", maintenance_db="nothing")


def test_a_role_that_may_not_make_databases_is_told_of_in_place(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    server = server_of(15)
    target = fresh_database(server, "CREATE ROLE modest LOGIN PASSWORD 'not-telling'")
    modest, facts = as_user(target, "modest", "not-telling"), facts_of(target)
    try:
        lacks = missing_on_target(facts, plan_target(modest, "other", facts=facts))
        assert "--in-place" in lacks[0].hint
        assert 'may not make a database for the role "postgres"' in lacks[1].message
        assert missing_on_target(facts, plan_target(modest, "other"), keep_owners=False, in_place=True) == []
        with pytest.raises(PermissionMissing):
            create_staging(modest, "other", facts=facts, snapshot_id=ID, keep_owner=False)
    finally:
        execute(target, "DROP ROLE modest")
