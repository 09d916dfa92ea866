"""What a run had to overcome, as a line for a person."""

from __future__ import annotations

from collections.abc import Mapping

from lockstep.report.units import as_count, as_counted

WORDS = {
    "busy": "asked for fewer requests",
    "failed": "failed",
    "broken_off": "broken off",
    "silent": "without an answer in time",
    "unreachable": "without a connection",
    "wrong_bytes": "with wrong bytes",
    "not_found": "not found at first",
    "credentials": "with keys that had expired",
    "older_version": "for an older version, since something covers the right one",
}

NO_FAULTS: Mapping[str, int] = {}


def faults_as_lines(faults: Mapping[str, int]) -> list[str]:
    """One line when requests failed and were sent again, none when all went well."""
    if not faults:
        return []
    ordered = sorted(faults.items(), key=lambda item: (-item[1], item[0]))
    kinds = ", ".join(f"{as_count(count)} {WORDS.get(kind, kind)}" for kind, count in ordered)
    return [f"  degraded  {as_counted(sum(faults.values()), 'request')} sent again: {kinds}"]
