-- API keys (store/secrets/keys.py). Parameters are psycopg's.

-- name: insert_key
-- A new key; none if the sync that it is for is not there.
INSERT INTO httpproxy.api_key (id, name, digest, scopes, sync_id, expires_at)
SELECT %(id)s, %(name)s, %(digest)s, %(scopes)s, s.id,
    least(now() + make_interval(secs => %(expires_in)s), %(until)s::timestamptz)
FROM (SELECT 1) one LEFT JOIN httpproxy.sync s ON s.id = %(sync_id)s
WHERE %(sync_id)s::text IS NULL OR s.id IS NOT NULL
RETURNING id, name, digest, scopes, sync_id, created_at, expires_at, revoked_at, last_used_at,
    true AS valid

-- name: read_keys
-- Keys in the order in which they were made, after a place in it.
SELECT id, name, digest, scopes, sync_id, created_at, expires_at, revoked_at, last_used_at,
    revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS valid
FROM httpproxy.api_key
WHERE (%(sync_id)s::text IS NULL OR sync_id = %(sync_id)s)
    AND (%(after_at)s::timestamptz IS NULL
        OR (created_at, id) > (%(after_at)s::timestamptz, %(after_id)s::text))
ORDER BY created_at, id LIMIT %(limit)s

-- name: read_key
-- The key of this id, or else the living one of this name.
SELECT id, name, digest, scopes, sync_id, created_at, expires_at, revoked_at, last_used_at,
    revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS valid
FROM httpproxy.api_key
WHERE id = %(wanted)s OR (name = %(wanted)s AND revoked_at IS NULL)
ORDER BY id <> %(wanted)s LIMIT 1

-- name: read_valid_keys
-- The keys that open something now.
SELECT id, name, digest, scopes, sync_id, created_at, expires_at, revoked_at, last_used_at,
    true AS valid
FROM httpproxy.api_key
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- name: revoke_key
-- The key of this id, or else the living one of this name, opens nothing from now on.
UPDATE httpproxy.api_key SET revoked_at = coalesce(revoked_at, now())
WHERE id = (
    SELECT id FROM httpproxy.api_key
    WHERE id = %(wanted)s OR (name = %(wanted)s AND revoked_at IS NULL)
    ORDER BY id <> %(wanted)s LIMIT 1)
RETURNING id, name, digest, scopes, sync_id, created_at, expires_at, revoked_at, last_used_at,
    false AS valid

-- name: note_use
-- A key was used. One write a minute at most, however many processes it is used in.
UPDATE httpproxy.api_key SET last_used_at = now()
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
