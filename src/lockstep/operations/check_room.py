"""Checks of the room: for the repository, and for the tables and files of a run."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lockstep.deployment.deployment import BoundProfile
from lockstep.errors import DatabaseFailed, DiskFailed
from lockstep.model.checkup import Answer, failed, fine, warning
from lockstep.operations.check_database import Live
from lockstep.operations.check_repository import Kept
from lockstep.operations.check_stores import Sample
from lockstep.postgres.errors import sqlstate
from lockstep.postgres.frozen import FrozenView

COUNTING_MILLISECONDS = 1000
"""How long the server may add up the sizes of all references; a check is to be quick, and an unknown amount is told as unknown."""

WORK_BYTES_PER_REFERENCE = 250
"""What a reference takes in the temporary directory. Measured: 70 for the references of 500,000 keys as Parsec's; much the same again for
those of the snapshot before, for the inventory and for its local copy."""

_QUERY_CANCELED = "57014"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a backup is going to take, in bytes; None where nobody knows. `first` is true when the repository has no snapshot yet."""

    first: bool
    dump_bytes: int | None
    objects_bytes: int | None
    references: int | None


def estimate(live: Live | None, kept: Kept | None, view: FrozenView | None, sample: Sample | None) -> Needs:
    """Guess from the newest snapshot; without one, from the database's size on its server's disk and the sum of the references."""
    newest = kept.newest if kept else None
    if newest is not None:
        return Needs(first=False, dump_bytes=newest.dump.size_bytes, objects_bytes=None, references=newest.objects.referenced)
    references, objects_bytes = _added_up(view, sample.bound) if view and sample else (None, None)
    return Needs(first=True, dump_bytes=live.facts.size_bytes if live else None, objects_bytes=objects_bytes, references=references)


def for_repository(needs: Needs, kept: Kept) -> Answer:
    """Whether the next backup fits onto the repository's disk."""
    free = kept.store.free_bytes()
    if free is None:
        return fine("an object store does not say how much it has left")
    known = {"dump": needs.dump_bytes, "objects": needs.objects_bytes}
    sizes = {"free": free, **{name: size for name, size in known.items() if size is not None}}
    wanted = sum(size for size in known.values() if size is not None)
    hint = "Make room, or name another place with --repo."
    if not needs.first:
        detail = "the last dump's size and what new objects take are needed"
        return failed(detail, hint=hint, **sizes) if free < wanted else fine(detail, **sizes)
    detail = "a first backup takes all referenced objects and at most the database's size"
    if needs.objects_bytes is None:
        detail += "; how much the objects take is not known without counting them"
    if free >= wanted:
        return fine(detail, **sizes)
    surely = needs.objects_bytes is not None and free < needs.objects_bytes
    return failed(detail, hint=hint, **sizes) if surely else warning(detail, hint=hint, **sizes)


def for_work(needs: Needs, kept: Kept | None, temporary: Path | None) -> Answer:
    """Whether a run fits into the temporary directory."""
    place = _usable(temporary)
    free = shutil.disk_usage(place).free
    remote = kept is not None and kept.store.free_bytes() is None
    wanted = (needs.references or 0) * WORK_BYTES_PER_REFERENCE + (needs.dump_bytes or 0 if remote else 0)
    if not wanted:
        return fine(str(place), free=free)
    if free < wanted:
        return failed(f"{place} is too small", hint="Make room there, or name another place with --temp-dir.", free=free, needed=wanted)
    return fine(str(place), free=free, needed=wanted)


def _usable(temporary: Path | None) -> Path:
    try:
        place = temporary or Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        shown = temporary or "the system's temporary directory"
        raise DiskFailed(f"nothing can be made in {shown}: {error.strerror}", hint="Name another place with --temp-dir.") from error
    return place


def _added_up(view: FrozenView, bound: BoundProfile) -> tuple[int | None, int | None]:
    """How many references there are, and their sizes together. A listing is not made for that, and a slow query is given up."""
    if bound.query is None:
        return (None, None) if bound.profile.lists_the_bucket else (0, 0)
    timeout = "SELECT set_config('statement_timeout', %s, true)"
    view.rows(timeout, [str(COUNTING_MILLISECONDS)])
    try:
        count, total = view.rows(f"SELECT count(*), coalesce(sum(size), 0)::bigint FROM (\n{bound.select}\n) AS r")[0]  # noqa: S608
    except DatabaseFailed as error:
        if sqlstate(error) != _QUERY_CANCELED:
            raise
        return None, None
    finally:
        view.rows(timeout, ["0"])
    return count, total
