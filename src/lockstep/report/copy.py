"""The result of a copy, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from lockstep.model.copy import CopyResult
from lockstep.report.locked import locked_lines
from lockstep.report.units import as_by_service, as_bytes, as_count, as_counted, as_duration, without_service
from lockstep.report.verify import as_entry, finding_lines


def as_document(result: CopyResult) -> Mapping[str, object]:
    """The result as JSON; findings are as those of a verification."""
    return {
        "ok": result.ok,
        "repository": result.repository,
        "source": result.source,
        "target": result.target,
        "new": result.new,
        "snapshots": {"copied": result.copied, "already_there": result.already_there, "left_out": result.left_out},
        "objects": without_service(asdict(result.objects)),
        "files_bytes": result.files_bytes,
        "findings": [as_entry(each) for each in result.findings],
        "seconds": result.seconds,
        "locked": result.locked,
    }


def as_text(result: CopyResult) -> str:
    """A few lines: what is in the mirror now, what travelled, and what is wrong in the source."""
    objects = result.objects
    was = f", {as_count(len(result.already_there))} were there"
    left_out = f", {as_count(len(result.left_out))} left out" if result.left_out else ""
    there = f", {as_count(objects.already_there)} were there already" if objects.already_there else ""
    lines = [
        f"{as_counted(len(result.copied), 'snapshot')} copied to {result.target}{was}{left_out} ({as_duration(result.seconds)})",
        f"  objects   {as_counted(objects.copied, 'object')} ({as_bytes(objects.copied_bytes)}){there}{as_by_service(objects.by_service)}",
        f"  files     {as_bytes(result.files_bytes)}",
        *locked_lines(result.locked),
        *finding_lines(result.findings),
    ]
    return "\n".join(lines)
