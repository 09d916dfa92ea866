"""Small objects by the hundred thousand, without a request for each: SeaweedFS loads them from a file of its own format.

A million PUTs take most of an hour on two cores, this takes minutes, and what clients see afterwards is the same: key, size, ETag, bytes.
Source: SeaweedFS wiki, "weed shell", `fs.meta.save` and `fs.meta.load`; the format is a length of four bytes before each message
`FullEntry` of `filer.proto` (directory 1, entry 2; in the entry: name 1, attributes 4, extended 5, content 9; in the attributes: size 1,
modified 2, mode 3, created 6, MD5 14).
"""

from __future__ import annotations

import hashlib
import random
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from lockstep.objects.embedded import SeaweedFS, find_weed

MOST_BYTES = 1024
"""Larger contents belong into volumes, where PUT brings them."""

_LOADS_AT_ONCE = 8
_MODE = 0o660


def load_objects(store: SeaweedFS, bucket: str, *, chunks: Iterable[tuple[int, list[str]]], size_bytes: int, work: Path) -> None:
    """Store noise of `size_bytes` under all keys; the numbers of the chunks are their seeds. Raises CalledProcessError."""
    made = work / f"{bucket}.meta"
    with made.open("wb") as file:
        for record in _records(bucket, chunks, size_bytes):
            file.write(struct.pack(">I", len(record)) + record)
    command = f"fs.meta.load -v=false -concurrency={_LOADS_AT_ONCE} {made}\nexit\n"
    subprocess.run([str(find_weed()), "shell", *store.shell_arguments()], input=command, text=True, capture_output=True, check=True)
    made.unlink()


def put_lacking(store: SeaweedFS, bucket: str, *, chunks: Iterable[tuple[int, list[str]]], size_bytes: int) -> int:
    """Store what the bucket does not show: of many that are loaded at once, SeaweedFS loses a few. Returns how many there were."""
    client, count = store.client(), 0
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    there = {each["Key"] for page in pages for each in page.get("Contents", [])}
    for number, keys in chunks:
        noise = noise_of(number, len(keys), size_bytes)
        for start, key in enumerate(keys):
            if key not in there:
                client.put_object(Bucket=bucket, Key=key, Body=noise[start : start + size_bytes])
                count += 1
    return count


def noise_of(number: int, keys: int, size_bytes: int) -> bytes:
    """The contents of a chunk's objects: the first begins at byte 0, the next at byte 1, and so on, all different."""
    return random.Random(number).randbytes(size_bytes + keys)


def _records(bucket: str, chunks: Iterable[tuple[int, list[str]]], size_bytes: int) -> Iterator[bytes]:
    now = int(time.time())
    for number, keys in chunks:
        noise = noise_of(number, len(keys), size_bytes)
        for start, key in enumerate(keys):
            content = noise[start : start + size_bytes]
            folder, _, name = key.rpartition("/")
            md5 = hashlib.md5(content, usedforsecurity=False)
            attributes = _number(1, size_bytes) + _number(2, now) + _number(3, _MODE) + _number(6, now) + _bytes(14, md5.digest())
            etag = _bytes(1, b"Seaweed-X-Amz-ETag") + _bytes(2, md5.hexdigest().encode())
            entry = _bytes(1, name.encode()) + _bytes(4, attributes) + _bytes(5, etag) + _bytes(9, content)
            yield _bytes(1, f"/buckets/{bucket}/{folder}".encode()) + _bytes(2, entry)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
