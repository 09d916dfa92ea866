"""A dump that somebody made with pg_dump alone: in which format it is, and all that it says of the database it was made from."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from subprocess import PIPE
from typing import Literal, TypeAlias

from lockstep.errors import ClientToolFailed, DiskFailed
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DatabaseFacts, DumpFormat, LocaleProvider
from lockstep.postgres.archives import archive_to_sql, archive_version, check_archive_file, oldest_reader, read_archive_reader, reason
from lockstep.postgres.dump_text import DumpText, no_dump, read_dump_text, wall_time
from lockstep.postgres.processes import Child, plain_environment
from lockstep.postgres.programs import Programs, find_programs

_CREATED = re.compile(r"; Archive created at (\S+ \S+) ?(\S*)")
_DBNAME = re.compile(r";     dbname: (.*)")
_BEHIND_MAGIC = 257  # where a tar file says what it is
_Form: TypeAlias = DumpFormat | Literal["tar"]
_PROVIDERS: dict[str, LocaleProvider] = {"libc": "libc", "icu": "icu", "builtin": "builtin"}


@dataclass(frozen=True, slots=True)
class GivenDump:
    """A dump at `path`, as it is to be kept. `created` is None when it does not say when it was made."""

    path: Path
    format: DumpFormat
    facts: DatabaseFacts
    pg_dump_major: int
    created: datetime | None


def read_given_dump(given: Path, *, client_programs: str | None, work: Path) -> GivenDump:
    """Find out what a dump is: custom, directory, plain, plain packed with gzip, or tar.

    The latter two become plain SQL in `work`. Raises ClientToolFailed when it is none of these or not whole, or lacks a pg_restore that
    reads it; and for SQL that makes its own database, since restoring that would leave the scratch database.
    """
    try:
        form, path, head = _recognise(given, work)
    except (OSError, EOFError, zlib.error) as error:
        raise DiskFailed(f"{given} cannot be read: {error}", hint="Check the file and its permissions.") from error
    if form == "tar":
        reader = _tar_reader(path)
        programs = find_programs(DatabaseAddress(client_programs=client_programs), reader, at_least=reader)
        text, created, dbname = _read_archive(programs, path, "tar", work)
        made = work / "from-tar.sql"
        archive_to_sql(programs, path, made, format="tar")
        return GivenDump(made, "plain", _facts(text, dbname or given.stem), _major(text), created)
    if form == "plain":
        return _plain(path, head, named=given)
    needed = read_archive_reader(path, format=form) or 0
    programs = find_programs(DatabaseAddress(client_programs=client_programs), needed, at_least=needed)
    text, created, dbname = _read_archive(programs, path, form, work)
    return GivenDump(path, form, _facts(text, dbname or given.stem), _major(text), created)


def _recognise(given: Path, work: Path) -> tuple[_Form, Path, bytes]:
    if given.is_dir():
        if not (given / "toc.dat").is_file():
            raise no_dump(given, "the directory has no toc.dat")
        return "directory", given, b""
    with given.open("rb") as file:
        head = file.read(1 << 16)
    if head.startswith(b"\x1f\x8b"):
        unpacked = work / "unpacked"
        with gzip.open(given, "rb") as packed, unpacked.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        return _recognise(unpacked, work)
    if archive_version(head):
        return "custom", given, head
    return ("tar" if head[_BEHIND_MAGIC : _BEHIND_MAGIC + 5] == b"ustar" else "plain"), given, head


def _plain(path: Path, head: bytes, *, named: Path) -> GivenDump:
    if b"PostgreSQL database cluster dump" in head[:200]:
        raise no_dump(named, "it is a whole cluster's, of pg_dumpall")
    text = read_dump_text(path)
    if text.dbname is not None:
        raise ClientToolFailed(
            f"{named} makes its own database (pg_dump --create), and would not stay in a scratch database",
            hint="Dump without --create, or in the custom format.",
        )
    check_archive_file(_NO_PROGRAMS, path, format="plain")
    return GivenDump(path, "plain", _facts(text, named.name.partition(".")[0]), _major(text), text.started)


_NO_PROGRAMS = Programs(Path(), 0, "")  # plain SQL is looked at without any


def _read_archive(programs: Programs, path: Path, form: _Form, work: Path) -> tuple[DumpText, datetime | None, str | None]:
    listed = _listing(programs, path, form)
    schema = work / "schema.sql"
    archive_to_sql(programs, path, schema, format=form, options=("--schema-only", "--create"))
    text = read_dump_text(schema)
    schema.unlink()
    created, dbname = _CREATED.search(listed), _DBNAME.search(listed)
    return text, wall_time(created[1], "") if created else None, dbname[1] if dbname else text.dbname


def _listing(programs: Programs, path: Path, form: _Form) -> str:
    with Child(
        [programs.path("pg_restore"), f"--format={form}", "--list", str(path)], environment=plain_environment(), stdout=PIPE
    ) as child:
        text = child.stdout.read(1 << 16).decode(errors="replace")  # the facts come first
        while child.stdout.read(1 << 16):
            pass
        status = child.wait()
        if status:
            raise no_dump(path, reason(child, status))
    return text


def _tar_reader(path: Path) -> int:
    with suppress(tarfile.TarError, OSError, KeyError), tarfile.open(path) as archive:
        file = archive.extractfile("toc.dat")
        version = archive_version(file.read(16)) if file else None
        if version is not None:
            return oldest_reader(version)
    raise no_dump(path, "the tar file has no toc.dat of pg_dump in it")


def _major(text: DumpText) -> int:
    return text.pg_dump_major or 0


def _facts(text: DumpText, name: str) -> DatabaseFacts:
    """The database as far as the dump tells. A locale that it does not tell is a plain one that every server has."""
    encoding = text.settings.get("ENCODING") or text.encoding or "UTF8"
    plain = "C.UTF-8" if encoding == "UTF8" else "C"
    locale = text.settings.get("LOCALE", plain)
    provider = _PROVIDERS.get(text.settings.get("LOCALE_PROVIDER", "libc"), "libc")
    own = text.settings.get("ICU_LOCALE") or text.settings.get("BUILTIN_LOCALE")
    return DatabaseFacts(
        name=name,
        server_version=text.server_version or "",
        server_major=text.server_major or 0,
        encoding=encoding,
        collate=text.settings.get("LC_COLLATE", locale),
        ctype=text.settings.get("LC_CTYPE", locale),
        locale_provider=provider,
        owner=text.main_owner or "postgres",
        size_bytes=0,
        locale=None if provider == "libc" else own or locale,
        roles=tuple(sorted(text.roles)),
    )
