"""The nodes of a RAID one by one: which of them answer, what was found wrong with each, and how long one is waited for."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from lockstep.errors import BucketNotFound, FaultKind, LockstepError, PermissionMissing, StoreUnreachable
from lockstep.model.raid import RaidMode, needed_nodes
from lockstep.objects.retry import Backoff, RetryPolicy, noting, retrying
from lockstep.objects.store import FaultHeard, ObjectStore, RequestCounter, RequestCounts

T = TypeVar("T")

NODE_FAULTS = (StoreUnreachable, BucketNotFound, PermissionMissing)
"""What makes a node as good as down: it does not answer, its bucket is gone, it lets nobody in."""

PATIENCE = RetryPolicy(unreachable=Backoff(3, 0.3, 2, 1), busy=Backoff(6, 0.5, 2, 8))
"""How long a node is waited for before the others are asked instead: long enough for a request that was unlucky."""

REST_SECONDS = 30.0
"""How long a node that is down is left alone while the others will do: with a time-out for every object a backup would take days."""

REMEMBERED = 10_000
"""How many keys of one fault are remembered of one node, so that none is counted twice; above it, what is told is 'at least'."""


class NodeCounter(RequestCounter):
    """Counts what was sent to all nodes together."""

    def __init__(self, stores: Sequence[ObjectStore]) -> None:
        super().__init__()
        self._stores = stores

    def counts(self) -> RequestCounts:
        """The requests so far."""
        each = [super().counts(), *(store.requests.counts() for store in self._stores)]
        names = ("list", "get", "head", "put", "delete", "retried")
        return RequestCounts(**{name: sum(getattr(counts, name) for counts in each) for name in names})

    def faults(self) -> dict[FaultKind, int]:
        """The faults of all nodes so far, by kind."""
        total = Counter(super().faults())
        for store in self._stores:
            total.update(store.requests.faults())
        return dict(total)

    @contextmanager
    def heard_by(self, tell: FaultHeard) -> Iterator[None]:
        """Tell of each fault of every node for the length of the block."""
        with ExitStack() as stack:
            stack.enter_context(super().heard_by(tell))
            for store in self._stores:
                stack.enter_context(store.requests.heard_by(tell))
            yield


@dataclass(slots=True)
class Trouble:
    """What was found wrong with a node, and until when it is left alone."""

    fault: LockstepError | None = None
    resting_until: float = 0.0
    missing: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)


class RaidNodes:
    """The stores of a RAID in node order. Safe to use from many threads."""

    def __init__(self, mode: RaidMode, stores: Sequence[ObjectStore], *, patience: RetryPolicy = PATIENCE) -> None:
        self.mode, self.stores = mode, tuple(stores)
        self._patience = patience
        self._lock = threading.Lock()
        self._troubles = tuple(Trouble() for _ in self.stores)

    def __len__(self) -> int:
        return len(self.stores)

    def name(self, number: int) -> str:
        """A node as a person knows it."""
        return f"{self.mode} node {number} ({self.stores[number].url})"

    def in_order(self) -> Iterator[int]:
        """The nodes, those that rest behind the others."""
        now = time.monotonic()
        return iter(sorted(range(len(self)), key=lambda number: self._troubles[number].resting_until > now))

    def rests(self, number: int) -> bool:
        """True while a node that was down is left alone."""
        return self._troubles[number].resting_until > time.monotonic()

    def ask(self, number: int, call: Callable[[ObjectStore], T]) -> T:
        """What a node answers. Raises one of NODE_FAULTS after some patience, and lets the node rest then; else what `call` raises."""
        store, trouble = self.stores[number], self._troubles[number]
        policy = RetryPolicy(Backoff(1, 0, 1, 0), Backoff(1, 0, 1, 0)) if self.rests(number) else self._patience
        try:
            answer = retrying(lambda: call(store), policy=policy, on_retry=noting(store.requests))
        except NODE_FAULTS as error:
            with self._lock:
                trouble.fault, trouble.resting_until = error, time.monotonic() + REST_SECONDS
            raise
        trouble.resting_until = 0.0
        return answer

    def note(self, number: int, key: str, *, damaged: bool) -> None:
        """Remember that a node lacks an object, or holds it damaged, while the others made it whole."""
        with self._lock:
            keys = self._troubles[number].damaged if damaged else self._troubles[number].missing
            if len(keys) < REMEMBERED:
                keys.add(key)

    def check_reachable(self, *, needed: int | None = None) -> None:
        """Ask every node; raise the error of one, which it names, when fewer than `needed` answer (None: what the mode needs)."""
        needed = needed_nodes(self.mode, len(self)) if needed is None else needed
        faults = []
        for number in range(len(self)):
            try:
                self.ask(number, lambda store: store.check_reachable())
            except NODE_FAULTS as error:
                faults.append(type(error)(f"{self.name(number)}: {error.message}", hint=error.hint))
        if len(self) - len(faults) < needed:
            raise faults[0]

    def take_troubles(self) -> list[Trouble]:
        """What was noticed since this was last asked, one for each node, for whoever adds it up elsewhere."""
        taken = []
        with self._lock:
            for trouble in self._troubles:
                taken.append(replace(trouble, missing=set(trouble.missing), damaged=set(trouble.damaged)))
                trouble.fault = None
                trouble.missing.clear()
                trouble.damaged.clear()
        return taken

    def add_trouble(self, number: int, trouble: Trouble) -> None:
        """Remember what was noticed at a node elsewhere."""
        with self._lock:
            known = self._troubles[number]
            known.fault = trouble.fault or known.fault
            for keys, more in ((known.missing, trouble.missing), (known.damaged, trouble.damaged)):
                keys.update(sorted(more - keys)[: REMEMBERED - len(keys)])

    def degraded(self) -> list[str]:
        """One sentence for each thing that is wrong with a node, as far as it was noticed. Empty when all is well."""
        found = []
        for number, trouble in enumerate(self._troubles):
            if trouble.fault is not None:
                found.append(f"{self.name(number)}: {trouble.fault.message}")
            for keys, words in ((trouble.missing, "missing"), (trouble.damaged, "damaged")):
                if keys:
                    count = f"at least {len(keys)}" if len(keys) >= REMEMBERED else str(len(keys))
                    found.append(f"{self.name(number)}: {count} object{'' if len(keys) == 1 else 's'} {words}, made whole from the others")
        return found
