-- Rows as they are now. What stands in braces is composed by rows.py.

-- name: rows_of_keys
-- The rows with the keys that the array $1 holds.
SELECT pg_catalog.to_jsonb(t) AS row
FROM pg_catalog.jsonb_array_elements($1::jsonb) AS g(k)
JOIN LATERAL (SELECT t.* FROM {table} t WHERE {is_row} OFFSET 0) t ON true
WHERE httpproxy.require_layout({number}, {version})

-- name: require_layout
-- Whether the layout is the one that is known: an error says no.
SELECT httpproxy.require_layout({number}, {version}) AS row

-- name: rows_of_value
-- The rows that hold a value; two tell that it is not unique.
SELECT pg_catalog.to_jsonb(t) AS row FROM {table} t
WHERE httpproxy.require_layout({number}, {version}) AND {match}::text = $1 LIMIT 2
