"""Reads libpq connection strings: which server, database and user they mean, and how to show them without their secrets.

Source: PostgreSQL manual, "Connection Strings" and "Parameter Key Words" in the chapter on libpq.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lockstep.errors import ConfigurationError
from lockstep.model.addresses import DatabaseAddress

_URI = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)
_SECRET = re.compile(r"password|secret|token|scram_.*_key", re.IGNORECASE)
_SHOWN_FIRST = ("service", "host", "port", "dbname", "user")
_HINT = "Write it as postgresql://user@host:5432/database or as host=… dbname=… user=…"


def parameters(address: DatabaseAddress) -> dict[str, str]:
    """The parameters that the connection string itself gives, secrets among them. Raises ConfigurationError, without quoting it."""
    text = address.conninfo.strip()
    _refuse_bare_at_sign(text)
    try:
        return {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except (ProgrammingError, UnicodeError) as error:
        raise ConfigurationError(f"the database address is not a connection string: {_fault(str(error))}", hint=_HINT) from None


def effective_parameters(address: DatabaseAddress) -> dict[str, str]:
    """As `parameters`, completed by the `PG*` variables and the defaults of libpq; a service file is not read here."""
    given = parameters(address)
    for option in pq.Conninfo.get_defaults():
        if option.val is not None:
            given.setdefault(option.keyword.decode(), option.val.decode(errors="replace"))
    return given


def database_name(address: DatabaseAddress) -> str | None:
    """The database that the address means: its own, else `PGDATABASE`, else that of the user's name, as libpq has it.

    None when a service file decides.
    """
    known = effective_parameters(address)
    if "dbname" in known:
        return known["dbname"]
    return None if "service" in known else known.get("user")


def with_database(address: DatabaseAddress, dbname: str) -> DatabaseAddress:
    """The same server, user and settings, another database."""
    return replace(address, conninfo=make_conninfo("", **{**parameters(address), "dbname": dbname}))


def shown(address: DatabaseAddress) -> str:
    """The address as a person may see it: every secret is `***`, whichever way it was written."""
    try:
        given = parameters(address)
    except ConfigurationError:
        return "(unreadable database address)"
    if _URI.match(address.conninfo.strip()):
        return _as_uri(given)
    if not given:
        known = effective_parameters(address)
        given = {name: known[name] for name in _SHOWN_FIRST if name in known}
    order = sorted(given, key=lambda name: (_SHOWN_FIRST.index(name) if name in _SHOWN_FIRST else len(_SHOWN_FIRST), name))
    return make_conninfo("", **{name: _hide(given)[name] for name in order})


def where(known: Mapping[str, str]) -> str:
    """A clause that names server, database and user: `db.example:5432, database "parsec", user "backup"`."""
    host, port = known.get("host") or known.get("hostaddr") or "the local socket", known.get("port") or "5432"
    places = ", ".join(f"{one}:{number}" for one, number in _pairs(host, port))
    details = [f'{word} "{known[name]}"' for name, word in (("dbname", "database"), ("user", "user")) if known.get(name)]
    return ", ".join([places, *details])


def _refuse_bare_at_sign(text: str) -> None:
    # libpq ends the password at the first "@"; the rest of it would be taken for the host's name and end up in error messages.
    match = _URI.match(text)
    if match is None:
        return
    authority, _, rest = text[match.end() :].partition("/")
    if authority.count("@") > 1 or "@" in rest.partition("?")[0]:
        raise ConfigurationError(
            "the database address has a bare @ or / in its user or password",
            hint="Write @ as %40, / as %2F and % as %25 inside the user and the password.",
        )


def _fault(message: str) -> str:
    """What is wrong, from libpq's message, which may quote a piece of a password and is therefore never passed on."""
    keyword = re.search(r'(?:invalid connection option|invalid URI query parameter:?) "([^"]*)"', message)
    if keyword:
        known = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
        close = difflib.get_close_matches(keyword[1], known, n=1, cutoff=0.75)
        return (
            f'unknown parameter (did you mean "{close[0]}"?)' if close else "unknown parameter, or a value with spaces that is not quoted"
        )
    for words, fault in (
        ('missing "="', "a parameter without =, or a value with spaces that is not quoted"),
        ("unterminated", "a quote that does not end"),
        ("percent", "a % that does not begin a percent-encoded character"),
        ("IPv6", "an IPv6 address that is not well-formed"),
        ("port", "a port that is not a number"),
    ):
        if words in message:
            return fault
    return "libpq cannot read it"


def _hide(given: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if _SECRET.search(name) else value for name, value in given.items()}


def _as_uri(given: Mapping[str, str]) -> str:
    rest = _hide(given)
    user, password = rest.pop("user", None), rest.pop("password", None)
    host, port, dbname = rest.pop("host", ""), rest.pop("port", ""), rest.pop("dbname", None)
    who = (quote(user or "", safe="") + (":***" if password else "") + "@") if user or password else ""
    places = ",".join(f"[{one}]" if ":" in one else quote(one, safe="") for one in host.split(","))
    if port:
        places = ",".join(f"{place}:{number}" if number else place for place, number in _pairs(places, port))
    query = "&".join(f"{name}={quote(value, safe='*/,.:-_')}" for name, value in rest.items())
    return f"postgresql://{who}{places}" + (f"/{quote(dbname, safe='')}" if dbname else "") + (f"?{query}" if query else "")


def _pairs(hosts: str, ports: str) -> list[tuple[str, str]]:
    places, numbers = hosts.split(","), ports.split(",")
    if len(numbers) != len(places):
        numbers = [numbers[0]] * len(places)
    return list(zip(places, numbers, strict=True))
