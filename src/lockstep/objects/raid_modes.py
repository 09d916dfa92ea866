"""The three modes of a RAID: how an object is found on its nodes, and what is believed when they differ."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Collection, Mapping, Sequence

from lockstep.errors import KeyRefused, LockstepError, ObjectDamaged, ObjectNotFound
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.model.raid import BrokenStripe, RaidMode, home_of, solve_stripe, split_object
from lockstep.objects.memory import MemoryBody
from lockstep.objects.raid import Gathered, RaidStore, whole_body
from lockstep.objects.raid_nodes import NODE_FAULTS, PATIENCE
from lockstep.objects.retry import RetryPolicy
from lockstep.objects.store import Body, ObjectStore


def open_raid(mode: RaidMode, stores: Sequence[ObjectStore], *, strict: bool = False, patience: RetryPolicy = PATIENCE) -> RaidStore:
    """The RAID of these stores, which are in node order."""
    kinds: Mapping[RaidMode, type[RaidStore]] = {"raid0": Raid0Store, "raid1": Raid1Store, "raid5": Raid5Store}
    return kinds[mode](mode, stores, strict=strict, patience=patience)


class Raid0Store(RaidStore):
    """Each object on the one node that its block id names; what lies on another one is not there, as it is not for the server."""

    def read_expected(self, key: str, *, size: int | None, version: str | None = None) -> Body:  # noqa: ARG002 - there is no choice
        """One read of the object's node."""
        return self._home(key).read(key, version=version)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """One HEAD to the object's node."""
        return self._home(key).head(key)

    def parts(self, key: str, data: bytes) -> Mapping[int, bytes]:
        """The whole object, on its node."""
        return {self._number(key): data}

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:
        """Those of the object's node."""
        try:
            return self._home(key).list_versions(key)
        except KeyRefused:
            return []

    def etag_is_md5(self, key: str) -> bool:
        """As the object's node says."""
        return self._home(key).etag_is_md5(key)

    def _home(self, key: str) -> ObjectStore:
        return self.nodes.stores[self._number(key)]

    def _number(self, key: str) -> int:
        number = home_of(key, len(self.nodes))
        if number is None:
            raise KeyRefused(
                f"{self.url} has no node for {key!r}, whose end is not a block's id",
                hint="Use raid0 for a Parsec deployment alone, or name each store with --bucket name=URL and without --raid.",
            )
        return number

    def readings(self, key: str, *, size: int | None, without: Collection[int]) -> builtins.list[MemoryBody]:  # noqa: ARG002
        """None: no other node has it."""
        return []


class Raid1Store(RaidStore):
    """The same object on every node: the first sound one counts."""

    def read_expected(self, key: str, *, size: int | None, version: str | None = None) -> Body:
        """The object from the first node where size and MD5 are right; from the first that has it where none is."""
        if version is not None:
            number, _, of_node = version.partition(":")
            return whole_body(self.nodes.stores[int(number)], key, version=of_node)[0]
        if self.strict:
            return self._same_everywhere(key)
        found = self.gather(key, size=size, enough=lambda found, _: bool(found.sound))
        for body in found.sound.values():
            self._note(found, key)
            return body
        for body in found.doubtful.values():
            return body
        if found.lacking:
            raise _not_found(self, key)
        raise found.silent[0]

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """What the first node says; of a strict RAID what all say, without ETag where they differ."""
        if self.strict:
            answers = [self.nodes.ask(number, lambda store: store.head(key)) for number in range(len(self.nodes))]
            info, attributes = answers[0]
            same = len({(each.size, each.etag) for each, _ in answers}) == 1
            return (info if same else ObjectInfo(key, info.size, None, info.modified)), attributes
        lacking, silent = 0, list[LockstepError]()
        for number in self.nodes.in_order():
            try:
                return self.nodes.ask(number, lambda store: store.head(key))
            except NODE_FAULTS as error:
                silent.append(error)
            except ObjectNotFound:
                lacking += 1
        if lacking:
            raise _not_found(self, key)
        raise silent[0]

    def parts(self, key: str, data: bytes) -> Mapping[int, bytes]:  # noqa: ARG002 - the same for every key
        """The whole object, on every node."""
        return dict.fromkeys(range(len(self.nodes)), data)

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:
        """Those of every node, newest first; the version's id begins with the node's number."""
        found = []
        for number in range(len(self.nodes)):
            try:
                versions = self.nodes.ask(number, lambda store: store.list_versions(key))
            except NODE_FAULTS:
                continue
            found += [(f"{number}:{version}", info) for version, info in versions]
        return sorted(found, key=lambda each: each[1].modified.timestamp() if each[1].modified else 0.0, reverse=True)

    def readings(self, key: str, *, size: int | None, without: Collection[int]) -> builtins.list[MemoryBody]:
        """What the other nodes hold soundly."""
        found = self.gather(key, size=size, enough=lambda *_: False)
        return list({body.data: body for number, body in found.sound.items() if number not in without}.values())

    def _same_everywhere(self, key: str) -> MemoryBody:
        bodies = [self.nodes.ask(number, lambda store: whole_body(store, key)[0]) for number in range(len(self.nodes))]
        if any(body.data != bodies[0].data for body in bodies):
            raise _damaged(self, key, "the nodes hold different bytes")
        return bodies[0]


