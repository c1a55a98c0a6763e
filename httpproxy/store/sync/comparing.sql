-- Rows compared with what an API says of them. What stands in braces is composed by
-- comparing.py. Names of ours begin with an underscore: no column of a field's does.

-- name: compare
-- What the commit of an image would change of its row; judged as in tables.sql. $1 is an
-- array of rows as there, and g: an archived record whose row stays, if there is one. $2 is
-- the clock from before the records were read: a row that was written since says nothing.
WITH _given AS MATERIALIZED (
    SELECT g.*
    FROM jsonb_to_recordset($1) AS g(r text, k jsonb, f boolean, v jsonb, x jsonb, n text[], g boolean)
    WHERE httpproxy.require_layout({number}, {version})
)
SELECT g.r AS record_id, CASE
    WHEN m.end_seq > $2::bigint THEN 'moved'
    WHEN g.v IS NULL THEN
        CASE WHEN t._found IS NULL OR g.g AND {archived} THEN 'same' ELSE 'differs' END
    WHEN t._found IS NULL THEN 'absent'
    WHEN ROW({new_values}) IS NOT DISTINCT FROM ROW({old_values}) THEN 'same'
    ELSE 'differs' END AS verdict
FROM _given g
LEFT JOIN httpproxy.meta m ON m.collection = {number} AND m.record_id = g.r
LEFT JOIN LATERAL (
    SELECT t.*, t AS _row, true AS _found FROM {table} t WHERE {is_row} OFFSET 0
) t ON true
CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(
    CASE WHEN g.f THEN NULL::{table} ELSE t._row END, g.v) n

-- name: sample
-- The keys of about $1 rows, all of them if there are no more: whole pages by chance, and
-- of their rows some by chance. Two pages for each row that is wanted, so that the rows of
-- a large table hardly ever share one, and pages that hold nothing do no harm.
SELECT {key} FROM {table} TABLESAMPLE SYSTEM (least(100, 200.0 * $1::integer / greatest(1, (
    SELECT pg_relation_size({table_name}::regclass) / current_setting('block_size')::integer))))
ORDER BY random() LIMIT $1::integer

-- name: next_keys
-- The next keys, in their order.
SELECT {key} FROM {table} WHERE {follows} ORDER BY {key} LIMIT $1::integer
