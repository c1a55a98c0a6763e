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

-- name: stream_lag
-- For how long the oldest event that is committed waits to be told: an older transaction of
-- anybody in this cluster is open still (docs/decisions/0017-streams.md). Its own are not seen.
SELECT coalesce(extract(epoch FROM now() - min(inserted_at)), 0)::float8 AS lag
FROM httpproxy.event WHERE transaction >= pg_snapshot_xmin(pg_current_snapshot())
    AND seq >= (SELECT max(first_seq) FROM httpproxy.event_era)

-- name: count_tokens
-- Credentials whose last refresh came to nothing, and those of active syncs whose token ends
-- in five minutes: it should have been refreshed by then (exchange/tokens/lifetimes.py).
SELECT count(*) FILTER (WHERE c.trouble IS NOT NULL) AS unrefreshed,
    count(*) FILTER (WHERE c.expires_at < now() + interval '5 minutes' AND EXISTS (
        SELECT FROM httpproxy.sync s
        WHERE s.credential_id = c.id AND s.status = 'active')) AS expiring
FROM httpproxy.credential c
WHERE c.trouble IS NOT NULL OR c.expires_at < now() + interval '5 minutes'

-- name: count_syncs
-- How many syncs there are of each status, and how many serving processes.
SELECT status, count(*) AS number FROM httpproxy.sync GROUP BY status
UNION ALL
SELECT 'processes', count(*) FROM httpproxy.process WHERE expires_at > now()
