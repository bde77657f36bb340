-- Following a pattern over all tables of a store: the order of pages, cursors,
-- patterns, types, users' tables, equal positions, old snapshots, rights, and
-- the same as a plain query finds.  What open transactions of others do to it
-- is in test/specs/stream_poll_*.spec.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
CREATE SCHEMA poll;
SELECT nvent.store_create('poll', 'poll');

-- Positions count from where the test begins.
CREATE FUNCTION poll.at(e jsonb) RETURNS text LANGUAGE sql
RETURN concat_ws(' ', (e->>'id')::bigint - current_setting('poll.base')::bigint, e->>'subject', e->>'type');
CREATE FUNCTION poll.page(pattern text, after bigint, max_count int DEFAULT 1000, types text[] DEFAULT NULL, store text DEFAULT NULL, OUT next_cursor bigint, OUT event text)
RETURNS SETOF record LANGUAGE sql
BEGIN ATOMIC
    SELECT p.next_cursor - current_setting('poll.base')::bigint, poll.at(e)
    FROM nvent.stream_poll(pattern, current_setting('poll.base')::bigint + after, max_count, types, store) p
    LEFT JOIN LATERAL unnest(p.events) WITH ORDINALITY u(e, n) ON true
    ORDER BY n;
END;
SELECT set_config('poll.base', nvent.safe_position('poll')::text, false) IS NOT NULL AS based;

-- Nothing there yet: the cursor is the safe position.
SELECT next_cursor = nvent.safe_position('poll') AS safe, events FROM nvent.stream_poll('poll:>', 0);

-- Three tables, one order.  Appends are by turns, so that each page has all.
SELECT count(nvent.stream_append(s, '{"type": "made"}'))
FROM unnest(ARRAY['poll:flow:run:a', 'poll:trigger:event:t', 'poll:order:eu:1', 'poll:flow:run:b:c', 'poll:order:us:1']) s;
SELECT count(*)
FROM unnest(ARRAY['poll:order:eu:1', 'poll:flow:run:a']) s,
    nvent.stream_append_batch(s, ARRAY['{"type": "paid"}', '{"type": "sent"}']::jsonb[]);
SELECT * FROM poll.page('poll:>', 0);

-- Pages follow one another; the last has the safe position for its cursor.
SELECT * FROM poll.page('poll:>', 0, 4);
SELECT * FROM poll.page('poll:>', 4, 4);
SELECT * FROM poll.page('poll:>', 8, 4);
SELECT * FROM poll.page('poll:>', 9, 4);

-- A cursor that is ahead of everything is no cursor of ours.
DO $$ BEGIN
    PERFORM nvent.stream_poll('poll:>', 9223372036854775807);
EXCEPTION WHEN SQLSTATE 'NV021' THEN
    RAISE NOTICE 'refused';
END $$;

-- Without a cursor one begins with the oldest.
SELECT events = (nvent.stream_poll('poll:>', 0)).events AS same FROM nvent.stream_poll('poll:>', NULL);

-- Records are those of stream_read.
SELECT (nvent.stream_poll('poll:flow:run:a', 0)).events = array_agg(e) AS same
FROM nvent.stream_read('poll:flow:run:a') e;
SELECT (nvent.stream_poll('poll:order:eu:1', 0)).events = array_agg(e) AS same
FROM nvent.stream_read('poll:order:eu:1') e;

-- Patterns: one table, several, none; the cursor passes what is left out.
SELECT pattern, g.*
FROM unnest('{poll:order:*:1,poll:*:run:>,poll:flow:run:b:c,poll:flow:run:b:*,poll:flow:run:b,poll:*,poll:none:>}'::text[])
    WITH ORDINALITY p (pattern, n), poll.page(pattern, 0) g
ORDER BY p.n;
SELECT * FROM poll.page('poll:{kind}:{what}:{rest...}', 6);
SELECT * FROM poll.page('*:order:us:1', 0, store => 'poll');
SELECT * FROM poll.page('**', 0, 2, store => 'poll');

-- Types apply before the count.
SELECT * FROM poll.page('poll:>', 0, types => '{paid,sent}');
SELECT * FROM poll.page('poll:>', 0, 2, types => '{sent}');
SELECT * FROM poll.page('poll:flow:run:a', 0, 1, types => '{sent}');
SELECT * FROM poll.page('poll:>', 0, types => '{none}');
SELECT * FROM poll.page('poll:>', 0, types => '{}');

