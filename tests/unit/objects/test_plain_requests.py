"""What is sent for a key, held against the AWS SDK's own signature."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lockstep.model.addresses import StoreAddress
from lockstep.model.objects import ObjectAttributes
from lockstep.objects.addresses import BucketUrl, read_s3_settings
from lockstep.objects.plain_requests import PlainRequests
from lockstep.objects.silence import Silence
from lockstep.objects.store import RequestCounter

WHEN = datetime(2026, 11, 26, 6, 54, 4, tzinfo=UTC)


def requests(endpoint: str, token: str | None, *, virtual_hosted: bool = False, creates: bool = False) -> PlainRequests:
    address = StoreAddress("s3://bucket/pre fix", endpoint_url=endpoint, region="eu-west-3", virtual_hosted=virtual_hosted)
    settings = read_s3_settings(BucketUrl("s3", "bucket", "pre fix/"), address, environ={})
    keys: dict[str, Any] = {"access_key_id": "AKID", "secret_access_key": "se/cret", "token": token}
    return PlainRequests(
        settings, lambda: keys, silence=Silence(), requests=RequestCounter(), creates=lambda: creates, clock=WHEN.timestamp
    )


@pytest.mark.parametrize("token", [None, "a+session/token=="])
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8333", "https://s3.example:443", "https://s3.example/below/it"])
@pytest.mark.parametrize("virtual_hosted", [False, True])
@pytest.mark.parametrize("key", ["plain", "dir/a b+c%41", "ünï/😀", "~._-!*'()&=;,$@:?#[]"])
def test_a_get_is_signed_as_the_sdk_signs_it(key: str, virtual_hosted: bool, endpoint: str, token: str | None) -> None:
    question = requests(endpoint, token, virtual_hosted=virtual_hosted).question(key)
    assert question is not None
    sent = dict(line.split(": ", 1) for line in question.headers)
    request = AWSRequest("GET", question.url, headers={"X-Amz-Content-SHA256": sent["x-amz-content-sha256"]})
    with patch("botocore.auth.get_current_datetime", return_value=WHEN.replace(tzinfo=None)):
        S3SigV4Auth(Credentials("AKID", "se/cret", token), "s3", "eu-west-3").add_auth(request)
    assert sent["Authorization"] == request.headers["Authorization"]
    assert urlsplit(question.url).hostname == ("bucket." if virtual_hosted else "") + str(urlsplit(endpoint).hostname)


@pytest.mark.parametrize("token", [None, "a+session/token=="])
@pytest.mark.parametrize("kind", [None, "text/plain; charset=utf-8"])
def test_a_put_is_signed_as_the_sdk_signs_it_with_its_bytes(kind: str | None, token: str | None) -> None:
    plain, digest = requests("http://127.0.0.1:8333", token, creates=True), hashlib.sha256(b"data").hexdigest()
    question = plain.creation("dir/a b", b"data", sha256=digest, attributes=ObjectAttributes(content_type=kind))
    assert question is not None
    sent = dict(line.split(": ", 1) for line in question.headers)
    assert (sent["x-amz-content-sha256"], sent["If-None-Match"], sent.get("content-type")) == (digest, "*", kind)
    headers = {"X-Amz-Content-SHA256": digest, **({} if kind is None else {"Content-Type": kind})}
    request = AWSRequest("PUT", question.url, headers=headers, data=b"data")
    with patch("botocore.auth.get_current_datetime", return_value=WHEN.replace(tzinfo=None)):
        S3SigV4Auth(Credentials("AKID", "se/cret", token), "s3", "eu-west-3").add_auth(request)
    assert sent["Authorization"] == request.headers["Authorization"]


@pytest.mark.parametrize(
    ("creates", "key", "attributes"),
    [
        (False, "key", ObjectAttributes()),
        (True, "a//b", ObjectAttributes()),
        (True, "key", ObjectAttributes("two  spaces")),
        (True, "key", ObjectAttributes("line\nbreak")),
        (True, "key", ObjectAttributes(metadata={"by": "alice"})),
        (True, "key", ObjectAttributes(cache_control="max-age=5")),
    ],
)
def test_what_needs_more_care_is_no_creation(key: str, attributes: ObjectAttributes, *, creates: bool) -> None:
    plain = requests("http://127.0.0.1:8333", None, creates=creates)
    assert plain.creation(key, b"data", sha256=hashlib.sha256(b"data").hexdigest(), attributes=attributes) is None


def test_a_key_for_the_second_road_is_no_question() -> None:
    assert requests("http://127.0.0.1:8333", None).question("a//b") is None
