"""Names of databases that a restore makes: never longer than PostgreSQL allows, and recognisable afterwards.

Source: PostgreSQL manual, "Identifiers and Key Words": 63 bytes; what is longer is cut off silently by the server.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

_NAME_BYTES = 63
_SNAPSHOT_ID = r"\d{8}T\d{6}Z-[0-9a-f]{8}"
_ID_BYTES = len("20261122T124000Z-1a2b3c4d")


def staging_name(name: str, snapshot_id: str) -> str:
    """`NAME_lockstep_<id>`: the database that a restore fills before it takes the name."""
    return f"{_stem(name, _NAME_BYTES - len('_lockstep_') - _ID_BYTES)}_lockstep_{snapshot_id}"


def is_leftover(database: str, name: str) -> bool:
    """True when a database is what a restore into `name` left behind, and of no other use."""
    stem = _stem(name, _NAME_BYTES - len("_lockstep_") - _ID_BYTES)
    return re.fullmatch(f"{re.escape(stem)}_lockstep_{_SNAPSHOT_ID}", database) is not None


def replaced_name(name: str, now: datetime) -> str:
    """`NAME_before_<time>`: what a replaced database is called afterwards; `now` is aware UTC."""
    suffix = f"_before_{now:%Y%m%dT%H%M%SZ}"
    return _stem(name, _NAME_BYTES - len(suffix)) + suffix


def _stem(name: str, size_bytes: int) -> str:
    """The name, or as much of it as there is room for, and eight digits that keep two long names apart."""
    raw = name.encode()
    if len(raw) <= size_bytes:
        return name
    return raw[: size_bytes - 9].decode(errors="ignore") + "~" + hashlib.sha256(raw).hexdigest()[:8]
