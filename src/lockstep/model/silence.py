"""How long a store may stay silent before its connection counts as dead."""

from __future__ import annotations

from bisect import bisect_left

RUNGS_SECONDS = (10, 20, 40, 80, 160)
"""The times there are; each needs connections of its own. 10 s: a store that is busy answers a small request within that, and a connection
that is dead costs no more. 160 s: a body of 16 MiB is sent in that at 1 Mbit/s."""

SLOWEST_BYTES_PER_SECOND = 128 * 1024
"""The speed at which a body is expected to be sent: about 1 Mbit/s. While it is sent, nothing is heard of the store."""


def decide_silence(size_bytes: int, *, in_a_row: int) -> int:
    """Seconds of silence after which a request counts as failed.

    `size_bytes` is what is sent with it. Of a body that is received every piece breaks the silence, so its size does not count. Each of
    `in_a_row` waits that ended in vain makes the next one longer, since all of a store may be slow, and not one connection dead.
    """
    needed = RUNGS_SECONDS[0] + size_bytes / SLOWEST_BYTES_PER_SECOND
    rung = bisect_left(RUNGS_SECONDS, needed) if size_bytes else 0
    return RUNGS_SECONDS[min(rung + in_a_row, len(RUNGS_SECONDS) - 1)]
