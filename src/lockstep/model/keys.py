"""Which keys of objects can be file names, so that a repository can be read without lockstep."""

from __future__ import annotations

import re
from typing import NewType

StoreName = NewType("StoreName", str)

LONGEST_SEGMENT_BYTES = 255
"""NAME_MAX of every common file system. Source: POSIX limits.h; Linux ext4, XFS, Btrfs and ZFS all have 255 bytes."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_STORE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def can_be_a_file_name(key: str) -> bool:
    """True when every `/` segment of the key can be a file name as it stands.

    Not empty, not `.` or `..`, at most 255 bytes of valid UTF-8, no control characters. Whether another key is in the way
    (`a` beside `a/b`) is a question to the whole set of keys, not to one of them.
    """
    if _CONTROL.search(key):
        return False
    return all(_can_be_a_segment(segment) for segment in key.split("/"))


def may_be_another(key: str) -> bool:
    """True for a key that some services take for another one, although it can be a file name: SeaweedFS turns a backslash into a slash.

    Such an object is kept aside, so that it cannot replace another one in a repository, or in a mirror of it, on such a service.
    """
    return "\\" in key


def is_store_name(name: str) -> bool:
    """True for a name that can stand in a path and on a command line: lower case, digits, `_` and `-`, at most 63 characters."""
    return _STORE_NAME.fullmatch(name) is not None


def _can_be_a_segment(segment: str) -> bool:
    if segment in {"", ".", ".."}:
        return False
    try:
        return len(segment.encode()) <= LONGEST_SEGMENT_BYTES
    except UnicodeEncodeError:  # a lone surrogate: bytes that are not UTF-8
        return False
