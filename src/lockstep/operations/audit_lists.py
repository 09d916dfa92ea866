"""The lists of an audit as files: what is missing or of another size, and the orphans, as JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from lockstep.errors import ConfigurationError, DiskFailed
from lockstep.model.audit import AuditFinding, OrphanObject


def check_places(*paths: Path | None) -> None:
    """Raise ConfigurationError, before the work, for a file that could not be written after it."""
    for path in paths:
        if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK)):
            raise ConfigurationError(f"'{path}' cannot be written", hint="Name a file in a directory that exists and is yours to write to.")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a row a line. The file appears whole, or not at all when DiskFailed is raised."""
    write_whole(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Write text in pieces. The file appears whole, or not at all when DiskFailed is raised."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(pieces)
        beside.replace(path)
    except OSError as error:
        raise DiskFailed(f"'{path}' cannot be written: {error.strerror}", hint="Make room, or name another place.") from error
    finally:
        beside.unlink(missing_ok=True)


def finding_as_row(finding: AuditFinding) -> dict[str, Any]:
    """What the list says of a finding; fields that say nothing are left out."""
    row: dict[str, Any] = {"store": finding.store, "key": finding.key, "size": finding.size, "why": finding.why}
    more = {
        "found_size": finding.found_size,
        "found_key": finding.found_key,
        "found_version": finding.found_version,
        "since": finding.since,
        "copied": finding.copied,
    }
    row |= {name: value for name, value in more.items() if value is not None and value != -1}
    return row | {name: value for name, value in finding.known.items() if name not in row}


def orphan_as_row(orphan: OrphanObject) -> dict[str, Any]:
    """What the list says of an orphan."""
    modified = None if orphan.modified is None else orphan.modified.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    return {"store": orphan.store, "key": orphan.key, "size": orphan.size, "modified": modified}
