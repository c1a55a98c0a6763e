-- The house's own statements, by name. Parameters are psycopg's.

-- name: lock_migrations
-- One process migrates at a time; the lock goes with the transaction, as does the path, which
-- leads to nothing but Postgres' own.
SELECT pg_advisory_xact_lock(7304519282161401), set_config('search_path', '', true)

-- name: own_process
-- The server process that runs this.
SELECT pg_backend_pid()

-- name: settle_session
-- What a frozen process holds in a transaction that is half done, others get all the same.
SELECT set_config('idle_in_transaction_session_timeout', '20s', false)

-- name: find_migrations
-- Whether this database has ever been migrated.
SELECT to_regclass('httpproxy.migration') AS found

-- name: create_schema
-- The house's schema and the record of its migrations.
CREATE SCHEMA IF NOT EXISTS httpproxy;
CREATE TABLE httpproxy.migration (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: read_migrations
-- What has been applied.
SELECT version, name FROM httpproxy.migration

-- name: record_migration
-- A migration that has just been applied.
INSERT INTO httpproxy.migration (version, name) VALUES (%(version)s, %(name)s)

-- name: next_revision
-- The number of a change to the registry. Holds the row until the change commits.
UPDATE httpproxy.revision SET value = value + 1 RETURNING value

-- name: taken_schemas
-- Schema names that are in use by a sync or by anything else in the database.
SELECT schema_name AS name, true AS by_sync FROM httpproxy.sync
UNION ALL
SELECT nspname, false FROM pg_namespace

-- name: insert_sync
-- A new sync.
INSERT INTO httpproxy.sync
    (id, provider, name, account, unique_id, digest, schema_name, owns_schema, status,
    credential_id, rates, revision, covers_all, external_id, metadata)
VALUES (%(id)s, %(provider)s, %(name)s, %(account)s, %(unique_id)s, %(digest)s,
    %(schema_name)s, %(owns_schema)s, %(status)s, %(credential_id)s, %(rates)s, %(revision)s,
    %(covers_all)s, %(external_id)s, %(metadata)s)

-- name: read_syncs
-- Every sync, oldest first.
SELECT id, provider, name, account, unique_id, schema_name, status, credential_id, rates,
    covers_all
FROM httpproxy.sync ORDER BY created_at, id

-- name: read_sync
-- The sync of this id, or else of this name.
SELECT id, provider, name, account, unique_id, schema_name, status, credential_id, rates,
    covers_all
FROM httpproxy.sync WHERE id = %(wanted)s OR name = %(wanted)s
ORDER BY id <> %(wanted)s LIMIT 1

-- name: read_sync_by_digest
-- The sync with this SHA-256 of its unique id.
SELECT id, provider, name, account, unique_id, schema_name, status, credential_id, rates,
    covers_all
FROM httpproxy.sync WHERE digest = %(digest)s

-- name: read_changed_syncs
-- Syncs that changed after a revision.
SELECT id, provider, name, account, unique_id, schema_name, status, credential_id, rates,
    covers_all, revision
FROM httpproxy.sync WHERE revision > %(revision)s ORDER BY revision

-- name: read_deleted_syncs
-- Syncs that were deleted after a revision.
SELECT id, revision FROM httpproxy.deleted_sync WHERE revision > %(revision)s ORDER BY revision

-- name: lock_sync
-- Holds a sync while its tables are changed.
SELECT id, owns_schema, schema_name FROM httpproxy.sync WHERE id = %(id)s FOR UPDATE

-- name: set_status
-- A sync that is paused, or goes on; other processes learn of it.
UPDATE httpproxy.sync SET status = %(status)s, revision = %(revision)s, updated_at = now()
WHERE id = %(id)s AND status <> %(status)s

-- name: touch_sync
-- Tells other processes that a sync has changed.
UPDATE httpproxy.sync SET revision = %(revision)s WHERE id = %(id)s

-- name: hold_collections
-- Nothing is marked, listed or listened to in the collections of a sync that is deleted.
SELECT FROM httpproxy.collection WHERE sync_id = %(id)s ORDER BY id FOR UPDATE

-- name: hold_records
-- The events of a sync that is deleted are gone: none goes into the records from here on.
SELECT FROM httpproxy.record_progress FOR UPDATE

-- name: delete_events
-- The events of a deleted sync.
DELETE FROM httpproxy.event WHERE sync_id = %(id)s

-- name: delete_records
-- The records of a deleted sync.
DELETE FROM httpproxy.record WHERE sync_id = %(id)s

-- name: delete_dropped
-- How far events of a deleted sync were dropped.
DELETE FROM httpproxy.event_dropped WHERE sync_id = %(id)s

-- name: delete_meta
-- What was known of a deleted sync's records.
DELETE FROM httpproxy.meta USING httpproxy.collection c
WHERE meta.collection = c.id AND c.sync_id = %(id)s

-- name: delete_dirty
-- What was to be read again of a deleted sync.
DELETE FROM httpproxy.dirty USING httpproxy.collection c
WHERE dirty.collection = c.id AND c.sync_id = %(id)s

-- name: delete_quarantine
-- What a deleted sync's tables refused.
DELETE FROM httpproxy.quarantine USING httpproxy.collection c
WHERE quarantine.collection = c.id AND c.sync_id = %(id)s

-- name: delete_seen
-- What the listings of a deleted sync have seen.
DELETE FROM httpproxy.seen USING httpproxy.run r, httpproxy.collection c
WHERE seen.run = r.number AND r.collection = c.id AND c.sync_id = %(id)s

-- name: delete_feeds
-- Where the feeds of a deleted sync were.
DELETE FROM httpproxy.feed WHERE sync_id = %(id)s RETURNING name, state

-- name: delete_intents
-- What was under way for a deleted sync.
DELETE FROM httpproxy.intent WHERE sync_id = %(id)s

-- name: delete_idempotency
-- The idempotency keys of a deleted sync, and their answers.
DELETE FROM httpproxy.idempotency WHERE sync_id = %(id)s

-- name: delete_sync
-- A sync with its collections, their fields, runs and progress.
DELETE FROM httpproxy.sync WHERE id = %(id)s

-- name: record_deleted_sync
-- For other processes' polls.
INSERT INTO httpproxy.deleted_sync (id, revision) VALUES (%(id)s, %(revision)s)

-- name: read_collections
-- A sync's collections, in the provider's order; with `all`, those that have left it, too.
SELECT c.id AS number, c.sync_id, s.schema_name, c.upstream_id, c.name, c.table_name,
    c.aliases, c.key, c.version, c.locked, c.removed_at IS NOT NULL AS removed, s.provider
FROM httpproxy.collection c JOIN httpproxy.sync s ON s.id = c.sync_id
WHERE c.sync_id = %(id)s AND (c.left_at IS NULL OR %(all)s) ORDER BY c.position, c.id

-- name: saw_collections
-- Discovery has just told of these.
UPDATE httpproxy.collection SET discovered_at = now()
WHERE id IN (
    SELECT id FROM httpproxy.collection
    WHERE sync_id = %(sync_id)s AND upstream_id = ANY(%(found)s)
    ORDER BY id FOR NO KEY UPDATE
)

-- name: read_discovered_at
-- Since when what is known of these collections stands, all of them taken together.
SELECT CASE WHEN pg_catalog.count(discovered_at) = count(*) THEN min(discovered_at) END AS at
FROM httpproxy.collection
WHERE sync_id = %(sync_id)s AND upstream_id = ANY(%(collections)s)

-- name: read_fields
-- The fields of a sync's collections, removed ones included.
SELECT f.collection_id AS number, f.upstream_id, f.name, f.type, f.column_type,
    f.column_name, f.fixed_name, f.writable, f.empty, f.pending_type, f.options,
    f.locked OR c.locked AS locked, f.removed_at IS NOT NULL AS removed,
    f.deselected_at IS NULL AS selected, f.own_name
FROM httpproxy.field f JOIN httpproxy.collection c ON c.id = f.collection_id
WHERE c.sync_id = %(id)s ORDER BY f.collection_id, f.position, f.upstream_id

-- name: read_relations
-- The names that are in use in a schema.
SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema_name)s

