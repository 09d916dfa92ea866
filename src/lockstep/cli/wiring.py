"""From settings to the things that operations work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.config.deployment import DeploymentSettings
from lockstep.config.encryption import EncryptionSettings, IdentitySettings, SigningSettings
from lockstep.config.repository import RepositorySettings
from lockstep.deployment import stores
from lockstep.deployment.deployment import Deployment
from lockstep.encryption.identities import Identities
from lockstep.encryption.keyring import Keyring
from lockstep.encryption.recipients import read_recipients
from lockstep.errors import ConfigurationError, PermissionMissing
from lockstep.model.addresses import StoreAddress
from lockstep.model.prune import Fate
from lockstep.objects.bucket_settings import open_bucket_settings
from lockstep.objects.store import ObjectStore
from lockstep.repository.place import open_place

if TYPE_CHECKING:
    from lockstep.encryption.signatures import SigningKey, VerifyKey


def open_deployment(settings: DeploymentSettings) -> Deployment:
    """The deployment that the settings name. Nothing is sent yet. Raises ConfigurationError when a part of it is not named."""
    database, _ = settings.needed()
    return Deployment(database, open_stores(settings), settings.app)


def open_stores(settings: DeploymentSettings, *, strict: bool = False) -> dict[str, ObjectStore]:
    """The stores alone, for what needs no database. The nodes of a RAID are one of them, `main`; `strict` is for what is restored."""
    return stores.open_stores(settings.needed_stores(), raid=settings.raid, strict=strict)


def open_repository_store(
    settings: RepositorySettings, encryption: EncryptionSettings | None = None, signing: SigningSettings | None = None
) -> ObjectStore:
    """The place of the repository, with the keys to it. Nothing is sent, and nothing is written.

    Raises ConfigurationError when a recipient or a key of signatures is none. Identities are read when they are needed.
    """
    return open_place(settings.address, _keyring(settings.identity, encryption or EncryptionSettings(), signing or SigningSettings()))


def fate_of_deleted(address: StoreAddress) -> Fate:
    """What becomes of the bytes of what is deleted at a place; asking a bucket takes two requests."""
    settings = open_bucket_settings(address)
    if settings is None:
        return "freed" if address.url.startswith("file:") else "unknown"
    try:
        if settings.versioning() not in {"on", "suspended"}:
            return "freed"
        return "locked" if settings.locks_objects() else "kept"
    except PermissionMissing:
        return "unknown"


def _keyring(identity: IdentitySettings, encryption: EncryptionSettings, signing: SigningSettings) -> Keyring:
    recipients = read_recipients(encryption.recipients)
    if encryption.encrypt_objects and not recipients:
        raise ConfigurationError("--encrypt-objects names nobody to encrypt to", hint="Name a public key with --recipient.")
    return Keyring(
        recipients,
        encryption.encrypt_objects,
        encryption.allow_plain,
        Identities(identity.files, identity.command),
        *_signature_keys(identity, signing),
    )


def _signature_keys(identity: IdentitySettings, signing: SigningSettings) -> tuple[SigningKey | None, bool, tuple[VerifyKey, ...]]:
    if signing.sign_with is None and not identity.verify_keys:
        return None, signing.allow_unsigned, ()
    from lockstep.encryption.signatures import read_signing_key, read_verify_keys  # not for those who have no signatures

    key = read_signing_key(signing.sign_with) if signing.sign_with else None
    return key, signing.allow_unsigned, read_verify_keys(identity.verify_keys)
