-- stream_retain deleted from the default store when there was no such store, and
-- everything of the type of a subject.
\c - keeper
SELECT count(*) AS before FROM nvent.stream_read('nvent:order:1') \gset
SELECT nvent.stream_retain('order', '0 s', 'missing');
SELECT nvent.stream_retain('order:7', '0 s');
SELECT nvent.stream_retain('nvent:order', '0 s');
SELECT CASE WHEN count(*) = :before THEN 'held' ELSE 'events are gone' END FROM nvent.stream_read('nvent:order:1');
