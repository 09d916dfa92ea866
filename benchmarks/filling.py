"""Puts objects into a bucket with several processes: filling a million of them is most of what a first benchmark takes."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import obstore
from bulk_loading import noise_of
from obstore.store import S3Store

from lockstep.model.addresses import StoreAddress

THREADS = 8
"""Uploads at a time in each process."""


def fill_objects(address: StoreAddress, chunks: Sequence[tuple[int, list[str]]], size_bytes: int) -> None:
    """Store noise of `size_bytes` under all keys; the numbers of the chunks are their seeds."""
    started, done = time.monotonic(), 0
    total = sum(len(keys) for _, keys in chunks)
    context = multiprocessing.get_context("spawn")  # obstore's own threads do not outlive a fork
    with context.Pool(min(len(chunks), os.cpu_count() or 1)) as pool:
        for count in pool.imap_unordered(partial(_fill, address, size_bytes), chunks):
            done += count
            print(f"\rfilled {done:,} of {total:,} objects in {time.monotonic() - started:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)


def _fill(address: StoreAddress, size_bytes: int, chunk: tuple[int, list[str]]) -> int:
    number, keys = chunk
    client = S3Store(
        address.url.removeprefix("s3://"),
        endpoint=address.endpoint_url,
        access_key_id=address.access_key_id,
        secret_access_key=address.secret_access_key,
        region=address.region,
        client_options={"allow_http": True},
    )
    noise = noise_of(number, len(keys), size_bytes)

    def put(numbered: tuple[int, str]) -> None:
        start, key = numbered
        obstore.put(client, key, noise[start : start + size_bytes], use_multipart=False)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, enumerate(keys)))
    return len(keys)
