"""The real Parsec server, run as its operator runs it: by its own command line, with an env file in the form of docker's."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from lockstep.model.addresses import StoreAddress
from support.parsec_environment import ParsecEnvironment

CLIENT = Path(__file__).with_name("parsec_client.py")
LOOPBACK = "127.0.0.1"
_START_SECONDS = 60.0  # on a loaded machine; usually it takes three


@dataclass(frozen=True, slots=True)
class DatabaseLogin:
    """Where the server's database is, and as whom it connects."""

    host: str
    port: int
    user: str
    password: str
    dbname: str

    @property
    def url(self) -> str:
        return f"postgresql://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{self.host}:{self.port}/{self.dbname}"


def write_env_file(path: Path, login: DatabaseLogin, *, bucket: StoreAddress) -> Path:
    """The one file that both the server and lockstep are given. Colons inside a part of the blockstore are escaped."""
    endpoint = (bucket.endpoint_url or "").replace(":", r"\:")
    name = bucket.url.removeprefix("s3://")
    lines = [
        "# The metadata and the contents",
        f"PARSEC_DB={login.url}",
        f"PARSEC_BLOCKSTORE=s3:{endpoint}:{bucket.region}:{name}:{bucket.access_key_id}:{bucket.secret_access_key}",
        "",
        "PARSEC_ADMINISTRATION_TOKEN=5e7a2c",
        "PARSEC_FAKE_ACCOUNT_PASSWORD_ALGORITHM_SEED=4b1d9f",
        "PARSEC_SERVER_ADDR=parsec3://localhost:6777?no_ssl=true",
        "PARSEC_EMAIL_HOST=MOCKED",
        "PARSEC_EMAIL_SENDER=parsec@example.com",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


class ParsecServer:
    """The server's command line in its own environment, with the settings of an env file and nothing of the caller's."""

    def __init__(self, environment: ParsecEnvironment, env_file: Path, *, directory: Path) -> None:
        self._python = environment.python
        self._directory = directory
        self._variables = {"PATH": os.defpath, "HOME": str(directory), "LANG": "C.UTF-8", **_docker_variables(env_file)}
        self._runs = 0

    def migrate(self) -> None:
        """`parsec migrate`: make the tables."""
        self._run("-m", "parsec", "migrate")

    @contextmanager
    def running(self) -> Iterator[str]:
        """`parsec run`, answering; gives its URL."""
        self._runs += 1
        port = _free_port()
        log_path = self._directory / f"parsec-{self._runs}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [self._python, "-m", "parsec", "run", "--host", LOOPBACK, "--port", str(port), "--log-level", "warning"],
                env=self._variables,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            url = f"http://{LOOPBACK}:{port}"
            _wait_until_answering(url, process, log_path)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def client(self, action: Literal["populate", "add", "go-on"], state: Path, *, url: str, blocks: int) -> None:
        """Run `parsec_client.py`, which see. It fails on any answer that is not the right one."""
        self._run(str(CLIENT), action, str(state), url, str(blocks))

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._python, *arguments],
            env=self._variables,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{arguments[:4]} ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


def _docker_variables(env_file: Path) -> dict[str, str]:
    """The variables as `docker run --env-file` sets them: what follows the equals sign, to the letter."""
    lines = env_file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _wait_until_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the Parsec server does not answer:\n{log.read_text(errors='replace')[-3000:]}")


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])
