-- What users want of the columns of their tables.

-- name: choose_field
-- Whether a field has a column, how that is called, and whether the name stays.
UPDATE httpproxy.field
SET column_name = %(column_name)s, own_name = %(own_name)s, locked = %(locked)s,
    deselected_at = CASE WHEN NOT %(selected)s THEN coalesce(deselected_at, now()) END
WHERE collection_id = %(number)s AND upstream_id = %(field)s

-- name: next_layout
-- Whoever writes by the layout so far is told that there is another.
UPDATE httpproxy.collection SET version = version + 1 WHERE id = %(number)s
