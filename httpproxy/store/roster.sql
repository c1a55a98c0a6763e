-- The roster: lists of syncs, their filters, and what users change of a sync. Parameters are
-- psycopg's; {conditions} stands for conditions of this file, joined by AND.

-- name: page
-- Syncs, oldest first.
SELECT s.id, s.provider, s.name, s.account, s.unique_id, s.schema_name, s.status,
    s.credential_id, s.rates, s.covers_all, s.external_id, s.metadata, s.created_at,
    s.updated_at, s.revision
FROM httpproxy.sync s WHERE {conditions}
ORDER BY s.created_at, s.id LIMIT %(limit)s

-- name: entry
-- The sync of this id, or else of this name.
SELECT s.id, s.provider, s.name, s.account, s.unique_id, s.schema_name, s.status,
    s.credential_id, s.rates, s.covers_all, s.external_id, s.metadata, s.created_at,
    s.updated_at, s.revision
FROM httpproxy.sync s WHERE s.id = %(wanted)s OR s.name = %(wanted)s
ORDER BY s.id <> %(wanted)s LIMIT 1

-- name: of_after
-- What follows on a page.
(s.created_at, s.id) > (%(after_at)s, %(after_id)s)

-- name: of_id
-- One sync.
s.id = %(id)s

-- name: of_provider
-- Syncs of a provider.
s.provider = %(provider)s

-- name: of_name
-- The sync of a name.
s.name = %(name)s

-- name: of_external_id
-- The sync that the user knows by an id of its own.
s.external_id = %(external_id)s

-- name: of_status
-- Syncs that are active, or paused.
s.status = %(status)s

-- name: of_credential_id
-- Syncs that use a credential.
s.credential_id = %(credential_id)s

-- name: of_metadata
-- Syncs whose metadata contains this.
s.metadata @> %(metadata)s

-- name: may_be_paused
-- Candidates: who of them is, `sync.health` decides. The same holds for all that follow.
s.status = 'paused'

-- name: may_be_failing
-- A call for one of its collections failed.
s.status = 'active' AND s.id IN (
    SELECT c.sync_id FROM httpproxy.progress p JOIN httpproxy.collection c ON c.id = p.collection
    WHERE p.error IS NOT NULL)

-- name: may_be_held
-- A sweep of one of its collections waits for the user.
s.status = 'active' AND s.id IN (
    SELECT c.sync_id FROM httpproxy.run r JOIN httpproxy.collection c ON c.id = r.collection
    WHERE r.held_at IS NOT NULL)

-- name: may_be_backfill
-- One of its collections is listed for the first time.
s.status = 'active' AND s.id IN (
    SELECT c.sync_id FROM httpproxy.run r JOIN httpproxy.collection c ON c.id = r.collection
    WHERE r.kind = 'backfill')

-- name: may_be_sweep
-- One of its collections is listed again.
s.status = 'active' AND s.id IN (
    SELECT c.sync_id FROM httpproxy.run r JOIN httpproxy.collection c ON c.id = r.collection
    WHERE r.kind = 'sweep')

-- name: may_be_waiting
-- One of its collections was never listed, or is to be; or it has none.
s.id IN (
    SELECT c.sync_id FROM httpproxy.progress p JOIN httpproxy.collection c ON c.id = p.collection
    WHERE p.backfilled_at IS NULL OR p.wants_thorough
    UNION ALL
    SELECT e.id FROM httpproxy.sync e WHERE e.bare)

-- name: may_be_live
-- None of its collections is under way or in trouble.
s.status = 'active' AND s.id NOT IN (
    SELECT c.sync_id FROM httpproxy.progress p JOIN httpproxy.collection c ON c.id = p.collection
    WHERE (p.error IS NOT NULL OR p.backfilled_at IS NULL OR p.wants_thorough)
        AND c.removed_at IS NULL AND c.left_at IS NULL
    UNION ALL
    SELECT c.sync_id FROM httpproxy.run r JOIN httpproxy.collection c ON c.id = r.collection
    WHERE c.removed_at IS NULL AND c.left_at IS NULL)

-- name: may_be_removed
-- One of its collections is gone upstream.
s.id IN (SELECT c.sync_id FROM httpproxy.collection c WHERE c.removed_at IS NOT NULL)

-- name: change
-- What users set of a sync, unless somebody has changed it since it was read.
UPDATE httpproxy.sync s
SET name = %(name)s, status = %(status)s, external_id = %(external_id)s,
    metadata = %(metadata)s, rates = %(rates)s, credential_id = %(credential_id)s,
    covers_all = %(covers_all)s, revision = %(revision)s, updated_at = now()
WHERE s.id = %(id)s AND s.revision = %(known)s
RETURNING s.id, s.provider, s.name, s.account, s.unique_id, s.schema_name, s.status,
    s.credential_id, s.rates, s.covers_all, s.external_id, s.metadata, s.created_at,
    s.updated_at, s.revision

-- name: leave
-- Collections that the user takes out of a sync. Who writes by the layout of before is told.
UPDATE httpproxy.collection SET left_at = now(), version = version + 1
WHERE sync_id = %(id)s AND upstream_id = ANY(%(leaving)s) AND left_at IS NULL
RETURNING id

-- name: forget_marks
-- What was to be read again of collections that have left.
DELETE FROM httpproxy.dirty WHERE collection = ANY(%(numbers)s)

-- name: forget_runs
-- The listings of collections that have left, with what they saw.
WITH dropped AS (
    DELETE FROM httpproxy.run WHERE collection = ANY(%(numbers)s) RETURNING number
)
DELETE FROM httpproxy.seen WHERE run IN (SELECT number FROM dropped)

-- name: forget_troubles
-- What was wrong with collections that have left.
UPDATE httpproxy.progress SET error = NULL, remedy = '', failed_at = NULL, failures = 0
WHERE collection = ANY(%(numbers)s)
