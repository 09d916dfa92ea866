from __future__ import annotations

import pytest

from lockstep.errors import (
    BucketNotFound,
    ConfigurationError,
    KeyRefused,
    LockstepError,
    ObjectExists,
    ObjectNotFound,
    PermissionMissing,
    StoreBusy,
    StoreUnreachable,
)
from lockstep.objects.failures import Failure, Place, decide_error, from_client_error, from_obstore, is_unsupported, reason_in

PLACE = Place("s3://photos/2026", "photos", "https://s3.example")


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (Failure(404, "NoSuchKey"), ObjectNotFound, "no object lies under 'a' in s3://photos/2026"),
        (Failure(404), ObjectNotFound, "no object lies under 'a' in s3://photos/2026"),
        (Failure(404, "NoSuchBucket"), BucketNotFound, "bucket photos does not exist at https://s3.example"),
        (Failure(412), ObjectExists, "an object lies under 'a' in s3://photos/2026 already"),
        (Failure(200, "PreconditionFailed"), ObjectExists, "an object lies under 'a' in s3://photos/2026 already"),
        (Failure(403), PermissionMissing, "s3://photos/2026 refuses access (403)"),
        (Failure(401), PermissionMissing, "s3://photos/2026 refuses access (401)"),
        (Failure(403, "SignatureDoesNotMatch"), PermissionMissing, "s3://photos/2026 refuses access (403 SignatureDoesNotMatch)"),
        (Failure(400, "ExpiredToken"), PermissionMissing, "s3://photos/2026 refuses access (400 ExpiredToken)"),
        (
            Failure(403, "InvalidObjectState"),
            PermissionMissing,
            "an object of s3://photos/2026 lies in an archive class (403 InvalidObjectState)",
        ),
        (Failure(503, "SlowDown"), StoreBusy, "s3://photos/2026 asks for fewer requests (503 SlowDown)"),
        (Failure(200, "SlowDown"), StoreBusy, "s3://photos/2026 asks for fewer requests (200 SlowDown)"),
        (Failure(429), StoreBusy, "s3://photos/2026 asks for fewer requests (429)"),
        (Failure(409, "OperationAborted"), StoreBusy, "s3://photos/2026 asks for fewer requests (409 OperationAborted)"),
        (Failure(500, "InternalError"), StoreUnreachable, "s3://photos/2026 fails at https://s3.example (500 InternalError)"),
        (Failure(400, "RequestTimeout"), StoreUnreachable, "s3://photos/2026 fails at https://s3.example (400 RequestTimeout)"),
        (Failure(301), ConfigurationError, "bucket photos lies in another region or behind another endpoint (301)"),
        (Failure(400, "KeyTooLongError"), KeyRefused, "s3://photos/2026 cannot hold an object under 'a' (400 KeyTooLongError)"),
        (Failure(reason="connection refused"), StoreUnreachable, "cannot reach https://s3.example: connection refused"),
    ],
)
def test_a_failure_has_one_meaning_and_one_sentence(failure: Failure, kind: type[LockstepError], message: str) -> None:
    error = decide_error(failure, place=PLACE, key="a")
    assert type(error) is kind
    assert error.message == message
    assert error.hint.endswith(".")


def test_a_404_about_no_object_is_about_the_bucket() -> None:
    assert isinstance(decide_error(Failure(404), place=PLACE), BucketNotFound)


def test_an_invalid_request_blames_the_key_only_when_it_is_odd() -> None:
    failure = Failure(400, "InvalidRequest")
    assert isinstance(decide_error(failure, place=PLACE, key="../a"), KeyRefused)
    assert isinstance(decide_error(failure, place=PLACE, key="a"), StoreUnreachable)


def test_azure_has_codes_of_its_own() -> None:
    with_key, without = (decide_error(Failure(404, "ContainerNotFound"), place=PLACE, key=key) for key in ("a", None))
    assert (type(with_key), type(without)) == (BucketNotFound, BucketNotFound)
    refused = decide_error(Failure(400, "InvalidMetadata"), place=PLACE, key="a")
    assert isinstance(refused, KeyRefused)
    assert "cannot hold the user metadata of 'a'" in refused.message


def test_the_region_that_a_service_expects_is_named() -> None:
    failure = Failure(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'")
    assert "region eu-west-1" in decide_error(failure, place=PLACE).message


def test_what_a_service_does_not_have_is_recognised() -> None:
    for failure in (Failure(501, "NotImplemented"), Failure(405, "MethodNotAllowed"), Failure(501)):
        assert is_unsupported(decide_error(failure, place=PLACE))
    assert not is_unsupported(decide_error(Failure(500, "InternalError"), place=PLACE))


def test_status_and_code_are_found_in_what_obstore_says() -> None:
    text = (
        "Generic S3 error: Error performing GET http://x/b/k in 1ms - Server returned non-2xx status code: 503 Service Unavailable: "
        "<Error>\n  <Code>SlowDown</Code>\n  <Message>Please reduce</Message></Error>\n\nDebug source:\nGeneric {\n status: 500 }"
    )
    assert from_obstore(Exception(text)) == Failure(503, "SlowDown", "Please reduce")
    assert from_obstore(FileNotFoundError("status code: 404 Not Found: \n\nDebug source:\n")) == Failure(404)
    assert from_obstore(FileNotFoundError("gone")) == Failure(404)
    assert from_obstore(Exception("Generic S3 error: failed for /a: Access Denied (code: AccessDenied)")) == Failure(403, "AccessDenied")
    assert from_obstore(Exception("Generic S3 error: failed for /a: try later (code: InternalError)")) == Failure(500, "InternalError")
    assert from_obstore(Exception("Received redirect without LOCATION, this")).status == 301


def test_a_credential_that_cannot_be_had_is_a_missing_permission() -> None:
    text = "The operation lacked valid authentication credentials for path External AWS credential provider: ValueError: no luck\n\nDebug"
    assert isinstance(decide_error(from_obstore(Exception(text)), place=PLACE), PermissionMissing)


def test_botocore_puts_the_status_of_a_head_into_the_code() -> None:
    response = {"Error": {"Code": "404", "Message": "Not Found"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
    assert from_client_error(response) == Failure(404, "", "Not Found")
    assert from_client_error({"Error": {"Code": "NoSuchBucket"}, "ResponseMetadata": {"HTTPStatusCode": 404}}) == Failure(
        404, "NoSuchBucket"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('...ConnectError("dns error", Custom { error: "failed to lookup" })', "unknown host"),
        ("tcp connect error ... kind: ConnectionRefused", "connection refused"),
        ("certificate ... UnknownIssuer", "its TLS certificate is not trusted"),
        ("source: TimedOut", "no answer in time"),
        ("error: IncompleteBody", "the connection broke off"),
        ("Something new.\n\nDebug source: a hundred lines", "Something new"),
        ("", "the request failed"),
    ],
)
def test_a_broken_connection_has_a_short_reason(text: str, reason: str) -> None:
    assert reason_in(text) == reason
