"""A bucket of Google Cloud Storage or a container of Azure, as an ObjectStore, over obstore alone.

Credentials are those that obstore finds: GOOGLE_APPLICATION_CREDENTIALS and its kin, AZURE_STORAGE_ACCOUNT_NAME and its kin.
Keys that obstore cannot address are refused; both services honour conditional writes.
Source: obstore, API reference, "AzureConfig", "GCSConfig" (the environment variables).
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import obstore
from obstore.store import AzureStore, GCSStore

from lockstep.errors import BucketNotFound, ConfigurationError, KeyRefused, ObjectNotFound, PermissionMissing
from lockstep.model.addresses import StoreAddress
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects.addresses import BucketUrl, check_endpoint, read_certificates
from lockstep.objects.failures import Place, object_exists
from lockstep.objects.fast_road import FAILURES, FastBody, FastRoad, client_options
from lockstep.objects.keys import needs_second_road
from lockstep.objects.limits import DELETE_BATCH, STREAM
from lockstep.objects.pieces import take_first
from lockstep.objects.store import RequestCounter

_PARTS_AT_A_TIME = 4
_MAKE_IT = "Check its name, the endpoint and the account, or make it with the service's own tools: lockstep makes none there."


@dataclass(frozen=True, slots=True)
class _Service:
    """What differs between the two: what obstore calls the endpoint, where it looks for one, and what a person must set."""

    name: str
    client: Any
    endpoint: str
    endpoint_variables: tuple[str, ...]
    hint: str


_SERVICES: Mapping[str, _Service] = {
    "az": _Service(
        "Azure Blob Storage",
        AzureStore,
        "endpoint",
        ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        "Set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or another way to sign in.",
    ),
    "gs": _Service(
        "Google Cloud Storage",
        GCSStore,
        "base_url",
        ("GOOGLE_BASE_URL",),
        "Set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to the file of an account.",
    ),
}


def open_cloud_store(url: BucketUrl, address: StoreAddress, *, environ: Mapping[str, str] | None = None) -> CloudObjectStore:
    """The store behind a `gs://` or `az://` URL. Nothing is sent. Raises ConfigurationError."""
    environ = os.environ if environ is None else environ
    service = _SERVICES[url.scheme]
    endpoint = address.endpoint_url or next((value for name in service.endpoint_variables if (value := environ.get(name))), None)
    config = {service.endpoint: check_endpoint(endpoint)} if endpoint else {}
    options = client_options(certificates=read_certificates(address.ca_bundle) if address.ca_bundle else None)
    try:
        client = service.client(url.bucket, config=config, client_options=options, retry_config={"max_retries": 0})
    except FAILURES as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"the settings of {url} are not usable: {reason}", hint=service.hint) from error
    return CloudObjectStore(client, url, endpoint=endpoint or service.name)


class CloudObjectStore:
    """One bucket or container, or the part of it under a prefix."""

    def __init__(self, client: Any, url: BucketUrl, *, endpoint: str) -> None:
        self._url = url
        self._place = Place(str(url), url.bucket, endpoint)
        self._road = FastRoad(lambda _: client, prefix=url.prefix, place=self._place)
        self._requests = RequestCounter()
        self._bucket_is_there = False

    @property
    def url(self) -> str:
        """`gs://bucket/prefix` or `az://container/prefix`."""
        return str(self._url)

    @property
    def requests(self) -> RequestCounter:
        """What was sent so far."""
        return self._requests

    def read(self, key: str, *, version: str | None = None) -> FastBody:
        """One GET."""
        self._check(key)
        self._requests.add("get")
        return self._road.read(key, version)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """One HEAD. An answer of 404 has no text, so the first of them is followed by a look whether the bucket is there at all."""
        self._check(key)
        self._requests.add("head")
        try:
            return self._road.head(key)
        except ObjectNotFound:
            self._make_sure_of_bucket()
            raise

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        """Pages of 1,000. A key that obstore cannot spell ends the listing with an error."""
        for page in self._road.pages(prefix, after, until):
            self._requests.add("list")
            yield page

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        """One conditional PUT."""
        self._check(key)
        self._requests.add("put")
        return self._road.write(key, data, attributes=attributes, create=not overwrite)

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        """A conditional PUT for what fits into one part, else an upload in parts by obstore, which drops it when `chunks` raises.

        Up to 10,000 parts of 16 MiB: 156 GiB. The end of an upload in parts cannot be conditional: HEAD asks before it begins.
        """
        self._check(key)
        pieces = iter(chunks)
        begin, is_all = take_first(pieces, most=STREAM.part_bytes)
        if is_all:
            return self.write(key, b"".join(begin), attributes=attributes, overwrite=overwrite)
        if not overwrite and self._exists(key):
            raise object_exists(self._place, key)
        self._requests.add("put")
        wanted = spelling.as_obstore(attributes)
        path = self._url.prefix + key
        source = _Source(begin, pieces)
        try:
            result = obstore.put(
                self._road.client,
                path,
                source,
                attributes=wanted,
                use_multipart=True,
                chunk_size=STREAM.part_bytes,
                max_concurrency=_PARTS_AT_A_TIME,
            )
        except FAILURES as error:
            if source.error is not None:
                raise source.error from None
            raise self._road.error(error, key) from error
        etag = result["e_tag"]
        return etag.strip('"') if etag else None

    def delete(self, keys: Iterable[str]) -> None:
        """In batches of 1,000."""
        batch: builtins.list[str] = []
        for key in keys:
            self._check(key)
            batch.append(key)
            if len(batch) == DELETE_BATCH:
                self._delete_batch(batch)
                batch = []
        if batch:
            self._delete_batch(batch)

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:  # noqa: ARG002 - the interface's
        """Empty: older versions are not looked for on these services."""
        return []

    def etag_is_md5(self, key: str) -> bool:  # noqa: ARG002 - the same for every object
        """Always."""
        return True

    def flush(self) -> None:
        """Nothing: what the service has answered for is durable."""

    def create_bucket(self) -> None:
        """Not done on these services: a bucket needs a project, a class and a place that lockstep does not know."""
        self.check_reachable()

    def check_reachable(self) -> None:
        """Ask for a page."""
        try:
            next(self.list(), None)
        except BucketNotFound as error:
            raise BucketNotFound(error.message, hint=_MAKE_IT) from error

    def _make_sure_of_bucket(self) -> None:
        if not self._bucket_is_there:
            with suppress(PermissionMissing):  # a key may be allowed to read and not to list
                self.check_reachable()
            self._bucket_is_there = True

    def local_file(self, key: str) -> Path | None:  # noqa: ARG002 - the interface's
        """Never: objects are elsewhere."""
        return None

    def free_bytes(self) -> int | None:
        """Unknown."""
        return None

    def _check(self, key: str) -> None:
        if needs_second_road(self._url.prefix + key) or not key:
            raise KeyRefused(f"{self.url} cannot be asked for the key {key!r}", hint="Rename the object.")

    def _exists(self, key: str) -> bool:
        try:
            self.head(key)
        except ObjectNotFound:
            return False
        return True

    def _delete_batch(self, keys: builtins.list[str]) -> None:
        self._requests.add("delete")
        self._road.delete(keys)


class _Source:
    """The chunks of a stream, which remembers what broke it."""

    def __init__(self, begin: list[bytes], rest: Iterator[bytes]) -> None:
        self._chunks = chain([b"".join(begin)], rest)
        begin.clear()
        self.error: BaseException | None = None

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise
