-- Credentials (store/credentials.py). Parameters are psycopg's.

-- name: save_credential
-- An account's credential, over the one that it had. What is NULL stays as it was; who made
-- one on purpose keeps it when its syncs are gone.
INSERT INTO httpproxy.credential (id, provider, account, kind, name, metadata, properties,
    implicit, app_id, secret, expires_at, refresh_at, refresh_mark, refreshed_at)
VALUES (%(id)s, %(provider)s, %(account)s, %(kind)s, %(name)s,
    coalesce(%(metadata)s::jsonb, '{}'), coalesce(%(properties)s::jsonb, '{}'), %(implicit)s,
    %(app_id)s, %(secret)s, now() + make_interval(secs => %(expires_in)s),
    now() + make_interval(secs => %(refresh_in)s), %(mark)s, now())
ON CONFLICT (provider, account) DO UPDATE
SET kind = excluded.kind, name = coalesce(excluded.name, credential.name),
    metadata = coalesce(%(metadata)s::jsonb, credential.metadata),
    properties = coalesce(%(properties)s::jsonb, credential.properties),
    implicit = credential.implicit AND excluded.implicit, app_id = excluded.app_id,
    secret = excluded.secret, generation = credential.generation + 1,
    expires_at = excluded.expires_at, refresh_at = excluded.refresh_at,
    refresh_mark = excluded.refresh_mark, refreshed_at = now(), trouble = NULL, spent = false,
    refresh_holder = NULL, refresh_until = NULL, refresh_sent_at = NULL, updated_at = now()

-- name: credential_id
-- The id of an account's credential.
SELECT id FROM httpproxy.credential WHERE provider = %(provider)s AND account = %(account)s

-- name: read_credential
-- The credential of this id, or else of this name.
SELECT id, provider, account, kind, name, metadata, properties, implicit, app_id, secret,
    generation, expires_at, refreshed_at, trouble, created_at, updated_at
FROM httpproxy.credential WHERE id = %(wanted)s OR name = %(wanted)s
ORDER BY id <> %(wanted)s LIMIT 1

-- name: read_credential_page
-- Credentials in the order in which they were made, after a place in it.
SELECT id, provider, account, kind, name, metadata, properties, implicit, app_id, secret,
    generation, expires_at, refreshed_at, trouble, created_at, updated_at
FROM httpproxy.credential
WHERE (%(provider)s::text IS NULL OR provider = %(provider)s)
    AND (%(account)s::text IS NULL OR account = %(account)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
    AND (%(app_id)s::text IS NULL OR app_id = %(app_id)s)
    AND (%(metadata)s::jsonb IS NULL OR metadata @> %(metadata)s)
    AND (%(after_at)s::timestamptz IS NULL
        OR (created_at, id) > (%(after_at)s::timestamptz, %(after_id)s::text))
ORDER BY created_at, id LIMIT %(limit)s

-- name: change_credential
-- What is no secret of a credential, unless somebody has changed it meanwhile; with a
-- generation, unless its tokens are other ones by now.
UPDATE httpproxy.credential
SET name = %(name)s, metadata = %(metadata)s, properties = %(properties)s,
    app_id = %(app_id)s, updated_at = clock_timestamp()
WHERE id = %(id)s AND updated_at = %(as_of)s
    AND (%(generation)s::bigint IS NULL OR generation = %(generation)s)

-- name: replace_secret
-- Another secret for a credential, sealed.
UPDATE httpproxy.credential
SET secret = %(secret)s, generation = generation + 1,
    expires_at = now() + make_interval(secs => %(expires_in)s),
    refresh_at = now() + make_interval(secs => %(refresh_in)s), refresh_mark = %(mark)s,
    refreshed_at = now(), trouble = NULL, spent = false, refresh_holder = NULL,
    refresh_until = NULL, refresh_sent_at = NULL, updated_at = clock_timestamp()
WHERE id = %(id)s

-- name: touch_syncs_of_credential
-- Tells other processes that a credential has changed.
UPDATE httpproxy.sync SET revision = %(revision)s WHERE credential_id = %(id)s

-- name: drop_discovery
-- What another token reaches is to be asked anew.
DELETE FROM httpproxy.discovery WHERE credential_id = %(id)s

-- name: read_users
-- The syncs that use a credential.
SELECT id, name FROM httpproxy.sync WHERE credential_id = %(id)s
ORDER BY created_at, id LIMIT %(limit)s

-- name: delete_credential
-- A credential that no sync uses.
DELETE FROM httpproxy.credential c
WHERE c.id = %(id)s AND NOT EXISTS (SELECT FROM httpproxy.sync s WHERE s.credential_id = c.id)

-- name: drop_unused_credential
-- A credential that was made with a sync, and that no sync uses any more.
DELETE FROM httpproxy.credential c
WHERE c.id = %(id)s AND c.implicit
    AND NOT EXISTS (SELECT FROM httpproxy.sync s WHERE s.credential_id = c.id)

-- name: read_discovery
-- What a credential was last seen to reach.
SELECT collections, discovered_at FROM httpproxy.discovery WHERE credential_id = %(id)s

-- name: keep_discovery
-- What a credential reaches now; nothing if it was deleted meanwhile.
INSERT INTO httpproxy.discovery (credential_id, collections)
SELECT id, %(collections)s::jsonb FROM httpproxy.credential WHERE id = %(id)s
ON CONFLICT (credential_id) DO UPDATE
SET collections = excluded.collections, discovered_at = now()
RETURNING discovered_at
