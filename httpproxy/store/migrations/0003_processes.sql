-- Many processes on one database: who is there, whose sync is whose, and which history of
-- the database this is (docs/decisions/0013-processes.md).

-- A process that serves. It is gone if and only if its row is gone: a clean end deletes it,
-- and whoever finds it expired does. Numbers are never given twice, and stay below 2^31.
CREATE SEQUENCE httpproxy.process_number AS integer;
CREATE TABLE httpproxy.process (
    number      integer PRIMARY KEY DEFAULT nextval('httpproxy.process_number'),
    incarnation uuid NOT NULL DEFAULT gen_random_uuid(),  -- known to that process alone
    name        text NOT NULL,               -- for people: host and process id
    roles       text[] NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL         -- by this database's clock
) WITH (fillfactor = 50);

-- Which process runs the jobs of a sync. A row counts while the process is there. The fence
-- is another one whenever the owner is; what is written under an older one is refused.
CREATE SEQUENCE httpproxy.fence;
CREATE TABLE httpproxy.sync_owner (
    sync_id text PRIMARY KEY REFERENCES httpproxy.sync (id) ON DELETE CASCADE,
    process integer NOT NULL,
    fence   bigint NOT NULL DEFAULT nextval('httpproxy.fence')
) WITH (fillfactor = 70);
CREATE INDEX sync_owner_process ON httpproxy.sync_owner (process);

-- The history that this database is of. A standby that lagged and was promoted, or a backup
-- that was put back, lacks the end of the history that its clients have seen: a new epoch
-- begins, and what was read before it is not committed any more.
CREATE TABLE httpproxy.epoch (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    value    bigint NOT NULL,
    floor    bigint NOT NULL,                -- of the clock: what began before is of an older epoch
    system   text,                           -- the cluster's identifier, NULL: not known
    timeline text,                           -- and its timeline
    reason   text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    followed bigint NOT NULL                 -- the epoch whose beginning has been followed by marks
);
INSERT INTO httpproxy.epoch (value, floor, reason, followed) VALUES (1, 0, 'the first', 1);
