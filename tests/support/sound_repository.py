"""A small repository that has one of everything, and ways to do it harm."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from lockstep.deployment.deployment import Deployment
from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.findings import Finding
from lockstep.objects.local import LocalStore
from lockstep.objects.open import open_store
from lockstep.objects.store import ObjectStore
from lockstep.operations.backup import backup
from lockstep.operations.backup_options import BackupOptions
from lockstep.operations.verify import VerifyOptions, verify
from lockstep.repository.layout import WORK
from support.parsec_shape import add_blocks, create_schema, delete_objects, fill, put_objects


def local_store(root: Path) -> LocalStore:
    return LocalStore(root, private=True, temporary=root / WORK)


def make_sound_repository(database: DatabaseAddress, bucket: StoreAddress, store: ObjectStore) -> list[str]:
    """Three snapshots: custom, directory and plain dumps, a chain of references, an object in odd/, a list of what is missing."""
    deployment = Deployment(database, {"main": open_store(bucket)})
    with psycopg.connect(database.conninfo) as connection:
        create_schema(connection)
        filled = fill(connection, bucket, blocks=12, vlobs=4, size=(40, 900))
    made = [backup(deployment, store, options=BackupOptions(format="custom"))]
    with psycopg.connect(database.conninfo) as connection:
        filled = add_blocks(connection, bucket, filled, 6, seed=2)
        block = filled.blocks[0]
        put_objects(bucket, [(block.key, b"another version")])
        connection.execute("UPDATE block SET size = 15 WHERE block_id = %s", [block.key.partition("/")[2]])
        gone = filled.blocks[3].key
        delete_objects(bucket, [filled.blocks[-1].key])
        connection.execute("DELETE FROM block WHERE block_id = %s", [gone.partition("/")[2]])
    made += [backup(deployment, store, options=BackupOptions(format=format_)) for format_ in ("directory", "plain")]
    return [each.snapshot for each in made]


@dataclass(frozen=True)
class Found:
    """What one verification came to."""

    ok: bool
    objects: int
    objects_read: int
    bytes: int
    findings: tuple[Finding, ...]

    @property
    def paths(self) -> set[str]:
        return {finding.path for finding in self.findings}

    def of(self, path: str) -> Finding:
        [found] = [finding for finding in self.findings if finding.path == path]
        return found


def verified(store: ObjectStore | Path, **options: object) -> Found:
    """Verify in this process; everything is read unless `options` says otherwise."""
    place = local_store(store) if isinstance(store, Path) else store
    given = VerifyOptions(**{"depth": "data", **options})  # type: ignore[arg-type] # checked by the dataclass's own use
    with verify(place, options=given, now=datetime.now(UTC), zone=UTC) as found:
        findings = tuple(found.findings())
        assert found.count == len(findings)
        return Found(found.ok, found.checked.objects, found.checked.objects_read, found.checked.bytes, findings)


def files_of(root: Path) -> list[Path]:
    """Every file of a repository but locks/."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] != "locks")


def copied(root: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(root, to))


def flip_one_bit(path: Path, chance: random.Random) -> str:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    position, bit = chance.randrange(len(data)), chance.randrange(8)
    data[position] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {position}"


def change_one_byte(path: Path, chance: random.Random) -> str:
    """Give one byte of a file another value."""
    data = bytearray(path.read_bytes())
    position = chance.randrange(len(data))
    data[position] = (data[position] + chance.randrange(1, 256)) % 256
    path.write_bytes(data)
    return f"byte {position}"


HARM: dict[str, Callable[[Path], object]] = {
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "gone": lambda path: path.unlink(),
}
"""What can happen to a whole file."""
