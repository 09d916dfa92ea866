"""Try a profile on a live deployment: do its queries run, and is a sample of what they name in the stores. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from lockstep.deployment.deployment import BoundProfile, CopiesOut, Deployment, Rows, bind_profile, reference_blocks
from lockstep.deployment.references import without_semicolon
from lockstep.errors import Cancelled, ConfigurationError, DatabaseFailed, KeyRefused, ObjectNotFound, ProfileInvalid
from lockstep.model.profile_trial import ProfileTrial, SampledReference
from lockstep.objects.retry import retrying
from lockstep.objects.transfer import Stop, in_parallel
from lockstep.operations.preconditions import look_at
from lockstep.operations.work import work_directory
from lockstep.postgres.connection import open_database
from lockstep.progress import SILENT, Listener, StageAdvanced, StageEnded, StageStarted
from lockstep.tables import references, samples
from lockstep.tables.engine import Tables

EXAMPLES_SHOWN = 10
"""How many keys a result names."""

THREADS = 16
"""HEADs in flight: a sample of hundreds is over in a second, and no store minds."""

_STAGE = "looking"

Found = Literal["present", "missing", "mismatched", "purged"]


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """`sample` is how many references are looked for; `temporary` is where tables may lie."""

    sample: int = 200
    temporary: Path | None = None


def try_profile(
    deployment: Deployment, *, options: TrialOptions | None = None, listener: Listener = SILENT, stop: Stop | None = None
) -> ProfileTrial:
    """Run every query of the deployment's profile and look for a sample of the references in the stores.

    Objects that are missing are the result, not an error. Raises ProfileInvalid when a query is at fault, ConfigurationError when the
    profile has no reference query, and what reading the two sides raises.
    """
    options, stop, began = options or TrialOptions(), stop or Stop(), time.monotonic()
    with work_directory(options.temporary) as work, open_database(deployment.database) as database:
        look_at(deployment.stores.values())
        with database.frozen() as view:
            bound = bind_profile(deployment, view)
            if bound.lists_the_bucket:
                raise ConfigurationError(
                    "there is no reference query to try", hint="Name a profile that has one, and a store with --bucket."
                )
            detected = _detected(bound, view)
            named, without_size, sample = _references(deployment, bound, view, work=work, most=options.sample)
            _check_courtesies(bound, view, [each.key for each in sample])
        looked = _look(deployment, sample, listener=listener, stop=stop)
        lost = [each.key for each, found in looked if found == "missing"]
        if lost:
            with database.frozen() as view:
                kept = _still_referenced(bound, view, lost)
            looked = [(each, "purged" if found == "missing" and each.key not in kept else found) for each, found in looked]
        outcomes = [found for _, found in looked]
        return ProfileTrial(
            profile=bound.profile.name,
            description=bound.profile.description,
            database=database.name,
            detected=detected,
            references=named.objects,
            referenced_bytes=named.size_bytes,
            without_size=without_size,
            sampled=len(looked),
            present=outcomes.count("present"),
            missing=outcomes.count("missing"),
            mismatched=outcomes.count("mismatched"),
            purged=outcomes.count("purged"),
            examples=tuple(each.key for each, found in looked if found in {"missing", "mismatched"})[:EXAMPLES_SHOWN],
            seconds=time.monotonic() - began,
        )


def _references(
    deployment: Deployment, bound: BoundProfile, view: CopiesOut, *, work: Path, most: int
) -> tuple[references.ReferenceCounts, int, list[SampledReference]]:
    tables = Tables(work)
    try:
        blocks = reference_blocks(deployment, bound, view)
        named = references.load(tables, blocks, columns=bound.columns, store=bound.store)
        unknown = [name for name in samples.stores_named(tables) if name not in deployment.stores]
        if unknown:
            raise ConfigurationError(
                f"the references name the store '{unknown[0]}', which the deployment does not have", hint=f"Add --bucket {unknown[0]}=URL."
            )
        return named, samples.count_without_size(tables), samples.sample_references(tables, most=most)
    finally:
        tables.close()


def _detected(bound: BoundProfile, view: Rows) -> bool | None:
    query = bound.profile.detect
    if query is None:
        return None
    try:
        rows = view.rows(query)
    except DatabaseFailed as error:
        raise _failing("detect", bound, error) from error
    if len(rows) != 1 or len(rows[0]) != 1 or not isinstance(rows[0][0], bool):
        raise ProfileInvalid(f"the query detect of the profile '{bound.profile.name}' does not give one boolean", hint="Correct the query.")
    return rows[0][0]


def _check_courtesies(bound: BoundProfile, view: CopiesOut, keys: Sequence[str]) -> None:
    """Run what a backup forgives when it fails: `explain` and `older_keys`."""
    profile = bound.profile
    for name, query, needed in (
        ("explain", profile.explain, ("key", *profile.groups)),
        ("older_keys", profile.older_keys, ("key", "older_key")),
    ):
        if query is None:
            continue
        bare = without_semicolon(query)
        try:
            given = [column for column, _ in view.columns(bare.replace("%(keys)s", "'{}'::text[]"))]
            view.rows(bare, {"keys": list(keys)})
        except DatabaseFailed as error:
            raise _failing(name, bound, error) from error
        absent = [column for column in needed if column not in given]
        if absent:
            raise ProfileInvalid(
                f"the query {name} of the profile '{profile.name}' does not give the column {absent[0]}",
                hint=f"Make it give {', '.join(needed)}.",
            )


def _look(
    deployment: Deployment, sample: Sequence[SampledReference], *, listener: Listener, stop: Stop
) -> list[tuple[SampledReference, Found]]:
    def look(each: SampledReference) -> tuple[SampledReference, Found]:
        try:
            info, _ = retrying(partial(deployment.stores[each.store].head, each.key), stop=stop)
        except (ObjectNotFound, KeyRefused):
            return each, "missing"
        return each, "present" if each.size is None or each.size == info.size else "mismatched"

    listener(StageStarted(_STAGE, total=len(sample), unit="objects"))
    found: list[tuple[SampledReference, Found]] = []
    for results in in_parallel(sample, look, threads=THREADS, stop=stop):
        found += results
        listener(StageAdvanced(_STAGE, done=len(results)))
    listener(StageEnded(_STAGE))
    if stop.is_set():
        raise Cancelled(15)
    return sorted(found, key=lambda pair: (pair[0].store, pair[0].key))


def _still_referenced(bound: BoundProfile, view: Rows, keys: Sequence[str]) -> set[str]:
    select = (bound.select or "").replace("%", "%%")  # the profile's own query has no parameters
    rows = view.rows(f"SELECT key FROM ({select}) AS r WHERE key = ANY(%(keys)s)", {"keys": list(keys)})  # noqa: S608
    return {row[0] for row in rows}


def _failing(name: str, bound: BoundProfile, error: DatabaseFailed) -> ProfileInvalid:
    return ProfileInvalid(
        f"the query {name} of the profile '{bound.profile.name}' fails: {error.message}",
        hint=f"Try the query with psql on this database and correct the profile. {error.hint}",
    )
