"""A Dask cluster on the loopback address: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from lockstep.objects.embedded import LOOPBACK
from support.waiting import wait_for


class Cluster:
    """A scheduler and as many workers as are started. All are killed at the end."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory, self._environment = directory, dict(environment)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def __enter__(self) -> Self:
        where = self._directory / "scheduler.json"
        self._start("scheduler", "--host", LOOPBACK, "--port", "0", "--no-dashboard", "--scheduler-file", str(where), env={})
        wait_for(lambda: where.exists() and where.stat().st_size > 0)
        self.address = json.loads(where.read_text())["address"]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def start_worker(self, env: Mapping[str, str], *, threads: int = 1) -> int:
        """Start a worker with an environment of its own; its process id."""
        options = [
            "--host",
            LOOPBACK,
            "--nthreads",
            str(threads),
            "--no-nanny",
            "--no-dashboard",
            "--local-directory",
            str(self._directory),
        ]
        return self._start("worker", self.address, *options, env=env)

    def log(self) -> str:
        """What all of them wrote."""
        return (self._directory / "cluster.log").read_text(errors="replace")

    def _start(self, command: str, *arguments: str, env: Mapping[str, str]) -> int:
        with (self._directory / "cluster.log").open("ab") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "dask"), command, *arguments],
                env={"PATH": os.defpath, **self._environment, **env},
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process.pid
