"""Turns what a client program wrote to its error output into one sentence, and what to do.

Source: the messages of PostgreSQL 15 to 18, in English: lockstep starts the programs with LC_ALL=C. The server's part may be in
another language; then its own words are shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from lockstep.errors import (
    ClientToolFailed,
    DatabaseFailed,
    DatabaseUnreachable,
    DiskFailed,
    LockstepError,
    PermissionMissing,
    RestoreFailed,
    TableLocked,
)
from lockstep.postgres.errors import LOCKED_HINT, STANDBY_HINT, connection_error, grant_hint, without_secrets
from lockstep.postgres.processes import Child, how_it_ended


class _Known(NamedTuple):
    pattern: str
    kind: type[LockstepError]
    says: str
    hint: str


_AGAIN = "Check that the server runs and run the same command again."
_WITHOUT_OWNERS = "Create the role on the target, or restore with --no-owner."

_BOTH = (
    _Known(r"server closed the connection|terminating connection|connection to server was lost|SSL connection has been closed|"
           r"could not receive data from server|could not send data to server|no connection to the server",
           DatabaseUnreachable, "the server ended the connection", _AGAIN),
    _Known(r"(?:ERROR|FATAL|PANIC):.*No space left on device", DatabaseFailed, "the disk of the database server is full",
           "Make room there and run the same command again."),
    _Known(r"out of shared memory", DatabaseFailed, "the server has no room for so many locks",
           "Raise max_locks_per_transaction and restart the server."),
    _Known(r"No space left on device|Disk quota exceeded|File too large", DiskFailed, "the disk is full", "Make room there."),
    _Known(r"Read-only file system", DiskFailed, "the disk is read-only", "Choose another place."),
    _Known(r"too many clients|too many connections|remaining connection slots", DatabaseUnreachable, "the server has no free connection",
           "Ask for fewer --jobs, or raise max_connections."),
)  # fmt: skip
_DUMP = (
    _Known(r"permission denied for (\w+(?: \w+)?) \"?([^\"\n]+)\"?", PermissionMissing,
           'the user "{user}" may not read {1} "{2}"', "{grant}"),
    _Known(r"affected by row-level security policy for table \"([^\"]+)\"", PermissionMissing,
           'a row-level policy hides rows of table "{1}" from the user "{user}"', "Use a role with BYPASSRLS, or the owner of the table."),
    _Known(r"due to (?:lock|statement) timeout|could not obtain lock", TableLocked, "a table stayed locked", LOCKED_HINT),
    _Known(r"invalid snapshot identifier|could not import the requested snapshot|snapshot \"[^\"]+\" does not exist", DatabaseFailed,
           "the frozen moment is not known to the server",
           "Connect to the server itself: a connection pooler or a balancer in front of it sends sessions to different places."),
    _Known(r"aborting because of server version mismatch", ClientToolFailed, "pg_dump is older than the server",
           "Install client programs of the server's version."),
    _Known(r"does not support compression|unrecognized compression|invalid compression", ClientToolFailed,
           "pg_dump does not know that compression", "Choose gzip."),
    _Known(r"missing chunk number|invalid page in block|could not read block|compressed .*data is corrupt", DatabaseFailed,
           "the server cannot read some of its data ({line})", "Save what can be saved: the database's files are damaged."),
    _Known(r"conflict with recovery", DatabaseFailed, "the standby cancelled the dump",
           STANDBY_HINT),
)  # fmt: skip
_RESTORE = (
    _Known(r"role \"([^\"]+)\" does not exist", RestoreFailed, 'the role "{1}" does not exist on the target', _WITHOUT_OWNERS),
    _Known(r"must be (?:able to SET ROLE|member of role|owner of) \"?([^\"\n]+)\"?", PermissionMissing,
           'the user "{user}" may not give objects to "{1}"', "Make it a member of that role, or restore with --no-owner."),
    _Known(r"extension \"([^\"]+)\" is not available|could not open extension control file \"[^\"]*/([^/\"]+)\.control\"", RestoreFailed,
           'the extension "{1}" is not installed on the target\'s server', "Install the package that has it there."),
    _Known(r"permission denied to create extension \"([^\"]+)\"", PermissionMissing, 'the user "{user}" may not create the extension "{1}"',
           "Restore as a superuser, or create the extension beforehand and restore with --in-place."),
    _Known(r"permission denied (?:for|to) ([^\n]+)", PermissionMissing, 'the user "{user}" may not do this: permission denied for {1}',
           "Restore as the owner of the database or as a superuser."),
    _Known(r"(syntax error at [^\n]*)(?:\n(?:psql:[^\n]*)?LINE \d+: ([^\n]*))?", RestoreFailed,
           "the server does not understand the dump: {1}: {2}", "Restore into a server that is not older than the one that was dumped."),
    _Known(r"unsupported version \(([\d.]+)\) in file header", ClientToolFailed, "pg_restore is too old for the archive (version {1})",
           "Install newer client programs."),
    _Known(r"unrecognized configuration parameter \"([^\"]+)\"", RestoreFailed, 'the server does not know the setting "{1}"',
           "Restore into a server that is not older than the one that was dumped."),
    _Known(r"collation \"([^\"]+)\" .*does not exist|could not create locale|invalid LC_COLLATE", RestoreFailed,
           "a collation of the dump is not on the target ({line})", "Install the locale on the target's server."),
    _Known(r"tablespace \"([^\"]+)\" does not exist", RestoreFailed, 'the tablespace "{1}" does not exist on the target',
           "Create it there, or restore with --no-owner, which uses the default one."),
    _Known(r"invalid command \\(?:un)?restrict", ClientToolFailed, "psql is too old for the dump (it does not know \\restrict)",
           "Install the newest minor version of the client programs."),
    _Known(r"unexpected end of file|could not find block|corrupt|did not find magic|could not read from input file|could not uncompress|"
           r"file is too short|input file does not appear|found unexpected block", ClientToolFailed, "the archive is damaged ({line})",
           "Verify the repository, and restore another snapshot."),
)  # fmt: skip


def dump_error(child: Child, status: int, known: Mapping[str, str]) -> LockstepError:
    """The error for a pg_dump that failed; `known` are the parameters of its connection."""
    return _killed(child.name, status) or explain_dump(child.name, child.errors(), status, known)


def restore_error(child: Child, status: int, known: Mapping[str, str]) -> LockstepError:
    """The error for a pg_restore or psql that failed."""
    return _killed(child.name, status) or explain_restore(child.name, child.errors(), status, known)


def explain_dump(name: str, text: str, status: int, known: Mapping[str, str]) -> LockstepError:
    """As `dump_error`, of the program's words alone."""
    return _explain(name, text, status, known, catalogue=(*_DUMP, *_BOTH), otherwise=DatabaseFailed)


