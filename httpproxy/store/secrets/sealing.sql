-- Sealed secrets and the keys that they are sealed with (sealing.py). Parameters are
-- psycopg's. A key id is bytes 2 to 5 of what is sealed (vault.py).

-- name: count_by_key
-- How many secrets are sealed with which key.
SELECT encode(substr(secret, 2, 4), 'hex') AS key_id, count(*) AS secrets
FROM httpproxy.credential GROUP BY 1 ORDER BY 1

-- name: read_sealed_otherwise
-- Credentials that another key than this seals, in their order after the one of this id.
SELECT id, secret FROM httpproxy.credential
WHERE encode(substr(secret, 2, 4), 'hex') <> %(key_id)s AND id > %(after)s
ORDER BY id LIMIT %(limit)s

-- name: read_credentials
-- Every credential, with the names of the syncs that use it.
SELECT c.id, c.secret, coalesce(string_agg(s.name, ', ' ORDER BY s.name), c.account) AS used_by
FROM httpproxy.credential c LEFT JOIN httpproxy.sync s ON s.credential_id = c.id
GROUP BY c.id ORDER BY c.id

-- name: reseal
-- A credential sealed anew, unless somebody has replaced it meanwhile.
UPDATE httpproxy.credential SET secret = %(resealed)s
WHERE id = %(id)s AND secret = %(secret)s
