"""The place where a probe writes: below the repository's own, under a name that no reader counts, and gone afterwards."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockstep.encryption.keyring import NO_KEYS
from lockstep.errors import LockstepError
from lockstep.model.addresses import StoreAddress
from lockstep.model.checkup import Answer, fine
from lockstep.model.probes import decide_cleanup
from lockstep.objects.keys import MAX_KEY_BYTES
from lockstep.objects.patient import PatientStore
from lockstep.objects.retry import Backoff, RetryPolicy
from lockstep.objects.service_probe import ServiceProbe, open_service_probe
from lockstep.objects.store import ObjectStore, is_local
from lockstep.repository.layout import LOCKS, WORK
from lockstep.repository.place import open_place

PROBES = f"{LOCKS}probe-"
"""Where probes write: beside the locks, which no reader counts and where none looks for what has another name."""

LEFT_OVER = timedelta(hours=1)
"""A probe takes seconds: what one wrote so long ago was left by one that was killed."""

BRIEFLY = RetryPolicy(unreachable=Backoff(4, 0.2, 2, 1), busy=Backoff(4, 0.5, 2, 2))
"""A service that fails now and then must not look like one that cannot; one that never can is not to be waited for."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A place to try things out: `store` as a run opens it, but less patient; `service` where it is one of S3; the prefix of all keys.

    `root` is a directory that is made for the probe alone, None where the repository's own place is used. `made` has the keys so far.
    """

    store: ObjectStore
    service: ServiceProbe | None
    address: StoreAddress
    prefix: str
    root: Path | None = None
    made: set[str] = field(default_factory=set)

    @property
    def engine(self) -> ObjectStore:
        """The store without any patience, where a refusal is the answer."""
        return self.service.engine if self.service else self.store

    def key(self, name: str) -> str:
        """The key of something to try out; what lies there goes in the end, whether a listing shows it or not."""
        self.made.add(f"{self.prefix}{name}")
        return f"{self.prefix}{name}"

    def below(self, name: str) -> StoreAddress:
        """The address of a place below it."""
        return replace(self.address, url=f"{self.address.url.rstrip('/')}/{self.prefix}{name}")

    def longest_name(self) -> str:
        """A name whose key is as long as S3 allows, with the prefix of the store before it."""
        before = len(self.below("").url.partition("://")[2].partition("/")[2].encode())
        return "/".join("k" * 200 for _ in range(6))[: MAX_KEY_BYTES - before]


def open_scratch(address: StoreAddress, directory: Path | None) -> tuple[Scratch, Answer]:
    """Choose a place below the repository's, and remove what killed probes left there.

    `directory` is the repository's own, when it is on a disk. While it does not exist, one is made beside it and goes again.
    """
    token, root = secrets.token_hex(8), None
    if directory is not None and not directory.exists():
        existing = next(each for each in directory.parents if each.exists())
        root = existing / f".lockstep-probe-{token}"
        address = replace(address, url=root.as_uri())
    service = open_service_probe(address)
    store = PatientStore(service.engine, policy=BRIEFLY) if service else open_place(address, NO_KEYS)
    scratch = Scratch(store, service, address, f"{PROBES}{token}/", root)
    swept = 0 if root is not None else _sweep(scratch)
    return scratch, fine(
        f"tried below {scratch.store.url}/{scratch.prefix}" + (f"; {swept} objects of a killed probe are removed" if swept else "")
    )


def clean(scratch: Scratch) -> Answer:
    """Remove everything that was written, versions and unfinished uploads too."""
    if is_local(scratch.store):
        _remove_directory(scratch)
        return decide_cleanup(left=0, kept_versions=0)
    listed = listed_below(scratch.store, scratch.prefix)
    delete_each(scratch.engine, scratch.made - listed)
    scratch.store.delete(sorted(listed))
    kept = scratch.service.purge(scratch.prefix, scratch.made) if scratch.service else 0
    return decide_cleanup(left=len(listed_below(scratch.store, scratch.prefix)), kept_versions=kept)


def listed_below(store: ObjectStore, prefix: str) -> set[str]:
    """The keys that a listing shows under a prefix."""
    return {info.key for page in store.list(prefix) for info in page}


def delete_each(store: ObjectStore, keys: Iterable[str]) -> None:
    """Delete objects one by one, whatever becomes of the others."""
    for key in keys:
        with suppress(LockstepError):
            store.delete([key])


def _sweep(scratch: Scratch) -> int:
    """Remove what killed probes left, as far as it is old; returns how many objects."""
    since = datetime.now(UTC) - LEFT_OVER
    old = [info.key for page in scratch.store.list(PROBES) for info in page if info.modified is not None and info.modified < since]
    delete_each(scratch.engine, old)
    return len(old)


def _remove_directory(scratch: Scratch) -> None:
    here = scratch.store.local_file(f"{scratch.prefix}x")
    assert here is not None  # it is local
    shutil.rmtree(scratch.root or here.parent, ignore_errors=True)
    if scratch.root is None:
        for directory in (here.parents[2] / WORK, here.parents[1]):  # the locks, where there were none before
            with suppress(OSError):
                directory.rmdir()
