"""Copying what is new from the deployment's stores into the repository: each object checked, hashed, stored and journalled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field

from lockstep.model.inventory import InventoryEntry, MissingObject, Wanted
from lockstep.objects.lane import carry_all
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits
from lockstep.operations.fetching import Fetcher, Outcome
from lockstep.operations.service_copies import ServiceCopies, all_service_copies
from lockstep.progress import Listener, StageAdvanced
from lockstep.repository.journal import Journal
from lockstep.repository.repository import Repository
from lockstep.tables import plans
from lockstep.tables.engine import Tables

STAGE = "objects"


@dataclass(frozen=True, slots=True)
class Copied:
    """What a pass copied, and how long that took where it was measured."""

    objects: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    by_service: int = 0
    """So many of them the service copied by itself, and of so many the SHA-256 is what it says."""
    hashed_by_service: int = 0

    def plus(self, other: Copied) -> Copied:
        """Both together."""
        return Copied(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies wanted objects of some stores into a repository; `fail_fast` raises at the first one that is missing."""

    stores: Mapping[str, ObjectStore]
    repository: Repository
    tables: Tables
    journal: Journal
    limits: TransferLimits
    stop: Stop
    listener: Listener
    fail_fast: bool = False
    server_side_copy: bool | None = None
    other_etags: set[str] = field(default_factory=set)
    """Stores whose ETags turned out to be no MD5 of the bytes."""
    copies: dict[str, ServiceCopies] = field(init=False)

    def __post_init__(self) -> None:
        """Find the stores that are of one service with the repository."""
        found = all_service_copies(self.stores, self.repository.store, wanted=self.server_side_copy, listener=self.listener)
        object.__setattr__(self, "copies", found)

    def copy(self, wanted: Iterable[Wanted]) -> Copied:
        """Copy objects and journal them; what cannot be had goes into the table `missing_now`.

        Raises StoreUnreachable when a store keeps failing: what is journalled by then, the next run does not copy again.
        """
        fetcher, pacer = self._fetcher(), Pacer(self.limits)
        return self.record(carry_all(wanted, fetcher, pacer))

    def record(self, outcomes: Iterable[Sequence[Outcome]]) -> Copied:
        """Journal what was copied, here or elsewhere, as it comes; what could not be had goes into the table `missing_now`."""
        total = Copied()
        plans.add_missing(self.tables, [])
        try:
            for done in outcomes:
                entries = [each for each in done if isinstance(each, InventoryEntry)]
                plans.add_missing(self.tables, [each for each in done if isinstance(each, MissingObject)])
                self.journal.add(entries)
                copied = Copied(
                    len(entries),
                    sum(entry.size for entry in entries),
                    by_service=sum(entry.by_service is not None for entry in entries),
                    hashed_by_service=sum(entry.by_service == "hashed" for entry in entries),
                )
                total = total.plus(copied)
                self.listener(StageAdvanced(STAGE, done=len(done), size_bytes=copied.size_bytes))
        finally:
            self.journal.commit()
        return total

    def _fetcher(self) -> Fetcher:
        limits, work = self.limits, self.tables.directory
        budget = ByteBudget(limits.bytes_in_flight)
        return Fetcher(self.stores, self.repository.store, limits, budget, work, self.stop, self.fail_fast, self.other_etags, self.copies)
