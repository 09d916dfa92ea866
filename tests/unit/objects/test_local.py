from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstep.errors import BucketNotFound, DiskFailed, KeyRefused, ObjectExists, ObjectNotFound, PermissionMissing
from lockstep.objects import system
from lockstep.objects.directory import Walk
from lockstep.objects.local import LocalStore
from lockstep.objects.local_paths import TEMPORARY, Paths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(root)


def keys(store: LocalStore) -> list[str]:
    return [found.key for page in store.list() for found in page]


def modes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.name != TEMPORARY}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_a_private_store_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    root = tmp_path / "new" / "repository"
    before = os.umask(umask)
    try:
        store = LocalStore(root, private=True)
        store.write("a/b/c", b"x")
        store.write_stream("a/d", [b"x"])
    finally:
        os.umask(before)
    assert modes(tmp_path) == {"new": 0o700, "new/repository": 0o700} | {
        f"new/repository/{path}": mode for path, mode in {"a": 0o700, "a/b": 0o700, "a/b/c": 0o600, "a/d": 0o600}.items()
    }


def test_a_plain_store_goes_by_the_umask(root: Path) -> None:
    before = os.umask(0o027)
    try:
        LocalStore(root).write("a/b", b"x")
    finally:
        os.umask(before)
    assert modes(root) == {"a": 0o750, "a/b": 0o640}


def test_files_are_made_in_the_temporary_directory_and_never_listed(root: Path) -> None:
    store = LocalStore(root, temporary=root / "making" / "here")
    seen: list[Path] = []

    def chunks() -> Iterator[bytes]:
        yield b"x"
        seen.extend(path.parent for path in (root / "making" / "here").iterdir())
        assert keys(store) == []

    store.write_stream("a", chunks())
    assert seen == [root / "making" / "here"]
    assert keys(store) == ["a"]


def test_the_temporary_directory_of_a_bucket_goes_when_all_is_flushed(store: LocalStore, root: Path) -> None:
    store.write("a", b"x")
    assert (root / TEMPORARY).is_dir()
    store.flush()
    assert sorted(path.name for path in root.iterdir()) == ["a"]
    store.write("b", b"x")
    assert keys(store) == ["a", "b"]


@pytest.mark.parametrize("key", ["../up", "/abs", "a/../../up", "..", ".", "a//b", "a/", "\0", "a/\0"])
def test_no_key_leads_out_of_the_root(store: LocalStore, root: Path, key: str) -> None:
    (root.parent / "up").write_bytes(b"secret")
    refused: list[Callable[[], object]] = [
        lambda: store.write(key, b"x", overwrite=True),
        lambda: store.write_stream(key, [b"x"], overwrite=True),
        lambda: store.read(key),
        lambda: store.head(key),
        lambda: store.delete([key]),
        lambda: store.local_file(key),
    ]
    for refuse in refused:
        with pytest.raises(KeyRefused):
            refuse()
    assert (root.parent / "up").read_bytes() == b"secret"


@pytest.mark.parametrize("key", ["k" * 256, "new\nline", "bell\x07", "del\x7f", f"{TEMPORARY}/x", TEMPORARY])
def test_a_key_that_cannot_be_a_file_name_is_refused(store: LocalStore, key: str) -> None:
    with pytest.raises(KeyRefused):
        store.write(key, b"x")
    assert keys(store) == []


