"""The result of a backup, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from lockstep.model.results import BackupPlan, BackupResult
from lockstep.report.faults import faults_as_lines
from lockstep.report.locked import locked_lines
from lockstep.report.units import as_by_service, as_bytes, as_count, as_counted, as_duration, as_rate, without_service

GROUPS_SHOWN = 10


def as_document(result: BackupResult) -> Mapping[str, object]:
    """The JSON of CLI.md, and behind it what else is known of missing objects and of the repository's own requests."""
    return {
        "snapshot": result.snapshot,
        "complete": result.complete,
        "created": result.created,
        "parent": result.parent,
        "database": asdict(result.database),
        "objects": without_service(asdict(result.objects)),
        "requests": asdict(result.requests),
        "seconds": round(result.seconds, 3),
        "peak_rss": result.peak_rss,
        "repository_requests": asdict(result.repository_requests),
        "faults": dict(result.faults),
        "missing_sample": list(result.missing_sample),
        "missing_groups": [{**group.labels, "count": group.count} for group in result.missing_groups],
        "degraded": list(result.degraded),
        "locked": None if result.locked is None else asdict(result.locked),
        "workers": None if result.workers is None else asdict(result.workers),
    }


def as_text(result: BackupResult) -> str:
    """A few lines: the snapshot, the two sides, and what is missing."""
    database, objects = result.database, result.objects
    dump = f"{as_bytes(database.bytes)} as {database.format}"
    copied = f"{as_bytes(objects.copied_bytes)} copied{as_by_service(objects.by_service)}"
    new = f"{as_count(objects.new)} new ({copied}), {as_count(objects.reused)} already in the repository"
    lines = [
        f"snapshot {result.snapshot} is {'complete' if result.complete else 'NOT complete'} ({as_duration(result.seconds)})",
        f"  database  {database.name} of PostgreSQL {database.server_version}: {dump}, {as_duration(database.seconds)}",
        f"  objects   {as_count(objects.referenced)} referenced ({as_bytes(objects.referenced_bytes)}): {new}",
        f"  requests  {_requests(result)}",
    ]
    lines += [*locked_lines(result.locked), *faults_as_lines(result.faults)]
    if objects.recovered:
        lines.append(f"  {as_counted(objects.recovered, 'object')} had to be copied from an older version or an older key of the store")
    lines += [f"  degraded  {sentence}" for sentence in result.degraded]
    if not result.complete:
        lines += _missing(result)
    return "\n".join(lines)


def plan_as_document(plan: BackupPlan) -> Mapping[str, object]:
    """The JSON of a dry run."""
    return {"dry_run": True, **asdict(plan)}


def plan_as_text(plan: BackupPlan) -> str:
    """What a backup would do, for a person."""
    referenced = f"{as_count(plan.referenced)} referenced ({as_bytes(plan.referenced_bytes)})"
    lines = [
        "a backup now would",
        f"  dump      the database {plan.database} ({as_bytes(plan.database_bytes)} on the server)",
        f"  copy      {as_counted(plan.new, 'new object')} ({as_bytes(plan.new_bytes)}) of {referenced}",
        f"  send      about {as_counted(plan.requests, 'request')} to the stores{_to_repository(plan)}",
        f"  take      {_time(plan)}",
    ]
    if plan.room_left is not None:
        lines.append(f"  find      {as_bytes(plan.room_left)} of room left for the repository")
    return "\n".join([*lines, "nothing was written"])


def _to_repository(plan: BackupPlan) -> str:
    return f", and about {as_count(plan.repository_requests)} to the repository" if plan.repository_requests else ""


def _time(plan: BackupPlan) -> str:
    """How long, and how that is known."""
    known = [] if plan.dump_seconds is None else [f"the dump {as_duration(plan.dump_seconds)}"]
    if plan.new:
        known += [] if plan.copy_seconds is None else [f"copying {as_duration(plan.copy_seconds)}"]
    if plan.rate is not None:
        rate = f"{as_count(round(plan.rate.objects_per_second))} objects/s, {as_rate(plan.rate.bytes_per_second)}"
        known.append(f"at the rate so far, {rate}")
    if plan.seconds is None:
        return f"an unknown time: no former run tells how fast objects are copied{_in_brackets(known)}"
    return f"about {as_duration(plan.seconds)}{_in_brackets(known)}"


def _in_brackets(parts: list[str]) -> str:
    return f" ({'; '.join(parts)})" if parts else ""


def _requests(result: BackupResult) -> str:
    sent = {name: count for name, count in asdict(result.requests).items() if count}
    return ", ".join(f"{as_count(count)} {name if name == 'retried' else name.upper()}" for name, count in sent.items()) or "none"


def _missing(result: BackupResult) -> list[str]:
    objects = result.objects
    lines = [f"  {as_counted(objects.missing, 'referenced object')} missing, {as_count(objects.mismatched)} not as the metadata says:"]
    for group in result.missing_groups[:GROUPS_SHOWN]:
        labels = ", ".join(f"{name} {value}" for name, value in group.labels.items())
        lines.append(f"    {labels}: {as_counted(group.count, 'object')}")
    if len(result.missing_groups) > GROUPS_SHOWN:
        lines.append(f"    and {as_counted(len(result.missing_groups) - GROUPS_SHOWN, 'more group')}")
    if not result.missing_groups:
        lines += [f"    {key!r}" for key in result.missing_sample[:GROUPS_SHOWN]]
    return [*lines, f"  'lockstep show {result.snapshot} --missing' lists them all"]
