-- The streams, read and brought up. What stands in braces is composed by stream.py and
-- records.py. Numbers of transactions (xid8) go as text between us and Postgres.

-- name: events
-- Some of the events that are looked at: those that fit, and the last one in any case, so that
-- the reader knows how far that was.
SELECT w.* FROM (
    SELECT e.seq, e.transaction::text, e.sync_id, e.collection_id, e.upstream_id,
        e.upstream_updated_at, e.event, e.origin, e.request_id, e.inserted_at, f.fits,
        CASE WHEN f.fits THEN e.data END AS data,
        CASE WHEN f.fits THEN e.changes END AS changes,
        row_number() OVER w AS looked, lead(true) OVER w IS NULL AS last
    FROM (SELECT e.* FROM {source} ORDER BY e.transaction {way}, e.seq {way} LIMIT {looks}) e
    CROSS JOIN LATERAL (SELECT
        (%(sync_ids)s::text[] IS NULL OR e.sync_id = ANY(%(sync_ids)s))
        AND (%(collection_ids)s::text[] IS NULL OR e.collection_id = ANY(%(collection_ids)s))
        AND (%(kinds)s::text[] IS NULL OR e.event = ANY(%(kinds)s))
        AND (%(origins)s::text[] IS NULL OR e.origin = ANY(%(origins)s)) AS fits OFFSET 0
    ) f
    WINDOW w AS ()
) w
WHERE w.fits OR w.last
LIMIT %(limit)s

-- name: events_of_all
-- Where they are looked for: all of them.
httpproxy.event e WHERE {within}

-- name: events_of_one
-- Or those of one sync.
httpproxy.event e WHERE e.sync_id = (%(sync_ids)s::text[])[1] AND {within}

-- name: events_of_few
-- Or those of a few syncs.
pg_catalog.unnest(%(sync_ids)s::text[]) wanted(sync_id) CROSS JOIN LATERAL (
    SELECT e.* FROM httpproxy.event e WHERE e.sync_id = wanted.sync_id AND {within}
    ORDER BY e.transaction {way}, e.seq {way} LIMIT {looks}
) e

-- name: events_within
-- And in which part of an era.
(e.transaction, e.seq) {beyond} (%(transaction)s::text::xid8, %(seq)s::bigint)
    AND e.transaction < %(horizon)s::text::xid8
    AND e.seq BETWEEN %(first_seq)s::bigint AND %(last_seq)s::bigint

-- name: event
-- One event, by its number.
SELECT e.seq, e.transaction::text, e.sync_id, e.collection_id, e.upstream_id,
    e.upstream_updated_at, e.event, e.origin, e.request_id, e.inserted_at, e.data, e.changes
FROM httpproxy.event e WHERE e.seq = %(seq)s AND e.transaction < %(horizon)s::text::xid8

-- name: newest_event
-- The last event that can be told, of the era that began with this number.
SELECT e.transaction::text, e.seq FROM httpproxy.event e
WHERE e.transaction < %(horizon)s::text::xid8 AND e.seq >= %(first_seq)s
ORDER BY e.transaction DESC, e.seq DESC LIMIT 1
