-- Events by day, in an order that readers can go on in (docs/decisions/0017-streams.md).

-- What a record's row is written under, so that a record's events are told in the order in
-- which it changed.
LOCK TABLE httpproxy.meta, httpproxy.event IN ACCESS EXCLUSIVE MODE;  -- as commits take them
ALTER TABLE httpproxy.meta ADD COLUMN transaction xid8;  -- of its last event, or a later one
ALTER TABLE httpproxy.meta ALTER COLUMN transaction SET DEFAULT pg_current_xact_id();

-- Numbers of transactions come in the order in which these begin to write, and not in that in
-- which they get a record's lock: one that waited for a later one stands with it. What another
-- cluster left there lies in our future, or does no harm.
CREATE FUNCTION httpproxy.event_transaction(before xid8, own xid8) RETURNS xid8
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF before > own AND before < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    THEN
        RETURN before;
    END IF;
    RETURN own;
END $$;

-- The committed changes, in the transaction that made them. Numbers are drawn before their
-- transactions commit: a reader goes by (transaction, seq), and stops at the oldest
-- transaction that is open. An event has no id of its own: era and seq make it.
CREATE SEQUENCE httpproxy.event_seq;
SELECT setval('httpproxy.event_seq', last_value, is_called) FROM httpproxy.event_seq_seq;

ALTER TABLE httpproxy.event RENAME TO event_before;
ALTER TABLE httpproxy.event_before
    DROP CONSTRAINT event_pkey,
    DROP COLUMN event_id,
    ALTER COLUMN seq DROP IDENTITY,
    ADD COLUMN changes jsonb;
DROP INDEX httpproxy.event_inserted_at;

CREATE TABLE httpproxy.event (
    seq                 bigint NOT NULL DEFAULT nextval('httpproxy.event_seq'),
    sync_id             text NOT NULL,
    collection_id       text NOT NULL,       -- the provider's
    upstream_id         text NOT NULL,
    upstream_updated_at timestamptz,
    event               text NOT NULL,
    data                jsonb,               -- the record as the API spelled it
    origin              text NOT NULL,
    request_id          text NOT NULL,
    transaction         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    inserted_at         timestamptz NOT NULL DEFAULT now(),
    changes             jsonb,               -- what the row said before, by column
    CONSTRAINT event_event_check CHECK (event IN ('created', 'updated', 'deleted'))
) PARTITION BY RANGE (inserted_at);
CREATE INDEX event_place ON httpproxy.event (transaction, seq);
CREATE INDEX event_sync_place ON httpproxy.event (sync_id, transaction, seq);
-- One event by its number, and some by their time. Next to nothing to maintain, as events are
-- only ever appended.
CREATE INDEX event_range ON httpproxy.event USING brin (seq, inserted_at)
    WITH (pages_per_range = 32, autosummarize = on);

-- Days in UTC. A day's partition is named by it; what came before there were any is with the
-- first. What no day is made for waits in event_later: an insert never fails.
CREATE TABLE httpproxy.event_later PARTITION OF httpproxy.event DEFAULT;

