"""Where a database or a store is and how to get in; the secrets in it never show in a repr."""

from __future__ import annotations

from dataclasses import dataclass, field

from lockstep.model.keeping import NO_KEEPING, Keeping


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A libpq connection string (URI or key=value; may be empty: then `PG*` variables, service and passfile decide).

    `client_programs` is a directory that holds pg_dump, pg_restore and psql, when the operator insists on one. `lock_timeout_seconds` is
    how long a session waits for a table that somebody else has locked; in the meantime it keeps others waiting behind it.
    """

    conninfo: str = field(default="", repr=False)
    client_programs: str | None = None
    lock_timeout_seconds: int = 60


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """One store: `url` is `s3://bucket[/prefix]`, `gs://…`, `az://…` or `file:///directory`.

    What is None is left to the standard chain of the service (environment, profiles, SSO, instance metadata). `keeping` is for a
    repository.
    """

    url: str
    name: str = "main"
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    virtual_hosted: bool = False
    keeping: Keeping = NO_KEEPING
