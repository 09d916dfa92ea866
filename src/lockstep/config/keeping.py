"""The settings of how a repository's bucket keeps what is written: locks (Object Lock) and storage class. Only S3 has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lockstep.config.faults import Faults
from lockstep.model.keeping import Keeping
from lockstep.model.retention import parse_span

KEEPING_KEYS = ("lock_for", "lock_mode", "storage_class")
"""The keys of `[repository]` and `[repository2]`, and the options that win over them."""

_NOTHING = "none"
_LONGEST = timedelta(days=36_500)
"""Source: Amazon S3 user guide, "Object Lock considerations": the longest retention is 100 years."""
_CLASS = re.compile(r"[A-Z][A-Z0-9_]*")
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes of which nothing can be read for hours: a restore, and the next verification, could not begin. GLACIER_IR is none of them."""


@dataclass(frozen=True, slots=True)
class KeepingSettings:
    """What the options say of it; None is what the file, the repository's own variables, or the bucket say."""

    lock_for: str | None = None
    lock_mode: str | None = None
    storage_class: str | None = None


def keeping_of(given: KeepingSettings, own: Mapping[str, str | None], *, url: str, faults: Faults) -> Keeping:
    """How the repository at `url` keeps what is written: what the options say, else what it has of its own."""
    lock_for, mode, storage_class = (getattr(given, key) or own.get(key) for key in KEEPING_KEYS)
    period = _period(lock_for, faults=faults) if lock_for else None
    wanted = [name for name, value in (("--lock-for", period), ("--storage-class", storage_class)) if value]
    if wanted and not url.startswith("s3://"):
        hint = "Leave it out, or name a repository in a bucket: --repo s3://bucket/prefix."
        faults.add(f"{wanted[0]} is for repositories in a bucket of S3, and this one is at {url}", hint=hint)
    if mode and mode.lower() not in {"governance", "compliance"}:
        faults.add(f"--lock-mode {mode} is neither governance nor compliance", hint="Write governance or compliance.")
        mode = None
    return Keeping(
        lock_for=period or None,
        lock_mode="compliance" if mode and mode.lower() == "compliance" else "governance",
        unlocked=bool(lock_for) and not period,
        storage_class=_storage_class(storage_class, faults=faults) if storage_class else None,
    )


def _period(text: str, *, faults: Faults) -> timedelta:
    """How long; nothing for `none`."""
    if text.strip().lower() == _NOTHING:
        return timedelta()
    now = datetime.now(UTC)
    try:
        period = now - parse_span(text).before(now, UTC)
    except ValueError as error:
        faults.add(f"--lock-for: {error}", hint="Write it as 12h, 30d, 2w, 6m or 1y6m, or none.")
        return timedelta()
    if not timedelta() < period <= _LONGEST:
        faults.add(f"--lock-for {text} is no time to lock anything for", hint="Write it as 30d, or none.")
        return timedelta()
    return period


def _storage_class(text: str, *, faults: Faults) -> str:
    name = text.strip().upper()
    if name in _ARCHIVES:
        faults.add(
            f"--storage-class {name} is an archive: nothing in it can be read for hours, and a restore needs all of it at once",
            hint="Choose STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING or GLACIER_IR.",
        )
    elif _CLASS.fullmatch(name) is None:
        faults.add(f"--storage-class {text!r} is no name of a class", hint="Write it as the service does, as STANDARD_IA.")
    return name