-- name: read_attributes
-- The columns of a schema's tables in fact, the user's own included, and the dropped ones.
SELECT c.relname AS table_name, a.attname AS name, a.attisdropped AS dropped
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema_name)s AND c.relkind IN ('r', 'p') AND a.attnum > 0

-- name: read_dependents
-- What of the user's shows a column of a schema's tables, by column: Postgres changes no
-- type under it.
SELECT c.relname AS table_name, a.attname AS name,
    pg_catalog.array_agg(DISTINCT pg_catalog.quote_ident(shown_in.nspname) || '.' ||
        pg_catalog.quote_ident(shown.relname))
        AS dependents
FROM pg_namespace n
JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
    AND d.classid = 'pg_rewrite'::regclass
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
JOIN pg_rewrite r ON r.oid = d.objid
JOIN pg_class shown ON shown.oid = r.ev_class
JOIN pg_namespace shown_in ON shown_in.oid = shown.relnamespace
WHERE n.nspname = %(schema_name)s
GROUP BY c.relname, a.attname

-- name: insert_collection
-- A new collection.
WITH made AS (
    INSERT INTO httpproxy.collection
        (sync_id, upstream_id, name, table_name, aliases, key, position)
    VALUES (%(sync_id)s, %(upstream_id)s, %(name)s, %(table_name)s, %(aliases)s, %(key)s,
        %(position)s)
    RETURNING id
), begun AS (
    INSERT INTO httpproxy.progress (collection) SELECT id FROM made
), had AS (
    UPDATE httpproxy.sync SET bare = false WHERE id = %(sync_id)s AND bare
)
SELECT id FROM made

