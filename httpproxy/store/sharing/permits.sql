-- The rate limits' slots, shared out among processes, by name. Parameters are psycopg's.

-- name: deal
-- What this process keeps, asks for and waits for in its lanes, and what it and the others have
-- then. See migrations/0005_permits.sql.
SELECT * FROM httpproxy.deal(%(process)s, %(serial)s, %(offers)s)
