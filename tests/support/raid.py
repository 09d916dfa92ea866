"""A deployment whose objects lie on the nodes of a RAID, laid out by arithmetic of its own: lockstep is not asked."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.raid import RaidMode
from support.parsec_shape import delete_objects, put_objects, read_objects
from support.world import Deployment, World


def parts_of(mode: RaidMode, nodes: int, *, key: str, data: bytes) -> dict[int, bytes]:
    """What each node holds of an object, as Parsec's server lays it out."""
    if mode == "raid0":
        return {uuid.UUID(key.rpartition("/")[2]).int % nodes: data}
    if mode == "raid1":
        return dict.fromkeys(range(nodes), data)
    length = (len(data) + 4 + nodes - 2) // (nodes - 1)
    whole = bytearray(length * (nodes - 1))
    whole[: len(data) + 4] = len(data).to_bytes(4, "big") + data
    chunks = [bytes(whole[number * length : (number + 1) * length]) for number in range(nodes - 1)]
    parity = bytearray(length)
    for chunk in chunks:
        parity = bytearray(a ^ b for a, b in zip(parity, chunk, strict=True))
    return dict(enumerate([*chunks, bytes(parity)]))


@dataclass(frozen=True, slots=True)
class Raid:
    """The nodes of one RAID."""

    mode: RaidMode
    nodes: tuple[StoreAddress, ...]

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Store objects as the server would."""
        for number, parts in self.layout(objects).items():
            put_objects(self.nodes[number], parts.items())

    def layout(self, objects: Mapping[str, bytes]) -> dict[int, dict[str, bytes]]:
        """What each node is to hold."""
        layout: dict[int, dict[str, bytes]] = {number: {} for number in range(len(self.nodes))}
        for key, data in objects.items():
            for number, part in parts_of(self.mode, len(self.nodes), key=key, data=data).items():
                layout[number][key] = part
        return layout

    def held(self) -> dict[int, dict[str, bytes]]:
        """What each node holds."""
        return {number: read_objects(node) for number, node in enumerate(self.nodes)}

    def lose(self, node: int, keys: Iterable[str]) -> None:
        """Take objects off one node."""
        delete_objects(self.nodes[node], list(keys))

    def options(self, database: DatabaseAddress, directory: Path) -> list[str]:
        """The options that name this RAID, with an env file as a Parsec server has it."""
        stores = []
        for number, node in enumerate(self.nodes):
            endpoint, bucket = (node.endpoint_url or "").replace(":", r"\:"), node.url.removeprefix("s3://")
            access = f"{node.access_key_id}:{node.secret_access_key}"
            stores.append(f"{self.mode}:{number}:s3:{endpoint}:{node.region}:{bucket}:{access}")
        path = directory / f"{self.mode}-{secrets.token_hex(4)}.env"
        path.write_text(f"PARSEC_DB={url_of(database)}\nPARSEC_BLOCKSTORE={' '.join(stores)}\n", encoding="utf-8")
        return ["--parsec-env", str(path)]


def url_of(database: DatabaseAddress) -> str:
    """The database as a URL, which is what PARSEC_DB takes."""
    parts = conninfo_to_dict(database.conninfo)
    login = ":".join(quote(str(parts[name]), safe="") for name in ("user", "password"))
    return f"postgresql://{login}@{parts['host']}:{parts['port']}/{parts['dbname']}"


def on_raid(world: World, mode: RaidMode, *, nodes: int = 3, last: StoreAddress | None = None, **shape: Any) -> tuple[Deployment, Raid]:
    """A new deployment whose objects lie on a RAID, the last node of which may be elsewhere. Its first bucket is not used."""
    source = world.deployment(**shape)
    stores = [world.new_bucket() for _ in range(nodes - (last is not None))] + ([last] if last else [])
    raid = Raid(mode, tuple(stores))
    raid.put(source.filled.objects)
    delete_objects(source.bucket, source.filled.keys)
    return source, raid
