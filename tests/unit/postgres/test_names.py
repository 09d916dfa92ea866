"""Names of databases that a restore makes fit, differ, and are recognised again."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from lockstep.postgres.names import is_leftover, replaced_name, staging_name

ID = "20261122T124000Z-1a2b3c4d"
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda name: len(name.encode()) <= 63)


@given(NAMES)
def test_names_fit_into_63_bytes_and_are_recognised(name: str) -> None:
    staging = staging_name(name, ID)
    assert len(staging.encode()) <= 63
    assert is_leftover(staging, name)
    assert len(replaced_name(name, datetime(2026, 11, 22, 12, 40, tzinfo=UTC)).encode()) <= 63


@given(NAMES, NAMES)
def test_a_leftover_belongs_to_one_name_alone(one: str, other: str) -> None:
    assert is_leftover(staging_name(one, ID), other) == (one == other)


def test_short_names_are_kept_whole() -> None:
    assert staging_name("parsec", ID) == f"parsec_lockstep_{ID}"
    assert replaced_name("parsec", datetime(2026, 11, 22, 12, 40, tzinfo=UTC)) == "parsec_before_20261122T124000Z"


def test_what_only_looks_alike_is_not_a_leftover() -> None:
    for name in (f"parsec_lockstep_{ID}x", f"xparsec_lockstep_{ID}", "parsec_lockstep_mine", "parsec", f"PARSEC_lockstep_{ID}"):
        assert not is_leftover(name, "parsec")


def test_long_names_with_one_beginning_stay_apart() -> None:
    assert staging_name("a" * 60 + "1", ID) != staging_name("a" * 60 + "2", ID)
