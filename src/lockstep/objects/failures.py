"""What a failed request means, in lockstep's words: one pure decision, and the readers of obstore's and botocore's exceptions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lockstep.errors import (
    BucketNotFound,
    ConfigurationError,
    FaultKind,
    KeyRefused,
    LockstepError,
    ObjectExists,
    ObjectNotFound,
    PermissionMissing,
    StoreBusy,
    StoreUnreachable,
)
from lockstep.objects.keys import needs_second_road


@dataclass(frozen=True, slots=True)
class Place:
    """What an error message says of where it happened: the store, its bucket, the server that was asked."""

    url: str
    bucket: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that failed: `status` and `code` as the service answered, or `reason` when there was no whole answer.

    `status` is 0 and `code` empty where there is none; `text` is what the service said to a person.
    """

    status: int = 0
    code: str = ""
    text: str = ""
    reason: str = ""


_BUSY = frozenset(
    {
        "SlowDown",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ConditionalRequestConflict",
        "OperationAborted",
    }
)
_BUSY_STATUS = frozenset({429, 503})
_REDIRECTS = frozenset({301, 302, 307, 308})
_BUCKET = frozenset({"NoSuchBucket", "InvalidBucketName", "ContainerNotFound"})
"""Of S3 and Google; the last is Azure's. Source: Microsoft Learn, "Blob Storage error codes"."""
_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidToken",
        "TokenRefreshRequired",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "AccessDenied",
    }
)
_REGION = frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_KEY = frozenset(
    {"KeyTooLongError", "KeyTooLong", "InvalidURI", "ExistingObjectIsFile", "ExistingObjectIsDirectory", "XMinioInvalidObjectName"}
)
_ODD_KEY = frozenset({"InvalidRequest", "InvalidArgument", "InvalidObjectName"})
"""How some services refuse a key that others take (SeaweedFS: dot segments; rclone: empty segments)."""


def decide_error(failure: Failure, *, place: Place, key: str | None = None) -> LockstepError:
    """The error that says what a failed request means; `key` is None for a request that is about no object."""
    if failure.code in _BUSY or failure.status in _BUSY_STATUS:
        hint = "Wait and try again, or lower the number of requests at a time."
        return StoreBusy(f"{place.url} asks for fewer requests ({_answer(failure)})", hint=hint)
    if key is not None and (error := _about_object(failure, place, key)) is not None:
        return error
    if failure.code in _BUCKET or failure.status == 404:
        return BucketNotFound(f"bucket {place.bucket} does not exist at {place.endpoint}", hint="Check the bucket's name and the endpoint.")
    if failure.status in (401, 403) or failure.code in _CREDENTIALS:
        return _permission_missing(failure, place)
    return _about_service(failure, place)


def _about_service(failure: Failure, place: Place) -> LockstepError:
    if failure.code in _REGION or failure.status in _REDIRECTS:
        return _wrong_region(failure, place)
    if not failure.status:
        return unreachable(place, failure.reason)
    return StoreUnreachable(f"{place.url} fails at {place.endpoint} ({_answer(failure)})", hint="Look at the server's log, and try again.")


def _about_object(failure: Failure, place: Place, key: str) -> LockstepError | None:
    if failure.code in _KEY or (failure.code in _ODD_KEY and needs_second_road(key)):
        return KeyRefused(
            f"{place.url} cannot hold an object under {key!r} ({_answer(failure)})", hint="Rename the object, or use another store."
        )
    if failure.code == "InvalidMetadata":  # Azure: names must be identifiers of C#
        return KeyRefused(
            f"{place.url} cannot hold the user metadata of {key!r} ({_answer(failure)})",
            hint="Give the metadata names of letters, digits and underscores, or use another store.",
        )
    if failure.status == 404 and failure.code not in _BUCKET:
        return object_not_found(place, key)
    if failure.status == 412 or failure.code == "PreconditionFailed":
        return object_exists(place, key)
    return None


def unreachable(place: Place, reason: str, *, fault: FaultKind | None = None) -> StoreUnreachable:
    """The error for a request without a whole answer; `reason` is a short phrase."""
    return StoreUnreachable(
        f"cannot reach {place.endpoint}: {reason}",
        hint="Check the endpoint's address and port, the network, and that the server runs.",
        fault=fault or _FAULTS.get(reason, "unreachable"),
    )


def object_not_found(place: Place, key: str) -> ObjectNotFound:
    """The error for a key under which nothing lies."""
    return ObjectNotFound(f"no object lies under {key!r} in {place.url}", hint="Check the key and the prefix of the store.")


def object_exists(place: Place, key: str) -> ObjectExists:
    """The error for a key under which something lies already."""
    return ObjectExists(f"an object lies under {key!r} in {place.url} already", hint="Keep it, or ask for it to be overwritten.")


def may_be_stale(failure: Failure) -> bool:
    """True for a refusal that other keys may not meet: expired ones, unknown ones, or a bare 403, as HEAD gives it."""
    if failure.code in {"RequestTimeTooSkewed", "InvalidObjectState"}:
        return False
    return failure.status in (401, 403) or failure.code in _CREDENTIALS


def renewed(place: Place) -> StoreUnreachable:
    """The error for a request that was refused with keys that are replaced by now: worth another try."""
    return StoreUnreachable(f"{place.url} refused keys that have expired", hint="Renew the session token.", fault="credentials")


def is_unsupported(error: LockstepError) -> bool:
    """True for an error of `decide_error` that says that the service does not have this kind of request or condition."""
    return any(mark in error.message for mark in ("(501", "(405", "NotImplemented", "MethodNotAllowed"))


