from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.deployment.profile import BUILT_IN, Profile, ReferenceQuery, load_profile
from lockstep.errors import ProfileInvalid


def write(directory: Path, text: str) -> str:
    path = directory / "profile.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_built_in_profile_of_parsec_loads() -> None:
    profile = load_profile("parsec")
    assert profile.name == "parsec"
    assert not profile.lists_the_bucket
    assert profile.groups == ("organization", "realm")
    assert [query.when is None for query in profile.references] == [False, True]
    assert profile.detect is not None
    for query in (profile.explain, profile.older_keys):
        assert query is not None
        assert "%(keys)s" in query


def test_the_profile_of_a_bucket_asks_no_database() -> None:
    assert load_profile("bucket").lists_the_bucket


def test_the_smallest_profile_of_a_user_is_a_name_and_a_query(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "photos"\nreferences = "SELECT path AS key, bytes AS size FROM photo"\n')
    assert load_profile(path) == Profile(name="photos", references=(ReferenceQuery(query="SELECT path AS key, bytes AS size FROM photo"),))


@pytest.mark.parametrize(
    "text",
    [
        'name = "a"\nreferences = { query = "SELECT 1" }',
        'name = "a"\n[references]\nquery = "SELECT 1"',
        'name = "a"\n[[references]]\nquery = "SELECT 1"',
        'name = "a"\nreferences = [{ query = "SELECT 1" }]',
    ],
)
def test_a_reference_query_may_be_written_as_a_table(tmp_path: Path, text: str) -> None:
    assert load_profile(write(tmp_path, text)).references == (ReferenceQuery(query="SELECT 1"),)


def test_a_profile_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(ProfileInvalid, match="there is no profile 'parsek'") as caught:
        load_profile("parsek")
    assert caught.value.hint == f"Name one of {', '.join([*BUILT_IN, 'bucket'])}, or the path of a profile file."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not TOML"),
        ('name = "a"', "has no reference query"),
        ('name = "a"\nreferences = []', "has no reference query"),
        ('references = "SELECT 1"', "name: Field required"),
        ('name = "A B"\nreferences = "SELECT 1"', "name: "),
        ('name = "a"\nreferences = ""', "references.0.query: "),
        ('name = "a"\nreferences = 5', "references: "),
        ('name = "a"\nreferences = [{ when = "SELECT true" }]', "references.0.query: Field required"),
        ('name = "a"\nreferences = "SELECT 1"\nrefrences = "x"', "refrences: Extra inputs"),
        ('name = "a"\nreferences = "SELECT 1"\ngroups = "organization"', "groups: "),
    ],
)
def test_a_profile_with_faults_says_which_and_how_one_looks(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        load_profile(write(tmp_path, text))
    assert message in caught.value.message
    assert "profile.toml" in caught.value.message
    assert 'references = "SELECT path AS key' in caught.value.hint


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalid, match=r"name: .*; .*surprise: "):
        load_profile(write(tmp_path, 'references = "SELECT 1"\nsurprise = 1\n'))


def test_what_cannot_be_read_is_no_profile(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    for path in (tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(ProfileInvalid, match="cannot be read"):
            load_profile(str(path))
