-- Any text is a subject: where its events live, and that every function finds
-- them.  What no route takes lives in the generic stream table of its type, the
-- token behind the store's name, or the first one where that is no store's.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create(), nvent.store_create('other', 'other');
CREATE TABLE subjects (subject text COLLATE "C");
CREATE FUNCTION show(s text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN length(s) > 80 THEN format('%s... %s bytes', left(r, 18), octet_length(s)) ELSE r END
    FROM replace(replace(replace(s, chr(1), '<1>'), chr(10), '<10>'), chr(127), '<127>') r
$$;
INSERT INTO subjects VALUES
    ('order:17'), ('nvent:order:17'), ('nvent:order'), ('order'), ('other:order:17'), ('other:nvent:order'), ('order:nvent:17'),
    ('nvent:nvent:17'), ('nvent'), ('nvent:'), ('nvent::17'), ('other'), ('other:'), (':'), (':17'), ('::order'), ('Nvent:order'),
    ('a::b'), ('x*'), ('{id}'), ('tail:'), ('*'), ('a:*'), ('a:>:b'), ('>'), ('{a...}:b'), ('\'), ('\*:\'), ('a b: '),
    ('"quoted":''it'''), ('%s:$1:%'), (E'a:\n:\x01\x7f'), (E'\n'), (repeat('x', 600)), (repeat('x', 599) || 'y'),
    (repeat('a:', 63) || 'a'), (repeat(':', 63)), (repeat(chr(1), 1024)), (repeat('"', 1024)), (repeat('é', 512)),
    (repeat('{', 500) || ':' || repeat('*', 500));

-- Every function that takes a subject.
SELECT count(*) AS subjects, count(nvent.stream_append(subject, jsonb_build_object('type', 't', 's', subject), 0)) AS appended FROM subjects;
SELECT count(*) AS not_read FROM subjects WHERE (SELECT count(*) FROM nvent.stream_read(subject) e
    WHERE e->>'subject' = subject AND e->'meta'->>'s' = subject AND e->'version' = '1') <> 1;
SELECT count(*) FROM subjects, nvent.stream_append_batch(subject, ARRAY['{"type": "u"}', '{"type": "v"}']::jsonb[], 1);
SELECT count(*) FROM nvent.stream_append_many((SELECT jsonb_agg(jsonb_build_object('subject', subject, 'expected', 3, 'events', '[{"type": "w"}]'::jsonb)) FROM subjects));
SELECT show(subject) AS wrong FROM subjects WHERE nvent.stream_version(subject) <> 4;
SELECT count(*) AS polled FROM subjects WHERE (SELECT array_agg(e->>'type') FROM nvent.stream_poll(nvent.subject_escape(subject), 0) p, unnest(p.events) e) = '{t,u,v,w}';
SELECT count(*) AS waited FROM subjects WHERE nvent.stream_wait(nvent.subject_escape(subject), 0);
SELECT count(*) AS counted, sum(events) AS events FROM nvent.stream_stats(subjects => (SELECT array_agg(subject) FROM subjects WHERE subject !~ '^other(:|$)'));
-- A conflict says which subject in JSON.
CREATE FUNCTION conflict(s text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM nvent.stream_append(s, '{"type": "x"}', 1);
    RETURN NULL;
EXCEPTION WHEN SQLSTATE 'NV001' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail::jsonb->>'subject';
END $$;
SELECT show(subject) AS wrong FROM subjects WHERE conflict(subject) IS DISTINCT FROM subject;
-- NOTIFY takes less than 8000 bytes, and a control character is six in JSON.
BEGIN;
LISTEN nvent_events;
SET LOCAL nvent_store.notify = 'inline';
SELECT count(nvent.stream_append(subject, '{"type": "n"}')) FROM subjects;
SELECT count(nvent.stream_delete(subject)) FROM subjects;
UNLISTEN *;
ROLLBACK;
SELECT count(*) AS truncated FROM subjects, nvent.stream_truncate(subject, before => 4) t WHERE t.deleted = 3;
SELECT count(nvent.stream_close(subject)) AS closed, count(nvent.stream_reopen(subject)) AS reopened FROM subjects;
SELECT sum(nvent.stream_erase(subject)) AS erased FROM subjects;
-- Restored elsewhere it is the same.
CREATE TEMP TABLE saved AS SELECT array_agg(e ORDER BY (e->>'id')::bigint) AS events FROM subjects, nvent.stream_read(subject) e;
SELECT nvent.stream_clear() + nvent.stream_clear('other') AS cleared;
SELECT count(*) AS restored FROM saved, nvent.stream_restore(saved.events);
SELECT count(*) AS lost FROM saved, unnest(saved.events) o (e)
WHERE NOT EXISTS (SELECT FROM nvent.stream_read(o.e->>'subject') n WHERE n - 'id' = o.e - 'id');

-- Entries, keys, locks and snapshots.
SELECT count(nvent.entry_add(subject, subject, 1, jsonb_build_object('n', 1, 'of', subject))) AS added FROM subjects;
SELECT count(*) AS incremented FROM subjects WHERE nvent.entry_increment(subject, subject, 'n') = 2;
SELECT show(subject) AS wrong FROM subjects WHERE nvent.entry_get(subject, subject)->'metadata' @> jsonb_build_object('of', subject, 'n', 2) IS NOT TRUE;
SELECT show(subject) AS wrong FROM subjects WHERE (SELECT count(*) FROM nvent.entry_read(subject)) <> 1;
SELECT count(*) AS deleted FROM subjects WHERE nvent.entry_delete(subject, subject);
SELECT count(nvent.kv_set(subject, to_jsonb(subject))) AS set, count(nvent.lock_acquire(subject, '1 minute')) AS locked,
    count(nvent.snapshot_save(subject, to_jsonb(subject), jsonb_build_object(subject, 1))) AS saved FROM subjects;
SELECT show(subject) AS wrong FROM subjects
WHERE nvent.kv_get(subject) IS DISTINCT FROM to_jsonb(subject)
    OR (SELECT state FROM nvent.snapshot_load(subject)) IS DISTINCT FROM to_jsonb(subject);

-- One table for each type, however many subjects; it is quoted as it is.
SELECT store, show(type) AS type, regexp_replace(show(relation::text), '_[0-9a-f]{12}("?)$', '_<hash>\1') AS relation FROM nvent.stream_tables() ORDER BY store, type COLLATE "C";
SELECT count(nvent.stream_append('order:' || n, '{"type": "t"}')) FROM generate_series(1, 300) n;
SELECT count(*) FROM nvent.stream_tables('nvent');
SET nvent_store.max_stream_tables = 1;
SELECT nvent.stream_append('order:301', '{"type": "t"}') IS NOT NULL AS appended;
SELECT nvent.stream_append('neworder:1', '{"type": "t"}');
RESET nvent_store.max_stream_tables;
SELECT count(nvent.stream_delete('order:' || n)) FROM generate_series(1, 301) n WHERE n <> 17;
-- With and without the store's name they are two subjects of one table.
SELECT s AS subject, r.relation, (SELECT string_agg(e->>'subject', ', ') FROM nvent.stream_read(s) e) AS read
FROM unnest('{order:17,nvent:order:17}'::text[]) s, nvent.route_resolve('stream', s) r;
SELECT nvent.stream_delete('order:17') > 0 AS deleted;
SELECT nvent.stream_version('order:17') AS gone, nvent.stream_version('nvent:order:17') > 0 AS there;
SELECT nvent.stream_append('order:17', '{"type": "t"}')->'version' AS version;

-- The tables that a poll looks at are all that may have a match: every pattern
-- of up to three of some tokens finds what their matcher finds.
CREATE TEMP TABLE known AS SELECT subject, store FROM subjects, nvent.route_resolve('stream', subject);
CREATE TEMP TABLE patterns AS
    WITH token AS (SELECT unnest(ARRAY['*', '**', 'order', 'nvent', 'other', '', '17', '{x}', '\*', 'a', 'b']) AS t)
    SELECT p FROM (SELECT t AS p FROM token UNION SELECT x.t || ':' || y.t FROM token x, token y
        UNION SELECT x.t || ':' || y.t || ':' || z.t FROM token x, token y, token z) u
    WHERE nvent.subject_pattern_is_valid(p);
SELECT count(*) AS patterns, count(*) FILTER (WHERE ours IS DISTINCT FROM theirs) AS differ, count(DISTINCT theirs) > 30 AS varied,
    min(format('%s finds %s, not %s', p, ours, theirs)) FILTER (WHERE ours IS DISTINCT FROM theirs) AS first
FROM patterns,
    LATERAL (SELECT array_agg(DISTINCT e->>'subject' ORDER BY e->>'subject') AS ours FROM nvent.stream_poll(p, 0) q, unnest(q.events) e) a,
    LATERAL (SELECT array_agg(subject::text ORDER BY subject::text) AS theirs FROM known
        WHERE nvent.subject_matches(subject, p) AND store = CASE WHEN p ~ '^other(:|$)' THEN 'other' ELSE 'nvent' END) b;
SELECT count(*) AS patterns, count(*) FILTER (WHERE ours IS DISTINCT FROM theirs) AS differ
FROM patterns, LATERAL (SELECT array_agg(subject::text ORDER BY subject::text) AS ours FROM nvent.stream_stats(p)) a,
    LATERAL (SELECT array_agg(subject::text ORDER BY subject::text) AS theirs FROM known
        WHERE nvent.subject_matches(subject, p) AND store = CASE WHEN p ~ '^other(:|$)' THEN 'other' ELSE 'nvent' END) b;
-- Consumers find theirs by what their patterns literally begin with.
SELECT count(nvent.consumer_subscribe(p, p)) AS patterns FROM patterns WHERE p !~ '^other(:|$)';
SELECT nvent.consumer_correlate() > 0 AS correlated;
SELECT count(*) AS consumers, count(*) FILTER (WHERE (mark IS NOT NULL) <> matches) AS differ, count(mark) > 100 AS marked
FROM nvent.consumer_list(max_count => NULL) c,
    LATERAL (SELECT EXISTS (SELECT FROM known WHERE store = 'nvent' AND nvent.subject_matches(subject, c.pattern)) AS matches) m;
SELECT nvent.consumer_subscribe('wrong', 'other:>');
SELECT nvent.consumer_subscribe('escaped', '\other:>');

-- Another default store has other subjects without a name.
SET nvent_store.default_store = 'other';
SELECT s AS subject, relation FROM unnest('{order:17,nvent:order:17,other:order:17,other,:x}'::text[]) s LEFT JOIN LATERAL nvent.route_resolve('stream', s) ON true;
SELECT nvent.stream_append('order:17', '{"type": "others"}')->'version' AS version;
SELECT e->>'type' AS type FROM nvent.stream_poll('order:*', 0) p, unnest(p.events) e;
RESET nvent_store.default_store;
SELECT e->>'type' AS type FROM nvent.stream_poll('order:*', 0) p, unnest(p.events) e;
-- Written by then, it is still found in the store by its name.
SELECT e->>'type' AS type FROM nvent.stream_poll('order:*', 0, store => 'other') p, unnest(p.events) e;

-- A table of one's own, whose captures may be empty too: read by its key, in
-- the order of positions, and by a statement of its own where few match.
SELECT count(nvent.stream_append('nvent:flow:run:' || r, '{"type": "t"}')) FROM unnest(ARRAY['', ':', 'a', 'a:', ':a', '*', '\*', '{x}']) r;
CREATE FUNCTION run_ids(pattern text) RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(e->>'runId' ORDER BY (e->>'id')::bigint) FROM nvent.stream_poll(pattern, 0, 10) p, unnest(p.events) e
$$;
SELECT p AS pattern, run_ids('nvent:flow:run:' || p) FROM unnest(ARRAY['', ':', '*', '{x}', '>', 'a:*', '*:a', '*:*', '\*', '\\*', '\{x}']) p;
INSERT INTO nvent_flow_events (run_id, ts, type) SELECT 'many:' || n, n, 'many' FROM generate_series(1, 20000) n;
ANALYZE nvent_flow_events;
SELECT count(nvent.stream_append('nvent:flow:run:' || r, '{"type": "t"}')) FROM unnest(ARRAY['', 'last', 'a:']) r;
SELECT p AS pattern, run_ids('nvent:flow:run:' || p) FROM unnest(ARRAY['', '*', '{x}', 'a:*', '*:']) p;
-- A route's literals may look like wildcards.
CREATE TABLE odd (id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, ts bigint NOT NULL, type text NOT NULL, x text COLLATE "C");
SELECT nvent.route_add('stream', 'od\d:\*:{x}:\{x}', 'odd');
SELECT nvent.route_add('stream', '\od\d:\*:{y}:\{x}', 'odd');
SELECT nvent.route_add('stream', 'od\d:*:{x}:\{x}', 'odd');
SELECT pattern, shape FROM nvent.route WHERE table_name = 'odd';
SELECT nvent.stream_append('od\d:*:7:{x}', '{"type": "t"}') - 'id' - 'ts';
SELECT nvent.stream_append('od\d:*::{x}', '{"type": "t"}') - 'id' - 'ts';
SELECT relation FROM nvent.route_resolve('stream', 'od\d:a:7:{x}');
SELECT e->>'subject' AS subject FROM nvent.stream_poll('od\d:>', 0) p, unnest(p.events) e;
SELECT e->>'subject' AS subject FROM nvent.stream_poll('od\d:\*:7:*', 0) p, unnest(p.events) e;
SELECT subject, events FROM nvent.stream_stats('od\d:>');
SELECT nvent.route_drop('stream', 'od\d:\*:{z}:\{x}');

-- Types: made and dropped by hand, kept by retention; two have never one name.
SELECT nvent.stream_drop_table(''), nvent.stream_drop_table('', 'other'), nvent.stream_drop_table('nothing');
SELECT nvent.stream_create_table('', store => 'other'), nvent.stream_create_table(E'new\nline*'), nvent.stream_create_table('*') AS there;
SELECT nvent.stream_append(E'new\nline*:1', '{"type": "t", "ts": 0}')->'version' AS version;
SELECT nvent.stream_append(E'new\nline*:1', '{"type": "t", "ts": 0}')->'version' AS version;
SELECT nvent.stream_retain(E'new\nline*', '1 day'), nvent.stream_retain('', '1 day', 'other'), nvent.stream_retain('none', '1 day');
SELECT nvent.stream_retain('new:line', '1 day');
SELECT nvent.stream_retain('order', '1 day', 'nowhere');
-- A type that reads like the name of a hashed one.
SELECT nvent.stream_create_table(repeat('l', 100));
SELECT nvent.stream_create_table(substr(relation::text, 14)) FROM nvent.stream_tables('nvent') WHERE type = repeat('l', 100);
SELECT count(DISTINCT relation) AS tables, count(*) AS types FROM nvent.stream_tables('nvent') WHERE type ~ '^l+(_[0-9a-f]{12})?$';

DROP TABLE odd, subjects;
DROP FUNCTION show, conflict, run_ids;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped, nvent.store_migrate('other', 0) > 0 AS dropped;
DROP SCHEMA other;
