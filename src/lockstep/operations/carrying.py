"""Carries files from one place to another, each held against its recorded size and SHA-256 on the way: no damage arrives anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from lockstep.errors import DiskFailed, KeyRefused, ObjectNotFound, PermissionMissing, RepositoryInvalid
from lockstep.model.findings import Fault, decide_fault
from lockstep.objects.store import Body, ObjectStore
from lockstep.objects.transfer import TransferLimits


class Spoilt(Exception):
    """What was to be carried is not what was recorded; nothing of it has arrived."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


def carry(open_source: Callable[[], Body], target: ObjectStore, key: str, *, size: int, sha256: str, limits: TransferLimits) -> None:
    """Write what `open_source` opens under a key of the target, in the place of what a killed run may have left there.

    Raises Spoilt when the source is at fault, and whatever the target raises; StoreUnreachable of either side is worth another try.
    """
    body = _opened(open_source)
    if size <= limits.whole_up_to:
        data = _whole(body)
        _check(len(data), hashlib.sha256(data).hexdigest(), size=size, sha256=sha256)
        target.write(key, data, overwrite=True)
        return

    def checked() -> Iterator[bytes]:
        hashing, received = hashlib.sha256(), 0
        try:
            for chunk in body.chunks(limits.chunk):
                hashing.update(chunk)
                received += len(chunk)
                yield chunk
        except DiskFailed as error:
            raise Spoilt(Fault("unreadable", error.message)) from error
        except RepositoryInvalid as error:
            raise Spoilt(Fault("damaged", "cannot be decrypted")) from error
        _check(received, hashing.hexdigest(), size=size, sha256=sha256)  # raising here keeps the file from appearing

    target.write_stream(key, checked(), overwrite=True)


def is_there(target: ObjectStore, key: str, *, size: int, sha256: str, limits: TransferLimits) -> bool:
    """True when exactly these bytes lie under a key of the target; they are read."""
    try:
        if target.head(key)[0].size != size:
            return False
        hashing = hashlib.sha256()
        for chunk in target.read(key).chunks(limits.chunk):
            hashing.update(chunk)
    except (ObjectNotFound, KeyRefused):
        return False
    return hashing.hexdigest() == sha256


def _opened(open_source: Callable[[], Body]) -> Body:
    try:
        return open_source()
    except ObjectNotFound as error:
        raise Spoilt(Fault("missing", "is not there")) from error
    except RepositoryInvalid as error:
        raise Spoilt(Fault("tampered", error.message)) from error
    except (DiskFailed, PermissionMissing, KeyRefused) as error:
        raise Spoilt(Fault("unreadable", error.message)) from error


def _whole(body: Body) -> bytes:
    try:
        return body.bytes()
    except DiskFailed as error:
        raise Spoilt(Fault("unreadable", error.message)) from error
    except RepositoryInvalid as error:
        raise Spoilt(Fault("damaged", "cannot be decrypted")) from error


def _check(received: int, sha256_received: str, *, size: int, sha256: str) -> None:
    fault = decide_fault(size=received, sha256=sha256_received, expected_size=size, expected_sha256=sha256)
    if fault is not None:
        raise Spoilt(fault)
