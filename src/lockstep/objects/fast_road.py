"""Objects over obstore: the road of nearly every request, with its exceptions in our words."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from lockstep.errors import KeyRefused, LockstepError, ObjectNotFound, StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects import failures
from lockstep.objects.failures import Place
from lockstep.objects.kept import BY_ITSELF, Kept
from lockstep.objects.limits import HTTP
from lockstep.objects.silence import Silence

FAILURES = (BaseError, OSError, ValueError)
"""What obstore raises: its own errors, FileNotFoundError for a missing object, ValueError for a path it cannot take."""


def client_options(*, certificates: str | None = None, silent_seconds: int = HTTP.read_timeout_seconds) -> dict[str, Any]:
    """How obstore's HTTP client is to behave. What the environment says of it (`AWS_TIMEOUT`, …) does not count."""
    options: dict[str, Any] = {
        "allow_http": True,
        "connect_timeout": f"{HTTP.connect_timeout_seconds}s",
        "read_timeout": f"{silent_seconds}s",
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

    __slots__ = ("_key", "_meta", "_result", "_road", "_waits")

    def __init__(self, road: FastRoad, key: str, result: Any, *, waits: int) -> None:
        self._road = road
        self._key = key
        self._result = result
        self._waits = waits
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
            raise self._road.error(error, self._key, waited=self._waits) from error
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
            raise self._road.error(error, self._key, waited=self._waits) from error
        if received != self._meta["size"]:
            raise self._cut_short(received)

    def _cut_short(self, received: int) -> LockstepError:
        reason = f"it sent {received} of {self._meta['size']} bytes of {self._key!r}"
        return failures.unreachable(self._road.place, reason, fault="broken_off")


class FastRoad:
    """Requests for single objects. Keys are as the caller has them; `prefix` is put before each."""

    def __init__(self, connect: Callable[[int], Any], *, prefix: str, place: Place, renew: Callable[[], bool] = lambda: False) -> None:
        self.prefix = prefix
        self.place = place
        self.silence = Silence()
        self._connect, self._renew = connect, renew
        self._clients: dict[int, Any] = {}
        self._client()  # settings that are not usable show at once

    @property
    def client(self) -> Any:
        """An obstore client."""
        return self._client()[0]

    def forget_keys(self) -> None:
        """Sign with new keys from the next request on."""
        self._clients = {}

    def read(self, key: str, version: str | None) -> FastBody:
        """Begin to read an object."""
        client, waits = self._client()
        try:
            if version is None:
                result = obstore.get(client, self.prefix + key)
            else:
                result = obstore.get(client, self.prefix + key, options={"version": version})
        except FAILURES as error:
            raise self.error(error, key, waited=waits) from error
        self.silence.heard()
        return FastBody(self, key, result, waits=waits)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """Ask about an object."""
        client, waits = self._client()
        try:
            result = obstore.get(client, self.prefix + key, options={"head": True})
            return as_info(key, result.meta), spelling.from_obstore(result.attributes)
        except FAILURES as error:
            raise self.error(error, key, waited=waits) from error

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None, create: bool, kept: Kept = BY_ITSELF) -> str | None:
        """Send one PUT; with `create` it is conditional. Of `kept` the storage class counts: obstore knows no locks."""
        client, waits = self._client(len(data))
        mode: Any = "create" if create else "overwrite"
        wanted = spelling.as_obstore(attributes)
        if kept.storage_class is not None:
            wanted = {**(wanted or {}), spelling.STORAGE_CLASS: kept.storage_class}
        try:
            result = obstore.put(client, self.prefix + key, data, mode=mode, attributes=wanted, use_multipart=False)
        except FAILURES as error:
            raise self.error(error, key, waited=waits) from error
        self.silence.heard()
        return _unquoted(result["e_tag"])

    def delete(self, keys: list[str]) -> None:
        """Delete objects with one request, where the service can."""
        client, waits = self._client()
        try:
            obstore.delete(client, [self.prefix + key for key in keys])
        except FAILURES as error:
            meaning = self.error(error, keys[0], waited=waits)
            if not isinstance(meaning, ObjectNotFound):
                raise meaning from error
            if len(keys) > 1:  # a service without bulk deletion ends at the first key that is not there
                for key in keys:
                    self.delete([key])

    def pages(self, prefix: str, after: str | None, until: str | None) -> Iterator[list[ObjectInfo]]:
        """Pages of a listing, with keys as obstore spells them. For services without a better road."""
        full = self.prefix + prefix
        folder = full[: full.rfind("/") + 1]  # obstore matches whole segments only
        offset, is_over = self._bound(after), self._bound(until)
        stream = obstore.list(self.client, prefix=folder.rstrip("/") or None, offset=offset, chunk_size=1000)
        try:
            for page in stream:
                found = [meta for meta in page if meta["path"].startswith(full) and meta["path"] != self.prefix]
                infos = [as_info(meta["path"][len(self.prefix) :], meta) for meta in found]
                wanted = [info for info in infos if (after is None or info.key > after) and (until is None or info.key <= until)]
                if wanted:
                    yield wanted
                if is_over is not None and page and page[-1]["path"] > is_over:
                    return
        except FAILURES as error:
            raise self.error(error, None) from error

    def _bound(self, key: str | None) -> str | None:
        """The path of a key from which, or up to which, a listing may be cut; None: look at all of it.

        Azurite lists in the order of UTF-16; beside a key without characters from the surrogates on, that is the order of the keys' bytes.
        """
        if key is None or max(self.prefix + key, default="") >= "\ud800":
            return None
        return self.prefix + key

    def error(self, error: BaseException, key: str | None, *, waited: int = 0) -> LockstepError:
        """An exception of obstore in our words; `waited` is how long its request might stay silent."""
        if key is not None and isinstance(error, ValueError):
            return KeyRefused(f"no request can name the key {key!r}", hint="Rename the object.")
        failure = failures.from_obstore(error)
        if failures.may_be_stale(failure) and self._renew():
            return failures.renewed(self.place)
        meaning = failures.decide_error(failure, place=self.place, key=key)
        if key is not None and isinstance(error, AlreadyExistsError) and type(meaning) is StoreUnreachable:
            return failures.object_exists(self.place, key)  # Azure says so with a 409 and a code of its own
        return self.silence.judge(meaning, waited_seconds=waited)

    def _client(self, size_bytes: int = 0) -> tuple[Any, int]:
        """A client whose requests may stay silent as long as fits, and that time in seconds."""
        waits = self.silence.seconds(size_bytes)
        client = self._clients.get(waits)
        if client is None:
            client = self._clients[waits] = self._connect(waits)
        return client, waits


def as_info(key: str, meta: Any) -> ObjectInfo:
    """What obstore knows of an object, under the key it was asked for: obstore's own path is a normalised one."""
    return ObjectInfo(key, meta["size"], _unquoted(meta["e_tag"]), meta["last_modified"])


def _unquoted(etag: str | None) -> str | None:
    return etag.strip('"') if etag else None
