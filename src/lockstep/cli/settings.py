"""Turns the options of a command into the settings it asked for, and tells the redactor their secrets."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from lockstep.cli.redaction import Redactor
from lockstep.config.deployment import DeploymentOptions, DeploymentSettings, deployment_settings
from lockstep.config.encryption import EncryptionSettings, IdentitySettings, SigningSettings
from lockstep.config.faults import Faults
from lockstep.config.file import FileSettings
from lockstep.config.keeping import KEEPING_KEYS, KeepingSettings
from lockstep.config.repository import RepositoryIfNamed, RepositorySettings, SecondSettings, repository_settings, second_settings
from lockstep.config.secret_values import public_names_of, secrets_of_deployment, secrets_of_store
from lockstep.errors import ConfigurationError

_NAMED_BY_HAND = ("database", "bucket", "raid", "endpoint_url")


def given_settings(
    needed: Collection[type], values: Mapping[str, Any], *, ranks: Mapping[str, int], file: FileSettings, redactor: Redactor
) -> dict[type, Any]:
    """The settings of each needed kind. Raises one ConfigurationError with the faults of all of them.

    `ranks` says how strong the source of each value is: `--parsec-env` and the options that it replaces are in conflict only where
    they come from the same kind of source; else the stronger source wins, as with every other option.
    """
    if not {DeploymentSettings, RepositorySettings, RepositoryIfNamed}.intersection(needed):
        return {}
    faults = Faults()
    settings: dict[type, Any] = {}
    deployment = DeploymentSettings()
    try:
        deployment = deployment_settings(_deployment_options(values, ranks), environment=os.environ)
        settings[DeploymentSettings] = deployment
    except ConfigurationError as error:
        faults.take(error)
    redactor.learn(secrets_of_deployment(deployment), public=public_names_of(deployment))
    keeping = KeepingSettings(**{key: values.get(key) for key in KEEPING_KEYS}) if KeepingSettings in needed else None
    if keeping is not None:
        settings[KeepingSettings] = keeping
    second = SecondSettings in needed  # then it is the one that is written to
    if RepositoryIfNamed in needed:
        settings[RepositoryIfNamed] = RepositoryIfNamed()
    if RepositorySettings in needed or (RepositoryIfNamed in needed and values["repo"]):
        try:
            repository = repository_settings(
                values["repo"], deployment, table=file.repository, environment=os.environ, keeping=None if second else keeping
            )
            redactor.learn(secrets_of_store(repository.address))
            repository = replace(repository, identity=_identity_settings(values))
            settings |= {RepositorySettings: repository, RepositoryIfNamed: RepositoryIfNamed(repository)}
            if second:
                settings[SecondSettings] = second_settings(
                    values["repo2"], repository.address, deployment, table=file.repository2, environment=os.environ, keeping=keeping
                )
                redactor.learn(secrets_of_store(settings[SecondSettings].address))
        except ConfigurationError as error:
            faults.take(error)
    if EncryptionSettings in needed:
        settings[EncryptionSettings] = EncryptionSettings(
            tuple(values.get("recipient") or ()), values.get("encrypt_objects") or False, values.get("allow_plain") or False
        )
    if SigningSettings in needed:
        settings[SigningSettings] = SigningSettings(values.get("sign_with"), values.get("allow_unsigned") or False)
    faults.check()
    return settings


def _identity_settings(values: Mapping[str, Any]) -> IdentitySettings:
    return IdentitySettings(tuple(values.get("identity") or ()), values.get("identity_command"), tuple(values.get("verify_key") or ()))


def _deployment_options(values: Mapping[str, Any], ranks: Mapping[str, int]) -> DeploymentOptions:
    by_hand = max((ranks.get(name, 0) for name in _NAMED_BY_HAND if values.get(name)), default=0)
    from_parsec = ranks.get("parsec_env", 0) if values.get("parsec_env") else 0
    dropped = ("parsec_env",) if by_hand > from_parsec else _NAMED_BY_HAND if from_parsec > by_hand else ()
    kept = {name: value for name, value in values.items() if name not in dropped}
    return DeploymentOptions(
        database=kept.get("database"),
        bucket=tuple(kept.get("bucket") or ()),
        raid=kept.get("raid"),
        endpoint_url=kept.get("endpoint_url"),
        ca_bundle=kept.get("ca_bundle"),
        virtual_hosted=kept.get("virtual_hosted") or False,
        parsec_env=tuple(kept.get("parsec_env") or ()),
        app=kept.get("app"),
        client_programs=kept.get("client_programs"),
    )
