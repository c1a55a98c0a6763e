-- Statements on a user's table. What stands in braces is composed by statements.py.
-- $1 is one jsonb parameter, an array of rows; an absent member is NULL:
--   r record id · k key · f whole record · d archived or deleted · v values by column
--   x what no column holds · n upstream names in v · u upstream version
--   a the record as the API spelled it · o origin · q request id
-- Names of ours begin with an underscore: no column of a field's does.

-- name: upsert
-- Writes the rows that the guard let through, and an event for each one that changed. A row
-- that is marked as archived was deleted, whoever says so first; while it is, nothing is told.
WITH _given AS MATERIALIZED (
    SELECT g.*, m.transaction
    FROM jsonb_to_recordset($1) AS g(
        r text, k jsonb, f boolean, v jsonb, x jsonb, n text[], u timestamptz, a jsonb,
        o text, q text)
    CROSS JOIN LATERAL (
        SELECT m.transaction, m.end_seq FROM httpproxy.meta m
        WHERE m.collection = {number} AND m.record_id = g.r OFFSET 0
    ) m
    WHERE httpproxy.require_layout({number}, {version})
        AND m.end_seq = currval('httpproxy.clock')
), _built AS MATERIALIZED (
    SELECT g.r AS _r, g.u AS _u, g.a AS _a, g.o AS _o, g.q AS _q, g.transaction AS _t,
        t._found AS _existed, {new_columns}, {new_extra} AS {extra},
        CASE WHEN t._found AND ROW({new_values}) IS DISTINCT FROM ROW({old_values})
            THEN '{{' || pg_catalog.array_to_string(ARRAY[{changes}], ',') || '}}' END AS _was,
        {event} AS _event, {held} AS _held
    FROM _given g
    LEFT JOIN LATERAL (
        SELECT t.*, t AS _row, true AS _found FROM {table} t WHERE {is_row} OFFSET 0
    ) t ON true
    CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(
        CASE WHEN g.f THEN NULL::{table} ELSE t._row END, g.v) n
), _written AS (
    INSERT INTO {table} ({columns}, {extra})
    SELECT {columns}, {extra} FROM _built WHERE _existed IS NULL OR _was IS NOT NULL
    ORDER BY _r
    ON CONFLICT ({key}) DO UPDATE SET {assignments}, {updated_at} = now()
)
INSERT INTO httpproxy.event
    (sync_id, collection_id, upstream_id, upstream_updated_at, event, data, origin, request_id,
    transaction, changes)
SELECT {sync_id}, {collection_id}, _r, _u,
    _event, CASE WHEN _event <> 'deleted' THEN _a END, _o, _q, _t,
    CASE _event WHEN 'updated' THEN _was WHEN 'deleted' THEN _held END::jsonb
FROM _built WHERE (_existed IS NULL OR _was IS NOT NULL) AND _event IS NOT NULL
ORDER BY _r

-- name: delete
-- Removes the rows of records that are gone upstream, with an event each; one that was archived
-- was told as deleted then.
WITH _given AS MATERIALIZED (
    SELECT g.*, m.transaction
    FROM jsonb_to_recordset($1) AS g(
        r text, k jsonb, u timestamptz, a jsonb, o text, q text)
    CROSS JOIN LATERAL (
        SELECT m.transaction, m.end_seq FROM httpproxy.meta m
        WHERE m.collection = {number} AND m.record_id = g.r OFFSET 0
    ) m
    WHERE httpproxy.require_layout({number}, {version})
        AND m.end_seq = currval('httpproxy.clock')
), _gone AS (
    DELETE FROM {table} t USING _given g WHERE {is_row} AND {is_near}
    RETURNING g.r, g.u, g.a, g.o, g.q, g.transaction, {is_archived} AS told,
        '{{' || pg_catalog.array_to_string(ARRAY[{contents}], ',') || '}}' AS was
)
INSERT INTO httpproxy.event
    (sync_id, collection_id, upstream_id, upstream_updated_at, event, data, origin, request_id,
    transaction, changes)
SELECT {sync_id}, {collection_id}, r, u, 'deleted', a, o, q, transaction, was::jsonb
FROM _gone WHERE NOT told ORDER BY r

-- name: archive
-- Marks rows as archived, with an event for each one that was not.
WITH _given AS MATERIALIZED (
    SELECT g.*, m.transaction
    FROM jsonb_to_recordset($1) AS g(
        r text, k jsonb, u timestamptz, a jsonb, o text, q text)
    CROSS JOIN LATERAL (
        SELECT m.transaction, m.end_seq FROM httpproxy.meta m
        WHERE m.collection = {number} AND m.record_id = g.r OFFSET 0
    ) m
    WHERE httpproxy.require_layout({number}, {version})
        AND m.end_seq = currval('httpproxy.clock')
), _gone AS (
    UPDATE {table} t SET {archived} = true, {updated_at} = now()
    FROM _given g WHERE {is_row} AND {is_near} AND t.{archived} IS DISTINCT FROM true
    RETURNING g.r, g.u, g.a, g.o, g.q, g.transaction,
        '{{' || pg_catalog.array_to_string(ARRAY[{contents}], ',') || '}}' AS was
)
INSERT INTO httpproxy.event
    (sync_id, collection_id, upstream_id, upstream_updated_at, event, data, origin, request_id,
    transaction, changes)
SELECT {sync_id}, {collection_id}, r, u, 'deleted', a, o, q, transaction, was::jsonb
FROM _gone ORDER BY r

