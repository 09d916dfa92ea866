"""Heal single nodes of a RAID: what one lacks or has wrong is written again, from the other nodes or from the repository.

What may be written, and where:

- The bytes must be proven. When the inventory knows the object, its SHA-256 decides: the other nodes' bytes count if they have it, else
  the repository's do; then every node that holds anything else is wrong, and is written.
- When it does not, the other nodes' bytes count if each is what its node announced, and all agree; then only those nodes are written
  that the audit found to lack the object, or to have it of another size.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lockstep.deployment.deployment import Deployment
from lockstep.errors import DiskFailed, KeyRefused, ObjectNotFound, PermissionMissing, RepositoryInvalid
from lockstep.model.inventory import InventoryEntry, MissingObject, attributes_from_text
from lockstep.model.objects import ObjectAttributes
from lockstep.model.results import NodeRepair
from lockstep.objects.raid import weight_in_memory
from lockstep.objects.retry import retrying
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits, in_parallel
from lockstep.progress import Listener, StageAdvanced
from lockstep.repository.pool import read_object
from lockstep.repository.repository import Repository
from lockstep.tables import restores
from lockstep.tables.engine import Tables

STAGE = "nodes"

_Degraded = tuple[MissingObject, list[int], InventoryEntry | None]


@dataclass(frozen=True, slots=True)
class Healed:
    """What was healed: objects, their bytes, and which nodes were written to."""

    objects: int
    size_bytes: int
    nodes: tuple[NodeRepair, ...]


@dataclass(frozen=True, slots=True)
class NodeHealer:
    """Heals nodes; `repository` is None where none is named, and the nodes must suffice."""

    deployment: Deployment
    repository: Repository | None
    tables: Tables
    limits: TransferLimits
    listener: Listener
    stop: Stop

    def heal(self, degraded: Iterable[_Degraded]) -> Healed:
        """Write what is proven; what is not goes into the table `unrestorable`. Raises StoreUnreachable when a node fails."""
        budget, pacer = ByteBudget(self.limits.bytes_in_flight), Pacer(self.limits)
        objects, size_bytes, written = 0, 0, Counter[tuple[str, int]]()
        for outcomes in in_parallel(degraded, lambda each: self._one(each, budget), threads=pacer, stop=self.stop):
            restores.add_unrestorable(self.tables, [each for each in outcomes if isinstance(each, MissingObject)])
            for each in outcomes:
                if not isinstance(each, MissingObject):
                    store, nodes, size = each
                    objects, size_bytes = objects + bool(nodes), size_bytes + (size if nodes else 0)
                    written.update((store, node) for node in nodes)
            self.listener(StageAdvanced(STAGE, done=len(outcomes)))
        raids = self.deployment.raids()
        urls = {(name, node): store.url for name, raid in raids.items() for node, store in enumerate(raid.nodes.stores)}
        return Healed(objects, size_bytes, tuple(NodeRepair(name, node, url, written[name, node]) for (name, node), url in urls.items()))

    def _one(self, degraded: _Degraded, budget: ByteBudget) -> tuple[str, list[int], int] | MissingObject:
        wanted, nodes, known = degraded
        raid = self.deployment.raids()[wanted.store]
        size = known.size if known else wanted.size
        with budget.take(weight_in_memory(raid, size or self.limits.whole_up_to) or 0):
            found = retrying(lambda: self._proven(wanted, nodes, known), stop=self.stop)
            if found is None:
                return wanted
            data, attributes = found
            only = None if known else nodes
            return wanted.store, retrying(lambda: raid.heal(wanted.key, data, attributes=attributes, only=only), stop=self.stop), len(data)

    def _proven(self, wanted: MissingObject, nodes: list[int], known: InventoryEntry | None) -> tuple[bytes, ObjectAttributes] | None:
        raid = self.deployment.raids()[wanted.store]
        readings = raid.readings(wanted.key, size=known.size if known else wanted.size, without=nodes)
        if known is None:
            return (readings[0].data, readings[0].attributes) if len(readings) == 1 else None
        for body in readings:
            if hashlib.sha256(body.data).hexdigest() == known.sha256:
                return body.data, body.attributes
        return self._kept(known)

    def _kept(self, known: InventoryEntry) -> tuple[bytes, ObjectAttributes] | None:
        """The object as the repository has it, if that is what was recorded."""
        if self.repository is None:
            return None
        try:
            data = read_object(self.repository.store, known).bytes()
            attributes = attributes_from_text(known.attributes)
        except (ObjectNotFound, RepositoryInvalid, DiskFailed, PermissionMissing, KeyRefused, ValueError, TypeError):
            return None
        return (data, attributes) if hashlib.sha256(data).hexdigest() == known.sha256 else None
