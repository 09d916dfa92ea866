"""Holds files of the pool against the inventory in threads, here or in a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from lockstep.model.findings import Fault
from lockstep.objects.retry import noting, retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Pacer, Stop, TransferLimits, in_parallel
from lockstep.operations.verify_older import with_older
from lockstep.tables.verifications import Check, Place

LOCAL_THREADS_PER_CPU = 2
"""On a disk: one hashes while another waits for its read, and for the interpreter."""

LOCAL_BATCH = 16
"""How many files of a disk a thread takes at once: what it costs to take one is seen beside reading 4 KiB, and not beside reading 64."""


@dataclass(frozen=True, slots=True)
class PlacesLooked:
    """What came of some places: how many they were, the bytes of those that were right, and what is wrong with the others."""

    looked: int
    size_bytes: int
    faults: tuple[tuple[Place, Fault], ...]


def is_on_disk(store: ObjectStore) -> bool:
    """Whether the files are those of this machine."""
    return store.local_file("x") is not None


def look_at_places(store: ObjectStore, places: Iterator[Place], check: Check, *, pacer: Pacer, stop: Stop) -> Iterator[list[PlacesLooked]]:
    """Apply a check to places in threads; what it comes to is given out in lists, in no order."""
    most = LOCAL_BATCH if is_on_disk(store) else 1
    batches = iter(lambda: list(islice(places, most)), [])
    on_retry = noting(store.requests, and_then=pacer.note)

    def patiently(place: Place) -> Fault | None:
        fault = retrying(lambda: check(*place), on_retry=on_retry, stop=stop)
        return fault and with_older(store, fault, place[0], size=place[1], sha256=place[2])

    def work(batch: list[Place]) -> PlacesLooked:
        faults, size_bytes = [], 0
        for place in batch:
            fault = patiently(place)
            if fault is None:
                size_bytes += place[1]
            else:
                faults.append((place, fault))
        return PlacesLooked(len(batch), size_bytes, tuple(faults))

    return in_parallel(batches, work, threads=pacer, stop=stop)


def local_limits(limits: TransferLimits, store: ObjectStore, *, cpus: int | None = None) -> TransferLimits:
    """The limits for files of a disk, where the number of threads is known beforehand; those that were given, elsewhere."""
    if limits.threads or not is_on_disk(store):
        return limits
    return TransferLimits(threads=LOCAL_THREADS_PER_CPU * (cpus or os.cpu_count() or 1))
