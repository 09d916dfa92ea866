"""The beginning of a stream: what fits into one request needs no upload in parts."""

from __future__ import annotations

from collections.abc import Iterator


def take_first(pieces: Iterator[bytes], *, most: int) -> tuple[list[bytes], bool]:
    """Pieces off the front until they are more than `most` bytes; and whether that was all of them, which is then not more."""
    begin: list[bytes] = []
    size = 0
    for piece in pieces:
        begin.append(piece)
        size += len(piece)
        if size > most:
            return begin, False
    return begin, True
