"""The result of an export, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from lockstep.model.export import ExportResult
from lockstep.report.units import as_bytes, as_count, as_counted, as_duration

KEYS_SHOWN = 10


def as_document(result: ExportResult) -> Mapping[str, object]:
    """The result as JSON."""
    return asdict(result)


def as_text(result: ExportResult) -> str:
    """A few lines: where everything lies, and what does not."""
    database, objects = result.database, result.objects
    there = f", {as_count(objects.already_there)} were there already" if objects.already_there else ""
    findings = "" if result.complete else ", with findings"
    lines = [
        f"snapshot {result.snapshot} is in {result.directory}{findings} ({as_duration(result.seconds)})",
        f"  database  {database.path} ({as_bytes(database.bytes)}, {database.format})",
        f"  objects   objects: {as_counted(objects.exported, 'object')} ({as_bytes(objects.exported_bytes)}){there}",
    ]
    if objects.odd:
        what = "keys that cannot be file names"
        lines.append(f"            odd: {as_count(objects.odd)} of them, with {what}; odd.jsonl lists them")
    if objects.missing:
        lines.append(f"            {as_counted(objects.missing, 'object')} could not be exported; missing.jsonl lists them:")
        lines += [f"              {key!r}" for key in objects.missing_sample[:KEYS_SHOWN]]
    return "\n".join(lines)
