"""The objects in a repository: checked on the way in, hashed, and each at its one place."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lockstep.encryption.streams import encrypt, encrypted
from lockstep.errors import ObjectExists, ObjectNotFound, RepositoryInvalid
from lockstep.model.checks import Received, decide_why_wrong
from lockstep.model.inventory import InventoryEntry, Wanted, WhyMissing, attributes_as_text
from lockstep.model.keys import can_be_a_file_name, is_store_name, may_be_another
from lockstep.objects.known import read_known
from lockstep.objects.store import Body, ObjectStore
from lockstep.objects.transfer import TransferLimits
from lockstep.repository.decrypted_body import DecryptedBody
from lockstep.repository.hashed import Hashed
from lockstep.repository.keyed_store import keyring_of, turn_to_older
from lockstep.repository.layout import ENCRYPTED, encrypted_path, is_odd_path, odd_path, own_path
from lockstep.repository.locked import lock_again


class WrongBytes(Exception):
    """What arrived is not the object that is meant; nothing was kept. `sha256` is that of what arrived; empty when nothing was read."""

    def __init__(self, why: WhyMissing, *, sha256: str = "") -> None:
        super().__init__(why)
        self.why: WhyMissing = why
        self.sha256 = sha256


class _Hashing:
    """Checksums of bytes that pass by."""

    def __init__(self, *, etag_is_md5: bool) -> None:
        self.size = 0
        self._etag_is_md5 = etag_is_md5
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        self.size += len(data)
        self._sha256.update(data)
        self._md5.update(data)

    def received(self, body: Body) -> Received:
        return Received(self.size, self._sha256.hexdigest(), self._md5.hexdigest(), body.info.size, body.info.etag, self._etag_is_md5)


def save_object(
    store: ObjectStore, wanted: Wanted, body: Body, *, limits: TransferLimits, work: Path, etag_is_md5: bool = True
) -> InventoryEntry:
    """Check the bytes of an object while they arrive and put them at their place in the repository.

    `etag_is_md5` false leaves the ETag out of the check. Raises WrongBytes when they are not right, and KeyRefused when something else
    is in the way of the key (the caller asks again with `odd`); then nothing of them is in the repository. A large object that lies
    aside is spooled in `work` first, since its place is its checksum.
    """
    if wanted.size is not None and body.info.size != wanted.size:
        raise WrongBytes("wrong_size")  # before the first byte: what is announced so cannot become right
    hashing = _Hashing(etag_is_md5=etag_is_md5)
    recipients = keyring_of(store).object_recipients
    aside = wanted.odd or may_be_another(wanted.key) or not _can_be_named(wanted.key, encrypted=bool(recipients))
    if body.info.size <= limits.whole_up_to:
        data = body.bytes()
        hashing.update(data)
        entry = _entry(wanted, body, _checked(hashing, body, wanted))
        return _save_whole(store, entry, data, aside=aside)
    if not aside:
        return _save_stream(store, wanted, body, hashing, limits)
    return _save_spooled(store, wanted, body, hashing, limits=limits, work=work)


def replace_object(store: ObjectStore, entry: InventoryEntry, body: Body, *, limits: TransferLimits) -> None:
    """Put the bytes of an object at its place again. Raises WrongBytes when they are not those that the inventory records."""
    hashing = _Hashing(etag_is_md5=False)

    def checked() -> Iterator[bytes]:
        for chunk in body.chunks(limits.chunk):
            hashing.update(chunk)
            yield chunk
        received = hashing.received(body)
        if (received.size, received.sha256) != (entry.size, entry.sha256):
            raise WrongBytes("wrong_checksum", sha256=received.sha256)  # raising here keeps the object from appearing

    store.write_stream(place_of(entry), checked(), overwrite=True)


def read_object(store: ObjectStore, entry: InventoryEntry) -> Body:
    """Begin to read an object of the repository, decrypted. Raises ObjectNotFound when the repository lost it."""
    body = read_stored(store, entry)
    if not entry.encrypted:
        return body
    return DecryptedBody(body, entry, identities=keyring_of(store).identities, path=place_of(entry))


def read_stored(store: ObjectStore, entry: InventoryEntry) -> Body:
    """Begin to read the bytes of an object as they lie there. Raises ObjectNotFound when the repository lost them."""
    place = place_of(entry)
    try:
        return store.read(place)
    except ObjectNotFound:
        turn_to_older(store, place, size=entry.size_there, sha256=entry.sha256_there)
        return read_known(store, place)


def place_of(entry: InventoryEntry) -> str:
    """Where an object lies. Raises RepositoryInvalid when the inventory names a place where none may lie."""
    if entry.location is not None and is_odd_path(entry.location):
        if entry.location == odd_path(entry.sha256_there, encrypted=entry.encrypted):
            return entry.location
    elif is_store_name(entry.store) and _can_be_named(entry.key, encrypted=entry.encrypted):
        own = _own_place(entry.store, entry.key, encrypted=entry.encrypted)
        if entry.location == (own if entry.encrypted else None):
            return own
    raise RepositoryInvalid(f"the inventory gives the object '{entry.key!r}' a place that it cannot have", hint="Run 'lockstep verify'.")


def plain_place(store: ObjectStore, wanted: Wanted) -> str | None:
    """Where a wanted object is to lie as it is under its own key; None when it is to lie aside, or encrypted."""
    if wanted.odd or keyring_of(store).object_recipients or may_be_another(wanted.key) or not can_be_a_file_name(wanted.key):
        return None
    return own_path(wanted.store, wanted.key)


def _can_be_named(key: str, *, encrypted: bool) -> bool:
    return can_be_a_file_name(key) and (not encrypted or can_be_a_file_name(key + ENCRYPTED))


def _own_place(store: str, key: str, *, encrypted: bool) -> str:
    return encrypted_path(store, key) if encrypted else own_path(store, key)


def _checked(hashing: _Hashing, body: Body, wanted: Wanted) -> Received:
    received = hashing.received(body)
    why = decide_why_wrong(received, wanted)
    if why is not None:
        raise WrongBytes(why, sha256=received.sha256)
    return received


def _entry(wanted: Wanted, body: Body, received: Received) -> InventoryEntry:
    attributes = attributes_as_text(body.attributes)
    return InventoryEntry(wanted.store, wanted.key, received.size, received.sha256, body.info.etag, attributes, None)


def _save_whole(store: ObjectStore, entry: InventoryEntry, data: bytes, *, aside: bool) -> InventoryEntry:
    recipients = keyring_of(store).object_recipients
    if recipients:
        data = encrypt(data, recipients)
        entry = replace(entry, stored_size=len(data), stored_sha256=hashlib.sha256(data).hexdigest())
    if not aside:
        own = _own_place(entry.store, entry.key, encrypted=entry.encrypted)
        # What lies there without being in the inventory is of a killed run: replaced, since nothing may rely on it.
        store.write(own, data, overwrite=True)
        return replace(entry, location=own) if entry.encrypted else entry
    place = odd_path(entry.sha256_there, encrypted=entry.encrypted)
    try:
        store.write(place, data)
    except ObjectExists:  # the same bytes: its name is their checksum
        lock_again(store, place)
    return replace(entry, location=place)


def _save_stream(store: ObjectStore, wanted: Wanted, body: Body, hashing: _Hashing, limits: TransferLimits) -> InventoryEntry:
    coming = _Coming(store, wanted, body, hashing)
    own = _own_place(wanted.store, wanted.key, encrypted=coming.encrypted)
    store.write_stream(own, coming.chunks(limits.chunk), overwrite=True)
    return replace(coming.entry(), location=own) if coming.encrypted else coming.entry()


def _save_spooled(
    store: ObjectStore, wanted: Wanted, body: Body, hashing: _Hashing, *, limits: TransferLimits, work: Path
) -> InventoryEntry:
    coming = _Coming(store, wanted, body, hashing)
    with tempfile.TemporaryFile(dir=work) as spool:
        for chunk in coming.chunks(limits.chunk):
            spool.write(chunk)
        entry = coming.entry()
        spool.seek(0)
        place = odd_path(entry.sha256_there, encrypted=entry.encrypted)
        try:
            store.write_stream(place, iter(lambda: spool.read(limits.chunk), b""))
        except ObjectExists:  # the same bytes: its name is their checksum
            lock_again(store, place)
    return replace(entry, location=place)


class _Coming:
    """A large object on its way in: checked as it arrives, and encrypted where the place's keys say so."""

    def __init__(self, store: ObjectStore, wanted: Wanted, body: Body, hashing: _Hashing) -> None:
        self._recipients = keyring_of(store).object_recipients
        self._wanted, self._body, self._hashing = wanted, body, hashing
        self._stored = Hashed()
        self._received: list[Received] = []

    @property
    def encrypted(self) -> bool:
        return bool(self._recipients)

    def chunks(self, size: int) -> Iterator[bytes]:
        """The bytes as they are to lie there. Raises WrongBytes at their end, which keeps the object from appearing."""
        plain = self._plain(size)
        return self._stored.passing(encrypted(plain, self._recipients)) if self._recipients else plain

    def entry(self) -> InventoryEntry:
        """What is to be recorded, once all chunks were taken."""
        entry = _entry(self._wanted, self._body, self._received[0])
        return replace(entry, stored_size=self._stored.size, stored_sha256=self._stored.sha256) if self._recipients else entry

    def _plain(self, size: int) -> Iterator[bytes]:
        for chunk in self._body.chunks(size):
            self._hashing.update(chunk)
            yield chunk
        self._received.append(_checked(self._hashing, self._body, self._wanted))
