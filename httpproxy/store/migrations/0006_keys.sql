-- API keys: who may ask the management port for what.

CREATE TABLE httpproxy.api_key (
    id           text PRIMARY KEY,           -- the part of the key that may be shown
    name         text NOT NULL,
    digest       bytea NOT NULL,             -- SHA-256 of the whole key, which nobody keeps
    scopes       text[] NOT NULL
        CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'write', 'admin']),
    sync_id      text REFERENCES httpproxy.sync (id) ON DELETE CASCADE,  -- NULL: all of them
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz                 -- to the minute
);
-- A name is free again once its key is revoked.
CREATE UNIQUE INDEX api_key_name ON httpproxy.api_key (name) WHERE revoked_at IS NULL;
CREATE INDEX ON httpproxy.api_key (sync_id) WHERE sync_id IS NOT NULL;

-- Functions of ours find nothing but what Postgres itself has and what they name in full,
-- whatever search_path a session has and whoever may put something into it.
DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN SELECT oid FROM pg_catalog.pg_proc
        WHERE pronamespace = 'httpproxy'::regnamespace
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = ''''', ours);
    END LOOP;
END $$;
