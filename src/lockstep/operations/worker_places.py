"""The stores and the repository that a worker works on: opened once with the secrets of its environment, and what happened at them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.deployment.stores import open_stores
from lockstep.encryption.identities import Identities
from lockstep.encryption.keyring import Keyring
from lockstep.errors import FaultKind, LockstepError
from lockstep.model.workers import REPOSITORY, CarriedError, NodeTold, Places, StoreTold, with_secrets
from lockstep.objects.raid import RaidStore
from lockstep.objects.store import ObjectStore, RequestCounts
from lockstep.objects.transfer import ByteBudget, TransferLimits
from lockstep.operations.service_copies import ServiceCopies, all_service_copies
from lockstep.progress import SILENT
from lockstep.repository.place import open_place


@dataclass(slots=True)
class Opened:
    """The stores and the repository of one run, opened once in each worker, and what its shards share."""

    stores: Mapping[str, ObjectStore]
    repository: ObjectStore
    budget: ByteBudget = field(default_factory=lambda: ByteBudget(TransferLimits().bytes_in_flight))
    other_etags: set[str] = field(default_factory=set)
    into: Mapping[str, ServiceCopies] = field(default_factory=dict)
    back: Mapping[str, ServiceCopies] = field(default_factory=dict)
    """What lets the S3 service copy by itself, into the repository and back into the stores."""
    width: int | None = None
    """How many objects were in flight in the last shard: where the search for the best number goes on."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _counted: dict[str, RequestCounts] = field(default_factory=dict)
    _faults: dict[str, list[tuple[FaultKind, str]]] = field(default_factory=dict)
    _hearing: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        """Listen to the faults of every store for as long as this process lives."""
        for name, store in self.all().items():
            faults = self._faults.setdefault(name, [])

            def hear(fault: FaultKind, message: str, faults: list[tuple[FaultKind, str]] = faults) -> None:
                faults.append((fault, message))

            self._hearing.enter_context(store.requests.heard_by(hear))

    def all(self) -> dict[str, ObjectStore]:
        """The stores by name, and the repository."""
        return {**self.stores, REPOSITORY: self.repository}

    def take_told(self) -> dict[str, StoreTold]:
        """What happened at each store since this was last asked, by whichever shard."""
        told = {}
        with self._lock:
            for name, store in self.all().items():
                counts, before = store.requests.counts(), self._counted.get(name, RequestCounts())
                self._counted[name] = counts
                requests = {kind: getattr(counts, kind) - getattr(before, kind) for kind in ("list", "get", "head", "put", "delete")}
                heard = self._faults[name]
                faults = tuple(heard[: len(heard)])
                del heard[: len(faults)]
                told[name] = StoreTold({kind: count for kind, count in requests.items() if count}, faults)
        return told

    def take_nodes(self) -> tuple[NodeTold, ...]:
        """What was noticed at the nodes of a RAID since this was last asked."""
        raids = [store for store in self.stores.values() if isinstance(store, RaidStore)]
        return tuple(
            NodeTold(
                number,
                None if trouble.fault is None else carried(trouble.fault),
                tuple(trouble.missing),
                tuple(trouble.damaged),
            )
            for raid in raids
            for number, trouble in enumerate(raid.nodes.take_troubles())
            if trouble.fault or trouble.missing or trouble.damaged
        )


_open: dict[Places, Opened] = {}
_opening = threading.Lock()
_KEPT = 4
"""For how many runs the stores are kept open: a Dask worker outlives the runs that it works for."""


def opened_places(places: Places) -> Opened:
    """The stores and the repository of these places, opened when they are first asked for. Raises ConfigurationError, PermissionMissing."""
    with _opening:
        if places not in _open:
            filled = with_secrets(places, os.environ)
            identities = Identities([Path(file) for file in places.identity_files], places.identity_command)
            keyring = Keyring(places.recipients, places.encrypt_objects, allow_plain=True, identities=identities)
            stores = open_stores(filled.stores, raid=filled.raid, strict=filled.strict)
            repository, wanted = open_place(filled.repository, keyring), filled.server_side_copy
            into = all_service_copies(stores, repository, wanted=wanted, listener=SILENT)
            made = Opened(
                stores, repository, into=into, back=all_service_copies(stores, repository, wanted=wanted, listener=SILENT, back=True)
            )
            for oldest in list(_open)[: max(0, len(_open) + 1 - _KEPT)]:
                del _open[oldest]
            _open[places] = made
        return _open[places]


def carried(error: LockstepError) -> CarriedError:
    """An error as it travels."""
    return CarriedError(type(error).__name__, error.message, error.hint)
