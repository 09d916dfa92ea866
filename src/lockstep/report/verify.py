"""What `lockstep verify` found, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import groupby

from lockstep.model.findings import Checked, Depth, Finding
from lockstep.model.results import Requests, WorkersUsed
from lockstep.report.faults import NO_FAULTS, faults_as_lines
from lockstep.report.units import as_bytes, as_count, as_counted
from lockstep.report.verify_hints import hint_for

SNAPSHOTS_SHOWN = 3


def as_document(
    checked: Checked,
    findings: Iterable[Finding],
    *,
    ok: bool,
    not_derived: Mapping[str, str],
    requests: Requests,
    faults: Mapping[str, int],
    workers: WorkersUsed | None = None,
) -> Mapping[str, object]:
    """The JSON of CLI.md; `findings` may be a stream. `not_derived` says why the references of snapshots were not derived."""
    because = [{"snapshot": snapshot, "because": why} for snapshot, why in not_derived.items()]
    cost: dict[str, object] = {"repository_requests": asdict(requests), "faults": dict(faults)}
    cost["workers"] = None if workers is None else asdict(workers)
    return {"ok": ok, "checked": checked, "not_derived": because, **cost, "findings": (as_entry(each) for each in findings)}


def as_lines(
    checked: Checked, findings: Iterable[Finding], *, count: int, depth: Depth, faults: Mapping[str, int] = NO_FAULTS
) -> Iterator[str]:
    """A line a finding, behind those that follow each other what can be done about them, and a last line that says what it came to."""
    yield from finding_lines(findings)
    looked = [as_counted(checked.snapshots, "snapshot")]
    if depth != "quick":
        looked.append(as_counted(checked.objects, "object"))
    if depth == "data":
        looked.append(f"{as_count(checked.objects_read)} of them read")
    if checked.references_derived:
        looked.append(f"references of {as_counted(checked.references_derived, 'snapshot')} derived anew from the dump")
    if checked.signatures:
        looked.append(as_counted(checked.signatures, "signature"))
    looked.append(f"{as_bytes(checked.bytes)} held against their checksums")
    yield from faults_as_lines(faults)
    yield f"{as_counted(count, 'finding') if count else 'sound'}: {', '.join(looked)}"


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """A line a finding, and behind those that follow each other what can be done about them."""
    for hint, alike in groupby(findings, key=hint_for):
        for finding in alike:
            yield f"{finding.kind:<10}  {_name(finding)}: {finding.detail}{_touched(finding)}"
        yield f"{'':<10}  {hint}"


def as_entry(finding: Finding) -> Mapping[str, object]:
    """A finding as JSON."""
    entry: dict[str, object] = {"kind": finding.kind, "path": finding.path, "key": finding.key, "snapshots": finding.snapshots}
    if finding.store is not None:
        entry["store"] = finding.store
    return {**entry, "detail": finding.detail, "hint": hint_for(finding)}


def _name(finding: Finding) -> str:
    if finding.key is not None and not finding.path.endswith(f"/{finding.key}"):
        return f"{finding.path} ({finding.key!r})"
    return finding.path if finding.path.isprintable() else repr(finding.path)


def _touched(finding: Finding) -> str:
    if not finding.snapshots:
        return "; no snapshot needs it"
    shown = ", ".join(finding.snapshots[:SNAPSHOTS_SHOWN])
    more = len(finding.snapshots) - SNAPSHOTS_SHOWN
    return f"; touches {shown}{f' and {more} more' if more > 0 else ''}"
