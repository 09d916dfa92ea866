from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from lockstep.config.faults import Faults
from lockstep.config.keeping import KeepingSettings, keeping_of
from lockstep.model.keeping import Keeping

BUCKET = "s3://kept/r"


def read(url: str = BUCKET, own: Mapping[str, str | None] | None = None, /, **given: str) -> tuple[Keeping, list[str]]:
    faults = Faults()
    keeping = keeping_of(KeepingSettings(**given), own or {}, url=url, faults=faults)
    return keeping, [fault.message for fault in faults.found]


@pytest.mark.parametrize(
    ("text", "period"), [("30d", timedelta(days=30)), ("12h", timedelta(hours=12)), ("2w", timedelta(days=14)), ("1h", timedelta(hours=1))]
)
def test_a_time_is_read_as_a_policy_reads_it(text: str, period: timedelta) -> None:
    assert read(lock_for=text) == (Keeping(lock_for=period), [])


def test_options_win_over_what_the_repository_has_of_its_own() -> None:
    own: dict[str, str | None] = {"lock_for": "30d", "lock_mode": "compliance", "storage_class": "standard_ia"}
    assert read(BUCKET, own)[0] == Keeping(timedelta(days=30), "compliance", storage_class="STANDARD_IA")
    assert read(BUCKET, own, lock_for="1d", lock_mode="governance")[0] == Keeping(timedelta(days=1), storage_class="STANDARD_IA")


def test_nothing_said_is_not_the_same_as_said_to_be_nothing() -> None:
    assert read()[0] == Keeping()
    assert read(BUCKET, {"lock_for": "30d"}, lock_for="none")[0] == Keeping(unlocked=True)


@pytest.mark.parametrize("text", ["soon", "0d", "-3d", "99999999y", "9999y"])
def test_what_is_no_time_is_refused(text: str) -> None:
    assert len(read(lock_for=text)[1]) == 1


@pytest.mark.parametrize("url", ["file:///srv/backup", "gs://kept", "az://kept"])
@pytest.mark.parametrize(("option", "value"), [("lock_for", "30d"), ("storage_class", "STANDARD_IA")])
def test_only_a_bucket_of_s3_has_any_of_it(url: str, option: str, value: str) -> None:
    (fault,) = read(url, **{option: value})[1]
    assert fault.startswith(f"--{option.replace('_', '-')} is for repositories in a bucket of S3")
    assert read(url, lock_for="none")[1] == []


@pytest.mark.parametrize("name", ["GLACIER", "deep_archive"])
def test_an_archive_is_refused(name: str) -> None:
    (fault,) = read(storage_class=name)[1]
    assert "nothing in it can be read for hours" in fault


@pytest.mark.parametrize("name", ["STANDARD IA", "é", "-x"])
def test_what_is_no_class_is_refused(name: str) -> None:
    assert len(read(storage_class=name)[1]) == 1


def test_an_unknown_mode_is_refused() -> None:
    assert read(lock_for="1d", lock_mode="soft")[1] == ["--lock-mode soft is neither governance nor compliance"]
