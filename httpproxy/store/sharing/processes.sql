-- The processes that serve, by name. Parameters are psycopg's.

-- name: register
-- A process that begins to serve.
INSERT INTO httpproxy.process (name, roles, machine, pid, pid_started, expires_at)
VALUES (%(name)s, %(roles)s, %(machine)s, %(pid)s, %(pid_started)s,
    now() + make_interval(secs => %(lease)s))
RETURNING number, incarnation

-- name: follow_history
-- Whether this is still the history that it was; a new epoch begins if it is not.
SELECT httpproxy.follow_history(0, true)

-- name: beat
-- A process is still there, and with that word declares gone whoever has not been heard of.
-- When the server has just begun, or another one has just taken its place, nobody could be
-- heard of: all have another lease to come back.
WITH mine AS (
    UPDATE httpproxy.process SET expires_at = now() + make_interval(secs => %(lease)s)
    WHERE number = %(number)s AND incarnation = %(incarnation)s
    RETURNING number
), gone AS (
    DELETE FROM httpproxy.process p
    USING mine, httpproxy.epoch e
    WHERE p.number <> mine.number AND p.expires_at < now()
        AND now() > greatest(pg_postmaster_start_time(), e.began_at)
            + make_interval(secs => %(lease)s)
    RETURNING p.number, p.name
)
SELECT (SELECT count(*) FROM mine) AS mine,
    (SELECT count(*) FROM httpproxy.process p WHERE p.number <> %(number)s)
        - (SELECT count(*) FROM gone) AS others,
    (SELECT pg_catalog.array_agg(gone.name ORDER BY gone.number) FROM gone) AS gone

-- name: neighbours
-- The other processes of a machine.
SELECT number, incarnation, name, pid, pid_started FROM httpproxy.process
WHERE machine = %(machine)s AND number <> %(number)s

-- name: declare_gone
-- A process that certainly runs no more, before its lease is out.
DELETE FROM httpproxy.process WHERE number = %(number)s AND incarnation = %(incarnation)s

-- name: leave
-- A process that ends well; what it holds is free at once.
WITH freed AS (
    DELETE FROM httpproxy.sync_owner
    WHERE process = %(number)s AND EXISTS (SELECT FROM httpproxy.process p
        WHERE p.number = %(number)s AND p.incarnation = %(incarnation)s)
)
DELETE FROM httpproxy.process
WHERE number = %(number)s AND incarnation = %(incarnation)s
