"""What an audit found, as one HTML page that needs nothing else: for a person to read, with the JSON inside for a script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib import resources
from string import Template

from lockstep.model.audit import Affected, AuditResult, Group
from lockstep.report.audit import WORDS, as_document, kept_facts
from lockstep.report.units import as_bytes, as_count, as_counted, as_duration

BARS_SHOWN = 15
DAYS_SHOWN = 14

_Labels = tuple[tuple[str, str], ...]
_Sums = dict[_Labels, list[int]]


def as_page(result: AuditResult) -> Iterator[str]:
    """The page in pieces. It sends no request, follows the reader's light or dark scheme, and fits a narrow screen."""
    verdict = "consistent" if result.consistent else "objects are missing or damaged"
    body = "\n".join(_sections(result))
    yield _template().substitute(database=escape(result.database), verdict=escape(verdict), body=body, json=_embedded(as_document(result)))


@cache
def _template() -> Template:
    return Template((resources.files("lockstep.report") / "audit_page.html").read_text(encoding="utf-8"))


def _sections(result: AuditResult) -> Iterator[str]:
    yield _headline(result)
    yield _tiles(result)
    if not result.consistent:
        yield from _pictures(result)
        yield from (
            _keys(word, affected) for word, affected in (("Missing", result.missing), ("Mismatched", result.mismatched)) if affected.count
        )
    yield _about(result)


def _headline(result: AuditResult) -> str:
    if result.consistent:
        title = "Every object that the database references is there"
    else:
        wrong = result.missing.count + result.mismatched.count
        title = (
            f"{as_count(wrong)} of {as_counted(result.referenced, 'referenced object')} {'is' if wrong == 1 else 'are'} missing or damaged"
        )
    when = f"{result.started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return (
        f'<section class="verdict{" good" if result.consistent else ""}"><h1>{escape(title)}</h1>'
        f'<p class="soft">Audit of the database {escape(result.database)}, {when}, in {as_duration(result.seconds)}</p></section>'
    )


