"""Object Lock of one bucket of S3: whether it has it, until when an object is locked, and locks that are made longer.

Source: Amazon S3 API reference, GetObjectLockConfiguration, HeadObject, PutObjectRetention; user guide, "Locking objects with
Object Lock": a lock can be made longer by whoever may set one, its mode stays, and what a delete marker hides is locked as before.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from lockstep.errors import ObjectNotFound, PermissionMissing, StoreUnreachable
from lockstep.model.addresses import StoreAddress
from lockstep.model.keeping import Keeping
from lockstep.objects.addresses import S3Settings, parse_url, read_s3_settings
from lockstep.objects.bucket_settings import BucketSettings
from lockstep.objects.credentials import Credentials, find_credentials
from lockstep.objects.second_client import connect
from lockstep.objects.second_road import SecondRoad
from lockstep.objects.store import RequestCounter

Extended = Literal["locked", "hidden", "gone"]
"""What became of an object whose lock was to be made longer: `hidden` is one that lies under a delete marker, and is locked there."""


def open_object_locks(address: StoreAddress, requests: RequestCounter) -> ObjectLocks | None:
    """The locks of a bucket of S3; None for every other kind of store, and where nothing is to be locked. Nothing is sent."""
    url = parse_url(address.url)
    if isinstance(url, Path) or url.scheme != "s3" or address.keeping.lock_for is None:
        return None
    return ObjectLocks(read_s3_settings(url, address), find_credentials(address), address.keeping, requests)


class ObjectLocks:
    """The locks of one bucket; safe to use from many threads. Errors: as of every ObjectStore."""

    def __init__(self, settings: S3Settings, credentials: Credentials, keeping: Keeping, requests: RequestCounter) -> None:
        def connected(seconds: int) -> Any:
            return connect(settings, credentials, silent_seconds=seconds)

        self.keeping = keeping
        self._requests = requests
        self._bucket = BucketSettings(settings, credentials)
        self._road = SecondRoad(connected, settings=settings, requests=requests, renew=credentials.renew)

    def are_possible(self) -> bool:
        """True when the bucket has Object Lock."""
        self._requests.add("head")
        return self._bucket.locks_objects()

    def extend(self, key: str, until: datetime, *, size: int | None = None) -> Extended:
        """Lock an object at least until a moment. Where a marker hides it, the newest version of this size is locked."""
        try:
            self._extend(key, until, None)
        except (ObjectNotFound, StoreUnreachable):  # S3 answers 405 for what a marker hides, others as it comes
            if self._is_seen(key):
                raise
            return self._extend_hidden(key, until, size)
        return "locked"

    def locked_until(self, key: str) -> datetime | None:
        """Until when an object is locked; None when it is not, or when nobody here may know (s3:GetObjectRetention).

        Raises ObjectNotFound, also where a marker hides it.
        """
        return self._retention(key, None)[1]

    def _extend(self, key: str, until: datetime, version: str | None) -> None:
        try:
            self._put(key, self.keeping.lock_mode, until, version)
        except PermissionMissing:
            mode, there = self._retention(key, version)
            if there is not None and there >= until:  # it cannot be made shorter, and need not
                return
            if mode is None or mode.lower() == self.keeping.lock_mode:
                raise
            self._put(key, mode, until, version)  # its mode cannot be changed

    def _is_seen(self, key: str) -> bool:
        try:
            self._retention(key, None)
        except ObjectNotFound:
            return False
        return True

    def _extend_hidden(self, key: str, until: datetime, size: int | None) -> Extended:
        versions = self._road.list_versions(key)
        version = next((version for version, info in versions if size is None or info.size == size), None)
        if version is None:
            return "gone"
        self._extend(key, until, version)
        return "hidden"

    def _put(self, key: str, mode: str, until: datetime, version: str | None) -> None:
        self._requests.add("put")
        self._road.lock(key, mode, until, version=version)

    def _retention(self, key: str, version: str | None) -> tuple[str | None, datetime | None]:
        """Mode and end of a lock. HEAD tells both, and more services know it than GetObjectRetention."""
        self._requests.add("head")
        which = {} if version is None else {"VersionId": version}
        with self._road.errors(key):
            found = self._road.client.head_object(Bucket=self._road.bucket, Key=self._road.prefix + key, **which)
        return found.get("ObjectLockMode"), found.get("ObjectLockRetainUntilDate")
