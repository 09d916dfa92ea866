from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from lockstep.deployment.profile import BUILT_IN, load_profile

PROFILES = resources.files("lockstep.deployment") / "profiles"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "profiles.md"

every_profile = pytest.mark.parametrize("name", BUILT_IN)


def test_every_profile_file_comes_with_lockstep_and_parsec_is_asked_first() -> None:
    assert BUILT_IN[0] == "parsec"
    assert {f"{name}.toml" for name in BUILT_IN} == {each.name for each in PROFILES.iterdir() if each.name.endswith(".toml")}


@every_profile
def test_a_profile_is_under_its_own_name_and_recognises_and_explains(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description
    assert profile.detect is not None
    assert profile.explain is not None
    assert profile.groups
    assert "%(keys)s" in profile.explain


@every_profile
def test_a_profile_says_where_its_facts_come_from(name: str) -> None:
    text = (PROFILES / f"{name}.toml").read_text(encoding="utf-8")
    assert re.search(r"^# Source: ", text, flags=re.MULTILINE)


@every_profile
def test_a_query_without_parameters_has_no_doubled_percent_sign(name: str) -> None:
    """`detect`, `when` and `references` run as they stand; only a query with %(keys)s writes a percent sign twice."""
    profile = load_profile(name)
    queries = [profile.detect or "", *(each.query for each in profile.references), *(each.when or "" for each in profile.references)]
    assert [query for query in queries if "%%" in query] == []
    bare = (profile.explain or "").replace("%(keys)s", "").replace("%%", "")
    assert "%" not in bare


@every_profile
def test_the_page_names_every_profile(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")
