"""Decides whether a text names a store, an endpoint or a local directory; a text that may hold a secret is never shown."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from lockstep.config.faults import Faults

STORE_SCHEMES = ("s3", "gs", "az", "file")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_WRITE_STORE = "Write it as s3://bucket[/prefix], gs://…, az://… or file:///directory."
_WRITE_ENDPOINT = "Write https:// or http:// and the host, and the port if it is an unusual one."


def has_scheme(text: str) -> bool:
    """True when the text begins as a URL does, so that it is no path."""
    return _SCHEME.match(text) is not None


def checked_store_url(url: str, *, name: str, faults: Faults) -> bool:
    """True when `url` names a store; else a fault about `name` is added."""
    parts = _parts(url)
    scheme = _SCHEME.match(url)
    if parts is None or scheme is None:
        faults.add(f"{name} is not a URL", hint=_store_hint(url))
    elif scheme[1] not in STORE_SCHEMES:
        faults.add(f"{name} begins with {scheme[1]}://", hint=_store_hint(url))
    elif _holds_credentials(parts):
        faults.add(f"{name} holds credentials", hint="Give them through the environment or ~/.aws, never in a URL.")
    elif parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        faults.add(f"{name} names no absolute directory", hint=_WRITE_STORE)
    elif parts.scheme != "file" and not parts.netloc:
        faults.add(f"{name} names no bucket", hint=_WRITE_STORE)
    else:
        return True
    return False


def checked_endpoint(url: str, *, name: str, faults: Faults) -> bool:
    """True when `url` is the address of an S3-compatible service; else a fault about `name` is added."""
    parts = _parts(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        faults.add(f"{name} is not an http:// or https:// URL", hint=_WRITE_ENDPOINT)
    elif _holds_credentials(parts):
        faults.add(f"{name} holds credentials", hint="Give them through the environment or ~/.aws, never in a URL.")
    else:
        return True
    return False


def as_file_url(path: str) -> str:
    """The file:// URL of a local directory, absolute and percent-encoded; `~` is the home directory."""
    return expanded(path).absolute().as_uri()


def expanded(path: str | Path) -> Path:
    """The path with `~` resolved; as it is where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port is None or parts.port > 0 else None
    except ValueError:
        return None


def _holds_credentials(parts: SplitResult) -> bool:
    return parts.username is not None or parts.password is not None


def _store_hint(url: str) -> str:
    if url.startswith(("/", "./", "../", "~")):
        return f"Write {as_file_url(url)} for a local directory."
    if url.startswith(("http://", "https://")):
        return "Write s3://bucket here and give the address of the service with --endpoint-url."
    return _WRITE_STORE
