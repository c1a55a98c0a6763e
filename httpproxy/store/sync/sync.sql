-- The sync's own statements: runs, what they saw, marks, feeds, health. Parameters are
-- psycopg's. Rows are held in one order, so that processes wait for each other and never
-- block each other: collections (by id), feed, progress, run, marks, each by its key.

-- name: keep_to_index
-- A few rows of each collection, whatever the planner believes of tables that have just
-- been filled, or of a collection that has few rows of many.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('jit', 'off', true)

-- name: read_states
-- How each collection of some syncs stands. What has to be counted is only with `counted`.
SELECT c.id AS number, c.sync_id, c.upstream_id, c.name, c.table_name,
    c.removed_at IS NOT NULL AS removed,
    r.number AS run, r.kind, r.thorough, r.start_seq, r.after, r.pages, r.records, r.mark,
    extract(epoch FROM r.began_at)::float8 AS began_at,
    extract(epoch FROM r.held_at)::float8 AS held_at,
    r.held_missing, r.held_rows, r.held_approved,
    extract(epoch FROM p.backfilled_at)::float8 AS backfilled_at,
    extract(epoch FROM p.listed_at)::float8 AS listed_at,
    extract(epoch FROM p.heard_at)::float8 AS heard_at,
    extract(epoch FROM p.succeeded_at)::float8 AS succeeded_at,
    p.error, p.remedy, p.failures, extract(epoch FROM p.failed_at)::float8 AS failed_at,
    coalesce(p.wants_thorough, false) AS wants_thorough,
    coalesce(p.checked, 0) AS checked, coalesce(p.drifted, 0) AS drifted,
    extract(epoch FROM p.checked_at)::float8 AS checked_at,
    w.mark AS whole_mark, extract(epoch FROM w.since)::float8 AS whole_since,
    d.dirty, q.requests, k.id AS credential_id, k.trouble AS unrefreshed, k.spent,
    coalesce(CASE WHEN t.guessed > 10000 THEN t.guessed ELSE m.counted END, 0) AS rows
FROM httpproxy.collection c
JOIN httpproxy.sync s ON s.id = c.sync_id
LEFT JOIN httpproxy.credential k ON k.id = s.credential_id
LEFT JOIN httpproxy.progress p ON p.collection = c.id
LEFT JOIN httpproxy.run r ON r.collection = c.id
LEFT JOIN httpproxy.dirty w ON w.collection = c.id AND w.record_id = ''
CROSS JOIN LATERAL (
    SELECT count(*) AS dirty FROM (
        SELECT FROM httpproxy.dirty d
        WHERE %(counted)s AND d.collection = c.id AND d.record_id <> ''
        ORDER BY d.since LIMIT 10000) d
) d
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.jsonb_object_agg(q.class, q.requests), '{}') AS requests
    FROM httpproxy.request q WHERE %(counted)s AND q.collection = c.id
) q
-- As the planner does: rows per page when it was last looked at, times the pages of now.
LEFT JOIN LATERAL (
    SELECT (t.reltuples / t.relpages * (pg_relation_size(t.oid)
        / current_setting('block_size')::integer))::bigint AS guessed
    FROM pg_class t
    WHERE %(counted)s AND t.oid = to_regclass(pg_catalog.format('%%I.%%I', s.schema_name, c.table_name))
        AND t.relpages > 0 AND t.reltuples > 0
) t ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS counted FROM (
        SELECT FROM httpproxy.meta m
        WHERE m.collection = c.id AND NOT m.deleted ORDER BY m.record_id LIMIT 10001) m
    WHERE %(counted)s AND coalesce(t.guessed, 0) <= 10000
) m ON true
WHERE c.sync_id = ANY(%(sync_ids)s) AND c.left_at IS NULL
ORDER BY c.sync_id, c.position, c.id

-- name: hold_progress
-- A collection's progress, held until the end of the transaction. Nothing if the
-- collection is forgotten.
INSERT INTO httpproxy.progress AS p (collection)
SELECT id FROM httpproxy.collection
WHERE id = %(number)s AND httpproxy.require_owner(sync_id, %(fence)s) FOR KEY SHARE
ON CONFLICT (collection) DO UPDATE SET failures = p.failures
RETURNING collection

-- name: drop_runs
-- The listing under way in some collections, with what it saw.
WITH dropped AS (
    DELETE FROM httpproxy.run WHERE collection = ANY(%(numbers)s) RETURNING number
)
DELETE FROM httpproxy.seen WHERE run IN (SELECT number FROM dropped)

