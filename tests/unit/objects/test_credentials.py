from __future__ import annotations

import pytest

from lockstep.errors import ConfigurationError
from lockstep.model.addresses import StoreAddress
from lockstep.objects.credentials import StaticKeys, find_credentials

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "env-id", "AWS_SECRET_ACCESS_KEY": "env-secret", "AWS_SESSION_TOKEN": "env-token"}


def test_the_keys_of_the_address_win_and_bring_their_own_token() -> None:
    found = find_credentials(StoreAddress("s3://b", access_key_id="id", secret_access_key="secret"), environ=ENVIRONMENT)
    assert found.for_obstore()() == {"access_key_id": "id", "secret_access_key": "secret", "token": None, "expires_at": None}
    frozen = found.boto_session().get_credentials().get_frozen_credentials()
    assert (frozen.access_key, frozen.secret_key, frozen.token) == ("id", "secret", None)


def test_the_environment_comes_next() -> None:
    found = find_credentials(StoreAddress("s3://b"), environ=ENVIRONMENT)
    assert found == StaticKeys("env-id", "env-secret", "env-token")


@pytest.mark.parametrize(
    ("address", "environ"),
    [
        (StoreAddress("s3://b", access_key_id="id"), ENVIRONMENT),
        (StoreAddress("s3://b", secret_access_key="secret"), ENVIRONMENT),
        (StoreAddress("s3://b"), {"AWS_ACCESS_KEY_ID": "env-id"}),
        (StoreAddress("s3://b"), {"AWS_SECRET_ACCESS_KEY": "env-secret"}),
    ],
)
def test_half_a_pair_is_refused(address: StoreAddress, environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"has no (access key id|secret access key)") as caught:
        find_credentials(address, environ=environ)
    assert "env-secret" not in caught.value.message


def test_a_secret_is_not_in_a_repr() -> None:
    assert "hidden" not in repr(StaticKeys("hidden-id", "hidden-secret", "hidden-token"))
