-- The house's own schema: what is synced, where it is kept, and what is known of each record.

-- Every change to the registry takes this row, so that changes commit in their order
-- and a poll by revision misses none.
CREATE TABLE httpproxy.revision (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    value  bigint NOT NULL
);
INSERT INTO httpproxy.revision (value) VALUES (0);

CREATE TABLE httpproxy.credential (
    id         text PRIMARY KEY,
    provider   text NOT NULL,
    account    text NOT NULL,
    kind       text NOT NULL,
    secret     bytea NOT NULL,               -- sealed: store/secrets
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, account)
);

CREATE TABLE httpproxy.sync (
    id            text PRIMARY KEY,
    provider      text NOT NULL,
    name          text NOT NULL UNIQUE,
    account       text NOT NULL,
    unique_id     text NOT NULL UNIQUE,      -- the first segment of the API root
    digest        bytea NOT NULL UNIQUE,     -- its SHA-256: what requests are looked up by
    schema_name   text NOT NULL UNIQUE,
    owns_schema   boolean NOT NULL,          -- made by us, so ours to drop
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused')),
    credential_id text REFERENCES httpproxy.credential (id),
    rates         jsonb NOT NULL DEFAULT '[]',
    revision      bigint NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON httpproxy.sync (revision);

CREATE TABLE httpproxy.deleted_sync (
    id       text PRIMARY KEY,
    revision bigint NOT NULL
);
CREATE INDEX ON httpproxy.deleted_sync (revision);

CREATE TABLE httpproxy.collection (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sync_id     text NOT NULL REFERENCES httpproxy.sync (id) ON DELETE CASCADE,
    upstream_id text NOT NULL,
    name        text NOT NULL,
    table_name  text NOT NULL,               -- the user's table
    aliases     text[] NOT NULL,
    key         text[] NOT NULL,             -- ids of the fields that identify a record
    position    integer NOT NULL,
    version     integer NOT NULL DEFAULT 1,  -- of the table's layout
    UNIQUE (sync_id, upstream_id),
    UNIQUE (sync_id, table_name)
);

CREATE TABLE httpproxy.field (
    collection_id integer NOT NULL REFERENCES httpproxy.collection (id) ON DELETE CASCADE,
    upstream_id   text NOT NULL,
    name          text NOT NULL,
    type          text NOT NULL,             -- the provider's
    column_type   text NOT NULL,             -- ours
    column_name   text,                      -- NULL: the table is full, values are in _extra
    fixed_name    text,                      -- of a system field's column
    writable      boolean NOT NULL,
    empty         jsonb,                     -- what an omitted cell means
    position      integer NOT NULL,
    removed_at    timestamptz,               -- gone upstream: the column stays
    PRIMARY KEY (collection_id, upstream_id),
    UNIQUE (collection_id, column_name) DEFERRABLE INITIALLY DEFERRED
);

-- The clock of the interval rule (docs/decisions/0002-commit.md).
CREATE SEQUENCE httpproxy.clock;

-- What is known of a record: which exchange its row comes from.
CREATE TABLE httpproxy.meta (
    collection integer NOT NULL,
    record_id  text NOT NULL,
    start_seq  bigint NOT NULL,              -- the clock when that exchange began
    end_seq    bigint NOT NULL,              -- and when its answer had come
    updated_at timestamptz,                  -- the upstream's own version, if it has one
    deleted    boolean NOT NULL,             -- a tombstone: stale pages may not revive it
    partial    boolean NOT NULL,             -- the last image named only some fields
    PRIMARY KEY (collection, record_id)
) WITH (fillfactor = 80);

-- What is to be read again; record_id '' is the whole collection.
CREATE TABLE httpproxy.dirty (
    collection integer NOT NULL,
    record_id  text NOT NULL,
    key        text[],
    reason     text NOT NULL,
    mark       bigint NOT NULL DEFAULT nextval('httpproxy.clock'),
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, record_id)
);

-- Images that the user's table refuses (a constraint or a trigger of the user's own).
CREATE TABLE httpproxy.quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection  integer NOT NULL,
    record_id   text NOT NULL,
    image       jsonb NOT NULL,
    sqlstate    text,
    error       text NOT NULL,
    request_id  text NOT NULL,
    inserted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON httpproxy.quarantine (collection, record_id);

-- The committed changes, in the transaction that made them. Numbers are drawn before
-- their transactions commit: a reader follows `transaction`, never `seq` alone, and
-- stops at pg_snapshot_xmin(pg_current_snapshot()).
CREATE TABLE httpproxy.event (
    seq                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id            uuid NOT NULL DEFAULT gen_random_uuid(),
    sync_id             text NOT NULL,
    collection_id       text NOT NULL,       -- the provider's
    upstream_id         text NOT NULL,
    upstream_updated_at timestamptz,
    event               text NOT NULL CHECK (event IN ('created', 'updated', 'deleted')),
    data                jsonb,               -- the record as the API spelled it
    origin              text NOT NULL,
    request_id          text NOT NULL,
    transaction         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    inserted_at         timestamptz NOT NULL DEFAULT now()
);

-- Called by every write to a user's table, once it holds the table's lock: a process
-- that has not heard of a renamed column must not write by the old names.
CREATE FUNCTION httpproxy.require_layout(wanted_collection integer, wanted_version integer)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM FROM httpproxy.collection
    WHERE id = wanted_collection AND version = wanted_version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'collection % is not at layout % any more',
            wanted_collection, wanted_version USING ERRCODE = 'HPL01';
    END IF;
    RETURN true;
END $$;

-- A JSON value as one of the column types; NULL where it does not fit. Used where
-- columns change their type and where values move from _extra into a new column.
CREATE FUNCTION httpproxy.as_text(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT value #>> '{}' $$;

CREATE FUNCTION httpproxy.as_jsonb(value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT value $$;

CREATE FUNCTION httpproxy.as_numeric(value jsonb) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF value #>> '{}' ~ '^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$' THEN
        RETURN (value #>> '{}')::numeric;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN RETURN NULL;
END $$;

CREATE FUNCTION httpproxy.as_boolean(value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE lower(value #>> '{}') WHEN 'true' THEN true WHEN 'false' THEN false END
$$;

CREATE FUNCTION httpproxy.as_date(value jsonb) RETURNS date
LANGUAGE plpgsql STABLE STRICT SET datestyle = 'ISO, YMD' AS $$
BEGIN
    IF value #>> '{}' ~ '^\d{4}-\d\d-\d\d$' THEN
        RETURN (value #>> '{}')::date;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN RETURN NULL;
END $$;

CREATE FUNCTION httpproxy.as_timestamptz(value jsonb) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT SET datestyle = 'ISO, YMD' SET timezone = 'UTC' AS $$
BEGIN
    IF value #>> '{}' ~ '^\d{4}-\d\d-\d\d' THEN
        RETURN (value #>> '{}')::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN RETURN NULL;
END $$;

CREATE FUNCTION httpproxy.as_text_array(value jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF jsonb_typeof(value) = 'array'
        AND NOT jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")') THEN
        RETURN ARRAY(SELECT jsonb_array_elements_text(value));
    END IF;
    RETURN NULL;
END $$;
