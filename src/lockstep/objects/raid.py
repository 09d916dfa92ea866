"""Several stores that are the nodes of one RAID, as one ObjectStore: reads what can be read from the nodes that are left, writes them all.

An object is in memory whole while it is read or written: Parsec's blocks have half a megabyte. What the ETag of a raid5 object is said
to be is the MD5 of the object as it was put together, since no node knows one. `model/raid.py` says which node holds what.

A RAID that is opened as `strict` (for what is restored into it) shows an object only when it is whole on every node, and as damaged when
one of them holds something else: what is lacking on one node is then written, and what is wrong is found.
"""

from __future__ import annotations

import builtins
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.errors import KeyRefused, LockstepError, ObjectExists, ObjectNotFound, StoreUnreachable
from lockstep.model.objects import ObjectAttributes, ObjectInfo, is_md5
from lockstep.model.raid import RaidMode, needed_nodes
from lockstep.objects.memory import MemoryBody
from lockstep.objects.raid_nodes import NODE_FAULTS, PATIENCE, NodeCounter, RaidNodes
from lockstep.objects.retry import RetryPolicy
from lockstep.objects.store import Body, ObjectStore, RequestCounter, is_local


@dataclass(slots=True)
class Gathered:
    """What the nodes hold of one object: soundly, otherwise than they announced (or of another size), not at all; or they are silent."""

    sound: dict[int, MemoryBody] = field(default_factory=dict)
    doubtful: dict[int, MemoryBody] = field(default_factory=dict)
    lacking: builtins.list[int] = field(default_factory=list)
    silent: builtins.list[LockstepError] = field(default_factory=list)


