"""Keeps what the newest snapshot needs locked (Object Lock), for at least as long as the operator asked, counted from that snapshot.

What is written is locked with the write. What was there before is locked for longer before the manifest is written, so that no snapshot
exists that needs something which may be deleted sooner. A share of it takes its turn in each run: see `model/keeping.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from lockstep.errors import Cancelled, ObjectNotFound, PermissionMissing
from lockstep.model.inventory import InventoryEntry
from lockstep.model.keeping import SHARES, LockState, decide_due, new_state
from lockstep.model.results import LockedObjects
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.retry import PATIENT, noting, retrying
from lockstep.objects.transfer import Pacer, Stop, TransferLimits, in_parallel
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository import layout
from lockstep.repository.bridges import BRIDGES, bridges_path
from lockstep.repository.history import History
from lockstep.repository.keyed_store import keeping_of, locks_of
from lockstep.repository.locked import forget_locks, has_lock_record, read_lock_state, save_lock_state, share_of_file
from lockstep.repository.pool import place_of
from lockstep.repository.repository import Repository
from lockstep.steps import step
from lockstep.tables import locks as needed
from lockstep.tables.engine import Tables

if TYPE_CHECKING:
    from lockstep.objects.object_locks import Extended, ObjectLocks

T = TypeVar("T")

STAGE = "locks"

AT_A_TIME = 20_000
"""How many locks may have to be set again after a kill."""

SAMPLED = 8
"""How many locks are looked at in each run: a repository that was brought to another bucket has its record, and none of its locks."""

_LEEWAY = timedelta(minutes=1)


def begin_locking(
    repository: Repository, tables: Tables, *, empty: bool, listener: Listener, stop: Stop, limits: TransferLimits
) -> Locking | None:
    """What sees to the locks in a run that writes; None when nothing is locked. Writes the record before anything else is written.

    `empty`: nothing is in the repository yet, so that all that will be there will be locked as it comes.
    """
    locks, store = locks_of(repository.store), repository.store
    if locks is None:
        if keeping_of(store).unlocked and has_lock_record(store):
            forget_locks(store)
            listener(Note("what is written from now on is not locked", level="warning"))
        return None
    begun = datetime.now(UTC)
    before, until = read_lock_state(store, repository.id), locks.keeping.locked_until(begun)
    fresh = new_state(until - _LEEWAY) if empty else LockState({})  # the marker was written a moment ago
    state = fresh if before is None else before.at_most(until)
    if state != before:
        save_lock_state(store, repository.id, state, keeping=locks.keeping)
    step("locks.begun")
    return Locking(repository, tables, locks, state, begun, listener, stop, limits)


def lock_needed(locking: Locking | None, snapshot: SnapshotId, history: History, *, run: str) -> None:
    """Lock what `references_now` needs and was there before the run; nothing where nothing is locked."""
    if locking is not None:
        segments = [entry.path for entry in history.segments]
        locking.extend(snapshot, references="references_now", parent=history.parent, segments=segments, run=run)


def close_locks(locking: Locking | None, snapshot: SnapshotId) -> None:
    """Record that the snapshot exists for which the locks are."""
    if locking is not None:
        locking.close(snapshot)


@dataclass(slots=True)
class Locking:
    """The locks of one run. `state` is as the record has it."""

    repository: Repository
    tables: Tables
    locks: ObjectLocks
    state: LockState
    begun: datetime
    listener: Listener
    stop: Stop
    limits: TransferLimits
    _told: dict[Extended, int] = field(default_factory=lambda: {"locked": 0, "hidden": 0, "gone": 0})

    def extend(
        self, snapshot: SnapshotId, *, references: str, parent: SnapshotId | None, segments: Iterable[str], run: str | None = None
    ) -> None:
        """Lock what a snapshot needs and was there before for long enough.

        `references` is the table of what it references, `parent` the snapshot whose chain its references go on from, `segments` those
        of the inventory before it, `run` who wrote what is new. Raises PermissionMissing when locks may not be set.
        """
        now = datetime.now(UTC)
        until = self.locks.keeping.locked_until(now)
        if now - self.begun > self.locks.keeping.slack / 2:  # what this run wrote first is locked no longer than what was there before
            run = None
        needed.plan_needed(self.tables, snapshot=snapshot, references_table=references, run=run)
        self._find_strange()
        due = decide_due(self.state, keeping=self.locks.keeping, now=now)
        if not self._are_as_recorded([share for share in SHARES if share not in due]):
            due, self.state = SHARES, LockState({}, self.state.snapshot)
        counts = needed.count_by_share(self.tables)
        files = [path for path in (*self._files(parent), *segments) if share_of_file(path) in due]
        total = needed.count_strange(self.tables) + len(files) + sum(counts.get(share, 0) for share in due)
        self.listener(StageStarted(STAGE, total=total, unit="objects"))
        self._extend(chain(((path, None) for path in files), _placed(needed.strange(self.tables))), until)
        for shares in _groups(due, counts):
            self._extend(_placed(needed.of_shares(self.tables, shares)), until)
            self.state = self.state.extended(shares, until)
            save_lock_state(self.repository.store, self.repository.id, self.state, keeping=self.locks.keeping)
            step("locks.extended")
        self.listener(StageEnded(STAGE))
        self._warn()

    def close(self, snapshot: SnapshotId) -> None:
        """Record that the snapshot exists for which the locks are."""
        self.state = replace(self.state, snapshot=snapshot)
        save_lock_state(self.repository.store, self.repository.id, self.state, keeping=self.locks.keeping)
        step("locks.closed")

    def result(self, created: datetime) -> LockedObjects:
        """What to tell of it; `created` is the date of the snapshot."""
        keeping = self.locks.keeping
        until = created + (keeping.lock_for or timedelta())
        return LockedObjects(
            keeping.lock_mode, until, self._told["locked"] + self._told["hidden"], self._told["hidden"], self._told["gone"]
        )

    def _find_strange(self) -> None:
        """What the snapshot of the record did not need. When that is gone, nothing is known of any share."""
        before = self.state.snapshot
        if before is not None and before in self.repository.snapshot_ids():
            entries = self.repository.chain(self.repository.manifest(before))
            held = [self.repository.local_copy(entry, self.tables.directory) for entry in entries]
            needed.find_strange(self.tables, held)
            return
        if before is not None:
            self.state = LockState({}, None)
        needed.find_strange(self.tables, None)

    def _are_as_recorded(self, shares: Collection[str]) -> bool:
        """False when one of a few objects is not locked as long as the record says."""
        for entry in needed.sample(self.tables, shares, most=SAMPLED, seed=secrets.randbits(32)):
            path, recorded = place_of(entry), self.state.until[entry.sha256[:2]]
            try:
                there = self._patiently(partial(self.locks.locked_until, path))
            except ObjectNotFound:  # which says nothing of the others' locks
                continue
            if there is None or there < recorded - _LEEWAY:
                said = "not locked" if there is None else f"locked until {there:%Y-%m-%d %H:%M} UTC"
                self.listener(
                    Note(f"'{path}' is {said}, and should be until {recorded:%Y-%m-%d %H:%M} UTC; all is locked anew", level="warning")
                )
                return False
        return True

    def _files(self, parent: SnapshotId | None) -> list[str]:
        """What the snapshot needs besides objects, and was there before it: all that a reader opens on the way to them."""
        repository, number = self.repository, self.repository.bridges().number
        listed = {info.key for prefix in (layout.SNAPSHOTS, BRIDGES) for page in repository.store.list(prefix) for info in page}
        named = [*map(layout.manifest_path, repository.snapshot_ids()), *([bridges_path(number)] if number else [])]
        signatures = [path for path in map(layout.signature_path, named) if path in listed]
        references = [entry.path for entry in repository.chain(repository.manifest(parent))] if parent is not None else []
        return [layout.MARKER, *named, *signatures, *references]

    def _extend(self, places: Iterable[tuple[str, int | None]], until: datetime) -> None:
        pacer = Pacer(self.limits)

        def one(place: tuple[str, int | None]) -> Extended:
            path, size = place
            told = self._patiently(partial(self.locks.extend, path, until, size=size), pacer)
            step("locks.set")
            return told

        for told in in_parallel(places, one, threads=pacer, stop=self.stop):
            for each in told:
                self._told[each] += 1
            self.listener(StageAdvanced(STAGE, done=len(told)))
        if self.stop.is_set():
            raise Cancelled(2)

    def _patiently(self, call: Callable[[], T], pacer: Pacer | None = None) -> T:
        on_retry = noting(self.repository.store.requests, and_then=pacer.note if pacer else None)
        try:
            return retrying(call, policy=PATIENT, on_retry=on_retry, stop=self.stop)
        except PermissionMissing as error:
            hint = "Allow s3:PutObjectRetention and s3:GetObjectRetention on the repository, or give --lock-for none."
            raise PermissionMissing(f"locks cannot be made longer: {error.message}", hint=hint) from error

    def _warn(self) -> None:
        hint = "'lockstep verify' names them"
        if hidden := self._told["hidden"]:
            self.listener(
                Note(f"{hidden} files of the repository lie under delete markers, where they stay locked; {hint}", level="warning")
            )
        if gone := self._told["gone"]:
            self.listener(Note(f"{gone} files of the repository are gone and could not be locked; {hint}", level="warning"))


def _placed(entries: Iterable[InventoryEntry]) -> Iterator[tuple[str, int | None]]:
    return ((place_of(entry), entry.size_there) for entry in entries)


def _groups(shares: Sequence[str], counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Shares that are seen to together: about so many objects as a kill may cost."""
    group: list[str] = []
    size = 0
    for share in shares:
        group.append(share)
        size += counts.get(share, 0)
        if size >= AT_A_TIME:
            yield group
            group, size = [], 0
    if group:
        yield group
