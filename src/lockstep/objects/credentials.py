"""Who lockstep is to an S3 service: keys that were given, keys in the environment, or the chain of the AWS SDK."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from lockstep.errors import ConfigurationError, LockstepError, PermissionMissing
from lockstep.model.addresses import StoreAddress

CHAIN_LIFETIME = timedelta(minutes=10)
"""How long keys of the chain count as good. Asked for keys, botocore renews those that have less than 10 minutes left, so what
it gives is good for at least that long; obstore asks again 5 minutes before the end."""


RENEWAL_SECONDS = 60.0
"""How often the chain is asked again after a refusal, and how long keys count as new: a request takes less, a body is not refused."""


class Credentials(Protocol):
    """Keys for the two programs that speak to the service."""

    def for_obstore(self) -> Callable[[], Any]:
        """A function that returns the keys of the moment."""

    def boto_session(self) -> Any:
        """A boto3 session that signs with these keys."""

    def renew(self) -> bool:
        """Ask for other keys after some were refused; True when there are others by now, False when it is no use to try again."""


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """Keys that stay as they are.

    obstore gets them by a function too: as plain settings they would be mixed with AWS_SESSION_TOKEN of the environment.
    """

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def for_obstore(self) -> Callable[[], Any]:
        """A function that returns these keys, for ever."""
        keys = {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "token": self.session_token,
            "expires_at": None,
        }
        return lambda: keys

    def boto_session(self) -> Any:
        """A boto3 session with these keys."""
        import botocore.session
        from boto3.session import Session

        # Given keys need no profile: a file that cannot be read, or an AWS_PROFILE that does not exist, must not keep them from working.
        core = botocore.session.Session({"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)})
        core.set_credentials(self.access_key_id, self.secret_access_key, self.session_token)
        return Session(botocore_session=core)

    def renew(self) -> bool:
        """Never: nobody can be asked."""
        return False


class ChainKeys:
    """Keys of the AWS SDK's chain: profiles, SSO, web identity, container, instance; renewed by botocore."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._asked_at = self._renewed_at = -RENEWAL_SECONDS
        self._session, self._credentials = self._ask()
        self._given = self._credentials.get_frozen_credentials()

    def __eq__(self, other: object) -> bool:
        """True for the chain of another store: there is one chain in a process."""
        return isinstance(other, ChainKeys)

    def __hash__(self) -> int:
        """As equal as they are."""
        return hash(ChainKeys)

    def renew(self) -> bool:
        """Ask the whole chain again, as a new process would: a program is run, a file is read, a service is called.

        Requests that were under way when the keys changed are refused a little later: for a minute they count as renewed too.
        """
        with self._lock:
            if self._clock() - self._renewed_at < RENEWAL_SECONDS:
                return True
            if self._clock() - self._asked_at < RENEWAL_SECONDS:
                return False
            self._asked_at = self._clock()
            try:
                session, credentials = self._ask()
                given = credentials.get_frozen_credentials()
            except LockstepError:
                return False  # what was refused says more
            if given == self._given:
                return False
            self._session, self._credentials, self._given, self._renewed_at = session, credentials, given, self._clock()
            return True

    def _ask(self) -> tuple[Any, Any]:
        from boto3.session import Session
        from botocore.exceptions import BotoCoreError, ProfileNotFound

        try:
            session = Session()
            credentials = session.get_credentials()
            if credentials is not None:
                credentials.get_frozen_credentials()
        except ProfileNotFound as error:
            raise ConfigurationError(
                f"the AWS profile {os.environ.get('AWS_PROFILE', '')!r} does not exist",
                hint="Set AWS_PROFILE to a profile of ~/.aws/config.",
            ) from error
        except BotoCoreError as error:
            raise PermissionMissing(
                f"the S3 credentials cannot be had ({type(error).__name__})", hint="Sign in again, or give keys."
            ) from error
        if credentials is None:
            raise PermissionMissing(
                "no S3 credentials were found: neither in the settings of the store, nor in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "nor in a profile of ~/.aws, nor by SSO, web identity, container or instance metadata",
                hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
            )
        return session, credentials

    def for_obstore(self) -> Callable[[], Any]:
        """A function that asks botocore, which renews what is about to expire."""

        def keys() -> dict[str, Any]:
            frozen = self._given = self._credentials.get_frozen_credentials()
            return {
                "access_key_id": frozen.access_key,
                "secret_access_key": frozen.secret_key,
                "token": frozen.token,
                "expires_at": datetime.now(UTC) + CHAIN_LIFETIME,
            }

        return keys

    def boto_session(self) -> Any:
        """The session of the chain itself."""
        return self._session


def find_credentials(address: StoreAddress, *, environ: Mapping[str, str] | None = None) -> Credentials:
    """The keys for a store. Raises ConfigurationError for half a pair, PermissionMissing when there are none anywhere.

    boto3, whose import is slow, is loaded only when neither the address nor the environment holds keys.
    """
    environ = os.environ if environ is None else environ
    if address.access_key_id or address.secret_access_key:
        return _pair(
            address.access_key_id, address.secret_access_key, address.session_token, source=f"the settings of store {address.name}"
        )
    if environ.get("AWS_ACCESS_KEY_ID") or environ.get("AWS_SECRET_ACCESS_KEY"):
        token = environ.get("AWS_SESSION_TOKEN") or None
        return _pair(environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY"), token, source="the environment")
    return ChainKeys()


def _pair(key_id: str | None, secret: str | None, token: str | None, *, source: str) -> StaticKeys:
    if not key_id or not secret:
        missing = "access key id" if not key_id else "secret access key"
        raise ConfigurationError(f"{source} has no {missing} for S3", hint="Give both the access key id and the secret access key.")
    return StaticKeys(key_id, secret, token)
