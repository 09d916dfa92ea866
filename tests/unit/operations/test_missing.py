from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from lockstep.deployment.deployment import BoundProfile, Deployment
from lockstep.deployment.profile import Profile
from lockstep.errors import DatabaseFailed
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.inventory import InventoryEntry, MissingObject
from lockstep.model.results import MissingGroup
from lockstep.objects.memory import MemoryStore
from lockstep.operations import missing
from lockstep.operations.copying import Copied, Copier
from lockstep.operations.missing import ask_again, group_missing
from lockstep.tables import inventory, plans, references
from lockstep.tables.engine import Tables

OLDER = "SELECT older FROM %(keys)s"
BOUND = BoundProfile(
    Profile(name="photos", explain="SELECT album %(keys)s", groups=("album",), older_keys=OLDER), "q", "SELECT 1 % 2 AS key"
)


class Database:
    """The live database: the rows that are still there, and the older name of each key."""

    def __init__(self, *still_there: str, older: Mapping[str, str] | None = None, albums: Mapping[str, str] | None = None) -> None:
        self.still_there, self.older, self.albums = still_there, older or {}, albums or {}
        self.asked: list[str] = []

    def rows(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        assert isinstance(params, Mapping)
        self.asked.append(query)
        known = self.older if "older" in query else self.albums if "album" in query else dict.fromkeys(self.still_there, "")
        found = [(key, known[key]) for key in params["keys"] if key in known]
        return found if "album" in query or "older" in query else [row[:1] for row in found]

    def columns(self, query: str) -> list[tuple[str, str]]:
        if "album" not in query:
            raise DatabaseFailed("no such query", hint="Look.")
        return [("key", "text"), ("album", "text")]


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "WAIT_SECONDS", 0.0)


@pytest.fixture
def ask(make_copier: Callable[..., Copier], tables: Tables) -> Callable[..., Any]:
    """Copies references (key to size) from a store, lets something happen, and then asks again for what was missing."""

    def run(
        store: MemoryStore, database: Database, then: Callable[[], object] = lambda: None, *, bound: BoundProfile = BOUND, **wanted: int
    ) -> Any:
        def blocks() -> Any:
            for key, size in wanted.items():
                yield f"main,{key},{size},,\n".encode()
            return len(wanted)

        references.load(tables, blocks())
        plans.plan_new(tables, compare_etags=False)
        copier = make_copier(main=store)
        copier.copy(plans.wanted(tables))
        then()
        return ask_again(copier, Deployment(DatabaseAddress(), {"main": store}), bound, database)

    return run


def reasons(tables: Tables) -> dict[str, str]:
    return {each.key: each.why for each in plans.missing_now(tables, most=100)}


def held(tables: Tables) -> dict[str, InventoryEntry]:
    return {entry.key: entry for entry in inventory.entries(tables, "journal")}


def test_when_nothing_is_missing_nothing_is_asked(ask: Any, tables: Tables) -> None:
    store, database = MemoryStore(), Database()
    store.write("a", b"1")
    found = ask(store, database, a=1)
    assert (found.late, found.elsewhere) == (Copied(), Copied())
    assert database.asked == []
    assert store.requests.counts().get == 1
    assert reasons(tables) == {}


def test_what_is_there_the_second_time_was_only_late(ask: Any, tables: Tables) -> None:
    store = MemoryStore()
    found = ask(store, Database("a"), lambda: store.write("a", b"1"), a=1)
    assert found.late == Copied(1, 1)
    assert reasons(tables) == {}
    assert plans.unaccounted(tables) == 0


def test_what_stays_away_while_its_row_is_there_is_lost_and_without_its_row_purged(ask: Any, tables: Tables) -> None:
    database = Database("a")
    ask(MemoryStore(), database, a=1, b=1)
    assert reasons(tables) == {"a": "lost", "b": "purged"}
    assert "1 %% 2" in database.asked[-1]  # the profile's own percent signs are no parameters


def test_what_is_there_with_another_size_is_neither_lost_nor_purged(ask: Any, tables: Tables) -> None:
    store = MemoryStore()
    store.write("a", b"12")
    ask(store, Database(), a=1)
    assert reasons(tables) == {"a": "wrong_size"}


def test_an_object_that_was_deleted_from_a_versioned_bucket_is_found_there(ask: Any, tables: Tables) -> None:
    store = MemoryStore(versioned=True)
    store.write("a", b"1")
    store.delete(["a"])
    found = ask(store, Database("a"), a=1)
    assert (found.late, found.elsewhere) == (Copied(), Copied(1, 1))
    assert held(tables)["a"].size == 1
    assert reasons(tables) == {}


def test_an_object_under_its_older_name_is_found_there(ask: Any, tables: Tables) -> None:
    store = MemoryStore()
    store.write("older", b"1")
    found = ask(store, Database("a", "b", older={"a": "older", "b": "gone too"}), a=1, b=1)
    assert found.elsewhere == Copied(1, 1)
    assert held(tables).keys() == {"a"}
    assert reasons(tables) == {"b": "lost"}
    assert plans.unaccounted(tables) == 0


def test_what_is_found_elsewhere_with_another_size_is_a_mismatch(ask: Any, tables: Tables) -> None:
    store = MemoryStore()
    store.write("older", b"123")
    ask(store, Database("a", older={"a": "older"}), a=1)
    assert reasons(tables) == {"a": "wrong_size"}


def test_of_a_listed_bucket_what_went_meanwhile_is_purged(ask: Any, tables: Tables) -> None:
    database = Database()
    ask(MemoryStore(), database, bound=BoundProfile(Profile(name="bucket"), None, None), a=1)
    assert reasons(tables) == {"a": "purged"}
    assert database.asked == []


def test_more_than_a_batch_is_asked_about_to_the_end(ask: Any, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "_BATCH", 3)
    keys = [f"k{number}" for number in range(8)]
    ask(MemoryStore(), Database(*keys[:5]), **dict.fromkeys(keys, 1))
    assert [why for _, why in sorted(reasons(tables).items())] == ["lost"] * 5 + ["purged"] * 3


def lost(*keys: str) -> list[MissingObject]:
    return [MissingObject("main", key, 1, "lost") for key in keys]


def test_what_is_missing_is_counted_by_what_the_profile_knows_largest_first() -> None:
    database = Database(albums={"a": "x", "b": "y", "c": "y"})
    assert group_missing(BOUND, database, lost("a", "b", "c", "unknown")) == (
        MissingGroup({"album": "y"}, 2),
        MissingGroup({"album": "x"}, 1),
    )


def test_a_profile_that_explains_nothing_groups_nothing() -> None:
    assert group_missing(BoundProfile(Profile(name="bucket"), None, None), Database(), lost("a")) == ()
