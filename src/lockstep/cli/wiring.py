"""From settings to the things that operations work on."""

from __future__ import annotations

from pathlib import Path

from lockstep.config.deployment import DeploymentSettings
from lockstep.config.repository import RepositorySettings
from lockstep.deployment.deployment import Deployment
from lockstep.errors import ConfigurationError
from lockstep.objects.open import open_store
from lockstep.objects.store import ObjectStore
from lockstep.repository.layout import WORK


def open_deployment(settings: DeploymentSettings) -> Deployment:
    """The deployment that the settings name. Nothing is sent yet. Raises ConfigurationError when a part of it is not named."""
    _refuse_raid(settings)
    stores = {address.name: open_store(address) for address in settings.needed_stores()}
    return Deployment(settings.needed_database(), stores, settings.app)


def open_stores(settings: DeploymentSettings) -> dict[str, ObjectStore]:
    """The stores alone, for what needs no database."""
    _refuse_raid(settings)
    return {address.name: open_store(address) for address in settings.needed_stores()}


def open_repository_store(settings: RepositorySettings) -> ObjectStore:
    """The place of the repository. Nothing is sent, and nothing is written."""
    place = settings.address.url
    temporary = Path(place.removeprefix("file://")) / WORK if place.startswith("file://") else None
    return open_store(settings.address, private=True, temporary=temporary)


def _refuse_raid(settings: DeploymentSettings) -> None:
    if settings.raid is not None:
        raise ConfigurationError(
            f"the blockstore is a {settings.raid} of several nodes, which this version does not back up",
            hint="Use one S3 bucket, or wait for the version of lockstep that knows RAID.",
        )
