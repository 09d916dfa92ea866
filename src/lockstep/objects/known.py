"""Reads what is known to be in a place: a store that does not find it is asked again before that counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from lockstep.errors import ObjectNotFound
from lockstep.objects.store import Body, ObjectStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AskingAgain:
    """How a store that denies what it has is asked again. Some answer 404 for a moment after a failure of theirs, or behind a balancer."""

    times: int = 4
    pause_seconds: float = 0.1


AGAIN = AskingAgain()


def read_known(store: ObjectStore, path: str, *, again: AskingAgain = AGAIN) -> Body:
    """Begin to read a file that a manifest, an inventory or a listing names. Raises ObjectNotFound when it is gone."""
    return known(store, path, lambda: store.read(path), again=again)


def known(store: ObjectStore, path: str, ask: Callable[[], T], *, again: AskingAgain = AGAIN) -> T:
    """What `ask` returns. A local disk is asked once: it does not forget.

    An answer that turns out to have been wrong counts as a fault of the store; of what stays away, it was right.
    """
    denied = 0
    while True:
        try:
            found = ask()
        except ObjectNotFound:
            denied += 1
            if denied > again.times or store.local_file(path) is not None:
                raise
            time.sleep(again.pause_seconds * denied)
            continue
        for _ in range(denied):
            store.requests.add_fault("not_found", f"'{path}' was not found in {store.url}, where it is")
        return found
