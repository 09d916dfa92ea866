"""Copies that an S3 service makes by itself, on services that differ: SeaweedFS, moto (tells SHA-256), rclone (ignores conditions)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lockstep.model.addresses import StoreAddress
from lockstep.model.inventory import Wanted
from lockstep.model.objects import ObjectAttributes
from lockstep.objects.copied import NotCopied
from lockstep.objects.kept import Kept
from lockstep.objects.limits import CopyLimits
from lockstep.objects.open import open_store
from lockstep.objects.s3 import S3ObjectStore
from lockstep.objects.service_copy import ServiceCopier, find_copier
from lockstep.objects.store import ObjectStore
from lockstep.operations.service_copies import LEAST_BYTES, ServiceCopies, service_copies
from lockstep.progress import Event, Note
from support.s3_proxy import Answer, S3Proxy
from support.servers import MotoServer, RcloneS3, SeaweedFS

BODY = bytes(range(256)) * (LEAST_BYTES // 256 + 1)
ODD_KEYS = ("a b+c%20ü/ü&x=1?#", "dir//x", "q'\"<>", "a/\u0001")


def places(server: SeaweedFS | MotoServer | RcloneS3) -> tuple[StoreAddress, ObjectStore, ObjectStore]:
    address = server.address(server.create_bucket(), prefix="from")
    return address, open_store(address), open_store(server.address(server.create_bucket(), prefix="to/it"))


def copies_between(source: ObjectStore, target: ObjectStore, notes: list[str], *, asked: bool) -> ServiceCopies:
    def hear(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.message)

    found = service_copies(source, target, wanted=asked or None, listener=hear)
    assert found is not None
    return found


def wanted(key: str) -> Wanted:
    return Wanted("main", key, len(BODY))


@pytest.mark.parametrize("name", ["s3_server", "moto_server"])
def test_every_key_that_the_service_holds_is_copied(request: pytest.FixtureRequest, name: str) -> None:
    _, source, target = places(request.getfixturevalue(name))
    copier = find_copier(source, target)
    assert copier is not None
    for key in ODD_KEYS:
        etag = source.write(key, BODY) or ""
        told = copier.copy(key, f"objects/{key}", size=len(BODY), etag=etag, attributes=ObjectAttributes(content_type="text/odd"))
        assert told.etag == etag
        assert told.sha256 in {None, hashlib.sha256(BODY).hexdigest()}
        assert target.read(f"objects/{key}").bytes() == BODY
        assert target.head(f"objects/{key}")[1].content_type == "text/odd"


@pytest.mark.parametrize("name", ["s3_server", "moto_server"])
def test_what_is_too_long_for_one_request_is_copied_in_parts(request: pytest.FixtureRequest, name: str) -> None:
    _, source, target = places(request.getfixturevalue(name))
    assert isinstance(source, S3ObjectStore)
    assert isinstance(target, S3ObjectStore)
    long = BODY * 90
    etag = source.write("long", long) or ""
    copier = ServiceCopier(source, target, limits=CopyLimits(most_at_once=6 << 20, part_bytes=5 << 20))
    told = copier.copy("long", "there", size=len(long), etag=etag)
    assert told.sha256 is None
    assert target.read("there").bytes() == long


def test_an_object_that_was_replaced_meanwhile_is_not_copied(s3_server: SeaweedFS) -> None:
    _, source, target = places(s3_server)
    copier = find_copier(source, target)
    assert copier is not None
    etag = source.write("k", BODY) or ""
    source.write("k", b"other", overwrite=True)
    for size in (len(BODY), 6 << 30):
        with pytest.raises(NotCopied):
            copier.copy("k", "there", size=size, etag=etag)
        assert list(target.list()) == []


def test_stores_of_two_services_or_with_other_keys_are_not_of_one(s3_server: SeaweedFS, moto_server: MotoServer, tmp_path: Path) -> None:
    address, source, target = places(s3_server)
    other = open_store(replace(address, secret_access_key="another"))
    assert find_copier(source, target) is not None
    assert find_copier(source, other) is None
    assert find_copier(source, places(moto_server)[1]) is None
    assert service_copies(source, open_store(StoreAddress(url=tmp_path.as_uri())), wanted=True, listener=lambda _: None) is None
    assert service_copies(source, target, wanted=False, listener=lambda _: None) is None


def test_a_service_that_tells_a_wrong_sha256_is_not_believed(moto_server: MotoServer) -> None:
    address, plain, _ = places(moto_server)
    with S3Proxy(moto_server.endpoint_url) as proxy:
        right, wrong = (base64.b64encode(digest) for digest in (hashlib.sha256(BODY).digest(), bytes(32)))

        def answering(_method: str, _path: str, ask: Any) -> Answer:
            answer: Answer = ask()
            return replace(answer, body=answer.body.replace(right, wrong))

        proxy.answering = answering
        source, target = (
            open_store(replace(each, endpoint_url=proxy.endpoint_url))
            for each in (address, moto_server.address(moto_server.create_bucket()))
        )
        plain.write("k", BODY)
        for asked in (False, True):
            notes: list[str] = []
            copies = copies_between(source, target, notes, asked=asked)
            assert copies.fetch(wanted("k")) is None
            assert list(target.list()) == []  # what is not proven does not stay
            assert notes == ["the service tells a wrong SHA-256 of what it copies; all objects travel"]
            assert copies.fetch(wanted("k")) is None
            assert len(notes) == 1


def test_a_service_that_does_not_give_the_attributes_copies_nothing_that_has_some(moto_server: MotoServer) -> None:
    address, plain, _ = places(moto_server)
    other = moto_server.address(moto_server.create_bucket())
    sha256, attributes, notes = hashlib.sha256(BODY).hexdigest(), ObjectAttributes(content_type="text/x", metadata={"a": "b"}), list[str]()
    with S3Proxy(moto_server.endpoint_url) as proxy:

        def answering(_method: str, _path: str, ask: Any) -> Answer:
            answer: Answer = ask()
            return replace(answer, headers={name: value for name, value in answer.headers.items() if name.lower() != "x-amz-meta-a"})

        proxy.answering = answering
        source, target = (open_store(replace(each, endpoint_url=proxy.endpoint_url)) for each in (address, other))
        etag = plain.write("k", BODY)
        copies = copies_between(source, target, notes, asked=False)
        brought = copies.bring("k", "k", size=len(BODY), sha256=sha256, md5=etag, attributes=attributes, overwrite=False)
    assert brought == "spoilt"
    assert notes == ["the service does not give what it copies the attributes that are named; all objects travel"]
    assert list(target.list()) == []


def test_a_service_without_conditions_and_checksums_copies_what_is_read_back(rclone: RcloneS3) -> None:
    _, source, target = places(rclone)
    copies = copies_between(source, target, [], asked=True)
    etag = source.write("k", BODY)
    entry = copies.fetch(wanted("k"))
    assert entry is not None
    assert (entry.sha256, entry.etag, entry.by_service) == (hashlib.sha256(BODY).hexdigest(), etag, "copied")
    assert target.read("objects/main/k").bytes() == BODY


def test_nothing_that_lies_there_is_overwritten(s3_server: SeaweedFS) -> None:
    _, source, target = places(s3_server)
    copies = copies_between(source, target, [], asked=True)
    sha256, md5 = hashlib.sha256(BODY).hexdigest(), hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    source.write("k", BODY)
    target.write("k", b"theirs")
    for overwrite, brought in ((False, "untouched"), (True, "copied")):
        assert copies.bring("k", "k", size=len(BODY), sha256=sha256, md5=md5, attributes=None, overwrite=overwrite) == brought
    assert target.read("k").bytes() == BODY
    assert copies.bring("k", "no", size=1, sha256=sha256, md5=md5, attributes=None, overwrite=True) == "untouched"
    assert copies.bring("k", "no", size=len(BODY), sha256="0" * 64, md5=None, attributes=None, overwrite=True) == "untouched"


# moto wants the MD5 of a body with every lock, and a copy has no body: what is locked travels there.
@pytest.mark.parametrize(
    ("name", "most_at_once"),
    [("s3_server", 5 << 30), ("s3_server", LEAST_BYTES), ("moto_server", LEAST_BYTES)],
    ids=["one", "parts", "moto"],
)
def test_what_is_copied_is_locked_and_of_the_class_that_was_asked_for(request: pytest.FixtureRequest, name: str, most_at_once: int) -> None:
    server = request.getfixturevalue(name)
    _, source, _ = places(server)
    bucket = f"locked-{secrets.token_hex(4)}"
    server.client().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    target = open_store(server.address(bucket), keep=lambda _: Kept("STANDARD_IA", until, "governance"))
    assert isinstance(source, S3ObjectStore)
    assert isinstance(target, S3ObjectStore)
    etag = source.write("k", BODY) or ""
    copier = ServiceCopier(source, target, limits=CopyLimits(most_at_once, part_bytes=5 << 20))
    copier.copy("k", "there", size=len(BODY), etag=etag)
    found = server.client().head_object(Bucket=bucket, Key="there")
    assert (found["ObjectLockMode"], found["ObjectLockRetainUntilDate"], found["StorageClass"]) == ("GOVERNANCE", until, "STANDARD_IA")
