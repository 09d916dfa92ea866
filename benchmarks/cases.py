"""What is measured: each case with its deployment, the ways to do the same thing, and what comes before them."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import floors
import peers
from deployments import CHUNK, Deployment, Place, Shape
from laying_out import lay_out
from peers import CORES, Side, Way

SMALL = Shape("s4k", 20_000, 4096)
MIDDLE = Shape("s256k", 4_000, 262_144)
MANY = Shape("s200k", 200_000, 64)
MOST = Shape("s1m", 1_000_000, 64)


@dataclass(frozen=True, slots=True)
class Case:
    """A deployment and what is done with it; `before_round` is not measured, `target` the time that DESIGN.md asks for in words."""

    name: str
    title: str
    shape: Shape
    ways: Callable[[Place, Deployment], Sequence[Way]]
    before_round: Callable[[Deployment], None] | None = None


def full_backup(place: Place, deployment: Deployment) -> Sequence[Way]:
    """Everything for the first time, each into an empty directory."""
    side, directory = _side(place, deployment), place.directory / "full"

    def emptied(name: str) -> Callable[[], None]:
        return partial(_set_aside, directory / name, place.old)

    directory.mkdir(exist_ok=True)
    served = floors.most_gets(place, deployment, directory)
    ways = peers.backups(side, directory.joinpath, before=emptied, slow=False)
    objects = {"lockstep": directory / "lockstep" / "objects", **{name: directory / name for name in ("rclone", "s5cmd")}}
    objects["manual procedure"] = directory / "aws"
    counted = [_counted(way, partial(_files_below, objects[way.name]), deployment) if way.name in objects else way for way in ways]
    return [*counted, *served]


def nothing_new(place: Place, deployment: Deployment) -> Sequence[Way]:
    """A second run into the same target. What the first would have copied is laid out, as a stopped run would have left it."""
    kept = _kept(place, deployment)
    if not (kept / "aws").exists():
        for name in ("rclone", "s5cmd", "aws"):
            (kept / name).symlink_to(kept / "lockstep" / "objects" / "main", target_is_directory=True)
    ways = peers.backups(_side(place, deployment), kept.joinpath, before=lambda _: _nothing, slow=True)
    return [way for way in ways if deployment.shape == MANY or way.name != "manual procedure"]  # it took eleven minutes at 200,000


def one_percent(place: Place, deployment: Deployment) -> Sequence[Way]:
    """The same after new objects came; the peers have copies of their own (hard links), since what they fetch must be theirs."""
    kept = _kept(place, deployment)
    linked = {name: place.directory / "linked" / f"{deployment.shape.name}-{name}" for name in ("rclone",)}
    for copy in linked.values():
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            shutil.copytree(kept / "lockstep" / "objects" / "main", copy, copy_function=_link)
    targets = {
        **{name: kept / name for name in ("lockstep", "bare.dump", "rclone.dump", "s5cmd", "s5cmd.dump", "aws", "aws.dump")},
        **linked,
    }
    ways = peers.backups(_side(place, deployment), targets.__getitem__, before=lambda _: _nothing, slow=True)
    return [way for way in ways if way.name not in {"s5cmd", "manual procedure"}]


def restore(place: Place, deployment: Deployment) -> Sequence[Way]:
    """Everything back into an empty bucket and a database that does not exist."""
    side, kept = _side(place, deployment), _kept(place, deployment)
    objects, dump = kept / "lockstep" / "objects" / "main", kept / "bare.dump"
    if not dump.exists():
        peers_dump = side.dump(dump)
        _run(place, peers_dump)
    bucket, database = "bench-restored", "restored"
    there = Side(place.database.address(database).conninfo, bucket, side.endpoint_url, side.programs)
    createdb = shlex.join([str(side.programs / "psql"), "-q", "-d", side.conninfo, "-c", f"CREATE DATABASE {database}"])

    def before() -> None:
        place.psql(f"DROP DATABASE IF EXISTS {database}")
        place.empty_bucket(bucket)

    def loaded(jobs: int) -> str:
        return f"{createdb} && {side.load(dump, jobs=jobs, to=there.conninfo)}"

    s3 = f"s3://{bucket}"

    def left() -> int:
        return sum(
            1 for page in place.store.client().get_paginator("list_objects_v2").paginate(Bucket=bucket) for _ in page.get("Contents", [])
        )

    ours = peers.lockstep("restore", "latest", *there.deployment, "--repo", str(kept / "lockstep"), "--yes")
    many = f"pg_restore -j{CORES}"
    ways = [
        Way("lockstep", "defaults", ours, before),
        Way(
            "s5cmd",
            f"s5cmd {' '.join(peers.S5CMD)} cp; {many}",
            f"{peers.s5cmd('cp', f'{objects}/', s3 + '/')} > /dev/null && {loaded(CORES)}",
            before,
        ),
        Way(
            "rclone",
            f"rclone copy {' '.join(peers.RCLONE)}; {many}",
            f"{peers.rclone('copy', str(objects), there.rclone, *peers.RCLONE)} && {loaded(CORES)}",
            before,
        ),
        Way(
            "manual procedure",
            "aws s3 sync, defaults; pg_restore",
            f"{peers.aws('sync', '--only-show-errors', str(objects), s3)} && {loaded(1)}",
            before,
            slow=True,
        ),
    ]
    return [_counted(way, left, deployment) for way in ways]


def verify(place: Place, deployment: Deployment) -> Sequence[Way]:
    """Every byte of a repository read and compared with its checksum."""
    repository = _kept(place, deployment) / "lockstep"
    objects = shlex.quote(str(repository / "objects"))
    each = f"find {objects} -type f -print0 | xargs -0 -P{CORES} -n 100"
    return [
        Way("lockstep", "defaults", peers.lockstep("verify", "--read-data", "--repo", str(repository))),
        Way("openssl sha256", f"{CORES} processes", f"{each} openssl dgst -sha256 -r > /dev/null", floor=True),
        Way("sha256sum", f"{CORES} processes", f"{each} sha256sum > /dev/null", floor=True),
    ]


def audit(place: Place, deployment: Deployment) -> Sequence[Way]:
    """The live database against the live bucket; the others only list the bucket."""
    side = _side(place, deployment)
    return [
        Way("lockstep", "defaults; compares with the database", peers.lockstep("audit", *side.deployment)),
        Way(
            "rclone lsf",
            "-R --fast-list --format ps; lists only",
            f"{peers.rclone('lsf', '-R', '--files-only', '--fast-list', '--format', 'ps', side.rclone)} > /dev/null",
        ),
        Way("s5cmd ls", "lists only", f"{peers.s5cmd('ls', f's3://{side.bucket}/*')} > /dev/null", slow=True),
        Way("aws s3 ls --recursive", "lists only", f"{peers.aws('ls', '--recursive', f's3://{side.bucket}')} > /dev/null", slow=True),
    ]


CASES = (
    Case("full-4k", "full backup, 20,000 objects of 4 KiB", SMALL, full_backup),
    Case("full-256k", "full backup, 4,000 objects of 256 KiB (1 GiB)", MIDDLE, full_backup),
    Case("nothing-new-200k", "nothing new, 200,000 objects", MANY, nothing_new),
    Case("nothing-new-1m", "nothing new, 1,000,000 objects", MOST, nothing_new),
    Case("one-percent-1m", "1 % new of 1,000,000 objects", MOST, one_percent, before_round=lambda deployment: deployment.grow(5 * CHUNK)),
    Case("restore-4k", "restore of 20,000 objects of 4 KiB", SMALL, restore),
    Case("verify-1g", "verify --read-data, 1 GiB in 4,000 objects", MIDDLE, verify),
    Case("audit-1m", "audit of 1,000,000 objects", MOST, audit),
)


def _side(place: Place, deployment: Deployment) -> Side:
    return Side(deployment.conninfo, deployment.bucket, deployment.store.endpoint_url, place.database.bin_dir)


def _kept(place: Place, deployment: Deployment) -> Path:
    """Where the repository of a deployment stays between rounds; made when it is not there."""
    kept = place.directory / "kept" / deployment.shape.name
    if not (kept / "lockstep" / "head.json").exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        lay_out(deployment, kept / "lockstep")
        _run(place, peers.lockstep("backup", *_side(place, deployment).deployment, "--repo", str(kept / "lockstep")))
    return kept


def _run(place: Place, command: str) -> None:
    from measuring import measure

    measure(command, environment=place.store.environment(), log=place.directory / "errors.log")


def _counted(way: Way, left: Callable[[], int], deployment: Deployment) -> Way:
    return replace(way, left=left, expected=deployment.count())


def _files_below(directory: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(directory))


def _set_aside(target: Path, old: Path) -> None:
    """Make room for a run without deleting: for minutes after that, ext4 looks for room for each new file among what was deleted.

    Source: Linux, fs/ext4/ialloc.c, recently_deleted(); 20,000 files took 0.8 s of the kernel's time before a deletion and 4 s after it.
    """
    if target.exists():
        old.mkdir(exist_ok=True)
        target.rename(old / uuid4().hex)


def _nothing() -> None:
    return


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)
