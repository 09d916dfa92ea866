"""Checks of the deployment's stores: what the metadata references, and whether it can be read where it must lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lockstep.deployment.deployment import BoundProfile, Deployment, bind_profile
from lockstep.errors import ObjectNotFound, PermissionMissing
from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.checkup import Answer, failed, fine, warning
from lockstep.model.lifecycle import decide_live_rules
from lockstep.objects.bucket_settings import BucketSettings, open_bucket_settings
from lockstep.objects.clock import ClockReading
from lockstep.objects.memory import MemoryStore
from lockstep.objects.store import ObjectStore
from lockstep.operations.check_book import Found
from lockstep.operations.check_clocks import with_skew
from lockstep.postgres.frozen import FrozenView

SAMPLED = 5
"""How many references are looked at: enough to notice the wrong bucket, few enough to cost nothing."""

_NOT_WRITTEN = "writing, which a restore needs, is not tried"


@dataclass(frozen=True, slots=True)
class Reached:
    """A store that answers. `settings` and `clock` are None for what is not S3, `clock` also where answers have no date."""

    store: ObjectStore
    settings: BucketSettings | None
    clock: ClockReading | None


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that the metadata names; `size` is None when it does not say."""

    store: str
    key: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The profile of the deployment, and a few of the references it gives."""

    bound: BoundProfile
    references: tuple[Reference, ...]

    def of(self, store: str) -> list[Reference]:
        """Those in one store."""
        return [each for each in self.references if each.store == store]


def reach(address: StoreAddress, open_store: Callable[[StoreAddress], ObjectStore]) -> tuple[Reached, Answer]:
    """Open a store and ask whether it is there, as a backup does."""
    store = open_store(address)
    settings = open_bucket_settings(address)
    clock = settings.clock() if settings else None
    try:
        store.check_reachable()
    except PermissionMissing as error:
        raise with_skew(error, clock) from error
    where = f" at {settings.endpoint}" if settings else ""
    return Reached(store, settings, clock), fine(f"{store.url}{where} answers")


def profile(view: FrozenView, stores: Mapping[str, Found[Reached]], *, app: str | None, database: DatabaseAddress) -> tuple[Sample, Answer]:
    """Find the profile and run its reference query for a few rows."""
    # A store that was not reached lends its name alone: the profile asks for no more.
    named = {name: found.known.store if found.known else MemoryStore(exists=False) for name, found in stores.items()}
    bound = bind_profile(Deployment(database, named, app), view)
    if not named:
        return Sample(bound, ()), fine(f"'{bound.profile.name}', and the objects are in the database itself")
    if bound.select is None:
        return Sample(bound, tuple(_listed(stores))), fine(f"'{bound.profile.name}': what the bucket holds is what is backed up")
    rows = view.rows(f"SELECT store, key, size FROM (\n{bound.select}\n) AS r LIMIT {SAMPLED}")  # noqa: S608 - the profile's own query
    sample = Sample(bound, tuple(Reference(store, key, size) for store, key, size in rows))
    unknown = sorted({each.store for each in sample.references} - named.keys())
    if unknown:
        return sample, failed(
            f"'{bound.profile.name}' names the store '{unknown[0]}', which the deployment does not have",
            hint=f"Add --bucket {unknown[0]}=URL.",
        )
    return sample, fine(f"'{bound.profile.name}': its query runs" + ("" if rows else ", and finds no reference yet"))


def objects(name: str, reached: Reached, sample: Sample) -> Answer:
    """Whether a few referenced objects are there, and one of them can be read."""
    references = sample.of(name)
    if not references:
        return fine(f"none is referenced here yet, so reading is not tried; {_NOT_WRITTEN}")
    missing, different = [], []
    for each in references:
        try:
            info, _ = reached.store.head(each.key)
        except ObjectNotFound:
            missing.append(each.key)
        else:
            if each.size is not None and info.size != each.size:
                different.append(each.key)
    if len(missing) == len(references):
        return failed(
            f"none of {len(references)} referenced objects is in {reached.store.url}: {missing[0]!r} is not",
            hint="Check that bucket and prefix belong to this database.",
        )
    _read_one(reached.store, next(each.key for each in references if each.key not in missing))
    if missing or different:
        return warning(
            f"of {len(references)} referenced objects {len(missing)} are missing and {len(different)} are of another size: "
            f"{(missing + different)[0]!r}",
            hint="Make a backup all the same: it lists every one of them.",
        )
    return fine(f"{len(references)} of {len(references)} sampled are there and can be read; {_NOT_WRITTEN}")


def listing(reached: Reached) -> Answer:
    """Whether the store can be listed, which a backup does not need where there is a reference query."""
    try:
        for _ in reached.store.list():
            break
    except PermissionMissing as error:
        return warning(
            f"{error.message}; a restore and an audit list the bucket", hint="Allow listing (s3:ListBucket) before you need either."
        )
    return fine("can be listed")


def versioning(reached: Reached) -> Answer:
    """Whether the bucket keeps older versions, where lockstep looks for what is missing."""
    try:
        state = reached.settings.versioning() if reached.settings else "unsupported"
    except PermissionMissing:
        return warning("not known: these credentials may not ask (s3:GetBucketVersioning)", hint="Allow it, or look by other means.")
    if state == "on":
        return fine("on")
    if state == "unsupported":
        return warning("the service does not have it", hint="Make backups often: what is deleted in the bucket is gone at once.")
    return warning(
        f"{state}: what is overwritten or deleted in the bucket is gone at once, and a backup after it cannot find it in an older version",
        hint="Switch it on, if the service and the budget allow.",
    )


def lifecycle(name: str, reached: Reached, sample: Sample | None) -> Answer:
    """Whether the bucket deletes or archives objects by itself."""
    settings = reached.settings
    if settings is None:
        return fine("no rule deletes or archives objects")
    try:
        rules = settings.lifecycle()
    except PermissionMissing:
        return warning("not known: these credentials may not ask (s3:GetLifecycleConfiguration)", hint="Allow it, or look by other means.")
    keys = [each.key for each in sample.of(name)] if sample else []
    return decide_live_rules(rules, prefix=settings.prefix, keys=keys)


def _listed(stores: Mapping[str, Found[Reached]]) -> Sequence[Reference]:
    found: list[Reference] = []
    for name, store in stores.items():
        if store.known is not None:
            page = next(iter(store.known.store.list()), [])
            found += [Reference(name, info.key, info.size) for info in page[:SAMPLED]]
    return found


def _read_one(store: ObjectStore, key: str) -> None:
    """Take the first bytes: a key for decryption or an object in an archive is asked for by no HEAD."""
    for _ in store.read(key).chunks(64 * 1024):
        break
