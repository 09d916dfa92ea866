"""Asks, before an object counts as missing: is it there now, is it elsewhere, and is its row still there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from lockstep.deployment.deployment import BoundProfile, Deployment, Describes, Rows, explain
from lockstep.errors import ObjectNotFound
from lockstep.model.inventory import MissingObject, Wanted
from lockstep.model.results import MissingGroup
from lockstep.objects.retry import retrying
from lockstep.objects.store import ObjectStore
from lockstep.operations.copying import Copied, Copier
from lockstep.tables import plans

WAIT_SECONDS = 1.0
"""How long lockstep waits before it asks again for what was not there: a store that is briefly behind has caught up."""

ROUNDS_IN_VAIN = 3
"""How many rounds of asking must bring nothing, once one has brought something: a store that forgets now and then is not believed at once.
Where nothing comes the first time, that is the answer: a store that is sound costs one round."""

ASKED_AT_MOST = 10_000
"""For how many missing objects older places are searched, at up to two requests each. When more is missing, something larger is wrong
(another bucket, another prefix), and the answer would not change what the operator does."""

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Recovered:
    """What asking again brought: `late` objects were there the second time, `elsewhere` in an older place."""

    late: Copied
    elsewhere: Copied


def ask_again(copier: Copier, deployment: Deployment, bound: BoundProfile, database: Rows) -> Recovered:
    """Ask again for everything in `missing_now`; what stays there afterwards is missing, with the reason.

    `database` is the live one: a row that is gone from it was purged since the freeze, which is no loss.
    """
    if not _are_missing(copier):
        return Recovered(Copied(), Copied())
    copier.stop.wait(WAIT_SECONDS)
    late = copier.copy(plans.take_missing(copier.tables))
    rounds_in_vain = 0 if late.objects else ROUNDS_IN_VAIN
    while rounds_in_vain < ROUNDS_IN_VAIN and _are_missing(copier):
        copier.stop.wait(WAIT_SECONDS)
        more = copier.copy(plans.take_missing(copier.tables))
        rounds_in_vain = 0 if more.objects else rounds_in_vain + 1
        late = late.plus(more)
    _tell_late(copier, late)
    elsewhere = Copied()
    for store, keys in list(plans.lost_batches(copier.tables, size=_BATCH, most=ASKED_AT_MOST)):
        places = _older_places(deployment.stores[store], keys, _older_keys(bound, database, keys))
        if places:
            elsewhere = elsewhere.plus(copier.copy(_at(plans.forget_missing(copier.tables, store, list(places)), places)))
    for store, keys in list(plans.lost_batches(copier.tables, size=_BATCH, most=ASKED_AT_MOST)):
        plans.set_why(copier.tables, "purged", store, sorted(set(keys) - _still_referenced(bound, database, keys)))
    return Recovered(late, elsewhere)


def group_missing(bound: BoundProfile, view: Describes, missing: Sequence[MissingObject]) -> tuple[MissingGroup, ...]:
    """The missing objects by what the profile knows of them, the largest group first; empty when it knows nothing."""
    counts: Counter[tuple[tuple[str, str], ...]] = Counter()
    for start in range(0, len(missing), _BATCH):
        keys = [each.key for each in missing[start : start + _BATCH]]
        known = {row["key"]: tuple((name, row[name]) for name in bound.profile.groups) for row in explain(bound, view, keys)}
        counts.update(known[key] for key in keys if key in known)
    return tuple(MissingGroup(dict(labels), count) for labels, count in counts.most_common())


def _are_missing(copier: Copier) -> bool:
    counts = plans.count_missing(copier.tables)
    return counts.missing + counts.mismatched > 0


def _tell_late(copier: Copier, late: Copied) -> None:
    requests = next(iter(copier.stores.values())).requests
    for _ in range(late.objects):
        requests.add_fault("not_found", "an object was not found at first, and there when asked for again")


def _at(wanted: Iterator[Wanted], places: Mapping[str, tuple[str, str | None]]) -> Iterator[Wanted]:
    return (replace(each, found_key=places[each.key][0], found_version=places[each.key][1]) for each in wanted)


def _older_places(store: ObjectStore, keys: Sequence[str], older_keys: Mapping[str, str]) -> dict[str, tuple[str, str | None]]:
    """Where else objects are: key and version id (None: the current one) by the key under which they should be."""
    found: dict[str, tuple[str, str | None]] = {}
    for key in keys:
        try:
            versions = retrying(partial(store.list_versions, key))
            if versions:
                found[key] = (key, versions[0][0])
            elif key in older_keys:
                retrying(partial(store.head, older_keys[key]))
                found[key] = (older_keys[key], None)
        except ObjectNotFound:
            continue
    return found


def _older_keys(bound: BoundProfile, database: Rows, keys: Sequence[str]) -> dict[str, str]:
    if bound.profile.older_keys is None:
        return {}
    return dict(database.rows(bound.profile.older_keys, {"keys": list(keys)}))


def _still_referenced(bound: BoundProfile, database: Rows, keys: Sequence[str]) -> set[str]:
    if bound.select is None:
        return set()
    select = bound.select.replace("%", "%%")  # the profile's own query has no parameters
    rows = database.rows(f"SELECT key FROM ({select}) AS r WHERE key = ANY(%(keys)s)", {"keys": list(keys)})  # noqa: S608
    return {row[0] for row in rows}