-- Subjects that name no store belong to the default store.
SELECT nvent.stream_append('shop:order:1', '{"type": "made"}') ->> 'subject' AS subject;
SELECT nvent.stream_append('single', '{"type": "made"}') ->> 'subject' AS subject;
SELECT * FROM poll.page('shop:order:*', 0);
SELECT * FROM poll.page('single', 0);
SELECT * FROM poll.page('*', 0);
SELECT * FROM poll.page('>', 0, store => 'nvent');
SELECT * FROM poll.page('>', 9, store => 'poll');

-- Tables of the user's own: a captured column each, of whatever type ...
CREATE TABLE poll.visit (
    id bigint DEFAULT nvent.next_position('poll') PRIMARY KEY,
    host text COLLATE "C" NOT NULL,
    visitor uuid NOT NULL,
    ts bigint NOT NULL,
    type text);
CREATE INDEX ON poll.visit (host, visitor, id);
SELECT nvent.route_add('stream', 'poll:visit:{host}:by:{visitor}', 'poll.visit');
SELECT nvent.stream_append('poll:visit:' || h || ':by:' || v, '{"type": "seen"}') ->> 'subject' AS subject
FROM unnest(ARRAY['a', 'b']) h, unnest(ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'b1ffcd00-9c0b-4ef8-bb6d-6bb9bd380a22']) v;
SELECT pattern, g.*
FROM unnest('{>,b:>,*:by:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,b:by:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,b:of:*,b:by:*:more}'::text[])
    WITH ORDINALITY p (pattern, n), poll.page('poll:visit:' || pattern, 0) g
ORDER BY p.n;
SELECT * FROM poll.page('poll:*:*:by:>', 11);

-- ... or one for the whole subject, under two routes.
CREATE TABLE poll.audit (
    id bigint DEFAULT nvent.next_position('poll') PRIMARY KEY,
    subject text COLLATE "C" NOT NULL,
    ts bigint NOT NULL,
    type text);
CREATE INDEX ON poll.audit (subject, id);
SELECT nvent.route_add('stream', 'poll:audit:>', 'poll.audit');
SELECT nvent.route_add('stream', 'poll:order:audit:>', 'poll.audit');
SELECT nvent.stream_append(s, '{"type": "noted"}') ->> 'subject' AS subject
FROM unnest(ARRAY['poll:audit:x', 'poll:order:audit:x', 'poll:order:eu:2']) s;
SELECT * FROM poll.page('poll:audit:>', 0);
SELECT * FROM poll.page('poll:order:>', 9);
SELECT * FROM poll.page('poll:>', 15);

-- Rows of equal position, as tables that were adopted may have: a page takes
-- all of them or none, whatever the count.
INSERT INTO poll.audit (id, subject, ts, type)
SELECT current_setting('poll.base')::bigint + i, 'poll:audit:twin', 0, 'twin' FROM generate_series(1, 5) i;
SELECT * FROM poll.page('poll:>', 0, 1);
SELECT * FROM poll.page('poll:>', 0, 3);
SELECT * FROM poll.page('poll:>', 2, 2);
-- One table may have them too.
ALTER TABLE poll.audit DROP CONSTRAINT audit_pkey;
INSERT INTO poll.audit (id, subject, ts, type)
SELECT current_setting('poll.base')::bigint + 5, 'poll:audit:triplet', 0, 'twin';
SELECT * FROM poll.page('poll:audit:>', 3, 2);
SELECT * FROM poll.page('poll:audit:triplet', 3, 1);
-- Backward as well: the page of one event has all that are at its position.
SELECT next_cursor - current_setting('poll.base')::bigint AS cursor, array_agg(DISTINCT e ->> 'type') AS types, count(*),
    count(DISTINCT e ->> 'id') AS positions
FROM nvent.stream_poll('poll:>', 0, 1, before => current_setting('poll.base')::bigint + 6, backward => true), unnest(events) AS e
GROUP BY 1;

-- One's own open transaction holds its own events back, and no others.
BEGIN;
SELECT nvent.stream_append('poll:audit:own', '{"type": "noted"}') ->> 'subject' AS subject;
SELECT * FROM poll.page('poll:>', 17);
COMMIT;
SELECT * FROM poll.page('poll:>', 17);

