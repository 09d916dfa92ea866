"""A stream of unknown length as one object: an S3 multipart upload in bounded memory, all or nothing.

Source: Amazon S3 API reference, CreateMultipartUpload, UploadPart, CompleteMultipartUpload, AbortMultipartUpload.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.errors import LockstepError, ObjectExists, ObjectNotFound, StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo, is_md5
from lockstep.objects import attributes as spelling
from lockstep.objects.copied import NotCopied
from lockstep.objects.kept import BY_ITSELF, Kept, as_boto, md5_of_part
from lockstep.objects.limits import STREAM, StreamLimits
from lockstep.objects.retry import PATIENT, RetryPolicy, noting, retrying
from lockstep.objects.second_road import SecondRoad, unquoted
from lockstep.objects.store import RequestCounter

COPIES_IN_FLIGHT = 4
"""How many parts a service copies at once: it does the work, and each of them is long."""


def upload_stream(
    road: SecondRoad,
    key: str,
    *,
    chunks: Iterable[bytes],
    attributes: ObjectAttributes | None,
    create: bool,
    requests: RequestCounter,
    limits: StreamLimits = STREAM,
    policy: RetryPolicy = PATIENT,
    kept: Kept = BY_ITSELF,
) -> str | None:
    """Store the bytes under the key, and return its ETag. With `create` the last step is conditional.

    A stream cannot be sent again by the caller, so each part is retried here. When anything fails the upload is aborted: nothing appears
    under the key, and nothing is left in the bucket unless the service cannot be reached at that moment.
    """
    upload = _Upload(road, key, requests=requests, policy=policy, kept=kept)
    upload.begin(attributes)
    try:
        upload.send_parts(chunks, limits)
        return upload.complete(create=create)
    except BaseException:
        upload.abort()
        raise


def upload_copies(
    road: SecondRoad,
    key: str,
    *,
    what: Mapping[str, Any],
    size: int,
    part_bytes: int,
    attributes: ObjectAttributes | None,
    requests: RequestCounter,
    policy: RetryPolicy = PATIENT,
    kept: Kept = BY_ITSELF,
) -> str | None:
    """Let the service put an object together from parts of `what`, which has that size, and return its ETag; else as `upload_stream`."""
    upload = _Upload(road, key, requests=requests, policy=policy, kept=kept)
    upload.begin(attributes)
    try:
        upload.copy_parts(what, size, part_bytes)
        return upload.complete(create=False)
    except BaseException:
        upload.abort()
        raise


class _Upload:
    def __init__(self, road: SecondRoad, key: str, *, requests: RequestCounter, policy: RetryPolicy, kept: Kept) -> None:
        self._road = road
        self._key = key
        self._requests = requests
        self._policy = policy
        self._kept = kept
        self._where: dict[str, Any] = {"Bucket": road.bucket, "Key": road.prefix + key}
        self._etags: list[str] = []
        self._size = 0

    def begin(self, attributes: ObjectAttributes | None) -> None:
        more = {**spelling.as_boto(attributes), **as_boto(self._kept)}
        self._where["UploadId"] = self._send("create_multipart_upload", **more)["UploadId"]

    def send_parts(self, chunks: Iterable[bytes], limits: StreamLimits) -> None:
        """Send all the parts, a few at a time, in order of their numbers."""
        waiting: deque[tuple[Future[str], IO[bytes]]] = deque()
        with ThreadPoolExecutor(limits.parts_in_flight(1), thread_name_prefix="part") as pool:
            try:
                for number, part in enumerate(cut_parts(chunks, limits), start=1):
                    self._size += part.seek(0, 2)
                    while len(waiting) >= limits.parts_in_flight(number):
                        self._etags.append(waiting.popleft()[0].result())
                    waiting.append((pool.submit(self._send_part, number, part), part))
                self._etags.extend(future.result() for future, _ in waiting)
            except BaseException:
                for future, part in waiting:
                    if future.cancel():
                        part.close()
                raise

    def copy_parts(self, what: Mapping[str, Any], size: int, part_bytes: int) -> None:
        """Let the service copy all the parts, a few at a time."""

        def copy(number: int, start: int) -> str:
            last = min(start + part_bytes, size) - 1
            answer = self._send("upload_part_copy", PartNumber=number, CopySourceRange=f"bytes={start}-{last}", moved=last - start, **what)
            etag = unquoted(answer.get("CopyPartResult", {}))
            if etag is None:
                raise NotCopied("it copies no parts")
            return etag

        self._size = size
        with ThreadPoolExecutor(COPIES_IN_FLIGHT, thread_name_prefix="part") as pool:
            waiting = [pool.submit(copy, number, start) for number, start in enumerate(range(0, size, part_bytes), start=1)]
            try:
                self._etags = [future.result() for future in waiting]
            except BaseException:
                for future in waiting:
                    future.cancel()
                raise

    def complete(self, *, create: bool) -> str | None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
        condition = {"IfNoneMatch": "*"} if create else {}
        try:
            return unquoted(self._send("complete_multipart_upload", MultipartUpload={"Parts": parts}, **condition))
        except (StoreUnreachable, ObjectNotFound, ObjectExists) as error:
            # The answer may be what was lost: the object is there, whole, and a second attempt was told that the upload is gone or that
            # something lies under the key.
            found = self._found()
            if found is None or not self._is_ours(found, by_size=not isinstance(error, ObjectExists)):
                raise
            return found.etag

    def abort(self) -> None:
        with suppress(BotoCoreError, ClientError, OSError):
            self._requests.add("delete")
            self._road.client.abort_multipart_upload(**self._where)

    def _found(self) -> ObjectInfo | None:
        try:
            self._requests.add("head")
            return self._road.head(self._key)[0]
        except LockstepError:
            return None

    def _is_ours(self, found: ObjectInfo, *, by_size: bool) -> bool:
        """True when the object is what this upload made: by the ETag of S3, the MD5 of the parts' MD5s; else by size, where that may do."""
        if not all(is_md5(etag) for etag in self._etags):
            return by_size and found.size == self._size
        digest = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in self._etags), usedforsecurity=False).hexdigest()
        return found.size == self._size and found.etag == f"{digest}-{len(self._etags)}"

    def _send_part(self, number: int, part: IO[bytes]) -> str:
        with part:
            checksum = md5_of_part(self._kept, part)
            return str(self._send("upload_part", PartNumber=number, Body=part, **checksum)["ETag"]).strip('"')

    def _send(self, operation: str, **parameters: Any) -> Any:
        moved = parameters.pop("moved", 0)  # bytes, by the service itself before it answers

        def call() -> Any:
            self._requests.add("put")
            body = parameters.get("Body")
            if body is not None:
                body.seek(0)
            with self._road.errors(self._key):
                return getattr(self._road.client_for(moved), operation)(**self._where, **parameters)

        return retrying(call, policy=self._policy, on_retry=noting(self._requests))


def cut_parts(chunks: Iterable[bytes], limits: StreamLimits) -> Iterator[IO[bytes]]:
    """The bytes of `chunks` as files of the lengths that `limits` sets, the last one shorter; at least one."""
    number = 1
    part, room = _new_part(number, limits)
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while len(rest) > room:
                part.write(rest[:room])
                rest = rest[room:]
                yield part
                number += 1
                part, room = _new_part(number, limits)
            part.write(rest)
            room -= len(rest)
    except BaseException:
        part.close()
        raise
    yield part


def _new_part(number: int, limits: StreamLimits) -> tuple[IO[bytes], int]:
    size = limits.part_size(number)
    return (io.BytesIO() if size <= limits.memory_bytes else tempfile.TemporaryFile()), size
