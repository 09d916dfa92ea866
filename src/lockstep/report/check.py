"""What `lockstep check` found, as JSON and as text for a person: a line a check, its hint below it."""

from __future__ import annotations

from collections.abc import Mapping

from lockstep.model.checkup import Answer, Check, Checkup, Verdict
from lockstep.report.units import as_bytes, as_counted

_WORDS: Mapping[Verdict, str] = {"ok": "ok", "warning": "warning", "failed": "FAILED", "untried": "-"}
_COLOURS: Mapping[Verdict, int] = {"ok": 32, "warning": 33, "failed": 31, "untried": 31}
_WIDTH = max(len(word) for word in _WORDS.values())


def as_document(checkup: Checkup) -> Mapping[str, object]:
    """The JSON of CLI.md. `ok` of a check is false only when it failed; `level` says how much what was noticed matters."""
    return {"ok": checkup.ok, "checks": [_as_entry(check) for check in checkup.checks]}


def as_text(checkup: Checkup, *, colour: bool = False) -> str:
    """A line a check with its hint, and a last line that counts."""
    width = max((len(check.name) for check in checkup.checks), default=0)
    lines = [line for check in checkup.checks for line in _as_lines(check, width=width, colour=colour)]
    return "\n".join([*lines, _summary(checkup)])


def _as_entry(check: Check) -> Mapping[str, object]:
    answer = check.answer
    entry: dict[str, object] = {
        "name": check.name,
        "ok": answer.verdict in {"ok", "warning"},
        "detail": _detail(answer),
        "hint": answer.hint,
    }
    if answer.verdict != "ok":
        entry["level"] = "warning" if answer.verdict == "warning" else "error"
    if answer.sizes:
        entry["bytes"] = dict(answer.sizes)
    return entry


def _as_lines(check: Check, *, width: int, colour: bool) -> list[str]:
    answer = check.answer
    word = _WORDS[answer.verdict].ljust(_WIDTH)
    if colour:
        word = f"\x1b[{_COLOURS[answer.verdict]}m{word}\x1b[0m"
    lines = [f"{word}  {check.name.ljust(width)}  {_detail(answer)}"]
    if answer.hint and answer.verdict != "untried":  # its line says it
        lines.append(f"{' ' * (_WIDTH + width + 4)}hint: {answer.hint}")
    return lines


def _detail(answer: Answer) -> str:
    sizes = ", ".join(f"{name} {as_bytes(size)}" for name, size in answer.sizes.items())
    return f"{answer.detail}; {sizes}" if sizes else answer.detail


def _summary(checkup: Checkup) -> str:
    failures, others = checkup.count("failed"), checkup.count("untried")
    total = as_counted(len(checkup.checks), "check")
    parts = [f"{failures} of {total} failed" if failures else f"all {total} passed"]
    if others:
        parts.append(f"{others} could not be tried")
    if warnings := checkup.count("warning"):
        parts.append(as_counted(warnings, "warning"))
    return ", ".join(parts)
