"""Files of a repository as local files: checked against what their manifest says, and decrypted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lockstep.encryption.streams import decrypted
from lockstep.errors import DiskFailed, IdentityNeeded, KeyRefused, LockstepError, ObjectNotFound, PermissionMissing, RepositoryInvalid
from lockstep.objects.doubt import Doubt
from lockstep.objects.known import read_known
from lockstep.objects.store import ObjectStore
from lockstep.repository.hashed import Hashed
from lockstep.repository.keyed_store import keyring_of, turn_to_older
from lockstep.repository.layout import ENCRYPTED
from lockstep.repository.manifest import FileEntry

CHUNK = 1 << 20


def local_copy(store: ObjectStore, entry: FileEntry, directory: Path) -> Path:
    """A file in a directory: see `Repository.local_copy`."""
    target, doubt = directory / entry.path.removesuffix(ENCRYPTED).replace("/", "-"), Doubt()
    here = store.local_file(entry.path)
    while True:
        stored = Hashed()
        try:
            _copy_once(store, entry, target, stored)
        except RepositoryInvalid:
            target.unlink(missing_ok=True)
            # What came over a network is read again before it counts as damaged.
            if here is not None:
                raise
            if not stored.size or doubt.is_settled(stored.sha256):
                if not turn_to_older(store, entry.path, size=entry.size, sha256=entry.sha256):
                    raise
                continue
            store.requests.add_fault("wrong_bytes", f"the bytes of '{entry.path}' are not what its manifest says")
        except LockstepError:
            target.unlink(missing_ok=True)
            raise
        else:
            if not target.exists() and here is not None:
                target.symlink_to(here)
            return target


def _copy_once(store: ObjectStore, entry: FileEntry, target: Path, stored: Hashed) -> None:
    target.unlink(missing_ok=True)
    here, plain = store.local_file(entry.path), Hashed()
    passing = blocks = stored.passing(_blocks(store, entry.path))
    identities = keyring_of(store).identities
    if entry.encrypted:
        passing = plain.passing(decrypted(blocks, identities, shown=entry.path))
    try:
        _take(passing, target if entry.encrypted or here is None else None)
    except IdentityNeeded:
        for _ in blocks if identities.given else ():  # where the beginning is damaged, no identity seems to fit
            pass
        if not identities.given or (stored.size, stored.sha256) == (entry.size, entry.sha256):
            raise
    if (stored.size, stored.sha256) != (entry.size, entry.sha256) or not _is_plain(entry, plain):
        raise RepositoryInvalid(f"'{entry.path}' is not what its manifest says", hint="Run 'lockstep verify' to see what else is damaged.")


def _blocks(store: ObjectStore, path: str) -> Iterator[bytes]:
    try:
        yield from read_known(store, path).chunks(CHUNK)  # on a disk too: it follows no link, and does not wait for a pipe
    except ObjectNotFound as error:
        raise RepositoryInvalid(f"'{path}' is gone", hint="Run 'lockstep verify' to see what else is damaged.") from error
    except (DiskFailed, KeyRefused, PermissionMissing) as error:  # of this one: the repository was opened, so others can be read
        raise RepositoryInvalid(f"'{path}' cannot be read: {error.message}", hint=error.hint) from error


def _take(blocks: Iterator[bytes], target: Path | None) -> None:
    """Write blocks into a new file, or let them just pass."""
    if target is None:
        for _ in blocks:
            pass
        return
    try:
        with target.open("xb") as file:
            for block in blocks:
                file.write(block)
    except OSError as error:
        raise DiskFailed(
            f"'{target.parent}' cannot be written: {error.strerror}",
            hint="Free some room there, or name another place with --temp-dir.",
        ) from error


def _is_plain(entry: FileEntry, found: Hashed) -> bool:
    """True when what came out of an encrypted file is what was put into it, as far as that is recorded."""
    if entry.plain is None:
        return True
    return found.size == entry.plain.size and entry.plain.sha256 in {None, found.sha256}
