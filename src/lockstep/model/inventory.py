"""What the repository holds: one entry for each version of an object, and what is still to be copied."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Literal

from lockstep.model.objects import ObjectAttributes

WhyMissing = Literal["lost", "purged", "wrong_size", "wrong_checksum", "refused"]
"""Why a referenced object is not in a snapshot: not in the store, nor anywhere else that was asked; the same, but its row has gone from
the live database since; there with another size, or with other bytes than the store or the metadata announce. On the way
out only: the target store cannot hold an object under this key."""

MISMATCHED: frozenset[WhyMissing] = frozenset({"wrong_size", "wrong_checksum"})
"""The reasons that mean: something is there, but not what the metadata says."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A referenced object that the repository does not have yet.

    `size` and `etag` are what the reference says, None where it says nothing; `odd` is true when another object is in the way of its
    own key in the repository. `found_key` and `found_version` say where the bytes are when they are not under the key itself.
    """

    store: str
    key: str
    size: int | None
    etag: str | None = None
    sha256: str | None = None
    odd: bool = False
    found_key: str | None = None
    found_version: str | None = None


@dataclass(frozen=True, slots=True)
class InventoryEntry:
    """One object in the repository, as the inventory records it. `location` is None when it lies under its own key.

    `size` and `sha256` are those of the object; where it lies encrypted, `stored_size` and `stored_sha256` are those of the bytes there.
    `by_service` is known of what was copied in this run alone: the service copied it, and its SHA-256 is what the service says (`hashed`),
    or was taken of what lay here afterwards (`copied`).
    """

    store: str
    key: str
    size: int
    sha256: str
    etag: str | None
    attributes: str | None
    location: str | None
    stored_size: int | None = None
    stored_sha256: str | None = None
    by_service: Literal["hashed", "copied"] | None = None

    @property
    def encrypted(self) -> bool:
        """True when an identity is needed to read it."""
        return self.stored_sha256 is not None

    @property
    def size_there(self) -> int:
        """How many bytes lie in the repository."""
        return self.size if self.stored_size is None else self.stored_size

    @property
    def sha256_there(self) -> str:
        """The checksum of the bytes that lie in the repository."""
        return self.stored_sha256 or self.sha256


@dataclass(frozen=True, slots=True)
class MissingObject:
    """A referenced object that a snapshot does not have. `size` is what the reference says."""

    store: str
    key: str
    size: int | None
    why: WhyMissing
    since: str | None = None


_ATTRIBUTES = tuple(each.name for each in fields(ObjectAttributes))
_COMPACT = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode  # made once: it is asked for each object


def attributes_as_text(attributes: ObjectAttributes) -> str | None:
    """Attributes as the inventory keeps them: compact JSON without empty fields, None when there are none."""
    found = {name: value for name in _ATTRIBUTES if (value := getattr(attributes, name))}
    return _COMPACT(found) if found else None


def attributes_from_text(text: str | None) -> ObjectAttributes:
    """The attributes that `attributes_as_text` wrote. Raises ValueError or TypeError when the text was not written by it."""
    return ObjectAttributes(**json.loads(text)) if text else ObjectAttributes()
