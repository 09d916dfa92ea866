"""What the SQL text of a dump says of itself: versions, the database, and the roles that it names. Rows are skipped, not read.

Source: PostgreSQL source, src/bin/pg_dump/pg_backup_archiver.c (the first comments, "Started on", SET SESSION AUTHORIZATION) and
dumputils.c (how privileges are written); one statement of these a line.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lockstep.errors import ClientToolFailed, DiskFailed

_NAME = rb'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_VERSION = re.compile(rb"-- Dumped (from database|by pg_dump) version (\d+)([^\s]*)")
_STARTED = re.compile(rb"-- Started on (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ?(\S*)")
_ENCODING = re.compile(rb"SET client_encoding = '([^']+)';")
_DATABASE = re.compile(rb"CREATE DATABASE (" + _NAME + rb") WITH (.*);")
_SETTING = re.compile(rb"([A-Z_]+) = (?:'((?:[^']|'')*)'|(\w+))")
_OWNER_OF_DATABASE = re.compile(rb"ALTER DATABASE " + _NAME + rb" OWNER TO (" + _NAME + rb");")
_OWNER = re.compile(rb"ALTER .* OWNER TO (" + _NAME + rb");")
_ROLES = (
    re.compile(rb"(?:GRANT|ALTER DEFAULT PRIVILEGES) .* TO (" + _NAME + rb")(?: WITH GRANT OPTION)?;"),
    re.compile(rb"(?:REVOKE|ALTER DEFAULT PRIVILEGES) .* FROM (" + _NAME + rb");"),
    re.compile(rb"ALTER DEFAULT PRIVILEGES FOR ROLE (" + _NAME + rb") "),
    re.compile(rb"SET SESSION AUTHORIZATION '((?:[^']|'')+)';"),
)
_POLICY = re.compile(rb"CREATE POLICY .* TO (" + _NAME + rb"(?:, " + _NAME + rb")*)(?: USING| WITH|;)")
_SYSTEM = "pg_"  # no role of a user's may begin so


@dataclass(slots=True)
class DumpText:
    """What was found. None: the text does not say. `owners` counts how many things a role owns; `roles` are all that are named."""

    server_version: str | None = None
    server_major: int | None = None
    pg_dump_major: int | None = None
    started: datetime | None = None
    encoding: str | None = None
    dbname: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    owner: str | None = None
    owners: Counter[str] = field(default_factory=Counter)
    roles: set[str] = field(default_factory=set)

    @property
    def main_owner(self) -> str | None:
        """The role that owns the database, else the one that owns most of what is in it."""
        return self.owner or (self.owners.most_common(1)[0][0] if self.owners else None)


def read_dump_text(path: Path) -> DumpText:
    """Read the text of a dump to its end. Raises ClientToolFailed when it is not pg_dump's, DiskFailed."""
    found = DumpText()
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for line in _lines(data):
                _take(found, line)
    except OSError as error:
        raise DiskFailed(f"{path} cannot be read: {error.strerror}", hint="Check the disk and its permissions.") from error
    except ValueError as error:  # an empty file cannot be mapped
        raise no_dump(path, "it is empty") from error
    if found.server_major is None or found.pg_dump_major is None:
        raise no_dump(path, "it does not say by which pg_dump it was made")
    return found


def no_dump(path: Path, why: str) -> ClientToolFailed:
    """The error for a file that is no dump."""
    return ClientToolFailed(f"{path} is no dump of pg_dump: {why}", hint="Name what pg_dump wrote, in any of its formats.")


def wall_time(text: str, zone: str) -> datetime | None:
    """A moment as pg_dump writes it: the clock on the wall where it ran. Without a word for UTC, this machine's zone is meant."""
    with suppress(ValueError):
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - its zone follows
        return moment.replace(tzinfo=UTC) if zone in {"UTC", "GMT"} else moment.astimezone(UTC)
    return None


def _lines(data: mmap.mmap) -> Iterator[bytes]:
    """The lines of the text but the rows of COPY."""
    position = 0
    while position < len(data):
        end = data.find(b"\n", position)
        line = data[position : end if end >= 0 else len(data)]
        position += len(line) + 1
        if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;"):
            over = data.find(b"\n\\.\n", position - 1)
            position = over + 4 if over >= 0 else len(data)
        else:
            yield line


def _take(found: DumpText, line: bytes) -> None:
    if line.startswith(b"-- "):
        _take_comment(found, line)
    elif line.startswith((b"SET ", b"CREATE DATABASE ", b"ALTER DATABASE ")):
        _take_database(found, line)
    if line.startswith((b"ALTER ", b"GRANT ", b"REVOKE ", b"SET SESSION ", b"CREATE POLICY ")):
        _take_roles(found, line)


def _take_comment(found: DumpText, line: bytes) -> None:
    if version := _VERSION.match(line):
        if version[1] == b"by pg_dump":
            found.pg_dump_major = found.pg_dump_major or int(version[2])
        elif found.server_major is None:
            found.server_major, found.server_version = int(version[2]), (version[2] + version[3]).decode(errors="replace")
    elif (started := _STARTED.match(line)) and found.started is None:
        found.started = wall_time(started[1].decode(), started[2].decode(errors="replace"))


def _take_database(found: DumpText, line: bytes) -> None:
    if (encoding := _ENCODING.match(line)) and found.encoding is None:
        found.encoding = encoding[1].decode()
    elif database := _DATABASE.match(line):
        found.dbname = _unquoted(database[1])
        found.settings = {
            name.decode(): (text or word).decode(errors="replace").replace("''", "'") for name, text, word in _SETTING.findall(database[2])
        }
    elif owner := _OWNER_OF_DATABASE.match(line):
        found.owner = _unquoted(owner[1])


def _take_roles(found: DumpText, line: bytes) -> None:
    owner = _OWNER.match(line)
    if owner and not (name := _unquoted(owner[1])).startswith(_SYSTEM):
        found.owners[name] += 1
        found.roles.add(name)
    named = [each[1] for pattern in _ROLES if (each := pattern.match(line))]
    if policy := _POLICY.match(line):
        named += re.findall(_NAME, policy[1])
    found.roles |= {role for role in map(_unquoted, named) if not role.startswith(_SYSTEM)}


def _unquoted(name: bytes) -> str:
    text = name.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
