"""The database's side of a restore: beside the target and renamed, so that it appears whole or not at all."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from support.parsec_shape import create_schema, fill
from support.world import Deployment, World, error_of, same

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


def in_the_way(world: World) -> Deployment:
    """A target whose database exists and is in use for something else."""
    target = world.nowhere()
    world.new_database(target.dbname)
    target.execute("CREATE TABLE precious AS SELECT 42 AS n")
    return target


def kept_of(world: World, target: Deployment) -> set[str]:
    return {name for name in world.databases() if name.startswith(f"{target.dbname}_")}


def test_a_target_that_is_not_empty_is_refused_before_anything_is_uploaded(world: World) -> None:
    source, target = world.deployment(blocks=5), in_the_way(world)
    world.backup(source)
    before = world.everything(source, target)
    told = error_of(world.restore(target), kind="target_refused")
    assert f'"{target.dbname}"' in told
    assert "not empty" in told
    assert "--replace" in told
    assert world.everything(source, target) == before
    assert target.objects() == {}


def test_replace_keeps_the_old_database_under_another_name(world: World) -> None:
    source, target = world.deployment(blocks=5), in_the_way(world)
    world.backup(source)
    ran = world.restore(target, "--replace")
    assert ran.returncode == 0, ran
    kept = ran.json["database"]["replaced"]
    assert kept.startswith(f"{target.dbname}_before_")
    assert kept_of(world, target) == {kept}
    with psycopg.connect(world.postgres.address(kept).conninfo) as connection:
        assert connection.execute("SELECT n FROM precious").fetchall() == [(42,)]
    same(source, target)
    again = world.restore(target, "--replace")
    assert again.returncode == 0, again
    assert again.json["objects"]["already_there"] == 5
    assert kept_of(world, target) == {kept, again.json["database"]["replaced"]}
    same(source, target)


def test_a_target_that_exists_and_is_empty_needs_no_replace(world: World) -> None:
    source, target = world.deployment(blocks=2), world.nowhere()
    world.new_database(target.dbname)
    world.backup(source)
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    same(source, target)


def test_connected_sessions_are_a_reason_to_refuse_unless_they_may_be_ended(world: World) -> None:
    source, target = world.deployment(blocks=3), in_the_way(world)
    world.backup(source)
    with psycopg.connect(target.database.conninfo, autocommit=True) as session:
        before = world.everything(source, target)
        told = error_of(world.restore(target, "--replace"), kind="target_refused")
        assert "1 session is connected" in told
        assert "--disconnect" in told
        assert world.everything(source, target) == before
        assert session.execute("SELECT n FROM precious").fetchall() == [(42,)]
        ran = world.restore(target, "--replace", "--disconnect")
        assert ran.returncode == 0, ran
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    same(source, target)


def test_a_client_that_reconnects_at_once_does_not_keep_a_restore_from_its_rename(world: World) -> None:
    source, target, ending = world.deployment(blocks=3), in_the_way(world), threading.Event()
    world.backup(source)

    def hang_on() -> None:
        while not ending.is_set():
            try:
                with psycopg.connect(target.database.conninfo, autocommit=True) as connection:
                    while not ending.wait(0.01):
                        connection.execute("SELECT 1")
            except psycopg.Error:
                ending.wait(0.05)

    client = threading.Thread(target=hang_on)
    client.start()
    try:
        ran = world.restore(target, "--replace", "--disconnect")
    finally:
        ending.set()
        client.join()
    assert ran.returncode == 0, ran
    same(source, target)


def test_a_role_without_createdb_restores_in_place(world: World) -> None:
    world.admin("CREATE ROLE tenant LOGIN PASSWORD 'tenant-secret'")
    source, target = world.deployment(blocks=4), world.nowhere()
    world.backup(source)
    as_tenant = replace(target, database=world.postgres.address(target.dbname, user="tenant", password="tenant-secret"))
    told = error_of(world.restore(as_tenant))
    assert "may not create databases" in told
    assert "--in-place" in told
    assert "does not exist" in error_of(world.restore(as_tenant, "--in-place", "--no-owner"), kind="target_refused")
    assert target.objects() == {}
    world.admin(sql.SQL("CREATE DATABASE {} OWNER tenant TEMPLATE template0").format(sql.Identifier(target.dbname)))
    ran = world.restore(as_tenant, "--in-place", "--no-owner")
    assert ran.returncode == 0, ran
    assert ran.json["database"]["replaced"] is None
    same(source, target)
    with target.connect() as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert owners == [("tenant",)]
    before = world.everything(source, target)
    assert "is not empty" in error_of(world.restore(as_tenant, "--in-place", "--no-owner"), kind="target_refused")
    assert world.everything(source, target) == before


def test_a_role_that_cannot_become_an_owner_learns_it_before_anything_is_copied(world: World) -> None:
    world.admin("CREATE ROLE app; CREATE ROLE other; CREATE ROLE operator LOGIN CREATEDB PASSWORD 'operator-secret'; GRANT app TO operator")
    source, target = world.deployment(blocks=3), world.nowhere()
    source.execute("ALTER TABLE vlob_atom OWNER TO other")
    world.backup(source)
    operator = replace(target, database=world.postgres.address(target.dbname, user="operator", password="operator-secret"))
    before = world.everything(source, target)
    told = error_of(world.restore(operator), kind="target_refused")
    assert '"other"' in told
    assert "--no-owner" in told
    assert world.everything(source, target) == before


def test_roles_that_the_target_lacks_are_named_or_left_out(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    world.admin('CREATE ROLE "the owner"; CREATE ROLE reader')
    source.execute('ALTER TABLE vlob_atom OWNER TO "the owner"; GRANT SELECT ON realm TO reader')
    world.backup(source)
    source.execute('ALTER TABLE vlob_atom OWNER TO postgres; REVOKE ALL ON realm FROM reader; DROP ROLE "the owner"; DROP ROLE reader')
    before = world.everything(source, target)
    told = error_of(world.restore(target), kind="target_refused")
    assert '"the owner"' in told
    assert '"reader"' in told
    assert "--no-owner" in told
    assert world.everything(source, target) == before
    assert world.restore(target, "--no-owner").returncode == 0
    same(source, target)


def test_owners_and_privileges_come_back_where_their_roles_are(world: World) -> None:
    world.admin("CREATE ROLE app; CREATE ROLE reader")
    source, target = world.deployment(blocks=3), world.nowhere()
    world.admin(sql.SQL("ALTER DATABASE {} OWNER TO app").format(sql.Identifier(source.dbname)))
    source.execute("ALTER TABLE block OWNER TO app; GRANT SELECT ON block TO reader")
    world.backup(source)
    assert world.restore(target).returncode == 0
    with target.connect() as connection:
        assert connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'block'").fetchall() == [("app",)]
        assert connection.execute("SELECT has_table_privilege('reader', 'block', 'SELECT')").fetchall() == [(True,)]
        assert connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchall() == [("app",)]  # fmt: skip


def test_a_role_that_is_no_superuser_restores_what_it_owns(world: World) -> None:
    world.admin("CREATE ROLE app LOGIN CREATEDB PASSWORD 'app-secret'")
    source, target = (
        replace(each, database=world.postgres.address(each.dbname, user="app", password="app-secret"))
        for each in (world.nowhere(), world.nowhere())
    )
    world.admin(sql.SQL("CREATE DATABASE {} OWNER app TEMPLATE template0").format(sql.Identifier(source.dbname)))
    with source.connect() as connection:
        create_schema(connection)
        fill(connection, source.bucket, blocks=3)
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    same(source, target)


def test_a_damaged_dump_is_refused_and_the_target_left_alone(world: World) -> None:
    source, target = world.deployment(blocks=5, vlobs=60), in_the_way(world)
    made = world.backup(source).json
    dump = world.repo_path / "snapshots" / made["snapshot"] / "database.dump"
    whole = dump.read_bytes()
    before = world.everything(source, target)
    for damaged in (whole[:-1], whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]):
        dump.write_bytes(damaged)
        told = error_of(world.restore(target, "--replace"), kind="repository_invalid")
        assert "database.dump" in told
        dump.write_bytes(whole)
        assert world.everything(source, target) == before
    assert target.objects() == {}
    assert world.restore(target, "--replace").returncode == 0


@pytest.mark.parametrize("options", [(), ("--in-place",)], ids=["beside", "in place"])
def test_a_restored_database_that_is_not_the_snapshots_never_becomes_the_target(world: World, options: tuple[str, ...]) -> None:
    """The manifest's counts are the proof: here they say that a row is lacking."""
    source, target = world.deployment(blocks=3), world.nowhere()
    made = world.backup(source).json
    if options:
        world.new_database(target.dbname)
    manifest = world.repo_path / "snapshots" / made["snapshot"] / "manifest.json"
    document = json.loads(manifest.read_text())
    document["database"]["rows"]["public.block"] += 1
    manifest.write_text(json.dumps(document))
    databases = world.databases()
    told = error_of(world.restore(target, *options), kind="restore_failed")
    assert "block has 3 rows" in told
    assert world.databases() == databases
    if options:
        with target.connect() as connection:
            left = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert left == [(0,)] or "not changed" not in told


def test_what_a_killed_restore_left_is_dropped_by_the_next_and_nothing_else(world: World) -> None:
    source, target = world.deployment(blocks=3), world.nowhere()
    world.backup(source)
    stranger = f"{target.dbname}_lockstep"
    killed = leftovers_of_a_killed_restore(world, target)
    world.new_database(stranger)
    text = world.run("restore", "latest", *target.options, "--dry-run").stdout
    assert f"drop the database {killed}" in text
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    assert kept_of(world, target) == {stranger}
    same(source, target)


def leftovers_of_a_killed_restore(world: World, target: Deployment) -> str:
    """Kill a restore as soon as its database beside the target can be seen; returns what that is called."""
    with world.started("restore", "latest", *target.options) as process:
        while process.poll() is None:
            found = kept_of(world, target)
            if found:
                process.kill()
                process.wait()
                break
        else:
            raise AssertionError(process.communicate())
    [name] = found
    assert name.startswith(f"{target.dbname}_lockstep_")
    assert target.dbname not in world.databases()
    return name
