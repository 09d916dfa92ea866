from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import KeyRefused, RepositoryInvalid
from lockstep.model.inventory import InventoryEntry, Wanted
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects.local import LocalStore
from lockstep.objects.memory import MemoryBody, MemoryStore
from lockstep.objects.transfer import TransferLimits
from lockstep.repository.pool import WrongBytes, place_of, read_object, save_object

KEYS = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(["", ".", "..", "a", "é", "x" * 255, "x" * 256, "etc", "\n", "\0"]), max_size=6).map("/".join),
)
STORES = st.one_of(st.sampled_from(["main", "..", "", "a/b", "node-1"]), st.text(max_size=5))
HEX = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)
LOCATIONS = st.one_of(st.none(), st.text(max_size=80), HEX.map(lambda sha256: f"odd/{sha256[:2]}/{sha256}"), st.just("odd/ab/../x"))
LIMITS = st.builds(TransferLimits, whole_up_to=st.integers(0, 20), chunk=st.integers(1, 9))


@given(key=KEYS, store=STORES, location=LOCATIONS, sha256=HEX | st.text(max_size=5))
def test_whatever_an_inventory_says_its_objects_lie_where_objects_may_lie(key: str, store: str, location: str | None, sha256: str) -> None:
    try:
        place = place_of(InventoryEntry(store, key, 1, sha256, None, None, location))
    except RepositoryInvalid:
        return
    parts = place.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert parts[0] in {"objects", "odd"}
    assert "\0" not in place
    if parts[0] == "odd":
        assert parts[1:] == [sha256[:2], sha256]


@settings(max_examples=60)
@given(key=KEYS, data=st.binary(max_size=40), odd=st.booleans(), limits=LIMITS)
def test_whatever_the_key_an_object_is_read_as_it_was_saved_and_nothing_is_written_outside(
    key: str, data: bytes, limits: TransferLimits, *, odd: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        store = LocalStore(root / "repository", temporary=root / "repository" / "locks" / "work")
        store.create_bucket()
        wanted = Wanted("main", key, len(data), odd=odd)
        body = MemoryBody(ObjectInfo(key, len(data), hashlib.md5(data).hexdigest()), ObjectAttributes(), data)
        try:
            entry = save_object(store, wanted, body, limits=limits, work=root)
        except KeyRefused:  # a path that is longer than the system allows: the copier asks again
            entry = save_object(store, Wanted("main", key, len(data), odd=True), body, limits=limits, work=root)
        assert (entry.size, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert read_object(store, entry).bytes() == data
        files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        assert files == [f"repository/{place_of(entry)}"]


@settings(max_examples=60)
@given(
    sent=st.binary(max_size=30), meant=st.binary(max_size=30), key=st.sampled_from(["a", "a\n"]), limits=LIMITS, size_known=st.booleans()
)
def test_bytes_are_kept_exactly_if_they_are_those_that_are_meant(
    sent: bytes, meant: bytes, key: str, limits: TransferLimits, *, size_known: bool
) -> None:
    store = MemoryStore()
    wanted = Wanted("main", key, len(meant) if size_known else None, sha256=hashlib.sha256(meant).hexdigest())
    body = MemoryBody(ObjectInfo(key, len(sent), hashlib.md5(sent).hexdigest()), ObjectAttributes(), sent)
    with tempfile.TemporaryDirectory() as work:
        try:
            entry = save_object(store, wanted, body, limits=limits, work=Path(work))
        except WrongBytes:
            assert sent != meant
            assert list(store.list()) == []
        else:
            assert sent == meant
            assert read_object(store, entry).bytes() == sent
