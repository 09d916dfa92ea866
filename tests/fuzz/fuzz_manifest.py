"""Fuzz target: whatever bytes a manifest has, reading it gives a sound one or RepositoryInvalid."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lockstep.errors import RepositoryInvalid
from lockstep.repository.manifest import manifest_from_bytes

ID = "20261122T124000Z-1a2b3c4d"
PATH = f"snapshots/{ID}/manifest.json"

COUNTS = ("referenced", "referenced_bytes", "new", "copied_bytes", "reused", "missing", "mismatched")
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "repository": "r",
    "snapshot": ID,
    "created": "2026-11-22T12:40:00Z",
    "complete": True,
    "parent": ID,
    "chain_length": 1,
    "previous": {"snapshot": ID, "sha256": "ab" * 32},
    "database": {"name": "a", "server_version": "18.6", "server_major": 18, "encoding": "UTF8", "collate": "C", "ctype": "C"}
    | {"locale_provider": "libc", "owner": "a", "rows": {"public.a": 1}},
    "dump": {"format": "custom", "size_bytes": 1, "pg_dump_major": 18, "seconds": 1.5},
    "profile": {"name": "a", "query": None},
    "stores": {"main": "s3://bucket"},
    "objects": dict.fromkeys(COUNTS, 0),
    "files": [{"path": f"snapshots/{ID}/database.dump", "size": 1, "sha256": "ab" * 32}],
    "inventory": [{"path": f"inventory/{ID}-0.parquet", "size": 1, "sha256": "ab" * 32}],
}
SAMPLES = (json.dumps(DOCUMENT).encode(), json.dumps(DOCUMENT, indent=2).encode(), b'{"format": 2}', b"[" * 2000)
WORDS: tuple[bytes, ...] = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 30,
    b"9" * 5000,
    b"\\ud800",
    b"\\u0000",
    b"../",
    b"/",
    b"\xff",
)
WORDS += (b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00+23:59", b'"format": 1,', b"\n")


def target(data: bytes) -> None:
    """Anything that leaves this function is a crash."""
    try:
        manifest = manifest_from_bytes(data, path=PATH)
    except RepositoryInvalid:
        return
    assert manifest.snapshot == ID
    assert manifest.created.tzinfo is not None
    paths = [entry.path.split("/") for entry in (*manifest.files, *manifest.inventory, *manifest.dump_files())]
    assert not any({"..", ".", ""} & set(path) for path in paths)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.fuzzing import main

    main(target, SAMPLES, words=WORDS)
