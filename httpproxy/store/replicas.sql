-- How far servers have come.

-- name: committed
-- How far the primary's log has come: who has replayed so much has every commit so far.
SELECT CASE current_setting('synchronous_commit') WHEN 'off'
    THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_lsn() END::text AS token

-- name: position
-- How far this server has come: what a standby has replayed; a primary shows
-- all that it has, written out or not.
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
    ELSE pg_current_wal_insert_lsn() END::text AS lsn
