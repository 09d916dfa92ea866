"""The records of drills in a repository: what was proven, and when. They are the only files that a reader adds, and need no lock.

`drills/<time>-<snapshot>.json`, sealed; none is ever changed.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from lockstep.errors import BucketNotFound, ObjectNotFound
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import in_parallel
from lockstep.repository.seal import is_sealed, sealed
from lockstep.steps import step

DRILLS = "drills/"

_NAME = re.compile(r"drills/(\d{8}T\d{6}Z)-(\d{8}T\d{6}Z-[0-9a-f]{8})\.json")
_TIME = "%Y%m%dT%H%M%SZ"
_READERS = 16  # small files: what counts is the way to the store and back


def drill_path(snapshot: str, started: datetime) -> str:
    """Where the record of a drill lies."""
    return f"{DRILLS}{started.astimezone(UTC):{_TIME}}-{snapshot}.json"


def save_drill(store: ObjectStore, snapshot: str, started: datetime, document: Mapping[str, object]) -> str:
    """Write the record of a drill and return its path. Raises PermissionMissing, DiskFailed where the repository is read-only."""
    path = drill_path(snapshot, started)
    store.write(path, sealed(document))
    step("drill.recorded")
    store.flush()
    return path


def drills_of(store: ObjectStore, snapshots: Collection[str]) -> list[str]:
    """The records of drills of these snapshots."""
    names = ((info.key, _NAME.fullmatch(info.key)) for page in store.list(DRILLS) for info in page)
    return [path for path, name in names if name is not None and name[2] in snapshots]


def last_proven(store: ObjectStore, *, snapshot: str | None = None) -> dict[str, datetime]:
    """When each snapshot (or the one named) was last proven by a drill that was green; those that never were are not in it.

    A record that is damaged proves nothing. Only the newest ones are read: of each snapshot back to its last green drill.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    try:
        for page in store.list(DRILLS):
            for info in page:
                name = _NAME.fullmatch(info.key)
                if name and snapshot in (None, name[2]):
                    found.setdefault(name[2], []).append((name[1], info.key))
    except BucketNotFound:
        return {}

    def prove(item: tuple[str, list[tuple[str, str]]]) -> tuple[str, datetime | None]:
        green = (time for time, path in sorted(item[1], reverse=True) if _was_green(store, path, item[0]))
        time = next(green, None)
        return item[0], datetime.strptime(time, _TIME).replace(tzinfo=UTC) if time else None

    answers = in_parallel(found.items(), prove, threads=_READERS, stop=threading.Event())
    return {name: proven for batch in answers for name, proven in batch if proven is not None}


def _was_green(store: ObjectStore, path: str, snapshot: str) -> bool:
    try:
        data = store.read(path).bytes()
        document = json.loads(data)
    except (ObjectNotFound, ValueError, RecursionError):
        return False
    return is_sealed(data) and isinstance(document, dict) and document.get("ok") is True and document.get("snapshot") == snapshot
