"""What a worker does with a shard: it moves or reads each object of it, and reports."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError, RepositoryInvalid, RepositoryNotFound, WorkersFailed
from lockstep.model.inventory import MissingObject
from lockstep.model.pacing import PaceLimits
from lockstep.model.workers import Copying, Reading, Shard, ShardReport, Uploading
from lockstep.objects.lane import carry_all
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Pacer, Stop, TransferLimits
from lockstep.operations.counting import peak_rss_bytes
from lockstep.operations.fetching import Fetcher
from lockstep.operations.pool_reader import PoolReader
from lockstep.operations.reading_places import local_limits, look_at_places
from lockstep.operations.sending import Sender
from lockstep.operations.sent import Sending
from lockstep.operations.work import work_directory
from lockstep.operations.worker_places import Opened, carried, opened_places
from lockstep.progress import Event, Note
from lockstep.repository.lock_state import read_token
from lockstep.repository.repository import open_repository
from lockstep.version import __version__

LOOK_SECONDS = 1.0
"""How often a far worker looks whether its run still holds the lock: it must not write into the time of the next one."""

PACE = PaceLimits(first=8, most=32)
"""Half of what a process that copies alone has: a worker has two shards in hand."""


def do_shard(shard: Shard, stop: Stop) -> ShardReport:
    """Move or read the objects of a shard; an error of lockstep is part of the report, with what was done by then.

    Nothing counts before the report has arrived: when this process dies, the shard is given to another one as it was.
    """
    waiting = iter(shard.objects)
    try:
        opened = opened_places(shard.places)
    except LockstepError as error:
        return ShardReport(left=shard.objects, error=carried(error), process=_here())
    done, notes = list[Any](), list[str]()
    durable, failed = not shard.far or isinstance(shard.work, Reading), list[LockstepError]()
    try:
        _check(shard, opened)
        for outcomes in _moved(shard, _in_time(waiting, shard, opened), opened, stop=stop, notes=notes):
            done += outcomes
        if not durable:
            for store in opened.all().values():
                store.flush()
            durable = True
    except LockstepError as error:
        failed.append(error)
    return ShardReport(
        outcomes=tuple(each for each in done if durable or isinstance(each, MissingObject)),
        left=tuple(waiting),
        notes=tuple(notes),
        told=opened.take_told(),
        nodes=opened.take_nodes(),
        error=carried(failed[0]) if failed else None,
        process=_here(),
        peak_rss=peak_rss_bytes(),
    )


def _check(shard: Shard, opened: Opened) -> None:
    """Refuse what would go wrong unseen: another version, or another place under the same name."""
    here = f"a worker ({_here()})"
    if shard.version != __version__:
        raise WorkersFailed(f"{here} runs lockstep {__version__}, and {shard.version} asks it", hint="Install the same version everywhere.")
    if _proof(shard, opened) != shard.proof:
        raise WorkersFailed(
            f"{here} does not find in {opened.repository.url} what this run has there",
            hint="Let every worker see the same repository: an object store, or one directory that is mounted everywhere.",
        )


def _proof(shard: Shard, opened: Opened) -> str | None:
    if isinstance(shard.work, Copying):
        return read_token(opened.repository)
    if isinstance(shard.work, Reading):
        return read_identity(opened.repository)
    with suppress(RepositoryNotFound):
        return open_repository(opened.repository).id
    return None


def read_identity(repository: ObjectStore) -> str:
    """The id of the repository at a place; "" where there is none, or it is damaged: that stops nobody who looks for damage."""
    with suppress(RepositoryNotFound, RepositoryInvalid):
        return open_repository(repository).id
    return ""


def _here() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _moved(shard: Shard, items: Iterator[Any], opened: Opened, *, stop: Stop, notes: list[str]) -> Iterator[list[Any]]:
    pace = PACE if opened.width is None else replace(PACE, first=opened.width)
    limits = TransferLimits(threads=shard.threads, pace=pace)
    if isinstance(shard.work, Reading):
        pacer = Pacer(local_limits(limits, opened.repository, cpus=1))
        yield from look_at_places(opened.repository, items, PoolReader(opened.repository).read, pacer=pacer, stop=stop)
        opened.width = pacer.width
        return
    pacer = Pacer(limits)
    with work_directory(Path(shard.temporary) if shard.temporary else None) as directory:
        if isinstance(shard.work, Copying):
            budget, way = opened.budget, (shard.work.fail_fast, opened.other_etags, opened.into)
            fetcher = Fetcher(opened.stores, opened.repository, limits, budget, directory, stop, *way)
            yield from carry_all(items, fetcher, pacer)
        else:
            sender = _sender(shard.work, opened, limits, stop=stop, notes=notes)
            yield from carry_all((Sending(*item) for item in items), sender, pacer)
    opened.width = pacer.width


def _sender(work: Uploading, opened: Opened, limits: TransferLimits, *, stop: Stop, notes: list[str]) -> Sender:
    """What sends the objects of the shard."""

    def listen(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.message)

    repository = open_repository(opened.repository)
    way = (work.overwrite, work.verify, work.ask_each, opened.back)
    return Sender(opened.stores, repository, limits, opened.budget, stop, listen, *way)


def _in_time(waiting: Iterator[Any], shard: Shard, opened: Opened) -> Iterator[Any]:
    """What is waiting, until the time is up, or a far worker's run is over; the rest stays where it is."""
    began = looked = time.monotonic()
    while (now := time.monotonic()) - began < shard.seconds:
        if shard.far and isinstance(shard.work, Copying) and now - looked >= LOOK_SECONDS:
            looked = now
            if read_token(opened.repository) != shard.proof:
                return
        following = next(waiting, None)
        if following is None:
            return
        yield following
