"""A bucket of Google Cloud Storage or a container of Azure, as an ObjectStore, over obstore alone.

Credentials are those that obstore finds: GOOGLE_APPLICATION_CREDENTIALS and its kin, AZURE_STORAGE_ACCOUNT_NAME and its kin.
Keys that obstore cannot address are refused; both services honour conditional writes.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import obstore
from obstore.store import AzureStore, GCSStore

from lockstep.errors import ConfigurationError, KeyRefused, ObjectNotFound
from lockstep.model.addresses import StoreAddress
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects.addresses import BucketUrl
from lockstep.objects.failures import Place, object_exists
from lockstep.objects.fast_road import FAILURES, FastBody, FastRoad, client_options
from lockstep.objects.keys import needs_second_road
from lockstep.objects.limits import DELETE_BATCH, STREAM
from lockstep.objects.store import RequestCounter

_PARTS_AT_A_TIME = 4


def open_cloud_store(url: BucketUrl, address: StoreAddress, *, certificates: str | None = None) -> CloudObjectStore:
    """The store behind a `gs://` or `az://` URL. Nothing is sent. Raises ConfigurationError."""
    options: Any = client_options(certificates=certificates)
    try:
        if url.scheme == "az":
            config: Any = {"endpoint": address.endpoint_url} if address.endpoint_url else {}
            client: Any = AzureStore(url.bucket, config=config, client_options=options, retry_config={"max_retries": 0})
        else:
            client = GCSStore(url.bucket, client_options=options, retry_config={"max_retries": 0})
    except FAILURES as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"the settings of {url} are not usable: {reason}", hint="Check the service's own variables.") from error
    service = "Azure Blob Storage" if url.scheme == "az" else "Google Cloud Storage"
    return CloudObjectStore(client, url, endpoint=address.endpoint_url or service)


class CloudObjectStore:
    """One bucket or container, or the part of it under a prefix."""

    def __init__(self, client: Any, url: BucketUrl, *, endpoint: str) -> None:
        self._url = url
        self._place = Place(str(url), url.bucket, endpoint)
        self._road = FastRoad(lambda _: client, prefix=url.prefix, place=self._place)
        self._requests = RequestCounter()

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
        """One HEAD."""
        self._check(key)
        self._requests.add("head")
        return self._road.head(key)

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
        """An upload in parts by obstore, which drops it when `chunks` raises. Up to 10,000 parts of 16 MiB: 156 GiB."""
        self._check(key)
        if not overwrite and self._exists(key):
            raise object_exists(self._place, key)
        self._requests.add("put")
        wanted = spelling.as_obstore(attributes)
        path = self._url.prefix + key
        source = _Source(chunks)
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
        for _ in self.list():
            return

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

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
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