def explain_restore(name: str, text: str, status: int, known: Mapping[str, str]) -> LockstepError:
    """As `restore_error`, of the program's words alone."""
    return _explain(name, text, status, known, catalogue=(*_BOTH, *_RESTORE), otherwise=RestoreFailed)


def _killed(name: str, status: int) -> LockstepError | None:
    if status >= 0:
        return None
    return ClientToolFailed(
        how_it_ended(name, status), hint="Look for the reason in the system's log (memory, most often) and run the command again."
    )


def _explain(
    name: str, text: str, status: int, known: Mapping[str, str], *, catalogue: tuple[_Known, ...], otherwise: type[LockstepError]
) -> LockstepError:
    """The first entry of the catalogue that fits what the program said, else its own first words."""
    text = without_secrets(text, known)
    if re.search(r"connection to server .* failed", text):
        return connection_error(text, known)
    for entry in catalogue:
        match = re.search(entry.pattern, text)
        if match:
            groups = {str(index): value for index, value in enumerate((g for g in match.groups() if g is not None), start=1)}
            words = {"user": known.get("user", ""), "line": _first_error(text), "grant": grant_hint(known.get("user"))}
            return entry.kind(f"{name} failed: {_fill(entry.says, {**words, **groups})}", hint=_fill(entry.hint, words))
    said = _first_error(text)
    return otherwise(f"{name} failed: {said}" if said else how_it_ended(name, status), hint=_AGAIN)


def _first_error(text: str) -> str:
    for line in text.splitlines():
        found = re.search(r"(?:ERROR|FATAL|error): +(?!error returned by|query failed|could not execute query)(.*)", line)
        if found:
            return re.sub(r"^(query failed: |could not execute query: )?(ERROR|FATAL): +", "", found[1]).rstrip(".")
    return next((line.strip().rstrip(".") for line in text.splitlines() if line.strip()), "")


def _fill(template: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], ""), template)
