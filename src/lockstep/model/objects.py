"""What lockstep knows of an object in a store, and what it must be to count as right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as a listing or a HEAD shows it. `etag` is without quotes; None where the store gives none."""

    key: str
    size: int
    etag: str | None = None
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What a store keeps beside the bytes. `metadata` holds the user's own names and values."""

    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """True when there is something that a plain PUT of the bytes would not bring back."""
        return self != ObjectAttributes()

    def are_in(self, others: ObjectAttributes) -> bool:
        """True when the others say all that these say. The case of names does not count, as in HTTP."""
        theirs = {name.lower(): value for name, value in others.metadata.items()}
        mine = asdict(self) | {"metadata": None}
        return all(value is None or getattr(others, name) == value for name, value in mine.items()) and all(
            theirs.get(name.lower()) == value for name, value in self.metadata.items()
        )


_MD5 = re.compile(r"[0-9a-f]{32}")


def is_md5(etag: str | None) -> bool:
    """True when an ETag has the form of an MD5: a single-part upload without KMS or customer keys.

    An ETag of this form need not be the MD5 of the bytes (SSE-KMS): whoever compares treats a difference as a question, not an answer.
    Source: Amazon S3 API reference, "Object", field ETag.
    """
    return etag is not None and _MD5.fullmatch(etag) is not None