-- name: come_back
-- A collection that had left its sync belongs to it again.
UPDATE httpproxy.collection SET left_at = NULL, removed_at = NULL, version = version + 1
WHERE sync_id = %(sync_id)s AND upstream_id = %(upstream_id)s AND left_at IS NOT NULL
RETURNING id

-- name: update_collection
-- A collection whose names or layout changed.
UPDATE httpproxy.collection
SET name = %(name)s, aliases = %(aliases)s, removed_at = NULL, version = version + 1
WHERE id = %(number)s

-- name: remove_collections
-- Collections that are gone upstream; their tables stay.
UPDATE httpproxy.collection SET removed_at = now()
WHERE sync_id = %(sync_id)s AND upstream_id = ANY(%(gone)s) AND removed_at IS NULL

-- name: lock_names
-- Whether all columns of a collection keep their names.
UPDATE httpproxy.collection SET locked = %(locked)s
WHERE sync_id = %(sync_id)s AND upstream_id = %(upstream_id)s

-- name: unlock_names
-- Columns take the names of their fields again, but for those with names of the user's own.
UPDATE httpproxy.field SET locked = own_name IS NOT NULL WHERE collection_id = %(number)s

-- name: forget_field
-- A removed field whose column is dropped.
DELETE FROM httpproxy.field WHERE collection_id = %(number)s AND upstream_id = %(field)s

-- name: want_again
-- A collection whose records all have to be read, in full: a version that is unchanged
-- says nothing about a field that is new. A listing that is under way goes on.
WITH _marked AS (
    INSERT INTO httpproxy.dirty (collection, record_id, reason)
    VALUES (%(number)s, '', %(reason)s)
    ON CONFLICT (collection, record_id) DO UPDATE
    SET reason = excluded.reason, mark = nextval('httpproxy.clock')
)
INSERT INTO httpproxy.progress (collection, wants_thorough, asked_at)
-- Whoever begins a listing within the next moment may not have heard of the change.
VALUES (%(number)s, true, clock_timestamp() + interval '2 seconds')
ON CONFLICT (collection) DO UPDATE SET wants_thorough = true, asked_at = excluded.asked_at

-- name: save_field
-- A field and its column.
INSERT INTO httpproxy.field
    (collection_id, upstream_id, name, type, column_type, pending_type, column_name,
    fixed_name, writable, empty, options, position, removed_at)
VALUES (%(number)s, %(upstream_id)s, %(name)s, %(type)s, %(column_type)s, %(pending_type)s,
    %(column_name)s, %(fixed_name)s, %(writable)s, %(empty)s, %(options)s,
    %(position)s, NULL)
ON CONFLICT (collection_id, upstream_id) DO UPDATE
SET name = excluded.name, type = excluded.type, column_type = excluded.column_type,
    pending_type = excluded.pending_type, column_name = excluded.column_name,
    writable = excluded.writable, empty = excluded.empty, options = excluded.options,
    position = excluded.position,
    removed_at = NULL

-- name: remove_fields
-- Fields that are gone upstream; their columns stay.
UPDATE httpproxy.field SET removed_at = now()
WHERE collection_id = %(number)s AND upstream_id = ANY(%(gone)s) AND removed_at IS NULL
