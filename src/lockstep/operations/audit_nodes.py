"""The nodes of a RAID in an audit: each is listed by itself, and what it lacks is told even where the others make up for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from lockstep.deployment.deployment import Deployment
from lockstep.errors import LockstepError, ObjectNotFound
from lockstep.model.audit import NodeAudit
from lockstep.model.objects import ObjectInfo
from lockstep.model.raid import home_of, needed_nodes
from lockstep.objects.raid import RaidStore
from lockstep.objects.raid_nodes import NODE_FAULTS
from lockstep.objects.ranges import KeyRange, list_ranges
from lockstep.objects.transfer import Pacer, Stop, TransferLimits, in_parallel
from lockstep.progress import Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.tables import audits, raid_audits
from lockstep.tables.engine import Tables
from lockstep.tables.raid_audits import RaidShape, Suspect

STAGE = "asking nodes again"

NODE_THREADS = 4
"""Listings at once on each node; the nodes are listed side by side."""

ASKED_AT_ONCE = 10_000
"""How many findings of the listings are asked for by HEAD before it is looked whether that changes anything; if not, the rest is believed
(see `audit_places.BELIEVED_AFTER`)."""

_SHOWN = 20
_BATCH = 1_000


@dataclass(slots=True)
class NodeAuditor:
    """What the audit of RAIDs shares over its steps; it does nothing where there is no RAID."""

    deployment: Deployment
    tables: Tables
    limits: TransferLimits
    listener: Listener
    stop: Stop
    shapes: list[RaidShape] = field(default_factory=list)
    silent: dict[tuple[str, int], LockstepError] = field(default_factory=dict)

    def list_nodes(self, name: str, ranges: list[KeyRange]) -> None:
        """List every node of a RAID that answers, and add to `listed` what they show together.

        Raises the error of a node when too few answer.
        """
        raid = self.deployment.raids()[name]
        listing = audits.Listing(self.tables, table=raid_audits.LISTED)
        undisturbed: list[bool] = []
        stage = "listing"
        self.listener(StageStarted(stage, unit="objects"))

        def list_one(number: int) -> None:
            try:
                raid.nodes.ask(number, lambda store: store.check_reachable())
                take = partial(self._take, raid, name, number, listing)
                undisturbed.append(list_ranges(raid.nodes.stores[number], ranges, take=take, threads=NODE_THREADS, stop=self.stop))
            except NODE_FAULTS as error:
                self.silent[name, number] = error

        for _ in in_parallel(range(len(raid.nodes)), list_one, threads=len(raid.nodes), stop=self.stop):
            pass
        self.listener(StageEnded(stage))
        listing.close(has_doubles=not all(undisturbed))
        listed = tuple(number for number in range(len(raid.nodes)) if (name, number) not in self.silent)
        if len(listed) < needed_nodes(raid.mode, len(raid.nodes)):
            raise next(iter(self.silent.values()))
        shape = RaidShape(name, raid.mode, len(raid.nodes), listed)
        raid_audits.forget_others(self.tables, shape)
        raid_audits.take_nodes(self.tables, shape)
        self.shapes.append(shape)

    def find_suspects(self) -> int:
        """What the nodes' listings lack of the first references, asked for again by HEAD; how many findings remain."""
        if not self.shapes:
            return 0
        raid_audits.create(self.tables)
        found = sum(raid_audits.compare(self.tables, shape) for shape in self.shapes)
        self.listener(StageStarted(STAGE, total=found, unit="objects"))
        while batch := raid_audits.unasked(self.tables, most=ASKED_AT_ONCE):
            if not self._ask(batch):
                break
        self.listener(StageEnded(STAGE))
        return raid_audits.count_findings(self.tables)

    def settle(self) -> None:
        """After the second reading of the references: forget what was purged; add what raid0 lacks, which is what its nodes lack."""
        if not self.shapes:
            return
        raid_audits.settle(self.tables)
        for shape in (each for each in self.shapes if each.mode == "raid0"):
            found = (each for each in audits.findings(self.tables) if each.store == shape.store)
            homes = ((each, home_of(each.key, shape.nodes)) for each in found)
            suspects = (
                Suspect(each.store, home, each.key, each.size, each.size, each.found_size) for each, home in homes if home is not None
            )
            while batch := list(islice(suspects, _BATCH)):
                raid_audits.add(self.tables, batch)

    def results(self) -> tuple[NodeAudit, ...]:
        """What each node of each RAID has come to."""
        return tuple(self._result(shape, node) for shape in self.shapes for node in range(shape.nodes))

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """What the list says of each part that a node lacks or has of another size (`found_size`), sorted by store and key."""
        for each in raid_audits.findings(self.tables) if self.shapes else ():
            row = {"store": each.store, "key": each.key, "node": each.node, "size": each.size}
            yield row if each.found is None else {**row, "found_size": each.found}

    def _take(self, raid: RaidStore, name: str, number: int, listing: audits.Listing, page: list[ObjectInfo]) -> None:
        elsewhere = {info.key for info in page if raid.mode == "raid0" and home_of(info.key, len(raid.nodes)) != number}
        listing.add(raid_audits.label(name, number), [info for info in page if info.key not in elsewhere])
        listing.add(raid_audits.label(name, number, misplaced=True), [info for info in page if info.key in elsewhere])
        self.listener(StageAdvanced("listing", done=len(page)))

    def _ask(self, suspects: Iterable[Suspect]) -> bool:
        """True when an answer was another one than the listing's."""
        changed = False
        answers: list[Suspect] = []
        for done in in_parallel(suspects, self._head, threads=Pacer(self.limits), stop=self.stop):
            changed = changed or any(differs for _, differs in done)
            answers += [answer for answer, _ in done]
            self.listener(StageAdvanced(STAGE, done=len(done)))
        raid_audits.believe(self.tables, answers)
        return changed

    def _head(self, suspect: Suspect) -> tuple[Suspect, bool]:
        raid = self.deployment.raids()[suspect.store]
        try:
            found: int | None = raid.nodes.ask(suspect.node, lambda store: store.head(suspect.key)[0].size)
        except ObjectNotFound:
            found = None
        return replace(suspect, found=found), found != suspect.found

    def _result(self, shape: RaidShape, node: int) -> NodeAudit:
        raid = self.deployment.raids()[shape.store]
        fault = self.silent.get((shape.store, node))
        if fault is not None:
            self.listener(Note(f"{raid.nodes.name(node)}: {fault.message}", level="warning"))
        counts = raid_audits.count(self.tables, shape, node, shown=_SHOWN)
        url = raid.nodes.stores[node].url
        unreachable = None if fault is None else fault.message
        return NodeAudit(shape.store, shape.mode, node, url, counts.missing, counts.mismatched, counts.orphans, counts.sample, unreachable)
