-- Intents and the claims of idempotency keys. Parameters are $1…: what is written in groups
-- comes as one array for each column.

-- name: settle_session
-- A claim never waits long for another process's. Every step looks rows up by key; a plan
-- made while a table was empty must not scan it when it has grown.
SELECT set_config('lock_timeout', '250ms', false),
    set_config('enable_seqscan', 'off', false),
    set_config('jit', 'off', false)

-- name: settle_transaction
-- The same, where the connection is not ours alone (`database.settle`).
SELECT set_config('lock_timeout', '250ms', true),
    set_config('enable_seqscan', 'off', true),
    set_config('jit', 'off', true)

-- name: ping
-- Whether the database is there.
SELECT

-- name: begin
-- Intents; one that may have been written over a connection that was lost is written once.
INSERT INTO httpproxy.intent (id, process, sync_id, call, body)
SELECT g.id, g.id >> 32, g.sync_id, g.call, g.body
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[]) AS g(id, sync_id, call, body)
ON CONFLICT (id) DO NOTHING

-- name: claim
-- Claims of keys by intents; of several the first gets it. In the order of the keys, so that
-- processes do not wait for each other in a circle.
INSERT INTO httpproxy.idempotency (intent, sync_id, key, fingerprint)
SELECT g.* FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[])
    AS g(intent, sync_id, key, fingerprint)
ORDER BY sync_id, key, intent
ON CONFLICT (sync_id, key) DO NOTHING

-- name: withdraw
-- Intents whose key somebody else has.
DELETE FROM httpproxy.intent i WHERE id = ANY($1::bigint[])
    AND NOT EXISTS (SELECT FROM httpproxy.idempotency k WHERE k.intent = i.id)

-- name: won
-- Which of these intents have their key.
SELECT intent FROM httpproxy.idempotency WHERE intent = ANY($1::bigint[])

-- name: end
-- Intents that are settled.
DELETE FROM httpproxy.intent WHERE id = ANY($1::bigint[])

-- name: free
-- The keys of intents that ended without anything to be told again.
DELETE FROM httpproxy.idempotency WHERE intent = ANY($1::bigint[]) AND state = 'open'

-- name: doubt
-- Intents of which nobody knows what became; one that was adopted keeps its new owner.
UPDATE httpproxy.intent i SET state = 'uncertain', why = g.why, due_at = now()
FROM unnest($1::bigint[], $2::text[]) AS g(id, why)
WHERE i.id = g.id AND i.state = 'sent'

-- name: answer
-- The API's answers, for the keys of intents that are no longer under way. $1: intents ·
-- $2: status lines and header fields · $3: bodies.
UPDATE httpproxy.idempotency k
SET state = 'answered', head = g.head, body = g.body, records = '{}'
FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS g(intent, head, body)
WHERE k.intent = g.intent AND NOT EXISTS (
    SELECT FROM httpproxy.intent i WHERE i.id = g.intent AND i.state = 'sent')

-- name: due
-- Takes uncertain intents that are due, of process $1 or of one that is gone, and whatever a
-- process that is gone had under way: its ids lie in the gaps between the numbers of those
-- that live. What is taken is not handed out again for $3 seconds. At most $2.
WITH lives AS MATERIALIZED (
    SELECT number::bigint AS number FROM httpproxy.process
), gaps AS MATERIALIZED (
    SELECT (number + 1) << 32 AS low,
        coalesce(lead(number) OVER (ORDER BY number) << 32, 9223372036854775807) AS high
    FROM (SELECT number FROM lives UNION SELECT -1) AS numbers(number)
), due AS MATERIALIZED (
    SELECT i.id FROM httpproxy.intent i
    WHERE i.state = 'uncertain' AND i.due_at <= now()
        AND (i.process = $1::bigint OR i.process NOT IN (SELECT number FROM lives))
    ORDER BY i.due_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED
), orphaned AS MATERIALIZED (
    SELECT i.id FROM gaps JOIN httpproxy.intent i ON i.id >= gaps.low AND i.id < gaps.high
    WHERE i.state = 'sent'
    LIMIT $2::bigint FOR UPDATE OF i SKIP LOCKED
)
UPDATE httpproxy.intent i
SET process = $1::bigint, state = 'uncertain', due_at = now() + make_interval(secs => $3),
    why = CASE i.state WHEN 'sent' THEN 'the process that sent it is gone' ELSE i.why END
