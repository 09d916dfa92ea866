"""A directory as an ObjectStore: each object a file under its own key.

Writes are atomic: a file is made under a temporary name on the same file system and then given its name. Nothing is fsynced one by one;
`flush` asks for everything at once. Attributes cannot be kept beside a file and are ignored; there are no ETags.
Symbolic links below the root are neither followed nor listed, so no key leads out of it. A file whose name is not valid UTF-8 ends
a listing with KeyRefused: left out silently, it would be missing from a backup.
Source: Linux man pages rename(2) (RENAME_NOREPLACE), syncfs(2).
"""

# ruff: noqa: PTH106, PTH108, PTH112, PTH116, PTH120
# paths are plain text here: pathlib would be a third of the time of writing a small object

from __future__ import annotations

import builtins
import errno
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from lockstep.errors import ObjectExists
from lockstep.model.objects import ObjectAttributes, ObjectInfo
from lockstep.objects import system
from lockstep.objects.attributes import NONE
from lockstep.objects.directory import Walk
from lockstep.objects.local_body import LocalBody, as_info, info_of_file, open_body
from lockstep.objects.local_paths import Paths
from lockstep.objects.store import RequestCounter
from lockstep.steps import step

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class LocalStore:
    """One directory. With `private`, directories are made with mode 0700 and files with 0600 whatever the umask; else the umask decides.

    `temporary` is where files are made before they get their names, on the same file system; it is made when needed.
    """

    def __init__(self, root: Path, *, private: bool = False, temporary: Path | None = None) -> None:
        self._private = private
        self._paths = Paths(root, private=private, temporary=temporary)
        self._requests = RequestCounter()
        self._names = itertools.count()
        self._tag = f"{os.getpid():x}-{os.urandom(4).hex()}"

    @property
    def url(self) -> str:
        """The URL of the directory."""
        return self._paths.url

    @property
    def requests(self) -> RequestCounter:
        """Nothing is counted."""
        return self._requests

    def read(self, key: str, *, version: str | None = None) -> LocalBody:  # noqa: ARG002 - a directory has no versions
        """Open the file; a small one is read at once."""
        return open_body(self._paths, key)

    def head(self, key: str) -> tuple[ObjectInfo, ObjectAttributes]:
        """What the file system knows of the file."""
        try:
            return info_of_file(self._paths, key, os.stat(self._paths.existing(key), follow_symlinks=False)), NONE
        except OSError as error:
            raise self._paths.read_error(error, key) from error

    def list(self, prefix: str = "", *, after: str | None = None, until: str | None = None) -> Iterator[list[ObjectInfo]]:
        """Pages of 1,000 in the order of the keys' UTF-8 bytes, in bounded memory however large the directories are."""
        if not os.path.isdir(self._paths.root):
            raise self._paths.no_root()
        hidden = self._paths.temporary[len(self._paths.root) + 1 :] if self._paths.temporary.startswith(self._paths.root + "/") else None
        page: builtins.list[ObjectInfo] = []
        try:
            for key in Walk(self._paths.root, prefix=prefix, after=after, until=until, hidden=hidden):
                with suppress(FileNotFoundError):  # deleted since its directory was read
                    found = os.stat(f"{self._paths.root}/{key}", follow_symlinks=False)
                    page.append(as_info(key, found))
                if len(page) == 1000:
                    yield page
                    page = []
        except OSError as error:
            raise self._paths.error(error, prefix) from error
        if page:
            yield page

    def write(self, key: str, data: bytes, *, attributes: ObjectAttributes | None = None, overwrite: bool = False) -> str | None:  # noqa: ARG002
        """Make the file and give it its name."""
        path = self._paths.place(key)
        temporary, file = self._new_file(key)
        try:
            try:
                written = os.write(file, data)
                while written < len(data):
                    written += os.write(file, memoryview(data)[written:])
            finally:
                os.close(file)
            self._give_name(temporary, path, key, overwrite=overwrite)
        except OSError as error:
            _remove(temporary)
            raise self._paths.error(error, key) from error
        except BaseException:
            _remove(temporary)
            raise
        return None

    def write_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        attributes: ObjectAttributes | None = None,  # noqa: ARG002 - not kept on a disk
        overwrite: bool = False,
    ) -> str | None:
        """As `write`, piece by piece."""
        path = self._paths.place(key)
        temporary, file = self._new_file(key)
        try:
            try:
                for chunk in chunks:
                    self._write_fully(file, chunk, key)
            finally:
                os.close(file)
            self._give_name(temporary, path, key, overwrite=overwrite)
        except BaseException:
            _remove(temporary)
            raise
        return None

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the files, and the directories that become empty."""
        for key in keys:
            path = self._paths.existing(key)
            try:
                os.unlink(path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            except OSError as error:
                if error.errno != errno.EPERM or not os.path.isdir(path):  # what macOS answers for a directory
                    raise self._paths.error(error, key) from error
            self._paths.prune(os.path.dirname(path))

    def list_versions(self, key: str) -> builtins.list[tuple[str, ObjectInfo]]:  # noqa: ARG002 - a directory has no versions
        """Empty."""
        return []

    def etag_is_md5(self, key: str) -> bool:  # noqa: ARG002 - the same for every object
        """Always."""
        return True

    def flush(self) -> None:
        """One syncfs(2) for everything written so far, and the empty temporary directory goes."""
        with suppress(OSError):
            if self._paths.temporary.startswith(self._paths.root + "/"):
                os.rmdir(self._paths.temporary)
        try:
            system.sync_file_system(self._paths.root)
        except OSError as error:
            raise self._paths.error(error, "") from error

    def create_bucket(self) -> None:
        """Make the directory and what is above it."""
        try:
            self._paths.make_directories(self._paths.root)
        except OSError as error:
            raise self._paths.error(error, "") from error

    def check_reachable(self) -> None:
        """Look whether the directory is there and may be read."""
        if not os.path.isdir(self._paths.root):
            raise self._paths.no_root()
        if not os.access(self._paths.root, os.R_OK | os.X_OK):
            raise self._paths.error(PermissionError(errno.EACCES, "not readable"), "")

    def local_file(self, key: str) -> Path | None:
        """The file of the object, whether it exists or not."""
        return Path(self._paths.existing(key))

    def free_bytes(self) -> int | None:
        """Room that is left for this user on the file system."""
        return system.free_bytes(self._paths.root)

    def _new_file(self, key: str) -> tuple[str, int]:
        path = f"{self._paths.temporary}/{self._tag}-{next(self._names):x}"
        mode = 0o600 if self._private else 0o666
        try:
            try:
                file = os.open(path, _CREATE, mode)
            except FileNotFoundError:
                self._paths.make_directories(self._paths.temporary)
                file = os.open(path, _CREATE, mode)
            if self._private:
                os.fchmod(file, mode)
        except OSError as error:
            raise self._paths.error(error, key) from error
        return path, file

    def _write_fully(self, file: int, chunk: bytes, key: str) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError as error:
            raise self._paths.error(error, key) from error

    def _give_name(self, temporary: str, path: str, key: str, *, overwrite: bool) -> None:
        step("file.made")
        rename: Callable[[str, str], None] = os.rename if overwrite else system.rename_new
        try:
            try:
                rename(temporary, path)
            except FileNotFoundError:  # the directory went away when its last object was deleted
                self._paths.forget(key)
                rename(temporary, self._paths.place(key))
        except FileExistsError as error:
            if os.path.isdir(path):
                raise self._paths.in_the_way(key) from error
            raise ObjectExists(
                f"an object lies under {key!r} in {self.url} already", hint="Keep it, or ask for it to be overwritten."
            ) from error
        except OSError as error:
            raise self._paths.error(error, key) from error


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
