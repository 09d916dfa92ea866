from __future__ import annotations

import hashlib
from dataclasses import replace

from lockstep.model.checks import Received, decide_why_wrong
from lockstep.model.inventory import Wanted

DATA = b"contents"
MD5, SHA256 = hashlib.md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()
RECEIVED = Received(size=len(DATA), sha256=SHA256, md5=MD5, announced_size=len(DATA), announced_etag=MD5)
WANTED = Wanted("main", "key", len(DATA), sha256=SHA256)


def test_bytes_that_agree_with_everything_are_right() -> None:
    assert decide_why_wrong(RECEIVED, WANTED) is None


def test_bytes_of_which_nothing_is_known_are_right() -> None:
    assert decide_why_wrong(replace(RECEIVED, announced_etag=None), Wanted("main", "key", None)) is None


def test_another_size_than_the_reference_says_is_wrong() -> None:
    assert decide_why_wrong(RECEIVED, replace(WANTED, size=len(DATA) + 1)) == "wrong_size"


def test_an_empty_object_is_not_what_a_reference_of_some_bytes_means() -> None:
    empty = Received(0, hashlib.sha256().hexdigest(), hashlib.md5().hexdigest(), 0, None)
    assert decide_why_wrong(empty, Wanted("main", "key", 1)) == "wrong_size"
    assert decide_why_wrong(empty, Wanted("main", "key", 0)) is None


def test_no_object_has_the_size_of_references_that_disagree() -> None:
    assert decide_why_wrong(RECEIVED, replace(WANTED, size=-1)) == "wrong_size"


def test_another_md5_than_the_store_announced_is_wrong() -> None:
    assert decide_why_wrong(replace(RECEIVED, announced_etag="0" * 32), WANTED) == "wrong_checksum"


def test_an_etag_that_is_no_md5_says_nothing_of_the_bytes() -> None:
    assert decide_why_wrong(replace(RECEIVED, announced_etag=f"{'0' * 32}-2"), WANTED) is None


def test_another_sha256_than_the_reference_says_is_wrong() -> None:
    assert decide_why_wrong(RECEIVED, replace(WANTED, sha256="0" * 64)) == "wrong_checksum"


def test_a_wrong_size_is_said_before_a_wrong_checksum() -> None:
    assert decide_why_wrong(replace(RECEIVED, announced_etag="0" * 32), replace(WANTED, size=1, sha256="0" * 64)) == "wrong_size"


def test_an_etag_that_looks_like_an_md5_is_not_believed_where_the_service_encrypts() -> None:
    assert decide_why_wrong(replace(RECEIVED, announced_etag="0" * 32, etag_is_md5=False), WANTED) is None


def test_the_etag_of_the_reference_may_be_the_stores_or_the_md5_of_the_bytes() -> None:
    assert decide_why_wrong(replace(RECEIVED, announced_etag="abc-2"), replace(WANTED, etag="abc-2")) is None
    assert decide_why_wrong(replace(RECEIVED, announced_etag="abc-2"), replace(WANTED, etag=MD5)) is None


def test_another_etag_than_the_reference_says_is_wrong() -> None:
    assert decide_why_wrong(RECEIVED, replace(WANTED, etag="0" * 32)) == "wrong_checksum"
    assert decide_why_wrong(replace(RECEIVED, announced_etag=None), replace(WANTED, etag="abc-2")) == "wrong_checksum"


def test_the_case_of_an_etag_says_nothing() -> None:
    assert decide_why_wrong(RECEIVED, replace(WANTED, etag=MD5.upper())) is None
    assert decide_why_wrong(replace(RECEIVED, announced_etag="abc-2"), replace(WANTED, etag=MD5.upper())) is None
    assert decide_why_wrong(replace(RECEIVED, announced_etag="0xAB-2"), replace(WANTED, etag="0XaB-2")) is None
    assert decide_why_wrong(RECEIVED, replace(WANTED, etag="A" * 32)) == "wrong_checksum"


def test_where_the_service_encrypts_the_references_own_checksums_still_count() -> None:
    encrypted = replace(RECEIVED, announced_etag="0" * 32, etag_is_md5=False)
    assert decide_why_wrong(encrypted, replace(WANTED, etag="0" * 32)) is None
    assert decide_why_wrong(encrypted, replace(WANTED, etag=MD5)) is None
    assert decide_why_wrong(encrypted, replace(WANTED, etag="1" * 32)) == "wrong_checksum"
    assert decide_why_wrong(encrypted, replace(WANTED, sha256="0" * 64)) == "wrong_checksum"
    assert decide_why_wrong(encrypted, replace(WANTED, size=1)) == "wrong_size"
