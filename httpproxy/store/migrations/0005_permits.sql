-- Permits over many processes: a rate limit's slots are shared out among those that are there
-- (docs/decisions/0003-rate-limit.md).

-- A rate limit: `slots` calls in any `period`. A slot is one process's, or cooling, or free:
-- the shares + cooling + free = slots. All that moves slots holds this row.
CREATE TABLE httpproxy.lane (
    key          text COLLATE "C" PRIMARY KEY,         -- provider, account, budget: a JSON array
    slots        integer NOT NULL,                     -- the strictest that any of them knows
    period       float8 NOT NULL,                      -- seconds
    concurrent   integer NOT NULL,                     -- calls at once, 0: no cap
    cooling      integer NOT NULL DEFAULT 0,           -- nobody's, and perhaps used just now
    cold_at      timestamptz NOT NULL DEFAULT '-infinity',  -- when all of them are free
    paused_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

-- What a process holds of a lane, waits for, and knows of the rate. No foreign key: the slots
-- of a process that is gone have to cool before they are anybody's.
CREATE TABLE httpproxy.lane_share (
    lane       text COLLATE "C" NOT NULL,
    process    integer NOT NULL,
    slots      integer NOT NULL CHECK (slots >= 0),
    wants      integer[] NOT NULL,                     -- slots, by class
    requests   integer NOT NULL CHECK (requests > 0),
    period     float8 NOT NULL CHECK (period > 0),
    concurrent integer NOT NULL,
    PRIMARY KEY (lane, process)
) WITH (fillfactor = 50);

-- The number of a process's last word. A call that was given up and comes late, out of some
-- buffer, would undo what was agreed since.
CREATE TABLE httpproxy.lane_holder (
    process integer PRIMARY KEY REFERENCES httpproxy.process (number) ON DELETE CASCADE,
    serial  bigint NOT NULL
) WITH (fillfactor = 50);

-- The limit that keeps what every holder knows of: the longest window with the smallest
-- number, or the shortest one with what the longer ones allow in it; whichever is more.
CREATE FUNCTION httpproxy.strictest_rate(wanted_lane text,
    OUT slots integer, OUT period float8, OUT concurrent integer, OUT taken integer)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN r.fit / r.shortest > r.fewest / r.longest THEN r.fit ELSE r.fewest END,
        CASE WHEN r.fit / r.shortest > r.fewest / r.longest THEN r.shortest ELSE r.longest END,
        r.cap, r.taken
    FROM (
        SELECT min(s.requests / ceil(s.period / k.shortest)::integer) AS fit, k.shortest,
            min(s.requests) AS fewest, max(s.period) AS longest,
            coalesce(min(nullif(s.concurrent, 0)), 0) AS cap, sum(s.slots)::integer AS taken
        FROM httpproxy.lane_share s,
            (SELECT min(o.period) AS shortest FROM httpproxy.lane_share o
                WHERE o.lane = wanted_lane) k
        WHERE s.lane = wanted_lane
        GROUP BY k.shortest
    ) r
$$;

-- One lane's part of an exchange: what a process keeps, asks for, waits for and knows, against
-- what it gets and what the others hold and wait for.
CREATE FUNCTION httpproxy.deal_lane(me integer, offer jsonb)
RETURNS TABLE (lane text, slots integer, period float8, concurrent integer, cooling integer,
    cold_in float8, paused float8, moment float8, shares jsonb)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    wanted text := offer->>'lane';
    keep integer := (offer->>'keep')::integer;
    knows float8 := (offer->>'period')::float8;
    known httpproxy.lane;
    rate record;
    held integer;
    lost integer;
    warm integer := 0;
    at timestamptz;
BEGIN
    INSERT INTO httpproxy.lane AS l (key, slots, period, concurrent)
    VALUES (wanted, (offer->>'requests')::integer, knows, (offer->>'concurrent')::integer)
    ON CONFLICT (key) DO UPDATE SET key = excluded.key
    RETURNING l.* INTO known;
    at := clock_timestamp();  -- after the wait for the row

    WITH gone AS (
        DELETE FROM httpproxy.lane_share s
        WHERE s.lane = wanted
            AND NOT EXISTS (SELECT FROM httpproxy.process p WHERE p.number = s.process)
        RETURNING s.slots AS had
    )
    SELECT coalesce(sum(g.had), 0) INTO lost FROM gone g;

    SELECT coalesce((SELECT s.slots FROM httpproxy.lane_share s
        WHERE s.lane = wanted AND s.process = me), 0) INTO held;
    INSERT INTO httpproxy.lane_share AS s
        (lane, process, slots, wants, requests, period, concurrent)
    VALUES (wanted, me, least(held, keep),
        ARRAY(SELECT jsonb_array_elements_text(offer->'wants')::integer),
        (offer->>'requests')::integer, knows, (offer->>'concurrent')::integer)
    ON CONFLICT ON CONSTRAINT lane_share_pkey DO UPDATE
    SET slots = excluded.slots, wants = excluded.wants, requests = excluded.requests,
        period = excluded.period, concurrent = excluded.concurrent;
    SELECT * INTO rate FROM httpproxy.strictest_rate(wanted);

    IF known.cold_at <= at THEN
        known.cooling := 0;
    END IF;
    -- A slot is cold by the interval that its user knew. By a longer one it may not be.
    IF rate.period > known.period THEN
        warm := greatest(0, known.slots - rate.taken - known.cooling - lost);
    ELSIF (offer->>'judged')::float8 < rate.period THEN
        warm := greatest(0, held - keep);
    END IF;
    IF lost + warm > 0 THEN
        known.cooling := known.cooling + lost + warm;
        known.cold_at := at + make_interval(secs => greatest(rate.period, known.period));
    END IF;
    -- A database whose clock was set back does not wait for it.
    known.cold_at := least(known.cold_at,
        at + make_interval(secs => greatest(rate.period, known.period)));

    warm := greatest(0, least((offer->>'ask')::integer,
        rate.slots - rate.taken - known.cooling));
    IF warm > 0 THEN
        UPDATE httpproxy.lane_share s SET slots = s.slots + warm
        WHERE s.lane = wanted AND s.process = me;
    ELSIF (offer->>'leaves')::boolean THEN
        DELETE FROM httpproxy.lane_share s
        WHERE s.lane = wanted AND s.process = me AND s.slots = 0;
    END IF;
    UPDATE httpproxy.lane l
    SET slots = rate.slots, period = rate.period, concurrent = rate.concurrent,
        cooling = known.cooling, cold_at = known.cold_at,
        paused_until = greatest(known.paused_until,
            at + make_interval(secs => (offer->>'pause')::float8))
    WHERE l.key = wanted
    RETURNING l.* INTO known;
    IF known.cooling = 0 AND known.paused_until <= at THEN
        DELETE FROM httpproxy.lane l WHERE l.key = wanted
            AND NOT EXISTS (SELECT FROM httpproxy.lane_share s WHERE s.lane = wanted);
    END IF;

    RETURN QUERY SELECT wanted, known.slots, known.period, known.concurrent, known.cooling,
        greatest(0, extract(epoch FROM known.cold_at) - extract(epoch FROM at))::float8,
        greatest(0, extract(epoch FROM known.paused_until) - extract(epoch FROM at))::float8,
        extract(epoch FROM at)::float8,
        coalesce((SELECT jsonb_agg(jsonb_build_array(s.process, s.slots, s.wants))
            FROM httpproxy.lane_share s WHERE s.lane = wanted), '[]');
END $$;

-- What a process has to say of all its lanes, in one call; nothing if it has said more since.
-- A process that is gone gets a foreign_key_violation.
CREATE FUNCTION httpproxy.deal(me integer, nth bigint, offers jsonb)
RETURNS TABLE (lane text, slots integer, period float8, concurrent integer, cooling integer,
    cold_in float8, paused float8, moment float8, shares jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    offer jsonb;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);  -- a share outlives a crash
    END IF;
    INSERT INTO httpproxy.lane_holder AS h (process, serial) VALUES (me, nth)
    ON CONFLICT (process) DO UPDATE SET serial = excluded.serial
    WHERE h.serial < excluded.serial;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- In one order, so that processes wait for each other and never block each other.
    FOR offer IN SELECT o FROM jsonb_array_elements(offers) o ORDER BY (o->>'lane') COLLATE "C"
    LOOP
        RETURN QUERY SELECT * FROM httpproxy.deal_lane(me, offer);
    END LOOP;
END $$;
