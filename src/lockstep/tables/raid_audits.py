"""The nodes of a RAID held against the references: what each of them lacks, and which objects can be read from what is left.

Table `nodes_listed` holds what the nodes' listings show; its `store` is the store's name and the node's number, `main:2`. A number below
zero, -1 - node, marks what lies on a raid0 node that is not its home.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lockstep.model.raid import RaidMode, needed_nodes
from lockstep.tables.engine import Tables

LISTED = "nodes_listed"
_COLUMNS = "store, node, key, size, part, found"


@dataclass(frozen=True, slots=True)
class RaidShape:
    """A store that is a RAID; `listed` are the nodes whose listing is complete."""

    store: str
    mode: RaidMode
    nodes: int
    listed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """What one node lacks, has of another size, and has without need; `sample` are keys of the first two."""

    missing: int
    mismatched: int
    orphans: int
    sample: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A part of an object that a node lacks, or has of another size than it should.

    `size` is that of the object, `part` that of the node's part of it; None where the metadata says nothing.
    """

    store: str
    node: int
    key: str
    size: int | None
    part: int | None
    found: int | None


def label(store: str, node: int, *, misplaced: bool = False) -> str:
    """What the column `store` of a node's listing says."""
    return f"{store}:{-1 - node if misplaced else node}"


def create(tables: Tables) -> None:
    """Make the table of findings."""
    sizes = "size BIGINT, part BIGINT, found BIGINT"
    tables.run(f"CREATE OR REPLACE TABLE node_findings (store VARCHAR, node INTEGER, key VARCHAR, {sizes}, asked BOOLEAN)")


def take_nodes(tables: Tables, shape: RaidShape) -> None:
    """Add to `listed` what the nodes of a RAID show together: an object that can be read, with the size that its reference says.

    One that cannot be read has size -1, or is left out when too few nodes hold anything of it. What nobody references has the size
    that it may have at the most.
    """
    needed = needed_nodes(shape.mode, shape.nodes) if shape.mode == "raid5" else 1
    most = f"max(l.size) * {shape.nodes - 1} - 4" if shape.mode == "raid5" else "max(l.size)"
    wrong = "-1" if shape.mode == "raid5" else "max(l.size)"
    tables.run(
        f"""
        INSERT INTO listed
        SELECT $1, l.key,
               CASE WHEN any_value(r.key) IS NULL OR any_value(r.size) IS NULL THEN {most}
                    WHEN count(*) FILTER (r.size >= 0 AND l.size = {_part(shape, "r.size")}) >= {needed} THEN any_value(r.size)
                    ELSE {wrong} END,
               min(l.modified)
        FROM (SELECT split_part(store, ':', 2)::INTEGER AS node, key, size, modified FROM {LISTED}
              WHERE split_part(store, ':', 1) = $1) AS l
        LEFT JOIN (SELECT key, size FROM references_before WHERE store = $1) AS r USING (key)
        WHERE l.node >= 0
        GROUP BY l.key HAVING count(*) >= {needed} OR any_value(r.key) IS NULL
        """,  # noqa: S608 - numbers and names of this module
        [shape.store],
    )


def forget_others(tables: Tables, shape: RaidShape) -> None:
    """Forget what was listed of nodes whose listing broke off."""
    labels = [label(shape.store, node, misplaced=misplaced) for node in shape.listed for misplaced in (False, True)]
    others = "split_part(store, ':', 1) = $1 AND store NOT IN (SELECT unnest($2::VARCHAR[]))"
    tables.run(f"DELETE FROM {LISTED} WHERE {others}", [shape.store, labels])  # noqa: S608


def count_findings(tables: Tables) -> int:
    """How many parts of objects are lacking or wrong."""
    return int(tables.row("SELECT count(*) FROM node_findings")[0])