-- Makes a day's partition, unless there is one; whether it did.
CREATE FUNCTION httpproxy.make_event_day(day date) RETURNS boolean
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    partition text := 'event_' || pg_catalog.to_char(day, 'YYYYMMDD');
    lower timestamptz := day::timestamp AT TIME ZONE 'UTC';
    upper timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF pg_catalog.to_regclass('httpproxy.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE pg_catalog.format('CREATE TABLE httpproxy.%I'
        ' (LIKE httpproxy.event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
    IF EXISTS (SELECT FROM httpproxy.event_later
        WHERE inserted_at >= lower AND inserted_at < upper)
    THEN
        LOCK TABLE httpproxy.event_later IN ACCESS EXCLUSIVE MODE;
        EXECUTE pg_catalog.format('WITH moved AS (DELETE FROM httpproxy.event_later'
            ' WHERE inserted_at >= $1 AND inserted_at < $2 RETURNING *)'
            ' INSERT INTO httpproxy.%I SELECT * FROM moved', partition) USING lower, upper;
    END IF;
    -- Nobody who writes to another day waits for this.
    EXECUTE pg_catalog.format('ALTER TABLE httpproxy.event ATTACH PARTITION httpproxy.%I'
        ' FOR VALUES FROM (%L) TO (%L)', partition, lower, upper);
    RETURN true;
END $$;

DO $$
DECLARE
    today date := (SELECT greatest(now(), max(inserted_at)) AT TIME ZONE 'UTC'
        FROM httpproxy.event_before)::date;
    partition text := 'event_' || pg_catalog.to_char(today, 'YYYYMMDD');
BEGIN
    EXECUTE format('ALTER TABLE httpproxy.event_before RENAME TO %I', partition);
    EXECUTE format('ALTER TABLE httpproxy.event ATTACH PARTITION httpproxy.%I'
        ' FOR VALUES FROM (MINVALUE) TO (%L)', partition,
        (today + 1)::timestamp AT TIME ZONE 'UTC');
    FOR ahead IN 1..3 LOOP
        PERFORM httpproxy.make_event_day(today + ahead);
    END LOOP;
END $$;

-- After a restore numbers of transactions and of events may come again. So an epoch begins an
-- era of events, too. It is numbered by the clock on the wall: epochs come again as well, if a
-- backup from before the last one is put back.
CREATE TABLE httpproxy.event_era (
    era       bigint PRIMARY KEY,             -- seconds since 1970 when it began; the first: 1
    first_seq bigint NOT NULL UNIQUE,
    salt      uuid NOT NULL DEFAULT gen_random_uuid(),  -- of its events' ids
    began_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO httpproxy.event_era (era, first_seq) VALUES (1, 0);

CREATE OR REPLACE FUNCTION httpproxy.begin_epoch(seen bigint, why text) RETURNS bigint
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    jump CONSTANT bigint := 4294967296;
    new_floor bigint;
BEGIN
    SELECT greatest(c.last_value, seen, e.floor) + jump INTO new_floor
    FROM httpproxy.clock c, httpproxy.epoch e;
    UPDATE httpproxy.epoch SET value = value + 1, floor = new_floor, reason = why,
        began_at = clock_timestamp();
    -- Whoever has numbers of the era that ends has committed, and the others get new ones: an
    -- era is complete when the next one begins.
    LOCK TABLE ONLY httpproxy.event IN SHARE ROW EXCLUSIVE MODE;
    PERFORM setval('httpproxy.clock', new_floor),
        setval('httpproxy.fence', nextval('httpproxy.fence') + jump),
        setval('httpproxy.process_number', nextval('httpproxy.process_number') + 1000);
    INSERT INTO httpproxy.event_era (era, first_seq)
    SELECT greatest(max(era) + 1, extract(epoch FROM clock_timestamp())::bigint),
        setval('httpproxy.event_seq', nextval('httpproxy.event_seq') + jump) + 1
    FROM httpproxy.event_era;
    RETURN new_floor;
END $$;

-- How far events have been dropped for their age, by sync: whoever stands before that has
-- missed some.
CREATE TABLE httpproxy.event_dropped (
    sync_id     text PRIMARY KEY,
    era         bigint NOT NULL,
    transaction xid8 NOT NULL,
    seq         bigint NOT NULL
);
CREATE INDEX ON httpproxy.event_dropped (era, transaction, seq);

-- Each record at its newest event. Brought up by whoever reads it, and before events are
-- dropped; record_progress is how far that is, and its row the right to do it.
CREATE TABLE httpproxy.record (
    sync_id             text NOT NULL,
    collection_id       text NOT NULL,
    upstream_id         text NOT NULL,
    era                 bigint NOT NULL,
    transaction         xid8 NOT NULL,
    seq                 bigint NOT NULL,
    event               text NOT NULL,
    upstream_updated_at timestamptz,
    origin              text NOT NULL,
    request_id          text NOT NULL,
    inserted_at         timestamptz NOT NULL,
    PRIMARY KEY (sync_id, collection_id, upstream_id)
) WITH (fillfactor = 80);
CREATE INDEX record_place ON httpproxy.record (era, transaction, seq);
CREATE INDEX record_sync_place ON httpproxy.record (sync_id, era, transaction, seq);

CREATE TABLE httpproxy.record_progress (
    single      boolean PRIMARY KEY DEFAULT true CHECK (single),
    era         bigint NOT NULL,
    transaction xid8 NOT NULL,
    seq         bigint NOT NULL
);
INSERT INTO httpproxy.record_progress (era, transaction, seq) VALUES (0, '0', 0);
