"""Keys sent through the lane of small objects, without the operations around it."""

from __future__ import annotations

from collections.abc import Iterable

from lockstep.errors import LockstepError
from lockstep.objects.lane import Lane
from lockstep.objects.memory import MemoryBody
from lockstep.objects.plain_requests import plain_requests_of
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, TransferLimits, in_parallel

CAREFUL = "given to the workers"


def answers(store: ObjectStore, keys: Iterable[str], *, width: int = 4) -> dict[str, MemoryBody | LockstepError | str]:
    """What the lane says of each key; CAREFUL where it leaves the key to the workers."""
    plain, stop, pacer = plain_requests_of(store), Stop(), Pacer(TransferLimits(threads=width))
    assert plain is not None
    found: dict[str, MemoryBody | LockstepError | str] = {}
    lane = Lane[str, tuple[str, MemoryBody | LockstepError | str]](
        keys, ask=plain.question, finish=lambda key, answer: (key, answer), pacer=pacer, budget=ByteBudget(1 << 20), stop=stop
    )
    with lane:
        for batch in in_parallel(
            lane.careful(), lambda key: (key, CAREFUL), threads=pacer, stop=stop, every_seconds=0.01, beside=lane.drain
        ):
            found.update(batch)
    return found
