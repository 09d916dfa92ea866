"""What a prune does and why, as JSON and as a table for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lockstep.model.prune import Fate, PrunePlan, PruneResult
from lockstep.model.retention import Verdict
from lockstep.report.units import as_bytes, as_counted, as_duration, as_plain

_FATES: Mapping[Fate, str] = {
    "kept": "nothing is freed yet: the bucket keeps the bytes as older versions, until a lifecycle rule of it expires them",
    "locked": "nothing is freed yet: the bucket keeps the bytes as older versions, which nobody can delete while they are locked "
    "(Object Lock); after that a lifecycle rule of it may expire them",
    "unknown": "whether the bytes are freed is not known: nobody here may ask if the bucket keeps older versions",
}


def plan_as_document(plan: PrunePlan, *, fate: Fate) -> Mapping[str, object]:
    """The plan of a dry run as JSON; the same keys as those of the result but for the time."""
    deleted = plan.objects_bytes + plan.files_bytes
    return {
        "kept": plan.kept,
        "removed": plan.removed,
        "objects_removed": plan.objects,
        "bytes_freed": 0 if fate in {"kept", "locked"} else deleted,
        "bytes_deleted": deleted,
        "bytes_are": fate,
        "objects_bytes": plan.objects_bytes,
        "objects_spared": plan.spared,
        "snapshots": [
            {
                "snapshot": each.snapshot,
                "created": each.created,
                "complete": each.complete,
                "tag": each.tag,
                "kept": each.kept,
                "reasons": each.reasons,
            }
            for each in plan.verdicts
        ],
    }


def as_document(result: PruneResult, *, fate: Fate) -> Mapping[str, object]:
    """The result as JSON."""
    return {**plan_as_document(result.plan, fate=fate), "seconds": result.seconds}


def plan_as_text(plan: PrunePlan, *, fate: Fate) -> str:
    """What would be done: a line for each snapshot with the reasons, then what goes."""
    return "\n".join([*_table(plan), f"would remove {_amounts(plan)}", *_remarks(plan, fate)])


def as_text(result: PruneResult, *, fate: Fate) -> str:
    """What was done."""
    plan = result.plan
    done = f"removed {_amounts(plan)} ({as_duration(result.seconds)})"
    return "\n".join([*_table(plan), done, *_remarks(plan, fate)])


def _amounts(plan: PrunePlan) -> str:
    freed = as_bytes(plan.objects_bytes + plan.files_bytes)
    return f"{as_counted(len(plan.removed), 'snapshot')} and {as_counted(plan.objects, 'object')}, {freed} in all; {len(plan.kept):,} kept"


def _remarks(plan: PrunePlan, fate: Fate) -> Iterator[str]:
    if plan.spared:
        yield f"{as_counted(plan.spared, 'object')} of a stopped backup are kept for the next one, until the grace period is over"
    if fate != "freed" and (plan.removed or plan.objects):
        yield _FATES[fate]


def _table(plan: PrunePlan) -> Iterator[str]:
    if not plan.verdicts:
        yield "no snapshot yet"
        return
    rows = [("snapshot", "created", "complete", "verdict", "why"), *(_cells(each) for each in plan.verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]).rstrip()


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.snapshot,
        f"{verdict.created.astimezone():%Y-%m-%d %H:%M}",
        "yes" if verdict.complete else "NO",
        "keep" if verdict.kept else "remove",
        as_plain("; ".join(verdict.reasons)),
    )
