from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lockstep.model.addresses import StoreAddress
from lockstep.model.lifecycle import LifecycleRule
from lockstep.objects.bucket_settings import open_bucket_settings, read_rule
from lockstep.objects.clock import reading_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "read"),
    [
        ({"ID": "a", "Status": "Disabled", "Expiration": {"Days": 1}}, []),
        ({"ID": "a", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, []),
        ({"ID": "a", "Status": "Enabled", "Expiration": {"ExpiredObjectDeleteMarker": True}}, []),
        ({"ID": "a", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}, []),
        ({"ID": "a", "Status": "Enabled", "Transitions": [{"Days": 1, "StorageClass": "GLACIER_IR"}]}, []),
        (
            {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 7}},
            [LifecycleRule("a", "x/", "delete", "after 7 days")],
        ),
        (
            {"Status": "Enabled", "Prefix": "old/", "Expiration": {"Date": NOON}},
            [LifecycleRule("without a name", "old/", "delete", "on 2026-11-22")],
        ),
        (
            {
                "ID": "a",
                "Status": "Enabled",
                "Filter": {"And": {"Prefix": "x/", "Tags": [{"Key": "k", "Value": "v"}]}},
                "Transitions": [{"Days": 3, "StorageClass": "DEEP_ARCHIVE"}],
            },
            [LifecycleRule("a", "x/", "archive", "after 3 days", conditional=True)],
        ),
    ],
)
def test_rules_are_read_for_what_they_do_to_the_newest_version_of_objects(rule: dict[str, Any], read: list[LifecycleRule]) -> None:
    assert list(read_rule(rule)) == read


def test_only_a_bucket_of_s3_has_such_settings() -> None:
    assert open_bucket_settings(StoreAddress("file:///tmp")) is None


@pytest.mark.parametrize(
    ("date", "shown"),
    [("Sun, 22 Nov 2026 12:00:00 GMT", NOON), ("Sun, 22 Nov 2026 13:00:00 +0100", NOON), ("noon", None), ("", None)],
)
def test_the_date_of_an_answer_is_read_when_there_is_one(date: str, shown: datetime | None) -> None:
    response = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    found = reading_of(response, asked=NOON, answered=NOON + timedelta(seconds=1))
    assert (found and found.shown) == shown
    assert reading_of({}, asked=NOON, answered=NOON) is None