def compare(tables: Tables, shape: RaidShape) -> int:
    """Fill `node_findings` with what the nodes of a raid1 or raid5 lack of the first references; how many that are."""
    for node in shape.listed if shape.mode != "raid0" else ():
        tables.run(
            f"""
            INSERT INTO node_findings
            SELECT r.store, {node}, r.key, r.size, {_part(shape, "r.size")}, l.size, false
            FROM references_before AS r LEFT JOIN (SELECT key, size FROM {LISTED} WHERE store = $2) AS l USING (key)
            WHERE r.store = $1 AND (l.key IS NULL OR (r.size IS NOT NULL AND l.size <> {_part(shape, "r.size")}))
            """,  # noqa: S608
            [shape.store, label(shape.store, node)],
        )
    return int(tables.row("SELECT count(*) FROM node_findings WHERE store = $1", [shape.store])[0])


def unasked(tables: Tables, *, most: int) -> list[Suspect]:
    """Findings of the listings that were not asked about yet, in an order as good as chance."""
    rows = tables.rows(f"SELECT {_COLUMNS} FROM node_findings WHERE NOT asked ORDER BY hash(key), node, store LIMIT {most}")  # noqa: S608
    return [Suspect(*row) for row in rows]


def believe(tables: Tables, answers: Sequence[Suspect]) -> None:
    """Let what a HEAD said (`found`; None: not there) take the place of what the listing said; what is right is no finding any more."""
    if answers:
        tables.run(
            """
            UPDATE node_findings AS f SET found = a.size, asked = true
            FROM (SELECT unnest($1::VARCHAR[]) AS store, unnest($2::INTEGER[]) AS node, unnest($3::VARCHAR[]) AS key,
                         unnest($4::BIGINT[]) AS size) AS a
            WHERE f.store = a.store AND f.node = a.node AND f.key = a.key
            """,
            [
                [each.store for each in answers],
                [each.node for each in answers],
                [each.key for each in answers],
                [each.found for each in answers],
            ],
        )
        tables.run("DELETE FROM node_findings WHERE found IS NOT NULL AND (part IS NULL OR found = part)")


def settle(tables: Tables) -> None:
    """Forget findings whose row has gone since."""
    tables.run("DELETE FROM node_findings WHERE (store, key) NOT IN (SELECT (store, key) FROM references_now)")


def add(tables: Tables, findings: Sequence[Suspect]) -> None:
    """Add findings of a raid0, where it is not for SQL to tell whose they are."""
    for each in findings:
        row = [each.store, each.node, each.key, each.size, each.part, each.found]
        tables.run("INSERT INTO node_findings VALUES ($1, $2, $3, $4, $5, $6, true)", row)


def count(tables: Tables, shape: RaidShape, node: int, *, shown: int) -> NodeCounts:
    """What is wrong with a node. An orphan is what no row references, or what lies on a node where the server never looks for it."""
    found = tables.row(
        "SELECT count(*) FILTER (found IS NULL), count(*) FILTER (found IS NOT NULL) FROM node_findings WHERE store = $1 AND node = $2",
        [shape.store, node],
    )
    orphans = tables.row(
        f"""
        SELECT count(*) FROM {LISTED} AS l WHERE l.store = $2
        AND l.key IN (SELECT key FROM orphans WHERE store = $1 AND NOT in_flight) OR l.store = $3
        """,  # noqa: S608
        [shape.store, label(shape.store, node), label(shape.store, node, misplaced=True)],
    )
    sample = tables.rows(
        f"SELECT key FROM node_findings WHERE store = $1 AND node = $2 ORDER BY key LIMIT {shown}",  # noqa: S608
        [shape.store, node],
    )
    return NodeCounts(int(found[0]), int(found[1]), int(orphans[0]), tuple(row[0] for row in sample))


def findings(tables: Tables) -> Iterator[Suspect]:
    """Stream what nodes lack or have wrong, sorted by store, key and node."""
    return (Suspect(*row) for row in tables.rows(f"SELECT {_COLUMNS} FROM node_findings ORDER BY store, key, node"))  # noqa: S608


def _part(shape: RaidShape, size: str) -> str:
    """SQL for the bytes that each node holds of an object of `size`."""
    return size if shape.mode != "raid5" else f"(({size} + 4 + {shape.nodes - 2}) // {shape.nodes - 1})"
