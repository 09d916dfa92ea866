"""Looks at objects where they lie in the repository; what is encrypted also against what is in it, where an identity is given."""

from __future__ import annotations

from lockstep.encryption.streams import decrypted
from lockstep.errors import DiskFailed, IdentityNeeded, KeyRefused, ObjectNotFound, PermissionMissing, RepositoryInvalid
from lockstep.model.findings import Fault
from lockstep.model.inventory import InventoryEntry
from lockstep.objects.checksums import BLOCK, Checker
from lockstep.objects.known import read_known
from lockstep.objects.store import ObjectStore
from lockstep.repository.hashed import Hashed
from lockstep.repository.keyed_store import keyring_of
from lockstep.repository.pool import place_of, read_stored
from lockstep.repository.repository import Repository
from lockstep.tables import inventory
from lockstep.tables.engine import Tables


class PoolReader:
    """Holds objects against the inventory. Safe to use from many threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self._checker = store, Checker(store)

    def look(self, path: str, size: int, sha256: str, inside: str | None) -> Fault | None:  # noqa: ARG002 - as `read`
        """Hold the size alone against the recorded one."""
        return self._checker.look(path, size, sha256)

    def read(self, path: str, size: int, sha256: str, inside: str | None) -> Fault | None:
        """Hold the bytes against the recorded checksum, and what is in them against `inside`, which is None where they are plain.

        Raises IdentityNeeded when none of the identities that are given reads what is as it was written.
        """
        identities = keyring_of(self._store).identities
        if inside is None or not identities.given:
            return self._checker.read(path, size, sha256)
        stored, plain = Hashed(), Hashed()
        try:
            for chunk in decrypted(stored.passing(read_known(self._store, path).chunks(BLOCK)), identities, shown=path):
                plain.take(chunk)
        except IdentityNeeded:
            fault = self._checker.read(path, size, sha256)
            if fault is None:
                raise
            return fault
        except (RepositoryInvalid, ObjectNotFound, KeyRefused, PermissionMissing, DiskFailed):
            return self._checker.read(path, size, sha256) or Fault("tampered", "cannot be decrypted")
        if (stored.size, stored.sha256) != (size, sha256):
            return self._checker.read(path, size, sha256)
        return None if plain.sha256 == inside else Fault("tampered", "what is in it is not what was recorded")


def refuse_unreadable_objects(repository: Repository, tables: Tables, table: str) -> None:
    """Raise IdentityNeeded when objects of a table cannot be read with the identities that are given; one of each run is tried.

    One that is lost or damaged says nothing: that is found when it is its turn.
    """
    identities, wrong = repository.keyring.identities, None
    for entry in inventory.one_encrypted_of_each_run(tables, table):
        try:
            for _ in decrypted(read_stored(repository.store, entry).chunks(BLOCK), identities, shown=place_of(entry)):
                pass
        except IdentityNeeded as error:
            wrong = None if _is_damaged(repository, entry) else error
        except (RepositoryInvalid, ObjectNotFound, KeyRefused, PermissionMissing, DiskFailed):
            continue
        if wrong is not None:
            raise wrong


def _is_damaged(repository: Repository, entry: InventoryEntry) -> bool:
    return Checker(repository.store).read(place_of(entry), entry.size_there, entry.sha256_there) is not None