-- A snapshot that cannot be renewed: up to the published position that it shows.
SELECT nvent.position_publish() - current_setting('poll.base')::bigint AS published;
SELECT nvent.stream_append('poll:audit:late', '{"type": "noted"}') ->> 'subject' AS subject;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM poll.page('poll:audit:>', 17);
COMMIT;
SELECT nvent.position_publish() - current_setting('poll.base')::bigint AS published;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT * FROM poll.page('poll:audit:>', 17);
COMMIT;

-- Many subjects and patterns, page by page, against a plain query.
SELECT count(nvent.stream_append(
    CASE i % 4 WHEN 0 THEN 'poll:flow:run:' WHEN 1 THEN 'poll:trigger:event:' WHEN 2 THEN 'poll:audit:' ELSE 'poll:order:' END
    || (i * 7919 % 13) || CASE WHEN i % 3 = 0 THEN ':' || (i * 104729 % 5) ELSE '' END,
    jsonb_build_object('type', 't' || i * 31 % 4)))
FROM generate_series(1, 2000) i;
CREATE VIEW poll.every AS
SELECT id, 'poll:flow:run:' || run_id AS subject, type FROM poll.poll_flow_events
UNION ALL SELECT id, 'poll:trigger:event:' || trigger_name, type FROM poll.poll_trigger_events
UNION ALL SELECT id, 'poll:visit:' || host || ':by:' || visitor, type FROM poll.visit
UNION ALL SELECT id, subject, type FROM poll.audit
UNION ALL SELECT id, subject, type FROM poll.poll_stream_order;
CREATE FUNCTION poll.follow(pattern text, max_count int, types text[], OUT pages bigint, OUT seen text[])
LANGUAGE plpgsql AS $$
DECLARE
    c bigint := 0;
    n bigint;
    e jsonb[];
BEGIN
    seen := '{}';
    pages := 0;
    LOOP
        SELECT p.next_cursor, p.events INTO n, e FROM nvent.stream_poll(pattern, c, max_count, types) p;
        ASSERT n >= c;
        ASSERT NOT EXISTS (SELECT FROM unnest(e) r WHERE (r->>'id')::bigint > n OR (r->>'id')::bigint <= c);
        EXIT WHEN cardinality(e) = 0;
        ASSERT cardinality(e) <= max_count OR (SELECT count(DISTINCT r->>'id') FROM unnest(e) r) < cardinality(e);
        seen := seen || ARRAY(SELECT concat_ws(' ', r->>'id', r->>'subject') FROM unnest(e) WITH ORDINALITY u(r, k) ORDER BY k);
        pages := pages + 1;
        c := n;
    END LOOP;
    ASSERT c <= n AND n = nvent.safe_position('poll');
END $$;
CREATE FUNCTION poll.sorted(s text[]) RETURNS text[] LANGUAGE sql
RETURN ARRAY(SELECT x FROM unnest(s) x ORDER BY split_part(x, ' ', 1)::bigint, x COLLATE "C");
SELECT pattern, max_count, types, cardinality(seen) AS events,
    poll.sorted(seen) = poll.sorted(ARRAY(
        SELECT concat_ws(' ', id, subject) FROM poll.every e
        WHERE nvent.subject_matches(e.subject, pattern) AND (types IS NULL OR e.type = ANY (types)))) AS same,
    seen = ARRAY(SELECT x FROM unnest(seen) WITH ORDINALITY u(x, k) ORDER BY split_part(x, ' ', 1)::bigint, k) AS in_order
FROM unnest(ARRAY['poll:>', 'poll:*:*:7', 'poll:*:*:7:>', 'poll:flow:run:3', 'poll:flow:run:3:*', 'poll:flow:run:{x...}',
    'poll:*:run:11', 'poll:audit:1:0', 'poll:{a}:{b}', 'poll:order:>', 'poll:*:*:by:>', 'poll:visit:a:>', 'poll:audit']) pattern,
    unnest(ARRAY[1000, 97]) max_count,
    (VALUES (NULL), ('{t1,twin}'::text[])) v (types),
    poll.follow(pattern, max_count, types)
ORDER BY pattern COLLATE "C", types, max_count;

