"""Where else snapshots are known to be: what the last copy to, or from, another place found there. No snapshot needs these records.

`copies/<16 hex digits>.json`, sealed, one for each place, written anew by each copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

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


def forget_copies(store: ObjectStore, kept: Collection[str]) -> None:
    """Take snapshots that are not kept here any more out of what is known of other places."""
    for path in [info.key for page in store.list(COPIES) for info in page]:
        document = _document(store, path)
        snapshots = document.get("snapshots", [])
        staying = [each for each in snapshots if each in kept]
        if staying != snapshots:
            store.write(path, sealed({**document, "snapshots": staying}), overwrite=True)


def _read(store: ObjectStore, path: str) -> tuple[str, list[str]]:
    document = _document(store, path)
    return str(document.get("url", "")), [str(each) for each in document.get("snapshots", [])]


def _document(store: ObjectStore, path: str) -> dict[str, Any]:
    """What a record says, without its seal; nothing when it is damaged."""
    try:
        data = store.read(path).bytes()
        document = json.loads(data)
    except (ObjectNotFound, ValueError, RecursionError):
        return {}
    if not is_sealed(data) or not isinstance(document, dict) or not isinstance(document.get("snapshots"), list):
        return {}
    return {name: value for name, value in document.items() if name != "checksum"}
