"""`check --probe`: which probes are made of the repository's place and of the deployment's buckets, in which order, by which names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from lockstep.model.addresses import StoreAddress
from lockstep.model.checkup import Answer
from lockstep.objects.bucket_settings import BucketSettings
from lockstep.objects.store import is_local
from lockstep.operations import probe_bucket, probe_disk, probe_place, probe_service
from lockstep.operations.check_book import Book, Found
from lockstep.operations.check_repository import Kept, directory_of
from lockstep.operations.check_stores import Reached
from lockstep.operations.probe_scratch import Scratch, clean, open_scratch

_EVERYWHERE: Mapping[str, Callable[[Scratch], Answer]] = {
    "read_after_write": probe_place.reading,
    "list_after_put": probe_place.listing,
    "conditional_put": probe_place.writing_once,
    "lock": probe_place.lock,
    "keys": probe_place.keys,
    "clock": probe_place.clock,
}
_ON_A_DISK: Mapping[str, Callable[[Scratch], Answer]] = {"flush": probe_disk.flush, "modes": probe_disk.modes}
_OF_A_SERVICE: Mapping[str, Callable[[Scratch], Answer]] = {
    "odd_keys": probe_service.odd_keys,
    "if_match": probe_service.if_match,
    "paging": probe_service.paging,
    "start_after": probe_service.start_after,
    "list_order": probe_service.order,
    "list_head": probe_service.sizes,
    "etag_md5": probe_service.etag,
    "checksums": probe_service.checksums,
    "bulk_delete": probe_service.bulk_delete,
    "range": probe_service.byte_range,
    "multipart": probe_service.multipart,
    "attributes": probe_service.attributes,
}


def probe_repository(address: StoreAddress, kept: Found[Kept], book: Book) -> None:
    """Try out the place of the repository below a prefix of its own, which goes again whatever happens."""
    place = book.learn("probe.place", lambda: open_scratch(address, directory_of(kept.value.store)))
    scratch = place.known
    if scratch is None:
        return
    try:
        more = _OF_A_SERVICE if scratch.service else _ON_A_DISK if is_local(scratch.store) else {}
        for name, look in {**_EVERYWHERE, **more}.items():
            book.ask(f"probe.{name}", partial(look, scratch))
        if scratch.service:
            settings = _settings(kept)
            book.ask("probe.versions", lambda: probe_service.versions(scratch, settings))
    finally:
        book.ask("probe.cleanup", partial(clean, scratch))


def probe_bucket_of(address: StoreAddress, reached: Found[Reached], book: Book, *, named: Callable[[str], str]) -> None:
    """Look at a bucket of the deployment by reading alone; `named` makes the name of a check from what is looked at."""

    def look() -> tuple[probe_bucket.LivingBucket, Answer]:
        return probe_bucket.look(address, reached.value)

    bucket = book.learn(named("probe.bucket"), look).known
    if bucket is None or not bucket.first:
        return
    for name, probe in probe_bucket.PROBES.items():
        book.ask(named(f"probe.bucket.{name}"), probe_bucket.asking(probe, bucket))


def _settings(kept: Found[Kept]) -> BucketSettings | None:
    reached = kept.value.reached
    return reached.settings if reached else None
