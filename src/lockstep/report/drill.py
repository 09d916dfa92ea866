"""What a drill proved, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from lockstep.model.drill import DrillResult, DrillStep
from lockstep.report.units import as_duration


def as_document(result: DrillResult) -> Mapping[str, object]:
    """The JSON of CLI.md, and behind it what else is known."""
    return {
        "ok": result.ok,
        "snapshot": result.snapshot,
        "steps": [{**asdict(step), "seconds": round(step.seconds, 3)} for step in result.steps],
        "rto_seconds": round(result.rto_seconds, 3),
        "extrapolated": is_extrapolated(result),
        "database": result.database,
        "server": result.server,
        "created": result.created,
        "complete": result.complete,
        "started": result.started,
        "seconds": round(result.seconds, 3),
        "recorded": result.recorded,
    }


def as_text(result: DrillResult) -> str:
    """The verdict, a line a step, and how long a restore would take."""
    lines = [f"snapshot {result.snapshot} is {'proven' if result.ok else 'NOT proven'} ({as_duration(result.seconds)})"]
    lines += [_line(step) for step in result.steps]
    lines.append(f"  {rto_sentence(result)}")
    return "\n".join(lines)


def rto_sentence(result: DrillResult) -> str:
    """How long a restore would take, and what that is made of."""
    if not is_restored(result):
        return "how long a restore takes is not known: the dump was not restored"
    how = "extrapolated from a sample of the objects" if is_extrapolated(result) else "measured"
    return (
        f"a restore takes about {as_duration(result.rto_seconds)} ({how}: database, and reading the objects; "
        "uploading them takes as long as the bucket takes to store them)"
    )


def is_extrapolated(result: DrillResult) -> bool:
    """True when not everything was measured."""
    return any(step.extrapolated for step in result.steps)


def is_restored(result: DrillResult) -> bool:
    """True when the dump was restored, so that it is known how long that takes."""
    return any(step.name == "restore" and step.ok for step in result.steps)


def _line(step: DrillStep) -> str:
    return f"  {'ok    ' if step.ok else 'NOT ok'}  {step.name:<10}  {as_duration(step.seconds):>10}  {step.detail}"