def _permission_missing(failure: Failure, place: Place) -> LockstepError:
    if failure.code == "RequestTimeTooSkewed":
        return PermissionMissing(
            f"{place.endpoint} refuses requests because the clocks differ (RequestTimeTooSkewed)", hint="Set this machine's clock."
        )
    if failure.code == "InvalidObjectState":
        return PermissionMissing(
            f"an object of {place.url} lies in an archive class ({_answer(failure)})", hint="Restore it from the archive first."
        )
    hints = {
        "InvalidAccessKeyId": "Check the access key id and the endpoint it belongs to.",
        "SignatureDoesNotMatch": "Check the secret access key and the region.",
        "ExpiredToken": "Renew the session token.",
    }
    hint = hints.get(failure.code, "Check the credentials, and that they may list, read and write this bucket.")
    return PermissionMissing(f"{place.url} refuses access ({_answer(failure)})", hint=hint)


def _wrong_region(failure: Failure, place: Place) -> ConfigurationError:
    found = re.search(r"expecting '([a-z0-9-]+)'", failure.text)
    where = f"region {found[1]}" if found else "another region or behind another endpoint"
    return ConfigurationError(
        f"bucket {place.bucket} lies in {where} ({_answer(failure)})", hint="Set the region and the endpoint of the bucket."
    )


def _answer(failure: Failure) -> str:
    return " ".join(part for part in (str(failure.status or ""), failure.code) if part) or "no status"


_SILENT, _BROKEN_OFF = "no answer in time", "the connection broke off"
_FAULTS: dict[str, FaultKind] = {_SILENT: "silent", _BROKEN_OFF: "broken_off"}

# What the programs' texts say of a connection; the first that is found decides.
_REASONS = (
    ("dns error", "unknown host"),
    ("Failed to resolve", "unknown host"),
    ("NameResolution", "unknown host"),
    ("Name or service not known", "unknown host"),
    ("nodename nor servname", "unknown host"),
    ("ConnectionRefused", "connection refused"),
    ("Connection refused", "connection refused"),
    ("UnknownIssuer", "its TLS certificate is not trusted"),
    ("CERTIFICATE_VERIFY_FAILED", "its TLS certificate is not trusted"),
    ("InvalidCertificate", "its TLS certificate is not valid for it"),
    ("NotValidForName", "its TLS certificate is not valid for it"),
    ("InvalidContentType", "it does not speak TLS (is it http://?)"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS (is it http://?)"),
    ("SSL", "TLS failure"),
    ("TimedOut", _SILENT),
    ("timed out", _SILENT),
    ("HostUnreachable", "no route to the host"),
    ("No route to host", "no route to the host"),
    ("NetworkUnreachable", "the network is down"),
    ("Network is unreachable", "the network is down"),
    ("IncompleteMessage", _BROKEN_OFF),
    ("IncompleteBody", _BROKEN_OFF),
    ("IncompleteRead", _BROKEN_OFF),
    ("UnexpectedEof", _BROKEN_OFF),
    ("ConnectionReset", _BROKEN_OFF),
    ("BrokenPipe", _BROKEN_OFF),
    ("Connection aborted", _BROKEN_OFF),
    ("Connection broken", _BROKEN_OFF),
    ("Connection was closed", _BROKEN_OFF),
    ("Parse(", "it does not speak HTTP"),
    ("BadStatusLine", "it does not speak HTTP"),
)


def reason_in(text: str) -> str:
    """A short phrase for what a library says of a failed connection; its first line when nothing is known of it."""
    for mark, reason in _REASONS:
        if mark in text:
            return reason
    return text.partition("\n")[0][:200].rstrip(". ") or "the request failed"


_STATUS = re.compile(r"status code: (\d{3})[^:\n]*: ?(.*?)(?:\n\nDebug source:|$)", re.DOTALL)
_OF_ONE_KEY = re.compile(r"\(code: ([A-Za-z]+)\)")
"""How obstore tells what became of one key of a bulk deletion that succeeded as a request."""
_CODE = re.compile(r"<Code>\s*([^<\s]+)\s*</Code>")
_MESSAGE = re.compile(r"<Message>\s*([^<]*?)\s*</Message>")


def from_obstore(error: BaseException) -> Failure:
    """What an exception of obstore says. Its text holds the status and the body of the answer, or a dump of the cause."""
    text = str(error)
    found = _STATUS.search(text)
    if found is not None:
        code, message = _CODE.search(found[2]), _MESSAGE.search(found[2])
        return Failure(int(found[1]), code[1] if code else "", message[1] if message else "")
    if (each := _OF_ONE_KEY.search(text)) is not None:
        return Failure(403 if each[1] == "AccessDenied" else 500, each[1])
    if "without LOCATION" in text:
        return Failure(301, "PermanentRedirect")
    if isinstance(error, FileNotFoundError):
        return Failure(404)
    if "credential" in text.partition("\n")[0]:
        cause = text.partition("credential provider: ")[2].partition("\n")[0] or text.partition("\n")[0]
        return Failure(403, "", cause)
    return Failure(reason=reason_in(text))


def from_body(status: int, body: bytes) -> Failure:
    """What an answer of an S3 service says that is no object."""
    text = body.decode("utf-8", "replace")
    code, message = _CODE.search(text), _MESSAGE.search(text)
    return Failure(status, code[1] if code else "", message[1] if message else "")


def from_client_error(response: Any) -> Failure:
    """What the answer inside botocore's ClientError says; HEAD has no body, so its code is the status."""
    error = response.get("Error", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(error.get("Code", ""))
    if code.isdigit():
        status, code = status or int(code), ""
    return Failure(status, code, str(error.get("Message", "")))
