-- What users want of the columns of their tables.

ALTER TABLE httpproxy.field
    ADD COLUMN deselected_at timestamptz,  -- no column, and nothing of it is kept from then on
    ADD COLUMN own_name      text;         -- what the user calls the column; it is locked then

-- One column for each name, also while the field has none.
CREATE UNIQUE INDEX field_own_name ON httpproxy.field (collection_id, own_name)
    WHERE own_name IS NOT NULL;