FROM (SELECT id FROM due UNION ALL SELECT id FROM orphaned LIMIT $2::bigint) AS taken
WHERE i.id = taken.id
RETURNING i.id, i.sync_id, i.call, i.body, i.looks, i.why,
    extract(epoch FROM i.began_at)::float8 AS began_at,
    EXISTS (SELECT FROM httpproxy.idempotency k WHERE k.intent = i.id) AS keyed

-- name: leaked
-- What process $1 seems to have forgotten: sent more than $2 seconds ago.
UPDATE httpproxy.intent
SET state = 'uncertain', due_at = now(), why = 'it was never ended'
WHERE id >= $1::bigint << 32 AND id < ($1::bigint + 1) << 32 AND state = 'sent'
    AND began_at < now() - make_interval(secs => $2)

-- name: look_again
-- An intent that is still uncertain. $2: why · $3: in how many seconds it is looked at next.
UPDATE httpproxy.intent
SET looks = looks + 1, why = $2, due_at = now() + make_interval(secs => $3)
WHERE id = $1::bigint AND state = 'uncertain'

-- name: conclude
-- What became of the call that has this key, as far as reading tells. $2: state · $3: records.
UPDATE httpproxy.idempotency SET state = $2, records = $3::text[]
WHERE intent = $1::bigint AND state = 'open'

-- name: kept
-- What is known of a key. $1: sync · $2: key.
SELECT k.fingerprint, k.head, k.body, k.records,
    extract(epoch FROM now() - k.claimed_at)::float8 AS age,
    CASE WHEN k.state <> 'open' THEN k.state WHEN i.state = 'sent' THEN 'in_flight'
        WHEN i.state = 'uncertain' THEN 'uncertain' ELSE 'unclear' END AS state
FROM httpproxy.idempotency k LEFT JOIN httpproxy.intent i ON i.id = k.intent
WHERE k.sync_id = $1 AND k.key = $2

-- name: open
-- Intents, oldest first. $1: of this sync, or NULL for all · $2: how many at most · $3, $4:
-- when the one before them began, and its id, or NULL.
SELECT i.id, i.process, i.sync_id, s.name AS sync_name, i.call, i.state, i.looks, i.why,
    i.began_at, extract(epoch FROM now() - i.began_at)::float8 AS age,
    extract(epoch FROM i.due_at - now())::float8 AS due_in
FROM httpproxy.intent i LEFT JOIN httpproxy.sync s ON s.id = i.sync_id
WHERE ($1::text IS NULL OR i.sync_id = $1)
    AND ($3::timestamptz IS NULL OR (i.began_at, i.id) > ($3, $4::bigint))
ORDER BY i.began_at, i.id LIMIT $2::bigint

-- name: count
-- How many there are, how many of them uncertain, and how old the oldest is.
SELECT count(*) AS open, count(*) FILTER (WHERE state = 'uncertain') AS uncertain,
    coalesce(extract(epoch FROM now() - min(began_at)), 0)::float8 AS oldest_seconds
FROM httpproxy.intent

-- name: prune
-- Keys older than $1 seconds, but for those whose call is not settled; at most $2.
DELETE FROM httpproxy.idempotency WHERE (sync_id, key) IN (
    SELECT k.sync_id, k.key FROM httpproxy.idempotency k
    WHERE k.claimed_at < now() - make_interval(secs => $1)
        AND (k.state <> 'open'
            OR NOT EXISTS (SELECT FROM httpproxy.intent i WHERE i.id = k.intent))
    LIMIT $2::bigint FOR UPDATE SKIP LOCKED)
