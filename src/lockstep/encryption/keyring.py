"""The keys that a run holds: to whom it encrypts, what it can read, in whose name it signs, and whose signature it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockstep.encryption.identities import Identities

if TYPE_CHECKING:  # what they need costs 40 ms and 12 MB, and most runs have no such keys
    from lockstep.encryption.signatures import SigningKey, VerifyKey


@dataclass(frozen=True, slots=True)
class Keyring:
    """Public and secret keys; all of them may be absent.

    `recipients` are those of new files, and with `encrypt_objects` of new objects; `allow_plain` permits plain files where they were
    encrypted before. `identities` read what is encrypted. `signing_key` signs what is written; `allow_unsigned` permits unsigned
    snapshots where they were signed before. One of `verify_keys`, when there are any, must have signed what is read.
    """

    recipients: tuple[str, ...] = ()
    encrypt_objects: bool = False
    allow_plain: bool = False
    identities: Identities = field(default_factory=Identities)
    signing_key: SigningKey | None = None
    allow_unsigned: bool = False
    verify_keys: tuple[VerifyKey, ...] = ()

    @property
    def object_recipients(self) -> tuple[str, ...]:
        """To whom objects are encrypted; none when they are not."""
        return self.recipients if self.encrypt_objects else ()


NO_KEYS = Keyring()
"""For plain files."""
