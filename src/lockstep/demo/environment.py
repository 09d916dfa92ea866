"""Keeps what the caller's shell says of other servers away from the demo's own.

A proxy, a profile of AWS or a `PGSERVICE` is meant for the caller's work; every one of them would lead the demo astray or break it.
Source: PostgreSQL manual, "Environment Variables" of libpq; AWS SDKs and Tools Reference Guide, "Environment variables support".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_PREFIXES = ("AWS_", "PG")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_OURS = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def environment_of_our_own() -> Iterator[None]:
    """For the length of the block, this process and the programs that it starts know nothing of the caller's servers and proxies."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(_PREFIXES) or name.lower() in _PROXIES:
            del os.environ[name]
    os.environ.update(_OURS)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
