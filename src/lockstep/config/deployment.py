"""Builds the frozen settings of a deployment and of a repository from options, environment and configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lockstep.config.conninfo import is_conninfo
from lockstep.config.faults import Faults
from lockstep.config.parsec_env import read_parsec_env
from lockstep.config.places import checked_endpoint, checked_store_url, expanded
from lockstep.errors import ConfigurationError
from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.raid import RAID5_LEAST_NODES, RaidMode

_STORE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NAMED = re.compile(r"(?P<name>[^=:/]*)=(?P<url>.*)", re.DOTALL)
_RAID_LEAST_NODES = 2
_NAME_STORES = "Name each store: --bucket name=URL, with different names of letters, digits, _ and -."


@dataclass(frozen=True, slots=True)
class DeploymentOptions:
    """The options that name a deployment, as they were given. `bucket` holds `URL` or `name=URL` each, in node order with `raid`."""

    database: str | None = field(default=None, repr=False)
    bucket: Sequence[str] = ()
    raid: RaidMode | None = None
    endpoint_url: str | None = None
    ca_bundle: Path | None = None
    virtual_hosted: bool = False
    parsec_env: Sequence[Path] = ()
    app: str | None = None
    client_programs: Path | None = None


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """A deployment as it was named.

    `database` is None when nothing names one; `stores` is empty when nothing names one, or when `objects_in_database`; `raid` says that
    they are the nodes of one store, in their order; `s3` is how S3 is reached where nothing else is said: as the first store is, else
    as the options say.
    """

    database: DatabaseAddress | None = None
    stores: tuple[StoreAddress, ...] = ()
    app: str | None = None
    raid: RaidMode | None = None
    objects_in_database: bool = False
    s3: StoreAddress = field(default_factory=lambda: StoreAddress("s3://"))

    def needed_database(self) -> DatabaseAddress:
        """The database. Raises ConfigurationError when nothing names one."""
        if self.database is None:
            raise ConfigurationError("no database is named", hint="Name it with --database or --parsec-env, or set PGDATABASE and its kin.")
        return self.database

    def needed_stores(self) -> tuple[StoreAddress, ...]:
        """The stores, at least one unless the objects are in the database. Raises ConfigurationError when nothing names one."""
        if not self.stores and not self.objects_in_database:
            raise ConfigurationError("no object store is named", hint="Name it with --bucket or --parsec-env.")
        return self.stores

    def needed(self) -> tuple[DatabaseAddress, tuple[StoreAddress, ...]]:
        """Database and stores. Raises one ConfigurationError for whatever nothing names."""
        faults = Faults()
        for need in (self.needed_database, self.needed_stores):
            try:
                need()
            except ConfigurationError as error:
                faults.take(error)
        faults.check()
        return self.needed_database(), self.needed_stores()


def deployment_settings(options: DeploymentOptions, *, environment: Mapping[str, str]) -> DeploymentSettings:
    """The deployment that the options name; reads the env files of `--parsec-env`, nothing else.

    `PG*` variables count as naming a database; `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` and `AWS_CA_BUNDLE` are defaults of their
    options. Raises ConfigurationError with all the faults at once.
    """
    faults = Faults()
    client_programs = _existing_directory(options.client_programs, faults=faults)
    ca_bundle = _ca_bundle(options.ca_bundle, environment=environment, faults=faults)
    app = _app(options.app)
    if options.parsec_env:
        _check_conflicts(options, faults=faults)
        settings = _parsec_settings(options.parsec_env, environment=environment, faults=faults)
    else:
        settings = DeploymentSettings(
            database=_database(options.database, environment=environment, faults=faults),
            stores=_stores(options, environment=environment, faults=faults),
            raid=options.raid,
        )
        _endpoint(options.endpoint_url, environment=environment, faults=faults)
    faults.check()
    stores = tuple(replace(store, ca_bundle=ca_bundle, virtual_hosted=options.virtual_hosted) for store in settings.stores)
    database = settings.database and replace(settings.database, client_programs=client_programs)
    s3 = next((store for store in stores if store.url.startswith("s3://")), None)
    if s3 is None:
        endpoint = _endpoint(options.endpoint_url, environment=environment, faults=Faults())
        s3 = StoreAddress("s3://", endpoint_url=endpoint, ca_bundle=ca_bundle, virtual_hosted=options.virtual_hosted)
    return replace(settings, database=database, stores=stores, app=app, s3=s3)


def _check_conflicts(options: DeploymentOptions, *, faults: Faults) -> None:
    given = {
        "--database": options.database,
        "--bucket": options.bucket,
        "--raid": options.raid,
        "--endpoint-url": options.endpoint_url,
    }
    for name, value in given.items():
        if value:
            faults.add(
                f"--parsec-env and {name} are both given", hint="Use either --parsec-env or --database, --bucket and --endpoint-url."
            )


def _parsec_settings(paths: Sequence[Path], *, environment: Mapping[str, str], faults: Faults) -> DeploymentSettings:
    try:
        parsec = read_parsec_env(paths, environment=environment)
    except ConfigurationError as error:
        faults.take(error)
        return DeploymentSettings()
    return DeploymentSettings(parsec.database, parsec.stores, raid=parsec.raid, objects_in_database=not parsec.stores)


def _database(conninfo: str | None, *, environment: Mapping[str, str], faults: Faults) -> DatabaseAddress | None:
    if conninfo is None:
        named = any(environment.get(name) for name in ("PGDATABASE", "PGHOST", "PGHOSTADDR", "PGSERVICE", "PGUSER"))
        return DatabaseAddress() if named else None
    if not is_conninfo(conninfo):
        faults.add(
            "--database is neither a postgresql:// URI nor key=value pairs", hint="Write it as postgresql://user@host:port/database."
        )
    return DatabaseAddress(conninfo=conninfo)


def _stores(options: DeploymentOptions, *, environment: Mapping[str, str], faults: Faults) -> tuple[StoreAddress, ...]:
    endpoint = _endpoint(options.endpoint_url, environment=environment, faults=faults)
    stores: list[StoreAddress] = []
    for number, text in enumerate(options.bucket):
        named = _NAMED.fullmatch(text)
        name, url = (named["name"], named["url"]) if named else (f"node{number}" if options.raid else "main", text)
        if not _STORE_NAME.fullmatch(name):
            faults.add("the name before = in --bucket is not lower-case letters, digits, _ and -", hint=_NAME_STORES)
        elif checked_store_url(url, name="--bucket", faults=faults):
            stores.append(StoreAddress(url=url.rstrip("/"), name=name, endpoint_url=endpoint if url.startswith("s3://") else None))
    for number, store in enumerate(stores):
        if store.name in (other.name for other in stores[:number]):
            faults.add(f"two stores are named {store.name}", hint=_NAME_STORES)
        if store.url in (other.url for other in stores[:number]):
            faults.add(f"{store.url} is named twice", hint="Name each store once.")
    if options.raid:
        _check_nodes(options.raid, len(options.bucket), faults=faults)
    return tuple(stores)


def _check_nodes(raid: RaidMode, nodes: int, *, faults: Faults) -> None:
    least = RAID5_LEAST_NODES if raid == "raid5" else _RAID_LEAST_NODES
    if nodes < least:
        faults.add(
            f"--raid {raid} needs {least} stores or more, and {nodes} {'is' if nodes == 1 else 'are'} named",
            hint="Name every node with --bucket, in the order that the application knows.",
        )


def _endpoint(option: str | None, *, environment: Mapping[str, str], faults: Faults) -> str | None:
    """The S3 endpoint: the option, else the variables that the AWS tools know, else None."""
    sources = {"--endpoint-url": option} | {name: environment.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")}
    for name, value in sources.items():
        if value:
            checked_endpoint(value, name=name, faults=faults)
            return value
    return None


def _ca_bundle(option: Path | None, *, environment: Mapping[str, str], faults: Faults) -> str | None:
    name, value = ("--ca-bundle", option) if option else ("AWS_CA_BUNDLE", environment.get("AWS_CA_BUNDLE"))
    if not value:
        return None
    path = expanded(value).absolute()
    if not path.is_file():
        faults.add(f"{name} {path} is not a file", hint="Name a file with the certificates of the trusted authority in PEM form.")
    return str(path)


def _existing_directory(path: Path | None, *, faults: Faults) -> str | None:
    if path is None:
        return None
    path = expanded(path).absolute()
    if not path.is_dir():
        faults.add(f"--client-programs {path} is not a directory", hint="Name the directory that holds pg_dump, pg_restore and psql.")
    return str(path)


def _app(app: str | None) -> str | None:
    if app is None or not app.endswith(".toml"):
        return app
    return str(expanded(app).absolute())
