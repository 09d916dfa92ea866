"""The directory in which the demo happens, and that nothing of it is left behind unless it is to be kept."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lockstep.errors import ConfigurationError, DiskFailed

_OTHERS_PASS_THROUGH = 0o711  # as root, the database server runs as another account and has its data below


@contextmanager
def demo_directory(keep: Path | None) -> Iterator[Path]:
    """An empty directory for the length of the block: a temporary one, or `keep`, which stays unless the block fails.

    Raises ConfigurationError when `keep` cannot be had empty, DiskFailed when there is no room for a temporary one.
    """
    if keep is not None:
        yield from _kept(keep.absolute())
        return
    try:
        directory = Path(tempfile.mkdtemp(prefix="lockstep-demo-")).resolve()
    except OSError as error:
        raise DiskFailed(
            f"no directory can be made in {tempfile.gettempdir()}: {error.strerror}", hint="Set TMPDIR, or name a place with --keep."
        ) from error
    try:
        directory.chmod(_OTHERS_PASS_THROUGH)
        yield directory
    finally:
        with undisturbed():
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM for the length of the block: a second Ctrl-C must not leave half of a clean-up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kept(directory: Path) -> Iterator[Path]:
    try:
        made = [each for each in (directory, *directory.parents) if not each.exists()]
        directory.mkdir(parents=True, exist_ok=True)
        empty = not any(directory.iterdir())
    except OSError as error:
        raise ConfigurationError(
            f"the directory {directory} cannot be used: {(error.strerror or 'unknown reason').lower()}",
            hint="Name an empty or a new directory with --keep.",
        ) from error
    if not empty:
        raise ConfigurationError(f"the directory {directory} is not empty", hint="Name an empty or a new directory with --keep.")
    try:
        if made:
            directory.chmod(_OTHERS_PASS_THROUGH)
        yield directory
    except BaseException:
        with undisturbed():
            for each in directory.iterdir():
                shutil.rmtree(each, ignore_errors=True)
            for each in made:
                with suppress(OSError):  # somebody else has put something there meanwhile
                    each.rmdir()
        raise
