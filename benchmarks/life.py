"""The same story in every kind of place: a backup, another one, the loss of everything, a restore, a verification; what each step takes.

Run it with `make bench-life`. The repository is in turn a local directory, a bucket of SeaweedFS and one of `rclone serve s3`, each plain
and with everything encrypted. What comes back is held against what was lost, row by row and byte by byte: a difference ends the run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import page
import peers
from deployments import Deployment, Place, Shape, servers
from measuring import Measured, measure

from lockstep.demo.reading import read_contents
from lockstep.objects.open import open_store
from support.servers import RcloneS3

SMALL_BYTES, SMALL_OBJECTS = 4096, 2_000
LARGE_BYTES, LARGE_OBJECTS = 1 << 20, 100
NEW_OBJECTS = 200
"""Small ones that come between the two backups."""

STEPS = ("backup", "second backup", "restore", "verify --read-data")
BUCKET = "backups"


@dataclass(frozen=True, slots=True)
class Home:
    """Where a repository lies: its address, and what lockstep is told beside it."""

    name: str
    repository: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keys:
    """What is said when a repository is written, and when it is read."""

    name: str
    writing: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()


def main() -> None:
    """Live through the story in every place, several times in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    seen: dict[tuple[str, str], list[dict[str, Measured]]] = {}
    for number in range(chosen.rounds):
        with ExitStack() as stack:  # servers of its own: what SeaweedFS deletes gives no room back for a while
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-life-")))
            place = stack.enter_context(servers(directory))
            other = stack.enter_context(RcloneS3(directory / "rclone"))
            place.store.create_bucket(BUCKET)
            other.create_bucket(BUCKET)
            for keys in (Keys("plain"), _new_keys(directory)):
                for home in _homes(place, other, keys.name):
                    print(f"round {number + 1}: {home.name}, {keys.name}", file=sys.stderr)
                    deployment = _new_deployment(place, f"life-{home.name.split()[0].lower()}-{keys.name}")
                    seen.setdefault((home.name, keys.name), []).append(dict(_live(place, deployment, home, keys)))
    print("\n".join(_table(seen)))


def _new_keys(directory: Path) -> Keys:
    identity = directory / "identity.txt"
    command = f"{peers.lockstep('key', 'generate', '--output', str(identity))}"
    recipient = json.loads(measure(command, environment={}, log=directory / "errors.log").output)["recipient"]
    return Keys("encrypted", ("--recipient", recipient, "--encrypt-objects"), ("--identity", str(identity)))


def _homes(place: Place, other: RcloneS3, name: str) -> list[Home]:
    elsewhere = {
        "LOCKSTEP_REPO_ENDPOINT_URL": other.endpoint_url,
        "LOCKSTEP_REPO_ACCESS_KEY_ID": other.access_key_id,
        "LOCKSTEP_REPO_SECRET_ACCESS_KEY": other.secret_access_key,
    }
    return [
        Home("local directory", str(place.directory / "repositories" / name)),
        Home("SeaweedFS", f"s3://{BUCKET}/{name}"),
        Home("rclone serve s3", f"s3://{BUCKET}/{name}", elsewhere),
    ]


def _new_deployment(place: Place, name: str) -> Deployment:
    deployment = place.deployment(Shape(name, SMALL_OBJECTS, SMALL_BYTES))
    deployment.live_on(1, new=LARGE_OBJECTS, size_bytes=LARGE_BYTES)
    return deployment


def _live(place: Place, deployment: Deployment, home: Home, keys: Keys) -> Iterator[tuple[str, Measured]]:
    """Each step with what it took. Ends the run when what comes back is not what was lost."""

    def run(command: str, *words: str) -> Measured:
        line = peers.lockstep(command, *words, "--repo", home.repository)
        return measure(line, environment={**deployment.environment, **home.environment}, log=place.directory / "errors.log")

    source = ["--database", deployment.conninfo, "--bucket", f"s3://{deployment.bucket}"]
    database = place.database.address(deployment.shape.name)
    bucket = open_store(deployment.store.address(deployment.bucket))
    yield STEPS[0], run("backup", *source, *keys.writing)
    deployment.live_on(2, new=NEW_OBJECTS, size_bytes=SMALL_BYTES)
    yield STEPS[1], run("backup", *source, *keys.writing)
    before = read_contents(database, bucket)
    place.psql(f'DROP DATABASE "{deployment.shape.name}"')
    place.empty_bucket(deployment.bucket)
    yield STEPS[2], run("restore", "latest", *source, "--yes", *keys.reading)
    if read_contents(database, bucket) != before:
        raise SystemExit(f"{home.name}, {keys.name}: what came back is not what was lost")
    yield STEPS[3], run("verify", "--read-data", *keys.reading)
    place.psql(f'DROP DATABASE "{deployment.shape.name}"')
    place.delete_bucket(deployment.bucket)


def _table(seen: Mapping[tuple[str, str], list[dict[str, Measured]]]) -> Iterator[str]:
    yield (
        f"{SMALL_OBJECTS:,} objects of {SMALL_BYTES:,} bytes, {LARGE_OBJECTS:,} of {LARGE_BYTES:,}; then {NEW_OBJECTS:,} small ones more. "
        "Seconds, the median of the rounds; in brackets CPU seconds."
    )
    yield ""
    yield f"| repository | | {' | '.join(STEPS)} | peak memory |"
    yield "|---|---|" + "---|" * (len(STEPS) + 1)
    for (home, keys), stories in seen.items():
        cells = []
        for step in STEPS:
            seconds, cpu = (statistics.median(getattr(story[step], name) for story in stories) for name in ("seconds", "cpu_seconds"))
            cells.append(f"{seconds:.1f} ({cpu:.1f})")
        peak = max(each.peak_bytes for story in stories for each in story.values()) / 1_000_000
        yield f"| {home} | {keys} | {' | '.join(cells)} | {peak:.0f} MB |"
    yield ""
    yield page.where_and_when()


if __name__ == "__main__":
    main()
