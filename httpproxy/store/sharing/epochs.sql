-- The histories of the database, by name. Parameters are psycopg's.

-- name: follow
-- Whether this is still the history that it was; a new epoch begins if it is not.
SELECT httpproxy.follow_history(0, true)

-- name: read
-- The epoch, and whether what follows from its beginning is still to be done.
SELECT value, reason, followed < value AS pending FROM httpproxy.epoch

-- name: begin
-- A new epoch, by hand. What the database is by now is taken note of first. Rows of processes
-- came with the backup: nobody serves while one is put back.
WITH gone AS (DELETE FROM httpproxy.process)
SELECT httpproxy.follow_history(0, true), httpproxy.begin_epoch(0, %(reason)s)

-- name: hold_pending
-- The epoch, for the one process that does what follows from its beginning.
SELECT value, reason FROM httpproxy.epoch WHERE followed < value FOR UPDATE SKIP LOCKED

-- name: want_all
-- Every collection is listed anew, value by value.
INSERT INTO httpproxy.progress (collection, wants_thorough, asked_at)
SELECT id, true, clock_timestamp() FROM httpproxy.collection
WHERE removed_at IS NULL AND left_at IS NULL ORDER BY id FOR KEY SHARE
ON CONFLICT (collection) DO UPDATE SET wants_thorough = true, asked_at = excluded.asked_at

-- name: drop_all_runs
-- The listings that are under way began before, with what they saw.
WITH dropped AS (DELETE FROM httpproxy.run RETURNING number)
DELETE FROM httpproxy.seen WHERE run IN (SELECT number FROM dropped)

-- name: mark_all
-- Marks of all collections as wholes, which is what serving processes look for.
INSERT INTO httpproxy.dirty (collection, record_id, key, reason)
SELECT id, '', '{}', %(reason)s FROM httpproxy.collection
WHERE removed_at IS NULL AND left_at IS NULL ORDER BY id
ON CONFLICT (collection, record_id) DO UPDATE
SET reason = excluded.reason, mark = nextval('httpproxy.clock')

-- name: record_followed
-- What follows from an epoch's beginning is done.
UPDATE httpproxy.epoch SET followed = %(value)s
