"""A deployment that is open: its database's address, its stores, and the profile that binds them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lockstep.deployment.profile import BUCKET, BUILT_IN, Profile, load_profile
from lockstep.deployment.references import REFERENCE_COLUMNS, listed_references, reference_select, without_semicolon
from lockstep.errors import ConfigurationError, DatabaseFailed, PermissionMissing, ProfileInvalid
from lockstep.model.addresses import DatabaseAddress
from lockstep.objects.raid import RaidStore
from lockstep.objects.store import ObjectStore, RequestCounts


class Rows(Protocol):
    """Something that answers queries without changing anything: a database, or a frozen view of it."""

    def rows(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""


class Describes(Rows, Protocol):
    """Something that also tells what a query would give."""

    def columns(self, query: str) -> list[tuple[str, str]]:
        """Names and types of the columns that a query gives, without running it."""


class CopiesOut(Describes, Protocol):
    """A frozen view: what is copied out of it belongs to one moment."""

    def copy_csv(self, query: str, columns: Sequence[str]) -> Generator[bytes, None, int]:
        """The named columns of a query as blocks of CSV; the generator returns how many rows there were."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A database and its stores. `app` is what the operator said: a profile's name, a file, or None (find out)."""

    database: DatabaseAddress
    stores: Mapping[str, ObjectStore]
    app: str | None = None

    def requests(self) -> RequestCounts:
        """What was sent to all stores of the deployment together."""
        counts = [store.requests.counts() for store in self.stores.values()]
        return RequestCounts(
            **{name: sum(getattr(each, name) for each in counts) for name in ("list", "get", "head", "put", "delete", "retried")}
        )

    def raids(self) -> dict[str, RaidStore]:
        """The stores that are made of several nodes."""
        return {name: store for name, store in self.stores.items() if isinstance(store, RaidStore)}

    def degraded(self) -> tuple[str, ...]:
        """What was noticed so far to be wrong with nodes whose part the others made up for; a sentence each."""
        return tuple(sentence for store in self.raids().values() for sentence in store.nodes.degraded())


@dataclass(frozen=True, slots=True)
class BoundProfile:
    """A profile and the one of its reference queries that fits this database. `query` is None when the stores are listed instead.

    `columns` are those of REFERENCE_COLUMNS that `reference_blocks` gives; rows without a store are of `store`.
    """

    profile: Profile
    query: str | None
    select: str | None
    columns: tuple[str, ...] = REFERENCE_COLUMNS
    store: str = "main"

    @property
    def lists_the_bucket(self) -> bool:
        """True when the references are what a listing shows."""
        return self.select is None


def bind_profile(deployment: Deployment, database: Describes) -> BoundProfile:
    """Find the profile and its query, and see that the query gives the right columns. Nothing is changed.

    Raises ConfigurationError when no profile fits, ProfileInvalid when one is at fault.
    """
    profile = load_profile(deployment.app) if deployment.app else _detect(database)
    if profile.lists_the_bucket and deployment.raids():
        raise ConfigurationError(
            "without a reference query the objects of a RAID cannot be listed: each node shows a part of them",
            hint="Name the application's profile with --app, or back up each node as a bucket of its own.",
        )
    if not deployment.stores or profile.lists_the_bucket:
        return BoundProfile(profile, None, None)
    query = _fitting_query(profile, database)
    columns = _asked(lambda: database.columns(query), query, profile)
    default = next(iter(deployment.stores)) if len(deployment.stores) == 1 else "main"
    given = {name for name, _ in columns}
    chosen = tuple(name for name in REFERENCE_COLUMNS if name in given)  # what is the same in every row need not travel
    return BoundProfile(profile, query, reference_select(query, columns, default_store=default), chosen, default)


def reference_blocks(deployment: Deployment, bound: BoundProfile, view: CopiesOut) -> Generator[bytes, None, int]:
    """The references as CSV blocks: copied out of the view, or listed; the generator returns how many there were.

    Raises ProfileInvalid when the query fails on the way.
    """
    if bound.select is None:
        return (yield from listed_references(deployment.stores))
    try:
        return (yield from view.copy_csv(bound.select, bound.columns))
    except DatabaseFailed as error:
        raise _failing(bound.profile, bound.query or "", error) from error


def explain(bound: BoundProfile, view: Describes, keys: Sequence[str]) -> list[dict[str, str]]:
    """What the profile knows about keys: a row has `key` and the profile's groups. Empty when the profile knows nothing, or fails to."""
    query = bound.profile.explain
    if query is None or not keys:
        return []
    try:
        names = [name for name, _ in view.columns(without_semicolon(query).replace("%(keys)s", "'{}'::text[]"))]
        found = view.rows(without_semicolon(query), {"keys": list(keys)})
    except (DatabaseFailed, PermissionMissing):
        return []  # an explanation is a courtesy: what is missing is reported by key all the same
    return [{name: str(value) for name, value in zip(names, row, strict=True)} for row in found]


def _detect(database: Rows) -> Profile:
    for name in BUILT_IN:
        profile = load_profile(name)
        detect = profile.detect
        if detect is not None and _asked(lambda query=detect: database.rows(query), detect, profile)[0][0]:
            return profile
    raise ConfigurationError(
        "the database is of no application that lockstep knows",
        hint=f"Name the profile with --app: a profile file, or '{BUCKET}' to back up every object of the bucket.",
    )


def _fitting_query(profile: Profile, database: Rows) -> str:
    for each in profile.references:
        when = each.when
        if when is None or _asked(lambda query=when: database.rows(query), when, profile)[0][0]:
            return each.query
    raise ProfileInvalid(
        f"no reference query of the profile '{profile.name}' fits this database",
        hint="Add a query without 'when' to the profile, or another --app.",
    )


def _asked(ask: Any, query: str, profile: Profile) -> Any:
    try:
        return ask()
    except DatabaseFailed as error:
        raise _failing(profile, query, error) from error


def _failing(profile: Profile, query: str, error: DatabaseFailed) -> ProfileInvalid:
    return ProfileInvalid(
        f"a query of the profile '{profile.name}' fails: {error.message}; the query is: {' '.join(query.split())}",
        hint=f"Try the query with psql on this database and correct the profile. {error.hint}",
    )
