"""What is asked before a backup writes anything."""

from __future__ import annotations

from collections.abc import Iterable

from lockstep.errors import ConfigurationError, DiskFailed, PermissionMissing
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.retry import FIRST_LOOK, noting, retrying
from lockstep.objects.store import ObjectStore
from lockstep.postgres.connection import Database
from lockstep.postgres.errors import grant_hint
from lockstep.postgres.privileges import read_rights
from lockstep.repository.keyed_store import keeping_of, locks_of
from lockstep.repository.layout import manifest_path
from lockstep.repository.locked import has_lock_record
from lockstep.repository.repository import Repository
from lockstep.repository.trust import why_untrusted

NAMED = 3
"""How many tables an error names."""


def refuse_unreadable(database: Database) -> None:
    """Raise PermissionMissing when the role cannot read all that pg_dump reads: it would fail, but only after objects were copied."""
    rights = read_rights(database)
    lacking = (*rights.unreadable, *(f"large object {number}" for number in rights.large_objects))
    if lacking:
        more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
        raise PermissionMissing(f'the user "{rights.user}" may not read {", ".join(lacking[:NAMED])}{more}', hint=grant_hint(rights.user))


def refuse_careless(repository: Repository) -> None:
    """Raise ConfigurationError when an option was forgotten that what was written before had: encryption, signatures, locks."""
    refuse_plain(repository)
    refuse_unsigned(repository)
    refuse_unlocked(repository)


def refuse_plain(repository: Repository) -> None:
    """Raise ConfigurationError when plain files would follow encrypted ones: an option that was forgotten must not publish anything."""
    keyring, snapshots = repository.keyring, repository.snapshot_ids()
    if keyring.allow_plain or not snapshots:
        return
    newest = repository.manifest(snapshots[-1])
    before = newest.encryption
    if before is None:
        return
    if not keyring.recipients:
        raise ConfigurationError(
            f"the newest snapshot {newest.snapshot} is encrypted, and no recipient is named",
            hint=f"Name them with --recipient ({', '.join(before.recipients)}), or add --allow-plain.",
        )
    if before.objects and not keyring.encrypt_objects:
        raise ConfigurationError(
            f"the newest snapshot {newest.snapshot} has encrypted objects, and --encrypt-objects is not given",
            hint="Add --encrypt-objects, or --allow-plain.",
        )


def refuse_unsigned(repository: Repository) -> None:
    """Raise ConfigurationError when what is written would leave the row of signatures, or stand on what is outside of it.

    The newest snapshot vouches for all before it, so a signature must not follow one that somebody else put there.
    """
    keyring, snapshots = repository.keyring, repository.snapshot_ids()
    if keyring.allow_unsigned or not snapshots:
        return
    newest, key = repository.manifest(snapshots[-1]), keyring.signing_key
    told = f"the newest snapshot {newest.snapshot}"
    if key is None:
        if newest.signed_by is not None:
            raise ConfigurationError(f"{told} is signed, and no key is named", hint="Name it with --sign-with, or add --allow-unsigned.")
        return
    if newest.signed_by is None:
        if any(repository.manifest(each).signed_by is not None for each in snapshots):
            raise ConfigurationError(
                f"{told} is not signed, and earlier ones are", hint="Find out who made it; when that is known, add --allow-unsigned."
            )
        return
    from lockstep.encryption.signatures import read_verify_key  # not for those who have no signatures

    path = manifest_path(SnapshotId(newest.snapshot))
    keys = (read_verify_key(key.public), *keyring.verify_keys)
    why = why_untrusted(repository.store, path, repository.store.read(path).bytes(), keys=keys)
    if why is not None:
        raise ConfigurationError(f"{told} {why}", hint="Name the key that signed it with --verify-key when yours has changed.")


def refuse_unlockable(store: ObjectStore) -> None:
    """Raise ConfigurationError when what is written is to be locked, and the bucket has no Object Lock."""
    locks = locks_of(store)
    if locks is not None and not retrying(locks.are_possible, policy=FIRST_LOOK, on_retry=noting(store.requests)):
        raise ConfigurationError(
            f"--lock-for is given, and the bucket of '{store.url}' has no Object Lock",
            hint="Make a bucket with Object Lock (aws s3api create-bucket --object-lock-enabled-for-bucket), or leave out --lock-for.",
        )


def refuse_unlocked(repository: Repository) -> None:
    """Raise ConfigurationError when what is not locked would follow what is: an option that was forgotten must not expose anything."""
    store = repository.store
    if locks_of(store) is None and not keeping_of(store).unlocked and has_lock_record(store):
        raise ConfigurationError(
            f"what is written into '{store.url}' was locked so far, and --lock-for is not given",
            hint="Add --lock-for, or lock_for under [repository] in lockstep.toml; --lock-for none locks nothing from now on.",
        )


def refuse_small_disk(store: ObjectStore, size_bytes: int) -> None:
    """Raise DiskFailed when so many bytes do not fit onto the disk of a repository. An object store does not say how much it has left."""
    free = store.free_bytes()
    if free is not None and size_bytes > free:
        raise DiskFailed(
            f"there is no room: '{store.url}' has {free} bytes left, and what is new takes {size_bytes}",
            hint="Make room, or name another place with --repo.",
        )


def look_at(stores: Iterable[ObjectStore]) -> None:
    """Raise what keeps a store from being used. A service that fails now and then is asked again, one that cannot be found is not."""
    for store in stores:
        retrying(store.check_reachable, policy=FIRST_LOOK, on_retry=noting(store.requests))
