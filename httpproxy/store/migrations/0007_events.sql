-- Events are looked for by time: who made a record since a call whose answer was lost. Next
-- to nothing to maintain, as events are only ever appended.
CREATE INDEX event_inserted_at ON httpproxy.event USING brin (inserted_at)
    WITH (pages_per_range = 32, autosummarize = on);
