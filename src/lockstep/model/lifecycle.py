"""Decides what the lifecycle rules of a bucket do to the objects that lockstep needs there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lockstep.model.checkup import Answer, failed, fine, warning

_WATCH = "Take the rule away, or keep it from these keys."


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """A rule that is switched on and touches the newest version of objects whose full key starts with `prefix`.

    `action` says what becomes of them, `when` as a clause ("after 30 days"); with `conditional` only some, by tag or size.
    """

    name: str
    prefix: str
    action: Literal["delete", "archive"]
    when: str
    conditional: bool = False

    def __str__(self) -> str:
        """As a person reads it."""
        what = "deletes" if self.action == "delete" else "archives"
        which = f"objects under '{self.prefix}'" if self.prefix else "all objects"
        return f"rule '{self.name}' {what} {which} {self.when}" + (" (some of them, by tag or size)" if self.conditional else "")


def rules_that_touch(rules: Iterable[LifecycleRule], prefix: str) -> list[LifecycleRule]:
    """The rules under which a key that starts with `prefix` can fall."""
    return [rule for rule in rules if rule.prefix.startswith(prefix) or prefix.startswith(rule.prefix)]


def decide_live_rules(rules: Iterable[LifecycleRule], *, prefix: str, keys: Sequence[str]) -> Answer:
    """Of a deployment's bucket; `keys` are some that the metadata references, below `prefix`.

    A rule that is going to delete one of them is a failure: it takes away what the database counts on.
    """
    touching = rules_that_touch(rules, prefix)
    deadly = [
        rule
        for rule in touching
        if rule.action == "delete" and not rule.conditional and any((prefix + key).startswith(rule.prefix) for key in keys)
    ]
    if deadly:
        return failed(f"{_listed(deadly)}: referenced objects are among them", hint=_WATCH)
    if touching:
        hint = f"See to it that no referenced object is among them. {_WATCH}"
        if all(rule.action == "archive" for rule in touching):
            hint = "Bring archived objects back before a backup or an audit: they cannot be read where they lie."
        return warning(_listed(touching), hint=hint)
    return fine("no rule deletes or archives objects")


def decide_kept_rules(rules: Iterable[LifecycleRule], *, prefix: str) -> Answer:
    """Of a repository's bucket: an object of the first snapshot is part of the newest one, so age says nothing about worth."""
    touching = rules_that_touch(rules, prefix)
    if any(rule.action == "delete" for rule in touching):
        return failed(f"{_listed(touching)}: old objects are part of new snapshots", hint="Take the rule away before it destroys backups.")
    if touching:
        return warning(_listed(touching), hint="Take the rule away: archived objects must be brought back before a restore can read them.")
    return fine("no rule deletes or archives objects")


def _listed(rules: Sequence[LifecycleRule]) -> str:
    return "; ".join(str(rule) for rule in rules)
