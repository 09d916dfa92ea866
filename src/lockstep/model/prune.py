"""What a prune would do, what it did, and which segments of the inventory it gathers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lockstep.model.retention import Verdict

Fate = Literal["freed", "kept", "locked", "unknown"]
"""What becomes of the bytes of what is deleted: they are freed; the bucket keeps them as older versions; it keeps them so and nobody can
delete these before their lock ends (Object Lock); or nobody may ask."""


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """The verdict on each snapshot, oldest first, and what goes: objects that no kept snapshot references, and files of removed ones.

    `spared` are objects of stopped backups, which the next one goes on from; they go when the grace period is over.
    """

    verdicts: tuple[Verdict, ...]
    objects: int
    objects_bytes: int
    files_bytes: int
    spared: int

    @property
    def kept(self) -> tuple[str, ...]:
        """The snapshots that stay, oldest first."""
        return tuple(each.snapshot for each in self.verdicts if each.kept)

    @property
    def removed(self) -> tuple[str, ...]:
        """The snapshots that go, oldest first."""
        return tuple(each.snapshot for each in self.verdicts if not each.kept)


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What was done."""

    plan: PrunePlan
    seconds: float


@dataclass(frozen=True, slots=True)
class SegmentState:
    """A segment of the inventory before a prune: its size in bytes, how many of its rows go, and whether a kept manifest names it.

    `listed` is true when the record of what was removed names it; when nothing does, a stopped backup wrote it.
    """

    path: str
    size: int
    dropped: int
    named: bool
    listed: bool


def choose_gathered(segments: Iterable[SegmentState]) -> tuple[str, ...]:
    """The segments whose remaining rows are written anew as one, sorted by path.

    Those that lose rows, those that nothing would name any more, and what earlier prunes gathered as far as it is no larger than what is
    written anyway: so there are few, and the large ones are not written again each time.
    """
    segments = list(segments)
    chosen = [each for each in segments if each.dropped or not (each.named or each.listed)]
    size = sum(each.size for each in chosen)
    rest = [each for each in segments if each.listed and not each.named and each not in chosen] if chosen else []
    for each in sorted(rest, key=lambda each: each.size):
        if each.size > size:
            break
        chosen.append(each)
        size += each.size
    return tuple(sorted(each.path for each in chosen))
