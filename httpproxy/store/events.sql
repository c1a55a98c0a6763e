-- The committed changes, read. Parameters are %(name)s.

-- name: created_by_others
-- Which of these records another call of the application made since a time. What one call
-- made, another never did.
SELECT e.collection_id, e.upstream_id FROM httpproxy.event e
WHERE e.sync_id = %(sync_id)s AND e.upstream_id = ANY(%(record_ids)s)
    AND e.inserted_at >= to_timestamp(%(since)s) - interval '5 minutes'
    AND e.event = 'created' AND e.origin IN ('proxy', 'mutation', 'sql')
    AND e.request_id <> %(request_id)s
