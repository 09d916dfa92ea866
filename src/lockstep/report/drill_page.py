"""What a drill proved, as one HTML page that needs nothing else: evidence for a person, with the JSON inside for a script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib import resources
from string import Template

from lockstep.model.drill import DrillResult, DrillStep
from lockstep.report.drill import as_document, is_extrapolated, is_restored, rto_sentence
from lockstep.report.units import as_duration

_MEANING = {
    "dump": "the files of the dump are those that the backup wrote",
    "restore": "PostgreSQL takes the dump without an error",
    "rows": "every table has as many rows as it had",
    "references": "the restored database names the objects that the snapshot names",
    "objects": "each of them is in the repository with its size",
    "checksums": "their bytes are those that were backed up",
}


def as_page(result: DrillResult) -> Iterator[str]:
    """The page in pieces. It sends no request, follows the reader's light or dark scheme, and fits a narrow screen."""
    body = "\n".join((_headline(result), _tiles(result), _steps(result), _about(result)))
    verdict = "proven" if result.ok else "not proven"
    yield _template().substitute(snapshot=escape(result.snapshot), verdict=verdict, body=body, json=_embedded(as_document(result)))


@cache
def _template() -> Template:
    return Template((resources.files("lockstep.report") / "drill_page.html").read_text(encoding="utf-8"))


def _headline(result: DrillResult) -> str:
    wrong = [step.name for step in result.steps if not step.ok]
    title = "The snapshot was restored and proven" if result.ok else f"The snapshot is not proven: {', '.join(wrong)}"
    return (
        f'<section class="verdict{" good" if result.ok else ""}"><h1>{escape(title)}</h1>'
        f'<p class="soft">Drill of the snapshot {escape(result.snapshot)} of the database {escape(result.database)}, '
        f"{_moment(result.started)}</p></section>"
    )


def _tiles(result: DrillResult) -> str:
    proven = sum(step.ok for step in result.steps)
    how = "extrapolated" if is_extrapolated(result) else "measured"
    rto = (as_duration(result.rto_seconds), how) if is_restored(result) else ("unknown", "the dump was not restored")
    tiles = [
        ("Steps proven", f"{proven} of {len(result.steps)}", ""),
        ("A restore takes about", *rto),
        ("Age when drilled", as_duration((result.started - result.created).total_seconds()), "of the snapshot"),
        ("The drill took", as_duration(result.seconds), ""),
    ]
    cells = (f"<div><dt>{name}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>" for name, value, more in tiles)
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _steps(result: DrillResult) -> str:
    longest = max((step.seconds for step in result.steps), default=0.0) or 1.0
    return f'<section><h2>Steps</h2><ol class="steps">{"".join(_step(step, longest) for step in result.steps)}</ol></section>'


def _step(step: DrillStep, longest: float) -> str:
    meaning = f"{'Proves' if step.ok else 'Would prove'} that {_MEANING.get(step.name, 'the snapshot is whole')}."
    return (
        f'<li class="{"right" if step.ok else "wrong"}"><b>{"ok" if step.ok else "NOT ok"}</b><span class="name">{escape(step.name)}</span>'
        f'<span class="detail">{escape(step.detail)}<br><span class="soft">{meaning}</span></span>'
        f'<span class="took">{as_duration(step.seconds)}</span>'
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * step.seconds / longest:.2f}" height="10"/></svg></li>'
    )


def _about(result: DrillResult) -> str:
    rows = {
        "Snapshot": f"{result.snapshot}, of {_moment(result.created)}",
        "Complete": "yes" if result.complete else "no: objects were missing when it was made",
        "Database": result.database,
        "Restored into": result.server,
        "Time of a restore": rto_sentence(result),
        "Record": result.recorded or "none: the repository cannot be written",
    }
    cells = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows.items())
    note = "The database was restored beside nothing of yours and dropped afterwards; the repository gained the record and nothing else."
    return f'<section><h2>What was drilled</h2><table>{cells}</table><p class="soft">{note}</p></section>'


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _embedded(document: Mapping[str, object]) -> str:
    """JSON that nothing inside can end early: no `<`, `>` or `&` is left in it."""
    text = json.dumps(document, default=_jsonable, ensure_ascii=False, indent=1)
    for character in "&<>\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _jsonable(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no form in JSON")
