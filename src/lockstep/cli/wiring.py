"""From settings to the things that operations work on."""

from __future__ import annotations

from pathlib import Path

from lockstep.config.deployment import DeploymentSettings
from lockstep.config.encryption import EncryptionSettings, IdentitySettings
from lockstep.config.repository import RepositorySettings
from lockstep.deployment.deployment import Deployment
from lockstep.encryption.identities import Identities
from lockstep.encryption.keyring import Keyring
from lockstep.encryption.recipients import read_recipients
from lockstep.errors import ConfigurationError, LockstepError
from lockstep.model.addresses import StoreAddress
from lockstep.objects.addresses import parse_url
from lockstep.objects.bucket_settings import open_bucket_settings
from lockstep.objects.open import open_store
from lockstep.objects.patient import PatientStore
from lockstep.objects.raid_modes import open_raid
from lockstep.objects.store import ObjectStore
from lockstep.repository.keyed_store import with_keyring
from lockstep.repository.layout import WORK


def open_deployment(settings: DeploymentSettings) -> Deployment:
    """The deployment that the settings name. Nothing is sent yet. Raises ConfigurationError when a part of it is not named."""
    database, _ = settings.needed()
    return Deployment(database, open_stores(settings), settings.app)


def open_stores(settings: DeploymentSettings, *, strict: bool = False) -> dict[str, ObjectStore]:
    """The stores alone, for what needs no database. The nodes of a RAID are one of them, `main`; `strict` is for what is restored."""
    stores = {address.name: open_store(address) for address in settings.needed_stores()}
    if settings.raid is None:
        return stores
    return {"main": open_raid(settings.raid, list(stores.values()), strict=strict)}


def open_repository_store(settings: RepositorySettings, encryption: EncryptionSettings | None = None) -> ObjectStore:
    """The place of the repository, with the keys to it. Nothing is sent, and nothing is written.

    Raises ConfigurationError when a recipient is none. Identities are read when they are needed.
    """
    place = parse_url(settings.address.url)
    if isinstance(place, Path):
        store: ObjectStore = open_store(settings.address, private=True, temporary=place / WORK)
    else:
        store = PatientStore(open_store(settings.address, private=True))
    return with_keyring(store, _keyring(settings.identity, encryption or EncryptionSettings()))


def keeps_versions(address: StoreAddress) -> bool:
    """True when a bucket is known to keep what is deleted in it as older versions; asking takes a request."""
    settings = open_bucket_settings(address)
    try:
        return settings is not None and settings.versioning() == "on"
    except LockstepError:  # these credentials may not ask
        return False


def _keyring(identity: IdentitySettings, encryption: EncryptionSettings) -> Keyring:
    recipients = read_recipients(encryption.recipients)
    if encryption.encrypt_objects and not recipients:
        raise ConfigurationError("--encrypt-objects names nobody to encrypt to", hint="Name a public key with --recipient.")
    return Keyring(recipients, encryption.encrypt_objects, encryption.allow_plain, Identities(identity.files, identity.command))
