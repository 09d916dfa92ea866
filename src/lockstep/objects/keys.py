"""What may be done with a key: which road reaches it, and whether it can be a file name. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_SEGMENT_BYTES = 255
"""The longest file name of the usual file systems. Source: Linux, limits.h, NAME_MAX."""

MAX_KEY_BYTES = 1024
"""Source: Amazon S3 user guide, "Naming Amazon S3 objects"."""


def has_control_character(text: str) -> bool:
    """True when an ASCII control character (0x00 to 0x1f, 0x7f) is in `text`."""
    if text.isprintable():  # decided in C for nearly every key
        return False
    return any(character < " " or character == "\x7f" for character in text)


def needs_second_road(key: str) -> bool:
    """True for a key that obstore cannot address, or would silently address as another one.

    obstore refuses empty, `.` and `..` segments and ASCII control characters, and drops a leading or trailing slash.
    """
    if not key or key[0] == "/" or key[-1] == "/" or "//" in key:
        return True
    return ((key[0] == "." or "/." in key) and _has_dot_segment(key)) or has_control_character(key)


def is_inside(key: str) -> bool:
    """True when the key, taken as a path, stays below the directory it is joined to, and the system can be asked about it."""
    if not key or "\0" in key or key[0] == "/" or key[-1] == "/" or "//" in key:
        return False
    return not ((key[0] == "." or "/." in key) and _has_dot_segment(key))


def file_name_fault(key: str) -> str | None:
    """Why an object cannot lie in a directory under this key; None when it can.

    The rule of the repository format: every segment is valid UTF-8 without control characters, not empty, not `.` or `..`, and at most
    255 bytes long.
    """
    if not key:
        return "it is empty"
    if not is_inside(key):
        return "it has an empty or dot segment"
    if has_control_character(key):
        return "it has control characters"
    if key.isascii() and len(key) <= MAX_SEGMENT_BYTES:
        return None
    try:
        segments = key.encode().split(b"/")
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    return "a segment is longer than 255 bytes" if any(len(segment) > MAX_SEGMENT_BYTES for segment in segments) else None


def is_in_range(key: str, *, after: str | None, until: str | None) -> bool:
    """True when `after` < key <= `until`; Python compares text by code point, which is the order of the UTF-8 bytes."""
    return (after is None or key > after) and (until is None or key <= until)


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of a listing: it begins behind `start_after`, and is over before the first key for which `is_over` says so."""

    start_after: str | None
    is_over: Callable[[str], bool]


def spans_in_key_order(prefix: str, after: str | None, until: str | None) -> tuple[Span, ...]:
    """The stretches that hold a range on a service that lists in the order of the keys' bytes, as S3 does: one, or none."""
    if after is not None and not after.startswith(prefix):
        if after > prefix:
            return ()
        after = None
    return (Span(after, lambda key: until is not None and key > until),)


def spans_in_directory_order(prefix: str, after: str | None, until: str | None) -> tuple[Span, ...]:
    """The stretches that hold a range of the keys under `prefix` on a service that lists as a walk over directories.

    Such a service (SeaweedFS) shows `Acme/1` before `Acme-EU/1`, since it compares `Acme` with `Acme-EU`; S3 shows them the other way
    round (`-` is less than `/`). It also takes a start at `Acme` to be behind everything in the directory `Acme`, and shows nothing for a
    start outside the prefix. A range of keys is therefore more than one stretch of its listing; together they hold every key of the
    range, none twice, and keys outside it too.
    """
    spans = [Span(None if after is None else _directory_start(after), _never if until is None else _is_behind(until))]
    spans.extend(  # `Acme-EU`, `Acme!`: behind all of `Acme/` in the walk
        Span(parent + "/\U0010ffff", _is_no_sibling(parent)) for parent in _parents(until or "") if after is None or after < parent + "/"
    )
    first = prefix.split("/")
    kept = []
    for span in spans:
        start = span.start_after
        if start is None or start.startswith(prefix):
            kept.append(span)
        elif start.split("/") < first:
            kept.append(Span(None, span.is_over))
    return tuple(kept)


def _parents(key: str) -> list[str]:
    """The directories above a key, the nearest first."""
    return [key[:index] for index in range(len(key) - 1, 0, -1) if key[index] == "/"]


def _never(_key: str) -> bool:
    return False


def _is_behind(until: str) -> Callable[[str], bool]:
    last = until.split("/")
    return lambda key: key.split("/") > last


def _is_no_sibling(parent: str) -> Callable[[str], bool]:
    length = len(parent)
    return lambda key: not key.startswith(parent) or key[length : length + 1] >= "/"


def _directory_start(after: str) -> str:
    for index in range(1, len(after)):
        if after[index] < "/" and after[index - 1] != "/":
            return after[:index] + "/"  # keys below this directory come earlier in the walk although they are greater
    return after if after.endswith("/") else after + "/"


def _has_dot_segment(key: str) -> bool:
    segments = key.split("/")
    return "." in segments or ".." in segments
