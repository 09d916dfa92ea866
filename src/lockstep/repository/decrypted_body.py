"""An encrypted object of the repository, read as what is in it."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from lockstep.encryption.identities import Identities
from lockstep.encryption.streams import decrypt, decrypted
from lockstep.errors import IdentityNeeded, RepositoryInvalid
from lockstep.model.inventory import InventoryEntry
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.store import Body


class DecryptedBody:
    """The plain bytes of an object; its size is that of the inventory. What comes before an error must not be used.

    Reading it raises RepositoryInvalid when it cannot be decrypted, whoever is at fault: that the identities fit is asked before.
    """

    def __init__(self, body: Body, entry: InventoryEntry, *, identities: Identities, path: str) -> None:
        self._body, self._entry, self._identities, self._path = body, entry, identities, path

    @property
    def info(self) -> ObjectInfo:
        """Of the plain bytes."""
        return ObjectInfo(self._entry.key, self._entry.size, self._entry.etag)

    @property
    def attributes(self) -> ObjectAttributes:
        """As the place has them: none."""
        return self._body.attributes

    def bytes(self) -> builtins.bytes:
        """All of them."""
        try:
            return decrypt(self._body.bytes(), self._identities, shown=self._path)
        except IdentityNeeded as error:
            raise self._undecryptable(error) from error

    def chunks(self, size: int) -> Iterator[builtins.bytes]:
        """In pieces."""
        try:
            yield from decrypted(self._body.chunks(size), self._identities, shown=self._path)
        except IdentityNeeded as error:
            raise self._undecryptable(error) from error

    def _undecryptable(self, error: IdentityNeeded) -> RepositoryInvalid:
        return RepositoryInvalid(f"'{self._path}' cannot be decrypted", hint=error.hint)
