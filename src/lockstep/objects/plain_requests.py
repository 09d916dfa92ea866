"""Plain requests to an S3 bucket, as text: what is sent for a key, and what an answer means. Whoever sends them is `lane.py`.

Signed with AWS Signature Version 4 in the headers. Source: AWS General Reference, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote, urlsplit

from lockstep.errors import LockstepError
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects import failures
from lockstep.objects.addresses import S3Settings
from lockstep.objects.attributes import NONE
from lockstep.objects.failures import Failure
from lockstep.objects.keys import needs_second_road
from lockstep.objects.memory import MemoryBody
from lockstep.objects.silence import Silence
from lockstep.objects.store import RequestCounter

_NOTHING = hashlib.sha256(b"").hexdigest()
_OK = 200
_NO_HEADERS: Mapping[str, str] = {}
_PLAIN_VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")
"""What a signature has no other spelling for."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request that is to be sent, a GET, or a PUT of `data`; `plain` reads the answer."""

    plain: PlainRequests
    key: str
    url: str
    headers: list[str]
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Signature:
    """What of a signature stays the same for a second."""

    stamp: str
    scope: str
    key_id: str
    token: str | None
    key: bytes


@runtime_checkable
class _HasPlainRequests(Protocol):
    plain_requests: PlainRequests


def plain_requests_of(store: object) -> PlainRequests | None:
    """The plain requests of a store that is a bucket of S3; None for any other."""
    return store.plain_requests if isinstance(store, _HasPlainRequests) else None


def all_plain_requests(stores: Mapping[str, object]) -> dict[str, PlainRequests]:
    """The plain requests of those stores that are buckets of S3, by name."""
    found = {name: plain_requests_of(store) for name, store in stores.items()}
    return {name: each for name, each in found.items() if each is not None}


class PlainRequests:
    """The requests to one bucket. `keys` gives the credentials of the moment, as obstore is given them.

    `creates` says whether the service is known to refuse a PUT under a key that is taken, and the bucket's objects need nothing said of
    how they are kept.
    """

    def __init__(
        self,
        settings: S3Settings,
        keys: Callable[[], Any],
        *,
        silence: Silence,
        requests: RequestCounter,
        creates: Callable[[], bool] = bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.certificates, self.silence, self.requests = settings.certificates, silence, requests
        self._settings, self._keys, self._creates, self._clock = settings, keys, creates, clock
        parts = urlsplit(settings.bucket_endpoint)
        default = {"http": 80, "https": 443}[parts.scheme]
        self._host = (parts.hostname or "") + (f":{parts.port}" if parts.port not in (None, default) else "")
        self._server = f"{parts.scheme}://{self._host}"
        bucket = "" if settings.virtual_hosted else f"/{quote(settings.url.bucket, safe='')}"
        self._folder = f"{parts.path}{bucket}/"
        self._signature: _Signature | None = None
        self._attributes: dict[tuple[tuple[str, str], ...], ObjectAttributes] = {}

    @property
    def can_create(self) -> bool:
        """True when one PUT is enough to write without replacing anything."""
        return self._creates()

    def question(self, key: str) -> Question | None:
        """The GET of an object; None for a key that needs the care of the second road."""
        path = self._path(key)
        return None if path is None else Question(self, key, self._server + path, self._signed("GET", path, _NOTHING))

    def creation(self, key: str, data: bytes, *, sha256: str, attributes: ObjectAttributes) -> Question | None:
        """The PUT of an object where nothing may lie yet; None where that, the key, or what is said of the object needs more care."""
        path = self._path(key) if self.can_create else None
        kind = attributes.content_type
        if path is None or attributes != ObjectAttributes(kind) or not (kind is None or _PLAIN_VALUE.fullmatch(kind)):
            return None
        said = {} if kind is None else {"content-type": kind}
        headers = self._signed("PUT", path, sha256, said)
        return Question(self, key, self._server + path, [*headers, "If-None-Match: *"], data)

    def forget_keys(self, keys: Callable[[], Any]) -> None:
        """Sign with new keys from the next request on."""
        self._keys, self._signature = keys, None

    def answer(self, question: Question, status: int, headers: Sequence[bytes], body: bytes) -> MemoryBody | LockstepError:
        """What an answer that has arrived means: the object (of a PUT no more than its ETag), or why not."""
        key = question.key
        if status != _OK:
            failure = failures.from_body(status, body)
            return failures.decide_error(failure, place=self._settings.place, key=key)
        self.silence.heard()
        try:
            names = [line.decode("ascii").partition(":") for line in headers]
        except UnicodeDecodeError:
            return self.failed("it sent a header that is not ASCII")
        found = {name.lower(): value.strip() for name, _, value in names}
        if question.data is not None:
            return MemoryBody(ObjectInfo(key, len(question.data), _etag_in(found)), NONE, b"")
        if found.get("content-length") != str(len(body)):
            return self.failed("the connection broke off")
        info = ObjectInfo(key, len(body), _etag_in(found))
        return MemoryBody(info, self._attributes_in(found), body)

    def failed(self, reason: str) -> LockstepError:
        """The error for a request without a whole answer; `reason` is a phrase of `failures`."""
        return failures.decide_error(Failure(reason=reason), place=self._settings.place)

    def _attributes_in(self, found: dict[str, str]) -> ObjectAttributes:
        """Attributes as text in headers; most objects of a bucket have the same ones."""
        wanted = tuple(sorted(each for each in found.items() if spelling.is_header(each[0])))
        known = self._attributes.get(wanted)
        if known is None:
            if len(self._attributes) >= 1000:
                self._attributes.clear()
            known = self._attributes[wanted] = spelling.from_headers(dict(wanted))
        return known

    def _path(self, key: str) -> str | None:
        full = self._settings.url.prefix + key
        return None if needs_second_road(full) else self._folder + quote(full, safe="/")

    def _signed(self, method: str, path: str, sha256: str, said: Mapping[str, str] = _NO_HEADERS) -> list[str]:
        """The headers of a request whose body has this SHA-256; what is `said` of it is signed too."""
        now = self._moment()
        token = {"x-amz-security-token": now.token} if now.token else {}
        sent = {"x-amz-content-sha256": sha256, "x-amz-date": now.stamp, **said, **token}
        signed = sorted({"host": self._host, **sent}.items())
        names = ";".join(name for name, _ in signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed)
        request = f"{method}\n{path}\n\n{lines}\n{names}\n{sha256}"
        text = f"AWS4-HMAC-SHA256\n{now.stamp}\n{now.scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(now.key, text.encode(), "sha256").hex()
        authorization = f"AWS4-HMAC-SHA256 Credential={now.key_id}/{now.scope}, SignedHeaders={names}, Signature={signature}"
        return [*(f"{name}: {value}" for name, value in sent.items()), f"Authorization: {authorization}"]

    def _moment(self) -> _Signature:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        if self._signature is None or self._signature.stamp != stamp:
            keys = self._keys()
            day, region = stamp[:8], self._settings.region
            key = f"AWS4{keys['secret_access_key']}".encode()
            for part in (day, region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._signature = _Signature(stamp, f"{day}/{region}/s3/aws4_request", keys["access_key_id"], keys["token"], key)
        return self._signature


def _etag_in(headers: Mapping[str, str]) -> str | None:
    return (headers.get("etag") or "").strip('"') or None