-- The same where a pattern is rare: one subject in 5000, in two tables, and at
-- equal positions.
INSERT INTO poll.poll_stream_order (subject, version, ts, type)
SELECT 'poll:order:' || CASE WHEN i % 5000 = 4321 THEN 'zz:' || i ELSE 'yy:' || i % 100 END, i, i, CASE WHEN i % 10000 = 4321 THEN 'rare' ELSE 'often' END
FROM generate_series(1, 40000) i;
INSERT INTO poll.audit (id, subject, ts, type)
SELECT id, 'poll:audit:zz:1', ts, type FROM poll.poll_stream_order WHERE subject LIKE 'poll:order:zz:%';
SELECT pattern, max_count, types, pages, cardinality(seen) AS events,
    poll.sorted(seen) = poll.sorted(ARRAY(
        SELECT concat_ws(' ', id, subject) FROM poll.every e
        WHERE nvent.subject_matches(e.subject, pattern) AND (types IS NULL OR e.type = ANY (types)))) AS same,
    seen = ARRAY(SELECT x FROM unnest(seen) WITH ORDINALITY u(x, k) ORDER BY split_part(x, ' ', 1)::bigint, k) AS in_order
FROM unnest(ARRAY['poll:order:zz:>', 'poll:*:zz:>', 'poll:order:*:14321', 'poll:order:yy:7']) pattern,
    unnest(ARRAY[1000, 3]) max_count,
    (VALUES (NULL), ('{rare}'::text[])) v (types),
    poll.follow(pattern, max_count, types)
WHERE max_count > 3 OR pattern <> 'poll:order:yy:7'
ORDER BY pattern COLLATE "C", types, max_count;

-- It reads a small part of the table, as it goes by the index by subject.
ANALYZE poll.poll_stream_order;
SELECT pattern, types, pg_temp.buffers(format('SELECT nvent.stream_poll(%L, 0, 1000, %L)', pattern, types)) <
    pg_relation_size('poll.poll_stream_order') / current_setting('block_size')::int / 2 AS few
FROM (VALUES ('poll:order:zz:>', NULL), ('poll:order:zz:>', '{rare}'::text[]), ('poll:order:zz:4321', NULL), ('poll:order:zz:4321', '{rare}')) v (pattern, types);
-- At the end of the log a page is cheap whatever the pattern.
SELECT pg_temp.buffers('SELECT nvent.stream_poll(''poll:>'', (SELECT max(id) - 10 FROM poll.poll_stream_order))') < 100 AS few;

-- Rights are the caller's, table by table.
CREATE ROLE poll_reader;
GRANT USAGE ON SCHEMA nvent, poll TO poll_reader;
GRANT SELECT ON poll.poll_flow_events TO poll_reader;
SET ROLE poll_reader;
SELECT cardinality(events) FROM nvent.stream_poll('poll:flow:run:a', 0);
SELECT cardinality(events) FROM nvent.stream_poll('poll:>', 0);
RESET ROLE;
ALTER TABLE poll.poll_flow_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON poll.poll_flow_events USING (run_id = 'a');
SET ROLE poll_reader;
SELECT DISTINCT e->>'subject' AS subject FROM nvent.stream_poll('poll:flow:>', 0), unnest(events) e;
RESET ROLE;
DROP POLICY own ON poll.poll_flow_events;
ALTER TABLE poll.poll_flow_events DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON poll.poll_flow_events FROM poll_reader;
REVOKE ALL ON SCHEMA nvent, poll FROM poll_reader;
DROP ROLE poll_reader;

-- What cannot be asked.
SELECT nvent.stream_poll(NULL, 0);
SELECT nvent.stream_poll('poll:{x', 0);
SELECT nvent.stream_poll('poll:>', 0, 0);
SELECT nvent.stream_poll('poll:>', 0, 65537);
SELECT nvent.stream_poll('poll:>', 0, NULL);
SELECT nvent.stream_poll('poll:>', 0, 1, '{a,NULL}');
SELECT nvent.stream_poll('poll:>', 0, store => 'nobody');

\set VERBOSITY terse
SET client_min_messages = warning;
DROP VIEW poll.every;
SELECT nvent.store_migrate('poll', 0) > 0 AS dropped;
DROP SCHEMA poll CASCADE;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
