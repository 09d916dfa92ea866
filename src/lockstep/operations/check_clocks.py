"""Checks of the clocks: this machine's, the database server's and the object stores'."""

from __future__ import annotations

from datetime import UTC, datetime

from lockstep.errors import PermissionMissing
from lockstep.model.checkup import Answer, warning
from lockstep.model.clocks import SKEW, decide_skew, measured_skew
from lockstep.objects.clock import HTTP_DATE_STEP, ClockReading
from lockstep.operations.check_database import Live


def of_database(live: Live) -> Answer:
    """The clock of the database server, from which snapshots take their time."""
    asked = datetime.now(UTC)
    shown = live.database.rows("SELECT clock_timestamp()")[0][0]
    return decide_skew(measured_skew(shown, asked=asked, answered=datetime.now(UTC)), signs_requests=False)


def of_service(clock: ClockReading | None) -> Answer:
    """The clock of an S3 service, which refuses requests that are too old or too young."""
    if clock is None:
        return warning("the service does not say what time it is", hint="Compare its clock with this machine's by other means.")
    return decide_skew(_skew(clock), signs_requests=True)


def with_skew(error: PermissionMissing, clock: ClockReading | None) -> PermissionMissing:
    """The refusal of a service, and how far the clocks are apart where that is why."""
    if clock is None or abs(_skew(clock)) <= SKEW.refused:
        return error
    answer = decide_skew(_skew(clock), signs_requests=True)
    return PermissionMissing(f"{error.message}; its clock is {answer.detail}", hint=answer.hint or error.hint)


def _skew(clock: ClockReading) -> float:
    return measured_skew(clock.shown, asked=clock.asked, answered=clock.answered, resolution=HTTP_DATE_STEP)
