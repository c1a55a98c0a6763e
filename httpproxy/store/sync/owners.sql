-- Whose sync is whose, by name. Parameters are psycopg's.

-- name: claim
-- Takes what is missing to this process's share of the active syncs: from those that nobody
-- has, or whose owner is gone. Shares are whole and add up: the processes of the role, in
-- their order, get an equal part each, and the first of them one more for what is left over.
-- Nobody's share depends on who holds what, so nothing is handed to and fro.
-- Answers with the share, and with what was taken.
WITH here AS MATERIALIZED (
    SELECT count(*) AS processes, count(*) FILTER (WHERE number < %(process)s) AS before,
        bool_or(number = %(process)s) AS counted
    FROM httpproxy.process WHERE 'sync' = ANY(roles)
), share AS MATERIALIZED (
    SELECT syncs / processes + (before < syncs %% processes)::integer AS due
    FROM here, (SELECT count(*) AS syncs FROM httpproxy.sync WHERE status = 'active') s
    WHERE counted
), free AS (
    SELECT s.id FROM httpproxy.sync s
    WHERE s.status = 'active'
        AND NOT EXISTS (SELECT FROM httpproxy.sync_owner o WHERE o.sync_id = s.id)
    ORDER BY s.id
    LIMIT (SELECT greatest(due - %(held)s, 0) FROM share)
), left_behind AS (
    -- A row that is locked is being written under, or taken over, right now.
    SELECT o.sync_id FROM httpproxy.sync_owner o
    JOIN httpproxy.sync s ON s.id = o.sync_id AND s.status = 'active'
    WHERE NOT EXISTS (SELECT FROM httpproxy.process p WHERE p.number = o.process)
    ORDER BY o.sync_id
    LIMIT (SELECT greatest(due - %(held)s, 0) FROM share)
    FOR UPDATE OF o SKIP LOCKED
), wanted AS MATERIALIZED (
    SELECT id FROM (SELECT id FROM free UNION ALL SELECT sync_id FROM left_behind) w
    ORDER BY id
    LIMIT (SELECT greatest(due - %(held)s, 0) FROM share)
), taken AS (
    INSERT INTO httpproxy.sync_owner AS o (sync_id, process)
    SELECT id, %(process)s FROM wanted WHERE EXISTS (SELECT FROM share)
    ON CONFLICT (sync_id) DO UPDATE SET process = excluded.process, fence = excluded.fence
    WHERE NOT EXISTS (SELECT FROM httpproxy.process p WHERE p.number = o.process)
    RETURNING o.sync_id, o.fence
)
SELECT share.due, taken.sync_id, taken.fence FROM share LEFT JOIN taken ON true

-- name: tidy
-- Rows of syncs that were deleted, and of processes that are gone with nobody to take over.
DELETE FROM httpproxy.sync_owner o
WHERE NOT EXISTS (SELECT FROM httpproxy.sync s WHERE s.id = o.sync_id)

-- name: read_owned
-- What a process has.
SELECT sync_id, fence FROM httpproxy.sync_owner WHERE process = %(process)s

-- name: give_up
-- What a process has and wants no more.
DELETE FROM httpproxy.sync_owner
WHERE process = %(process)s AND sync_id = ANY(%(sync_ids)s)

-- name: retire
-- A process that takes part no more, though it may serve on: it gets no share.
WITH freed AS (DELETE FROM httpproxy.sync_owner WHERE process = %(process)s)
UPDATE httpproxy.process SET roles = pg_catalog.array_remove(roles, 'sync') WHERE number = %(process)s
