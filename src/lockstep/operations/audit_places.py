"""Asks of what an audit misses: is it there after all, where else are its bytes, and what does the profile know of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain

from lockstep.deployment.deployment import BoundProfile, Deployment, Describes, Rows, explain
from lockstep.errors import ObjectDamaged, ObjectNotFound
from lockstep.model.audit import AuditFinding, Group
from lockstep.objects.retry import PATIENT, noting, retrying
from lockstep.objects.transfer import Pacer, Stop, TransferLimits, in_parallel
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.tables import audits
from lockstep.tables.engine import Tables

STAGE = "asking again"

BELIEVED_AFTER = 10_000
"""When so many HEADs in a row, in an order as good as chance, say nothing else than the listing did, the rest of it is believed: then
something larger is wrong (another bucket, another prefix), and a million more requests would not change what the operator does."""

SEARCHED_AT_MOST = 10_000
"""For how many findings older places are searched, at one request each."""

EXPLAINED_AT_MOST = 100_000
"""For how many findings the profile is asked what it knows."""

_BATCH = 2_000
_BREAKDOWN_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Asker:
    """What asking needs: the deployment, the tables of the audit, and how many requests may be in flight."""

    deployment: Deployment
    tables: Tables
    limits: TransferLimits
    listener: Listener
    stop: Stop

    def ask_again(self, suspects: int) -> None:
        """Ask by HEAD for every suspect of the listing; what the answer says is what holds from then on."""
        self.listener(StageStarted(STAGE, total=suspects, unit="objects"))
        self._ask(audits.suspects(self.tables, most=BELIEVED_AFTER))
        contradicted = audits.believe_answers(self.tables)
        if suspects > BELIEVED_AFTER:
            if contradicted:
                self._ask(audits.suspects(self.tables, skip=BELIEVED_AFTER))
                audits.believe_answers(self.tables)
            else:
                self.listener(Note(f"{BELIEVED_AFTER} of {suspects} were asked for again, and none was there: the listing is believed"))
        self.listener(StageEnded(STAGE))

    def find_places(self, bound: BoundProfile, database: Rows) -> None:
        """Note for findings under which older key, or as which older version, their bytes are."""
        for batch in audits.finding_batches(self.tables, size=_BATCH, most=SEARCHED_AT_MOST):
            store = batch[0].store
            versions = self._versions(batch)
            audits.note_places(self.tables, store, [(key, key, version) for key, version in versions.items()])
            rest = [each for each in batch if each.key not in versions and each.why == "lost"]
            older = _older_keys(bound, database, [each.key for each in rest])
            sizes = audits.listed_sizes(self.tables, store, list(older.values()))
            under_older = [
                (each.key, older[each.key], None) for each in rest if each.key in older and _fits(each, sizes.get(older[each.key]))
            ]
            audits.note_places(self.tables, store, under_older)
        audits.forgive_orphans(self.tables)

    def _ask(self, suspects: Iterable[tuple[str, str, int | None]]) -> None:
        pacer = Pacer(self.limits)
        audits.add_answers(self.tables, [])
        for answers in in_parallel(suspects, partial(self._head, pacer), threads=pacer, stop=self.stop):
            audits.add_answers(self.tables, answers)
            self.listener(StageAdvanced(STAGE, done=len(answers)))

    def _head(self, pacer: Pacer, suspect: tuple[str, str, int | None]) -> tuple[str, str, int | None]:
        name, key, _ = suspect
        store = self.deployment.stores[name]
        try:
            on_retry = noting(store.requests, and_then=pacer.note)
            info, _ = retrying(partial(store.head, key), policy=PATIENT, on_retry=on_retry, stop=self.stop)
        except ObjectNotFound:
            return name, key, None
        except ObjectDamaged:  # a RAID's nodes hold something that is not one object
            return name, key, -1
        return name, key, info.size

    def _versions(self, batch: list[AuditFinding]) -> dict[str, str]:
        pacer = Pacer(self.limits)
        store = self.deployment.stores[batch[0].store]

        def newest(finding: AuditFinding) -> tuple[str, str | None]:
            ask = partial(store.list_versions, finding.key)
            versions = retrying(ask, policy=PATIENT, on_retry=noting(store.requests, and_then=pacer.note), stop=self.stop)
            return finding.key, next((version for version, info in versions if _fits(finding, info.size)), None)

        found = chain.from_iterable(in_parallel(batch, newest, threads=pacer, stop=self.stop))
        return {key: version for key, version in found if version is not None}


@dataclass(frozen=True, slots=True)
class Explained:
    """Findings by the profile's groups, for the missing and the mismatched, and by everything else that it knows."""

    missing: tuple[Group, ...]
    mismatched: tuple[Group, ...]
    breakdown: Mapping[str, tuple[Group, ...]]


def explain_findings(tables: Tables, bound: BoundProfile, view: Describes, *, listener: Listener) -> Explained:
    """Ask the profile what it knows of the findings, and note it with them. An object in two groups counts for the first of them."""
    total = sum(amount.count for amount in audits.count_findings(tables).values())
    if total > EXPLAINED_AT_MOST:
        listener(Note(f"{total} objects are missing or of another size; the groups count the first {EXPLAINED_AT_MOST}", level="warning"))
    missing, mismatched = _Sums(), _Sums()
    others: defaultdict[str, _Sums] = defaultdict(_Sums)
    for batch in audits.finding_batches(tables, size=_BATCH, most=EXPLAINED_AT_MOST):
        rows = explain(bound, view, [each.key for each in batch])
        known = {row["key"]: row for row in sorted(rows, key=lambda row: sorted(row.items()), reverse=True)}
        audits.note_known(tables, [(key, {name: row[name] for name in row if name != "key"}) for key, row in known.items()])
        for each in batch:
            if (row := known.get(each.key)) is None:
                continue
            (mismatched if each.why == "wrong_size" else missing).add(
                {name: row[name] for name in bound.profile.groups if name in row}, each
            )
            for name in row.keys() - {"key", *bound.profile.groups}:
                others[name].add({name: row[name]}, each)
    breakdown = {name: sums.groups()[:_BREAKDOWN_SHOWN] for name, sums in sorted(others.items())}
    return Explained(missing.groups(), mismatched.groups(), breakdown)


class _Sums:
    """Counts objects and bytes by labels."""

    def __init__(self) -> None:
        self._sums: dict[tuple[tuple[str, str], ...], tuple[int, int]] = {}

    def add(self, labels: Mapping[str, str], finding: AuditFinding) -> None:
        count, size = self._sums.get(tuple(labels.items()), (0, 0))
        self._sums[tuple(labels.items())] = (count + 1, size + max(finding.size or 0, 0))

    def groups(self) -> tuple[Group, ...]:
        ordered = sorted(self._sums.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
        return tuple(Group(dict(labels), count, size) for labels, (count, size) in ordered)


def _older_keys(bound: BoundProfile, database: Rows, keys: list[str]) -> dict[str, str]:
    if bound.profile.older_keys is None or not keys:
        return {}
    return dict(database.rows(bound.profile.older_keys, {"keys": keys}))


def _fits(finding: AuditFinding, size: int | None) -> bool:
    return size is not None and (finding.size is None or finding.size == size)
