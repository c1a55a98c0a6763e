-- Claims of keys by mutations as a whole. Parameters are %(name)s.

-- name: claim
-- A key with what it stands for, if nobody has it. No intent goes with it (0 is nobody's):
-- the calls that it leads to have keys and intents of their own.
INSERT INTO httpproxy.idempotency (sync_id, key, intent, fingerprint, state, body)
VALUES (%(sync_id)s, %(key)s, 0, %(fingerprint)s, 'unclear', %(body)s)
ON CONFLICT (sync_id, key) DO NOTHING

-- name: claimed
-- What a key stands for.
SELECT fingerprint, body FROM httpproxy.idempotency WHERE sync_id = %(sync_id)s AND key = %(key)s
