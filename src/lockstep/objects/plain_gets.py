"""Plain GETs of an S3 bucket, as text: what is sent for a key, and what an answer means. Whoever sends them is `lane.py`.

Signed with AWS Signature Version 4 in the headers. Source: AWS General Reference, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote, urlsplit

from lockstep.errors import LockstepError
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import attributes as spelling
from lockstep.objects import failures
from lockstep.objects.addresses import S3Settings
from lockstep.objects.failures import Failure
from lockstep.objects.keys import needs_second_road
from lockstep.objects.memory import MemoryBody
from lockstep.objects.silence import Silence
from lockstep.objects.store import RequestCounter

_NOTHING = hashlib.sha256(b"").hexdigest()
_OK, _NOT_FOUND = 200, 404


@dataclass(frozen=True, slots=True)
class Question:
    """One GET that is to be sent; `gets` reads the answer."""

    gets: PlainGets
    key: str
    url: str
    headers: list[str]


@dataclass(frozen=True, slots=True)
class _Signature:
    """What of a signature stays the same for a second."""

    stamp: str
    scope: str
    key_id: str
    token: str | None
    key: bytes


@runtime_checkable
class _HasPlainGets(Protocol):
    plain_gets: PlainGets


def plain_gets_of(store: object) -> PlainGets | None:
    """The plain GETs of a store that is a bucket of S3; None for any other."""
    return store.plain_gets if isinstance(store, _HasPlainGets) else None


class PlainGets:
    """The GETs of one bucket. `keys` gives the credentials of the moment, as obstore is given them."""

    def __init__(
        self,
        settings: S3Settings,
        keys: Callable[[], Any],
        *,
        silence: Silence,
        requests: RequestCounter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.certificates, self.silence, self.requests = settings.certificates, silence, requests
        self._settings, self._keys, self._clock = settings, keys, clock
        parts = urlsplit(settings.bucket_endpoint)
        default = {"http": 80, "https": 443}[parts.scheme]
        self._host = (parts.hostname or "") + (f":{parts.port}" if parts.port not in (None, default) else "")
        self._server = f"{parts.scheme}://{self._host}"
        bucket = "" if settings.virtual_hosted else f"/{quote(settings.url.bucket, safe='')}"
        self._folder = f"{parts.path}{bucket}/"
        self._signature: _Signature | None = None
        self._attributes: dict[tuple[tuple[str, str], ...], ObjectAttributes] = {}

    def question(self, key: str) -> Question | None:
        """The GET of an object; None for a key that needs the care of the second road."""
        full = self._settings.url.prefix + key
        if needs_second_road(full):
            return None
        path = self._folder + quote(full, safe="/")
        return Question(self, key, self._server + path, self._signed(path))

    def forget_keys(self, keys: Callable[[], Any]) -> None:
        """Sign with new keys from the next request on."""
        self._keys, self._signature = keys, None

    def answer(self, key: str, status: int, headers: Sequence[bytes], body: bytes) -> MemoryBody | LockstepError:
        """What an answer that has arrived means: the object, or why it cannot be had."""
        if status != _OK:
            failure = failures.from_body(status, body)
            return failures.decide_error(failure, place=self._settings.place, key=key)
        self.silence.heard()
        try:
            names = [line.decode("ascii").partition(":") for line in headers]
        except UnicodeDecodeError:
            return self.failed("it sent a header that is not ASCII")
        found = {name.lower(): value.strip() for name, _, value in names}
        if found.get("content-length") != str(len(body)):
            return self.failed("the connection broke off")
        info = ObjectInfo(key, len(body), (found.get("etag") or "").strip('"') or None)
        return MemoryBody(info, self._attributes_in(found), body)

    def failed(self, reason: str) -> LockstepError:
        """The error for a GET without a whole answer; `reason` is a phrase of `failures`."""
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

    def _signed(self, path: str) -> list[str]:
        now = self._moment()
        token = f"x-amz-security-token:{now.token}\n" if now.token else ""
        names = "host;x-amz-content-sha256;x-amz-date" + (";x-amz-security-token" if now.token else "")
        request = f"GET\n{path}\n\nhost:{self._host}\nx-amz-content-sha256:{_NOTHING}\nx-amz-date:{now.stamp}\n{token}\n{names}\n{_NOTHING}"
        text = f"AWS4-HMAC-SHA256\n{now.stamp}\n{now.scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(now.key, text.encode(), "sha256").hex()
        headers = [
            f"x-amz-content-sha256: {_NOTHING}",
            f"x-amz-date: {now.stamp}",
            f"Authorization: AWS4-HMAC-SHA256 Credential={now.key_id}/{now.scope}, SignedHeaders={names}, Signature={signature}",
        ]
        return [*headers, f"x-amz-security-token: {now.token}"] if now.token else headers

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
