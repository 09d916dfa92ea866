"""What an operation cost, requests and memory, and what it got by with."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

from lockstep.deployment.deployment import Deployment
from lockstep.model.results import Requests
from lockstep.objects.store import RequestCounts
from lockstep.progress import Listener, Note


def as_requests(counts: RequestCounts) -> Requests:
    """The counts of a store's door, as results carry them."""
    return Requests(list=counts.list, get=counts.get, head=counts.head, put=counts.put, retried=counts.retried)


def told_degraded(deployment: Deployment, listener: Listener) -> tuple[str, ...]:
    """What was wrong with nodes of a RAID, which is told as a warning too."""
    sentences = deployment.degraded()
    for sentence in sentences:
        listener(Note(sentence, level="warning"))
    return sentences


def sum_of(counts: Iterable[RequestCounts]) -> RequestCounts:
    """All counts together."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(asdict(each))
    return RequestCounts(**total)


def peak_rss_bytes() -> int:
    """The most memory that this process held so far. Source: getrusage(2): kilobytes on Linux, bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