-- name: judge
-- Images that the guard refused, their meta rows locked; $2 is the clock when their
-- answers had come. The row's own content only moves the record's end on; an older
-- version than the row's is history; the rest nobody can order. e: the row is to go.
-- A row keeps its version only if the same was told with none that is newer: values that
-- came back may be newer than an image whose version lies in between.
WITH _given AS MATERIALIZED (
    SELECT g.*
    FROM jsonb_to_recordset($1) AS g(
        r text, k jsonb, f boolean, d boolean, e boolean, v jsonb, x jsonb, n text[],
        u timestamptz)
    WHERE httpproxy.require_layout({number}, {version})
), _judged AS MATERIALIZED (
    SELECT g.r, g.u, CASE
        WHEN NOT m.partial AND NOT m.deleted AND NOT g.d AND g.u < m.updated_at THEN 'older'
        WHEN g.v IS NULL AND m.deleted AND (t._found IS NULL OR NOT g.e) THEN 'same'
        WHEN g.v IS NOT NULL AND t._found AND m.deleted = g.d
            AND ROW({new_values}) IS NOT DISTINCT FROM ROW({old_values})
            THEN 'same'
        ELSE 'overlap' END AS verdict
    FROM _given g
    JOIN httpproxy.meta m ON m.collection = {number} AND m.record_id = g.r
    LEFT JOIN LATERAL (
        SELECT t.*, t AS _row, true AS _found FROM {table} t WHERE {is_row} OFFSET 0
    ) t ON true
    CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(
        CASE WHEN g.f THEN NULL::{table} ELSE t._row END, g.v) n
), _advanced AS (
    UPDATE httpproxy.meta m SET end_seq = greatest(m.end_seq, $2::bigint),
        updated_at = CASE WHEN j.u <= m.updated_at THEN m.updated_at END
    FROM _judged j
    WHERE m.collection = {number} AND m.record_id = j.r AND j.verdict = 'same'
)
SELECT r, verdict FROM _judged

-- name: try_values
-- Whether the columns take these values: an error says no.
SELECT FROM pg_catalog.jsonb_populate_record(NULL::{table}, $1)

-- name: find_match
-- The keys of the rows that hold a value; two tell that it is not unique.
SELECT {key} FROM {table} WHERE {match}::text = $1 LIMIT 2

-- name: create_schema
-- A sync's schema.
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: create_table
-- A collection's table.
CREATE TABLE IF NOT EXISTS {table} (
    {definitions},
    {extra} jsonb NOT NULL DEFAULT '{{}}',
    {inserted_at} timestamptz NOT NULL DEFAULT now(),
    {updated_at} timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY ({key})
)

-- name: add_columns
-- Whatever of a table's columns is missing.
ALTER TABLE {table}
    {additions},
    ADD COLUMN IF NOT EXISTS {extra} jsonb NOT NULL DEFAULT '{{}}',
    ADD COLUMN IF NOT EXISTS {inserted_at} timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS {updated_at} timestamptz NOT NULL DEFAULT now()

-- name: rename_column
-- A field that has another name now.
ALTER TABLE {table} RENAME COLUMN {column} TO {new_name}

-- name: count_unfit
-- What a column holds, and what of it another type could not; what waits beside it.
SELECT pg_catalog.count({column}) AS held,
    pg_catalog.count({column}) FILTER (WHERE {converted} IS NULL) AS unfit,
    count(*) FILTER (WHERE {extra} ? {field_name}) AS beside
FROM {table}

-- name: keep_unfit
-- Before a column changes its type: values that the new type cannot hold, set aside.
UPDATE {table} SET {extra} = {extra} || pg_catalog.jsonb_build_object({field_name}, pg_catalog.to_jsonb({column}))
WHERE {column} IS NOT NULL AND {converted} IS NULL

-- name: change_type
-- A field that has another type now.
ALTER TABLE {table} ALTER COLUMN {column} TYPE {type} USING {converted}

-- name: move_over
-- Values that waited in _extra for their column.
UPDATE {table}
SET {column} = {converted}, {extra} = {extra} - {field_name}
WHERE {extra} ? {field_name} AND {fits} AND {converted} IS NOT NULL

-- name: rename_extra
-- Values in _extra of fields that have other names now. Two may have swapped theirs. What
-- was said under a new name already is the later word.
UPDATE {table}
SET {extra} = ({extra} - {old_names}) || (
    SELECT coalesce(pg_catalog.jsonb_object_agg(name.new, {extra} -> name.old), '{{}}')
    FROM unnest({old_names}, {new_names}) AS name(old, new)
    WHERE {extra} ? name.old AND (name.new = ANY ({old_names}) OR NOT {extra} ? name.new))
WHERE {extra} ?| {old_names}

-- name: forget_extra
-- Values in _extra of fields that are not to be kept.
UPDATE {table} SET {extra} = {extra} - {spellings} WHERE {extra} ?| {spellings}

-- name: drop_column
-- The column of a removed or deselected field, with all that it holds.
ALTER TABLE {table} DROP COLUMN {column}

-- name: stop_writes
-- Before a sync is forgotten whose tables stay.
LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE

-- name: drop_table
-- A deleted sync's table.
DROP TABLE IF EXISTS {table}

-- name: drop_schema
-- A deleted sync's schema, if nothing of the user's is left in it.
DROP SCHEMA IF EXISTS {schema}
