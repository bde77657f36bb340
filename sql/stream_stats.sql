-- Statistics over a log: which streams there are, in the order of their bytes,
-- with numbers of events by type; pages, types left out, a bound, a choice;
-- where the head and the tail of each are read; that one subject comes to the
-- same along an index as by a statement.  Seen to fail: a bound on events or
-- types that counts on, NULL as no type, a bound of positions that is left out.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers

SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "test:b:1", "events": [{"type": "a"}, {"type": "b", "pii": 7}, {"type": "a"}]},
    {"subject": "test:B:1", "events": [{"type": "__tombstone__"}]},
    {"subject": "test:a:1", "events": [{"type": "__snapshot__"}, {"type": "b"}]},
    {"subject": "test:b", "events": [{"type": "b"}]},
    {"subject": "test:flow:run:7", "events": [{"type": "b"}]}]');
SELECT subject, events, types FROM nvent.stream_stats('test:>');
SELECT subject, events, types FROM nvent.stream_stats(store => 'test', max_count => 2);
SELECT subject, events, types FROM nvent.stream_stats(store => 'test', max_count => 2, after => 'test:a:1');
SELECT subject, events, types FROM nvent.stream_stats('test:>', exclude => '{b,__snapshot__,__tombstone__}');
SELECT subject, events, types FROM nvent.stream_stats('test:*:1', '{test:b:1,test:b,test:none:1,NULL}');
SELECT subject, events, types FROM nvent.stream_stats('test:b:1');
SELECT subject, events, types FROM nvent.stream_stats('test:\b');
SELECT subject, events, types FROM nvent.stream_stats('test:flow:run:7');
SELECT count(*) FROM nvent.stream_stats('test:>', '{}');
SELECT count(*) FROM nvent.stream_stats('test:>', max_count => 0);
SELECT s.subject, s.events FROM nvent.stream_read('test:b:1', after_version => 1, max_count => 1) e, nvent.stream_stats('test:>', before => (e->>'id')::bigint) s ORDER BY 1;
-- The head and the tail are read where they are.
SELECT s.subject, pg_temp.show(t) AS tail, pg_temp.show(h) AS head FROM nvent.stream_stats('test:>', exclude => '{__snapshot__}') s,
    nvent.stream_read(s.subject, after => s.first_id - 1, max_count => 1) t, nvent.stream_read(s.subject, after => s.last_id - 1, max_count => 1) h;
-- Where subjects are spread over columns, one of which has no value.
CREATE TABLE test.visits (id bigint DEFAULT nvent.next_position('test') PRIMARY KEY, site text, page text, ts bigint NOT NULL, type text);
SELECT nvent.route_add('stream', 'test:visit:{site}:{page}', 'test.visits');
INSERT INTO test.visits (site, page, ts, type) VALUES ('x', '1', 0, 'a'), ('x', NULL, 0, 'a'), ('x', '1', 0, NULL);
SELECT subject, events, types FROM nvent.stream_stats('test:visit:>');
SELECT subject, events, types FROM nvent.stream_stats('test:visit:x:1');
-- One subject is counted along an index, but one with very many events or types; by a statement when types are left out.
CREATE TABLE test.notes (id bigint DEFAULT nvent.next_position('test') PRIMARY KEY, subject text COLLATE "C", ts bigint NOT NULL DEFAULT 0, type text);
CREATE INDEX ON test.notes (subject);
SELECT nvent.route_add('stream', 'test:note:>', 'test.notes');
SELECT nvent.stream_create_table('log', versioned => false, store => 'test');
INSERT INTO test.notes (subject, type) SELECT 'test:note:untyped', (ARRAY['a', NULL, '', 'b'])[i % 4 + 1] FROM generate_series(1, 10) i;
INSERT INTO test.notes (subject, type) SELECT 'test:note:types' || n, 't' || i FROM unnest('{64,65}'::int[]) n, generate_series(1, n) i;
INSERT INTO test.notes (id, subject, type) SELECT nvent.next_position('test') - 1000000 * (1 - i % 2), 'test:note:unordered', 'a' FROM generate_series(1, 4) i;
INSERT INTO test.notes (subject, type) SELECT 'test:note:long', repeat(md5('x'), 500) FROM generate_series(1, 3) i;
INSERT INTO test.test_stream_log (subject, type, ts) SELECT 'test:log:' || n, 't' || i % 3, 0 FROM unnest('{10000,10001}'::int[]) n, generate_series(1, n) i;
SELECT s AS subject, a.events, (SELECT count(*) FROM jsonb_object_keys(a.types)) AS types, a IS NOT DISTINCT FROM b AS same,
    c.events AS before, c IS NOT DISTINCT FROM d AS same
FROM unnest('{test:note:untyped,test:note:types64,test:note:types65,test:note:unordered,test:note:long,test:note:none,test:log:10000,test:log:10001,test:b:1}'::text[]) s
    LEFT JOIN nvent.stream_stats(s) a ON true LEFT JOIN nvent.stream_stats(s, exclude => '{}') b ON true
    LEFT JOIN nvent.stream_stats(s, before => a.first_id + 2) c ON true LEFT JOIN nvent.stream_stats(s, exclude => '{}', before => a.first_id + 2) d ON true;
SELECT count(*) FROM nvent.stream_stats('test:note:long', max_count => 0);
SELECT subject, events, types FROM nvent.stream_stats('test:b:1', exclude => '{b}');
-- Rows of a child count as well.
CREATE TABLE test.notes_child () INHERITS (test.notes);
INSERT INTO test.notes_child (subject, type) VALUES ('test:note:untyped', 'a');
SELECT events, types FROM nvent.stream_stats('test:note:untyped');
DROP TABLE test.notes_child;
-- So do those without a position, which are neither the first nor before another.
ALTER TABLE test.notes DROP CONSTRAINT notes_pkey, ALTER id DROP NOT NULL;
INSERT INTO test.notes (id, subject, type) VALUES (NULL, 'test:note:unnumbered', 'a'), (7, 'test:note:unnumbered', 'a');
SELECT events, first_id, last_id FROM nvent.stream_stats('test:note:unnumbered');
SELECT events, first_id, last_id FROM nvent.stream_stats('test:note:unnumbered', before => 8);
SELECT nvent.route_drop('stream', 'test:note:>');
DROP TABLE test.notes;
-- No table is asked, or locked, that cannot have any.
BEGIN;
SELECT subject, events FROM nvent.stream_stats('test:visit:>');
SELECT relation::regclass FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text ~ '^test.*(visits|events|stream_[a-z]+)$' ORDER BY relation::regclass::text COLLATE "C";
COMMIT;
SELECT nvent.route_drop('stream', 'test:visit:{site}:{page}');
DROP TABLE test.visits;
-- What cannot be asked.
SELECT nvent.stream_stats(NULL);
SELECT nvent.stream_stats('test:>:a');
SELECT nvent.stream_stats('test:>', '{elsewhere:account:1}');
SELECT nvent.stream_stats('test:>', max_count => -1);
SELECT nvent.stream_stats(store => 'nowhere');

SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
