-- Sealed secrets and the keys that they are sealed with (sealing.py). Parameters are
-- psycopg's. A key id is bytes 2 to 5 of what is sealed (vault.py).

-- name: count_by_key
-- How many secrets are sealed with which key.
SELECT encode(substr(secret, 2, 4), 'hex') AS key_id, count(*) AS secrets
FROM (
    SELECT secret FROM httpproxy.credential
    UNION ALL
    SELECT secret FROM httpproxy.oauth_app WHERE secret IS NOT NULL
) AS sealed
GROUP BY 1 ORDER BY 1

-- name: read_sealed_otherwise
-- Secrets that another key than this seals, in their order after the one of this id.
SELECT id, place, secret
FROM (
    SELECT id, 'credential' AS place, secret FROM httpproxy.credential
    UNION ALL
    SELECT id, 'oauth_app', secret FROM httpproxy.oauth_app WHERE secret IS NOT NULL
) AS sealed
WHERE encode(substr(secret, 2, 4), 'hex') <> %(key_id)s AND id > %(after)s
ORDER BY id LIMIT %(limit)s

-- name: read_sealed
-- Every secret: of a credential with the names of the syncs that use it, of an OAuth app.
SELECT c.id, 'credential' AS place, c.secret,
    coalesce(string_agg(s.name, ', ' ORDER BY s.name), c.account) AS used_by
FROM httpproxy.credential c LEFT JOIN httpproxy.sync s ON s.credential_id = c.id
GROUP BY c.id
UNION ALL
SELECT id, 'oauth_app', secret, 'OAuth app ' || coalesce(name, client_id)
FROM httpproxy.oauth_app WHERE secret IS NOT NULL
ORDER BY id

-- name: reseal_credential
-- A credential sealed anew, unless somebody has replaced it meanwhile.
UPDATE httpproxy.credential SET secret = %(resealed)s
WHERE id = %(id)s AND secret = %(secret)s

-- name: reseal_oauth_app
-- An OAuth app's secret sealed anew, likewise.
UPDATE httpproxy.oauth_app SET secret = %(resealed)s
WHERE id = %(id)s AND secret = %(secret)s
