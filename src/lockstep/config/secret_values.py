"""Names the values in the settings that nobody may see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lockstep.config.conninfo import passwords_in, public_names_in
from lockstep.config.deployment import DeploymentSettings
from lockstep.model.addresses import StoreAddress

_SECRET_VARIABLES = (
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_KEY",
    "LOCKSTEP_REPO_SECRET_ACCESS_KEY",
    "LOCKSTEP_REPO_SESSION_TOKEN",
    "LOCKSTEP_REPO2_SECRET_ACCESS_KEY",
)
_OF_A_STORE = re.compile(r"LOCKSTEP_STORE_\w+_(SECRET_ACCESS_KEY|SESSION_TOKEN)")


def secrets_of_environment(environment: Mapping[str, str]) -> frozenset[str]:
    """The secrets that environment variables hold, before anything else is read."""
    names = {*_SECRET_VARIABLES, *(name for name in environment if _OF_A_STORE.fullmatch(name))}
    found = {environment.get(name, "") for name in names} | passwords_in(environment.get("LOCKSTEP_DATABASE", ""))
    return frozenset(value for value in found if value)


def secrets_of_arguments(arguments: Sequence[str]) -> frozenset[str]:
    """The passwords in connection strings among arguments, wherever they stand: an error in the arguments may quote them."""
    texts = [argument.partition("=")[2] if argument.startswith("--") else argument for argument in arguments]
    return frozenset().union(*(passwords_in(text) for text in texts))


def secrets_of_store(address: StoreAddress) -> frozenset[str]:
    """The secrets of one store."""
    return frozenset(value for value in (address.secret_access_key, address.session_token) if value)


def secrets_of_deployment(settings: DeploymentSettings) -> frozenset[str]:
    """The secrets of the database and of every store."""
    found = passwords_in(settings.database.conninfo) if settings.database else frozenset()
    return found.union(*(secrets_of_store(store) for store in (*settings.stores, settings.s3)))


def public_names_of(settings: DeploymentSettings) -> frozenset[str]:
    """User, database and host: words that may be shown although a careless password equals one of them."""
    return public_names_in(settings.database.conninfo) if settings.database else frozenset()
