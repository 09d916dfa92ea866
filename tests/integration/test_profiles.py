"""The profiles of other applications on real servers: told apart, complete, restored; and `lockstep profile test`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockstep.deployment import deployment
from lockstep.errors import BucketNotFound, ConfigurationError, ProfileInvalid
from lockstep.model.profile_trial import ProfileTrial
from lockstep.objects.open import open_store
from lockstep.operations.profile_trial import try_profile
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.progress import Event, StageStarted
from support.applications import FORGEJO, GITEA, MATTERMOST, OUTLINE, Application
from support.fixture_types import Lockstep, PostgresServers, Ran
from support.servers import SeaweedFS
from support.world import Deployment, World, error_of, open_world, same

APPLICATIONS = {"mattermost": MATTERMOST, "gitea": GITEA, "forgejo": FORGEJO, "outline": OUTLINE}
every_application = pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS)
every_profile = pytest.mark.parametrize("application", [MATTERMOST, GITEA, OUTLINE], ids=lambda each: each.name)


@pytest.fixture(scope="session", params=[18], ids=["pg18"])
def postgres_server(request: pytest.FixtureRequest, postgres_servers: PostgresServers) -> EmbeddedServer:
    """What the queries use is the same on every server."""
    return postgres_servers(request.param)


@pytest.fixture
def world(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_server: EmbeddedServer, s3_server: SeaweedFS, tmp_path: Path
) -> Iterator[World]:
    with open_world(lockstep, lockstep_environment, postgres_server, s3_server, tmp_path) as made:
        yield made


@every_application
def test_a_backup_finds_the_application_by_itself_and_restores_all_that_it_names(world: World, application: Application) -> None:
    source = filled(world, application)
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    referenced = {key: data for key, data in source.objects().items() if key not in application.orphans}
    assert (ran.json["complete"], ran.json["objects"]["referenced"]) == (True, len(referenced))
    assert ran.json["requests"]["list"] == 0
    assert world.run("show", "latest", "--json").json["profile"]["name"] == application.name

    target = world.nowhere()
    ran = world.restore(target)
    assert ran.returncode == 0, ran
    same(source, target, keys=list(referenced))
    again = world.backup(source)
    assert (again.json["objects"]["new"], again.json["requests"]["get"]) == (0, 0)


@every_profile
def test_what_is_missing_is_told_in_the_words_of_the_application(world: World, application: Application) -> None:
    source = filled(world, application)
    for beginning in application.labels:
        remove(world, source, next(key for key in source.objects() if key.startswith(beginning)))
    ran = world.backup(source)
    assert ran.returncode == 3, ran
    assert ran.json["objects"]["missing"] == len(application.labels)
    groups = [{name: value for name, value in group.items() if name != "count"} for group in ran.json["missing_groups"]]
    assert sorted(map(str, groups)) == sorted(map(str, application.labels.values()))


def test_an_object_that_another_one_took_the_place_of_is_found_by_its_checksum(world: World) -> None:
    source = filled(world, GITEA)
    key, data = next((key, data) for key, data in source.objects().items() if key.startswith("lfs/"))
    put(world, source, key, bytes(len(data)))
    ran = world.backup(source)
    assert (ran.returncode, ran.json["objects"]["mismatched"]) == (3, 1), ran


@every_profile
def test_a_trial_says_how_much_there_is(world: World, application: Application) -> None:
    source = filled(world, application)
    referenced = {key: data for key, data in source.objects().items() if key not in application.orphans}
    ran = trial(world, source, application.name)
    assert ran.returncode == 0, ran
    found = ran.json
    assert list(found)[:9] == [
        "profile", "references", "referenced_bytes", "sampled", "present", "missing", "mismatched", "examples", "seconds"
    ]  # fmt: skip
    assert (found["profile"], found["detected"], found["without_size"]) == (application.name, True, application.sizeless)
    assert found["references"] == found["sampled"] == found["present"] == len(referenced)
    assert (found["missing"], found["mismatched"], found["examples"]) == (0, 0, [])
    assert 0 < found["referenced_bytes"] <= sum(map(len, referenced.values()))


def test_a_trial_names_what_is_missing_and_what_is_of_another_size(world: World) -> None:
    source = filled(world, OUTLINE)
    first, second = [key for key in sorted(source.objects()) if key not in OUTLINE.orphans][:2]
    remove(world, source, first)
    put(world, source, second, b"of another size altogether")
    ran = trial(world, source, "outline")
    assert ran.returncode == 3, ran
    assert (ran.json["missing"], ran.json["mismatched"], ran.json["present"]) == (1, 1, ran.json["sampled"] - 2)
    assert ran.json["examples"] == [first, second]
    told = world.lockstep("profile", "test", "outline", *source.options, env=world.keys)
    assert told.returncode == 3
    assert "1 missing, 1 of another size" in told.stdout
    assert repr(first) in told.stdout


def test_a_trial_under_the_wrong_prefix_says_where_to_look(world: World) -> None:
    source = filled(world, MATTERMOST)
    options = [f"{source.bucket.url}/elsewhere" if each == source.bucket.url else each for each in source.options]
    ran = world.lockstep("profile", "test", "mattermost", *options, env=world.keys)
    assert ran.returncode == 3, ran
    assert "look at the bucket and its prefix" in ran.stdout


def test_a_sample_has_something_of_every_kind(world: World) -> None:
    source = filled(world, GITEA)
    with source.connect() as connection:
        connection.execute("INSERT INTO action_artifact SELECT n, 1, 'many/' || n, 0, 0, 2, 0 FROM generate_series(1000, 9000) n")
    ran = trial(world, source, "gitea", "--sample", "20")
    assert (ran.returncode, ran.json["sampled"]) == (3, 20), ran
    assert ran.json["present"] >= 6  # one of seven kinds each; of the artifacts nearly all are missing
    assert trial(world, source, "gitea", "--sample", "20").json["examples"] == ran.json["examples"]


def test_a_trial_changes_nothing_and_needs_no_repository(world: World) -> None:
    source = filled(world, MATTERMOST)
    before = world.everything(source)
    assert trial(world, source, "mattermost").returncode == 0
    assert world.everything(source) == before
    assert not world.repo_path.exists()


def test_a_profile_of_ones_own_is_tried_with_all_its_queries(world: World) -> None:
    source = filled(world, OUTLINE)
    good = 'name = "mine"\nreferences = "SELECT key, size FROM attachments"\n'
    ran = trial(world, source, write(world, good + 'detect = "SELECT false"'))
    assert (ran.returncode, ran.json["profile"], ran.json["detected"], ran.json["present"]) == (0, "mine", False, 6), ran
    assert tried(source, write(world, good)).detected is None
    for more, told in {
        'explain = "SELECT key, nothing FROM attachments WHERE key = ANY(%(keys)s)"': "the query explain of the profile 'mine' fails",
        'explain = "SELECT key FROM attachments WHERE key = ANY(%(keys)s)"\ngroups = ["team"]': "does not give the column team",
        'older_keys = "SELECT key FROM attachments WHERE key = ANY(%(keys)s)"': "does not give the column older_key",
        'detect = "SELECT 1"': "does not give one boolean",
        'detect = "SELECT nonsense"': "the query detect of the profile 'mine' fails",
    }.items():
        with pytest.raises(ProfileInvalid, match=re.escape(told)):
            tried(source, write(world, good + more))
    with pytest.raises(ProfileInvalid, match="column size is missing"):
        tried(source, write(world, 'name = "mine"\nreferences = "SELECT key FROM attachments"'))
    with pytest.raises(ConfigurationError) as refused:
        tried(source, write(world, 'name = "mine"\nreferences = "SELECT key, size, \'cold\' AS store FROM attachments"'))
    assert refused.value.hint == "Add --bucket cold=URL."


def test_what_cannot_be_tried_is_refused(world: World) -> None:
    source = filled(world, OUTLINE)
    assert "no reference query" in error_of(trial(world, source, "bucket"), status=2, kind="configuration")
    with pytest.raises(ProfileInvalid, match="there is no profile 'no-such-profile'"):
        tried(source, "no-such-profile")
    with pytest.raises(BucketNotFound):
        tried(Deployment(source.database, world.s3.address("no-such-bucket-anywhere")), "outline")
    ran = world.lockstep("profile", "try", "outline", *source.options, "--json", env=world.keys)
    assert ran.returncode == 2, ran


def test_a_row_that_goes_during_the_trial_is_no_loss(world: World) -> None:
    source = filled(world, OUTLINE)
    key = next(key for key in source.objects() if "Anlage" in key)

    def delete(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "looking":
            with source.connect() as connection:
                connection.execute("DELETE FROM attachments WHERE key = %s", [key])
            remove(world, source, key)

    opened = deployment.Deployment(source.database, {"main": open_store(source.bucket)}, "outline")
    found = try_profile(opened, listener=delete)
    assert (found.purged, found.missing, found.sound) == (1, 0, True)


def filled(world: World, application: Application) -> Deployment:
    """A deployment in the shape of an application, whole, with orphans."""
    made = Deployment(world.new_database(), world.new_bucket())
    with psycopg.connect(made.database.conninfo) as connection:
        objects = application.fill(connection)
    for key, data in {**objects, **application.orphans}.items():
        put(world, made, key, data)
    return made


def trial(world: World, source: Deployment, profile: str | Path, *more: str) -> Ran:
    return world.lockstep("profile", "test", profile, *source.options, "--json", *more, env=world.keys)


def tried(source: Deployment, profile: str | Path) -> ProfileTrial:
    return try_profile(deployment.Deployment(source.database, {"main": open_store(source.bucket)}, str(profile)))


def put(world: World, source: Deployment, key: str, data: bytes) -> None:
    world.s3.client().put_object(Bucket=source.bucket_name, Key=key, Body=data)


def remove(world: World, source: Deployment, key: str) -> None:
    world.s3.client().delete_object(Bucket=source.bucket_name, Key=key)


def write(world: World, text: str) -> Path:
    path = world.tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path
