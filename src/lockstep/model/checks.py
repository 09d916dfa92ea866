"""When the bytes that a store gave are right."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.model.inventory import Wanted, WhyMissing
from lockstep.model.objects import is_md5


@dataclass(frozen=True, slots=True)
class Received:
    """What arrived of an object: its length and checksums (hexadecimal), and what the store had announced.

    `etag_is_md5` is false where the service is known to give ETags that look like an MD5 and are none (SSE-KMS).
    """

    size: int
    sha256: str
    md5: str
    announced_size: int
    announced_etag: str | None
    etag_is_md5: bool = True


def decide_why_wrong(received: Received, wanted: Wanted) -> WhyMissing | None:
    """None when the bytes are what the store announced and what the reference says; else the reason that is recorded.

    A body that is shorter than announced is no verdict about the object: the store's door reports it as a failed request.
    """
    if wanted.size is not None and received.size != wanted.size:
        return "wrong_size"
    if received.etag_is_md5 and is_md5(received.announced_etag) and received.md5 != received.announced_etag:
        return "wrong_checksum"
    if wanted.etag is not None and wanted.etag.lower() not in {(received.announced_etag or "").lower(), received.md5}:
        return "wrong_checksum"
    if wanted.sha256 is not None and received.sha256 != wanted.sha256:
        return "wrong_checksum"
    return None
