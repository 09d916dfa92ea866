"""The result of an import, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping

from lockstep.model.results import ImportResult
from lockstep.report import backup as report
from lockstep.report.units import as_counted


def as_document(result: ImportResult) -> Mapping[str, object]:
    """The JSON of a backup, and what only an import can say."""
    return {**report.as_document(result.backup), "unreferenced": result.unreferenced, "late": result.late}


def as_text(result: ImportResult) -> str:
    """The lines of a backup, and the verdict on the pair."""
    backup = result.backup
    lines = [report.as_text(backup), f"  dump of   {backup.created:%Y-%m-%d %H:%M:%S} UTC"]
    if backup.complete:
        lines.append("  verdict   the dump and the objects are whole together: everything that the metadata references is there")
    else:
        lines.append("  verdict   the dump and the objects are NOT whole together: restored as they are, what is listed above is lost")
    if result.unreferenced:
        lines.append(f"            {as_counted(result.unreferenced, 'file')} that nothing references were left out")
    if result.late:
        lines.append("  note      the repository has a newer snapshot, which remains the latest")
    return "\n".join(lines)
