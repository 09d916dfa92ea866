r"""Reads the value of `PARSEC_BLOCKSTORE`: where a Parsec server keeps its objects.

A value is a whitespace-separated list of stores: `s3:[endpoint]:region:bucket:key:secret`, `swift:…`, `POSTGRESQL`, `MOCKED`, or
`raid0|raid1|raid5:<node>:<store>` for each node. `\:` is a colon inside a part, `\\` a backslash.
Messages name a part by its position and kind, never by its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from lockstep.config.faults import Faults
from lockstep.model.addresses import StoreAddress
from lockstep.model.raid import RAID5_LEAST_NODES, RaidMode

_VARIABLE = "PARSEC_BLOCKSTORE"
_S3_FORM = r"Write it as s3:[endpoint]:region:bucket:key:secret, with \: for a colon inside a part."
_OWN_STORES = "Name the stores with --database and --bucket instead of --parsec-env, if there is an S3 way to the same objects."


@dataclass(frozen=True, slots=True)
class Blockstore:
    """Where the objects are. `stores` is in node order; empty when they are in the database itself."""

    stores: tuple[StoreAddress, ...]
    raid: RaidMode | None = None


@dataclass(frozen=True, slots=True)
class _Node:
    raid: RaidMode | None
    index: int
    config: str
    where: str


def parse_blockstore(value: str, *, faults: Faults) -> Blockstore:
    """The stores that the value names. What is wrong is added to `faults`; the result then leaves out what could not be read."""
    entries = value.split()
    nodes = [node for number, entry in enumerate(entries, start=1) if (node := _node(entry, number, len(entries), faults=faults))]
    if len(nodes) == len(entries):
        _check_nodes(nodes, faults=faults)
    nodes.sort(key=lambda node: node.index)
    raid = nodes[0].raid if nodes else None
    stores = [_store(node, faults=faults) for node in nodes]
    return Blockstore(tuple(store for store in stores if store is not None), raid)


def split_parts(text: str) -> list[str]:
    """The parts between colons, with the escapes resolved. A backslash before any other character is kept."""
    parts = [""]
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and text[position + 1 : position + 2] in (":", "\\"):
            position += 1
            parts[-1] += text[position]
        elif character == ":":
            parts.append("")
        else:
            parts[-1] += character
        position += 1
    return parts


def join_parts(parts: list[str]) -> str:
    """The text that `split_parts` takes apart into these parts."""
    return ":".join(part.replace("\\", "\\\\").replace(":", "\\:") for part in parts)


def _node(entry: str, number: int, count: int, *, faults: Faults) -> _Node | None:
    """One entry of the list, with its RAID node taken off."""
    where = _VARIABLE if count == 1 else f"store {number} of {_VARIABLE}"
    kind, _, rest = entry.partition(":")
    raid = _raid_mode(kind)
    if raid is None:
        return _Node(None, number - 1, entry, where)
    index, colon, config = rest.partition(":")
    if not (index.isascii() and index.isdigit() and len(index) < 5 and colon and config):
        faults.add(f"part 2 (the node) of {where} is not a number", hint=f"Write it as {raid}:<node>:<store>, with nodes counted from 0.")
        return None
    if _raid_mode(config.partition(":")[0]) is not None:
        faults.add(f"{where} puts one RAID into another", hint="Give every node a store of its own.")
        return None
    return _Node(raid, int(index), config, where)


def _raid_mode(kind: str) -> RaidMode | None:
    match kind.lower():
        case "raid0":
            return "raid0"
        case "raid1":
            return "raid1"
        case "raid5":
            return "raid5"
    return None


def _check_nodes(nodes: list[_Node], *, faults: Faults) -> None:
    if not nodes:
        faults.add(f"{_VARIABLE} is empty", hint=_S3_FORM)
        return
    modes = {node.raid for node in nodes}
    if len(modes) > 1:
        faults.add(f"{_VARIABLE} mixes RAID modes", hint="Write the same raid0, raid1 or raid5 before every node.")
    elif None in modes and len(nodes) > 1:
        faults.add(
            f"{_VARIABLE} names {len(nodes)} stores without a RAID mode", hint="Write raid0:, raid1: or raid5: and the node before each."
        )
    elif sorted(node.index for node in nodes) != list(range(len(nodes))):
        faults.add(f"the nodes of {_VARIABLE} are not 0 to {len(nodes) - 1}, each once", hint="Number the nodes from 0 without gaps.")
    elif modes == {"raid5"} and len(nodes) < RAID5_LEAST_NODES:
        faults.add(f"{_VARIABLE} has {len(nodes)} nodes for raid5, which needs {RAID5_LEAST_NODES}", hint="Name all the nodes.")


def _store(node: _Node, *, faults: Faults) -> StoreAddress | None:
    """The store behind one entry; None when the objects are in the database, or when something was added to `faults`."""
    match node.config.partition(":")[0].lower():
        case "s3":
            return _s3_store(node, faults=faults)
        case "postgresql":
            if node.raid is not None:
                faults.add(
                    f"{node.where} is not supported, because a RAID node inside the database is not an object store", hint=_OWN_STORES
                )
        case "swift":
            faults.add(
                f"{node.where} is a swift store, which is not supported, because lockstep speaks S3 to object stores", hint=_OWN_STORES
            )
        case "mocked":
            faults.add(
                f"{node.where} is MOCKED, which is not supported, because such a server keeps its objects in memory only",
                hint="Back up a server that keeps its objects in S3.",
            )
        case _:
            faults.add(f"part 1 (the kind) of {node.where} is not s3, swift, POSTGRESQL, MOCKED or a RAID mode", hint=_S3_FORM)
    return None


def _s3_store(node: _Node, *, faults: Faults) -> StoreAddress | None:
    parts = split_parts(node.config)
    if len(parts) != len(_S3_PARTS):
        # Escaped for a shell and read by something that is none: each backslash stands twice. Tried only where the literal reading fails.
        shell_parts = split_parts(node.config.replace("\\\\", "\\"))
        parts = shell_parts if len(shell_parts) == len(_S3_PARTS) else parts
    if len(parts) != len(_S3_PARTS):
        faults.add(f"{node.where} has {len(parts)} parts between colons instead of {len(_S3_PARTS)}", hint=_S3_FORM)
        return None
    _, endpoint, region, bucket, key, secret = parts
    before = len(faults.found)
    endpoint_url = _endpoint_url(endpoint, node=node, faults=faults)
    if not bucket or any(character in bucket for character in "/?#@"):
        faults.add(f"part 4 (the bucket) of {node.where} is not a bucket name", hint=_S3_FORM)
    if bool(key) != bool(secret):
        faults.add(f"part {6 if key else 5} ({'the secret' if key else 'the key'}) of {node.where} is empty", hint=_S3_FORM)
    if len(faults.found) > before:
        return None
    return StoreAddress(
        url=f"s3://{bucket}",
        name="main" if node.raid is None else f"node{node.index}",
        endpoint_url=endpoint_url,
        region=region or None,
        access_key_id=key or None,
        secret_access_key=secret or None,
    )


_S3_PARTS = ("kind", "endpoint", "region", "bucket", "key", "secret")


def _endpoint_url(endpoint: str, *, node: _Node, faults: Faults) -> str | None:
    """The endpoint as a URL: https where no scheme is written; None for AWS itself."""
    if not endpoint:
        return None
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        faults.add(f"part 2 (the endpoint) of {node.where} is not an http or https URL", hint=_S3_FORM)
    return url
