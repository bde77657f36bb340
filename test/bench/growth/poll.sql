-- The next 100 events of all.
\set after :first + random(1, :hot) * :apart
SELECT cardinality(events) FROM nvent.stream_poll(:pattern, :after, 100);
