"""Translates what PostgreSQL says into lockstep's errors: one sentence, and what to do.

Source: PostgreSQL manual, appendix "PostgreSQL Error Codes". A refused connection carries no SQLSTATE through libpq, so there the
English text decides; a server that speaks another language falls through to its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import psycopg

from lockstep.errors import DatabaseFailed, DatabaseUnreachable, LockstepError, PermissionMissing, TableLocked
from lockstep.postgres.addresses import where


class _Refusal(NamedTuple):
    pattern: str
    says: str
    hint: str
    kind: type[LockstepError] = DatabaseUnreachable


_REFUSALS = [
    _Refusal(r"password authentication failed|no password supplied", "the password is wrong or missing",
             "Check the user and the password in the address, in PGPASSWORD or in ~/.pgpass."),
    _Refusal(r"could not translate host name|failed to resolve host|Name or service not known", "the host is unknown",
             "Check the spelling of the host and the name service of this machine."),
    _Refusal(r"Connection refused", "nothing listens there",
             "Check host and port, and that the server runs and listens on that address (listen_addresses)."),
    _Refusal(r"No such file or directory", "there is no server socket there",
             "Start the server, or name the host (or the socket directory) in the address."),
    _Refusal(r"no pg_hba\.conf entry|pg_hba\.conf rejects", "the server's pg_hba.conf does not let this user in from here",
             "Add a line for this database, user and client address to pg_hba.conf and reload the server."),
    _Refusal(r'database ".*" does not exist', "the database does not exist", "Check the name of the database in the address."),
    _Refusal(r'role ".*" does not exist', "the user does not exist", "Check the user in the address, or create the role."),
    _Refusal(r"permission denied for database", "the user may not connect to the database",
             "Run `GRANT CONNECT ON DATABASE … TO …` as its owner.", PermissionMissing),
    _Refusal(r"is not permitted to log in", "the user may not log in", "Run `ALTER ROLE … LOGIN`, or name another.", PermissionMissing),
    _Refusal(r"too many clients|too many connections|remaining connection slots", "the server has no free connection",
             "Wait, end sessions that are idle, or raise max_connections (or the limit of the role or the database)."),
    _Refusal(r"is starting up|not yet accepting connections|consistent recovery state", "the server is still starting",
             "Wait until it accepts connections and run the same command again."),
    _Refusal(r"is shutting down", "the server is shutting down", "Start it again and run the same command again."),
    _Refusal(r"is not currently accepting connections", "the database does not accept connections",
             "Run `ALTER DATABASE … ALLOW_CONNECTIONS true`."),
    _Refusal(r"certificate verify failed|root certificate|server certificate for", "the server's certificate cannot be verified",
             "Check sslrootcert and sslmode in the address, and the name in the certificate."),
    _Refusal(r"private key file|could not (?:load|read) certificate", "the client certificate or its key cannot be read",
             "Check sslcert, sslkey and sslpassword in the address."),
    _Refusal(r"does not support SSL|SSL|TLS", "there is a problem with TLS", "Check sslmode and the certificates in the address."),
    _Refusal(r"timeout expired|timed out|Connection timed out", "the server does not answer in time",
             "Check host, port and firewall, or give more time with connect_timeout."),
    _Refusal(r"No route to host|Network is unreachable", "there is no way to the host from here", "Check the network and the host."),
    _Refusal(r"definition of service .* not found|service file", "the service is not defined",
             "Check PGSERVICE, PGSERVICEFILE and pg_service.conf."),
    _Refusal(r"server closed the connection|Connection reset", "the server closed the connection",
             "Look into the server's log, and check that a PostgreSQL server listens on that port."),
]  # fmt: skip

_POOLER_HINT = "Connect to the server itself: a connection pooler or a balancer in front of it sends sessions to different places."
_RLS_HINT = "Use a role with BYPASSRLS, or the owner of the table: a filtered backup would not be one."
_READ_HINT = "Run `GRANT pg_read_all_data TO` the role as a superuser, or grant SELECT and USAGE one by one."
_AGAIN_HINT = "Check that the server runs and run the same command again."
_BUSY_HINT = "Wait until migrations and other heavy work on the database are over and run the same command again."
LOCKED_HINT = "Wait until the migration that holds it is over and run the same command again, or allow more time with --lock-timeout."
STANDBY_HINT = "Raise max_standby_streaming_delay or switch on hot_standby_feedback, or back up from the primary."
_QUERY_HINT = "Check the query against the schema of the database."

# SQLSTATE, words in the message, what it is and what to do; the first that fits.
_STATES: tuple[tuple[str, str, type[LockstepError], str], ...] = (
    ("42501", "row-level security", PermissionMissing, _RLS_HINT),
    ("42501", "", PermissionMissing, _READ_HINT),
    ("53100", "", DatabaseFailed, "Make room on the disk of the database server and run the same command again."),
    ("08|57P0[123]|$", "", DatabaseUnreachable, _AGAIN_HINT),
    ("55P03", "", TableLocked, LOCKED_HINT),
    ("40001", "conflict with recovery", DatabaseFailed, STANDBY_HINT),
    ("57014", "conflict with recovery", DatabaseFailed, STANDBY_HINT),
    ("57014|40001|40P01", "", DatabaseFailed, _BUSY_HINT),
    ("22023|42704", "snapshot", DatabaseFailed, _POOLER_HINT),
    ("42", "", DatabaseFailed, _QUERY_HINT),
)

_GENERIC_HINT = "Look at the server's log; run the same command again when the cause is gone."


def connection_error(message: str, known: Mapping[str, str]) -> LockstepError:
    """The error for a connection that was refused; `known` are its parameters (host, port, dbname, user)."""
    message = without_secrets(message, known)
    for refusal in _REFUSALS:
        if re.search(refusal.pattern, message):
            detail = ""
            if refusal.says.startswith("there is a problem"):
                detail = f" ({_first_line(message)})"
            return refusal.kind(f"cannot connect to {where(known)}: {refusal.says}{detail}", hint=refusal.hint)
    return DatabaseUnreachable(f"cannot connect to {where(known)}: {_first_line(message)}", hint=_GENERIC_HINT)


def query_error(error: psycopg.Error, *, doing: str) -> LockstepError:
    """The error for a statement that failed; `doing` says at what, as in "reading the references"."""
    state = error.sqlstate or ""
    said = _first_line(error.diag.message_primary or str(error))
    kind, hint = _by_state(state, said)
    if error.diag.message_hint and hint in {_QUERY_HINT, _GENERIC_HINT}:  # else what to do is known better here
        hint = error.diag.message_hint
    return kind(f"{doing} failed: {said}", hint=hint)


def sqlstate(error: LockstepError) -> str | None:
    """The SQLSTATE behind an error that PostgreSQL caused; None when there is none."""
    return error.__cause__.sqlstate if isinstance(error.__cause__, psycopg.Error) else None


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn every psycopg error of the block into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise query_error(error, doing=doing) from error


def grant_hint(role: str | None) -> str:
    """How to let a role read everything."""
    return f"Run `GRANT pg_read_all_data TO {role or 'the role'}` as a superuser, or grant SELECT and USAGE one by one."


def without_secrets(text: str, known: Mapping[str, str]) -> str:
    """The text without any of the secrets of a connection."""
    for name in ("password", "sslpassword", "oauth_client_secret"):
        secret = known.get(name)
        if secret and len(secret) > 3:
            text = text.replace(secret, "***")
    return text


def _by_state(state: str, said: str) -> tuple[type[LockstepError], str]:
    for pattern, words, kind, hint in _STATES:
        if re.match(pattern, state) and words in said:
            return kind, hint
    return DatabaseFailed, _GENERIC_HINT


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"^(FATAL|ERROR|connection (failed|is bad)|error):\s*", "", lines[0]).rstrip(".") if lines else "no reason given"
