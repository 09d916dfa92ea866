"""From settings to the things that operations work on."""

from __future__ import annotations

from pathlib import Path

from lockstep.config.deployment import DeploymentSettings
from lockstep.config.repository import RepositorySettings
from lockstep.deployment.deployment import Deployment
from lockstep.errors import ConfigurationError
from lockstep.objects.addresses import parse_url
from lockstep.objects.open import open_store
from lockstep.objects.patient import PatientStore
from lockstep.objects.store import ObjectStore
from lockstep.repository.layout import WORK


def open_deployment(settings: DeploymentSettings) -> Deployment:
    """The deployment that the settings name. Nothing is sent yet. Raises ConfigurationError when a part of it is not named."""
    _refuse_raid(settings)
    database, addresses = settings.needed()
    return Deployment(database, {address.name: open_store(address) for address in addresses}, settings.app)


def open_stores(settings: DeploymentSettings) -> dict[str, ObjectStore]:
    """The stores alone, for what needs no database."""
    _refuse_raid(settings)
    return {address.name: open_store(address) for address in settings.needed_stores()}


def open_repository_store(settings: RepositorySettings) -> ObjectStore:
    """The place of the repository. Nothing is sent, and nothing is written."""
    place = parse_url(settings.address.url)
    if isinstance(place, Path):
        return open_store(settings.address, private=True, temporary=place / WORK)
    return PatientStore(open_store(settings.address, private=True))


def _refuse_raid(settings: DeploymentSettings) -> None:
    if settings.raid is not None:
        raise ConfigurationError(
            f"the blockstore is a {settings.raid} of several nodes, which this version does not back up",
            hint="Use one S3 bucket, or wait for the version of lockstep that knows RAID.",
        )
