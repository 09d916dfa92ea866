"""Tries out what only a repository on a disk needs of its file system."""

from __future__ import annotations

import stat
import time

from lockstep.model.checkup import Answer, fine
from lockstep.model.probes import decide_modes
from lockstep.operations.probe_scratch import Scratch


def flush(scratch: Scratch) -> Answer:
    """Ask the file system to make everything durable, as every commit does."""
    scratch.store.write(scratch.key("flush"), b"x")
    began = time.monotonic()
    scratch.store.flush()
    return fine(f"everything is made durable at once, in {time.monotonic() - began:.2f} s")


def modes(scratch: Scratch) -> Answer:
    """Whether files and directories are for their owner alone, as they are made."""
    scratch.store.write(scratch.key("modes/file"), b"x")
    file = scratch.store.local_file(scratch.key("modes/file"))
    assert file is not None  # it is local
    return decide_modes(*(stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)))
