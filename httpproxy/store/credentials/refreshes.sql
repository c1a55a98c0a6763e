-- How tokens are refreshed (store/refreshes.py). Parameters are psycopg's. Credentials of one
-- provider with the same mark have the same refresh token, and are refreshed together.

-- name: read_tokens
-- A credential's tokens, as they are kept.
SELECT id, provider, account, kind, app_id, secret, generation, trouble, spent,
    extract(epoch FROM expires_at - now())::float8 AS remaining,
    extract(epoch FROM refresh_at - now())::float8 AS due
FROM httpproxy.credential WHERE id = %(id)s

-- name: hold_family
-- A credential and those that have its refresh token, until the transaction ends.
SELECT c.id, c.generation, c.refresh_holder, c.refresh_sent_at IS NOT NULL AS sent,
    coalesce(c.refresh_until > now(), false) AS held
FROM httpproxy.credential c
JOIN httpproxy.credential own ON own.id = %(id)s
    AND (c.id = own.id OR (c.provider = own.provider AND c.refresh_mark = own.refresh_mark))
ORDER BY c.id FOR UPDATE OF c

-- name: lease_refresh
-- Nobody else refreshes these for so many seconds.
UPDATE httpproxy.credential
SET refresh_holder = %(holder)s, refresh_sent_at = NULL,
    refresh_until = now() + make_interval(secs => %(seconds)s)
WHERE id = ANY(%(ids)s)

-- name: sent_refresh
-- The refresh token is about to be sent, and may be spent from here on.
UPDATE httpproxy.credential SET refresh_sent_at = now() WHERE id = ANY(%(ids)s)

-- name: store_refresh
-- The tokens that the API gave.
UPDATE httpproxy.credential
SET secret = %(secret)s, generation = generation + 1, refreshed_at = now(),
    expires_at = now() + make_interval(secs => %(expires_in)s),
    refresh_at = now() + make_interval(secs => %(refresh_in)s), refresh_mark = %(mark)s,
    trouble = NULL, spent = false,
    refresh_holder = NULL, refresh_until = NULL, refresh_sent_at = NULL
WHERE id = %(id)s

-- name: fail_refresh
-- A refresh that did not come to anything, and when to try again.
UPDATE httpproxy.credential
SET trouble = %(trouble)s, spent = %(spent)s,
    refresh_at = now() + make_interval(secs => %(retry_in)s),
    refresh_holder = NULL, refresh_until = NULL, refresh_sent_at = NULL
WHERE id = ANY(%(ids)s)

-- name: read_due
-- What is to be refreshed now and is refreshed by nobody; of a family, one.
SELECT min(id) AS id FROM httpproxy.credential
WHERE refresh_at <= now() AND NOT spent
    AND (refresh_until IS NULL OR refresh_until <= now())
GROUP BY provider, coalesce(refresh_mark, convert_to(id, 'UTF8'))
ORDER BY min(refresh_at) LIMIT %(limit)s