class Raid5Store(RaidStore):
    """Chunks and their parity. All are read, so that a chunk that was altered shows, which Parsec's own server does not look for."""

    def read_expected(self, key: str, *, size: int | None, version: str | None = None) -> Body:
        """The object put together; from the others where one chunk is lacking, does not fit its ETag or its node is down."""
        if version is not None:
            raise _not_found(self, key)
        most = len(self.nodes)
        found = self.gather(key, enough=lambda found, node: self.nodes.rests(node) and not self.strict and len(found.sound) == most - 1)
        self._check_enough(key, found)
        try:
            data, wrong = solve_stripe([found.sound[node].data if node in found.sound else None for node in range(most)], size=size)
        except BrokenStripe as error:
            raise _damaged(self, key, str(error)) from error
        if wrong is not None:
            found.doubtful[wrong] = found.sound.pop(wrong)
        if self.strict and found.doubtful:
            raise _damaged(self, key, f"what node {min(found.doubtful)} holds does not belong to it")
        self._note(found, key)
        first = next(iter(found.sound.values()))
        info = ObjectInfo(key, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest(), first.info.modified)
        return MemoryBody(info, first.attributes, data)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """The object is put together, for its length is in it."""
        body = self.read_expected(key, size=None)
        return body.info, body.attributes

    def parts(self, key: str, data: bytes) -> Mapping[int, bytes]:  # noqa: ARG002 - the same for every key
        """A chunk for every node."""
        return dict(enumerate(split_object(data, len(self.nodes))))

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:  # noqa: ARG002 - the same for every key
        """None: older versions of single chunks are not put together."""
        return []

    def readings(self, key: str, *, size: int | None, without: Collection[int]) -> builtins.list[MemoryBody]:
        """The object put together from the other nodes, if they suffice and belong together."""
        found = self.gather(key, enough=lambda *_: False)
        chunks = [found.sound[node].data if node in found.sound and node not in without else None for node in range(len(self.nodes))]
        try:
            data, _ = solve_stripe(chunks, size=size)
        except BrokenStripe:
            return []
        first = next(iter(found.sound.values()))
        return [MemoryBody(ObjectInfo(key, len(data), None, first.info.modified), first.attributes, data)]

    def _check_enough(self, key: str, found: Gathered) -> None:
        """Raise the error that says why an object cannot be put together, when too few nodes hold anything of it."""
        lacking_at_most = 0 if self.strict else 1
        if len(found.silent) > lacking_at_most:
            raise found.silent[0]
        if len(found.lacking) + len(found.silent) > lacking_at_most:
            raise _not_found(self, key)


def _not_found(store: RaidStore, key: str) -> ObjectNotFound:
    return ObjectNotFound(f"no object lies under {key!r} in {store.url}", hint="Check the key and the nodes of the RAID.")


def _damaged(store: RaidStore, key: str, reason: str) -> ObjectDamaged:
    return ObjectDamaged(f"the object {key!r} in {store.url} is damaged: {reason}", hint="Run 'lockstep repair', if a repository has it.")
