"""The plan and the result of a repair, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from lockstep.model.results import RepairPlan, RepairResult
from lockstep.report.units import as_bytes, as_counted, as_duration

KEYS_SHOWN = 10


def as_document(result: RepairResult) -> Mapping[str, object]:
    """The JSON of CLI.md, and a sample of what is still missing."""
    return asdict(result)


def as_text(result: RepairResult) -> str:
    """What was put back, and what could not be."""
    lines = [f"{as_counted(result.restored, 'object')} put back ({as_bytes(result.restored_bytes)}, {as_duration(result.seconds)})"]
    if result.still_missing:
        lines.append(f"{as_counted(result.still_missing, 'object')} could not be: the right bytes are not there")
        lines += [f"  {key!r}" for key in result.still_missing_sample[:KEYS_SHOWN]]
    return "\n".join(lines)


def plan_as_document(plan: RepairPlan) -> Mapping[str, object]:
    """The JSON of a dry run."""
    return {"dry_run": True, **asdict(plan)}


def plan_as_text(plan: RepairPlan) -> str:
    """What a repair would do, for a person."""
    lines = [
        f"{as_counted(plan.broken, 'object')} missing or wrong; a repair would",
        f"  put back  {as_counted(plan.restorable, 'object')} ({as_bytes(plan.restorable_bytes)}), and prove each",
    ]
    if plan.unrestorable:
        lines.append(f"  leave     {as_counted(plan.unrestorable, 'object')} that cannot be put back:")
        lines += [f"              {key!r}" for key in plan.sample[:KEYS_SHOWN]]
    return "\n".join(lines)
