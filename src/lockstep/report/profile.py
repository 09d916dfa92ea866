"""The trial of a profile, as JSON and as text for a person."""

from __future__ import annotations

from collections.abc import Mapping

from lockstep.model.profile_trial import ProfileTrial
from lockstep.report.units import as_bytes, as_count, as_counted, as_duration


def as_document(trial: ProfileTrial) -> Mapping[str, object]:
    """What the trial showed, and behind it what else is known."""
    return {
        "profile": trial.profile,
        "references": trial.references,
        "referenced_bytes": trial.referenced_bytes,
        "sampled": trial.sampled,
        "present": trial.present,
        "missing": trial.missing,
        "mismatched": trial.mismatched,
        "examples": list(trial.examples),
        "seconds": round(trial.seconds, 3),
        "detected": trial.detected,
        "without_size": trial.without_size,
        "purged": trial.purged,
        "database": trial.database,
    }


def as_text(trial: ProfileTrial) -> str:
    """A few lines: what the profile names, and how much of it is there."""
    named = f"{as_counted(trial.references, 'object')} ({as_bytes(trial.referenced_bytes)})"
    if trial.without_size:
        named += f", {as_count(trial.without_size)} of unknown size"
    about = f" ({trial.description})" if trial.description else ""
    lines = [
        f"profile {trial.profile}{about} on {trial.database} ({as_duration(trial.seconds)})",
        f"  references  {named}",
        f"  sample      {_sample(trial)}",
    ]
    if trial.detected is False:
        lines.append("  the profile's own test does not take this database for its application's: it must be named with --app")
    lines += [f"    {key!r}" for key in trial.examples]
    if trial.sampled and trial.missing == trial.sampled:
        lines.append("  nothing of the sample is there: look at the bucket and its prefix, and at how the profile builds keys")
    if not trial.references:
        lines.append("  the reference query gives no row: this database names no object, or the query asks for the wrong ones")
    return "\n".join(lines)


def _sample(trial: ProfileTrial) -> str:
    found = f"{as_count(trial.sampled)} looked for: {as_count(trial.present)} present"
    for count, words in ((trial.missing, "missing"), (trial.mismatched, "of another size"), (trial.purged, "deleted meanwhile")):
        if count:
            found += f", {as_count(count)} {words}"
    return found
