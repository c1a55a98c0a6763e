-- What is asked of a replica.

-- name: position
-- How far this server has come: what a standby has replayed; a primary shows
-- all that it has, written out or not.
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
    ELSE pg_current_wal_insert_lsn() END::text AS lsn
