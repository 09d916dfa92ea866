"""Who holds which lock of a repository, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LockKind = Literal["writer", "reader", "gate"]


@dataclass(frozen=True, slots=True)
class FoundLock:
    """A lock that lies in a repository. What its holder wrote down of itself is None where that cannot be read.

    `lives` is true when its holder is known to be at work.
    """

    kind: LockKind
    path: str
    operation: str | None
    host: str | None
    pid: int | None
    since: str | None
    lives: bool


@dataclass(frozen=True, slots=True)
class UnlockResult:
    """The locks that were there; `removed` says whether they are gone."""

    locks: tuple[FoundLock, ...]
    removed: bool