-- name: begin_run
-- A new listing.
INSERT INTO httpproxy.run (collection, kind, thorough, start_seq, mark)
VALUES (%(number)s, %(kind)s, %(thorough)s, %(start)s, %(mark)s)
RETURNING number AS run, kind, thorough, start_seq, after, pages, records, mark,
    extract(epoch FROM began_at)::float8 AS began_at

-- name: turn_page
-- What a page showed, and where the next one begins: one statement, so that a run that
-- was resumed knows of every record before its cursor. Nothing if another process has
-- turned this page, or the run has ended.
WITH turned AS (
    UPDATE httpproxy.run
    SET after = %(after)s, pages = pages + 1,
        records = records + pg_catalog.cardinality(%(seen)s::text[])
    WHERE number = %(run)s AND collection = %(number)s AND pages = %(pages)s
        AND httpproxy.require_owner(
            (SELECT sync_id FROM httpproxy.collection WHERE id = %(number)s), %(fence)s)
    RETURNING number, pages, records
), noted AS (
    INSERT INTO httpproxy.seen (run, record_id)
    SELECT turned.number, record FROM turned, pg_catalog.unnest(%(seen)s::text[]) AS record
)
SELECT pages, records FROM turned

-- name: current_run
-- Whether a run is the collection's, and whether what it saw is still there. A crash
-- empties the whole of httpproxy.seen, and nothing is added after the last page.
SELECT r.records = 0 OR EXISTS (SELECT FROM httpproxy.seen s WHERE s.run = r.number) AS kept
FROM httpproxy.run r
WHERE r.number = %(run)s AND r.collection = %(number)s

-- name: count_missing
-- What a run has not seen of the rows that were there when it began, and the records that
-- it saw, by its own count (logged) and by what is left of them (not logged).
SELECT r.records, (SELECT count(*) FROM httpproxy.seen s WHERE s.run = r.number) AS kept,
    (SELECT count(*) FROM httpproxy.meta m
        WHERE m.collection = %(number)s AND NOT m.deleted) AS rows,
    (SELECT count(*) FROM httpproxy.meta m
        WHERE m.collection = %(number)s AND NOT m.deleted AND m.end_seq <= %(start)s
            AND NOT EXISTS (SELECT FROM httpproxy.seen s
                WHERE s.run = %(run)s AND s.record_id = m.record_id)) AS missing
FROM httpproxy.run r
WHERE r.number = %(run)s AND r.collection = %(number)s

-- name: join_large
-- What a run saw and what is known are joined as wholes, whatever the planner believes of
-- tables that have just been filled: row by row takes ten times as long.
SELECT set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)

-- name: walk_index
-- The chunks of `missing_keys` go along the two keys from where the last one ended.
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_sort', 'off', true), set_config('jit', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true)

-- name: missing_keys
-- The next records that a run has not seen.
SELECT m.record_id FROM httpproxy.meta m
WHERE m.collection = %(number)s AND m.record_id > %(after)s AND NOT m.deleted
    AND m.end_seq <= %(start)s
    AND NOT EXISTS (SELECT FROM httpproxy.seen s
        WHERE s.run = %(run)s AND s.record_id > %(after)s AND s.record_id = m.record_id)
ORDER BY m.record_id
LIMIT %(limit)s

-- name: end_run
-- A listing that is complete; nothing if it is not the collection's, or not at its end.
DELETE FROM httpproxy.run
WHERE number = %(run)s AND collection = %(number)s AND pages > 0 AND after IS NULL
RETURNING thorough, began_at

-- name: drop_seen
-- What a run saw.
DELETE FROM httpproxy.seen WHERE run = %(run)s

-- name: drop_run
-- A run that is void, with what it saw.
WITH dropped AS (
    DELETE FROM httpproxy.run WHERE number = %(run)s AND collection = %(number)s
        AND httpproxy.require_owner(
            (SELECT sync_id FROM httpproxy.collection WHERE id = %(number)s), %(fence)s)
    RETURNING number
)
DELETE FROM httpproxy.seen WHERE run IN (SELECT number FROM dropped)

-- name: settle_whole
-- The mark of a whole collection, unless it was marked again.
DELETE FROM httpproxy.dirty
WHERE collection = %(number)s AND record_id = '' AND mark = %(mark)s