class RaidStore(ABC):
    """What the three modes have in common."""

    def __init__(self, mode: RaidMode, stores: Sequence[ObjectStore], *, strict: bool = False, patience: RetryPolicy = PATIENCE) -> None:
        self.nodes = RaidNodes(mode, stores, patience=patience)
        self.strict = strict
        self._requests = NodeCounter(stores)

    @property
    def mode(self) -> RaidMode:
        """raid0, raid1 or raid5."""
        return self.nodes.mode

    @property
    def url(self) -> str:
        """The nodes in their order, without which nothing can be read: `raid5(s3://a,s3://b,s3://c)`."""
        return f"{self.mode}({','.join(store.url for store in self.nodes.stores)})"

    @property
    def requests(self) -> RequestCounter:
        """What was sent to all nodes together."""
        return self._requests

    def read(self, key: str, *, version: str | None = None) -> Body:
        """The object, from the nodes that have it."""
        return self.read_expected(key, size=None, version=version)

    @abstractmethod
    def read_expected(self, key: str, *, size: int | None, version: str | None = None) -> Body:
        """The object, preferably one of `size` bytes where the nodes differ. Raises ObjectNotFound, ObjectDamaged."""

    @abstractmethod
    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """What is known of the object. Raises ObjectNotFound."""

    @abstractmethod
    def parts(self, key: str, data: bytes) -> Mapping[int, bytes]:
        """What each node holds of an object; nodes that hold nothing of it are left out. Raises KeyRefused."""

    @abstractmethod
    def readings(self, key: str, *, size: int | None, without: Collection[int]) -> builtins.list[MemoryBody]:
        """The objects that the other nodes give, each once: one when they agree, none when too few of them have anything sound."""

    @abstractmethod
    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:
        """Older versions that can be read."""

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        """Pages of one node after the other, each object once. The keys are kept in memory: use the nodes' own listings for many."""
        seen: set[str] = set()
        silent: list[LockstepError] = []
        for number in self.nodes.in_order():
            try:
                for page in self.nodes.stores[number].list(prefix, after=after, until=until):
                    new = [info for info in page if info.key not in seen]
                    seen.update(info.key for info in new)
                    shown = [info for each in new if (info := self._shown(each)) is not None]
                    if shown:
                        yield shown
            except NODE_FAULTS as error:
                silent.append(error)
        if len(self.nodes) - len(silent) < (len(self.nodes) if self.strict else needed_nodes(self.mode, len(self.nodes))):
            raise silent[0]

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:
        """Write what the nodes lack of the object, and prove each part; a part that is right is left alone.

        Raises ObjectExists, before anything is written, when the object is on every node or one of them holds something else, unless
        `overwrite`. What was written stays when a node fails.
        """
        if not key:
            raise KeyRefused(f"{self.url} cannot hold an object without a key", hint="Give the object a key.")
        held = {number: self._holds(number, key, part) for number, part in self.parts(key, data).items()}
        if not overwrite and (False in held.values() or None not in held.values()):
            raise ObjectExists(f"an object lies under {key!r} in {self.url} already", hint="Keep it, or ask for it to be overwritten.")
        self._write_parts(key, data, held=held, attributes=attributes)
        return _md5(data)

    def heal(self, key: str, data: bytes, *, attributes: ObjectAttributes, only: Collection[int] | None = None) -> builtins.list[int]:
        """Write what nodes lack of an object, or hold otherwise, and prove it; only these nodes, where said. Returns those written to."""
        parts = {number: part for number, part in self.parts(key, data).items() if only is None or number in only}
        held = {number: self._holds(number, key, part) for number, part in parts.items()}
        return self._write_parts(key, data, held=held, attributes=attributes)

    def write_stream(
        self, key: str, chunks: Iterable[bytes], *, attributes: ObjectAttributes | None = None, overwrite: bool = False
    ) -> str | None:
        """As `write`, once all the bytes have come."""
        return self.write(key, b"".join(chunks), attributes=attributes, overwrite=overwrite)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects on every node."""
        doomed = list(keys)
        for number in range(len(self.nodes)):
            self.nodes.ask(number, lambda store: store.delete(doomed))

    def etag_is_md5(self, key: str) -> bool:  # noqa: ARG002 - the same for every object
        """True: what a node calls an ETag is held against the bytes here, node by node."""
        return True

    def flush(self) -> None:
        """Make everything durable on every node."""
        for store in self.nodes.stores:
            store.flush()

    def create_bucket(self) -> None:
        """Create what the nodes lack."""
        for store in self.nodes.stores:
            store.create_bucket()

    def check_reachable(self) -> None:
        """Raise when too few nodes answer: any one for raid0 and for a restore, the last of raid1, the second of raid5."""
        self.nodes.check_reachable(needed=len(self.nodes) if self.strict else None)

    def local_file(self, key: str) -> Path | None:  # noqa: ARG002 - the same for every object
        """None: an object has no file of its own."""
        return None

    def free_bytes(self) -> int | None:
        """None: not known."""
        return None

    def gather(self, key: str, *, size: int | None = None, enough: Callable[[Gathered, int], bool]) -> Gathered:
        """Ask one node after the other for what it holds of an object, until `enough` says of a node that it need not be asked."""
        found = Gathered()
        for number in self.nodes.in_order():
            if enough(found, number):
                break
            try:
                body, sound = self.nodes.ask(number, lambda store: whole_body(store, key))
            except NODE_FAULTS as error:
                found.silent.append(error)
            except ObjectNotFound:
                found.lacking.append(number)
            else:
                (found.sound if sound and size in {None, body.info.size} else found.doubtful)[number] = body
        return found

    def _note(self, found: Gathered, key: str) -> None:
        """Remember what nodes lack or hold damaged of an object that the others made whole."""
        for number in found.lacking:
            self.nodes.note(number, key, damaged=False)
        for number in found.doubtful:
            self.nodes.note(number, key, damaged=True)

    def _shown(self, info: ObjectInfo) -> ObjectInfo | None:
        try:
            return self.head(info.key)[0]
        except ObjectNotFound:
            return None

    def _holds(self, number: int, key: str, part: bytes) -> bool | None:
        """Whether a node holds just these bytes under the key; None: nothing at all."""

        def compare(store: ObjectStore) -> bool | None:
            try:
                info = store.head(key)[0]
                if info.size != len(part):
                    return False
                return (is_md5(info.etag) and info.etag == _md5(part)) or store.read(key).bytes() == part
            except ObjectNotFound:
                return None

        return self.nodes.ask(number, compare)

    def _write_parts(
        self, key: str, data: bytes, *, held: Mapping[int, bool | None], attributes: ObjectAttributes | None
    ) -> builtins.list[int]:
        parts = self.parts(key, data)
        wrong = [number for number, right in held.items() if right is not True]
        for number in wrong:
            self._put(number, key, parts[number], attributes=attributes, overwrite=held[number] is False)
        return wrong

    def _put(self, number: int, key: str, part: bytes, *, attributes: ObjectAttributes | None, overwrite: bool) -> None:
        def put(store: ObjectStore) -> str | None:
            return store.write(key, part, attributes=attributes, overwrite=overwrite)

        try:
            etag = self.nodes.ask(number, put)
        except ObjectExists:  # by somebody meanwhile, or by a request of ours whose answer was lost
            etag = None
        if not (is_md5(etag) and etag == _md5(part)) and not self._holds(number, key, part):
            raise StoreUnreachable(
                f"the object '{key}' did not arrive at {self.nodes.name(number)} as it was sent",
                hint="Check the node, then run the same command again.",
            )


def whole_body(store: ObjectStore, key: str, *, version: str | None = None) -> tuple[MemoryBody, bool]:
    """An object or a part of one, all of it, and whether its bytes are what the node announced. Raises ObjectNotFound."""
    body = store.read(key, version=version)
    data = body.bytes()
    sound = len(data) == body.info.size
    if sound and is_md5(body.info.etag) and body.info.etag != _md5(data):
        sound = version is None and not store.etag_is_md5(key)
    return MemoryBody(body.info, body.attributes, data), sound


def read_expected(store: ObjectStore, key: str, *, size: int | None, version: str | None = None) -> Body:
    """Begin to read an object that should have `size` bytes: of a RAID whose nodes differ, the one that does is taken."""
    if isinstance(store, RaidStore):
        return store.read_expected(key, size=size, version=version)
    return store.read(key, version=version)


def weight_in_memory(store: ObjectStore, size: int) -> int | None:
    """What an object of a RAID takes of the memory for objects, its parts and itself; None for any other store."""
    return 3 * size if isinstance(store, RaidStore) else None


def requests_of_a_read(store: ObjectStore) -> int:
    """How many requests it takes to read a small object: none on a local disk, one for each node of a raid5."""
    nodes = store.nodes.stores if isinstance(store, RaidStore) and store.mode == "raid5" else (store,)
    return sum(not is_local(node) for node in nodes)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
