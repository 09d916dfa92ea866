"""Objects over obstore: the road of nearly every request, with its exceptions in our words."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from lockstep.errors import KeyRefused, LockstepError, ObjectNotFound, StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects import failures
from lockstep.objects.failures import Place
from lockstep.objects.limits import HTTP

FAILURES = (BaseError, OSError, ValueError)
"""What obstore raises: its own errors, FileNotFoundError for a missing object, ValueError for a path it cannot take."""


def client_options(*, certificates: str | None = None) -> dict[str, Any]:
    """How obstore's HTTP client is to behave. What the environment says of it (`AWS_TIMEOUT`, …) does not count."""
    options: dict[str, Any] = {
        "allow_http": True,
        "connect_timeout": f"{HTTP.connect_timeout_seconds}s",
        "read_timeout": f"{HTTP.read_timeout_seconds}s",
        "timeout": f"{HTTP.total_timeout_seconds}s",
        "pool_idle_timeout": f"{HTTP.idle_seconds}s",
        "pool_max_idle_per_host": str(HTTP.idle_connections),
        "http1_only": True,
    }
    if certificates is not None:
        options["root_certificate"] = certificates
    return options


class FastBody:
    """A body that obstore reads."""

    __slots__ = ("_key", "_meta", "_result", "_road")

    def __init__(self, road: FastRoad, key: str, result: Any) -> None:
        self._road = road
        self._key = key
        self._result = result
        self._meta = result.meta

    @property
    def info(self) -> ObjectInfo:
        """Size and ETag as the service announced them."""
        return as_info(self._key, self._meta)

    @property
    def attributes(self) -> ObjectAttributes:
        """Content type and the like."""
        return spelling.from_obstore(self._result.attributes)

    def bytes(self) -> bytes:
        """All the bytes."""
        try:
            data = self._result.bytes().to_bytes()
        except FAILURES as error:
            raise self._road.error(error, self._key) from error
        if len(data) != self._meta["size"]:
            raise self._cut_short(len(data))
        return data  # type: ignore[no-any-return]

    def chunks(self, size: int) -> Iterator[builtins.bytes]:
        """The bytes, piece by piece."""
        received = 0
        try:
            for chunk in self._result.stream(min_chunk_size=size):
                received += len(chunk)
                if chunk:
                    yield bytes(chunk)
        except FAILURES as error:
            raise self._road.error(error, self._key) from error
        if received != self._meta["size"]:
            raise self._cut_short(received)

    def _cut_short(self, received: int) -> LockstepError:
        return failures.unreachable(self._road.place, f"it sent {received} of {self._meta['size']} bytes of {self._key!r}")


class FastRoad:
    """Requests for single objects. Keys are as the caller has them; `prefix` is put before each."""

    def __init__(self, client: Any, *, prefix: str, place: Place) -> None:
        self.client = client
        self.prefix = prefix
        self.place = place

    def read(self, key: str, version: str | None) -> FastBody:
        """Begin to read an object."""
        try:
            if version is None:
                return FastBody(self, key, obstore.get(self.client, self.prefix + key))
            return FastBody(self, key, obstore.get(self.client, self.prefix + key, options={"version": version}))
        except FAILURES as error:
            raise self.error(error, key) from error

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """Ask about an object."""
        try:
            result = obstore.get(self.client, self.prefix + key, options={"head": True})
            return as_info(key, result.meta), spelling.from_obstore(result.attributes)
        except FAILURES as error:
            raise self.error(error, key) from error

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None, create: bool) -> str | None:
        """Send one PUT; with `create` it is conditional."""
        mode: Any = "create" if create else "overwrite"
        wanted = spelling.as_obstore(attributes)
        try:
            result = obstore.put(self.client, self.prefix + key, data, mode=mode, attributes=wanted, use_multipart=False)
        except FAILURES as error:
            raise self.error(error, key) from error
        return _unquoted(result["e_tag"])

    def delete(self, keys: list[str]) -> None:
        """Delete objects with one request, where the service can."""
        try:
            obstore.delete(self.client, [self.prefix + key for key in keys])
        except FAILURES as error:
            meaning = self.error(error, keys[0])
            if not isinstance(meaning, ObjectNotFound):
                raise meaning from error
            if len(keys) > 1:  # a service without bulk deletion ends at the first key that is not there
                for key in keys:
                    self.delete([key])

    def pages(self, prefix: str, after: str | None, until: str | None) -> Iterator[list[ObjectInfo]]:
        """Pages of a listing, with keys as obstore spells them. For services without a better road."""
        full = self.prefix + prefix
        folder = full[: full.rfind("/") + 1]  # obstore matches whole segments only
        offset = None if after is None else self.prefix + after
        stream = obstore.list(self.client, prefix=folder.rstrip("/") or None, offset=offset, chunk_size=1000)
        try:
            for page in stream:
                found = [meta for meta in page if meta["path"].startswith(full) and meta["path"] != self.prefix]
                infos = [as_info(meta["path"][len(self.prefix) :], meta) for meta in found]
                wanted = [info for info in infos if (after is None or info.key > after) and (until is None or info.key <= until)]
                if wanted:
                    yield wanted
                if until is not None and page and page[-1]["path"] > self.prefix + until:
                    return
        except FAILURES as error:
            raise self.error(error, None) from error

    def error(self, error: BaseException, key: str | None) -> LockstepError:
        """An exception of obstore in our words."""
        if key is not None and isinstance(error, ValueError):
            return KeyRefused(f"no request can name the key {key!r}", hint="Rename the object.")
        meaning = failures.decide_error(failures.from_obstore(error), place=self.place, key=key)
        if key is not None and isinstance(error, AlreadyExistsError) and type(meaning) is StoreUnreachable:
            return failures.object_exists(self.place, key)  # Azure says so with a 409 and a code of its own
        return meaning


def as_info(key: str, meta: Any) -> ObjectInfo:
    """What obstore knows of an object, under the key it was asked for: obstore's own path is a normalised one."""
    return ObjectInfo(key, meta["size"], _unquoted(meta["e_tag"]), meta["last_modified"])


def _unquoted(etag: str | None) -> str | None:
    return etag.strip('"') if etag else None
