-- What a database's owner runs so that a role of its own may keep httpproxy's tables there
-- (grants.py, `httpproxy db grant`). Comments after the first are printed too.

-- name: writer
-- The role that httpproxy connects as.
/* Run this in the database, as its owner or a superuser. It makes no role: first
     CREATE ROLE … LOGIN PASSWORD '…';
   Running it again changes nothing. */
DO $grant$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {role_name}) THEN
        RAISE EXCEPTION 'there is no role %: make it first', {role_name};
    END IF;
    IF EXISTS (
        SELECT FROM pg_catalog.pg_roles WHERE rolname = {role_name}
            AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)
    ) THEN
        RAISE EXCEPTION 'the role % may do more than it should: make one of its own', {role_name};
    END IF;
    EXECUTE pg_catalog.format(
        'GRANT CONNECT, CREATE ON DATABASE %I TO %I', pg_catalog.current_database(), {role_name});
    /* A transaction of ours takes seconds; one that hangs keeps locks from nobody for long. */
    EXECUTE pg_catalog.format(
        'ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = %L',
        {role_name}, pg_catalog.current_database(), '60s');
END $grant$;
/* The schema of its own, and from then on the schemas of the syncs, which it makes itself.
   Granting it to yourself lets you make it the owner, where you are no superuser. */
GRANT {role} TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS httpproxy AUTHORIZATION {role};

-- name: schema
-- A schema of the owner's that a sync is to keep its tables in.
GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};

-- name: readers
-- The role that reads the tables of all syncs, those to come included, and nothing of ours.
ALTER DEFAULT PRIVILEGES FOR ROLE {role} GRANT USAGE ON SCHEMAS TO {readers};
ALTER DEFAULT PRIVILEGES FOR ROLE {role} GRANT SELECT ON TABLES TO {readers};
REVOKE ALL ON SCHEMA httpproxy FROM {readers}, PUBLIC;
DO $grant$
DECLARE
    found record;
BEGIN
    IF pg_catalog.to_regclass('httpproxy.sync') IS NULL THEN
        RETURN;
    END IF;
    FOR found IN SELECT schema_name FROM httpproxy.sync LOOP
        EXECUTE pg_catalog.format(
            'GRANT USAGE ON SCHEMA %I TO %I', found.schema_name, {readers_name});
        EXECUTE pg_catalog.format(
            'GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', found.schema_name, {readers_name});
    END LOOP;
END $grant$;

-- name: public
-- Before Postgres 15 everybody may put functions into public, for others to stumble over.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
