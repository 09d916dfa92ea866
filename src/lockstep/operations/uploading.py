"""Bringing objects of the repository back into the stores: many at once, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lockstep.model.inventory import InventoryEntry, MissingObject
from lockstep.model.objects import ObjectInfo
from lockstep.objects.lane import carry_all
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits
from lockstep.operations.sending import Sender
from lockstep.operations.sent import Sending, Sent, Uploaded
from lockstep.operations.service_copies import all_service_copies
from lockstep.progress import Listener, StageAdvanced
from lockstep.repository.repository import Repository
from lockstep.tables import restores
from lockstep.tables.engine import Tables

STAGE = "objects"


@dataclass(frozen=True, slots=True)
class Uploader:
    """Brings objects back. `overwrite` replaces what differs; `verify` proves each upload by its ETag, or reads it back."""

    stores: Mapping[str, ObjectStore]
    repository: Repository
    tables: Tables
    limits: TransferLimits
    stop: Stop
    listener: Listener
    overwrite: bool = False
    verify: bool = True
    ask_each: bool = False
    server_side_copy: bool | None = None

    def upload(self, items: Iterable[tuple[InventoryEntry, ObjectInfo | None]]) -> Uploaded:
        """Upload what is not there; what the repository has lost goes into the table `unrestorable`."""
        pacer, budget = Pacer(self.limits), ByteBudget(self.limits.bytes_in_flight)
        listener, overwrite, verify = self.listener, self.overwrite, self.verify
        copies = all_service_copies(self.stores, self.repository.store, wanted=self.server_side_copy, listener=listener, back=True)
        sender = Sender(self.stores, self.repository, self.limits, budget, self.stop, listener, overwrite, verify, self.ask_each, copies)
        return self.record(carry_all((Sending(*item) for item in items), sender, pacer))

    def record(self, sent: Iterable[Sequence[Sent]]) -> Uploaded:
        """Add up what was sent, here or elsewhere, as it comes; what the repository has lost goes into the table `unrestorable`."""
        total = Uploaded()
        for outcomes in sent:
            restores.add_unrestorable(self.tables, [each for each in outcomes if isinstance(each, MissingObject)])
            for each in outcomes:
                total = total.plus(each) if isinstance(each, Uploaded) else total
            moved = sum(each.uploaded_bytes for each in outcomes if isinstance(each, Uploaded))
            self.listener(StageAdvanced(STAGE, done=len(outcomes), size_bytes=moved))
        return total
