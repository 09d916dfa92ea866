"""Size and SHA-256 of bytes that pass by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator


class Hashed:
    """Counts and hashes what goes through `passing`."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()

    def passing(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes."""
        for chunk in chunks:
            self.take(chunk)
            yield chunk

    def take(self, data: bytes) -> None:
        """Count and hash bytes that go no further."""
        self._sha256.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """The checksum so far, in hex."""
        return self._sha256.hexdigest()
