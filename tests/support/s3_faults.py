"""What a store does wrong, by chance and counted: every kind of fault that a request can meet, for the proxy of s3_proxy.py.

The chance has a seed, so that a run can be told again; which request meets which fault still depends on the order in which they come.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from support.s3_proxy import Answer, S3Proxy

ERROR = "<Error><Code>{}</Code><Message>for a test</Message></Error>"
XML = {"Content-Type": "application/xml"}

SLOW_DOWN = Answer(503, XML, ERROR.format("SlowDown").encode())
INTERNAL = Answer(500, XML, ERROR.format("InternalError").encode())
NOT_THERE = Answer(404, XML, ERROR.format("NoSuchKey").encode())
RESET_BEFORE = Answer(200, {}, b"", how="reset_before_headers")

READS = frozenset({"GET"})
WRITES = frozenset({"PUT", "POST"})
ALL = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "LIST"})

KINDS: dict[str, frozenset[str]] = {
    "slow_down": ALL,
    "internal": ALL,
    "reset_before_headers": ALL,
    "reset_after_headers": READS | {"LIST"},
    "cut_body": READS | {"LIST"},
    "stall": READS | {"HEAD", "LIST", "PUT"},
    "stall_in_body": READS,
    "flipped_byte": READS,
    "latency": ALL,
    "not_there": READS | {"HEAD"},
    "lost_answer": WRITES | {"DELETE"},
    "list_stops_early": frozenset({"LIST"}),
    "list_repeats": frozenset({"LIST"}),
}
"""Every kind of fault, and the kinds of requests that it can happen to."""


@dataclass
class Faults:
    """Gives each request by chance one of some kinds of faults. `answering` is what a proxy is told to do."""

    kinds: Sequence[str]
    rate: float
    seed: int = 1
    only: Callable[[str, str], bool] = lambda _kind, _path: True
    latency_seconds: float = 0.5
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._lock = threading.Lock()
        self._first_page: Answer | None = None

    def attach(self, proxy: S3Proxy) -> None:
        proxy.answering_kind = self.answering

    def answering(self, kind: str, path: str, ask: Callable[[], Answer]) -> Answer:
        possible = [each for each in self.kinds if kind in KINDS[each] and self.only(kind, path)]
        with self._lock:
            fault = self._chance.choice(possible) if possible and self._chance.random() < self.rate else None
            if fault is not None:
                self.counts[fault] += 1
        return ask() if fault is None else self._do(fault, ask)

    def _do(self, fault: str, ask: Callable[[], Answer]) -> Answer:  # noqa: PLR0911
        match fault:
            case "slow_down":
                return SLOW_DOWN
            case "internal":
                return INTERNAL
            case "reset_before_headers":
                return RESET_BEFORE
            case "not_there":
                return NOT_THERE
            case "lost_answer":
                ask()
                return RESET_BEFORE
            case "latency":
                time.sleep(self.latency_seconds)
                return ask()
            case "list_stops_early" | "list_repeats":
                return self._listing(fault, ask())
            case "flipped_byte":
                return self._flipped(ask())
        return replace(ask(), how=fault)

    def _flipped(self, answer: Answer) -> Answer:
        if answer.status != 200 or not answer.body:
            return answer
        with self._lock:
            place = self._chance.randrange(len(answer.body))
        return replace(answer, body=answer.body[:place] + bytes([answer.body[place] ^ 0x10]) + answer.body[place + 1 :])

    def _listing(self, fault: str, answer: Answer) -> Answer:
        """A page that says it is the last one and lacks its last half, or the same objects twice."""
        entries = answer.body.split(b"<Contents>")
        if len(entries) < 3:
            return answer
        tail = entries[-1].partition(b"</Contents>")[2]
        if fault == "list_repeats":
            entries = [*entries[:-1], entries[-1][: len(entries[-1]) - len(tail)], *entries[1:]]
            return replace(answer, body=b"<Contents>".join(entries))
        kept = entries[: 1 + len(entries) // 2]
        kept[-1] = kept[-1].partition(b"</Contents>")[0] + b"</Contents>" + tail
        body = b"<Contents>".join(kept).replace(b"<IsTruncated>true<", b"<IsTruncated>false<")
        return replace(answer, body=body)
