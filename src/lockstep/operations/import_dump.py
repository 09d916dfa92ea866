"""The database's side of an import: the dump restored into a scratch PostgreSQL, which then answers as the deployment's own would."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lockstep.errors import DiskFailed, RestoreFailed
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DatabaseFacts
from lockstep.model.snapshots import SnapshotId
from lockstep.operations.drill_server import drill_server
from lockstep.operations.dumping import FILE_NAMES
from lockstep.postgres.addresses import with_database
from lockstep.postgres.archives import read_archive_reader
from lockstep.postgres.connection import Database, open_database
from lockstep.postgres.given_dump import GivenDump
from lockstep.postgres.programs import find_programs
from lockstep.postgres.restore import Tick, restore_archive
from lockstep.postgres.scratch import create_roles, fit_server, scratch_database
from lockstep.progress import Listener, Note, StageEnded, StageStarted
from lockstep.repository.draft import Draft
from lockstep.repository.local_copies import CHUNK

STAGE = "database"


@dataclass(frozen=True, slots=True)
class Restored:
    """The scratch database, and the facts of the one that was dumped as far as they can be known."""

    database: Database
    facts: DatabaseFacts


@contextmanager
def restored_dump(
    dump: GivenDump, scratch: DatabaseAddress | None, name: SnapshotId, *, client_programs: str | None, listener: Listener, tick: Tick
) -> Iterator[Restored]:
    """The dump in a scratch database for the length of the block; afterwards nothing is left on any server.

    Raises RestoreFailed when it does not restore without an error, ClientToolFailed when there is no server that can take it.
    """
    with drill_server(dump.facts.name, dump.facts.server_major, scratch, client_programs=client_programs) as server:
        fit = fit_server(server.address, server.name, dump.facts)
        for note in fit.notes:
            listener(Note(note))
        if fit.lacks:
            raise RestoreFailed("; ".join(each.message for each in fit.lacks), hint=fit.lacks[0].hint)
        owners = server.ours or (fit.superuser and not fit.roles)
        if server.ours:
            create_roles(server.address, fit.roles)
        needed = read_archive_reader(dump.path, format=dump.format) or dump.pg_dump_major
        programs = find_programs(server.address, fit.server_major, at_least=needed)
        with scratch_database(server.address, server.name, fit=fit, snapshot_id=name, keep_owner=owners) as made:
            listener(StageStarted(STAGE, total=_size(dump.path)))
            no_owner = not owners and dump.format != "plain"  # what plain SQL says of owners cannot be left out
            restore_archive(server.address, made, programs, dump.path, format=dump.format, no_owner=no_owner, tick=tick)
            listener(StageEnded(STAGE))
            with open_database(with_database(server.address, made)) as database:
                yield Restored(database, _known(dump.facts, database.facts(), owners=owners))


def file_sums(dump: GivenDump) -> dict[str, str]:
    """The SHA-256 of each file of a dump, by its name in a directory ("" for the only file)."""
    files = sorted(path for path in dump.path.iterdir() if path.is_file()) if dump.format == "directory" else [dump.path]
    return {path.name if dump.format == "directory" else "": _sha256(path) for path in files}


def save_given(draft: Draft, dump: GivenDump, sums: dict[str, str], *, tick: Tick) -> int:
    """Store a dump in a draft; returns its size. Raises DiskFailed when its bytes are not any more those of `sums`, which were proven."""
    size = 0
    for name, expected in sums.items():
        source = dump.path / name if name else dump.path
        kept = f"{FILE_NAMES[dump.format]}/{name}" if name else FILE_NAMES[dump.format]
        hashing = hashlib.sha256()

        def chunks(source: Path = source, hashing: hashlib._Hash = hashing) -> Iterator[bytes]:
            for chunk in _chunks(source):
                tick()
                hashing.update(chunk)
                yield chunk

        size += draft.save_stream(kept, chunks()).size
        if hashing.hexdigest() != expected:
            raise DiskFailed(f"{source} changed while it was imported", hint="Find out what writes to it, and import it again.")
    return size


def _known(said: DatabaseFacts, found: DatabaseFacts, *, owners: bool) -> DatabaseFacts:
    """What the dump says goes before what the scratch database is like; roles are known only where owners were restored."""
    return replace(
        found,
        name=said.name,
        server_version=said.server_version,
        server_major=said.server_major,
        encoding=said.encoding,
        collate=said.collate,
        ctype=said.ctype,
        locale_provider=said.locale_provider,
        locale=said.locale,
        collation_version=None,  # the scratch server's says nothing of the one that was dumped
        owner=said.owner,
        roles=found.roles if owners else said.roles,
        owners=found.owners if owners else said.owners,
        in_recovery=False,
    )


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.iterdir()) if path.is_dir() else path.stat().st_size


def _sha256(path: Path) -> str:
    hashing = hashlib.sha256()
    for chunk in _chunks(path):
        hashing.update(chunk)
    return hashing.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise DiskFailed(f"{path} cannot be read: {error.strerror}", hint="Check the disk and its permissions.") from error
