-- What syncs and their collections are called, for those who tell of them.

-- name: read_revisions
-- Which of these syncs there are, and whether one has changed.
SELECT id, provider, revision FROM httpproxy.sync WHERE id = ANY(%(ids)s)

-- name: read_revision
-- Whether anything has changed, of whichever sync.
SELECT value FROM httpproxy.revision

-- name: read_syncs_of
-- The syncs of some providers.
SELECT id FROM httpproxy.sync WHERE provider = ANY(%(providers)s) ORDER BY id

-- name: find_collections
-- What collections of these spellings are in the provider's own words, each sync for itself;
-- with sync_ids NULL, in all syncs. Spellings are pairs: a provider, or NULL, and a name.
SELECT DISTINCT w.spelling, c.upstream_id
FROM unnest(%(spellings)s::text[], %(providers)s::text[], %(names)s::text[])
    AS w(spelling, provider, name)
JOIN httpproxy.collection c
    ON c.upstream_id = w.name OR c.name = w.name OR w.name = ANY(c.aliases)
JOIN httpproxy.sync s ON s.id = c.sync_id AND (w.provider IS NULL OR s.provider = w.provider)
WHERE %(sync_ids)s::text[] IS NULL OR s.id = ANY(%(sync_ids)s::text[])