def test_links_below_the_root_are_neither_followed_nor_listed_nor_replaced(store: LocalStore, root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    (root / "dir").symlink_to(outside)
    (root / "file").symlink_to(outside / "file")
    refused: list[Callable[[], object]] = [
        lambda: store.write("dir/new", b"x"),
        lambda: store.write("dir/sub/new", b"x"),
        lambda: store.read("dir/file"),
        lambda: store.head("dir/file"),
        lambda: store.delete(["dir/file"]),
    ]
    for refuse in refused:
        with pytest.raises(KeyRefused, match="symbolic link"):
            refuse()
    with pytest.raises(ObjectNotFound):
        store.read("file")
    with pytest.raises(ObjectNotFound):
        store.head("file")
    with pytest.raises(ObjectExists):
        store.write("file", b"x")
    assert keys(store) == []
    assert [path.name for path in outside.iterdir()] == ["file"]
    store.write("file", b"mine", overwrite=True)
    assert (outside / "file").read_bytes() == b"secret"
    assert store.read("file").bytes() == b"mine"


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    LocalStore(root.parent / "link").write("a/b", b"x")
    assert (root / "a" / "b").read_bytes() == b"x"


def test_a_file_and_a_directory_of_one_name_do_not_go_together(store: LocalStore) -> None:
    store.write("a", b"x")
    store.write("b/c", b"x")
    refused: list[Callable[[], object]] = [
        lambda: store.write("a/b", b"x"),
        lambda: store.write("b", b"x"),
        lambda: store.write("b", b"x", overwrite=True),
        lambda: store.write_stream("a/b/c", [b"x"]),
    ]
    for refuse in refused:
        with pytest.raises(KeyRefused, match="file and a directory"):
            refuse()
    assert keys(store) == ["a", "b/c"]
    for absent in ("a/b", "b"):
        with pytest.raises(ObjectNotFound):
            store.head(absent)
    with pytest.raises(ObjectNotFound):
        store.read("b")
    store.delete(["a/b", "b"])
    assert keys(store) == ["a", "b/c"]


def test_a_directory_goes_with_its_last_object_and_comes_back(store: LocalStore, root: Path) -> None:
    store.write("a/b/c", b"x")
    store.delete(["a/b/c"])
    assert not (root / "a").exists()
    store.write("a/b/c", b"y")
    store.delete(["a/b/c"])
    store.write("a", b"z")
    assert keys(store) == ["a"]


def test_a_directory_that_another_removed_is_made_again(store: LocalStore, root: Path) -> None:
    store.write("a/b", b"x")
    (root / "a" / "b").unlink()
    (root / "a").rmdir()
    store.write("a/b", b"y")
    assert store.read("a/b").bytes() == b"y"


def test_a_listing_is_in_the_order_of_s3(store: LocalStore) -> None:
    names = ["a", "a-b/c", "a-b", "a.txt", "a/b", "a0", "A", "é", "e\u0301", "🙂", "\ufffe", "a!/x"]
    for number, key in enumerate(name for name in names if name not in ("a", "a-b")):
        store.write(key, b"x" * number)
    assert keys(store) == sorted((name for name in names if name not in ("a", "a-b")), key=str.encode)


def test_a_large_directory_is_listed_in_batches(root: Path, store: LocalStore) -> None:
    expected = sorted([f"d/{number:03}" for number in range(50)] + [f"{number}/x" for number in range(25)], key=str.encode)
    for key in expected:
        store.write(key, b"")
    for batch in (1, 2, 7, 50, 1000):
        assert list(Walk(str(root), batch=batch, hidden=TEMPORARY)) == expected
        assert list(Walk(str(root), batch=batch, after="3/x", until="d/030")) == [key for key in expected if "3/x" < key <= "d/030"]


def test_a_range_does_not_look_into_directories_outside_it(root: Path, store: LocalStore) -> None:
    for key in ("a/x", "b/x", "c/x"):
        store.write(key, b"")
    (root / "a").rename(root / "a-gone")
    (root / "a").symlink_to("nowhere")
    assert list(Walk(str(root), prefix="b/")) == ["b/x"]
    assert list(Walk(str(root), after="b", until="b/z")) == ["b/x"]


def test_a_file_name_that_is_no_utf8_ends_the_listing_with_its_name(store: LocalStore, root: Path) -> None:
    (root / os.fsdecode(b"bad\xff")).write_bytes(b"x")
    with pytest.raises(KeyRefused, match=r"bad\\xff"):
        keys(store)


def test_what_is_no_file_is_no_object(store: LocalStore, root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert keys(store) == []
    with pytest.raises(ObjectNotFound):
        store.read("pipe")


def test_an_object_that_somebody_put_there_with_an_odd_name_can_be_read(store: LocalStore, root: Path) -> None:
    (root / "new\nline").write_bytes(b"x")
    assert keys(store) == ["new\nline"]
    assert store.read("new\nline").bytes() == b"x"


def test_a_large_file_is_read_in_pieces_and_closed(store: LocalStore) -> None:
    data = os.urandom(5_000_000)
    store.write("large", data)
    assert store.read("large").bytes() == data
    pieces = list(store.read("large").chunks(1_500_000))
    assert [len(piece) for piece in pieces] == [1_500_000] * 3 + [500_000]
    before = len(list(Path("/dev/fd").iterdir()))
    store.read("large")  # nobody reads it
    next(iter(store.read("large").chunks(10)))
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_file_that_shrinks_while_it_is_read_is_no_object(store: LocalStore, root: Path) -> None:
    store.write("large", b"x" * 3_000_000)
    body = store.read("large")
    os.truncate(root / "large", 1_000_000)
    with pytest.raises(DiskFailed, match="changed while it was read"):
        body.bytes()


def test_a_torn_stream_leaves_no_file_at_all(store: LocalStore, root: Path) -> None:
    def torn() -> Iterator[bytes]:
        yield b"x" * 1_000_000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write_stream("a", torn())
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_a_root_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "absent")
    asks: list[Callable[[], object]] = [store.check_reachable, lambda: keys(store)]
    for ask in asks:
        with pytest.raises(BucketNotFound, match="does not exist"):
            ask()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BucketNotFound, match="is not a directory"):
        LocalStore(tmp_path / "file").check_reachable()
    store.create_bucket()
    store.check_reachable()
    # Others write to this disk too, between one look and the next.
    assert store.free_bytes() == pytest.approx(LocalStore(tmp_path / "not" / "yet").free_bytes(), rel=0.05)


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.ENOSPC, DiskFailed, "bytes left"),
        (errno.EDQUOT, DiskFailed, "bytes left"),
        (errno.EROFS, DiskFailed, "[Rr]ead-only"),
        (errno.EIO, DiskFailed, "error"),
        (errno.EACCES, PermissionMissing, "cannot be used"),
        (errno.ENAMETOOLONG, KeyRefused, "cannot hold"),
        (errno.ENOTDIR, KeyRefused, "file and a directory"),
    ],
)
def test_a_failure_of_the_disk_is_said_in_our_words(tmp_path: Path, number: int, kind: type[Exception], says: str) -> None:
    paths = Paths(tmp_path, private=False, temporary=None)
    with pytest.raises(kind, match=says) as caught:
        raise paths.error(OSError(number, os.strerror(number)), "some/key")
    assert type(caught.value) is kind


