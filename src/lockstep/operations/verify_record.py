"""What was proved when: kept in the repository, so that a partial reading goes on where the last one ended.

Two equal copies are kept, each sealed: one that is damaged is told by its seal, one that vanished by the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lockstep.errors import LockstepError
from lockstep.model.findings import Depth, Finding
from lockstep.objects.store import ObjectStore
from lockstep.operations.verify_structure import read_sealed
from lockstep.progress import Listener, Note
from lockstep.repository.copies import COPIES
from lockstep.repository.drills import DRILLS
from lockstep.repository.seal import sealed
from lockstep.steps import step

PATHS = ("verifications/1.json", "verifications/2.json")

START = ("", "")
"""The position before the first object of a round."""

ALL = "all"

_ROUNDS_KEPT = 20


@dataclass(slots=True)
class Record:
    """The proofs so far.

    `sound` says of each snapshot when it was last verified without a finding, by depth; `rounds` of each scope (`all`, or ids joined by
    commas) how far its partial readings are, and when the last full round began.
    """

    repository: str
    sound: dict[str, dict[str, str]] = field(default_factory=dict)
    rounds: dict[str, dict[str, Any]] = field(default_factory=dict)

    def position(self, scope: str) -> tuple[str, str]:
        """Behind which object (SHA-256 and path) the next partial reading begins."""
        after = self.rounds.get(scope, {}).get("after")
        return (str(after[0]), str(after[1])) if isinstance(after, list) and len(after) == 2 else START

    def add_sound(self, snapshots: Iterable[str], depth: Depth, *, at: datetime) -> None:
        """These snapshots have no finding at this depth, nor at the shallower ones."""
        for snapshot in snapshots:
            for each in ("quick", "sizes", "data"):
                self.sound.setdefault(snapshot, {})[each] = _text(at)
                if each == depth:
                    break

    def add_reading(self, scope: str, after: tuple[str, str] | None, *, ended: bool, at: datetime) -> None:
        """A partial reading came so far; `ended` when every object was read since the round began."""
        old = self.rounds.pop(scope, {})
        began = old.get("began") or _text(at)
        complete = {"all_read_since": began} if ended else {name: old[name] for name in ("all_read_since",) if name in old}
        self.rounds[scope] = {"after": list(after or START), "began": _text(at) if ended else began, **complete}

    def forget_but(self, snapshots: Iterable[str]) -> None:
        """Drop what is about snapshots that are no more."""
        there = set(snapshots)
        self.sound = {snapshot: times for snapshot, times in self.sound.items() if snapshot in there}
        kept = [scope for scope in self.rounds if scope == ALL or there.issuperset(scope.split(","))]
        self.rounds = {scope: self.rounds[scope] for scope in kept if scope == ALL or scope in kept[-_ROUNDS_KEPT:]}


def read_record(store: ObjectStore, repository: str) -> tuple[Record, list[Finding]]:
    """What earlier verifications recorded (empty when there is nothing), and what is wrong with the files."""
    documents, findings, absent = [], [], []
    for path in PATHS:
        document, fault = read_sealed(store, path)
        if fault is not None:
            findings.append(fault)
        elif document is None:
            absent.append(path)
        elif not isinstance(document, dict) or document.get("repository") != repository or "sound" not in document:
            findings.append(Finding("tampered", path, None, (), "is not the record of this repository"))
        else:
            documents.append(document)
    if len(absent) < len(PATHS) and not any(each.get("alone") for each in documents):
        findings += [Finding("missing", path, None, (), "is not there, and its twin is") for path in absent]
    newest = max(documents, key=lambda each: str(each.get("written")), default={})
    return Record(repository, _tables(newest.get("sound")), _tables(newest.get("rounds"))), findings


def when_sound(record: Record, depth: Depth) -> dict[str, datetime]:
    """When each snapshot was last verified at this depth, or a deeper one, without a finding; those that never were are not in it."""
    found = {snapshot: _moment(times.get(depth)) for snapshot, times in record.sound.items()}
    return {snapshot: moment for snapshot, moment in found.items() if moment is not None}


def judge_drills(store: ObjectStore) -> list[Finding]:
    """What is wrong with the records of drills and copies, each by its own seal. One that is gone is not missed: nothing names them."""
    paths = [info.key for prefix in (DRILLS, COPIES) for page in store.list(prefix) for info in page]
    return [fault for path in paths if (fault := read_sealed(store, path)[1]) is not None]


def save_record(store: ObjectStore, record: Record, *, now: datetime, listener: Listener) -> None:
    """Write both copies. Where nothing may be written, that is said and no more: the verification holds all the same."""
    document = {"format": 1, "repository": record.repository, "written": _text(now), "sound": record.sound, "rounds": record.rounds}
    try:
        if not any(info.key == PATHS[1] for page in store.list(PATHS[1]) for info in page):  # a kill here leaves one that has no twin yet
            store.write(PATHS[0], sealed({**document, "alone": True}), overwrite=True)
            step("verify.record_begun")
        for path in reversed(PATHS):
            store.write(path, sealed(document), overwrite=True)
            step("verify.recorded")
        store.flush()
    except LockstepError as error:
        listener(Note(f"what was verified cannot be recorded: {error.message}", level="warning"))


def _tables(found: object) -> dict[str, Any]:
    return {str(name): dict(value) for name, value in found.items() if isinstance(value, Mapping)} if isinstance(found, Mapping) else {}


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
