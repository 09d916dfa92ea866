"""Hold what the live metadata references against what the live stores have. Nothing is changed, and no repository is needed.

Writers may be running, so the order carries the truth. An object is stored before its row is committed and never changed, therefore:

1. The references are read in one frozen view (the first references). Every object that they name was stored by then.
2. Then the stores are listed. What the first references name and the listing does not show, or shows with another size, is a *suspect*.
3. Suspects are asked for by HEAD: a listing may lag behind, or lie. What is there after all is no suspect any more.
4. Then the references are read again, in a second frozen view. A suspect whose row has gone since was *purged*, not lost. An object that
   neither reading references is an orphan, unless it was stored after the audit began: its row may be about to be committed (*in flight*).
   When unreferenced objects are only just old enough not to count as in flight, the second reading waits a moment for their rows.

The second reading is left out when there is neither a suspect nor an unreferenced object.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockstep.deployment.deployment import BoundProfile, Deployment, bind_profile, reference_blocks
from lockstep.errors import Cancelled, ConfigurationError, LockstepError
from lockstep.model.audit import Affected, Amount, AuditResult
from lockstep.model.objects import ObjectInfo
from lockstep.objects.ranges import list_ranges, plan_ranges
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.audit_history import ask_repository
from lockstep.operations.audit_lists import check_places, finding_as_row, orphan_as_row, write_lines
from lockstep.operations.audit_nodes import NodeAuditor
from lockstep.operations.audit_places import Asker, Explained, explain_findings
from lockstep.operations.counting import as_requests, peak_rss_bytes
from lockstep.operations.preconditions import look_at
from lockstep.operations.telling import telling
from lockstep.operations.work import work_directory
from lockstep.postgres.connection import Database, open_database
from lockstep.postgres.frozen import FrozenView
from lockstep.progress import SILENT, Listener, StageAdvanced, StageEnded, StageStarted
from lockstep.tables import audits, references
from lockstep.tables.engine import Tables

SAMPLE_SHOWN = 100
"""How many keys a result names; the lists name them all."""

LISTING_THREADS = 8
"""Listings at once. A page costs this machine several milliseconds of the interpreter, so more would only wait for each other."""

SAMPLED = 4_096
"""References by which the ranges of a listing are cut: enough for 64 ranges that are even to within a quarter."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """`list_missing` and `list_orphans` are files to be written; `temporary` is where tables may lie."""

    list_missing: Path | None = None
    list_orphans: Path | None = None
    list_nodes: Path | None = None
    limits: TransferLimits = field(default_factory=TransferLimits)
    temporary: Path | None = None
    in_flight_seconds: float = 2.0
    """How long a writer may take between storing an object and committing its row before an audit that is as quick counts an orphan."""


def audit(
    deployment: Deployment,
    *,
    repository: ObjectStore | None = None,
    options: AuditOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> AuditResult:
    """Compare the deployment's two sides. What is missing, of another size or an orphan is the result, not an error.

    The place of a repository, if there is one, tells since which snapshot something is missing.

    Raises LockstepError when one of the sides cannot be read: BucketNotFound, for one, is not "everything is missing".
    """
    options, stop = options or AuditOptions(), stop or Stop()
    check_places(options.list_missing, options.list_orphans, options.list_nodes)
    began, started = time.monotonic(), datetime.now(UTC)
    with (
        telling(deployment.stores.values(), listener),
        work_directory(options.temporary) as work,
        open_database(deployment.database) as database,
    ):
        look_at(deployment.stores.values())
        tables = Tables(work)
        try:
            nodes = NodeAuditor(deployment, tables, options.limits, listener, stop)
            return _Audit(deployment, repository, database, tables, nodes, options, listener, stop, started).run(began)
        finally:
            tables.close()


@dataclass(frozen=True, slots=True)
class _Audit:
    """One audit, with everything that its steps share."""

    deployment: Deployment
    repository: ObjectStore | None
    database: Database
    tables: Tables
    nodes: NodeAuditor
    options: AuditOptions
    listener: Listener
    stop: Stop
    started: datetime

    def run(self, began: float) -> AuditResult:
        """References, listing, HEADs, references again; the order is explained at the head of this module."""
        asker = Asker(self.deployment, self.tables, self.options.limits, self.listener, self.stop)
        with self.database.frozen() as view:
            bound = self._bind(view)
            named = self._load_references(bound, view)
        audits.keep_first_references(self.tables)
        self._check_stores()
        self._list_stores()
        suspects, unreferenced = audits.compare(self.tables)
        if suspects:
            asker.ask_again(suspects)
        degraded = self.nodes.find_suspects()
        self._end_if_stopped()
        explained = Explained((), (), {})
        if suspects or degraded or unreferenced.count:
            if unreferenced.count:
                self._wait_for_writers()
            with self.database.frozen() as view:
                self._load_references(bound, view)
                audits.decide(self.tables, started=self.started)
                explained = explain_findings(self.tables, bound, view, listener=self.listener)
        else:
            audits.later_references_are_the_first(self.tables)
            audits.decide(self.tables, started=self.started)
        self.nodes.settle()
        asker.find_places(bound, self.database)
        self._end_if_stopped()
        kept = ask_repository(self.tables, self.repository, listener=self.listener) if self.repository else None
        self._write_lists()
        return replace(self._result(bound, named, explained, began), kept=kept)

    def _bind(self, view: FrozenView) -> BoundProfile:
        bound = bind_profile(self.deployment, view)
        if self.deployment.stores and bound.lists_the_bucket:
            raise ConfigurationError(
                "without a reference query every object of the bucket counts as referenced, and there is nothing to audit",
                hint="Name the application with --app: its profile, or a profile file.",
            )
        return bound

    def _load_references(self, bound: BoundProfile, view: FrozenView) -> references.ReferenceCounts:
        with self._stage("references"):
            blocks = reference_blocks(self.deployment, bound, view)
            return references.load(self.tables, blocks, columns=bound.columns, store=bound.store)

    def _check_stores(self) -> None:
        unknown = [name for name in audits.stores_referenced(self.tables) if name not in self.deployment.stores]
        if unknown:
            raise LockstepError(
                f"the references name the store '{unknown[0]}', which the deployment does not have", hint=f"Add --bucket {unknown[0]}=URL."
            )

    def _list_stores(self) -> None:
        listing = audits.Listing(self.tables)
        raids = self.deployment.raids()
        undisturbed = [self._list(name, listing) for name in self.deployment.stores if name not in raids]
        self._end_if_stopped()
        listing.close(has_doubles=not all(undisturbed))
        for name in raids:
            sample, expected = audits.sample_keys(self.tables, name, most=SAMPLED)
            self.nodes.list_nodes(name, plan_ranges(sample, expected=expected))
            self._end_if_stopped()

    def _list(self, name: str, listing: audits.Listing) -> bool:
        store, stage = self.deployment.stores[name], "listing" if len(self.deployment.stores) == 1 else f"listing {name}"
        sample, expected = audits.sample_keys(self.tables, name, most=SAMPLED)
        is_local = store.free_bytes() is not None  # every range would read a directory's names anew
        ranges = plan_ranges([] if is_local else sample, expected=expected)

        def take(page: list[ObjectInfo]) -> None:
            listing.add(name, page)
            self.listener(StageAdvanced(stage, done=len(page)))

        self.listener(StageStarted(stage, total=expected, unit="objects"))
        threads = self.options.limits.threads or LISTING_THREADS
        undisturbed = list_ranges(store, ranges, take=take, threads=threads, stop=self.stop)
        self.listener(StageEnded(stage))
        return undisturbed

    def _wait_for_writers(self) -> None:
        """Give writers the time to commit rows of objects that they stored just before the audit began.

        Where the store's clock is behind, what is in flight looks older than it is: hence an hour.
        """
        newest = audits.newest_unreferenced(self.tables)
        if newest is None or newest > self.started.replace(tzinfo=None) - timedelta(hours=1):
            self.stop.wait(self.options.in_flight_seconds)

    def _write_lists(self) -> None:
        if self.options.list_missing is not None:
            write_lines(self.options.list_missing, map(finding_as_row, audits.findings(self.tables)))
        if self.options.list_orphans is not None:
            write_lines(self.options.list_orphans, map(orphan_as_row, audits.orphans(self.tables)))
        if self.options.list_nodes is not None:
            write_lines(self.options.list_nodes, self.nodes.rows())

    def _result(self, bound: BoundProfile, named: references.ReferenceCounts, explained: Explained, began: float) -> AuditResult:
        found = audits.count_findings(self.tables)
        wrong = found.pop("wrong_size", Amount())
        lost = Amount(sum(each.count for each in found.values()), sum(each.bytes for each in found.values()))
        purged = audits.count_purged(self.tables)
        orphans, in_flight = audits.count_orphans(self.tables)
        return AuditResult(
            database=self.database.facts().name,
            stores={name: store.url for name, store in self.deployment.stores.items()},
            profile=bound.profile.name,
            started=self.started,
            referenced=named.objects,
            referenced_bytes=named.size_bytes,
            present=named.objects - lost.count - wrong.count - purged.count,
            missing=Affected(lost.count, lost.bytes, self._sample(missing=True), explained.missing),
            mismatched=Affected(wrong.count, wrong.bytes, self._sample(missing=False), explained.mismatched),
            orphans=orphans,
            purged=purged,
            in_flight=in_flight,
            classes={why: amount.count for why, amount in found.items()},
            breakdown=explained.breakdown,
            recoverable=audits.count_recoverable(self.tables),
            requests=as_requests(self.deployment.requests()),
            seconds=time.monotonic() - began,
            peak_rss=peak_rss_bytes(),
            nodes=self.nodes.results(),
        )

    def _sample(self, *, missing: bool) -> tuple[str, ...]:
        return tuple(each.key for each in audits.findings(self.tables, missing=missing, most=SAMPLE_SHOWN))

    def _end_if_stopped(self) -> None:
        if self.stop.is_set():  # what was read until then is not the whole, and says nothing
            raise Cancelled(15)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.listener(StageStarted(name, unit="steps"))
        yield
        self.listener(StageEnded(name))
