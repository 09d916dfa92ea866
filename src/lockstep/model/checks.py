"""When the bytes that a store gave are right."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.model.inventory import Wanted, WhyMissing
from lockstep.model.objects import is_md5


@dataclass(frozen=True, slots=True)
class Received:
    """What arrived of an object: its length and checksums (hexadecimal), and what the store had announced."""

    size: int
    sha256: str
    md5: str
    announced_size: int
    announced_etag: str | None


def decide_why_wrong(received: Received, wanted: Wanted) -> WhyMissing | None:
    """None when the bytes are what the store announced and what the reference says; else the reason that is recorded.

    A body that is shorter than announced is no verdict about the object: the store's door reports it as a failed request.
    """
    if wanted.size is not None and received.size != wanted.size:
        return "wrong_size"
    if is_md5(received.announced_etag) and received.md5 != received.announced_etag:
        return "wrong_checksum"
    if wanted.sha256 is not None and received.sha256 != wanted.sha256:
        return "wrong_checksum"
    return None
