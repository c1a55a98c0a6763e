-- What the management API keeps: credentials of their own, OAuth apps, what discovery told,
-- and what a product writes to its syncs.

-- An application that is registered at a provider, for whose users tokens are refreshed.
CREATE TABLE httpproxy.oauth_app (
    id         text PRIMARY KEY,
    provider   text NOT NULL,
    name       text UNIQUE,
    client_id  text NOT NULL,
    secret     bytea,                        -- the client secret, sealed; NULL: it has none
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, client_id)
);
CREATE INDEX oauth_app_page ON httpproxy.oauth_app (created_at, id);

-- `secret` holds the access token, or {"access_token": …, "refresh_token": …} as JSON.
ALTER TABLE httpproxy.credential
    ADD COLUMN name text UNIQUE,
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN properties jsonb NOT NULL DEFAULT '{}',  -- what is no secret
    ADD COLUMN implicit boolean NOT NULL DEFAULT true,  -- made with a sync: goes with the last
    ADD COLUMN app_id text REFERENCES httpproxy.oauth_app (id),
    -- Counts the secrets that there were: sealed anew, it is the same one still.
    ADD COLUMN generation bigint NOT NULL DEFAULT 1,
    ADD COLUMN expires_at timestamptz,                  -- the access token; NULL: never, or unknown
    ADD COLUMN refreshed_at timestamptz,                -- since when there is this access token
    ADD COLUMN trouble text,                            -- why it cannot be used, in words
    -- Refresh tokens: when the next one is due, whether ours is of no use any more, and by
    -- what several credentials are known to have the same one (its SHA-256).
    ADD COLUMN refresh_at timestamptz,                  -- NULL: never
    ADD COLUMN spent boolean NOT NULL DEFAULT false,
    ADD COLUMN refresh_mark bytea,
    -- Who refreshes it now (a random name), until when nobody else does, and whether the
    -- call was sent: a token that can be used once may be spent by it.
    ADD COLUMN refresh_holder text,
    ADD COLUMN refresh_until timestamptz,
    ADD COLUMN refresh_sent_at timestamptz;
CREATE INDEX credential_page ON httpproxy.credential (created_at, id);
CREATE INDEX credential_provider ON httpproxy.credential (provider, created_at, id);
CREATE INDEX credential_app ON httpproxy.credential (app_id) WHERE app_id IS NOT NULL;
CREATE INDEX credential_refresh ON httpproxy.credential (refresh_at) WHERE refresh_at IS NOT NULL;
CREATE INDEX credential_mark ON httpproxy.credential (provider, refresh_mark)
    WHERE refresh_mark IS NOT NULL;
CREATE INDEX credential_metadata ON httpproxy.credential USING gin (metadata jsonb_path_ops);

-- What a credential's token was last seen to reach: collections with their fields.
CREATE TABLE httpproxy.discovery (
    credential_id text PRIMARY KEY REFERENCES httpproxy.credential (id) ON DELETE CASCADE,
    collections   jsonb NOT NULL,
    discovered_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE httpproxy.sync
    ADD COLUMN external_id text UNIQUE,
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN updated_at timestamptz;
UPDATE httpproxy.sync SET updated_at = created_at;
ALTER TABLE httpproxy.sync
    ALTER COLUMN updated_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET NOT NULL;
CREATE INDEX sync_page ON httpproxy.sync (created_at, id);
CREATE INDEX sync_provider ON httpproxy.sync (provider, created_at, id);
CREATE INDEX sync_credential ON httpproxy.sync (credential_id, created_at, id);
CREATE INDEX sync_metadata ON httpproxy.sync USING gin (metadata jsonb_path_ops);

CREATE INDEX api_key_page ON httpproxy.api_key (created_at, id);
