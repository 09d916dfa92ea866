"""A deployment on real servers, and an operator's commands on it. Everything that appears on the servers meanwhile is gone afterwards."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.postgres.embedded import EmbeddedServer
from support.fixture_types import Lockstep, Ran
from support.parsec_shape import Filled, Generation, create_schema, fill, read_objects, sequence_values, table_rows


class S3(Protocol):
    """Any S3 store of support/servers.py."""

    @property
    def endpoint_url(self) -> str: ...

    @property
    def access_key_id(self) -> str: ...

    @property
    def secret_access_key(self) -> str: ...

    def client(self) -> Any: ...

    def create_bucket(self, name: str | None = None) -> str: ...

    def address(self, bucket: str, *, prefix: str = "", name: str = "main") -> StoreAddress: ...


@dataclass(frozen=True, slots=True)
class Deployment:
    """A database and its bucket. Either may be absent when it is a target."""

    database: DatabaseAddress
    bucket: StoreAddress
    filled: Filled = field(default_factory=lambda: Filled("current", (), ()))

    @property
    def dbname(self) -> str:
        return str(conninfo_to_dict(self.database.conninfo)["dbname"])

    @property
    def bucket_name(self) -> str:
        return self.bucket.url.removeprefix("s3://").partition("/")[0]

    @property
    def options(self) -> list[str]:
        return ["--database", self.database.conninfo, "--bucket", self.bucket.url, "--endpoint-url", str(self.bucket.endpoint_url)]

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.database.conninfo)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.database.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def tables(self) -> tuple[dict[str, list[str]], dict[str, int | None]]:
        """Every row of every table, and what every sequence goes on from."""
        with self.connect() as connection:
            return table_rows(connection), sequence_values(connection)

    def objects(self) -> dict[str, bytes]:
        """Every object, key to bytes."""
        return read_objects(self.bucket)


@dataclass(slots=True)
class World:
    """The servers of one test and the command line. `repo` is where its repository is to be."""

    lockstep: Lockstep
    environment: Mapping[str, str]
    postgres: EmbeddedServer
    s3: S3
    tmp_path: Path
    repo: str = ""

    def __post_init__(self) -> None:
        self.repo = self.repo or str(self.tmp_path / "repository")

    @property
    def repo_path(self) -> Path:
        return Path(self.repo)

    @property
    def keys(self) -> dict[str, str]:
        """The environment variables with the keys of the S3 store."""
        return {
            "AWS_ACCESS_KEY_ID": self.s3.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_access_key,
            "AWS_REGION": "us-east-1",
        }

    # ---- deployments

    def deployment(self, *, generation: Generation = "current", **shape: Any) -> Deployment:
        """A new deployment in Parsec's shape, filled; `shape` is what `fill` takes."""
        database, bucket = self.new_database(), self.new_bucket()
        with psycopg.connect(database.conninfo) as connection:
            create_schema(connection, generation)
            filled = fill(connection, bucket, generation=generation, **shape)
        return Deployment(database, bucket, filled)

    def nowhere(self) -> Deployment:
        """A target: a database that does not exist yet, and an empty bucket."""
        return Deployment(self.postgres.address(f"target_{secrets.token_hex(4)}"), self.new_bucket())

    def new_database(self, name: str | None = None) -> DatabaseAddress:
        name = name or f"source_{secrets.token_hex(4)}"
        self.admin(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return self.postgres.address(name)

    def new_bucket(self) -> StoreAddress:
        return self.s3.address(self.s3.create_bucket())

    def admin(self, statement: sql.Composed | str) -> list[tuple[Any, ...]]:
        """Run something as the superuser, in the database `postgres`."""
        with psycopg.connect(self.postgres.address().conninfo, autocommit=True) as connection:
            cursor = connection.execute(statement.encode() if isinstance(statement, str) else statement)
            return cursor.fetchall() if cursor.description else []

    def databases(self) -> set[str]:
        return {row[0] for row in self.admin("SELECT datname FROM pg_database")}

    # ---- commands

    def run(self, command: str, *arguments: str | Path, env: Mapping[str, str] | None = None, repo: str | None = None) -> Ran:
        return self.lockstep(command, "--repo", repo or self.repo, *arguments, env={**self.keys, **(env or {})})

    def backup(self, deployment: Deployment, *arguments: str, env: Mapping[str, str] | None = None) -> Ran:
        return self.run("backup", *deployment.options, "--json", *arguments, env=env)

    def restore(self, target: Deployment, *arguments: str | Path, snapshot: str = "latest", env: Mapping[str, str] | None = None) -> Ran:
        return self.run("restore", snapshot, *target.options, "--json", *arguments, env=env)

    def snapshots(self) -> list[dict[str, Any]]:
        ran = self.run("list", "--json")
        assert ran.returncode == 0, ran
        listed: list[dict[str, Any]] = ran.json["snapshots"]
        return listed

    @contextmanager
    def started(self, command: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
        """The command line as a running process in a session of its own, killed when the block ends before it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "lockstep", command, "--repo", self.repo, *map(str, arguments)],
            env={**self.environment, **self.keys, **(env or {})},
            cwd=self.tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            with process:
                try:
                    yield process
                finally:
                    if process.poll() is None:
                        process.kill()
        finally:
            process.wait()

    # ---- what there is

    def everything(self, *deployments: Deployment) -> dict[str, object]:
        """The state of all that a command could have changed: the databases' names, the repository's files, both stores of deployments."""
        return {
            "databases": self.databases(),
            "buckets": {bucket["Name"] for bucket in self.s3.client().list_buckets()["Buckets"]},
            "repository": self.files(),
            "rows": [each.tables() if each.dbname in self.databases() else None for each in deployments],
            "objects": [each.objects() for each in deployments],
        }

    def files(self) -> dict[str, int]:
        """The files of a repository on disk with their sizes; empty where there is none."""
        root = self.repo_path
        return {str(path.relative_to(root)): path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()}


@contextmanager
def open_world(lockstep: Lockstep, environment: Mapping[str, str], postgres: EmbeddedServer, s3: S3, tmp_path: Path) -> Iterator[World]:
    """A world for one test: the databases and roles that it leaves on the server are dropped."""
    world = World(lockstep, environment, postgres, s3, tmp_path)
    databases, roles = world.databases(), _roles(world)
    try:
        yield world
    finally:
        for name in world.databases() - databases:
            if not name.startswith("shape_"):
                world.admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        for name in _roles(world) - roles:
            world.admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _roles(world: World) -> set[str]:
    return {row[0] for row in world.admin("SELECT rolname FROM pg_roles")}


def error_of(ran: Ran, *, status: int = 1, kind: str | None = None) -> str:
    """The message and the hint of a command that failed, which must be one sentence each, on both streams."""
    assert ran.returncode == status, ran
    document = ran.json
    assert set(document) == {"error"}, ran
    error = document["error"]
    assert set(error) == {"kind", "message", "hint"}, ran
    if kind is not None:
        assert error["kind"] == kind, ran
    message, hint = error["message"], error["hint"]
    assert message, ran
    assert "\n" not in message, ran
    assert not message.endswith("."), ran
    assert hint, ran
    assert hint[0].isupper(), ran
    assert "Traceback" not in ran.stderr, ran
    return f"{message}. {hint}"


def children_of(pid: int) -> list[int]:
    """The processes that descend from one."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found += [child, *children_of(child)]
    return found


def same(before: Deployment, after: Deployment, *, keys: Sequence[str] | None = None) -> None:
    """Assert that two deployments hold the same rows, go on from the same sequences, and hold the same objects."""
    assert after.tables() == before.tables()
    source, target = before.objects(), after.objects()
    if keys is not None:
        source = {key: data for key, data in source.items() if key in keys}
    assert target.keys() == source.keys()
    assert target == source
