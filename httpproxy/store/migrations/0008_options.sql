-- What a request can be looked over by before it is sent: what enumerations take, as far as
-- it is known, and when the API last told of a collection.

ALTER TABLE httpproxy.field ADD COLUMN options text[];

ALTER TABLE httpproxy.collection ADD COLUMN discovered_at timestamptz;
ALTER TABLE httpproxy.collection ALTER COLUMN discovered_at SET DEFAULT now();
