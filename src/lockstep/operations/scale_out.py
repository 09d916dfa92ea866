"""Gives the moving and reading of objects to workers: cuts it into shards, and takes their reports as if all had been done here."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from lockstep import errors
from lockstep.errors import LockstepError, WorkersFailed
from lockstep.model.inventory import InventoryEntry, Wanted
from lockstep.model.objects import ObjectInfo
from lockstep.model.results import WorkersUsed
from lockstep.model.workers import REPOSITORY, CarriedError, Copying, NodeTold, Places, Reading, Shard, ShardReport, Uploading, Work
from lockstep.objects.raid import RaidStore
from lockstep.objects.raid_nodes import Trouble
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.fetching import Outcome
from lockstep.operations.reading_places import PlacesLooked
from lockstep.operations.sent import Sent
from lockstep.operations.shard_work import do_shard, read_identity
from lockstep.progress import Listener, Note
from lockstep.repository.lock_state import read_token
from lockstep.tables.verifications import Place
from lockstep.version import __version__
from lockstep.workers.cluster import ClusterCrew
from lockstep.workers.crew import Crew
from lockstep.workers.processes import ProcessCrew


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """Who moves or reads objects: `processes` workers on this machine, or the Dask cluster whose scheduler is at `dask`.

    The former are started with `command`, find `secrets` in their environment, and spool in `temporary` what does not fit into memory.
    """

    places: Places
    processes: int = 0
    command: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    temporary: str | None = None
    dask: str | None = None


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """How the work is cut. What a dead worker had in hand is copied again, so both numbers bound what its death costs."""

    objects: int = 1000
    """In one shard at most: some hundred kilobytes of keys, a second or two of work."""
    seconds: float = 5.0
    """After which a worker reports what it has, and what is left of the shard is given out anew."""
    look_seconds: float = 0.2
    """How long reports are waited for before what has come is journalled, and a stop is looked for."""
    least_objects: int = 20
    """A shard for fewer costs more than it brings."""
    shards_each: int = 4
    """How many shards there are for each place at a worker, at least, so that all end at about the same time."""
    patience_seconds: float = 6.0
    """How long workers have to report what they have when the run is stopped: those of a cluster hear of it when their time is up."""


LIMITS = ShardLimits()


class ScaledWork:
    """What one run gives to workers. `limits.threads` objects in all are in flight (None: each worker finds out)."""

    def __init__(
        self,
        crew: Crew[Shard, ShardReport],
        scale: ScaleOut,
        stores: Mapping[str, ObjectStore],
        repository: ObjectStore,
        *,
        limits: TransferLimits,
        stop: Stop,
        listener: Listener,
    ) -> None:
        self._crew, self._scale, self._stores, self._repository = crew, scale, stores, repository
        self._threads, self._stop, self._listener = limits.threads, stop, listener
        self._in_hand = 0
        self._left: deque[tuple[Any, ...]] = deque()
        self._peaks: dict[str, int] = {}

    def copy(self, wanted: Iterator[Wanted], *, objects: int, fail_fast: bool) -> Iterator[list[Outcome]]:
        """Let the workers copy `wanted`, which are so many; what becomes of them comes in lists, in no order.

        The first error of any worker is raised here, after what was copied by then has been given out. So is it when the run is stopped.
        """
        token = read_token(self._repository)
        if token is None:
            raise WorkersFailed("the lock of this run is gone", hint="Run the same command again: it resumes.")
        return self._move(wanted, Copying(fail_fast), objects=objects, proof=token)

    def upload(
        self, items: Iterator[tuple[InventoryEntry, ObjectInfo | None]], *, objects: int, repository_id: str, work: Uploading
    ) -> Iterator[list[Sent]]:
        """Let the workers bring back `items`, which are so many; otherwise as `copy`."""
        return self._move(items, work, objects=objects, proof=repository_id)

    def read(self, places: Iterator[Place], *, objects: int) -> Iterator[list[PlacesLooked]]:
        """Let the workers hold `places` of the repository, which are so many, against their checksums; otherwise as `copy`."""
        return self._move(places, Reading(), objects=objects, proof=read_identity(self._repository))

    def used(self) -> WorkersUsed:
        """Who took part so far."""
        return WorkersUsed(len(self._peaks), self._crew.lost, max(self._peaks.values(), default=0))

    def _move(self, items: Iterator[Any], work: Work, *, objects: int, proof: str) -> Iterator[list[Any]]:
        shards, more = self._cut(items, objects), True
        error: CarriedError | None = None
        while (more or self._left or self._in_hand) and error is None and not self._stop.is_set():
            more = self._hand_out(shards, work, proof) and more
            outcomes, error = self._take()
            yield outcomes
        if self._in_hand:
            yield from self._wound_down()
        if error is not None and not self._stop.is_set():
            raise _as_error(error)

    def _cut(self, items: Iterator[Any], objects: int) -> Iterator[tuple[Any, ...]]:
        """Shards of neighbouring keys; smaller ones where otherwise some workers would have none, or the last of them too much."""
        size = max(LIMITS.least_objects, min(LIMITS.objects, -(-objects // (LIMITS.shards_each * max(1, self._crew.width)))))
        while shard := tuple(islice(items, size)):
            yield shard

    def _hand_out(self, shards: Iterator[tuple[Any, ...]], work: Work, proof: str) -> bool:
        """Give the workers as much as they can have in hand; False when there is nothing more to cut."""
        scale, width = self._scale, self._crew.width
        while self._in_hand < width:
            following = self._part_of_left(width) if self._left else next(shards, None)
            if following is None:
                return False
            threads = None if self._threads is None else max(1, self._threads // width)
            far, seconds = scale.dask is not None, LIMITS.seconds
            self._crew.give(
                Shard(scale.places, work, proof, __version__, following, seconds, threads=threads, far=far, temporary=scale.temporary)
            )
            self._in_hand += 1
        return True

    def _part_of_left(self, width: int) -> tuple[Any, ...]:
        """The first of what came back, in parts where others would be idle: nobody should do the last of it alone."""
        first = self._left.popleft()
        part = max(LIMITS.least_objects, -(-len(first) // max(1, width - self._in_hand - len(self._left))))
        if first[part:]:
            self._left.appendleft(first[part:])
        return first[:part]

    def _take(self) -> tuple[list[Any], CarriedError | None]:
        """What has come since the last look, and the first error in it."""
        outcomes: list[Any] = []
        error: CarriedError | None = None
        for report in self._crew.take(LIMITS.look_seconds):
            self._in_hand -= 1
            self._absorb(report)
            outcomes += report.outcomes
            error = error or report.error
            if report.left:
                self._left.append(report.left)
        return outcomes, error

    def _wound_down(self) -> Iterator[list[Any]]:
        """What the workers have by now, so that the next run does not do it again."""
        self._crew.wind_down()
        deadline = time.monotonic() + LIMITS.patience_seconds
        while self._in_hand and time.monotonic() < deadline:
            yield self._take()[0]

    def _absorb(self, report: ShardReport) -> None:
        """Count what a worker sent as sent, and know of the nodes of a RAID what it noticed."""
        self._peaks[report.process] = max(report.peak_rss, self._peaks.get(report.process, 0))
        for message in report.notes:
            self._listener(Note(message, level="warning"))
        for name, told in report.told.items():
            requests = (self._repository if name == REPOSITORY else self._stores[name]).requests
            for kind, count in told.requests.items():
                requests.add(kind, count)
            for fault, message in told.faults:
                requests.add_fault(fault, message)
        for raid in [store for store in self._stores.values() if isinstance(store, RaidStore)]:
            for node in report.nodes:
                raid.nodes.add_trouble(node.number, _as_trouble(node))


@contextmanager
def scaled_crew(scale: ScaleOut | None, listener: Listener) -> Iterator[Crew[Shard, ShardReport] | None]:
    """A crew for the length of the block, or None. Processes are started when there is work; a cluster must be there at once.

    Raises ConfigurationError, WorkersFailed.
    """
    if scale is None:
        yield None
        return
    crew: Crew[Shard, ShardReport]
    if scale.dask is None:
        crew = ProcessCrew(scale.processes, command=scale.command, environment={**os.environ, **scale.secrets}, listener=listener)
    else:
        crew = ClusterCrew(scale.dask, do_shard, listener=listener)
    with closing(crew):
        yield crew


def _as_error(carried: CarriedError) -> LockstepError:
    kind = getattr(errors, carried.kind)
    made = kind(carried.message, hint=carried.hint)
    assert isinstance(made, LockstepError)
    return made


def _as_trouble(told: NodeTold) -> Trouble:
    return Trouble(None if told.fault is None else _as_error(told.fault), missing=set(told.missing), damaged=set(told.damaged))
