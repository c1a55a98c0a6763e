-- The statement of the bulk loader (bulk.py). What stands in braces is composed by pages.py;
-- names of ours begin with an underscore: no column of a field's does.

-- name: load
-- Records of which nothing is known: their rows, meta rows and events. What is known of
-- already, if only as a tombstone, is left alone. So are all of them if a column has another
-- type than ours: an assignment would round its values, or reword them.
-- $1 is an array of records, each an array: record id · upstream version · the record as the
-- API spelled it · what no column holds · the columns' values, in their order. $2 when the
-- exchange began, in seconds since 1970 · $3 origin · $4 request id · $5 the clock when it
-- began, which is to be of this epoch · $6 the clock as it was seen last.
-- Answers with the clock, and the records that were left alone.
WITH _now AS MATERIALIZED (
    SELECT nextval('httpproxy.clock') AS _tick, _floor
    FROM (SELECT httpproxy.follow_history($6::bigint, false) AS _floor OFFSET 0) _history
), _given AS MATERIALIZED (
    SELECT r->>0 AS _r, r FROM jsonb_array_elements($1) r
), _granted AS (
    INSERT INTO httpproxy.meta
        (collection, record_id, end_seq, updated_at, deleted, partial, read_at)
    SELECT {number}, _r, _tick, (r->>1)::timestamptz, false, false,
        least(coalesce(to_timestamp($2::float8), now() - interval '2 minutes'), now())
    FROM _now, _given
    WHERE $5::bigint >= _floor AND httpproxy.require_layout({number}, {version})
        AND ARRAY[{types_found}] = ARRAY[{types_ours}]
    ORDER BY _r
    ON CONFLICT (collection, record_id) DO NOTHING
    RETURNING record_id
), _new AS MATERIALIZED (
    SELECT _r, (r->>1)::timestamptz AS _u, nullif(r->2, 'null') AS _a,
        coalesce(nullif(r->3, 'null'), '{{}}') AS {extra}, {values}
    FROM _given JOIN _granted ON record_id = _r
    ORDER BY _r
), _written AS (
    INSERT INTO {table} ({columns}, {extra}) SELECT {columns}, {extra} FROM _new
), _told AS (
    INSERT INTO httpproxy.event
        (sync_id, collection_id, upstream_id, upstream_updated_at, event, data, origin,
        request_id)
    SELECT {sync_id}, {collection_id}, _r, _u, 'created', _a, $3, $4 FROM _new
)
SELECT _tick, _r FROM _now LEFT JOIN (
    SELECT _r FROM _given EXCEPT SELECT record_id FROM _granted
) _known ON true
