from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lockstep.model.objects import ObjectInfo
from lockstep.objects.listing import is_truncated_without_token, parse_page

PAGE = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix></Prefix><IsTruncated>true</IsTruncated>
<NextContinuationToken>t+/=</NextContinuationToken><EncodingType>url</EncodingType>
<Contents><Key>a%0Ab+c%2Bd/%C3%A9</Key><LastModified>2026-11-22T15:40:07.123Z</LastModified><ETag>&#34;f9c9&#34;</ETag><Size>4096</Size>
<StorageClass>STANDARD</StorageClass></Contents>
<Contents><Key>z</Key><Size>0</Size></Contents>
<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>
</ListBucketResult>"""


def test_a_page_is_read() -> None:
    page = parse_page(PAGE)
    modified = datetime(2026, 11, 22, 15, 40, 7, 123000, UTC)
    assert page.objects == [ObjectInfo("a\nb c+d/é", 4096, "f9c9", modified), ObjectInfo("z", 0)]
    assert page.token == "t+/="


def test_a_service_without_namespace_and_encoding_is_understood() -> None:
    page = parse_page(
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a%41+b</Key><Size>1</Size></Contents></ListBucketResult>"
    )
    assert [found.key for found in page.objects] == ["a%41+b"]
    assert page.token is None


def test_a_token_counts_only_when_there_is_more() -> None:
    page = parse_page(
        b"<ListBucketResult><IsTruncated>false</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
    )
    assert page.token is None
    assert is_truncated_without_token(b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"<ListBucketResult>",
        b"\xff",
        b"<ListBucketResult><Contents><Key>%ff</Key></Contents>",
        b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><x:Contents xmlns:x='y'><Key>k</Key><Size>1</Size></x:Contents></ListBucketResult>",
    ],
)
def test_what_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="listing"):
        parse_page(body)
