"""What `read_rights` says beforehand is what pg_dump comes to."""

from __future__ import annotations

import secrets

from lockstep.errors import LockstepError
from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.connection import open_database
from lockstep.postgres.dump import dump_to_stream
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.privileges import read_rights
from lockstep.postgres.programs import find_programs
from support.postgres_samples import FreshDatabase, as_user, execute

# A statement, and what the role cannot read after it. Whatever is not granted before is not granted.
STEPS: tuple[tuple[str, set[str]], ...] = (
    ("CREATE TABLE t (a serial); CREATE VIEW v AS SELECT * FROM t", {"table public.t", "sequence public.t_a_seq"}),
    ("GRANT SELECT (a) ON t TO {role}", {"table public.t", "sequence public.t_a_seq"}),
    ("GRANT SELECT ON t TO {role}", {"sequence public.t_a_seq"}),
    ("GRANT SELECT ON t_a_seq TO {role}", set()),
    ("CREATE MATERIALIZED VIEW m AS SELECT * FROM t", set()),
    (
        "CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p DEFAULT; GRANT SELECT ON p1 TO {role}",
        {"table public.p"},
    ),
    ("GRANT SELECT ON p TO {role}", set()),
    ("CREATE SCHEMA s; CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", set()),
    ('CREATE SEQUENCE s."Odd.q"', {"schema s"}),
    ("GRANT USAGE ON SCHEMA s TO {role}", {'sequence s."Odd.q"'}),
    ('GRANT SELECT ON s."Odd.q" TO {role}', set()),
    ("SELECT lo_from_bytea(4711, 'x')", {"4711"}),
    ("GRANT SELECT ON LARGE OBJECT 4711 TO {role}", set()),
    ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", {"public.t"}),
    ("ALTER ROLE {role} BYPASSRLS", set()),
)


def test_what_is_found_unreadable_is_what_pg_dump_stumbles_over(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    owner, role = fresh_database(server), f"role_{secrets.token_hex(4)}"
    execute(owner, f"CREATE ROLE {role} LOGIN PASSWORD 'secret-word'")
    weak = as_user(owner, role, "secret-word")
    for statement, unreadable in STEPS:
        execute(owner, statement.format(role=role))
        with open_database(weak) as database:
            rights = read_rights(database)
        assert {*rights.unreadable, *rights.large_objects, *rights.filtered} == unreadable, statement
        assert can_be_dumped(weak) is (not unreadable), statement
    execute(owner, f"DROP OWNED BY {role}; DROP ROLE {role}")


def can_be_dumped(address: DatabaseAddress) -> bool:
    try:
        with (
            open_database(address) as database,
            database.frozen() as view,
            dump_to_stream(view, find_programs(address, database.server_major)) as dump,
        ):
            for _ in dump.chunks():
                pass
    except LockstepError:
        return False
    return True
