"""The stores that the contract is held against, and a server that answers whatever a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore.store
import pytest

from lockstep.model.addresses import StoreAddress
from lockstep.model.raid import RaidMode
from lockstep.objects.addresses import BucketUrl
from lockstep.objects.cloud import CloudObjectStore
from lockstep.objects.memory import MemoryStore
from lockstep.objects.open import open_store
from lockstep.objects.raid_modes import open_raid
from lockstep.objects.s3 import S3ObjectStore
from lockstep.objects.store import ObjectStore
from support.clouds import Azurite, GoogleXml, find_azurite
from support.servers import MotoServer, RcloneS3, SeaweedFS

PLAIN_KEYS = (
    "a",
    "Acme/0123",
    "Acme/0124",
    "Acme-EU/0001",
    "%41",
    "%2F",
    "q?x=1",
    "h#x",
    "🙂/🙃",
    "\u00e9",
    "e\u0301",
    "sp ace",
    "end ",
    "plus+",
    "a&b<c>",
    "*",
    "...",
    ".hidden",
    "{}|^`[]\"'",
    "\u00a0",
    "\ufeff",
)
CONTROL_KEYS = ("c\x01d", "del\x7fx", "t\tb")
PATH_KEYS = ("a/b", "a//b", "dir/", "/abs", "../up", "x/../y", "./dot", "x/./y", "//")


@dataclass(frozen=True)
class Kind:
    """A store that is empty, and what the contract lets it do differently."""

    name: str
    store: ObjectStore
    keys: tuple[str, ...]
    keeps_attributes: bool = True
    gives_etags: bool = True
    etags_are_md5: bool = True
    lists_in_order: bool = True
    metadata_names: tuple[str, ...] = ()
    """The only names of user metadata that it takes; empty: all that a header can carry."""

    @property
    def is_s3(self) -> bool:
        return isinstance(self.store, S3ObjectStore)

    @property
    def is_cloud(self) -> bool:
        return isinstance(self.store, CloudObjectStore)


KINDS = ("raid1", "raid5", "memory", "directory", "cloud", "google", "azure", "moto", "moto-prefix", "seaweedfs", "seaweedfs-prefix")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    name = str(request.param)
    if name == "memory":
        return Kind(name, MemoryStore(), PLAIN_KEYS + CONTROL_KEYS + PATH_KEYS + ("n\nl",))
    if name.startswith("raid"):
        mode: RaidMode = "raid1" if name == "raid1" else "raid5"
        raid = open_raid(mode, [MemoryStore(f"memory://node{number}") for number in range(3)])
        return Kind(name, raid, PLAIN_KEYS + CONTROL_KEYS + PATH_KEYS + ("n\nl",))
    if name == "directory":
        (tmp_path / "bucket").mkdir()
        store = open_store(StoreAddress((tmp_path / "bucket").as_uri()))
        return Kind(name, store, PLAIN_KEYS, keeps_attributes=False, gives_etags=False)
    if name in {"cloud", "google", "azure"}:
        return _cloud_kind(name, request)
    return _s3_kind(name, request)


def _cloud_kind(name: str, request: pytest.FixtureRequest) -> Kind:
    if name == "cloud":  # obstore's own store in memory
        memory = CloudObjectStore(obstore.store.MemoryStore(), BucketUrl("gs", "bucket", "some/pre fix/"), endpoint="memory")
        return Kind(name, memory, PLAIN_KEYS, etags_are_md5=False)
    service: GoogleXml | Azurite = request.getfixturevalue("google_xml" if name == "google" else "azurite")
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for variable, value in service.variables.items():
        monkeypatch.setenv(variable, value)
    store = open_store(StoreAddress(f"{service.scheme}://{service.create_bucket()}/some/pre fix"))
    if name == "google":
        return Kind(name, store, PLAIN_KEYS)
    # Azurite lists in the order of UTF-16.
    return Kind(name, store, PLAIN_KEYS, etags_are_md5=False, lists_in_order=False, metadata_names=("colour", "x1"))


def _s3_kind(name: str, request: pytest.FixtureRequest) -> Kind:
    prefix = "some/pre fix" if name.endswith("-prefix") else ""
    if name.startswith("moto"):
        moto: MotoServer = request.getfixturevalue("moto_server")
        store = open_store(moto.address(moto.create_bucket(), prefix=prefix))
        return Kind(name, store, PLAIN_KEYS + CONTROL_KEYS + PATH_KEYS)  # moto answers 404 to a key with a newline
    weed: SeaweedFS = request.getfixturevalue("s3_server")
    store = open_store(weed.address(weed.create_bucket(), prefix=prefix))
    # SeaweedFS itself takes `a//b` for `a/b`, `/abs` for `abs` and `dir/` for a directory, and refuses dot segments.
    return Kind(name, store, (*PLAIN_KEYS, *CONTROL_KEYS, "n\nl", "a/b"), lists_in_order=False)


@pytest.fixture(scope="session")
def google_xml(moto_server: MotoServer) -> Iterator[GoogleXml]:
    with GoogleXml(moto_server) as service:
        yield service


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Microsoft's emulator; where it is not installed, the test is skipped."""
    program = find_azurite()
    if program is None:
        pytest.skip("Azurite is not installed (npm install azurite; then AZURITE=…/node_modules/.bin/azurite-blob)")
    with Azurite(program, tmp_path_factory.mktemp("azurite")) as service:
        yield service


@pytest.fixture
def store(kind: Kind) -> ObjectStore:
    return kind.store


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[RcloneS3]:
    with RcloneS3(tmp_path / "rclone") as server:
        yield server


def ask_for_small_pages(store: ObjectStore, size: int) -> None:
    """Make an S3 store ask for pages of `size`, so that a few objects fill several of them."""
    assert isinstance(store, S3ObjectStore)

    def limit(params: dict[str, Any], **_: object) -> None:
        params["MaxKeys"] = size

    events = store.any_road().client.meta.events
    for operation in ("ListObjectsV2", "ListObjectVersions"):
        events.register(f"before-parameter-build.s3.{operation}", limit)


Answering = Callable[[bytes], StoreAddress]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Start a server that gives the same answer, byte for byte, to every request, and then hangs up."""
    over = threading.Event()
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, answer: bytes) -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with closing(connection):
                    connection.recv(65536)
                    connection.sendall(answer)

    def start(answer: bytes) -> StoreAddress:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.2)
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
        return _address(f"http://127.0.0.1:{listener.getsockname()[1]}")

    yield start
    over.set()
    for listener in listeners:
        listener.close()


def _address(endpoint_url: str) -> StoreAddress:
    return StoreAddress("s3://bucket", endpoint_url=endpoint_url, access_key_id="id", secret_access_key="secret", region="us-east-1")


@pytest.fixture
def address_at() -> Callable[[str], StoreAddress]:
    """The address of `s3://bucket` at an endpoint."""
    return _address
