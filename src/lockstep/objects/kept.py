"""How S3 is told to keep an object: its storage class and its lock, as boto3 spells them.

Source: Amazon S3 API reference, PutObject, CreateMultipartUpload, UploadPart, PutObjectRetention. An object with a lock must come with the
MD5 of its bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, TypeAlias

from lockstep.model.keeping import LockMode


@dataclass(frozen=True, slots=True)
class Kept:
    """How one object is to be kept; None is what the bucket does by itself."""

    storage_class: str | None = None
    locked_until: datetime | None = None
    lock_mode: LockMode = "governance"


_BLOCK = 1 << 20

BY_ITSELF = Kept()
"""As the bucket does by itself."""

KeepRule: TypeAlias = Callable[[str], Kept]
"""How the object under a key is to be kept. Called when it is written, from many threads."""


def as_the_bucket_does(_key: str) -> Kept:
    """The rule of a store that asks for nothing."""
    return BY_ITSELF


def as_boto(kept: Kept) -> dict[str, Any]:
    """Parameters of PutObject and CreateMultipartUpload."""
    chosen: dict[str, Any] = {} if kept.storage_class is None else {"StorageClass": kept.storage_class}
    if kept.locked_until is not None:
        chosen |= {"ObjectLockMode": kept.lock_mode.upper(), "ObjectLockRetainUntilDate": _whole_second(kept.locked_until)}
    return chosen


def retention(mode: str, until: datetime) -> dict[str, Any]:
    """The retention of PutObjectRetention."""
    return {"Mode": mode.upper(), "RetainUntilDate": _whole_second(until)}


def md5_of(kept: Kept, data: bytes) -> dict[str, str]:
    """The checksum that a PUT with a lock needs; nothing without a lock."""
    return {} if kept.locked_until is None else {"ContentMD5": _as_header(hashlib.md5(data, usedforsecurity=False).digest())}


def md5_of_part(kept: Kept, part: IO[bytes]) -> dict[str, str]:
    """The same of a part of a multipart upload."""
    if kept.locked_until is None:
        return {}
    part.seek(0)
    digest = hashlib.md5(usedforsecurity=False)
    for block in iter(lambda: part.read(_BLOCK), b""):
        digest.update(block)
    return {"ContentMD5": _as_header(digest.digest())}


def _as_header(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _whole_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
