"""The seal on the small JSON files of a repository: their own checksum as their last field.

A file whose checksum nothing else names, or whose namer may be the one that is damaged, can so be told from any other bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

_SEAL = b',\n  "checksum": "%s"\n}\n'
_LENGTH = len(_SEAL % (b"0" * 64))


def seal(text: str) -> bytes:
    """An indented JSON object as it is stored: with the SHA-256 of all that stands before it as the last field."""
    body = text.removesuffix("\n}").encode()
    return body + _SEAL % hashlib.sha256(body).hexdigest().encode()


def sealed(document: Mapping[str, object]) -> bytes:
    """A document as it is stored."""
    return seal(json.dumps(document, indent=2))


def is_sealed(data: bytes) -> bool:
    """True when the bytes are, to the last one, what `seal` made."""
    body, end = data[:-_LENGTH], data[-_LENGTH:]
    return end == _SEAL % hashlib.sha256(body).hexdigest().encode()


def is_grown(data: bytes) -> bool:
    """True when a whole sealed file is there, and more behind it."""
    end = data.find(_SEAL[-4:]) + 4
    return 4 <= end < len(data) and is_sealed(data[:end])


def is_cut(data: bytes) -> bool:
    """True when the end of a sealed file is not there: not when it is there with another byte in it, or with more behind it."""
    _, begun, end = data.rpartition(_SEAL[:16])
    return _SEAL[-4:] not in data and not (begun and len(end) >= _LENGTH - 16)
