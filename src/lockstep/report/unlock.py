"""The locks of a repository, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from lockstep.model.locks import FoundLock, UnlockResult
from lockstep.report.units import as_plain


def as_document(result: UnlockResult) -> Mapping[str, object]:
    """Each lock with who holds it, whether that one lives, and whether the lock is gone now."""
    return {"locks": [{**asdict(lock), "removed": result.removed} for lock in result.locks]}


def as_text(result: UnlockResult) -> str:
    """A line for each lock."""
    if not result.locks:
        return "nobody holds a lock of the repository"
    return "\n".join(_line(lock, removed=result.removed) for lock in result.locks)


def _line(lock: FoundLock, *, removed: bool) -> str:
    state = "at work" if lock.lives else "dead"
    who = f"{lock.operation or 'an operation'}, process {lock.pid} on {lock.host}, since {lock.since}" if lock.operation else "an operation"
    return as_plain(f"{'removed the' if removed else 'the'} {lock.kind}'s lock: {who} ({state})")