def test_a_full_disk_leaves_no_half_file(store: LocalStore, root: Path) -> None:
    """A limit of the process on the length of a file stands for a full disk; the signal that comes with it is ignored by Python."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        writes: list[Callable[[], object]] = [
            lambda: store.write("a", b"x" * 2_000_000),
            lambda: store.write_stream("a", [b"x" * 600_000] * 3),
        ]
        for write in writes:
            with pytest.raises(DiskFailed):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_naming_without_replacing_works_by_link_too(tmp_path: Path) -> None:
    for number, rename in enumerate((system.rename_new, system._link_new)):
        (tmp_path / "new").write_bytes(b"new")
        target = tmp_path / f"target-{number}"
        rename(str(tmp_path / "new"), str(target))
        assert target.read_bytes() == b"new"
        (tmp_path / "new").write_bytes(b"newer")
        with pytest.raises(FileExistsError):
            rename(str(tmp_path / "new"), str(target))
        assert target.read_bytes() == b"new"


@pytest.fixture
def program_that_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts a program of a test's own in the place of the system's `sync`."""

    def become(script: str) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "sync").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / "sync").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        system._program_that_syncs.cache_clear()

    yield become
    system._program_that_syncs.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is no syncfs")
def test_the_reason_of_a_flush_that_failed_is_told(store: LocalStore, program_that_syncs: Callable[[str], None]) -> None:
    program_that_syncs("echo \"sync: error syncing '/srv': No space left on device\" >&2; exit 1")
    with pytest.raises(DiskFailed, match="no room for"):
        store.flush()


def test_a_program_that_does_not_know_how_to_flush_is_done_without(store: LocalStore, program_that_syncs: Callable[[str], None]) -> None:
    program_that_syncs("echo 'sync: unrecognized option' >&2; exit 1")
    store.flush()


def test_flushing_what_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        system.sync_file_system(str(tmp_path / "absent"))
