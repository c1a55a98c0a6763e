-- The days of the events: made ahead, and dropped for their age. What stands in braces is
-- composed by retention.py.

-- name: take_turn
-- One process at a time; and nobody who commits waits for us longer than this.
SELECT set_config('lock_timeout', '100ms', true),
    pg_try_advisory_xact_lock(7304519282161402) AS mine

-- name: make_days
-- The partitions of the days to come, and of those whose events wait for one.
SELECT d.day, httpproxy.make_event_day(d.day) AS made FROM (
    SELECT (now() AT TIME ZONE 'UTC')::date + ahead AS day
    FROM generate_series(0, %(ahead)s::integer) ahead
    UNION
    SELECT DISTINCT (l.inserted_at AT TIME ZONE 'UTC')::date FROM httpproxy.event_later l
    ORDER BY 1
) d

-- name: old_days
-- The partitions all of whose events are older than so many days, the oldest first.
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'httpproxy.event'::regclass AND c.relname ~ '^event_\d+$'
    AND (to_date(substr(c.relname, 7), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'
        <= now() - make_interval(secs => %(days)s::float8 * 86400)
ORDER BY c.relname

-- name: last_of_day
-- The place of a day's last event.
SELECT e.era, p.transaction::text, p.seq
FROM (SELECT era, first_seq, lead(first_seq) OVER (ORDER BY era) AS next_seq
    FROM httpproxy.event_era) e
CROSS JOIN LATERAL (
    SELECT p.transaction, p.seq FROM {day} p
    WHERE p.seq >= e.first_seq AND (p.seq < e.next_seq) IS NOT FALSE
    ORDER BY p.transaction DESC, p.seq DESC LIMIT 1
) p
ORDER BY e.era DESC LIMIT 1

-- name: note_dropped
-- How far the events of each sync are gone with a day.
INSERT INTO httpproxy.event_dropped AS d (sync_id, era, transaction, seq)
SELECT s.id, l.era, l.transaction, l.seq FROM httpproxy.sync s
CROSS JOIN LATERAL (
    SELECT e.era, p.transaction, p.seq
    FROM (SELECT era, first_seq, lead(first_seq) OVER (ORDER BY era) AS next_seq
        FROM httpproxy.event_era) e
    CROSS JOIN LATERAL (
        SELECT p.transaction, p.seq FROM {day} p
        WHERE p.sync_id = s.id AND p.seq >= e.first_seq AND (p.seq < e.next_seq) IS NOT FALSE
        ORDER BY p.transaction DESC, p.seq DESC LIMIT 1
    ) p
    ORDER BY e.era DESC LIMIT 1
) l
ORDER BY s.id
ON CONFLICT (sync_id) DO UPDATE
SET era = excluded.era, transaction = excluded.transaction, seq = excluded.seq
WHERE (d.era, d.transaction, d.seq) < (excluded.era, excluded.transaction, excluded.seq)

-- name: forget_deleted
-- Records that a day's events deleted, and that nothing has been heard of since.
DELETE FROM httpproxy.record r USING {day} p
WHERE p.event = 'deleted' AND r.event = 'deleted' AND r.sync_id = p.sync_id
    AND r.collection_id = p.collection_id AND r.upstream_id = p.upstream_id AND r.seq = p.seq

-- name: drop_day
-- A day's events.
DROP TABLE {day}
