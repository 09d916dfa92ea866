"""A sample of the references: the same one for the same references, and spread over all of them."""

from __future__ import annotations

from lockstep.model.profile_trial import SampledReference
from lockstep.tables.engine import Tables

# The first part of a key tells most applications' kinds of objects apart (or tenants, or dates). Only numbers are aggregated: they spill.
_HASHED = """
    SELECT store, key, size, hash(store, key) AS place,
           hash(CASE WHEN contains(key, '/') THEN split_part(key, '/', 1) ELSE '' END) AS kind
    FROM references_now
"""

_ONE_OF_EACH_KIND = f"""
    WITH hashed AS ({_HASHED}), firsts AS (SELECT min(place) AS place FROM hashed GROUP BY store, kind ORDER BY 1 LIMIT $1)
    SELECT store, key, size FROM hashed SEMI JOIN firsts USING (place)
"""  # noqa: S608 - nobody's value in it

_OF_ALL = f"SELECT store, key, size FROM ({_HASHED}) ORDER BY place, key LIMIT $1"  # noqa: S608 - nobody's value in it


def sample_references(tables: Tables, *, most: int) -> list[SampledReference]:
    """At most so many of `references_now`, without duplicates: up to half of them one of each kind, the rest evenly from all.

    The kind is the store and the first part of the key.
    """
    chosen = dict.fromkeys([*tables.rows(_ONE_OF_EACH_KIND, [max(1, most // 2)]), *tables.rows(_OF_ALL, [most])])
    return [SampledReference(*row) for row in list(chosen)[:most]]


def count_without_size(tables: Tables) -> int:
    """How many of `references_now` say no size."""
    return int(tables.row("SELECT count(*) FROM references_now WHERE size IS NULL")[0])


def stores_named(tables: Tables) -> list[str]:
    """The stores that `references_now` names, sorted."""
    return [row[0] for row in tables.rows("SELECT DISTINCT store FROM references_now ORDER BY store")]
