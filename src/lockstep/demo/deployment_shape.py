"""Rows and contents of a deployment in the shape of Parsec's, as plain values: the same seed gives the same deployment.

Nothing is written here. Whoever writes keeps the server's order: the object first, then the row that names it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

SCHEMA = Path(__file__).with_name("schema.sql")

MIGRATIONS = tuple(f"{number:04}_step" for number in range(1, 15))
"""Names of the applied schema migrations; the last is number 14, which gave `block` its present shape."""

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_NAMES = ("Acme", "Müller-Söhne", "株式会社テスト", "Ελλάδα_1", "Ångström", "Школа-42")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one table: the columns they fill, and a tuple of values in that order for each row."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Realm:
    """A workspace: its row's number, its organization, and a device that writes to it."""

    number: int
    organization: str
    organization_number: int
    author: int


@dataclass(frozen=True, slots=True)
class Block:
    """A row of `block` and the object it names."""

    block_id: UUID
    realm: Realm
    size: int
    created_on: datetime

    @property
    def key(self) -> str:
        """The object's key: organization, slash, the block's UUID with hyphens."""
        return f"{self.realm.organization}/{self.block_id}"

    def contents(self) -> bytes:
        """The object's bytes: noise, as encrypted blocks are, that follows from the id alone."""
        return random.Random(self.block_id.int).randbytes(self.size)


@dataclass(frozen=True, slots=True)
class Foundation:
    """All that is there before the first block: rows in an order that satisfies the foreign keys, and the realms to write to."""

    tables: tuple[Rows, ...]
    realms: tuple[Realm, ...]


def organization_names(count: int) -> tuple[str, ...]:
    """`count` different organization ids of at most 32 bytes; the second and most of the first six are not ASCII."""
    return tuple(_NAMES[number] if number < len(_NAMES) else f"Org-{number}" for number in range(count))


def plan_foundation(organizations: Sequence[str], *, realms: int, seed: int) -> Foundation:
    """Organizations with `realms` workspaces each, one user and one device for each workspace."""
    chance = random.Random(f"foundation {seed}")
    moments = _moments(_EPOCH)
    planned = tuple(
        Realm(number=first + offset, organization=name, organization_number=index, author=first + offset)
        for index, name in enumerate(organizations, start=1)
        for first in [(index - 1) * realms + 1]
        for offset in range(realms)
    )
    tables = (
        Rows("migration", ("_id", "name", "applied"), tuple((n, name, next(moments)) for n, name in enumerate(MIGRATIONS, start=1))),
        Rows(
            "organization",
            ("_id", "organization_id", "created_on"),
            tuple((number, name, next(moments)) for number, name in enumerate(organizations, start=1)),
        ),
        Rows(
            "user_",
            ("_id", "organization", "user_id", "profile", "created_on"),
            tuple((r.author, r.organization_number, _uuid(chance), chance.choice(("ADMIN", "STANDARD")), next(moments)) for r in planned),
        ),
        Rows(
            "device",
            ("_id", "organization", "user_", "device_id", "certificate", "created_on"),
            tuple((r.author, r.organization_number, r.author, _uuid(chance), chance.randbytes(200), next(moments)) for r in planned),
        ),
        Rows(
            "realm",
            ("_id", "organization", "realm_id", "created_on"),
            tuple((r.number, r.organization_number, _uuid(chance), next(moments)) for r in planned),
        ),
    )
    return Foundation(tables=tables, realms=planned)


def plan_blocks(
    realms: Sequence[Realm], count: int, *, size: int | tuple[int, int], seed: int, created_on: datetime = _EPOCH
) -> tuple[Block, ...]:
    """`count` new blocks, dealt to the realms in turn; `size` in bytes is that of each, or the least and the greatest."""
    chance = random.Random(f"blocks {seed}")
    least, greatest = (size, size) if isinstance(size, int) else size
    moments = _moments(created_on)
    return tuple(
        Block(block_id=_uuid(chance), realm=realms[n % len(realms)], size=chance.randint(least, greatest), created_on=next(moments))
        for n in range(count)
    )


def plan_vlobs(realms: Sequence[Realm], count: int, *, seed: int, created_on: datetime = _EPOCH) -> Rows:
    """`count` versions of encrypted metadata, three of each vlob, dealt to the realms in turn."""
    chance = random.Random(f"vlobs {seed}")
    moments = _moments(created_on)
    ids = [_uuid(chance) for _ in range(-(-count // 3))]
    return Rows(
        "vlob_atom",
        ("realm", "vlob_id", "version", "blob", "author", "created_on"),
        tuple(
            (realm.number, ids[n // 3], n % 3 + 1, chance.randbytes(chance.randint(100, 600)), realm.author, next(moments))
            for n in range(count)
            for realm in [realms[n // 3 % len(realms)]]
        ),
    )


def block_rows(blocks: Iterable[Block]) -> Rows:
    """The rows of blocks; their numbers are left to the table's serial."""
    return Rows(
        "block",
        ("block_id", "realm", "author", "size", "created_on", "key_index"),
        tuple((block.block_id, block.realm.number, block.realm.author, block.size, block.created_on, 1) for block in blocks),
    )


def _uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def _moments(start: datetime) -> Iterator[datetime]:
    """Moments one second apart, the first at `start`."""
    moment = start
    while True:
        yield moment
        moment += timedelta(seconds=1)
