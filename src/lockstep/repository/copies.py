"""Where else snapshots are known to be: what the last copy to, or from, another place found there. No snapshot needs these records.

`copies/<16 hex digits>.json`, sealed, one for each place, written anew by each copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from lockstep.errors import BucketNotFound, LockstepError, ObjectNotFound
from lockstep.objects.store import ObjectStore
from lockstep.progress import Listener, Note
from lockstep.repository.seal import is_sealed, sealed

COPIES = "copies/"


def save_copies(store: ObjectStore, url: str, snapshots: Iterable[str], *, now: datetime, listener: Listener) -> None:
    """Write down in a repository that another place has these snapshots. Where nothing may be written, that is said and no more."""
    path = f"{COPIES}{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
    document = {"format": 1, "url": url, "written": now.astimezone(UTC).isoformat(timespec="seconds"), "snapshots": sorted(snapshots)}
    try:
        store.write(path, sealed(document), overwrite=True)
        store.flush()
    except LockstepError as error:
        listener(Note(f"that there is a copy at '{url}' cannot be recorded in '{store.url}': {error.message}", level="warning"))


def known_copies(store: ObjectStore) -> dict[str, list[str]]:
    """The places where each snapshot is known to be too, sorted; those known to be nowhere else are not in it."""
    found: dict[str, list[str]] = {}
    try:
        paths = sorted(info.key for page in store.list(COPIES) for info in page)
    except BucketNotFound:
        return {}
    for path in paths:
        url, snapshots = _read(store, path)
        for snapshot in snapshots:
            found.setdefault(snapshot, []).append(url)
    return {snapshot: sorted(urls) for snapshot, urls in found.items()}


def _read(store: ObjectStore, path: str) -> tuple[str, list[str]]:
    try:
        data = store.read(path).bytes()
        document = json.loads(data)
        if is_sealed(data):
            return str(document["url"]), [str(each) for each in document["snapshots"]]
    except (ObjectNotFound, ValueError, KeyError, TypeError, RecursionError):
        pass
    return "", []
