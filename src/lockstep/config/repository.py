"""Builds the frozen settings of a repository: its place, and the access that it has of its own or shares with the deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lockstep.config.deployment import DeploymentSettings
from lockstep.config.encryption import IdentitySettings
from lockstep.config.faults import Faults
from lockstep.config.keeping import KEEPING_KEYS, KeepingSettings, keeping_of
from lockstep.config.places import as_file_url, checked_endpoint, checked_store_url, expanded, has_scheme
from lockstep.model.addresses import StoreAddress

# The keys of the tables `[repository]` and `[repository2]` in lockstep.toml, each with a variable: LOCKSTEP_REPO_<KEY>,
# LOCKSTEP_REPO2_<KEY>.
REPOSITORY_KEYS = ("endpoint_url", "access_key_id", "secret_access_key", "region", "ca_bundle", *KEEPING_KEYS)


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """Where the repository is and how to get in, and how to read what is encrypted there."""

    address: StoreAddress
    identity: IdentitySettings = field(default_factory=IdentitySettings)


@dataclass(frozen=True, slots=True)
class RepositoryIfNamed:
    """The repository of a command that can do without: None when none is named."""

    settings: RepositorySettings | None = None


@dataclass(frozen=True, slots=True)
class SecondSettings:
    """Where the second repository of a copy is and how to get in."""

    address: StoreAddress


def repository_settings(
    repo: str | None,
    deployment: DeploymentSettings,
    *,
    table: Mapping[str, str],
    environment: Mapping[str, str],
    keeping: KeepingSettings | None = None,
) -> RepositorySettings:
    """The repository that `--repo` names, a plain path as an absolute file:// URL.

    `table` is `[repository]` of the configuration file; a variable `LOCKSTEP_REPO_…` wins over it, and what neither sets is that of
    the deployment (S3 only). `keeping` is given by commands that write into it. Raises ConfigurationError with all the faults at once.
    """
    faults = Faults()
    if not repo:
        faults.add("no repository is named", hint="Name a directory or an s3:// URL with --repo.")
        faults.check()
    address = _address(repo or "", "REPO", deployment, table=table, environment=environment, keeping=keeping, faults=faults)
    faults.check()
    return RepositorySettings(address)


def second_settings(
    repo2: str,
    first: StoreAddress,
    deployment: DeploymentSettings,
    *,
    table: Mapping[str, str],
    environment: Mapping[str, str],
    keeping: KeepingSettings | None = None,
) -> SecondSettings:
    """The second repository, likewise: `[repository2]`, `LOCKSTEP_REPO2_…`, and what neither sets is that of the deployment."""
    faults = Faults()
    address = _address(repo2, "REPO2", deployment, table=table, environment=environment, keeping=keeping, faults=faults)
    if (address.url, address.endpoint_url) == (first.url, first.endpoint_url):
        faults.add("the second repository is the first one", hint="Name another place to copy to.")
    faults.check()
    return SecondSettings(address)


def _address(
    repo: str,
    name: str,
    deployment: DeploymentSettings,
    *,
    table: Mapping[str, str],
    environment: Mapping[str, str],
    keeping: KeepingSettings | None,
    faults: Faults,
) -> StoreAddress:
    url = _url(repo, shown="--repo" if name == "REPO" else "the second repository", faults=faults)
    own = {key: environment.get(f"LOCKSTEP_{name}_{key.upper()}") or table.get(key) or None for key in REPOSITORY_KEYS}
    address = StoreAddress(url, name="repository")
    if url.startswith("s3://"):
        address = _s3_address(url, own, deployment.s3, variables=f"LOCKSTEP_{name}_", faults=faults)
    elif url.startswith(("gs://", "az://")):
        address = _cloud_address(url, own, variables=f"LOCKSTEP_{name}_", faults=faults)
    if keeping is not None:
        address = replace(address, keeping=keeping_of(keeping, own, url=url, faults=faults))
    for store in deployment.stores:
        _check_apart(address, store, faults=faults)
    return address


def _url(repo: str, *, shown: str, faults: Faults) -> str:
    if not has_scheme(repo):
        return as_file_url(repo)
    checked_store_url(repo, name=shown, faults=faults)
    return repo.rstrip("/") if not repo.startswith("file:///") else "file://" + (repo.removeprefix("file://").rstrip("/") or "/")


def _s3_address(url: str, own: Mapping[str, str | None], shared: StoreAddress, *, variables: str, faults: Faults) -> StoreAddress:
    """The repository's address in an object store: what is its own, else what the deployment has."""
    address = replace(shared, url=url, name="repository")
    if endpoint := own["endpoint_url"]:
        checked_endpoint(endpoint, name="the endpoint of the repository", faults=faults)
        address = replace(address, endpoint_url=endpoint)
    key, secret = own["access_key_id"], own["secret_access_key"]
    if bool(key) != bool(secret):
        lacking = "SECRET_ACCESS_KEY" if key else "ACCESS_KEY_ID"
        table = "repository2" if variables.endswith("2_") else "repository"
        faults.add(
            "the repository has only half of a pair of keys of its own",
            hint=f"Set {variables}{lacking} too, or {lacking.lower()} under [{table}] in lockstep.toml.",
        )
    elif key:
        address = replace(address, access_key_id=key, secret_access_key=secret, session_token=None)
    if region := own["region"]:
        address = replace(address, region=region)
    if ca_bundle := own["ca_bundle"]:
        address = replace(address, ca_bundle=_ca_bundle(ca_bundle, faults=faults))
    return address


def _cloud_address(url: str, own: Mapping[str, str | None], *, variables: str, faults: Faults) -> StoreAddress:
    """The repository's address in Google's or Microsoft's service, where whoever signs in is known to the service's own variables alone."""
    for key in ("access_key_id", "secret_access_key", "region"):
        if own[key]:
            service, name = (
                ("Azure", "AZURE_STORAGE_ACCOUNT_NAME") if url.startswith("az://") else ("Google", "GOOGLE_APPLICATION_CREDENTIALS")
            )
            faults.add(
                f"{variables}{key.upper()} is for S3, and the repository is at {url}", hint=f"Set {service}'s own, {name} and its kin."
            )
    if own["endpoint_url"]:
        checked_endpoint(own["endpoint_url"], name="the endpoint of the repository", faults=faults)
    ca_bundle = _ca_bundle(own["ca_bundle"], faults=faults) if own["ca_bundle"] else None
    return StoreAddress(url, name="repository", endpoint_url=own["endpoint_url"], ca_bundle=ca_bundle)


def _ca_bundle(file: str, *, faults: Faults) -> str:
    path = expanded(file).absolute()
    if not path.is_file():
        faults.add(f"the CA bundle of the repository, {path}, is not a file", hint="Name a file with certificates in PEM form.")
    return str(path)


def _check_apart(repository: StoreAddress, store: StoreAddress, *, faults: Faults) -> None:
    """Refuse a repository inside a store that it keeps: what destroys one would destroy the other."""
    same_service = repository.endpoint_url == store.endpoint_url
    if same_service and f"{repository.url}/".startswith(f"{store.url}/"):
        faults.add("the repository lies inside the store that it is to keep", hint="Name another bucket or directory with --repo.")
