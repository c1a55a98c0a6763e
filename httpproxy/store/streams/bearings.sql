-- Where readers of the streams can go. Numbers of transactions (xid8) go as text between us and
-- Postgres.

-- name: bearings
-- The eras, how far events can be told, and how far those of some syncs (NULL: of all) were
-- dropped. What transactions before the horizon wrote is seen, or was undone.
SELECT e.era, e.first_seq, e.salt, d.era AS dropped_era, d.transaction AS dropped_transaction,
    d.seq AS dropped_seq, pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
    -- Nothing is dropped behind this in the same transaction: it waits for our lock.
    (SELECT true FROM ONLY httpproxy.event LIMIT 1) AS held
FROM httpproxy.event_era e
LEFT JOIN (
    SELECT d.era, d.transaction::text, d.seq FROM httpproxy.event_dropped d
    WHERE %(sync_ids)s::text[] IS NULL OR d.sync_id = ANY(%(sync_ids)s)
    ORDER BY d.era DESC, d.transaction DESC, d.seq DESC LIMIT 1
) d ON true
ORDER BY e.era

-- name: keep_to_order
-- Along the indexes, whatever the planner believes of days that have just begun: sorting what is
-- left of one, for each page anew, takes as long as the day is.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_sort', 'off', true), set_config('jit', 'off', true)

-- name: border
-- Before which transaction all have ended; and whether one is open although a later one has ended.
SELECT pg_snapshot_xmin(s)::text AS horizon, pg_snapshot_xmin(s) < pg_snapshot_xmax(s) AS open
FROM pg_current_snapshot() s
