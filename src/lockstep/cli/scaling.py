"""From the options of scaling out to who moves objects."""

from __future__ import annotations

from pathlib import Path

from lockstep.cli.worker import COMMAND
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.places import expanded
from lockstep.config.repository import RepositorySettings
from lockstep.encryption.keyring import NO_KEYS, Keyring
from lockstep.errors import ConfigurationError
from lockstep.model.workers import Places, secret_variables, without_secrets
from lockstep.operations.scale_out import ScaleOut


def scale_out(
    deployment: DeploymentSettings | None,
    repository: RepositorySettings,
    keyring: Keyring = NO_KEYS,
    *,
    workers: int | None,
    dask: str | None,
    temporary: Path | None,
    strict: bool = False,
    server_side_copy: bool | None = None,
) -> ScaleOut | None:
    """Who moves objects, or reads them where there is no `deployment`; None when this process does.

    The secrets of the stores go into the environment of this machine's workers alone.
    `keyring` has the recipients of what is written, `strict` is for what is restored into.
    Raises ConfigurationError when two kinds of workers are asked for.
    """
    if workers is None and dask is None:
        return None
    if workers is not None and dask is not None:
        raise ConfigurationError("--workers and --dask are both given", hint="Use one of them: workers here, or those of a cluster.")
    stores = deployment.stores if deployment else ()
    places = Places(
        stores=tuple(without_secrets(store) for store in stores),
        repository=without_secrets(repository.address),
        raid=deployment.raid if deployment else None,
        strict=strict,
        recipients=keyring.recipients,
        encrypt_objects=keyring.encrypt_objects,
        identity_files=tuple(str(expanded(path).absolute()) for path in repository.identity.files),
        identity_command=repository.identity.command,
        server_side_copy=server_side_copy,
    )
    if dask is not None:
        return ScaleOut(places, dask=dask)
    secrets = secret_variables(stores, repository.address)
    return ScaleOut(places, workers or 1, COMMAND, secrets, str(temporary.absolute()) if temporary else None)