-- name: record_listing
-- A complete listing is a success, though something else may fail still: what is wrong is
-- taken back by `record_success` alone. It answers what was asked for before it began; a
-- field that came meanwhile lacks its values in all that was listed until then.
UPDATE httpproxy.progress
SET backfilled_at = coalesce(backfilled_at, now()), listed_at = now(), succeeded_at = now(),
    wants_thorough = wants_thorough
        AND NOT (%(thorough)s AND coalesce(asked_at < %(began_at)s, true))
WHERE collection = %(number)s

-- name: hold_run
-- A run whose deletes wait for the operator. What he has approved covers no more than
-- he was told.
UPDATE httpproxy.run
SET held_at = coalesce(held_at, now()), held_missing = %(missing)s, held_rows = %(rows)s,
    held_approved = held_approved AND held_missing >= %(missing)s
WHERE number = %(run)s AND collection = %(number)s
    AND httpproxy.require_owner(
        (SELECT sync_id FROM httpproxy.collection WHERE id = %(number)s), %(fence)s)
RETURNING number

-- name: approve_run
-- The operator's word that a held run may delete.
UPDATE httpproxy.run r SET held_approved = true
FROM httpproxy.collection c
WHERE c.id = r.collection AND c.sync_id = %(sync_id)s AND c.upstream_id = %(collection)s
    AND r.held_at IS NOT NULL
RETURNING r.number

-- name: want_thorough
-- The operator asks for collections to be listed anew, value by value.
INSERT INTO httpproxy.progress (collection, wants_thorough, asked_at)
SELECT c.id, true, clock_timestamp() FROM httpproxy.collection c
WHERE c.sync_id = %(sync_id)s AND c.removed_at IS NULL AND c.left_at IS NULL
    AND (%(collections)s::text[] IS NULL OR c.upstream_id = ANY(%(collections)s::text[]))
ORDER BY c.id FOR KEY SHARE
ON CONFLICT (collection) DO UPDATE SET wants_thorough = true, asked_at = excluded.asked_at
RETURNING collection

-- name: record_failure
-- Something went wrong in some collections; `failed_at` is the first of a row.
INSERT INTO httpproxy.progress AS p (collection, error, remedy, failed_at, failures)
SELECT c.id, %(error)s, %(remedy)s, now(), 1 FROM httpproxy.collection c
WHERE c.sync_id = %(sync_id)s AND c.upstream_id = ANY(%(collections)s)
ORDER BY c.id FOR KEY SHARE
ON CONFLICT (collection) DO UPDATE
SET error = excluded.error, remedy = excluded.remedy,
    failed_at = coalesce(p.failed_at, now()), failures = p.failures + 1

-- name: record_success
-- Something went well in some collections.
INSERT INTO httpproxy.progress (collection, succeeded_at)
SELECT c.id, now() FROM httpproxy.collection c
WHERE c.sync_id = %(sync_id)s AND c.upstream_id = ANY(%(collections)s)
ORDER BY c.id FOR KEY SHARE
ON CONFLICT (collection) DO UPDATE
SET succeeded_at = now(), error = NULL, remedy = '', failed_at = NULL, failures = 0

-- name: count_requests
-- Requests that were sent, by collection and class.
INSERT INTO httpproxy.request AS r (collection, class, requests)
SELECT c.id, g.class, g.requests
FROM unnest(%(numbers)s::integer[], %(classes)s::text[], %(requests)s::bigint[])
    AS g(number, class, requests)
JOIN httpproxy.collection c ON c.id = g.number
ORDER BY c.id, g.class FOR KEY SHARE OF c
ON CONFLICT (collection, class) DO UPDATE SET requests = r.requests + excluded.requests

-- name: count_truth
-- Rows that were compared with the API, and those that differed.
INSERT INTO httpproxy.progress AS p (collection, checked, drifted, checked_at)
SELECT id, %(checked)s, %(drifted)s, now() FROM httpproxy.collection WHERE id = %(number)s
FOR KEY SHARE
ON CONFLICT (collection) DO UPDATE
SET checked = p.checked + excluded.checked, drifted = p.drifted + excluded.drifted,
    checked_at = now()

-- name: read_feed
-- Where a feed goes on.
SELECT state FROM httpproxy.feed WHERE sync_id = %(sync_id)s AND name = %(feed)s

-- name: begin_feed
-- The first state of a feed, unless it has one.
INSERT INTO httpproxy.feed (sync_id, name, state)
SELECT %(sync_id)s, %(feed)s, %(state)s
WHERE httpproxy.require_owner(%(sync_id)s, %(fence)s)
ON CONFLICT (sync_id, name) DO NOTHING
RETURNING name

