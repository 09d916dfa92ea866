"""Objects over boto3: for keys that obstore cannot address, for listings, versions, buckets and multipart uploads.

Listings go here because obstore shows `dir/` as `dir` and `/abs` as `abs`, and ends at the first key it cannot spell.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSOError,
)

from lockstep.errors import KeyRefused, LockstepError, PermissionMissing, StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects import failures
from lockstep.objects.addresses import S3Settings
from lockstep.objects.failures import Place
from lockstep.objects.kept import BY_ITSELF, Kept, as_boto, md5_of, retention
from lockstep.objects.keys import Span, spans_in_directory_order, spans_in_key_order
from lockstep.objects.listing import Page, is_truncated_without_token, parse_page
from lockstep.objects.retry import noting, retrying
from lockstep.objects.second_client import PAGE
from lockstep.objects.silence import Silence
from lockstep.objects.store import RequestCounter

_CREDENTIAL_ERRORS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, SSOError)


class SecondBody:
    """A body that boto3 reads."""

    __slots__ = ("_key", "_response", "_road", "attributes", "info")

    def __init__(self, road: SecondRoad, key: str, response: dict[str, Any]) -> None:
        self._road = road
        self._key = key
        self._response = response
        self.info = _info(key, response)
        self.attributes = spelling.from_boto(response)

    def bytes(self) -> bytes:
        """All the bytes."""
        with self._road.errors(self._key):
            return self._response["Body"].read()  # type: ignore[no-any-return]

    def chunks(self, size: int) -> Iterator[builtins.bytes]:
        """The bytes, piece by piece."""
        while True:
            with self._road.errors(self._key):
                chunk = self._response["Body"].read(size)
            if not chunk:
                return
            yield chunk


class SecondRoad:
    """Requests for single objects and for the bucket. Keys are as the caller has them; `prefix` is put before each."""

    def __init__(
        self, connect: Callable[[int], Any], *, settings: S3Settings, requests: RequestCounter, renew: Callable[[], bool] = lambda: False
    ) -> None:
        self._connect, self._renew = connect, renew
        self._clients: dict[int, Any] = {}
        self._connecting = threading.Lock()  # a client takes ten megabytes: many threads that begin at once share one
        self._silence = Silence()
        self.bucket, self.prefix = settings.url.bucket, settings.url.prefix
        self.place: Place = settings.place
        self.region = settings.region
        self._requests = requests
        self._spans: Callable[[str, str | None, str | None], tuple[Span, ...]] = spans_in_key_order

    @property
    def client(self) -> Any:
        """A boto3 client."""
        return self.client_for(0)

    def client_for(self, size_bytes: int) -> Any:
        """A boto3 client whose requests may stay silent for as long as it takes to move so many bytes."""
        waits = self._silence.seconds(size_bytes)
        with self._connecting:
            if waits not in self._clients:
                self._clients[waits] = self._connect(waits)
            return self._clients[waits]

    @property
    def lists_by_directory(self) -> bool:
        """True once the service has shown that it lists as a walk over directories; ranges are cut accordingly."""
        return self._spans is spans_in_directory_order

    def forget_keys(self) -> None:
        """Sign with new keys from the next request on."""
        self._clients = {}

    def read(self, key: str, version: str | None) -> SecondBody:
        """Begin to read an object."""
        which = {} if version is None else {"VersionId": version}
        with self.errors(key):
            return SecondBody(self, key, self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, **which))

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """Ask about an object."""
        with self.errors(key):
            response = self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        return _info(key, response), spelling.from_boto(response)

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None, create: bool, kept: Kept = BY_ITSELF) -> str | None:
        """Send one PUT; with `create` it is conditional."""
        more = {**spelling.as_boto(attributes), **as_boto(kept), **md5_of(kept, data)}
        if create:
            more["IfNoneMatch"] = "*"
        with self.errors(key):
            response = self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=data, **more)
        return unquoted(response)

    def lock(self, key: str, mode: str, until: datetime, *, version: str | None = None) -> None:
        """Lock an object, or a version of it, until a moment."""
        which = {} if version is None else {"VersionId": version}
        with self.errors(key):
            self.client.put_object_retention(Bucket=self.bucket, Key=self.prefix + key, Retention=retention(mode, until), **which)

    def delete(self, keys: list[str]) -> None:
        """Delete objects, one request each."""
        for key in keys:
            with self.errors(key):
                self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def pages(self, prefix: str, after: str | None, until: str | None) -> Iterator[list[ObjectInfo]]:
        """Pages of the objects under `prefix` in a range of keys.

        They come as the service orders them: in the order of the keys' bytes, and on SeaweedFS as a walk over directories. Which of the
        two it is shows with the first page; a range is cut accordingly.
        """
        spans, has_yielded = self._spans, False
        lower, upper = (None if bound is None else self.prefix + bound for bound in (after, until))
        for span in spans(self.prefix + prefix, lower, upper):
            previous = ""
            for objects in self._span(self.prefix + prefix, span):
                previous = self._note_order(objects, previous)
                if spans is not self._spans and not (lower is None and upper is None):  # learned just now
                    if has_yielded:
                        raise StoreUnreachable(
                            f"{self.place.url} does not list in the order of its keys", hint="Run the same command again."
                        )
                    yield from self.pages(prefix, after, until)
                    return
                is_over = bool(objects) and span.is_over(objects[-1].key)
                inside = takewhile(lambda found: not span.is_over(found.key), objects) if is_over else objects  # noqa: B023
                page = self._wanted(inside, prefix, after, until)
                if page:
                    has_yielded = True
                    yield page
                if is_over:
                    break

    def list_versions(self, key: str) -> list[tuple[str, ObjectInfo]]:
        """Versions of one object that are not the latest, newest first."""
        found: list[tuple[str, ObjectInfo]] = []
        more: dict[str, str] = {}
        while True:
            self._requests.add("list")
            with self.errors(None):
                page = self.client.list_object_versions(Bucket=self.bucket, Prefix=self.prefix + key, **more)
            versions = page.get("Versions", [])
            for version in versions:
                if version["Key"] == self.prefix + key and not version["IsLatest"]:
                    etag = version.get("ETag", "").strip('"') or None
                    found.append((version["VersionId"], ObjectInfo(key, version["Size"], etag, version.get("LastModified"))))
            is_past = any(version["Key"] != self.prefix + key for version in versions[-1:])
            if is_past or not page.get("IsTruncated") or not page.get("NextKeyMarker"):
                return sorted(found, key=lambda item: item[1].modified.timestamp() if item[1].modified else 0.0, reverse=True)
            more = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}

    def keeps_versions(self) -> bool:
        """True when the bucket keeps, or once kept, what is overwritten or deleted; false also where that cannot be asked."""
        self._requests.add("head")
        try:
            return "Status" in self.client.get_bucket_versioning(Bucket=self.bucket)
        except (BotoCoreError, ClientError):
            return False

    def etag_is_md5(self, key: str) -> bool:
        """False when the object is encrypted in a way that makes its ETag something else."""
        self._requests.add("head")
        with self.errors(key):
            found = self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        return not found.get("ServerSideEncryption", "").startswith("aws:kms") and "SSECustomerAlgorithm" not in found

    def create_bucket(self) -> None:
        """Create the bucket; no error when it is the caller's already."""
        where = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        try:
            self.client.create_bucket(Bucket=self.bucket, **where)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise self.error(error, None) from error
            self.check_reachable()  # it exists; whether it may be used is another question
        except BotoCoreError as error:
            raise self.error(error, None) from error

    def check_reachable(self) -> None:
        """Ask for the bucket. Only when that is refused, list one key: the refusal of a HEAD has no words."""
        self._requests.add("head")
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except ClientError:
            self._requests.add("list")
            with self.errors(None):
                self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)
        except (BotoCoreError, OSError) as error:
            raise self.error(error, None) from error

    def error(self, error: BaseException, key: str | None) -> LockstepError:
        """An exception of botocore in our words."""
        if isinstance(error, ClientError):
            failure = failures.from_client_error(error.response)
            if failures.may_be_stale(failure) and self._renew():
                return failures.renewed(self.place)
            return failures.decide_error(failure, place=self.place, key=key)
        if isinstance(error, _CREDENTIAL_ERRORS):
            return PermissionMissing(f"the S3 credentials cannot be had ({type(error).__name__})", hint="Sign in again, or give keys.")
        if isinstance(error, (ParamValidationError, UnicodeEncodeError)):
            return KeyRefused(f"no request can name the key {key!r}", hint="Rename the object.")
        cause = getattr(error, "kwargs", {}).get("error")
        meaning = failures.unreachable(self.place, failures.reason_in(f"{cause or error} {type(cause or error).__name__}"))
        return self._silence.judge(meaning, waited_seconds=self._silence.seconds())

    @contextmanager
    def errors(self, key: str | None) -> Iterator[None]:
        """Translate what botocore raises inside."""
        try:
            yield
        except (BotoCoreError, ClientError, UnicodeEncodeError, OSError) as error:
            raise self.error(error, key) from error
        self._silence.heard()

    def _span(self, prefix: str, span: Span) -> Iterator[list[ObjectInfo]]:
        where = {} if span.start_after is None else {"StartAfter": span.start_after}
        while True:
            # Patience belongs here: only the token goes on where a failed page was, since not every service lists in the order of keys.
            answer, page = retrying(partial(self._ask_for_page, prefix, where), on_retry=noting(self._requests))
            if "seaweedfs" in answer["ResponseMetadata"].get("HTTPHeaders", {}).get("server", "").lower():
                self._spans = spans_in_directory_order
            yield page.objects
            if page.token is None and not (page.objects and is_truncated_without_token(answer[PAGE])):
                return
            following = {"StartAfter": page.objects[-1].key} if page.token is None else {"ContinuationToken": page.token}
            if following == where:
                raise StoreUnreachable(f"the listing of {self.place.url} does not advance", hint="Look at the server's log.")
            where = following

    def _ask_for_page(self, prefix: str, where: dict[str, str]) -> tuple[dict[str, Any], Page]:
        self._requests.add("list")
        with self.errors(None):
            answer = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, EncodingType="url", **where)
        try:
            return answer, parse_page(answer[PAGE])
        except (ValueError, KeyError) as error:
            raise failures.unreachable(self.place, "it does not answer with a listing", fault="failed") from error

    def _note_order(self, objects: list[ObjectInfo], previous: str) -> str:
        """The last key of a page; notes when the service does not list in the order of the keys' bytes."""
        for found in objects:
            if found.key < previous:
                self._spans = spans_in_directory_order
            previous = found.key
        return previous

    def _wanted(self, objects: Iterable[ObjectInfo], prefix: str, after: str | None, until: str | None) -> list[ObjectInfo]:
        cut = len(self.prefix)
        whole = self.prefix + prefix
        wanted = []
        for found in objects:
            key = found.key[cut:]
            if key and found.key.startswith(whole) and (after is None or key > after) and (until is None or key <= until):
                wanted.append(found if not cut else ObjectInfo(key, found.size, found.etag, found.modified))
        return wanted


def unquoted(response: dict[str, Any]) -> str | None:
    """The ETag of an answer, without quotes."""
    return response.get("ETag", "").strip('"') or None


def _info(key: str, response: dict[str, Any]) -> ObjectInfo:
    return ObjectInfo(key, int(response["ContentLength"]), unquoted(response), response.get("LastModified"))
