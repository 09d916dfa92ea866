"""What an export came to."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.model.database import DumpFormat


@dataclass(frozen=True, slots=True)
class ExportedDatabase:
    """The dump as it lies in the directory; `path` is relative to it, `bytes` its size."""

    format: DumpFormat
    path: str
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ExportedObjects:
    """The objects of an export.

    `already_there` are those that a killed export had left whole; `odd` of all are under their checksum, since their key cannot be a
    file name; `missing` ones the snapshot never had, or the repository has lost or holds damaged.
    """

    exported: int
    exported_bytes: int
    already_there: int
    odd: int
    missing: int
    missing_sample: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ExportResult:
    """A snapshot as plain files in a directory."""

    snapshot: str
    directory: str
    complete: bool
    database: ExportedDatabase
    objects: ExportedObjects
    seconds: float
