"""Tries out what differs from one service of S3 to the next, below the prefix of a probe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from lockstep.errors import PermissionMissing
from lockstep.model.checkup import Answer, warning
from lockstep.model.objects import ObjectAttributes
from lockstep.model.probes import (
    decide_attributes,
    decide_bulk_delete,
    decide_checksums,
    decide_etag,
    decide_if_match,
    decide_multipart,
    decide_odd_keys,
    decide_order,
    decide_pages,
    decide_range,
    decide_sizes,
    decide_start,
    decide_versions,
)
from lockstep.objects.bucket_settings import BucketSettings
from lockstep.objects.service_probe import PART, ServiceProbe
from lockstep.operations.probe_place import try_keys
from lockstep.operations.probe_scratch import Scratch

PAGE = 2
"""Keys of a page: so that a few objects fill several."""

_LISTED = ("p-1", "p.2", "p/3", "p/4", "p5")
_DATA = b"0123456789"
_SAID = ObjectAttributes(content_type="text/x-lockstep", cache_control="max-age=60", metadata={"probe": "said of it"})

_ODD_KINDS: Mapping[str, str] = {
    "slash at the end": "strange/d/",
    "empty segment": "strange/e//x",
    "dot segment": "strange/./here",
    "double dot segment": "strange/f/../up",
    "line break": "strange/n\nl",
    "tab": "strange/t\tb",
    "control character": "strange/c\x01d",
    "backslash": "strange/b\\s",
}
_BESIDE = ("strange/d", "strange/e/x", "strange/here", "strange/up", "strange/b/s")
"""What the odd keys become where a service tidies keys up."""


def of(scratch: Scratch) -> ServiceProbe:
    """The service of a place that has one."""
    assert scratch.service is not None  # who asks these questions has looked
    return scratch.service


def odd_keys(scratch: Scratch) -> Answer:
    """Write an object under each kind of key that no file can have, or that some take for another."""
    return decide_odd_keys(try_keys(scratch, _ODD_KINDS, beside=_BESIDE))


def if_match(scratch: Scratch) -> Answer:
    """Replace an object on the condition of an ETag that it does not have."""
    key = scratch.key("match")
    scratch.store.write(key, _DATA, overwrite=True)
    return decide_if_match(of(scratch).put(key, b"other", IfMatch=f'"{hashlib.md5(b"", usedforsecurity=False).hexdigest()}"'))


def paging(scratch: Scratch) -> Answer:
    """List a few objects in small pages, as the engine lists many in large ones."""
    return decide_pages(sorted(_pages(scratch)), of(scratch).pages(scratch.key("pages/"), size=PAGE))


def start_after(scratch: Scratch) -> Answer:
    """List from the middle of what the service itself lists."""
    prefix = scratch.key("pages/")
    _pages(scratch)
    seen = of(scratch).pages(prefix, size=PAGE).keys
    if len(seen) <= PAGE:
        return warning("not known: what was just written is not listed yet", hint="Try again in a minute.")
    return decide_start(seen[PAGE:], of(scratch).keys_behind(prefix, seen[PAGE - 1]))


def order(scratch: Scratch) -> Answer:
    """In which order the engine takes the listing to be."""
    _pages(scratch)
    return decide_order(by_directory=of(scratch).pages(scratch.key("pages/"), size=PAGE).by_directory)


def sizes(scratch: Scratch) -> Answer:
    """Hold the listing against HEAD."""
    store = scratch.store
    for name, size in (("none", 0), ("one", 1), ("many", 70_000)):
        store.write(scratch.key(f"sizes/{name}"), b"s" * size, overwrite=True)
    listed = [info for page in store.list(scratch.key("sizes/")) for info in page]
    asked = {info.key: store.head(info.key)[0] for info in listed}
    return decide_sizes(
        sizes=[info.key for info in listed if info.size != asked[info.key].size],
        etags=[info.key for info in listed if info.etag != asked[info.key].etag],
        of=len(listed),
    )


def etag(scratch: Scratch) -> Answer:
    """Hold the ETag of an object against the MD5 of its bytes."""
    engine, key = of(scratch).engine, scratch.key("etag")
    found = engine.write(key, _DATA, overwrite=True)
    return decide_etag(found, md5=hashlib.md5(_DATA, usedforsecurity=False).hexdigest(), is_kms=not engine.etag_is_md5(key))


def checksums(scratch: Scratch) -> Answer:
    """Send a right and a wrong SHA-256 along."""
    service, key = of(scratch), scratch.key("summed")
    right = service.put_summed(key, _DATA, right=True)
    given_back = right == "accepted" and service.checksum(key)
    return decide_checksums(right, service.put_summed(scratch.key("wrongly-summed"), _DATA, right=False), given_back=given_back)


def bulk_delete(scratch: Scratch) -> Answer:
    """Delete several objects at once, with keys that XML must quote."""
    engine, keys = of(scratch).engine, [scratch.key(f"bulk/{name}") for name in ("plain", "a b", "a&b<c>", "a+b%2F", "\u00e9")]
    for key in keys:
        engine.write(key, b"x", overwrite=True)
    engine.delete(keys)
    left = [info.key for page in engine.list(scratch.key("bulk/")) for info in page]
    return decide_bulk_delete(left=len(left), of=len(keys), in_bulk=engine.deletes_in_bulk)


def byte_range(scratch: Scratch) -> Answer:
    """Read a part of an object."""
    key = scratch.key("range")
    scratch.store.write(key, _DATA, overwrite=True)
    return decide_range(of(scratch).read_range(key, 2, 5), wanted=_DATA[2:6], whole=_DATA)


def multipart(scratch: Scratch) -> Answer:
    """Store an object in two parts, and end another upload under its key."""
    service, key, data = of(scratch), scratch.key("parts"), b"p" * PART.part_bytes + _DATA
    found = service.upload_parts(key, data)
    whole = scratch.store.read(key).bytes() == data
    sums = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in (data[: PART.part_bytes], _DATA))
    expected = f"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-2"
    return decide_multipart(found, expected=expected, whole=whole, on_existing=service.complete_on_existing(key))


def attributes(scratch: Scratch) -> Answer:
    """Say something of an object, and ask for it."""
    key = scratch.key("said")
    scratch.store.write(key, _DATA, attributes=_SAID, overwrite=True)
    return decide_attributes(_SAID, scratch.store.head(key)[1])


def versions(scratch: Scratch, settings: BucketSettings | None) -> Answer:
    """What the bucket keeps by itself."""
    try:
        state = settings.versioning() if settings else "unsupported"
        locks = settings.locks_objects() if settings else False
    except PermissionMissing:
        return warning("not known: these credentials may not ask (s3:GetBucketVersioning)", hint="Allow it, or look by other means.")
    return decide_versions(state, locks=locks, default_lock=of(scratch).default_lock() if locks else None)


def _pages(scratch: Scratch) -> list[str]:
    """Some objects whose order tells how a service sorts."""
    found = [scratch.key(f"pages/{name}") for name in _LISTED]
    for key in found:
        scratch.store.write(key, b"x", overwrite=True)
    return found
