"""The numbers that bound time, memory and connections of the object stores, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long lockstep waits for a service and how many connections it keeps.

    connect_timeout_seconds: a host that drops packets is told apart from a slow one within this time.
    read_timeout_seconds: silence after which a connection counts as dead; it is counted anew at each piece that arrives, so it does not
        limit how long a body may take. A PUT is one such silence, from its first byte to the answer: 16 MiB must fit, at 1.2 Mbit/s.
    total_timeout_seconds: obstore's own default, 30 s a request, breaks large bodies; this one only ends what would never end.
    idle_connections: transfer uses up to 64 threads; fewer kept connections would be opened again and again, more do no harm.
    idle_seconds: load balancers close idle connections after 60 s; a connection that is dropped here first is never used when half dead.
    """

    connect_timeout_seconds: int = 10
    read_timeout_seconds: int = 120
    total_timeout_seconds: int = 24 * 3600
    idle_connections: int = 128
    idle_seconds: int = 50


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How a stream of unknown length is cut into the parts of a multipart upload.

    A part is `part_bytes` long, and twice as long after every `parts_per_size` of them, so that the 10,000 parts that S3 allows hold more
    than the 5 TiB that it allows, while a stream of up to 16 GiB needs no more than `part_bytes` a part. Parts longer than `memory_bytes`
    wait in a temporary file. No more than `memory_bytes` of parts are in flight, and always one.
    Source: Amazon S3 user guide, "Amazon S3 multipart upload limits".
    """

    part_bytes: int = 16 * MIB
    parts_per_size: int = 1000
    memory_bytes: int = 64 * MIB

    def part_size(self, number: int) -> int:
        """The length in bytes of part `number`; the first is 1."""
        return int(self.part_bytes * 2 ** ((number - 1) // self.parts_per_size))

    def parts_in_flight(self, number: int) -> int:
        """How many parts may be on their way when part `number` is begun."""
        return max(1, self.memory_bytes // self.part_size(number))


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What goes through the lane of small objects.

    weight_bytes: the longest object: beyond it the bytes cost more than the request, and hashing them in several threads pays. Each
        object in flight counts as so much of the budget.
    for_a_worker, most: a request in flight costs the lane no thread, so it keeps so many for each worker that the pacer lets, and never
        more than `most`; each is a connection. A backup of 20,000 x 4 KiB took 6.6 s with 16 in flight, 6.1 s with 32, 5.4 s with 64.
    waiting: how many items may wait for the workers before the lane takes no more.
    slow_seconds: a local disk stores or gives a small object in a tenth of this; where it takes longer, on the moving mean of `mean_of`
        objects, many threads are faster than one.
    """

    weight_bytes: int = 64 * 1024
    for_a_worker: int = 4
    most: int = 128
    waiting: int = 128
    slow_seconds: float = 0.002
    mean_of: int = 64


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """How an object is copied by the service itself.

    Up to `most_at_once` with one request, which is all that S3 takes; above it in parts of `part_bytes`, of which 10,000 hold more than
    the 5 TiB that it allows.
    Source: Amazon S3 API reference, CopyObject, UploadPartCopy; user guide, "Amazon S3 multipart upload limits".
    """

    most_at_once: int = 5 << 30
    part_bytes: int = 1 << 30


HTTP = HttpLimits()
LANE = LaneLimits()
STREAM = StreamLimits()
COPY = CopyLimits()

DELETE_BATCH = 1000
"""Keys in one DeleteObjects request. Source: Amazon S3 API reference, DeleteObjects."""

SHORT_BYTES = 64 * 1024
"""A body up to this length may be sent twice in order to learn something of a service."""
