"""Whether bytes that are wrong are wrong where they lie, or only became so on the way."""

from __future__ import annotations

from collections import Counter

SAME_BYTES = 3
"""How often the same wrong bytes must come before they count as what lies there: a flipped bit on the way is another one each time."""

MOST_READS = 10
"""After how many reads, each with other bytes, nobody can be believed any more."""


class Doubt:
    """What one object looked like each time it was read and was wrong."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def is_settled(self, digest: str) -> bool:
        """Note the SHA-256 of wrong bytes; True when reading again would not change the verdict."""
        self._seen[digest] += 1
        return self._seen[digest] >= SAME_BYTES or self._seen.total() >= MOST_READS
