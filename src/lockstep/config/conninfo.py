"""Finds the passwords in a libpq connection string, so that they can be kept out of everything that is shown.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEMES = ("postgresql://", "postgres://")
_PAIR = re.compile(r"(?P<key>\w+)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>(?:[^\s\\]|\\.)*))")
_SECRET_KEYS = ("password", "sslpassword")
_PUBLIC_KEYS = ("user", "dbname", "host", "hostaddr", "service")


def passwords_in(conninfo: str) -> frozenset[str]:
    """Every password in the connection string, both as it is written and as the server gets it. Empty where there is none."""
    if conninfo.startswith(_SCHEMES):
        authority, _, query = _split(conninfo)
        written = authority.rpartition("@")[0].partition(":")[2]
        found = {value for key, value in query if key in _SECRET_KEYS} | {written, unquote(written)}
    else:
        found = {_unescaped(match) for match in _PAIR.finditer(conninfo) if match["key"] in _SECRET_KEYS}
    return frozenset(value for value in found if value)


def public_names_in(conninfo: str) -> frozenset[str]:
    """User, database, host and service of the connection string: what may be shown although it may equal a password."""
    if conninfo.startswith(_SCHEMES):
        authority, path, query = _split(conninfo)
        user = authority.rpartition("@")[0].partition(":")[0]
        hosts = re.split(r"[,:]", authority.rpartition("@")[2])
        found = {unquote(user), unquote(path), *hosts, *(value for key, value in query if key in _PUBLIC_KEYS)}
    else:
        found = {_unescaped(match) for match in _PAIR.finditer(conninfo) if match["key"] in _PUBLIC_KEYS}
    return frozenset(value for value in found if value)


def _split(uri: str) -> tuple[str, str, list[tuple[str, str]]]:
    """Authority (user, password, hosts), database and parameters of a URI; libpq's URIs may name several hosts."""
    rest = uri.partition("://")[2]
    location, _, query = rest.partition("?")
    # A password that is not percent-encoded may hold a slash: the authority ends at the first slash behind the last @.
    at = location.rfind("@") + 1
    authority_end = location.find("/", at)
    end = len(location) if authority_end < 0 else authority_end
    return location[:end], location[end + 1 :], parse_qsl(query)


def _unescaped(match: re.Match[str]) -> str:
    value = match["quoted"] if match["quoted"] is not None else match["bare"] or ""
    return re.sub(r"\\(.)", r"\1", value)


def is_conninfo(text: str) -> bool:
    """True when the text has the form of a libpq URI or of a key=value string (or is empty)."""
    if text.startswith(_SCHEMES):
        try:
            urlsplit(text)
        except ValueError:
            return False
        return True
    return not text.strip() or ("://" not in text.partition("=")[0] and _PAIR.match(text.strip()) is not None)
