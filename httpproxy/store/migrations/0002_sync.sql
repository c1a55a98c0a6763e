-- What the sync keeps: how far each listing is, what feeds have told, how things went.

-- What schema drift needs to know.
ALTER TABLE httpproxy.sync
    ADD COLUMN covers_all boolean NOT NULL DEFAULT false;  -- new collections belong to it
ALTER TABLE httpproxy.collection
    ADD COLUMN removed_at timestamptz,                     -- gone upstream: the table stays
    ADD COLUMN locked     boolean NOT NULL DEFAULT false;  -- columns keep their names
ALTER TABLE httpproxy.field
    ADD COLUMN locked       boolean NOT NULL DEFAULT false,
    ADD COLUMN pending_type text;                          -- awaits the operator's consent

ALTER TABLE httpproxy.deleted_sync
    ADD COLUMN deleted_at timestamptz NOT NULL DEFAULT now();

-- When the exchange began that a record's row comes from. Who does not say it gets a time
-- before any exchange that could be under way: the row is then read once more, at worst.
ALTER TABLE httpproxy.meta ADD COLUMN read_at timestamptz NOT NULL DEFAULT '-infinity';
ALTER TABLE httpproxy.meta ALTER COLUMN read_at SET DEFAULT now() - interval '2 minutes';
UPDATE httpproxy.meta SET read_at = now() WHERE deleted;  -- a tombstone's age counts from here
-- Only the guard's own statement needs a start, to compare it with the row that is there.
ALTER TABLE httpproxy.meta ALTER COLUMN start_seq SET DEFAULT 0;

-- Marks are answered oldest first, collection by collection. `since` and not `mark`: a
-- record that is marked again and again keeps its place.
CREATE INDEX dirty_since ON httpproxy.dirty (collection, since) WHERE record_id <> '';

-- How a collection fares. A row is made when there is something to say.
CREATE TABLE httpproxy.progress (
    collection     integer PRIMARY KEY REFERENCES httpproxy.collection (id) ON DELETE CASCADE,
    backfilled_at  timestamptz,              -- the first complete listing
    listed_at      timestamptz,              -- the last one
    heard_at       timestamptz,              -- the last word of its feed
    succeeded_at   timestamptz,
    error          text,                     -- the API's own words; NULL: all is well
    remedy         text NOT NULL DEFAULT '',
    failed_at      timestamptz,              -- the first of the failures in a row
    failures       integer NOT NULL DEFAULT 0,
    wants_thorough boolean NOT NULL DEFAULT false,
    asked_at       timestamptz,              -- for that; what began before does not do
    checked        bigint NOT NULL DEFAULT 0, -- rows compared with the API
    drifted        bigint NOT NULL DEFAULT 0, -- of them, those that differed
    checked_at     timestamptz
) WITH (fillfactor = 70);

-- Requests to an API, by class.
CREATE TABLE httpproxy.request (
    collection integer NOT NULL REFERENCES httpproxy.collection (id) ON DELETE CASCADE,
    class      text NOT NULL,
    requests   bigint NOT NULL,
    PRIMARY KEY (collection, class)
) WITH (fillfactor = 70);

-- The listing that is under way in a collection, one at most.
CREATE TABLE httpproxy.run (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection    integer NOT NULL UNIQUE REFERENCES httpproxy.collection (id) ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('backfill', 'sweep')),
    thorough      boolean NOT NULL,
    start_seq     bigint NOT NULL,           -- the clock when it began: the fence of its deletes
    after         text,                      -- where the next page begins
    pages         integer NOT NULL DEFAULT 0,
    records       bigint NOT NULL DEFAULT 0, -- that it has seen
    mark          bigint,                    -- the collection's dirty mark that it answers
    began_at      timestamptz NOT NULL DEFAULT now(),
    held_at       timestamptz,               -- too much is missing: nothing is deleted
    held_missing  bigint,
    held_rows     bigint,
    held_approved boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);

-- What a run has seen. Not logged: a crash of Postgres empties it, which the run's count
-- of records tells.
CREATE UNLOGGED TABLE httpproxy.seen (
    run       bigint NOT NULL,
    record_id text NOT NULL
);
CREATE INDEX seen_record ON httpproxy.seen (run, record_id);

-- Where each feed of a sync goes on. No foreign key: to check it would hold the sync after
-- its collections, and whoever deletes a sync holds them the other way round.
CREATE TABLE httpproxy.feed (
    sync_id text NOT NULL,
    name    text NOT NULL,
    state   jsonb NOT NULL,
    PRIMARY KEY (sync_id, name)
) WITH (fillfactor = 70);
