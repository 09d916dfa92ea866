"""Which node of a RAID holds what of an object, and how an object is put together again. Pure.

The rules are those of Parsec's server. A key is the same on every node that has it, and the order of the nodes is part of the data.

- raid0: the object lies whole on one node: its block id, taken as a number of 128 bits, modulo the number of nodes.
- raid1: the same bytes lie on every node.
- raid5 (three nodes or more): the object's length as four bytes, big-endian, then its bytes, then zeros, cut into n-1 chunks of the same
  length on the nodes 0 to n-2; on node n-1 lies the parity, the exclusive or of these chunks.

Source: Scille/parsec-cloud, v3.9.3: server/parsec/components/raid0_blockstore.py, raid1_blockstore.py, raid5_blockstore.py and
blockstore.py; the same in v2.9.2: parsec/backend/raid0_blockstore.py and its siblings. Its server never reads the parity unless a
chunk fails, so it serves an altered chunk as it is. It takes an empty object on a raid1 for a failure. Its raid0 (v3) inserts a block's
row although the node refused the object. With `partial_create_ok` (off by default) a raid1 needs one node that took the object, a
raid5 all but one: so nodes may lack objects on a sound deployment too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

RaidMode = Literal["raid0", "raid1", "raid5"]

RAID5_LEAST_NODES = 3
"""raid5 keeps n-1 chunks and their parity: with two nodes it would be raid1."""

LENGTH_BYTES = 4
"""The length of the object in front of its bytes."""

_LENGTH = struct.Struct("!I")
_HEX_DIGITS = 32


class BrokenStripe(ValueError):
    """Chunks that are not those of one object."""


def needed_nodes(mode: RaidMode, nodes: int) -> int:
    """How many of the nodes must answer so that every object can be read."""
    return {"raid0": nodes, "raid1": 1, "raid5": nodes - 1}[mode]


def home_of(key: str, nodes: int) -> int | None:
    """The raid0 node that holds a key, by the block id behind its last slash, with hyphens or without; None when there is none."""
    digits = key.rpartition("/")[2].replace("-", "")
    if len(digits) != _HEX_DIGITS or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        return None
    return int(digits, 16) % nodes


def chunk_bytes(size: int, nodes: int) -> int:
    """The length of every raid5 chunk, the parity too, of an object of `size` bytes."""
    return -(-(size + LENGTH_BYTES) // (nodes - 1))


def split_object(data: bytes, nodes: int) -> list[bytes]:
    """What each raid5 node holds of an object, in node order; the last is the parity."""
    length = chunk_bytes(len(data), nodes)
    whole = (_LENGTH.pack(len(data)) + data).ljust(length * (nodes - 1), b"\0")
    chunks = [whole[start : start + length] for start in range(0, len(whole), length)]
    return [*chunks, _xor(chunks)]


def join_object(chunks: Sequence[bytes | None]) -> bytes:
    """The object of a raid5 stripe, in node order; at most one chunk may be None, and is made from the others.

    Raises BrokenStripe when too much is lacking, or the chunks are not those of one object as far as can be seen: of several lengths, of
    another length than the object's own says, with something else than zeros behind it, or with a parity that is not theirs.
    """
    found = [chunk for chunk in chunks if chunk is not None]
    if len(found) < len(chunks) - 1:
        raise BrokenStripe(f"{len(chunks) - len(found)} of {len(chunks)} chunks are lacking")
    if len({len(chunk) for chunk in found}) != 1:
        raise BrokenStripe("the chunks differ in length")
    if len(found) == len(chunks) and _xor(found[:-1]) != found[-1]:
        raise BrokenStripe("the parity is not that of the chunks")
    data = [_xor(found) if chunk is None else chunk for chunk in chunks[:-1]]
    whole = b"".join(data)
    if len(whole) < LENGTH_BYTES:
        raise BrokenStripe("the chunks are shorter than an object's length")
    size = _LENGTH.unpack_from(whole)[0]
    if chunk_bytes(size, len(chunks)) != len(found[0]):
        raise BrokenStripe("the chunks are of another length than the object's own length says")
    if whole[LENGTH_BYTES + size :].strip(b"\0"):
        raise BrokenStripe("something lies behind the end of the object")
    return whole[LENGTH_BYTES : LENGTH_BYTES + size]


def solve_stripe(chunks: Sequence[bytes | None], *, size: int | None = None) -> tuple[bytes, int | None]:
    """The object of a raid5 stripe, and the node whose chunk must be wrong, if one is.

    A chunk is None when its node does not have it, or when it does not fit its own ETag. When all are there and do not belong together,
    each in turn is taken for the wrong one: where just one of these guesses gives an object (by the length in front, the zeros behind, and
    `size`, where that is known), it is believed. Where several do, as when somebody put other bytes of the same length in a chunk's place,
    it cannot be told which chunk is right: BrokenStripe is raised, as it is when no guess fits.
    """
    try:
        return join_object(chunks), None
    except BrokenStripe as error:
        fault = str(error)
    guesses: list[tuple[bytes, int]] = []
    for number in range(len(chunks)) if None not in chunks else ():
        try:
            data = join_object([None if other == number else chunk for other, chunk in enumerate(chunks)])
        except BrokenStripe:
            continue
        if size in {None, len(data)}:
            guesses.append((data, number))
    if len(guesses) == 1:
        return guesses[0]
    raise BrokenStripe(fault if not guesses else f"{fault}, and it cannot be told which chunk is wrong")


def _xor(chunks: Sequence[bytes]) -> bytes:
    total = 0
    for chunk in chunks:
        total ^= int.from_bytes(chunk, "big")
    return total.to_bytes(len(chunks[0]), "big")
