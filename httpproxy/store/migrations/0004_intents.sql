-- What is about to be sent, or was, with nothing in the tables yet to show for it; and the
-- answers that repeat themselves.

-- A row is made before the first byte of a write leaves and goes with the commit of its
-- answer, milliseconds later. While it is "sent", whoever made it is at it: its number is
-- the id's upper half. No foreign keys: they would cost each write a lookup and a lock.
CREATE TABLE httpproxy.intent (
    id       bigint PRIMARY KEY,              -- number of the process << 32 | a count
    process  bigint NOT NULL,                 -- whose it is now
    sync_id  text NOT NULL,
    call     text NOT NULL,                   -- METHOD https://host/target, and lines of more
    body     bytea NOT NULL,
    state    text NOT NULL DEFAULT 'sent' CHECK (state IN ('sent', 'uncertain')),
    began_at timestamptz NOT NULL DEFAULT now(),
    due_at   timestamptz,                     -- of an uncertain one: when it is looked at next
    looks    integer NOT NULL DEFAULT 0,
    why      text NOT NULL DEFAULT ''
) WITH (
    fillfactor = 100,                          -- rows go, they hardly ever change
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_analyze_threshold = 100000,
    autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_threshold = 2000,
    toast.autovacuum_vacuum_scale_factor = 0
);
-- Rows live for milliseconds: to compress them costs more than it saves.
ALTER TABLE httpproxy.intent ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX intent_due ON httpproxy.intent (due_at) WHERE state = 'uncertain';

-- Idempotency keys: who has claimed one, and what came of it. An open claim stands as long
-- as its intent.
CREATE TABLE httpproxy.idempotency (
    sync_id     text NOT NULL,
    key         text NOT NULL,
    intent      bigint NOT NULL,
    fingerprint bytea NOT NULL,
    state       text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'answered', 'applied', 'unclear')),
    head        bytea,                        -- the answer's status line and header fields
    body        bytea,
    records     text[] NOT NULL DEFAULT '{}', -- of an outcome that no answer told
    claimed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sync_id, key)
) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0.1);
CREATE INDEX idempotency_intent ON httpproxy.idempotency (intent);
CREATE INDEX idempotency_claimed_at ON httpproxy.idempotency (claimed_at);
