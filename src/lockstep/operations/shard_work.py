"""What a worker does: it opens the stores with the secrets of its own environment, and copies the objects of one shard."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from lockstep.deployment.stores import open_stores
from lockstep.encryption.keyring import Keyring
from lockstep.errors import FaultKind, LockstepError, WorkersFailed
from lockstep.model.inventory import InventoryEntry, MissingObject, Wanted
from lockstep.model.pacing import PaceLimits
from lockstep.model.workers import REPOSITORY, CarriedError, NodeTold, Places, Shard, ShardReport, StoreTold, with_secrets
from lockstep.objects.raid import RaidStore
from lockstep.objects.store import ObjectStore, RequestCounts
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits, in_parallel
from lockstep.operations.counting import peak_rss_bytes
from lockstep.operations.fetching import Fetcher, Outcome
from lockstep.operations.work import work_directory
from lockstep.repository.lock_state import read_token
from lockstep.repository.place import open_place
from lockstep.version import __version__

LOOK_SECONDS = 1.0
"""How often a far worker looks whether its run still holds the lock: it must not write into the time of the next one."""

PACE = PaceLimits(first=8, most=32)
"""Half of what a process that copies alone has: a worker has two shards in hand."""


def copy_shard(shard: Shard, stop: Stop) -> ShardReport:
    """Copy the objects of a shard; an error of lockstep is part of the report, with what was copied by then.

    Nothing counts before the report is journalled: when this process dies, the shard is given to another one as it was.
    """
    waiting = iter(shard.objects)
    try:
        opened = _opened(shard.places)
    except LockstepError as error:
        return ShardReport(left=shard.objects, error=_carried(error), process=_here())
    done: list[Outcome] = []
    durable, failed = not shard.far, list[LockstepError]()
    try:
        _check(shard, opened)
        with work_directory(Path(shard.temporary) if shard.temporary else None) as work:
            for outcomes in _copy(shard, _in_time(waiting, shard, opened), opened, work, stop):
                done += outcomes
        if shard.far:
            opened.repository.flush()
            durable = True
    except LockstepError as error:
        failed.append(error)
    return ShardReport(
        copied=tuple(each for each in done if durable and isinstance(each, InventoryEntry)),
        missing=tuple(each for each in done if isinstance(each, MissingObject)),
        left=tuple(waiting),
        told=opened.take_told(),
        nodes=opened.take_nodes(),
        error=_carried(failed[0]) if failed else None,
        process=_here(),
        peak_rss=peak_rss_bytes(),
    )


@dataclass(slots=True)
class _Opened:
    """The stores and the repository of one run, opened once in each worker, and what its shards share."""

    stores: Mapping[str, ObjectStore]
    repository: ObjectStore
    budget: ByteBudget = field(default_factory=lambda: ByteBudget(TransferLimits().bytes_in_flight))
    other_etags: set[str] = field(default_factory=set)
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
                None if trouble.fault is None else _carried(trouble.fault),
                tuple(trouble.missing),
                tuple(trouble.damaged),
            )
            for raid in raids
            for number, trouble in enumerate(raid.nodes.take_troubles())
            if trouble.fault or trouble.missing or trouble.damaged
        )


_open: dict[Places, _Opened] = {}
_opening = threading.Lock()
_KEPT = 4
"""For how many runs the stores are kept open: a Dask worker outlives the runs that it works for."""


def _opened(places: Places) -> _Opened:
    with _opening:
        if places not in _open:
            filled = with_secrets(places, os.environ)
            keyring = Keyring(places.recipients, places.encrypt_objects, allow_plain=True)
            made = _Opened(open_stores(filled.stores, raid=filled.raid), open_place(filled.repository, keyring))
            for oldest in list(_open)[: max(0, len(_open) + 1 - _KEPT)]:
                del _open[oldest]
            _open[places] = made
        return _open[places]


def _check(shard: Shard, opened: _Opened) -> None:
    """Refuse what would go wrong unseen: another version, or another place under the same name."""
    here = f"a worker ({_here()})"
    if shard.version != __version__:
        raise WorkersFailed(f"{here} runs lockstep {__version__}, and {shard.version} asks it", hint="Install the same version everywhere.")
    if read_token(opened.repository) != shard.token:
        raise WorkersFailed(
            f"{here} does not find the lock of this run in {opened.repository.url}",
            hint="Let every worker see the same repository: an object store, or one directory that is mounted everywhere.",
        )


def _here() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _carried(error: LockstepError) -> CarriedError:
    return CarriedError(type(error).__name__, error.message, error.hint)


def _copy(shard: Shard, wanted: Iterator[Wanted], opened: _Opened, work: Path, stop: Stop) -> Iterator[list[Outcome]]:
    pace = PACE if opened.width is None else replace(PACE, first=opened.width)
    limits = TransferLimits(threads=shard.threads, pace=pace)
    pacer = Pacer(limits)
    fetcher = Fetcher(opened.stores, opened.repository, limits, opened.budget, work, stop, shard.fail_fast, opened.other_etags)
    yield from in_parallel(wanted, lambda each: fetcher.fetch(each, pacer), threads=pacer, stop=stop)
    opened.width = pacer.width


def _in_time(wanted: Iterator[Wanted], shard: Shard, opened: _Opened) -> Iterator[Wanted]:
    """What is waiting, until the time is up, or a far worker's run is over; the rest stays where it is."""
    began = looked = time.monotonic()
    while (now := time.monotonic()) - began < shard.seconds:
        if shard.far and now - looked >= LOOK_SECONDS:
            looked = now
            if read_token(opened.repository) != shard.token:
                return
        following = next(wanted, None)
        if following is None:
            return
        yield following
