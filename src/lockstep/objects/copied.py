"""What an S3 service says of a copy that it made by itself."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.model.objects import ObjectInfo


class NotCopied(Exception):
    """The service has not copied, and will not: what lies where, or another way, decides what becomes of the object."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service says of a copy. `sha256` is of all its bytes; None where it says none."""

    etag: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a service says of an object; `sha256` is that of all its bytes, where it keeps one."""

    info: ObjectInfo
    sha256: str | None
