"""What a bucket of S3 does by itself to the objects in it: versions, lifecycle rules; and what time it is there. Changes nothing.

Source: Amazon S3 API reference, GetBucketVersioning, GetObjectLockConfiguration, GetBucketLifecycleConfiguration, HeadBucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lockstep.errors import LockstepError
from lockstep.model.addresses import StoreAddress
from lockstep.model.lifecycle import LifecycleRule
from lockstep.objects import failures
from lockstep.objects.addresses import S3Settings, parse_url, read_s3_settings
from lockstep.objects.clock import ClockReading, reading_of
from lockstep.objects.credentials import Credentials, find_credentials
from lockstep.objects.store import RequestCounter

Versioning = Literal["on", "off", "suspended", "unsupported"]

_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read until they are brought back; the instant one can."""


def open_bucket_settings(address: StoreAddress) -> BucketSettings | None:
    """The settings of a bucket of S3; None for every other kind of store. Nothing is sent. Raises as `open_store`."""
    url = parse_url(address.url)
    if isinstance(url, Path) or url.scheme != "s3":
        return None
    return BucketSettings(read_s3_settings(url, address), find_credentials(address))


class BucketSettings:
    """Questions to one bucket. Errors: as of every ObjectStore."""

    def __init__(self, settings: S3Settings, credentials: Credentials) -> None:
        from lockstep.objects.second_client import connect
        from lockstep.objects.second_road import SecondRoad

        def connected(seconds: int) -> Any:
            return connect(settings, credentials, silent_seconds=seconds)

        self._road = SecondRoad(connected, settings=settings, requests=RequestCounter(), renew=credentials.renew)
        self.endpoint = settings.endpoint_url
        self.prefix = settings.url.prefix
        """What stands before every key of the store; lifecycle rules speak of full keys."""

    def versioning(self) -> Versioning:
        """Whether the bucket keeps what is overwritten or deleted."""
        try:
            with self._road.errors(None):
                status = self._road.client.get_bucket_versioning(Bucket=self._road.bucket).get("Status")
        except LockstepError as error:
            if failures.is_unsupported(error):
                return "unsupported"
            raise
        return "on" if status == "Enabled" else "suspended" if status == "Suspended" else "off"

    def locks_objects(self) -> bool:
        """Whether versions in the bucket can be locked (Object Lock); false also where the service has no such thing."""
        from botocore.exceptions import ClientError

        try:
            with self._road.errors(None):
                try:
                    answer = self._road.client.get_object_lock_configuration(Bucket=self._road.bucket)
                except ClientError as error:
                    if error.response.get("Error", {}).get("Code") == "ObjectLockConfigurationNotFoundError":
                        return False
                    raise
        except LockstepError as error:
            if failures.is_unsupported(error):
                return False
            raise
        return bool(answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def lifecycle(self) -> list[LifecycleRule]:
        """The rules that delete or archive objects; empty also where the service has no such rules."""
        from botocore.exceptions import ClientError

        try:
            with self._road.errors(None):
                try:
                    answer = self._road.client.get_bucket_lifecycle_configuration(Bucket=self._road.bucket)
                except ClientError as error:
                    if error.response.get("Error", {}).get("Code") == "NoSuchLifecycleConfiguration":
                        return []
                    raise
        except LockstepError as error:
            if failures.is_unsupported(error):
                return []
            raise
        return [rule for each in answer.get("Rules", []) for rule in read_rule(each)]

    def clock(self) -> ClockReading | None:
        """What time it is at the service; None when its answers carry no date. Raises StoreUnreachable."""
        from botocore.exceptions import ClientError

        asked = datetime.now(UTC)
        with self._road.errors(None):
            try:
                answer: Mapping[str, Any] = self._road.client.head_bucket(Bucket=self._road.bucket)
            except ClientError as error:  # a refusal tells the time too, one for the time's sake above all
                answer = error.response
        return reading_of(answer, asked=asked, answered=datetime.now(UTC))


def read_rule(rule: Mapping[str, Any]) -> Iterator[LifecycleRule]:
    """What a rule, as boto3 gives it, does to the newest versions of objects: nothing, or one thing or both."""
    if rule.get("Status") != "Enabled":
        return
    chosen = rule.get("Filter") or {}
    joined = chosen.get("And") or {}
    prefix = joined.get("Prefix") or chosen.get("Prefix") or rule.get("Prefix") or ""
    conditions = {*chosen, *joined} - {"And", "Prefix"}
    name = rule.get("ID") or "without a name"
    expiration = rule.get("Expiration") or {}
    if "Days" in expiration or "Date" in expiration:
        yield LifecycleRule(name, prefix, "delete", _when(expiration), bool(conditions))
    for transition in rule.get("Transitions") or []:
        if transition.get("StorageClass") in _ARCHIVES:
            yield LifecycleRule(name, prefix, "archive", _when(transition), bool(conditions))


def _when(action: Mapping[str, Any]) -> str:
    if "Date" in action:
        return f"on {action['Date']:%Y-%m-%d}"
    return f"after {action.get('Days', 0)} days"
