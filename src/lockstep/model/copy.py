"""What a copy to another repository came to."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from lockstep.model.findings import Finding
from lockstep.model.results import LockedObjects


@dataclass(frozen=True, slots=True)
class CopiedObjects:
    """The objects that a copy moved; `already_there` are those that a stopped run had left whole.

    Of the copied ones `by_service` never came by here: the S3 service copied them by itself.
    """

    copied: int = 0
    copied_bytes: int = 0
    already_there: int = 0
    seconds: float = 0.0
    by_service: int = 0

    def plus(self, other: CopiedObjects) -> CopiedObjects:
        """Both together."""
        return CopiedObjects(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class CopyResult:
    """A mirror of a repository, or of some of its snapshots.

    `copied` snapshots came to be there, `already_there` ones were; `left_out` could not be copied, or were pruned there. `findings` are
    what is wrong in the source (or differs in the mirror): nothing of that was copied.
    """

    repository: str
    source: str
    target: str
    new: bool
    copied: tuple[str, ...]
    already_there: tuple[str, ...]
    left_out: tuple[str, ...]
    files_bytes: int
    objects: CopiedObjects
    findings: tuple[Finding, ...]
    seconds: float
    locked: LockedObjects | None = None

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.findings
