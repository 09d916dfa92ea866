"""What a verification finds in a repository, and when a file counts as wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FindingKind = Literal["missing", "damaged", "truncated", "unreadable", "tampered"]
"""Not there; of other bytes; shorter than it was; there, but the disk or the store does not give it; right by its own checksum, or well
formed, and still not what the rest of the repository says."""

OLDER_IS_RIGHT = "an older version of it is right"
"""How the detail of a finding ends where the bucket still has what was recorded."""

Depth = Literal["quick", "sizes", "data"]
"""How deep a verification looks: at all files but objects; also at the presence and size of objects; also at their bytes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one file; `detail` is a clause without the file's name."""

    kind: FindingKind
    detail: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and which snapshots it touches (sorted; none when no snapshot needs the file).

    `path` is that of the file from the repository's root; `store` and `key` name the object when it is one.
    """

    kind: FindingKind
    path: str
    key: str | None
    snapshots: tuple[str, ...]
    detail: str
    store: str | None = None

    @property
    def covered(self) -> bool:
        """True when the bucket still has what was recorded, in an older version."""
        return self.detail.endswith(OLDER_IS_RIGHT)


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was looked at.

    `objects` were held against their size, `objects_read` of them were read; `bytes` is what was read and right, of all files. Of
    `references_derived` snapshots the references were derived anew from the dump, and were the same; `signatures` are of manifests,
    and right.
    """

    snapshots: int
    objects: int
    objects_read: int
    bytes: int
    references_derived: int = 0
    signatures: int = 0


def decide_fault(*, size: int, sha256: str | None, expected_size: int, expected_sha256: str) -> Fault | None:
    """None when a file is what was recorded. `sha256` is None when only its size was looked at."""
    if size < expected_size:
        return Fault("truncated", f"has {size} of {expected_size} bytes")
    if size > expected_size:
        return Fault("damaged", f"has {size} bytes in place of {expected_size}")
    if sha256 is not None and sha256 != expected_sha256:
        return Fault("damaged", "its bytes are not those that were recorded")
    return None
