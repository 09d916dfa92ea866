from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lockstep.deployment.deployment import BoundProfile, Deployment, bind_profile, explain, reference_blocks
from lockstep.deployment.profile import Profile, ReferenceQuery
from lockstep.deployment.references import REFERENCE_COLUMNS
from lockstep.errors import ConfigurationError, DatabaseFailed, PermissionMissing, ProfileInvalid
from lockstep.model.addresses import DatabaseAddress
from lockstep.objects.memory import MemoryStore

Answer = TypeVar("Answer")

KEY_AND_SIZE = [("key", "text"), ("size", "bigint")]


@dataclass
class Database:
    """Answers a query by the first word that it contains; fails for what it does not know."""

    answers: Mapping[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    described: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def rows(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self.asked.append((query, params))
        return found(self.answers, query)

    def columns(self, query: str) -> list[tuple[str, str]]:
        return found(self.described, query)

    def copy_csv(self, query: str, columns: Sequence[str]) -> Generator[bytes, None, int]:
        self.asked.append((query, columns))
        yield b"main,a,1,,\n"
        if "breaks" in query:
            raise DatabaseFailed("the server closed the connection", hint="Look at its log.")
        return 1


def found(among: Mapping[str, Answer], query: str) -> Answer:
    for word, answer in among.items():
        if word in query:
            return answer
    raise DatabaseFailed('relation "block" does not exist', hint="Check the schema.")


def deployment(app: str | None, *stores: str) -> Deployment:
    return Deployment(DatabaseAddress(), {name: MemoryStore() for name in stores or ("main",)}, app)


def profile_file(directory: Path, text: str) -> str:
    (directory / "p.toml").write_text(f'name = "photos"\n{text}', encoding="utf-8")
    return str(directory / "p.toml")


@pytest.fixture
def photos(tmp_path: Path) -> str:
    return profile_file(tmp_path, 'references = "SELECT key, size FROM photo"')


def test_the_profile_that_the_operator_names_is_bound(photos: str) -> None:
    bound = bind_profile(deployment(photos), Database(described={"photo": KEY_AND_SIZE}))
    assert bound.profile.name == "photos"
    assert bound.query == "SELECT key, size FROM photo"
    assert bound.select is not None
    assert "'main' AS store" in bound.select
    assert not bound.lists_the_bucket


@pytest.mark.parametrize(("stores", "default"), [(("disk",), "disk"), (("node1", "main"), "main"), (("node1", "node2"), "main")])
def test_a_reference_without_a_store_is_of_the_only_store_or_of_main(photos: str, stores: tuple[str, ...], default: str) -> None:
    bound = bind_profile(deployment(photos, *stores), Database(described={"photo": KEY_AND_SIZE}))
    assert bound.select is not None
    assert f"'{default}' AS store" in bound.select


def test_the_bucket_profile_asks_the_database_nothing() -> None:
    database = Database()
    assert bind_profile(deployment("bucket"), database).lists_the_bucket
    assert database.asked == []


def test_a_deployment_whose_objects_are_in_the_database_has_no_query(photos: str) -> None:
    bound = bind_profile(Deployment(DatabaseAddress(), {}, photos), Database())
    assert bound == BoundProfile(bound.profile, None, None)


def test_parsec_is_recognised_and_the_query_of_its_schema_is_taken() -> None:
    newer = Database(answers={"count(*) = 4": [(True,)], "NOT EXISTS": [(True,)]}, described={"realm._id = block.realm": KEY_AND_SIZE})
    older = Database(answers={"count(*) = 4": [(True,)], "NOT EXISTS": [(False,)]}, described={"block.organization": KEY_AND_SIZE})
    assert "block.realm" in (bind_profile(deployment(None), newer).query or "")
    assert "block.organization" in (bind_profile(deployment(None), older).query or "")


def test_a_database_of_no_known_application_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="of no application that lockstep knows") as caught:
        bind_profile(deployment(None), Database(answers={"SELECT": [(False,)]}))
    assert "--app" in caught.value.hint


def test_a_profile_none_of_whose_queries_fits_is_refused(tmp_path: Path) -> None:
    path = profile_file(tmp_path, '[[references]]\nquery = "SELECT 1"\nwhen = "SELECT false"')
    with pytest.raises(ProfileInvalid, match="no reference query of the profile 'photos' fits"):
        bind_profile(deployment(path), Database(answers={"SELECT false": [(False,)]}))


@pytest.mark.parametrize("database", [Database(), Database(answers={"SELECT version": [(True,)]})])
def test_a_query_that_fails_is_shown_with_what_the_server_said_and_the_fix(tmp_path: Path, database: Database) -> None:
    path = profile_file(tmp_path, '[[references]]\nquery = "SELECT key,\\n size FROM block"\nwhen = "SELECT version"')
    with pytest.raises(ProfileInvalid, match="a query of the profile 'photos' fails") as caught:
        bind_profile(deployment(path), database)
    shown = "SELECT key, size FROM block" if database.answers else "SELECT version"
    assert f'relation "block" does not exist; the query is: {shown}' in caught.value.message
    assert caught.value.hint == "Try the query with psql on this database and correct the profile. Check the schema."


def test_columns_that_cannot_be_meant_are_refused(photos: str) -> None:
    with pytest.raises(ProfileInvalid, match="column size is missing"):
        bind_profile(deployment(photos), Database(described={"photo": [("key", "text")]}))


@pytest.mark.parametrize("more", [(), ("sha256",), ("store", "etag")])
def test_references_are_copied_out_in_the_columns_that_the_query_has(photos: str, more: tuple[str, ...]) -> None:
    database = Database(described={"photo": [*((name, "text") for name in more), *reversed(KEY_AND_SIZE)]})
    bound = bind_profile(deployment(photos, "disk"), database)
    assert list(reference_blocks(deployment(photos, "disk"), bound, database)) == [b"main,a,1,,\n"]
    assert bound.columns == tuple(name for name in REFERENCE_COLUMNS if name in {"key", "size", *more})
    assert database.asked[-1] == (bound.select, bound.columns)
    assert bound.store == "disk"


def test_a_query_that_breaks_on_the_way_is_shown_too(photos: str) -> None:
    bound = BoundProfile(Profile(name="photos", references=(ReferenceQuery(query="breaks"),)), "breaks", "breaks")
    with pytest.raises(ProfileInvalid, match="the server closed the connection; the query is: breaks"):
        list(reference_blocks(deployment(photos), bound, Database()))


def test_references_of_a_bucket_are_listed() -> None:
    place = Deployment(DatabaseAddress(), {"main": MemoryStore()}, "bucket")
    place.stores["main"].write("a", b"1")
    bound = bind_profile(place, Database())
    assert b"".join(reference_blocks(place, bound, Database())).startswith(b'"main","a",1,')


def bound_with(explain_query: str | None) -> BoundProfile:
    return BoundProfile(Profile(name="photos", explain=explain_query, groups=("album",)), None, None)


def test_keys_are_explained_by_the_columns_of_the_query() -> None:
    database = Database(
        answers={"album": [("a", "holiday", None), ("b", 5, "x")]},
        described={"'{}'::text[]": [("key", "text"), ("album", "text"), ("by", "text")]},
    )
    known = explain(bound_with("SELECT album FROM unnest(%(keys)s::text[]);"), database, ["a", "b"])
    assert [(row["key"], row["album"]) for row in known] == [("a", "holiday"), ("b", "5")]
    assert database.asked == [("SELECT album FROM unnest(%(keys)s::text[])", {"keys": ["a", "b"]})]


def test_nothing_is_asked_when_there_is_nothing_to_explain() -> None:
    database = Database()
    assert explain(bound_with(None), database, ["a"]) == []
    assert explain(bound_with("SELECT album"), database, []) == []
    assert database.asked == []


@pytest.mark.parametrize("error", [DatabaseFailed("bad", hint="Look."), PermissionMissing("denied", hint="Grant.")])
def test_an_explanation_that_fails_is_left_out(error: Exception) -> None:
    class Fails(Database):
        def columns(self, query: str) -> list[tuple[str, str]]:
            raise error if query else AssertionError

    assert explain(bound_with("SELECT album"), Fails(), ["a"]) == []


def test_requests_of_all_stores_are_counted_together() -> None:
    place = deployment("bucket", "a", "b")
    place.stores["a"].write("k", b"")
    place.stores["b"].write("k", b"")
    place.stores["b"].head("k")
    counts = place.requests()
    assert (counts.put, counts.head, counts.get) == (2, 1, 0)
