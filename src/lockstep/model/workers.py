"""What is said between the process of a run and the workers that move objects for it: plain values, and never a secret.

A worker takes its secrets from its own environment: each store's from LOCKSTEP_STORE_<NAME>_ACCESS_KEY_ID, _SECRET_ACCESS_KEY and
_SESSION_TOKEN, the repository's from LOCKSTEP_REPO_…; without them, from the standard chain of the service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from lockstep.errors import FaultKind
from lockstep.model.addresses import StoreAddress
from lockstep.model.raid import RaidMode

REPOSITORY = ":repository"
"""The repository among the stores of which something is told; no store can have this name."""

REPOSITORY_VARIABLE = "LOCKSTEP_REPO"
"""How the environment variables with the secrets of the repository begin."""

_SECRETS = ("access_key_id", "secret_access_key", "session_token")


@dataclass(frozen=True, slots=True)
class Places:
    """Where a worker reads and writes. The addresses hold no secrets.

    `strict` is how a RAID is opened that is restored into. `recipients` are public keys; identities are named by where they are found.
    `server_side_copy`: whether the S3 service may copy by itself (None: where it tells a SHA-256).
    """

    stores: tuple[StoreAddress, ...]
    repository: StoreAddress
    raid: RaidMode | None = None
    strict: bool = False
    recipients: tuple[str, ...] = ()
    encrypt_objects: bool = False
    identity_files: tuple[str, ...] = ()
    identity_command: str | None = None
    server_side_copy: bool | None = None


@dataclass(frozen=True, slots=True)
class Copying:
    """Objects of the stores are copied into the repository; `fail_fast` ends the run at the first that is missing."""

    fail_fast: bool = False


@dataclass(frozen=True, slots=True)
class Uploading:
    """Objects of the repository are brought back into the stores; see `Uploader`."""

    overwrite: bool
    verify: bool
    ask_each: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """Objects of the repository are read where they lie, and held against their checksums."""


Work: TypeAlias = Copying | Uploading | Reading
"""What is done with the objects of a shard."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Objects for one worker, and what to do with them.

    They are a `Wanted` each to copy, an inventory's entry and what lies there already to upload, a `Place` to read. `proof` is what the
    worker must find in the repository: the token of the run's lock to copy, else the repository's id ("" to read where that is damaged).
    `version` is the lockstep that asks. After `seconds` the worker begins no further object: what is left goes back. `threads` objects are
    in flight (None: found out). A `far` worker makes what it moved durable before it reports it, and stops copying when the lock is not
    the run's any more: nobody else could see to it. `temporary` is where large objects may be spooled.
    """

    places: Places
    work: Work
    proof: str
    version: str
    objects: tuple[Any, ...]
    seconds: float
    threads: int | None = None
    far: bool = False
    temporary: str | None = None


@dataclass(frozen=True, slots=True)
class CarriedError:
    """An error of lockstep on its way between processes; `kind` is the name of its class."""

    kind: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class StoreTold:
    """What happened at one store since it was last told: requests by kind, and each fault with a sentence about it."""

    requests: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[tuple[FaultKind, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NodeTold:
    """What was noticed at one node of a RAID since it was last told; see `RaidNodes`."""

    number: int
    fault: CarriedError | None = None
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What became of a shard: of each object that was moved or could not be, what is left, and what it cost.

    `told` is by the name of the store, `notes` are warnings. `process` tells workers apart; `peak_rss` is the most memory, in bytes, that
    it held so far.
    """

    outcomes: tuple[Any, ...] = ()
    left: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()
    told: Mapping[str, StoreTold] = field(default_factory=dict)
    nodes: tuple[NodeTold, ...] = ()
    error: CarriedError | None = None
    process: str = ""
    peak_rss: int = 0


def without_secrets(address: StoreAddress) -> StoreAddress:
    """The address as it may travel."""
    return replace(address, access_key_id=None, secret_access_key=None, session_token=None)


def with_secrets(places: Places, environment: Mapping[str, str]) -> Places:
    """The places with the secrets that the environment has for them; without any, the service's own chain decides.

    A repository without keys of its own has those of the first S3 store, as on the command line.
    """
    stores = tuple(_filled(store, store_variable(store.name), environment) for store in places.stores)
    repository = _filled(places.repository, REPOSITORY_VARIABLE, environment)
    shared = next((store for store in stores if store.url.startswith("s3://")), None)
    if shared is not None and repository.access_key_id is None and repository.url.startswith("s3://"):
        key_id, secret, token = shared.access_key_id, shared.secret_access_key, shared.session_token
        repository = replace(repository, access_key_id=key_id, secret_access_key=secret, session_token=token)
    return replace(places, stores=stores, repository=repository)


def secret_variables(stores: Sequence[StoreAddress], repository: StoreAddress) -> dict[str, str]:
    """The environment variables from which `with_secrets` takes what these addresses hold; an empty one stands for what they don't."""
    named = [(store_variable(store.name), store) for store in stores] + [(REPOSITORY_VARIABLE, repository)]
    return {f"{variable}_{name.upper()}": getattr(address, name) or "" for variable, address in named for name in _SECRETS}


def store_variable(name: str) -> str:
    """How the environment variables with the secrets of a store begin."""
    return f"LOCKSTEP_STORE_{name.replace('-', '_').upper()}"


def _filled(address: StoreAddress, variable: str, environment: Mapping[str, str]) -> StoreAddress:
    key_id, secret, token = (environment.get(f"{variable}_{name.upper()}") or None for name in _SECRETS)
    return replace(address, access_key_id=key_id, secret_access_key=secret, session_token=token)