def _tiles(result: AuditResult) -> str:
    tiles = [
        ("Referenced", "", result.referenced, as_bytes(result.referenced_bytes)),
        ("Present", "", result.present, "with the right size"),
        ("Missing", "missing" if result.missing.count else "", result.missing.count, as_bytes(result.missing.bytes)),
        ("Of another size", "mismatched" if result.mismatched.count else "", result.mismatched.count, as_bytes(result.mismatched.bytes)),
        ("Orphans", "", result.orphans.count, f"{as_bytes(result.orphans.bytes)}, harmless" if result.orphans.count else "none"),
    ]
    cells = (
        f'<div class="{kind}"><dt>{name}</dt><dd>{as_count(count)}<small>{escape(more)}</small></dd></div>'
        for name, kind, count, more in tiles
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _pictures(result: AuditResult) -> Iterator[str]:
    sums = _together(result.missing.groups, result.mismatched.groups)
    names = list(dict.fromkeys(name for labels in sums for name, _ in labels))
    if names:
        yield _bars(f"By {names[0]}", _rolled_up(sums, names[0]))
    yield _whereabouts(result)
    if len(names) > 1:
        yield _bars(f"By {' and '.join(names)}", sums)
    for name, groups in result.breakdown.items():
        found = {tuple(group.labels.items()): [group.count, 0, group.bytes] for group in groups}
        if name == "date":
            newest = sorted(found.items(), reverse=True)[:DAYS_SHOWN]
            yield _bars("By date of the row", dict(newest), total=len(found), split=False, keep_order=True)
        else:
            yield _bars(f"By {name}", found, split=False)


def _together(missing: Iterable[Group], mismatched: Iterable[Group]) -> _Sums:
    """Missing, mismatched and bytes of each group."""
    sums: _Sums = {}
    for column, groups in enumerate((missing, mismatched)):
        for group in groups:
            row = sums.setdefault(tuple(group.labels.items()), [0, 0, 0])
            row[column] += group.count
            row[2] += group.bytes
    return sums


def _rolled_up(sums: _Sums, name: str) -> _Sums:
    rolled: _Sums = {}
    for labels, row in sums.items():
        total = rolled.setdefault(((name, dict(labels).get(name, "unknown")),), [0, 0, 0])
        total[:] = [a + b for a, b in zip(total, row, strict=True)]
    return rolled


def _bars(title: str, sums: _Sums, *, total: int | None = None, split: bool = True, keep_order: bool = False) -> str:
    ordered = list(sums.items()) if keep_order else sorted(sums.items(), key=lambda item: (-item[1][0] - item[1][1], item[0]))
    shown = ordered[:BARS_SHOWN]
    longest = max((row[0] + row[1] for _, row in shown), default=1)
    items = "".join(_bar(labels, row, longest=longest) for labels, row in shown)
    rest = (total or len(ordered)) - len(shown)
    more = f'<p class="soft">and {as_count(rest)} more</p>' if rest else ""
    legend = (
        '<p class="legend"><span><i class="fill-missing"></i>missing</span><span><i class="fill-mismatched"></i>of another size</span></p>'
        if split
        else '<p class="legend">missing or of another size</p>'
    )
    return f'<section><h2>{escape(title)}</h2>{legend}<ol class="bars">{items}</ol>{more}</section>'


def _bar(labels: _Labels, row: Sequence[int], *, longest: int) -> str:
    missing, mismatched, size = row
    *outer, (_, name) = labels
    above = f"<small>{escape(', '.join(value for _, value in outer))}</small>" if outer else ""
    first, second = 100 * missing / longest, 100 * mismatched / longest
    words = f"{missing} missing, {mismatched} of another size"
    return (
        f'<li><span class="name">{above}{escape(name)}</span>'
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f'<rect class="fill-missing" width="{first:.2f}" height="10"/>'
        f'<rect class="fill-mismatched" x="{first:.2f}" width="{second:.2f}" height="10"/></svg>'
        f'<span class="amount">{as_count(missing + mismatched)} <span class="soft">({as_bytes(size)})</span></span></li>'
    )


def _whereabouts(result: AuditResult) -> str:
    rows = [(as_count(count), f"missing, {WORDS[why]}") for why, count in result.classes.items()]
    if result.mismatched.count:
        rows.append((as_count(result.mismatched.count), WORDS["wrong_size"]))
    rows.append((as_count(result.recoverable), "of all these have their bytes elsewhere in the bucket still"))
    if result.purged.count:
        rows.append((as_count(result.purged.count), "lost their rows while the audit ran: purged, no loss"))
    if result.kept:
        rows += [(as_count(count), words) for count, words in kept_facts(result.kept)]
    return f"<section><h2>Where they are</h2>{_table(rows, kind='counts')}</section>"


def _keys(word: str, affected: Affected) -> str:
    listed = escape("\n".join(repr(key)[1:-1] for key in affected.sample))
    more = affected.count - len(affected.sample)
    tail = f'<p class="soft">and {as_count(more)} more: <code>--list-missing FILE</code> lists them all.</p>' if more else ""
    summary = as_counted(len(affected.sample), "key")
    return f"<section><h2>{word}: keys</h2><details><summary>{summary}</summary><pre>{listed}</pre>{tail}</details></section>"


def _about(result: AuditResult) -> str:
    sent = ", ".join(f"{as_count(count)} {name.upper()}" for name, count in _requests(result).items() if count) or "none"
    rows = [
        ("Database", result.database),
        *(("Bucket" if len(result.stores) == 1 else f"Store {name}", url) for name, url in result.stores.items()),
        ("Profile", result.profile),
        ("Requests", sent),
    ]
    if result.in_flight.count:
        rows.append(("In flight", f"{as_counted(result.in_flight.count, 'object')} stored while the audit ran, without a row yet"))
    note = (
        "An orphan is an object that no row references. Orphans do no harm; lockstep never deletes them. Nothing was changed by this audit."
    )
    return f'<section><h2>What was compared</h2>{_table(rows)}<p class="soft">{note}</p></section>'


def _requests(result: AuditResult) -> Mapping[str, int]:
    requests = result.requests
    return {"list": requests.list, "head": requests.head, "get": requests.get, "put": requests.put}


def _table(rows: Iterable[tuple[str, str]], *, kind: str = "facts") -> str:
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="{kind}">{lines}</table>'


def _embedded(document: Mapping[str, object]) -> str:
    """JSON that nothing inside can end early: no `<`, `>` or `&` is left in it."""
    text = json.dumps(document, default=_jsonable, ensure_ascii=False, indent=1)
    return (
        text.replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def _jsonable(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no form in JSON")
