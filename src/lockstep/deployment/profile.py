"""Profiles: how to recognise an application, how to ask its database for the references, how to explain a key to a person."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lockstep.errors import ProfileInvalid

BUCKET = "bucket"
"""The profile without a reference query: every object in the bucket counts as referenced."""

BUILT_IN = ("parsec", "mattermost", "gitea", "outline")
"""The profiles that come with lockstep, in the order in which they are asked whether a database is their application's."""

_FORM = 'A profile has a name and a reference query: name = "photos", references = "SELECT path AS key, bytes AS size FROM photo".'


class ReferenceQuery(BaseModel):
    """A query that gives `key` and `size`, optionally `store`, `etag`, `sha256`; used when the query `when` gives true (or is absent)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Annotated[str, Field(min_length=1)]
    when: str | None = None


def _as_queries(value: Any) -> Any:
    if isinstance(value, str):
        return ({"query": value},)
    return (value,) if isinstance(value, dict) else value


class Profile(BaseModel):
    """An application, as its profile file describes it.

    `detect` gives one boolean: is this the application's database? `explain` and `older_keys` contain `%(keys)s`, a text array; the
    former gives `key` and what is known of it (`groups` names the columns by which missing objects are counted), the latter `key` and
    `older_key`, under which an older version of the application stored the same object.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    description: str = ""
    detect: str | None = None
    references: Annotated[tuple[ReferenceQuery, ...], BeforeValidator(_as_queries)] = ()
    explain: str | None = None
    groups: tuple[str, ...] = ()
    older_keys: str | None = None

    @property
    def lists_the_bucket(self) -> bool:
        """True when the references are what a listing shows."""
        return not self.references


def load_profile(name_or_file: str) -> Profile:
    """The profile with this name, or in this TOML file. Raises ProfileInvalid with every fault in it."""
    if name_or_file == BUCKET:
        return Profile(name=BUCKET, description="every object in the bucket")
    if name_or_file in BUILT_IN:
        return _parse(
            (resources.files("lockstep.deployment") / "profiles" / f"{name_or_file}.toml").read_text(encoding="utf-8"), name_or_file
        )
    path = Path(name_or_file).expanduser()
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        known = ", ".join((*BUILT_IN, BUCKET))
        raise ProfileInvalid(
            f"there is no profile '{name_or_file}'", hint=f"Name one of {known}, or the path of a profile file."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileInvalid(f"the profile '{path}' cannot be read: {error}", hint="Check the path and its permissions.") from error


def _parse(text: str, shown: str) -> Profile:
    try:
        profile = Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProfileInvalid(f"the profile '{shown}' is not TOML: {error}", hint=_FORM) from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise ProfileInvalid(f"the profile '{shown}' has faults: {faults}", hint=_FORM) from error
    if not profile.references:
        raise ProfileInvalid(f"the profile '{shown}' has no reference query", hint=_FORM)
    return profile
