"""The plan and the result of a restore, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from lockstep.model.results import RestorePlan, RestoreResult
from lockstep.report.faults import faults_as_lines
from lockstep.report.units import as_by_service, as_bytes, as_count, as_counted, as_duration, without_service

KEYS_SHOWN = 10


def as_document(result: RestoreResult) -> Mapping[str, object]:
    """The JSON of CLI.md; a side that was not asked for is null."""
    objects = None if result.objects is None else without_service(asdict(result.objects))
    return asdict(result) | {"objects": objects}


def as_text(result: RestoreResult) -> str:
    """A few lines: the two sides, and what did not come back."""
    lines = [f"snapshot {result.snapshot} is restored{'' if result.consistent else ', with findings'} ({as_duration(result.seconds)})"]
    if objects := result.objects:
        lines.append(
            f"  objects   {as_count(objects.uploaded)} uploaded ({as_bytes(objects.uploaded_bytes)}), "
            f"{as_count(objects.already_there)} already there, {as_duration(objects.seconds)}{as_by_service(objects.by_service)}"
        )
        if objects.different:
            lines.append(
                f"            {as_counted(objects.different, 'object')} in the bucket differ and were left alone; --overwrite replaces them"
            )
        if objects.missing:
            lines.append(f"            {as_counted(objects.missing, 'object')} cannot come back (--list-missing FILE lists them all):")
            lines += [f"              {key!r}" for key in objects.missing_sample[:KEYS_SHOWN]]
    if database := result.database:
        kept = f"; the former one is kept as {database.replaced}" if database.replaced else ""
        lines.append(f"  database  {database.name}, {as_duration(database.seconds)}{kept}")
    lines += faults_as_lines(result.faults)
    return "\n".join(lines)


def plan_as_document(plan: RestorePlan) -> Mapping[str, object]:
    """The JSON of a dry run."""
    return {"dry_run": True, **asdict(plan)}


def plan_as_text(plan: RestorePlan) -> str:
    """What a restore would do, step by step, for a person."""
    steps: list[str] = []
    if plan.objects or plan.database is None:
        steps.append(f"upload what is not there of {as_counted(plan.objects, 'object')} ({as_bytes(plan.objects_bytes)}), and prove each")
    if plan.missing:
        steps.append(f"leave out {as_counted(plan.missing, 'object')} that the snapshot does not have")
    steps += plan.database_steps
    lines = [f"restoring snapshot {plan.snapshot} of {plan.created:%Y-%m-%d %H:%M:%S} UTC would"]
    lines += [f"  {number}. {step}" for number, step in enumerate(steps, start=1)]
    if plan.database is not None:
        lines.append(f"the dump has {as_bytes(plan.dump_bytes)}; nothing was changed")
    return "\n".join(lines)
