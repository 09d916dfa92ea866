"""What reading alone shows of the service behind a living bucket; nothing is written there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lockstep.errors import PermissionMissing
from lockstep.model.addresses import StoreAddress
from lockstep.model.checkup import Answer, fine, warning
from lockstep.model.objects import ObjectInfo
from lockstep.model.probes import decide_etag, decide_order, decide_pages, decide_range, decide_sizes, decide_start
from lockstep.objects.service_probe import ServiceProbe, open_service_probe
from lockstep.operations.check_stores import Reached

LOOKED_AT = 5
"""Objects of the first page: a few show how the service answers, and cost nothing."""

LARGEST_BYTES = 1 << 20
"""An object that is read to hold its ETag against its bytes is at most so large."""

_PAGE = 2


@dataclass(frozen=True, slots=True)
class LivingBucket:
    """A bucket of the deployment with the first objects that its listing shows, in the order in which it shows them."""

    service: ServiceProbe
    first: Sequence[ObjectInfo]


def look(address: StoreAddress, _reached: Reached) -> tuple[LivingBucket, Answer]:
    """Open a bucket of S3, which was reached, and list its first page."""
    service = open_service_probe(address)
    assert service is not None  # who asks has looked
    first = next(iter(service.engine.list()), [])[:LOOKED_AT]
    told = "is looked at by reading alone; what a restore would meet there is tried where the repository is, if that is the same service"
    return LivingBucket(service, first), fine(f"{service.engine.url} {told}" + ("" if first else "; it is empty, so little shows"))


def paging(bucket: LivingBucket) -> Answer:
    """List the first objects again, in small pages."""
    seen = bucket.service.pages("", size=_PAGE, most=len(bucket.first))
    return decide_pages([info.key for info in bucket.first], seen)


def start_after(bucket: LivingBucket) -> Answer:
    """List from behind the first object."""
    keys = [info.key for info in bucket.first]
    return decide_start(keys[1:], bucket.service.keys_behind("", keys[0])[: len(keys) - 1])


def order(bucket: LivingBucket) -> Answer:
    """In which order the engine takes the listing to be."""
    return decide_order(by_directory=bucket.service.pages("", size=_PAGE, most=len(bucket.first)).by_directory)


def sizes(bucket: LivingBucket) -> Answer:
    """Hold the listing against HEAD."""
    asked = {info.key: bucket.service.engine.head(info.key)[0] for info in bucket.first}
    return decide_sizes(
        sizes=[info.key for info in bucket.first if info.size != asked[info.key].size],
        etags=[info.key for info in bucket.first if info.etag != asked[info.key].etag],
        of=len(bucket.first),
    )


def etag(bucket: LivingBucket) -> Answer:
    """Hold the ETag of a small object against the MD5 of its bytes."""
    key = _smallest(bucket)
    if key is None:
        return fine("no object is small enough to be read for it")
    body = bucket.service.engine.read(key)
    digest = hashlib.md5(body.bytes(), usedforsecurity=False).hexdigest()
    return decide_etag(body.info.etag, md5=digest, is_kms=not bucket.service.engine.etag_is_md5(key))


def byte_range(bucket: LivingBucket) -> Answer:
    """Read a part of a small object."""
    key = _smallest(bucket)
    if key is None:
        return fine("no object is small enough to be read for it")
    whole = bucket.service.engine.read(key).bytes()
    if len(whole) < 2:
        return fine("no object is large enough to have a part")
    return decide_range(bucket.service.read_range(key, 0, 0), wanted=whole[:1], whole=whole)


PROBES: Mapping[str, Callable[[LivingBucket], Answer]] = {
    "paging": paging,
    "start_after": start_after,
    "list_order": order,
    "list_head": sizes,
    "etag_md5": etag,
    "range": byte_range,
}
"""By what follows `probe.bucket.` in their names."""


def asking(probe: Callable[[LivingBucket], Answer], bucket: LivingBucket) -> Callable[[], Answer]:
    """A probe as a check: a right that is missing is worth knowing, and no failure."""
    return partial(_allowed, partial(probe, bucket))


def _allowed(probe: Callable[[], Answer]) -> Answer:
    try:
        return probe()
    except PermissionMissing as error:
        return warning(f"not known: {error.message}", hint=error.hint)


def _smallest(bucket: LivingBucket) -> str | None:
    small = [info for info in bucket.first if info.size <= LARGEST_BYTES]
    return min(small, key=lambda info: (info.size < 2, info.size)).key if small else None
