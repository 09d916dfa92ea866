"""Checks of the repository's place: what is there, whether it can be written, and whether somebody else writes."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from lockstep.errors import DiskFailed, PermissionMissing, RepositoryNotFound
from lockstep.model.addresses import StoreAddress
from lockstep.model.checkup import Answer, failed, fine, warning
from lockstep.model.lifecycle import decide_kept_rules
from lockstep.objects.clock import ClockReading
from lockstep.objects.store import ObjectStore
from lockstep.operations.check_stores import Reached, reach
from lockstep.operations.preconditions import refuse_careless
from lockstep.repository.keyed_store import keyring_of
from lockstep.repository.layout import LOCKS, MARKER
from lockstep.repository.lock_state import read_lock
from lockstep.repository.manifest import Manifest
from lockstep.repository.repository import open_repository

_PROBE = b"lockstep check wrote this and may be deleted\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """The repository's place. `reached` is None for a directory that is not there yet; `newest` is None when there is no snapshot."""

    store: ObjectStore
    reached: Reached | None
    exists: bool
    newest: Manifest | None = None


def find(address: StoreAddress, open_store: Callable[[StoreAddress], ObjectStore]) -> tuple[Kept, Answer]:
    """Open the repository, or see that there is none yet."""
    store = open_store(address)
    directory = directory_of(store)
    if directory is not None and not directory.exists():
        return Kept(store, None, exists=False), fine(f"there is none at {store.url} yet; the first backup makes it")
    reached, _ = reach(address, lambda _: store)
    try:
        repository = open_repository(store)
    except RepositoryNotFound:
        return Kept(store, reached, exists=False), _free_place(store)
    snapshots = repository.snapshot_ids()
    newest = repository.manifest(snapshots[-1]) if snapshots else None
    count = "one snapshot" if len(snapshots) == 1 else f"{len(snapshots)} snapshots"
    detail = f"{store.url} has {count}" + (f", the newest of {newest.created.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if newest else "")
    return Kept(store, reached, exists=True, newest=newest), fine(detail)


def write(kept: Kept) -> Answer:
    """Whether the repository can be written: tried with a small object, which is removed again."""
    directory = directory_of(kept.store)
    if not kept.exists and directory is not None:
        return _try_directory(directory)
    key = f"{LOCKS}check-{secrets.token_hex(8)}"
    kept.store.write(key, _PROBE)
    try:
        if kept.store.read(key).bytes() != _PROBE:
            return failed(f"{kept.store.url} gives back other bytes than were written", hint="Check the disk or the service behind it.")
    finally:
        kept.store.delete([key])
        kept.store.flush()
    return fine("an object was written, read back and removed")


def lock(kept: Kept) -> Answer:
    """Whether a writer is at work."""
    holder = read_lock(kept.store) if kept.reached else None
    if holder is None:
        return fine("nobody writes to it")
    hint = "Wait until it ends before you start another."
    if holder.lives:
        return failed(f"{holder.who} writes to it", hint=hint)
    return warning(f"{holder.who} holds it, or died with it", hint=f"{hint} A backup takes it over from a dead one within a minute.")


def keys(kept: Kept) -> Answer:
    """Whether what the next backup writes is encrypted and signed as before. An option that was forgotten is the answer's fault."""
    keyring = keyring_of(kept.store)
    if kept.exists:
        repository = open_repository(kept.store)
        refuse_careless(repository)
    recipients = len(keyring.recipients)
    to = "one recipient" if recipients == 1 else f"{recipients} recipients"
    objects = "with the objects" if keyring.encrypt_objects else "without the objects"
    said = [f"encrypted to {to}, {objects}" if recipients else "not encrypted", "signed" if keyring.signing_key else "not signed"]
    return fine(f"what is written is {', '.join(said)}")


def lifecycle(kept: Kept) -> Answer:
    """Whether the repository's bucket deletes or archives objects by itself."""
    settings = kept.reached.settings if kept.reached else None
    if settings is None:
        return fine("no rule deletes or archives objects")
    try:
        return decide_kept_rules(settings.lifecycle(), prefix=settings.prefix)
    except PermissionMissing:
        return warning("not known: these credentials may not ask (s3:GetLifecycleConfiguration)", hint="Allow it, or look by other means.")


def clock(kept: Kept) -> ClockReading | None:
    """What time it is where the repository is."""
    return kept.reached.clock if kept.reached else None


def _free_place(store: ObjectStore) -> Answer:
    for page in store.list():
        if page:
            return warning(
                f"there is none at {store.url} yet, but other things are, such as {page[0].key!r}",
                hint="Give the repository a directory or a prefix of its own.",
            )
    return fine(f"there is none at {store.url} yet; the first backup makes it")


def directory_of(store: ObjectStore) -> Path | None:
    """The repository's root, when it is on a local disk."""
    marker = store.local_file(MARKER)
    return marker.parent if marker else None


def _try_directory(directory: Path) -> Answer:
    """Try the nearest directory that exists with a file that has a name for an instant at most."""
    existing = next(each for each in (directory, *directory.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(_PROBE)
            file.flush()
    except NotADirectoryError as error:
        raise DiskFailed(f"{existing} is a file, and a directory is to be made in it", hint="Name another place with --repo.") from error
    except PermissionError as error:
        raise PermissionMissing(
            f"nothing can be made in {existing}: {error.strerror}", hint="Run lockstep as its owner, or name another place with --repo."
        ) from error
    except OSError as error:
        raise DiskFailed(f"nothing can be made in {existing}: {error.strerror}", hint="Name another place with --repo.") from error
    return fine(f"it can be made in {existing}")
