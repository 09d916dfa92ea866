"""ObjectAttributes as obstore, boto3 and HTTP spell them."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from lockstep.errors import KeyRefused
from lockstep.model.objects import ObjectAttributes

NONE = ObjectAttributes()

_HEADERS = (
    ("content_type", "Content-Type", "ContentType"),
    ("content_encoding", "Content-Encoding", "ContentEncoding"),
    ("content_disposition", "Content-Disposition", "ContentDisposition"),
    ("content_language", "Content-Language", "ContentLanguage"),
    ("cache_control", "Cache-Control", "CacheControl"),
)
_OBSTORE_NAMES = {header: field for field, header, _ in _HEADERS}
STORAGE_CLASS = "Storage-Class"
"""Where the service keeps the bytes, as obstore calls it: no attribute, since it is not what the user said of them."""

_IGNORED = frozenset({STORAGE_CLASS})
_LOWER_NAMES = frozenset(name.lower() for name in (*_OBSTORE_NAMES, *_IGNORED))
_TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")  # Source: RFC 9110, section 5.6.2


def from_obstore(attributes: Mapping[str, str]) -> ObjectAttributes:
    """The attributes of an object that obstore has read."""
    if not attributes:
        return NONE
    headers = {_OBSTORE_NAMES[name]: value for name, value in attributes.items() if name in _OBSTORE_NAMES}
    metadata = {name: value for name, value in attributes.items() if name not in _OBSTORE_NAMES and name not in _IGNORED}
    return ObjectAttributes(**headers, metadata=metadata)


def as_obstore(attributes: ObjectAttributes | None) -> dict[str, str] | None:
    """What obstore's `put` takes. Raises KeyRefused for metadata that no header can carry."""
    if not attributes:
        return None
    _check(attributes)
    headers = {header: getattr(attributes, field) for field, header, _ in _HEADERS}
    return {**attributes.metadata, **{name: value for name, value in headers.items() if value is not None}}


def needs_second_road(attributes: ObjectAttributes | None) -> bool:
    """True when a name in the metadata is one that obstore takes for a header of its own, whatever its case."""
    return attributes is not None and any(name.lower() in _LOWER_NAMES for name in attributes.metadata)


_FIELDS = {header.lower(): field for field, header, _ in _HEADERS}
_METADATA = "x-amz-meta-"


def is_header(name: str) -> bool:
    """True for a header, in lower case, that carries an attribute."""
    return name in _FIELDS or name.startswith(_METADATA)


def from_headers(headers: Mapping[str, str]) -> ObjectAttributes:
    """The attributes in the headers of an answer, their names in lower case."""
    known = {_FIELDS[name]: value for name, value in headers.items() if name in _FIELDS}
    metadata = {name.removeprefix(_METADATA): value for name, value in headers.items() if name.startswith(_METADATA)}
    return ObjectAttributes(**known, metadata=metadata)


def from_boto(response: Mapping[str, Any]) -> ObjectAttributes:
    """The attributes in the answer to GetObject or HeadObject."""
    headers = {field: response.get(name) for field, _, name in _HEADERS}
    return ObjectAttributes(**headers, metadata=dict(response.get("Metadata") or {}))


def as_boto(attributes: ObjectAttributes | None) -> dict[str, Any]:
    """Parameters of PutObject and CreateMultipartUpload. Raises KeyRefused for metadata that no header can carry."""
    if not attributes:
        return {}
    _check(attributes)
    headers = {name: getattr(attributes, field) for field, _, name in _HEADERS}
    return {"Metadata": dict(attributes.metadata), **{name: value for name, value in headers.items() if value is not None}}


def _check(attributes: ObjectAttributes) -> None:
    """Say it in our words: obstore aborts the thread on a header name that is not a token, and boto3 refuses text beyond ASCII."""
    for name, value in attributes.metadata.items():
        if not name or not _TOKEN.issuperset(name):
            raise KeyRefused(
                f"no object store can hold metadata named {name!r}", hint="Use letters, digits and hyphens in names of metadata."
            )
        if not value.isascii() or not (value.isprintable() or value.replace("\t", "").isprintable()):
            raise KeyRefused(
                f"no object store can hold the value of metadata {name!r}", hint="Use printable ASCII in the values of metadata."
            )
