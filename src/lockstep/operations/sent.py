"""What becomes of an object of the repository on its way back into a store."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import TypeAlias

from lockstep.model.inventory import InventoryEntry, MissingObject
from lockstep.model.objects import ObjectInfo
from lockstep.objects.doubt import Doubt


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of objects; `different` ones are under their key with other bytes and were left alone.

    Of the uploaded ones `by_service` never came by here: the S3 service copied them by itself.
    """

    uploaded: int = 0
    uploaded_bytes: int = 0
    already_there: int = 0
    different: int = 0
    by_service: int = 0

    def plus(self, other: Uploaded) -> Uploaded:
        """Both together."""
        return Uploaded(*map(sum, zip(astuple(self), astuple(other), strict=True)))


Sent: TypeAlias = Uploaded | MissingObject
"""What became of an object."""


class Damaged(Exception):
    """An object of the repository is not what the inventory says; nothing of it may arrive anywhere."""


@dataclass(slots=True)
class Sending:
    """One object on its way, over all its retries; `present` is what is known to lie there."""

    entry: InventoryEntry
    present: ObjectInfo | None
    arrived_wrong: bool = False
    sent: bool = False
    by_service: bool = False
    accepted: bool = False
    """The store took it as new through the lane: what lies there is ours, though nothing proves yet that it is right."""
    md5: str | None = None
    """What the lane sent, for the ETag that must come back."""
    doubt: Doubt = field(default_factory=Doubt)
