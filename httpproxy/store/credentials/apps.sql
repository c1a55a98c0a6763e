-- OAuth apps (store/apps.py). Parameters are psycopg's.

-- name: save_app
-- An app, over the one of this client id; without a name, the one that it had.
INSERT INTO httpproxy.oauth_app (id, provider, name, client_id, secret)
VALUES (%(id)s, %(provider)s, %(name)s, %(client_id)s, %(secret)s)
ON CONFLICT (provider, client_id) DO UPDATE
SET name = coalesce(excluded.name, oauth_app.name), secret = excluded.secret,
    updated_at = clock_timestamp()

-- name: app_id
-- The id of an app, if it is known.
SELECT id FROM httpproxy.oauth_app WHERE provider = %(provider)s AND client_id = %(client_id)s

-- name: read_app
-- The app of this id, or else of this name.
SELECT id, provider, name, client_id, secret, created_at, updated_at
FROM httpproxy.oauth_app WHERE id = %(wanted)s OR name = %(wanted)s
ORDER BY id <> %(wanted)s LIMIT 1

-- name: read_app_page
-- Apps in the order in which they were made, after a place in it.
SELECT id, provider, name, client_id, secret, created_at, updated_at
FROM httpproxy.oauth_app
WHERE (%(provider)s::text IS NULL OR provider = %(provider)s)
    AND (%(after_at)s::timestamptz IS NULL
        OR (created_at, id) > (%(after_at)s::timestamptz, %(after_id)s::text))
ORDER BY created_at, id LIMIT %(limit)s

-- name: change_app
-- Another name, client id or secret, unless somebody has changed it meanwhile.
UPDATE httpproxy.oauth_app
SET name = %(name)s, client_id = %(client_id)s, secret = %(secret)s,
    updated_at = clock_timestamp()
WHERE id = %(id)s AND updated_at = %(as_of)s

-- name: read_app_users
-- The credentials that are refreshed by an app.
SELECT id FROM httpproxy.credential WHERE app_id = %(id)s
ORDER BY created_at, id LIMIT %(limit)s

-- name: delete_app
-- An app.
DELETE FROM httpproxy.oauth_app WHERE id = %(id)s
