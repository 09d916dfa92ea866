"""Object Lock of what a snapshot needs, for a person."""

from __future__ import annotations

from lockstep.model.results import LockedObjects
from lockstep.report.units import as_count


def locked_lines(locked: LockedObjects | None) -> list[str]:
    """A line that says until when, where anything is locked."""
    if locked is None:
        return []
    longer = f", {as_count(locked.extended)} of them for longer than before" if locked.extended else ""
    lost = f"; {as_count(locked.hidden)} lie under delete markers, {as_count(locked.gone)} are gone" if locked.hidden or locked.gone else ""
    return [f"  locked    all that it needs until {locked.until:%Y-%m-%d %H:%M} UTC at least ({locked.mode}){longer}{lost}"]
