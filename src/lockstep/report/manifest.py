"""One snapshot as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lockstep.report.units import as_bytes, as_count, as_duration


def as_text(
    database_name: str,
    manifest: Mapping[str, Any],
    *,
    proven: datetime | None = None,
    verified: datetime | None = None,
    verified_data: datetime | None = None,
) -> str:
    """What a manifest (as its JSON document) says, in a dozen lines.

    `proven` is when a drill last proved the snapshot, `verified` when a verification last found it sound, `verified_data` to the byte.
    """
    database, dump, objects = manifest["database"], manifest["dump"], manifest["objects"]
    rows = {
        "snapshot": manifest["snapshot"],
        "created": manifest["created"],
        "complete": "yes" if manifest["complete"] else "NO",
        "proven": f"{_second(proven)}, by a drill" if proven else "never",
        "verified": _verified(verified, verified_data),
        "tag": manifest["tag"],
        "parent": manifest["parent"],
        "database": f"{database_name}, PostgreSQL {database['server_version']}, {database['encoding']}, {database['collate']}",
        "owner": database["owner"],
        "extensions": ", ".join(f"{name} {version}" for name, version in sorted(database["extensions"].items())),
        "tables": f"{as_count(len(database['rows']))} with {as_count(sum(database['rows'].values()))} rows",
        "dump": f"{dump['format']}, {as_bytes(dump['size_bytes'])}, by pg_dump {dump['pg_dump_major']} in {as_duration(dump['seconds'])}",
        "profile": manifest["profile"]["name"],
        "stores": ", ".join(f"{name} = {url}" for name, url in manifest["stores"].items()),
        "objects": f"{as_count(objects['referenced'])} referenced ({as_bytes(objects['referenced_bytes'])}), "
        f"{as_count(objects['new'])} new, {as_count(objects['missing'])} missing, {as_count(objects['mismatched'])} mismatched",
        "made with": ", ".join(f"{name} {version}" for name, version in manifest["tools"].items()),
    }
    return "\n".join(f"{name:<11}{value}" for name, value in rows.items() if value)


def _verified(sizes: datetime | None, data: datetime | None) -> str:
    if sizes is None:
        return "never"
    if data is None:
        return f"{_second(sizes)}, by the sizes of its objects alone"
    return f"{_second(sizes)}, every byte" if data == sizes else f"{_second(sizes)}, every byte {_second(data)}"


def _second(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
