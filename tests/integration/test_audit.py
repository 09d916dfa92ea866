"""An audit while the application works: what happens between its steps brings no false finding."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from lockstep.deployment.deployment import Deployment
from lockstep.errors import StoreUnreachable
from lockstep.model.addresses import DatabaseAddress, StoreAddress
from lockstep.model.audit import Amount, AuditResult
from lockstep.objects.open import open_store
from lockstep.operations import audit_places
from lockstep.operations.audit import AuditOptions, audit
from lockstep.progress import Event, StageStarted
from support.fixture_types import MakeDatabase
from support.parsec_shape import Filled, add_blocks, delete_objects, fill, put_objects
from support.servers import SeaweedFS

pytestmark = pytest.mark.parametrize("postgres_server", [18], indirect=True)


class Live:
    """A deployment at work: `audited` runs an audit, and does things when its stages begin."""

    def __init__(self, database: DatabaseAddress, bucket: StoreAddress, temporary: Path) -> None:
        self.database, self.bucket, self.temporary = database, bucket, temporary
        self.filled: Filled
        with self.connect() as connection:
            self.filled = fill(connection, bucket, blocks=40, organizations=("Acme", "Ångström"), size=100)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.database.conninfo)

    def purge(self, *keys: str) -> None:
        with self.connect() as connection:
            connection.execute("DELETE FROM block WHERE block_id = ANY(%s::uuid[])", [[key.partition("/")[2] for key in keys]])
        delete_objects(self.bucket, keys)

    def add(self, count: int, seed: int) -> None:
        with self.connect() as connection:
            add_blocks(connection, self.bucket, self.filled, count, seed=seed)

    def audited(self, **when: Callable[[], None]) -> AuditResult:
        def listen(event: Event) -> None:
            if isinstance(event, StageStarted) and (act := when.pop(event.stage.replace(" ", "_"), None)):
                act()

        deployment = Deployment(self.database, {"main": open_store(self.bucket)})
        result = audit(deployment, options=AuditOptions(temporary=self.temporary, in_flight_seconds=0.3), listener=listen)
        assert not when, f"stages that never began: {when}"
        assert list(self.temporary.iterdir()) == []
        return result


@pytest.fixture
def live(make_database: MakeDatabase, bucket: StoreAddress, tmp_path: Path) -> Live:
    return Live(make_database(schema="current"), bucket, tmp_path)


def test_what_is_purged_during_the_audit_is_neither_missing_nor_an_orphan(live: Live) -> None:
    early, late = live.filled.keys[:3], live.filled.keys[10:12]
    result = live.audited(listing=lambda: live.purge(*early), asking_again=lambda: live.purge(*late))
    assert result.consistent
    assert (result.referenced, result.present, result.purged) == (40, 37, Amount(3, 300))
    assert result.orphans == Amount()


def test_a_row_that_went_after_its_object_was_found_missing_was_purged(live: Live) -> None:
    delete_objects(live.bucket, live.filled.keys[:4])
    result = live.audited(asking_again=lambda: live.purge(*live.filled.keys[1:4]))
    assert (result.missing.count, result.missing.sample, result.purged.count) == (1, live.filled.keys[:1], 3)


def test_an_object_that_the_listing_did_not_show_is_asked_for_again(live: Live) -> None:
    held = {key: live.filled.objects[key] for key in live.filled.keys[:4]}
    delete_objects(live.bucket, list(held))
    put_objects(live.bucket, [(live.filled.keys[20], b"short")])
    result = live.audited(
        asking_again=lambda: put_objects(live.bucket, [*held.items(), (live.filled.keys[20], live.filled.objects[live.filled.keys[20]])])
    )
    assert result.consistent
    assert (result.present, result.requests.head >= 5) == (40, True)


def test_what_is_stored_during_the_audit_is_no_orphan(live: Live) -> None:
    def store_without_row() -> None:
        time.sleep(1.1)  # a store tells the time of an object to the second, and leaves off the rest
        put_objects(live.bucket, [("Acme/in-flight", b"12345")])
        live.add(6, 77)

    result = live.audited(listing=store_without_row)
    assert result.consistent
    assert (result.orphans, result.referenced) == (Amount(), 40)
    assert result.in_flight.count <= 1


def test_more_suspects_than_are_worth_asking_are_believed_when_none_is_there(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_places, "BELIEVED_AFTER", 10)
    delete_objects(live.bucket, live.filled.keys)
    result = live.audited()
    assert (result.missing.count, result.present) == (40, 0)
    assert result.requests.head < 40
    assert sum(group.count for group in result.missing.groups) == 40


def test_every_suspect_is_asked_for_when_the_listing_was_wrong_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_places, "BELIEVED_AFTER", 10)
    delete_objects(live.bucket, live.filled.keys)
    result = live.audited(asking_again=lambda: put_objects(live.bucket, live.filled.objects.items()))
    assert result.consistent
    assert result.present == 40


def test_a_store_that_goes_away_during_the_audit_is_a_failure(make_database: MakeDatabase, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with SeaweedFS(tmp_path / "seaweedfs") as server:
        live = Live(make_database(schema="current"), server.address(server.create_bucket()), work)
        delete_objects(live.bucket, live.filled.keys[:4])
        with pytest.raises(StoreUnreachable):
            live.audited(asking_again=lambda: server.__exit__(None, None, None))
    assert list(work.iterdir()) == []


def test_two_stores_are_audited_together(live: Live, s3_server: SeaweedFS) -> None:
    second = s3_server.address(s3_server.create_bucket(), name="second")
    put_objects(second, [("b/1", b"1"), ("b/orphan", b"22")])
    profile = live.temporary.parent / "two.toml"
    profile.write_text(
        "name = \"two\"\nreferences = \"SELECT * FROM (VALUES ('main', 'Acme/none', 3), ('second', 'b/1', 1)) AS t (store, key, size)\"\n",
        encoding="utf-8",
    )
    deployment = Deployment(live.database, {"main": open_store(live.bucket), "second": open_store(second)}, str(profile))
    result = audit(deployment, options=AuditOptions(temporary=live.temporary))
    assert (result.referenced, result.present, result.missing.sample) == (2, 1, ("Acme/none",))
    assert result.orphans == Amount(41, 40 * 100 + 2)
    assert result.missing.groups == ()
