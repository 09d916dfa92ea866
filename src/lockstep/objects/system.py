"""What lockstep asks of the operating system and Python's library does not offer: naming without replacing, flushing a file system.

Source: Linux man pages rename(2), syncfs(2), statvfs(3), GNU coreutils sync; Apple's rename(2) (renameatx_np, RENAME_EXCL).
"""

# ruff: noqa: PTH101, PTH102, PTH108, PTH112, PTH120
# these are thin wrappers of system calls

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache

_AT_FDCWD = -100 if sys.platform.startswith("linux") else -2
_NO_REPLACE = 1 if sys.platform.startswith("linux") else 4  # RENAME_NOREPLACE; RENAME_EXCL on macOS
_libc = ctypes.CDLL(None, use_errno=True)


def _rename_function() -> Callable[[int, bytes, int, bytes, int], int] | None:
    function = getattr(_libc, "renameat2" if sys.platform.startswith("linux") else "renameatx_np", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        function.restype = ctypes.c_int
    return function


_rename = _rename_function()


def rename_new(source: str, target: str) -> None:
    """Give a file its name. Raises FileExistsError when the name is taken, by whatever; nothing is replaced."""
    if _rename is None:
        _link_new(source, target)
        return
    if _rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _NO_REPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # NFS and some FUSE file systems
        _link_new(source, target)
        return
    raise OSError(number, os.strerror(number), target)


def _link_new(source: str, target: str) -> None:
    """The same with a hard link, which replaces nothing either."""
    os.link(source, target, follow_symlinks=False)
    os.unlink(source)


def sync_file_system(directory: str) -> None:
    """Make everything written to the file system of `directory` durable. Raises OSError, also for an earlier write that failed.

    Where there is a program for it, that does it: the kernel lets nobody go who waits for a slow disk, no signal reaches him, and a
    process that is to end would not until the disk has taken everything.
    """
    program = _program_that_syncs()
    if program is None or not _synced_by(program, directory):
        _sync_here(directory)


@cache
def _program_that_syncs() -> str | None:
    return shutil.which("sync") if hasattr(_libc, "syncfs") else None


def _synced_by(program: str, directory: str) -> bool:
    """False when the program does not know how. Raises OSError with the reason that it gives."""
    import subprocess

    try:
        process = subprocess.Popen(
            [program, "--file-system", directory],
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches lockstep alone
        )
    except OSError:  # no more processes, or no memory
        return False
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace").strip().rpartition(": ")[2]  # its last words are those of strerror(3)
    process.stderr.close()
    if process.wait() == 0:
        return True
    number = next((each for each in errno.errorcode if os.strerror(each) == said), None)
    if number is not None:
        raise OSError(number, said, directory)
    return False


def _sync_here(directory: str) -> None:
    if not hasattr(_libc, "syncfs"):
        os.sync()
        return
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(file) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), directory)
    finally:
        os.close(file)


def free_bytes(path: str) -> int | None:
    """Room for an ordinary user on the file system of `path`, or of the nearest directory above that exists."""
    while True:
        try:
            found = os.statvfs(path)
        except FileNotFoundError:
            parent = os.path.dirname(path)
            if parent == path:
                return None
            path = parent
        except OSError:
            return None
        else:
            return found.f_bavail * found.f_frsize


def make_private_directories(path: str) -> None:
    """Make a directory and those above it that are missing, all with mode 0700 whatever the umask."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        parent = os.path.dirname(path)
        if parent == path:
            break
        path = parent
    for directory in reversed(missing):
        with suppress(FileExistsError):  # another thread was faster
            os.mkdir(directory, 0o700)
            os.chmod(directory, 0o700)
