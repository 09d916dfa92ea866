"""Every PostgreSQL at hand as source and as target, in every format of the dump: it comes back, or the reason why not is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from lockstep.postgres.embedded import available_servers
from support.fixture_types import Lockstep, PostgresServers
from support.servers import SeaweedFS
from support.world import Deployment, World, error_of, open_world

MAJORS = [major for major in (15, 17, 18) if major in available_servers()]
FORMATS = ("custom", "directory", "plain")

Worlds = dict[int, World]


@pytest.fixture
def worlds(
    lockstep: Lockstep,
    lockstep_environment: dict[str, str],
    postgres_servers: PostgresServers,
    s3_server: SeaweedFS,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Worlds]:
    """A world on each major, with one repository for all."""
    place = tmp_path_factory.mktemp("matrix")
    with ExitStack() as stack:
        yield {
            major: stack.enter_context(open_world(lockstep, lockstep_environment, postgres_servers(major), s3_server, place))
            for major in MAJORS
        }


@pytest.mark.parametrize("source_major", MAJORS)
def test_every_version_restores_into_every_version(worlds: Worlds, source_major: int) -> None:
    world = worlds[source_major]
    source = world.deployment(organizations=("Müller-Söhne",), blocks=6, vlobs=30)
    expected, objects = source.tables(), source.objects()
    furthest = MAJORS[0] if source_major == MAJORS[-1] else MAJORS[-1] if source_major == MAJORS[0] else None
    made = {}
    for format_ in FORMATS if furthest else FORMATS[:1]:
        ran = world.backup(source, "--format", format_)
        assert ran.returncode == 0, ran
        made[format_] = ran.json["snapshot"]
    bucket = world.new_bucket()
    for target_major in MAJORS:
        for format_ in FORMATS if target_major == furthest else FORMATS[:1]:
            target = replace(worlds[target_major].nowhere(), bucket=bucket)
            ran = world.restore(target, snapshot=made[format_])
            assert ran.returncode == 0, (source_major, target_major, format_, ran)
            assert ran.json["consistent"] is True
            assert target.tables() == expected, (source_major, target_major, format_)
    assert Deployment(source.database, bucket).objects() == objects


@pytest.mark.skipif(MAJORS[0] == MAJORS[-1], reason="only one PostgreSQL is installed")
@pytest.mark.parametrize("format_", ["custom", "plain"])
def test_a_dump_by_newer_programs_comes_back_on_the_older_server(worlds: Worlds, format_: str) -> None:
    """`pg_dump` 17 and newer write SET transaction_timeout, which servers before 17 refuse."""
    old = worlds[MAJORS[0]]
    newer = str(available_servers()[MAJORS[-1]])
    source = old.deployment(blocks=4)
    ran = old.backup(source, "--format", format_, "--client-programs", newer)
    assert ran.returncode == 0, ran
    for options in (["--client-programs", newer], ["--in-place"]):
        target = old.nowhere()
        if "--in-place" in options:
            old.new_database(target.dbname)
        ran = old.restore(target, *options)
        assert ran.returncode == 0, (options, ran)
        assert target.tables() == source.tables()


@pytest.mark.skipif(MAJORS[0] == MAJORS[-1], reason="only one PostgreSQL is installed")
def test_what_the_older_server_does_not_know_is_said_and_nothing_is_left(worlds: Worlds) -> None:
    new, old = worlds[MAJORS[-1]], worlds[MAJORS[0]]
    source = new.deployment(blocks=2)
    source.execute("CREATE TABLE modern (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)")
    assert new.backup(source).returncode == 0
    target = old.nowhere()
    databases = old.databases()
    told = error_of(new.restore(target), kind="restore_failed")
    assert "does not understand the dump" in told
    assert "older" in told
    assert old.databases() == databases
