"""What a look at the preconditions came to: one answer a check, and whether all of them together let a backup begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["ok", "warning", "failed", "untried"]
"""`warning`: a backup can be made, and the operator should know something all the same. `failed`: something would not work. `untried`: it
is not known, because it hangs on something that failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a look at one thing showed. `sizes` are amounts in bytes with a word for each; `hint` is a sentence, None when all is well."""

    verdict: Verdict
    detail: str
    hint: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """An answer and the name of what was looked at; names are part of the JSON and stay as they are."""

    name: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Checkup:
    """All checks, in the order in which they were made."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True when nothing failed and everything could be tried; warnings don't count."""
        return not self.count("failed") and not self.count("untried")

    def count(self, verdict: Verdict) -> int:
        """How many checks came to this verdict."""
        return sum(check.answer.verdict == verdict for check in self.checks)


def fine(detail: str, **sizes: int) -> Answer:
    """The answer for something that is as it must be."""
    return Answer("ok", detail, sizes=sizes)


def warning(detail: str, *, hint: str, **sizes: int) -> Answer:
    """The answer for something that does not keep a backup from being made."""
    return Answer("warning", detail, hint, sizes)


def failed(detail: str, *, hint: str, **sizes: int) -> Answer:
    """The answer for something that keeps a backup from being made, or makes it worthless."""
    return Answer("failed", detail, hint, sizes)


def untried(needed: str) -> Answer:
    """The answer for something that could not be looked at, because the check `needed` failed."""
    return Answer("untried", f"not tried, because the check '{needed}' failed", f"See to '{needed}' first.")
