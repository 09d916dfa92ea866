"""What is dumped comes back, between all versions; what cannot be is refused with a sentence, and leaves nothing behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockstep.errors import ClientToolFailed, LockstepError, RestoreFailed, TargetRefused
from lockstep.model.database import DumpFormat
from lockstep.postgres.addresses import database_name
from lockstep.postgres.archives import check_archive, check_archive_file, read_archive_reader
from lockstep.postgres.connection import open_database
from lockstep.postgres.dump import dump_to_stream
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.programs import find_programs, installed_programs
from lockstep.postgres.restore import analyze, in_place, restore_archive, row_counts
from lockstep.postgres.staging import create_staging, rename_into_place
from lockstep.postgres.target import is_empty, plan_target

from support.postgres_samples import MAJORS, SAMPLE, FreshDatabase, ServerOf, dump, execute, fingerprint

FORMATS: tuple[DumpFormat, ...] = ("custom", "directory", "plain")
ID = "20261122T124000Z-1a2b3c4d"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("target_major", MAJORS)
@pytest.mark.parametrize("source_major", MAJORS)
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
