from __future__ import annotations

from lockstep.model.drill import Amounts
from lockstep.model.objects import ObjectInfo
from lockstep.tables import drills
from lockstep.tables.engine import Tables

ODD = "odd/ab/" + "ab" * 32


def references(tables: Tables, name: str, rows: list[tuple[str, str, int | None]]) -> None:
    tables.run(f"CREATE TABLE {name} (store VARCHAR, key VARCHAR, size BIGINT)")
    for row in rows:
        tables.run(f"INSERT INTO {name} VALUES ($1, $2, $3)", row)


def inventory(tables: Tables, count: int, *, odd: bool = False) -> None:
    tables.run(
        """
        CREATE TABLE restorable AS
        SELECT 'main' AS store, 'k' || i AS key, (i + 1)::BIGINT AS size, 'ab' AS sha256, NULL::VARCHAR AS etag,
               NULL::VARCHAR AS attributes, CASE WHEN $2 AND i = 0 THEN $3 END AS location,
               NULL::BIGINT AS stored_size, NULL::VARCHAR AS stored_sha256, 's' AS snapshot
        FROM range($1) AS r(i)
        """,
        [count, odd, ODD],
    )


def held(tables: Tables, *infos: ObjectInfo) -> drills.Wrong:
    drills.begin_places(tables)
    drills.add_places(tables, infos)
    drills.add_places(tables, [])
    return drills.find_wrong_places(tables)


def test_equal_sets_of_references_have_no_differences_whatever_their_order(tables: Tables) -> None:
    references(tables, "l", [("main", "a", 1), ("main", "b", None)])
    references(tables, "r", [("main", "b", None), ("main", "a", 1)])
    assert drills.compare_references(tables, "l", "r") == drills.Differences(2, 2, 0, 0)


def test_another_size_store_or_key_is_a_difference_on_both_sides(tables: Tables) -> None:
    references(tables, "l", [("main", "a", 1), ("main", "b", 2), ("main", "c", 3)])
    references(tables, "r", [("main", "a", 1), ("main", "b", 3), ("other", "c", 3), ("main", "d", 4)])
    assert drills.compare_references(tables, "l", "r") == drills.Differences(3, 4, 2, 3, ("b", "c", "d"))


def test_what_is_gone_and_what_has_another_size_is_told_apart_wherever_it_lies(tables: Tables) -> None:
    inventory(tables, 4, odd=True)
    wrong = held(tables, ObjectInfo(ODD, 1), ObjectInfo("objects/main/k1", 2), ObjectInfo("objects/main/k3", 3), ObjectInfo("stray", 1))
    assert wrong == drills.Wrong(1, 1, ("k2", "k3"))
    assert drills.amounts(tables, "sound") == Amounts(2, 3)


def test_a_sample_has_about_its_share_and_never_nothing(tables: Tables) -> None:
    inventory(tables, 1000)
    held(tables, *(ObjectInfo(f"objects/main/k{i}", i + 1) for i in range(1000)))
    assert drills.draw_sample(tables, share=1.0, seed=1).objects == 1000
    assert 400 < drills.draw_sample(tables, share=0.5, seed=1).objects < 600
    first = {entry.key for entry in drills.drawn(tables)}
    drills.draw_sample(tables, share=0.5, seed=2)
    assert {entry.key for entry in drills.drawn(tables)} != first
    assert drills.draw_sample(tables, share=1e-12, seed=1).objects == 1
    assert drills.draw_sample(tables, share=0.0, seed=1).objects == 0


def test_what_a_snapshot_never_had_is_told_from_what_the_repository_lost(tables: Tables) -> None:
    tables.run("CREATE TABLE unrestorable (store VARCHAR, key VARCHAR, size BIGINT, why VARCHAR, since VARCHAR)")
    tables.run("INSERT INTO unrestorable VALUES ('main', 'b', 1, 'lost', 's'), ('main', 'a', 1, 'lost', NULL)")
    assert drills.count_lost(tables) == drills.Lost(1, 1, ("a", "b"))
