"""What is dumped comes back, between all versions; what cannot be is refused with a sentence, and leaves nothing behind."""

# ruff: noqa: A001, A002 - `format` is what the command line calls it
from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.errors import ClientToolFailed, PermissionMissing, RestoreFailed, TargetRefused
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DumpFormat
from lockstep.postgres.addresses import database_name
from lockstep.postgres.archives import check_archive, check_archive_file, read_archive_reader
from lockstep.postgres.connection import open_database
from lockstep.postgres.dump import dump_to_stream
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.programs import Programs, find_programs, installed_programs
from lockstep.postgres.restore import analyze, in_place, restore_archive, row_counts
from lockstep.postgres.staging import create_staging, rename_into_place
from lockstep.postgres.target import is_empty
from support.postgres_samples import MAJORS, SAMPLE, FreshDatabase, ServerOf, as_user, dump, execute, fingerprint

FORMATS: tuple[DumpFormat, ...] = ("custom", "directory", "plain")
ID = "20261122T124000Z-1a2b3c4d"


@pytest.mark.parametrize(
    ("source_major", "target_major", "format"),
    [
        *((source, target, "custom") for source in MAJORS for target in MAJORS),
        *((source, target, format) for source, target in ((15, 18), (18, 15), (17, 17)) for format in ("directory", "plain")),
    ],
)
def test_a_dump_restores_on_every_version(
    source_major: int, target_major: int, format: DumpFormat, server_of: ServerOf, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    source, target_server = fresh_database(server_of(source_major), SAMPLE), server_of(target_major)
    archive = dump(source, tmp_path, format=format)
    with open_database(source) as database, database.frozen() as view:
        facts, counts = database.facts(), view.row_counts()
    name = f"{facts.name}_back"
    programs = find_programs(target_server.address(), target_major, at_least=read_archive_reader(archive, format=format))
    staging = create_staging(target_server.address(), name, facts=facts, snapshot_id=ID)
    try:
        restore_archive(target_server.address(), staging, programs, archive, format=format, jobs=2)
        analyze(target_server.address(), staging)
        assert row_counts(target_server.address(), staging) == counts
        rename_into_place(target_server.address(), staging, name)
        assert fingerprint(target_server.address(name)) == fingerprint(source)
    finally:
        execute(target_server.address(), f'DROP DATABASE IF EXISTS "{staging}"')
        execute(target_server.address(), f'DROP DATABASE IF EXISTS "{name}"')


def programs_of(major: int) -> Programs:
    return next(each for each in installed_programs() if each.major == major)


@pytest.mark.parametrize("format", ["custom", "directory"])
def test_programs_newer_than_the_server_restore_into_it(
    format: DumpFormat, server_of: ServerOf, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    old, programs = server_of(15), find_programs(server_of(18).address(), 18)
    source, target = fresh_database(old, SAMPLE), fresh_database(old)
    archive = dump(source, tmp_path, format=format, programs=programs)
    restore_archive(target, name_of(target), programs, archive, format=format)
    assert fingerprint(target) == fingerprint(source)


def test_pg_restore_older_than_the_archive_is_not_chosen(server_of: ServerOf, fresh_database: FreshDatabase, tmp_path: Path) -> None:
    archive = dump(fresh_database(server_of(18), SAMPLE), tmp_path, format="custom")
    old = server_of(15)
    assert find_programs(old.address(), 15).major == 15
    assert find_programs(old.address(), 15, at_least=read_archive_reader(archive, format="custom")).major >= 17
    with pytest.raises(ClientToolFailed, match=r"pg_restore is too old for the archive \(version 1\.16\)"):
        restore_archive(fresh_database(old), "postgres", programs_of(15), archive, format="custom")


def test_a_feature_that_the_older_server_lacks_is_named(server_of: ServerOf, fresh_database: FreshDatabase, tmp_path: Path) -> None:
    source = fresh_database(server_of(18), "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)")
    target = fresh_database(server_of(15))
    archive = dump(source, tmp_path, format="custom")
    with pytest.raises(RestoreFailed, match="does not understand the dump: syntax error"):
        restore_archive(target, name_of(target), programs_of(18), archive, format="custom")
    assert is_empty(target, name_of(target))


@pytest.mark.parametrize("format", FORMATS)
def test_in_place_restores_into_an_empty_database(
    format: DumpFormat, server: EmbeddedServer, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    source, target = fresh_database(server, SAMPLE), fresh_database(server)
    archive = dump(source, tmp_path, format=format)
    assert is_empty(target, name_of(target))
    in_place(target, name_of(target), find_programs(target, 18), archive, format=format)
    assert fingerprint(target) == fingerprint(source)
    assert not is_empty(target, name_of(target))


@pytest.mark.parametrize("format", FORMATS)
def test_a_truncated_archive_is_found_and_leaves_nothing_in_place(
    format: DumpFormat, server: EmbeddedServer, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    source, target = fresh_database(server, SAMPLE), fresh_database(server)
    archive = dump(source, tmp_path, format=format)
    victim = max(archive.glob("*.gz"), key=lambda path: path.stat().st_size) if format == "directory" else archive
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    programs = find_programs(target, server_major_of(target))
    with pytest.raises(ClientToolFailed, match="the archive cannot be read back"):
        check_archive_file(programs, archive, format=format)
    with pytest.raises((ClientToolFailed, RestoreFailed), match=r"damaged|truncated"):
        in_place(target, name_of(target), programs, archive, format=format)
    assert is_empty(target, name_of(target))


def test_a_stream_that_breaks_off_is_found_while_it_is_written(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    source = fresh_database(server, SAMPLE)
    with open_database(source) as database, database.frozen() as view:
        programs = find_programs(source, database.server_major)
        with dump_to_stream(view, programs, format="custom") as stream:
            whole = b"".join(stream.chunks())
        for cut in (0, 4, 600, len(whole) // 2, len(whole) - 1):
            with pytest.raises(ClientToolFailed, match="cannot be read back"), check_archive(programs, format="custom") as check:
                check.feed(whole[:cut])
        with check_archive(programs, format="custom") as check:
            check.feed(whole)


def test_owners_that_the_target_lacks_are_named_and_can_be_left_out(
    server_of: ServerOf, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    server = server_of(18)
    source, target = fresh_database(server, SAMPLE), fresh_database(server)
    execute(source, "CREATE ROLE gone; ALTER TABLE block OWNER TO gone; GRANT SELECT ON organization TO gone")
    try:
        archives: dict[DumpFormat, Path] = {format: dump(source, tmp_path, format=format) for format in ("custom", "plain")}
    finally:
        execute(source, "REASSIGN OWNED BY gone TO postgres; DROP OWNED BY gone; DROP ROLE gone")
    programs = find_programs(target, 18)
    for format, archive in archives.items():
        with pytest.raises(RestoreFailed, match='the role "gone" does not exist on the target') as raised:
            in_place(target, name_of(target), programs, archive, format=format)
        assert "--no-owner" in raised.value.hint
    with pytest.raises(TargetRefused, match="owners cannot be left out of a plain SQL dump"):
        in_place(target, name_of(target), programs, archives["plain"], format="plain", no_owner=True)
    restore_archive(target, name_of(target), programs, archives["custom"], format="custom", no_owner=True, jobs=2)
    assert fingerprint(target) == fingerprint(source)


def test_a_user_without_rights_is_told_so_by_the_restore(server_of: ServerOf, fresh_database: FreshDatabase, tmp_path: Path) -> None:
    server = server_of(15)
    archive = dump(fresh_database(server, SAMPLE), tmp_path, format="custom")
    target = fresh_database(server, "CREATE ROLE small LOGIN PASSWORD 'small-secret'")
    try:
        with pytest.raises(PermissionMissing, match='"small" may not'):
            in_place(as_user(target, "small", "small-secret"), name_of(target), programs_of(15), archive, format="custom")
    finally:
        execute(target, "DROP ROLE small")


def name_of(address: DatabaseAddress) -> str:
    name = database_name(address)
    assert name is not None
    return name


def server_major_of(address: DatabaseAddress) -> int:
    with open_database(address) as database:
        return database.server_major
