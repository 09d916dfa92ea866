"""What time it is at an S3 service, by the Date that every answer of it carries, a refusal too.

Source: RFC 9110, "Date" (whole seconds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

HTTP_DATE_STEP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the service's clock showed, and this machine's before and after it was asked (aware UTC)."""

    shown: datetime
    asked: datetime
    answered: datetime


def reading_of(response: Mapping[str, Any], *, asked: datetime, answered: datetime) -> ClockReading | None:
    """The reading in an answer as boto3 gives it; None when it has no Date that can be read."""
    text = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        shown = parsedate_to_datetime(text)
    except ValueError:
        return None
    return ClockReading(shown if shown.tzinfo else shown.replace(tzinfo=UTC), asked, answered)
