"""Copies that an S3 service makes by itself, from one key of it to another: no byte of an object comes by here.

Asked for it, a service may answer with the SHA-256 of what it has stored; AWS does, many others don't. Attributes and tags are not
copied along: what belongs to an object is given with the request, as it is for one whose bytes are sent.
Source: Amazon S3 API reference, CopyObject, UploadPartCopy; user guide, "Checking object integrity".
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lockstep.errors import LockstepError, StoreBusy, StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects import failures
from lockstep.objects.copied import Answer, NotCopied, Seen
from lockstep.objects.kept import as_boto
from lockstep.objects.limits import COPY, CopyLimits
from lockstep.objects.multipart import upload_copies
from lockstep.objects.patient import PatientStore
from lockstep.objects.s3 import S3ObjectStore
from lockstep.objects.second_road import unquoted
from lockstep.objects.store import ObjectStore
from lockstep.objects.wrapped import WrappedStore

if TYPE_CHECKING:
    from collections.abc import Mapping

_AGAIN = frozenset({408, 429})
"""Refusals that another try may not meet; every other answer from 400 on to 499, and 501, is final."""


class ServiceCopier:
    """Lets one service copy from one store to another. Safe to use from many threads."""

    def __init__(self, source: S3ObjectStore, target: S3ObjectStore, *, limits: CopyLimits = COPY) -> None:
        self._source, self._target, self._limits = source, target, limits

    def look(self, key: str) -> Seen:
        """What the service says of an object of the source. Raises ObjectNotFound."""
        road = self._source.any_road()
        self._source.requests.add("head")
        with road.errors(key):
            found = road.client.head_object(Bucket=road.bucket, Key=road.prefix + key, ChecksumMode="ENABLED")
        return Seen(ObjectInfo(key, int(found["ContentLength"]), unquoted(found), found.get("LastModified")), _sha256(found))

    def copy(self, key: str, to: str, *, size: int, etag: str, attributes: ObjectAttributes | None = None) -> Answer:
        """Let the service copy an object of that size and ETag to a key of the target, whatever lies there.

        Raises NotCopied, also when the object is another one by now; then the target is as it was. Raises StoreUnreachable, StoreBusy.
        """
        try:
            return self._copy(key, to, size, etag, attributes)
        except LockstepError as error:
            if _is_final(error):
                raise NotCopied(error.message) from error
            raise

    def _copy(self, key: str, to: str, size: int, etag: str, attributes: ObjectAttributes | None) -> Answer:
        source, road, requests = self._source.any_road(), self._target.any_road(), self._target.requests
        what = {"CopySource": {"Bucket": source.bucket, "Key": source.prefix + key}, "CopySourceIfMatch": f'"{etag}"'}
        kept, limits, where = self._target.keep(to), self._limits, {"Bucket": road.bucket, "Key": road.prefix + to}
        if size > limits.most_at_once:
            parts = limits.part_bytes
            made = upload_copies(road, to, what=what, size=size, part_bytes=parts, attributes=attributes, requests=requests, kept=kept)
            answer = Answer(made, None)
        else:
            requests.add("put")
            with road.errors(to):
                said = (
                    road.client_for(size)
                    .copy_object(
                        **where,
                        **what,
                        **spelling.as_boto(attributes),
                        **as_boto(kept),
                        MetadataDirective="REPLACE",
                        TaggingDirective="REPLACE",  # copying them would take a right of its own
                        ChecksumAlgorithm="SHA256",
                    )
                    .get("CopyObjectResult", {})
                )
            answer = Answer(unquoted(said), _sha256(said))
        if kept.locked_until is not None:  # said again: not every service remembers what was said with the copy
            requests.add("put")
            road.lock(to, kept.lock_mode, kept.locked_until)
        return answer


def find_copier(source: ObjectStore, target: ObjectStore) -> ServiceCopier | None:
    """What copies between two stores when they are of one service, with the same keys to it; else None."""
    one, other = _bare(source), _bare(target)
    if isinstance(one, S3ObjectStore) and isinstance(other, S3ObjectStore) and one.shares_service_with(other):
        return ServiceCopier(one, other)
    return None


def _bare(store: ObjectStore) -> ObjectStore:
    while isinstance(store, WrappedStore | PatientStore):
        store = store.inner
    return store


def _sha256(answer: Mapping[str, Any]) -> str | None:
    """The SHA-256 in an answer, in hex; None when there is none, or when it is one of the parts' checksums."""
    told = answer.get("ChecksumSHA256")
    if not told or answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    try:
        digest = base64.b64decode(told, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == 32 else None


def _is_final(error: LockstepError) -> bool:
    """True when asking again would change nothing."""
    if not isinstance(error, StoreUnreachable):
        return True
    cause = error.__cause__
    if isinstance(error, StoreBusy) or error.fault == "credentials" or not isinstance(cause, ClientError):
        return False
    status = failures.from_client_error(cause.response).status
    return (400 <= status < 500 and status not in _AGAIN) or status == 501
