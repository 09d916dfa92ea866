from __future__ import annotations

import pickle

from lockstep.model.addresses import StoreAddress
from lockstep.model.workers import Places, secret_variables, store_variable, with_secrets, without_secrets

STORE = StoreAddress("s3://a", "node-1", "http://s3.example", "eu", "id-of-a", "secret-of-a", "token-of-a", "/ca.pem", virtual_hosted=True)
REPOSITORY = StoreAddress("s3://r", "repository", access_key_id="id-of-r", secret_access_key="secret-of-r")
PLACES = Places((without_secrets(STORE),), without_secrets(REPOSITORY))


def test_an_address_travels_without_its_secrets_and_with_all_the_rest() -> None:
    bare = without_secrets(STORE)
    assert bare == StoreAddress("s3://a", "node-1", "http://s3.example", "eu", ca_bundle="/ca.pem", virtual_hosted=True)
    assert not [secret for secret in (b"id-of-a", b"secret-of-a", b"token-of-a") if secret in pickle.dumps(PLACES)]


def test_a_worker_finds_in_its_environment_what_its_starter_put_there() -> None:
    filled = with_secrets(PLACES, secret_variables([STORE], REPOSITORY))
    assert (filled.stores, filled.repository) == ((STORE,), REPOSITORY)


def test_what_the_starter_has_no_keys_for_is_left_to_the_chain_whatever_the_worker_inherits() -> None:
    inherited = {"LOCKSTEP_STORE_NODE_1_ACCESS_KEY_ID": "other", "LOCKSTEP_STORE_NODE_1_SECRET_ACCESS_KEY": "other"}
    bare = without_secrets(STORE)
    filled = with_secrets(PLACES, inherited | secret_variables([bare], without_secrets(REPOSITORY)))
    assert filled == PLACES


def test_a_repository_without_keys_of_its_own_has_those_of_the_first_store() -> None:
    keys = {f"{store_variable('node-1')}_ACCESS_KEY_ID": "id", f"{store_variable('node-1')}_SECRET_ACCESS_KEY": "secret"}
    filled = with_secrets(PLACES, keys)
    assert (filled.repository.access_key_id, filled.repository.secret_access_key) == ("id", "secret")
    on_disk = Places(PLACES.stores, StoreAddress("file:///r", "repository"))
    assert with_secrets(on_disk, keys).repository.access_key_id is None
