"""S3 stores for tests: SeaweedFS (the real one), moto (versions, conditional writes) and rclone (a plain directory behind S3)."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from lockstep.model.addresses import StoreAddress
from lockstep.objects.embedded import LOOPBACK, REGION, SeaweedFS

__all__ = ["MotoServer", "RcloneS3", "SeaweedFS"]


class _Store:
    """What a test asks of any S3 store: an endpoint, a pair of keys, buckets."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def create_bucket(self, name: str | None = None) -> str:
        bucket = name or f"bucket-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=bucket)
        return bucket

    def address(self, bucket: str, *, prefix: str = "", name: str = "main") -> StoreAddress:
        return StoreAddress(
            url=f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}",
            name=name,
            endpoint_url=self.endpoint_url,
            region=REGION,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
        )


class MotoServer(_Store):
    """moto's S3 in a thread of this process: versioned buckets, object lock, `If-None-Match`."""

    def __init__(self) -> None:
        self.access_key_id = secrets.token_hex(10)
        self.secret_access_key = secrets.token_hex(20)
        self._server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)

    def __enter__(self) -> Self:
        self._server.start()
        _, port = self._server.get_host_and_port()
        self.endpoint_url = f"http://{LOOPBACK}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


class RcloneS3(_Store):
    """`rclone serve s3` over a directory: a store whose objects are files, which a test can damage."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.access_key_id = secrets.token_hex(10)
        self.secret_access_key = secrets.token_hex(20)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.endpoint_url = f"http://{LOOPBACK}:{port}"
        self._process = subprocess.Popen(
            [program("rclone"), "serve", "s3", f"--addr={LOOPBACK}:{port}", "--vfs-cache-mode=off", str(self.directory)],
            env={
                "PATH": os.defpath,
                "HOME": str(self.directory),
                "RCLONE_CONFIG": os.devnull,
                "RCLONE_AUTH_KEY": f'"{self.access_key_id},{self.secret_access_key}"',  # a CSV list of pairs: hence the quotes
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port, self._process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def program(name: str) -> str:
    """The path of a program that came with the development environment, or is on PATH."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; `make test` installs it")
    return found


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        with closing(socket.socket()) as attempt:
            if attempt.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"{process.args!r} does not listen")
