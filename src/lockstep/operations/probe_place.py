"""Tries out what every place of a repository must do, a disk as an object store."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from lockstep.encryption.keyring import NO_KEYS
from lockstep.errors import Cancelled, LockstepError, ObjectExists, ObjectNotFound, RepositoryLocked
from lockstep.model.checkup import Answer, fine
from lockstep.model.clocks import decide_skew, measured_skew
from lockstep.model.probes import (
    KeysTried,
    Reply,
    WrittenOnce,
    decide_keys,
    decide_listing,
    decide_lock,
    decide_reading,
    decide_writing_once,
)
from lockstep.objects.store import ObjectStore, is_local
from lockstep.operations.probe_scratch import Scratch, delete_each, listed_below
from lockstep.progress import SILENT
from lockstep.repository.locks import LeaseTimes, writer_lock
from lockstep.repository.place import open_place

WRITERS = 6
"""Requests at the same time: enough that a service that looks first and writes then is caught at it now and then."""

PROBED_LEASE = LeaseTimes(beat=0.5, look=0.1)
"""As the lock of every writer, but looked at more often, so that the loser knows within a second."""

_ANSWER_SECONDS = 60.0
_RESOLUTION = timedelta(seconds=1)

_KINDS: Mapping[str, str] = {
    "space": "a b",
    "plus": "a+b",
    "percent": "a%20b",
    "question mark": "a?b",
    "hash": "a#b",
    "ampersand": "a&b<c>",
    "quotes": "a\"b'c",
    "upper case": "KEY",
    "lower case": "key",
    "composed letter": "\u00e9",
    "decomposed letter": "e\u0301",
    "emoji": "\N{SLIGHTLY SMILING FACE}",
    "dot first": ".a",
    "dot last": "a.",
    "space last": "a ",
    "directory": "d/e/f",
    "name of 255 bytes": "n" * 255,
}


def reading(scratch: Scratch) -> Answer:
    """Write, replace and delete one object, and look each time."""
    store, key = scratch.store, scratch.key("read")
    store.write(key, b"new")
    new = _bytes(store, key) == b"new"
    store.write(key, b"replaced", overwrite=True)
    replaced = _bytes(store, key) == b"replaced"
    store.delete([key])
    return decide_reading(new=new, replaced=replaced, gone=_bytes(store, key) is None)


def listing(scratch: Scratch) -> Answer:
    """Write some objects, delete one, and list them each time."""
    store, keys = scratch.store, [scratch.key(f"list/{number}") for number in range(4)]
    for key in keys:
        store.write(key, b"x", overwrite=True)
    hidden = set(keys) - listed_below(store, scratch.key("list/"))
    store.delete(keys[:2])
    ghosts = set(keys[:2]) & listed_below(store, scratch.key("list/"))
    return decide_listing(hidden=len(hidden), ghosts=len(ghosts), of=len(keys))


def writing_once(scratch: Scratch) -> Answer:
    """Make an object where one lies: by the engine, by a bare request, and by several at once."""
    store, key = scratch.store, scratch.key("once")
    store.write(key, b"first")
    with suppress(ObjectExists):
        store.write(key, b"second")
    kept = _bytes(store, key) == b"first"
    service = scratch.service
    reply: Reply | None = None
    if service is not None:
        bare = scratch.key("once-bare")
        store.write(bare, b"first", overwrite=True)
        reply = service.put(bare, b"second", IfNoneMatch="*")
    let_through = _race(scratch)
    engine = service.engine.honours_conditions if service else None if is_local(store) else True
    return decide_writing_once(WrittenOnce(kept, engine, reply, let_through, WRITERS), settle_seconds=LeaseTimes().settle)


def lock(scratch: Scratch) -> Answer:
    """Let two writers take the lock of a repository at the same instant, with the code that every writer uses."""
    both = threading.Barrier(2, timeout=_ANSWER_SECONDS)
    stores = [open_place(scratch.below("writers"), NO_KEYS) for _ in range(2)]

    def one(store: ObjectStore) -> bool:
        try:
            with writer_lock(store, "probe", listener=SILENT, times=PROBED_LEASE):
                _wait(both)  # until the other knows too
                return True
        except RepositoryLocked:
            _wait(both)
            return False
        except LockstepError:
            both.abort()
            raise

    with ThreadPoolExecutor(len(stores), thread_name_prefix="probe") as pool:
        entered = list(pool.map(one, stores))
    return decide_lock(let_in=entered.count(True), refused=entered.count(False))


def keys(scratch: Scratch) -> Answer:
    """Write an object under each kind of key that can be a file name, and look for it."""
    kinds = {word: f"keys/{name}" for word, name in _KINDS.items()}
    if not is_local(scratch.store):
        kinds["1,024 bytes"] = scratch.longest_name()
    return decide_keys(try_keys(scratch, kinds))


def clock(scratch: Scratch) -> Answer:
    """By how much what an object is dated by differs from this machine's clock: a prune goes by it to tell old from new."""
    key, asked = scratch.key("dated"), datetime.now(UTC)
    scratch.store.write(key, b"x")
    answered = datetime.now(UTC)
    modified = scratch.store.head(key)[0].modified
    if modified is None:
        return fine("objects are not dated; a prune goes by the names of runs")
    return decide_skew(measured_skew(modified, asked=asked, answered=answered, resolution=_RESOLUTION), signs_requests=False)


def try_keys(scratch: Scratch, kinds: Mapping[str, str], *, beside: Iterable[str] = ()) -> KeysTried:
    """Write an object under each key (by a word for its kind), and of `beside` before them, then read and list them all."""
    store = scratch.engine
    for name in beside:
        store.write(scratch.key(name), name.encode(), overwrite=True)
    refused, written = [], {}
    for word, name in kinds.items():
        try:
            store.write(scratch.key(name), word.encode(), overwrite=True)
            written[word] = name
        except Cancelled:
            raise
        except LockstepError:
            refused.append(word)
    shown = listed_below(store, scratch.prefix)
    changed = [word for word, name in written.items() if _bytes(store, scratch.key(name)) != word.encode()]
    changed += [repr(name) for name in beside if _bytes(store, scratch.key(name)) != name.encode()]
    unlisted = [word for word, name in written.items() if word not in changed and scratch.key(name) not in shown]
    delete_each(store, [scratch.key(name) for name in (*written.values(), *beside)])
    return KeysTried(len(kinds), tuple(refused), tuple(changed), tuple(unlisted))


def _race(scratch: Scratch) -> int:
    """How many of several writers at once are told that they made the same object."""
    key, start = scratch.key("race"), threading.Barrier(WRITERS, timeout=_ANSWER_SECONDS)
    service, store = scratch.service, scratch.store

    def one(number: int) -> bool:
        _wait(start)
        data = bytes([number])
        if service is not None:
            return service.put(key, data, IfNoneMatch="*") == "accepted"
        try:
            store.write(key, data)
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(WRITERS, thread_name_prefix="probe") as pool:
        return list(pool.map(one, range(WRITERS))).count(True)


def _wait(barrier: threading.Barrier) -> None:
    with suppress(threading.BrokenBarrierError):
        barrier.wait()


def _bytes(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.read(key).bytes()
    except ObjectNotFound:
        return None
