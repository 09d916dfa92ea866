"""From the options of scaling out to who copies."""

from __future__ import annotations

from pathlib import Path

from lockstep.cli.worker import COMMAND
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.repository import RepositorySettings
from lockstep.encryption.keyring import Keyring
from lockstep.model.workers import Places, secret_variables, without_secrets
from lockstep.operations.scale_out import ScaleOut


def scale_out(
    deployment: DeploymentSettings, repository: RepositorySettings, keyring: Keyring, *, workers: int | None, temporary: Path | None
) -> ScaleOut | None:
    """Who copies; None when this process does. The secrets of the stores go into the environment of this machine's workers alone."""
    if workers is None:
        return None
    places = Places(
        stores=tuple(without_secrets(store) for store in deployment.stores),
        repository=without_secrets(repository.address),
        raid=deployment.raid,
        recipients=keyring.recipients,
        encrypt_objects=keyring.encrypt_objects,
    )
    secrets = secret_variables(deployment.stores, repository.address)
    return ScaleOut(places, workers, COMMAND, secrets, str(temporary.absolute()) if temporary else None)
