-- A database in the shape of a Parsec server's, as it is since that server's schema migration 0014: the tables that matter to a
-- backup, with serials, enums, foreign keys in a cycle (a user is certified by a device, a device belongs to a user) and an index
-- of each kind that a dump has to carry. Written for lockstep; other columns than the ones a backup reads are of its own making.

CREATE TYPE user_profile AS ENUM ('ADMIN', 'STANDARD', 'OUTSIDER');
CREATE TYPE realm_state AS ENUM ('LIVE', 'DELETED');

CREATE TABLE migration (
    _id serial PRIMARY KEY,
    name varchar(256) NOT NULL UNIQUE,
    applied timestamptz NOT NULL
);

CREATE TABLE organization (
    _id serial PRIMARY KEY,
    organization_id varchar(32) NOT NULL UNIQUE,
    created_on timestamptz NOT NULL
);

CREATE TABLE user_ (
    _id serial PRIMARY KEY,
    organization integer NOT NULL REFERENCES organization (_id),
    user_id uuid NOT NULL,
    profile user_profile NOT NULL,
    certifier integer,
    created_on timestamptz NOT NULL,
    UNIQUE (organization, user_id)
);

CREATE TABLE device (
    _id serial PRIMARY KEY,
    organization integer NOT NULL REFERENCES organization (_id),
    user_ integer NOT NULL REFERENCES user_ (_id),
    device_id uuid NOT NULL,
    certificate bytea NOT NULL,
    created_on timestamptz NOT NULL,
    UNIQUE (organization, device_id)
);

ALTER TABLE user_ ADD CONSTRAINT user_certifier_fk FOREIGN KEY (certifier) REFERENCES device (_id);

CREATE TABLE realm (
    _id serial PRIMARY KEY,
    organization integer NOT NULL REFERENCES organization (_id),
    realm_id uuid NOT NULL,
    status realm_state NOT NULL DEFAULT 'LIVE',
    created_on timestamptz NOT NULL,
    UNIQUE (organization, realm_id)
);

CREATE TABLE vlob_atom (
    _id serial PRIMARY KEY,
    realm integer NOT NULL REFERENCES realm (_id),
    vlob_id uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    blob bytea NOT NULL,
    author integer NOT NULL REFERENCES device (_id),
    created_on timestamptz NOT NULL,
    UNIQUE (realm, vlob_id, version)
);

CREATE TABLE block (
    _id serial PRIMARY KEY,
    block_id uuid NOT NULL,
    realm integer NOT NULL REFERENCES realm (_id),
    author integer NOT NULL REFERENCES device (_id),
    size integer NOT NULL CHECK (size >= 0),
    created_on timestamptz NOT NULL,
    deleted_on timestamptz,
    key_index integer NOT NULL,
    UNIQUE (realm, block_id)
);

CREATE INDEX vlob_atom_by_author ON vlob_atom (author, created_on);
CREATE INDEX block_of_live_rows ON block (realm) WHERE deleted_on IS NULL;
