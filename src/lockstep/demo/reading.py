"""Reads a deployment whole: every row and every object, by other queries than lockstep's own."""

from __future__ import annotations

import hashlib

from lockstep.demo.proof import Contents
from lockstep.model.addresses import DatabaseAddress
from lockstep.objects.retry import retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, in_parallel
from lockstep.postgres.writing import open_writing_session
from lockstep.progress import SILENT, Listener, StageAdvanced, StageEnded, StageStarted

STAGE = "comparing"
_THREADS = 8
_KEYS = """
SELECT (SELECT organization_id FROM organization WHERE organization._id = realm.organization) || '/' || block_id
FROM block, realm WHERE realm._id = block.realm
"""


def read_contents(database: DatabaseAddress, bucket: ObjectStore, *, listener: Listener = SILENT) -> Contents:
    """Everything in a deployment of the demo's shape now. The objects are those that the bucket lists, read to their ends."""
    with open_writing_session(database) as session:
        rows, named = session.rows_as_text(), session.texts(_KEYS)
    keys = [info.key for page in bucket.list() for info in page]
    objects: dict[str, str] = {}

    def read(key: str) -> tuple[str, str]:
        data = retrying(lambda: bucket.read(key).bytes())
        listener(StageAdvanced(STAGE, done=1, size_bytes=len(data)))
        return key, hashlib.sha256(data).hexdigest()

    listener(StageStarted(STAGE, total=len(keys), unit="objects"))
    for done in in_parallel(keys, read, threads=_THREADS, stop=Stop()):
        objects.update(done)
    listener(StageEnded(STAGE))
    return Contents(rows, named, objects)
