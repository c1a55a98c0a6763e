-- What lists of syncs are filtered by, and collections that the user takes out of a sync.

-- Out of the sync by the user's word: nothing of it is written any more. Its table stays, and
-- what is known of its records, should it come back.
ALTER TABLE httpproxy.collection ADD COLUMN left_at timestamptz;

-- Nothing was ever discovered for it.
ALTER TABLE httpproxy.sync ADD COLUMN bare boolean NOT NULL DEFAULT true;
UPDATE httpproxy.sync s SET bare = false
WHERE EXISTS (SELECT FROM httpproxy.collection c WHERE c.sync_id = s.id);
CREATE INDEX sync_bare ON httpproxy.sync (id) WHERE bare;

-- Every collection has a row from its beginning: one that nobody has listed yet is found by
-- an index, too.
INSERT INTO httpproxy.progress (collection) SELECT id FROM httpproxy.collection
ON CONFLICT (collection) DO NOTHING;

CREATE INDEX sync_paused ON httpproxy.sync (created_at, id) WHERE status = 'paused';
CREATE INDEX progress_failing ON httpproxy.progress (collection) WHERE error IS NOT NULL;
CREATE INDEX progress_waiting ON httpproxy.progress (collection)
    WHERE backfilled_at IS NULL OR wants_thorough;
CREATE INDEX collection_removed ON httpproxy.collection (sync_id) WHERE removed_at IS NOT NULL;
