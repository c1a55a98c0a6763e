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
    machine     text,                        -- whose operating system: a boot of a machine
    pid         integer NOT NULL DEFAULT 0,  -- there, and when it began
    pid_started bigint NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL         -- by this database's clock
) WITH (fillfactor = 50);

-- Which process runs the jobs of a sync. A row counts while the process is there. The fence
-- is another one whenever the owner is; what is written under an older one is refused. No
-- foreign key: who deletes a sync holds it, and whoever writes for it holds this row first.
CREATE SEQUENCE httpproxy.fence;
CREATE TABLE httpproxy.sync_owner (
    sync_id text PRIMARY KEY,
    process integer NOT NULL,
    fence   bigint NOT NULL DEFAULT nextval('httpproxy.fence')
) WITH (fillfactor = 70);
CREATE INDEX sync_owner_process ON httpproxy.sync_owner (process);

-- Called by every write that a sync's owner alone may make. Nobody takes the sync over
-- before the write's transaction ends. Without a fence it is nobody's word but the operator's.
CREATE FUNCTION httpproxy.require_owner(wanted_sync text, wanted_fence bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF wanted_fence IS NULL THEN
        RETURN true;
    END IF;
    PERFORM FROM httpproxy.sync_owner
    WHERE sync_id = wanted_sync AND fence = wanted_fence FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'sync % is run by another process now', wanted_sync
            USING ERRCODE = 'HPL02';
    END IF;
    RETURN true;
END $$;

-- The history that this database is of. A standby that lagged and was promoted, or a backup
-- that was put back, lacks the end of the history that its clients have seen: a new epoch
-- begins, and what was read before it is not committed any more.
CREATE TABLE httpproxy.epoch (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    value    bigint NOT NULL,
    floor    bigint NOT NULL,                -- of the clock: what began below is of an older epoch
    system   text,                           -- the cluster's identifier, NULL: not known yet
    timeline text,                           -- and its timeline
    reason   text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    followed bigint NOT NULL                 -- the last epoch whose beginning led to new listings
);
INSERT INTO httpproxy.epoch (value, floor, reason, followed) VALUES (1, 0, 'the first', 1);

-- A new epoch. All sequences whose values somebody may remember jump ahead of whatever was
-- handed out in the history that is lost.
CREATE FUNCTION httpproxy.begin_epoch(seen bigint, why text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    jump CONSTANT bigint := 4294967296;
    new_floor bigint;
BEGIN
    SELECT greatest(c.last_value, seen, e.floor) + jump INTO new_floor
    FROM httpproxy.clock c, httpproxy.epoch e;
    PERFORM setval('httpproxy.clock', new_floor),
        setval('httpproxy.fence', nextval('httpproxy.fence') + jump),
        setval('httpproxy.process_number', nextval('httpproxy.process_number') + 1000);
    UPDATE httpproxy.epoch SET value = value + 1, floor = new_floor, reason = why,
        began_at = clock_timestamp();
    RETURN new_floor;
END $$;

-- Whether the database is still of the history that it was of: called by whatever commits
-- what was read. Begins a new epoch if it is not; returns the epoch's floor. `seen` is a
-- value of the clock that the caller has seen committed. `thoroughly` looks at the cluster
-- too, which costs reading a file.
CREATE FUNCTION httpproxy.follow_history(seen bigint, thoroughly boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    known httpproxy.epoch;
    line text := left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
    cluster text;
    tick bigint;
BEGIN
    IF thoroughly AND has_function_privilege('pg_control_system()', 'EXECUTE') THEN
        SELECT system_identifier::text INTO cluster FROM pg_control_system();
    END IF;
    SELECT last_value INTO tick FROM httpproxy.clock;
    SELECT * INTO known FROM httpproxy.epoch WHERE single;
    IF known.timeline = line AND tick >= seen
        AND (cluster IS NULL OR known.system = cluster) THEN
        RETURN known.floor;
    END IF;
    -- Others have noticed, too: one of us is first.
    SELECT * INTO known FROM httpproxy.epoch WHERE single FOR UPDATE;
    SELECT last_value INTO tick FROM httpproxy.clock;
    UPDATE httpproxy.epoch SET timeline = line, system = coalesce(cluster, system);
    IF known.system <> cluster THEN
        RETURN httpproxy.begin_epoch(seen, 'it is another cluster, restored from a dump or a copy');
    ELSIF known.timeline <> line THEN
        RETURN httpproxy.begin_epoch(seen, format('timeline %s follows on timeline %s',
            ltrim(line, '0'), ltrim(known.timeline, '0')));
    ELSIF tick < seen THEN
        RETURN httpproxy.begin_epoch(seen, 'its clock was put back');
    END IF;
    RETURN known.floor;
END $$;