-- name: continue_feed
-- The next state of a feed, if nobody has gone on meanwhile.
UPDATE httpproxy.feed SET state = %(state)s
WHERE sync_id = %(sync_id)s AND name = %(feed)s AND state = %(before)s
    AND httpproxy.require_owner(%(sync_id)s, %(fence)s)
RETURNING name

-- name: record_heard
-- A feed has been listened to.
INSERT INTO httpproxy.progress (collection, heard_at)
SELECT c.id, now() FROM httpproxy.collection c
WHERE c.sync_id = %(sync_id)s AND c.upstream_id = ANY(%(collections)s)
ORDER BY c.id FOR KEY SHARE
ON CONFLICT (collection) DO UPDATE SET heard_at = now()

-- name: dirty_syncs
-- Which syncs have marks, and of which kind: one step along the index per collection
-- that has any.
WITH RECURSIVE marked AS (
    (SELECT collection FROM httpproxy.dirty ORDER BY collection LIMIT 1)
    UNION ALL
    SELECT (SELECT d.collection FROM httpproxy.dirty d
        WHERE d.collection > marked.collection ORDER BY d.collection LIMIT 1)
    FROM marked WHERE marked.collection IS NOT NULL
)
SELECT c.sync_id,
    bool_or(EXISTS (SELECT FROM httpproxy.dirty d
        WHERE d.collection = c.id AND d.record_id > '')) AS records,
    bool_or(EXISTS (SELECT FROM httpproxy.dirty d
        WHERE d.collection = c.id AND d.record_id = '')) AS wholes
FROM marked JOIN httpproxy.collection c ON c.id = marked.collection
GROUP BY c.sync_id

-- name: read_marks
-- The oldest marks of the collection that has the oldest; none that are for later.
SELECT o.collection, d.record_id, d.key, d.mark
FROM (
    SELECT n.collection, f.since
    FROM pg_catalog.unnest(%(numbers)s::integer[]) AS n(collection)
    CROSS JOIN LATERAL (
        SELECT since FROM httpproxy.dirty d
        WHERE d.collection = n.collection AND d.record_id <> '' AND d.since <= now()
        ORDER BY d.since LIMIT 1) f
    ORDER BY f.since, n.collection LIMIT 1
) o
CROSS JOIN LATERAL (
    SELECT * FROM httpproxy.dirty d
    WHERE d.collection = o.collection AND d.record_id <> '' AND d.since <= now()
    ORDER BY d.since LIMIT %(limit)s
) d

-- name: settle_marks
-- Marks that have been answered. Their numbers are drawn from the clock, so no other mark
-- has one of them, least of all a later one of the same record.
WITH answered AS MATERIALIZED (
    SELECT d.record_id
    FROM pg_catalog.unnest(%(records)s::text[]) AS g(record_id)  -- in their order, one by one
    CROSS JOIN LATERAL (
        SELECT d.record_id FROM httpproxy.dirty d
        WHERE d.collection = %(number)s AND d.record_id = g.record_id
            AND d.mark = ANY(%(marks)s)
        FOR UPDATE) d
)
DELETE FROM httpproxy.dirty d USING answered a
WHERE d.collection = %(number)s AND d.record_id = a.record_id

-- name: hold_collections
-- The registry's numbers of a sync's collections, which are not deleted meanwhile.
SELECT id AS number, upstream_id FROM httpproxy.collection WHERE sync_id = %(sync_id)s
ORDER BY id FOR KEY SHARE

-- name: prune_tombstones
-- Old tombstones, some at a time. One keeps away what was read before its deletion; so it
-- stays while a listing is under way that began before.
WITH old AS MATERIALIZED (
    SELECT m.collection, m.record_id FROM httpproxy.meta m
    WHERE m.deleted AND m.read_at < now() - make_interval(secs => %(keep)s)
        AND NOT EXISTS (SELECT FROM httpproxy.run r
            WHERE r.collection = m.collection AND r.start_seq < m.end_seq)
    LIMIT %(limit)s
    FOR UPDATE OF m SKIP LOCKED
)
DELETE FROM httpproxy.meta m USING old
WHERE m.collection = old.collection AND m.record_id = old.record_id

-- name: prune_deleted_syncs
-- Old news of deleted syncs.
DELETE FROM httpproxy.deleted_sync
WHERE deleted_at < now() - make_interval(secs => %(keep)s)
