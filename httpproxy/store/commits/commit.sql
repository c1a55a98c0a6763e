-- What a commit does beside writing to users' tables (tables.sql). Parameters are $1….

-- name: begin
-- Opens a batch.
BEGIN

-- name: end
-- Commits a batch.
COMMIT

-- name: settle_session
-- A batch never waits long for a lock: one locked table may not hold up all others.
-- Every step looks up a few rows by key; a plan made while a table was empty must not
-- scan it when it has grown.
SELECT set_config('lock_timeout', '250ms', false),
    set_config('enable_seqscan', 'off', false),
    set_config('jit', 'off', false),
    set_config('timezone', 'UTC', false),
    set_config('datestyle', 'ISO, YMD', false)

-- name: settle_transaction
-- The same, where the connection is not ours alone.
SELECT set_config('lock_timeout', '250ms', true),
    set_config('enable_seqscan', 'off', true),
    set_config('jit', 'off', true),
    set_config('timezone', 'UTC', true),
    set_config('datestyle', 'ISO, YMD', true)

-- name: forward_clock
-- A new value of the clock, beyond what this process has seen: a database that was put back
-- (a lagging standby, a backup) has a clock that was put back too, and begins a new epoch.
SELECT nextval('httpproxy.clock') AS tick
FROM (SELECT httpproxy.follow_history($1::bigint, true) OFFSET 0) history

-- name: guard
-- The interval rule. An image is let through if no image of its record was obtained
-- while it was on its way, or if the upstream's own version says that it is newer than
-- anything in the row. $1: c collection · r record id · s start · u version · f whole ·
-- d deleted · t when the exchange began, in seconds since 1970 · i the exchange's intent.
-- Intents none of whose images is refused end here, and those of $2, which have no images.
-- What began before this epoch is refused: the row may lack an image that was newer. $3 is
-- the clock as the connection saw it last.
-- Answers with the clock, and the images that were refused.
WITH history AS MATERIALIZED (
    SELECT httpproxy.follow_history($3::bigint, false) AS floor
), now AS MATERIALIZED (
    SELECT floor, nextval('httpproxy.clock') AS tick FROM history
), given AS MATERIALIZED (
    SELECT g.*, now.tick, now.floor
    FROM now, jsonb_to_recordset($1) AS g(
        c integer, r text, s bigint, u timestamptz, f boolean, d boolean, t float8, i bigint)
), granted AS (
    INSERT INTO httpproxy.meta AS m
        (collection, record_id, start_seq, end_seq, updated_at, deleted, partial, read_at)
    SELECT c, r, s, tick, u, d, NOT f,
        least(coalesce(to_timestamp(t), now() - interval '2 minutes'), now())
    FROM given WHERE s >= floor ORDER BY c, r
    ON CONFLICT (collection, record_id) DO UPDATE
    SET start_seq = excluded.start_seq, end_seq = excluded.end_seq,
        updated_at = excluded.updated_at, deleted = excluded.deleted,
        partial = excluded.partial, read_at = excluded.read_at,
        transaction = CASE WHEN m.transaction > excluded.transaction
            THEN httpproxy.event_transaction(m.transaction, excluded.transaction)
            ELSE excluded.transaction END
    WHERE m.end_seq <= excluded.start_seq
        OR (NOT m.deleted AND NOT excluded.deleted AND excluded.updated_at > m.updated_at)
    RETURNING collection, record_id
), refused AS MATERIALIZED (
    SELECT c, r FROM given
    EXCEPT ALL
    SELECT collection, record_id FROM granted
), ended AS (
    DELETE FROM httpproxy.intent WHERE id = ANY(
        ARRAY(
            SELECT i FROM given WHERE i IS NOT NULL
            EXCEPT
            SELECT i FROM given JOIN refused USING (c, r)
        ) || $2::bigint[])
)
SELECT now.tick, g.c, g.r
FROM now LEFT JOIN refused g ON true

-- name: end_intents
-- Intents of exchanges that are settled. $1: their ids.
DELETE FROM httpproxy.intent WHERE id = ANY($1::bigint[])

-- name: token
-- How far the log has come: whoever has replayed so much has every commit so far. A commit
-- that does not wait for the disk may lie ahead of what is written.
SELECT CASE current_setting('synchronous_commit') WHEN 'off'
    THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_lsn() END::text

-- name: lock_meta
-- Holds what is known of some records, in their order. $1: c collection · r record id.
SELECT FROM httpproxy.meta m
JOIN jsonb_to_recordset($1) AS g(c integer, r text) ON m.collection = g.c AND m.record_id = g.r
ORDER BY m.collection, m.record_id
FOR UPDATE OF m

-- name: mark
-- Records, or with r '' collections, that are to be read again; marks of forgotten
-- collections are dropped. Where only a version was told (u), a row that has it needs no
-- reading, provided that it was read well after that moment: versions are coarse (Airtable's
-- are whole seconds), and an edit that followed our read within the same second has the
-- same version. Two seconds: one for that, one for clocks that disagree. A collection's row
-- is held so that the sync is not deleted meanwhile.
-- $1: c collection · r record id · k key · w why · u version.
WITH given AS MATERIALIZED (
    SELECT g.c, g.r, g.k, g.w, httpproxy.as_timestamptz(g.u) AS u
    FROM jsonb_to_recordset($1) AS g(c integer, r text, k text[], w text, u jsonb)
), held AS MATERIALIZED (
    SELECT id FROM httpproxy.collection WHERE id IN (SELECT c FROM given) AND left_at IS NULL
    ORDER BY id FOR KEY SHARE
)
INSERT INTO httpproxy.dirty (collection, record_id, key, reason)
SELECT g.c, g.r, g.k, g.w
FROM given g
JOIN held ON held.id = g.c
LEFT JOIN httpproxy.meta m ON m.collection = g.c AND m.record_id = g.r
WHERE (m.updated_at = g.u AND NOT m.partial AND NOT m.deleted
    AND m.read_at > g.u + interval '2 seconds') IS NOT TRUE
ORDER BY g.c, g.r
ON CONFLICT (collection, record_id) DO UPDATE
SET reason = excluded.reason, mark = nextval('httpproxy.clock'),
    since = least(dirty.since, excluded.since)

-- name: mark_for_later
-- A record to be read again, but not before some time has passed, unless it is marked for
-- another reason. $1: collection, $2: record id, $3: key, as JSON, $4: why, $5: seconds.
INSERT INTO httpproxy.dirty (collection, record_id, key, reason, since)
SELECT c.id, $2, ARRAY(SELECT jsonb_array_elements_text($3)), $4,
    now() + make_interval(secs => $5)
FROM httpproxy.collection c WHERE c.id = $1::integer FOR KEY SHARE
ON CONFLICT (collection, record_id) DO UPDATE
SET reason = excluded.reason, mark = nextval('httpproxy.clock'), since = excluded.since

-- name: ping
-- Whether the database is there.
SELECT

-- name: try_version
-- Whether an upstream's version is a moment: an error says no.
SELECT $1::timestamptz

-- name: quarantine
-- An image that the user's table refuses; one that is refused again is kept once.
INSERT INTO httpproxy.quarantine (collection, record_id, image, sqlstate, error, request_id)
SELECT g.* FROM (VALUES ($1::integer, $2::text, $3::jsonb, $4::text, $5::text, $6::text))
    AS g(collection, record_id, image, sqlstate, error, request_id)
WHERE NOT EXISTS (SELECT FROM httpproxy.quarantine q
    WHERE q.collection = g.collection AND q.record_id = g.record_id
        AND q.image = g.image AND q.sqlstate IS NOT DISTINCT FROM g.sqlstate)
