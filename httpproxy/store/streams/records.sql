-- Each record at its newest event: told, and brought up. What stands in braces is composed by
-- records.py and compaction.py.

-- name: read_progress
-- How far the events have gone into the records.
SELECT era, transaction::text, seq FROM httpproxy.record_progress

-- name: be_patient
-- How long a reader waits for another who goes on with it.
SELECT set_config('lock_timeout', '1s', true)

-- name: hold_progress
-- The same, for the one who goes on with it.
SELECT era, transaction::text, seq FROM httpproxy.record_progress FOR UPDATE

-- name: is_behind
-- Whether there is an event that has not gone into the records.
SELECT FROM httpproxy.event e WHERE {within} LIMIT 1

-- name: bring_up
-- Some more events; the newest of each record stays.
WITH looked AS MATERIALIZED (
    SELECT e.sync_id, e.collection_id, e.upstream_id, e.transaction, e.seq, e.event,
        e.upstream_updated_at, e.origin, e.request_id, e.inserted_at
    FROM httpproxy.event e WHERE {within}
    ORDER BY e.transaction, e.seq LIMIT {batch}
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (sync_id, collection_id, upstream_id) * FROM looked
    ORDER BY sync_id, collection_id, upstream_id, transaction DESC, seq DESC
), written AS (
    INSERT INTO httpproxy.record AS r (sync_id, collection_id, upstream_id, era, transaction,
        seq, event, upstream_updated_at, origin, request_id, inserted_at)
    SELECT sync_id, collection_id, upstream_id, %(era)s::bigint, transaction, seq, event,
        upstream_updated_at, origin, request_id, inserted_at
    FROM newest
    ON CONFLICT (sync_id, collection_id, upstream_id) DO UPDATE
    SET era = excluded.era, transaction = excluded.transaction, seq = excluded.seq,
        event = excluded.event, upstream_updated_at = excluded.upstream_updated_at,
        origin = excluded.origin, request_id = excluded.request_id,
        inserted_at = excluded.inserted_at
), moved AS (
    UPDATE httpproxy.record_progress p
    SET era = %(era)s::bigint, transaction = l.transaction, seq = l.seq
    FROM (SELECT transaction, seq FROM looked ORDER BY transaction DESC, seq DESC LIMIT 1) l
)
SELECT count(*) AS looked FROM looked

-- name: records
-- Some of the records that are looked at: those that fit, and the last one in any case.
SELECT w.* FROM (
    SELECT r.sync_id, r.collection_id, r.upstream_id, r.era, r.transaction::text, r.seq,
        r.event, r.upstream_updated_at, r.origin, r.request_id, r.inserted_at, f.fits,
        row_number() OVER w AS looked, lead(true) OVER w IS NULL AS last
    FROM (SELECT r.* FROM {source} ORDER BY r.era, r.transaction, r.seq LIMIT {looks}) r
    CROSS JOIN LATERAL (SELECT
        (%(sync_ids)s::text[] IS NULL OR r.sync_id = ANY(%(sync_ids)s))
        AND (%(collection_ids)s::text[] IS NULL OR r.collection_id = ANY(%(collection_ids)s))
        AND (%(kinds)s::text[] IS NULL OR r.event = ANY(%(kinds)s))
        AND (%(origins)s::text[] IS NULL OR r.origin = ANY(%(origins)s)) AS fits OFFSET 0
    ) f
    WINDOW w AS ()
) w
WHERE w.fits OR w.last
LIMIT %(limit)s

-- name: records_of_all
-- Where they are looked for: all of them.
httpproxy.record r
WHERE (r.era, r.transaction, r.seq)
    > (%(era)s::bigint, %(transaction)s::text::xid8, %(seq)s::bigint)

-- name: records_of_one
-- Or those of one sync.
httpproxy.record r
WHERE r.sync_id = (%(sync_ids)s::text[])[1] AND (r.era, r.transaction, r.seq)
    > (%(era)s::bigint, %(transaction)s::text::xid8, %(seq)s::bigint)

-- name: records_of_few
-- Or those of a few syncs.
pg_catalog.unnest(%(sync_ids)s::text[]) wanted(sync_id) CROSS JOIN LATERAL (
    SELECT r.* FROM httpproxy.record r
    WHERE r.sync_id = wanted.sync_id AND (r.era, r.transaction, r.seq)
        > (%(era)s::bigint, %(transaction)s::text::xid8, %(seq)s::bigint)
    ORDER BY r.era, r.transaction, r.seq LIMIT {looks}
) r
