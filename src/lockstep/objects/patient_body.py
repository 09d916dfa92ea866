"""A body that is begun anew when it breaks off or arrives wrong, so that whoever reads it sees an object or one error."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Callable, Iterator

from lockstep.errors import StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo, is_md5
from lockstep.objects.doubt import Doubt
from lockstep.objects.retry import Attempts
from lockstep.objects.store import Body, RequestCounter


class PatientBody:
    """An object that is being read, over as many requests as it takes.

    `open_` begins to read it anew, with patience of its own. Whether bytes that are not what the ETag says are wrong at the store is for
    the caller to find out: he gets them when they came the same way again and again.
    """

    def __init__(self, body: Body, open_: Callable[[], Body], *, attempts: Attempts, requests: RequestCounter) -> None:
        self._body, self._open, self._attempts, self._requests = body, open_, attempts, requests
        self.info: ObjectInfo = body.info

    @property
    def attributes(self) -> ObjectAttributes:
        """Content type, user metadata and the like."""
        return self._body.attributes

    def bytes(self) -> builtins.bytes:
        """All the bytes at once."""
        doubt = Doubt()
        while True:
            try:
                data = self._body.bytes()
            except StoreUnreachable as error:
                self._attempts.pause(error)
            else:
                etag = self._body.info.etag
                if not is_md5(etag) or hashlib.md5(data, usedforsecurity=False).hexdigest() == etag:
                    return data
                if doubt.is_settled(hashlib.sha256(data).hexdigest()):
                    return data
                self._requests.add_fault("wrong_bytes", f"the bytes of {self.info.key!r} are not what the store announced")
            self._body = self._open()

    def chunks(self, size: int) -> Iterator[builtins.bytes]:
        """The bytes in pieces. What was handed on before a connection broke is read again and not handed on again."""
        delivered = 0
        while True:
            try:
                for piece in behind(self._body.chunks(size), delivered):
                    delivered += len(piece)
                    self._attempts.forget()
                    yield piece
            except StoreUnreachable as error:
                self._attempts.pause(error)
            else:
                return
            self._body = self._open()
            if (self._body.info.size, self._body.info.etag) != (self.info.size, self.info.etag):
                raise StoreUnreachable(f"the object {self.info.key!r} changed while it was read", hint="Run the same command again.")


def behind(pieces: Iterator[builtins.bytes], skipped: int) -> Iterator[builtins.bytes]:
    """The pieces without their first `skipped` bytes."""
    for piece in pieces:
        if skipped >= len(piece):
            skipped -= len(piece)
            continue
        yield piece[skipped:] if skipped else piece
        skipped = 0
