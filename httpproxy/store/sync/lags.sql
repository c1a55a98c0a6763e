-- What metrics say of the syncs.

-- name: read_lags
-- How far each collection of active syncs lies behind its API, the worst first; `behind`
-- is counted from the sync's creation while nothing has been listed.
SELECT s.name AS sync, c.table_name AS table,
    extract(epoch FROM now() - coalesce(greatest(p.listed_at, p.heard_at), s.created_at))::float8
        AS behind,
    extract(epoch FROM now() - coalesce(p.listed_at, s.created_at))::float8 AS unlisted,
    coalesce(p.failures, 0) AS failures,
    coalesce(p.checked, 0) AS checked, coalesce(p.drifted, 0) AS drifted,
    coalesce(r.held_at IS NOT NULL AND NOT r.held_approved, false) AS held,
    count(*) OVER () AS collections
FROM httpproxy.collection c
JOIN httpproxy.sync s ON s.id = c.sync_id
LEFT JOIN httpproxy.progress p ON p.collection = c.id
LEFT JOIN httpproxy.run r ON r.collection = c.id
WHERE s.status = 'active' AND c.removed_at IS NULL AND c.left_at IS NULL
ORDER BY behind DESC, c.id
LIMIT %(limit)s

-- name: count_syncs
-- How many syncs there are of each status, and how many serving processes.
SELECT status, count(*) AS number FROM httpproxy.sync GROUP BY status
UNION ALL
SELECT 'processes', count(*) FROM httpproxy.process WHERE expires_at > now()
