"""Stores that speak what Google's and Microsoft's services speak: Azurite, where it is installed, and Google's XML API in front of moto."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Self

from lockstep.objects.embedded import LOOPBACK
from support.s3_proxy import Answer, S3Proxy
from support.servers import MotoServer, free_port, wait_for

AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Public: every Azurite has them. Source: Microsoft Learn, "Use the Azurite emulator for local Azure Storage development"."""

_VERSION = "2021-08-06"


def find_azurite() -> str | None:
    """The program, on PATH or where AZURITE says; None where it is not installed: it comes from npm, which lockstep does without."""
    found = os.environ.get("AZURITE") or shutil.which("azurite-blob")
    return str(Path(found).absolute()) if found else None


class Azurite:
    """Microsoft's emulator of Azure Blob Storage, all in memory."""

    scheme = "az"

    def __init__(self, program: str, directory: Path) -> None:
        self._program, self._directory = program, directory

    def __enter__(self) -> Self:
        self._port = free_port()
        self.endpoint_url = f"http://{LOOPBACK}:{self._port}/{AZURITE_ACCOUNT}"
        options = ["--inMemoryPersistence", f"--blobHost={LOOPBACK}", f"--blobPort={self._port}", "--skipApiVersionCheck", "--silent"]
        self._process = subprocess.Popen(
            [self._program, *options],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(self._port, self._process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def variables(self) -> dict[str, str]:
        """What lockstep is to find in its environment."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURITE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURITE_KEY,
            "AZURE_STORAGE_ENDPOINT": self.endpoint_url,
        }

    def create_bucket(self) -> str:
        """A container. Source: Microsoft Learn, "Create Container", "Authorize with Shared Key"."""
        name = f"container-{secrets.token_hex(6)}"
        date = format_datetime(datetime.now(UTC), usegmt=True)
        said = f"PUT{chr(10) * 12}x-ms-date:{date}\nx-ms-version:{_VERSION}\n/{AZURITE_ACCOUNT}/{AZURITE_ACCOUNT}/{name}\nrestype:container"
        signature = base64.b64encode(hmac.digest(base64.b64decode(AZURITE_KEY), said.encode(), hashlib.sha256)).decode()
        headers = {"x-ms-date": date, "x-ms-version": _VERSION, "Authorization": f"SharedKey {AZURITE_ACCOUNT}:{signature}"}
        with closing(http.client.HTTPConnection(LOOPBACK, self._port, timeout=30)) as connection:
            connection.request("PUT", f"/{AZURITE_ACCOUNT}/{name}?restype=container", headers=headers)
            answer = connection.getresponse()
            if answer.status != http.client.CREATED:
                raise RuntimeError(f"Azurite made no container: {answer.status} {answer.read()!r}")
        return name


class GoogleXml(S3Proxy):
    """Google's XML API as far as obstore uses it, in front of moto: the same requests as those of S3, under other names of headers.

    No emulator of Google's service that comes as a package knows this API. What is tried here is what obstore sends and what lockstep makes
    of the answers, not Google's service.
    Source: Google Cloud Storage, "XML API overview", "HTTP headers and query string parameters for XML API".
    """

    scheme = "gs"

    def __init__(self, moto: MotoServer) -> None:
        super().__init__(moto.endpoint_url)
        self._moto = moto

    @property
    def variables(self) -> dict[str, str]:
        """What lockstep is to find in its environment."""
        return {"GOOGLE_BASE_URL": self.endpoint_url, "GOOGLE_BEARER_TOKEN": "any"}

    def create_bucket(self) -> str:
        """A bucket."""
        return self._moto.create_bucket()

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Ask moto, which wants to see a key and looks no further."""
        asked = {_as_amazon(name): value for name, value in headers.items() if name.lower() not in {"authorization", _GENERATION}}
        key = f"{self._moto.access_key_id}/20260101/us-east-1/s3/aws4_request"
        asked["Authorization"] = f"AWS4-HMAC-SHA256 Credential={key}, SignedHeaders=host, Signature=any"
        if any(name.lower() == _GENERATION for name in headers):
            asked["If-None-Match"] = "*"
        spelled = target.replace("%2D", "-")  # obstore's spelling of the bucket, which moto does not read
        answer = super().ask(method, spelled, asked, body)
        return Answer(answer.status, {_as_google(name): value for name, value in answer.headers.items()}, answer.body)


_GENERATION = "x-goog-if-generation-match"
"""Sent with 0: nothing may be there yet."""

_AMAZON, _GOOGLE = "x-amz-meta-", "x-goog-meta-"


def _as_amazon(name: str) -> str:
    return name.lower().replace(_GOOGLE, _AMAZON) if name.lower().startswith(_GOOGLE) else name


def _as_google(name: str) -> str:
    return name.lower().replace(_AMAZON, _GOOGLE) if name.lower().startswith(_AMAZON) else name
