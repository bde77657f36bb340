-- Polling a category: all its streams and the bare one, in the order of their
-- positions; shared out among the members of a group; by the correlation that
-- they have.  Which member a subject belongs to is in subject_category.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers

-- All streams of a category and the bare one, in the order of positions;
-- not its neighbours; an unknown one is empty, what is none raises.
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "test:account:1", "events": [{"type": "a"}]},
    {"subject": "test:account", "events": [{"type": "b"}]},
    {"subject": "test:accounts:1", "events": [{"type": "c"}]},
    {"subject": "test:account:2:audit", "events": [{"type": "d"}]},
    {"subject": "test:account", "events": [{"type": "e"}]},
    {"subject": "test:order:1", "events": [{"type": "f"}]},
    {"subject": "test:account:1", "events": [{"type": "g"}]},
    {"subject": "test:flow:run:7", "events": [{"type": "h"}]},
    {"subject": "test:flow:run:8", "events": [{"type": "i"}]}]');
SELECT pg_temp.page((nvent.stream_poll_category('test:account', 0)).events);
SELECT pg_temp.page((nvent.stream_poll_category('test:account', 0, max_count => 2)).events),
    pg_temp.page((nvent.stream_poll_category('test:account', 0, types => '{b,g}')).events);
SELECT pg_temp.page((nvent.stream_poll_category('test:flow:run', 0)).events),
    pg_temp.page((nvent.stream_poll_category('test:flow', 0)).events),
    pg_temp.page((nvent.stream_poll_category('test:account:2', 0)).events),
    pg_temp.page((nvent.stream_poll_category('test:none', 0)).events),
    pg_temp.page((nvent.stream_poll_category('nowhere:none', 0)).events);
SELECT pg_temp.page((nvent.stream_poll_category('test', 0)).events);
-- A category is a subject, no pattern; one that is as long as can be is alone.
SELECT pg_temp.page((nvent.stream_poll_category('test:*', 0)).events);
SELECT count(nvent.stream_append(s, '{"type": "j"}')) FROM unnest(ARRAY['test:*', 'test:*:1', 'test:' || repeat('x', 1019), 'test:' || repeat(':', 62)]) s;
SELECT pg_temp.page((nvent.stream_poll_category('test:*', 0)).events),
    cardinality((nvent.stream_poll_category('test:' || repeat('x', 1019), 0)).events) AS bytes,
    cardinality((nvent.stream_poll_category('test:' || repeat(':', 62), 0)).events) AS tokens,
    cardinality((nvent.stream_poll_category('test:' || repeat(':', 61), 0)).events) AS below;
SELECT sum(nvent.stream_delete(s)) FROM unnest(ARRAY['test:*', 'test:*:1', 'test:' || repeat('x', 1019), 'test:' || repeat(':', 62)]) s;
SELECT nvent.stream_poll_category('', 0);
SELECT nvent.stream_poll_category(NULL, 0);
SELECT nvent.stream_poll_category('test:account', 0, max_count => 0);
SELECT nvent.stream_poll_category('test:account', 0, store => 'nowhere');
-- The cursor goes past what is left out, and pages are everything once.
CREATE FUNCTION pg_temp.pages(category text, size int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    at bigint := 0;
    page record;
    seen text := '';
BEGIN
    LOOP
        SELECT * INTO page FROM nvent.stream_poll_category(category, at, size);
        EXIT WHEN cardinality(page.events) = 0;
        seen := seen || (SELECT string_agg(e->>'type', '') FROM unnest(page.events) e) || ' ';
        at := page.next_cursor;
    END LOOP;
    RETURN seen;
END $$;
SELECT pg_temp.pages('test:account', 1),
    pg_temp.pages('test:account', 2),
    pg_temp.pages('test:account', 3),
    pg_temp.pages('test', 4);
SELECT p.next_cursor >= (SELECT max(id) FROM test.test_stream_account) AS beyond, cardinality(p.events) FROM nvent.stream_poll_category('test:none', 0) p;

-- The members of a group share the events, each stream and all ids of one
-- cardinal id with one of them, in order.
SELECT count(*) FROM nvent.stream_append_many((SELECT jsonb_agg(jsonb_build_object('subject', 'test:share:' || i % 30 || CASE i % 3 WHEN 0 THEN '' ELSE ':part' || i % 3 END,
    'events', jsonb_build_array(jsonb_build_object('type', 'n', 'data', i)))) FROM generate_series(1, 300) i));
CREATE TEMP TABLE plain AS SELECT e->>'id' AS id, e->>'subject' AS subject, n
FROM nvent.stream_poll_category('test:share', 0) p, unnest(p.events) WITH ORDINALITY u (e, n);
CREATE TEMP TABLE shared AS SELECT size, member, e->>'id' AS id, e->>'subject' AS subject, n
FROM unnest(ARRAY[1, 2, 3, 7]) size, generate_series(0, size - 1) member,
    LATERAL nvent.stream_poll_category('test:share', 0, member => member, size => size) p, unnest(p.events) WITH ORDINALITY u (e, n);
SELECT size, count(*), count(DISTINCT s.id) AS different, count(DISTINCT member) AS members, count(*) = (SELECT count(*) FROM plain) AS everything
FROM shared s JOIN plain USING (id) GROUP BY size ORDER BY size;
SELECT count(*) AS split FROM (SELECT FROM shared GROUP BY size, nvent.subject_cardinal_id(subject) HAVING count(DISTINCT member) > 1) x;
SELECT count(*) AS disorder FROM shared a JOIN shared b ON a.size = b.size AND a.member = b.member AND a.n < b.n AND a.id::bigint >= b.id::bigint;
SELECT count(*) AS elsewhere FROM shared WHERE member <> nvent.subject_member(subject, size);
-- Where subjects are spread over columns too.
SELECT m, (SELECT string_agg(e->>'subject', ' ') FROM unnest(p.events) e) = (SELECT string_agg(s, ' ') FROM unnest(ARRAY['test:flow:run:7', 'test:flow:run:8']) s
    WHERE nvent.subject_member(s, 2, 3) = m) AS right
FROM generate_series(0, 1) m, nvent.stream_poll_category('test:flow:run', 0, member => m, size => 2) p
WHERE EXISTS (SELECT FROM unnest(ARRAY['test:flow:run:7', 'test:flow:run:8']) s WHERE nvent.subject_member(s, 2, 3) = m) AND m < 2 ORDER BY m;

-- A bare category is with one member.
SELECT size, count(*) FROM unnest(ARRAY[1, 2, 3, 7]) size, generate_series(0, size - 1) member,
    nvent.stream_poll_category('test:account', 0, member => member, size => size) p, unnest(p.events) e
WHERE e->>'subject' = 'test:account' GROUP BY size ORDER BY size;

-- What is no group.
SELECT nvent.stream_poll_category('test:share', 0, member => 0);
SELECT nvent.stream_poll_category('test:share', 0, size => 2);
SELECT nvent.stream_poll_category('test:share', 0, member => 0, size => 0);
SELECT nvent.stream_poll_category('test:share', 0, member => -1, size => 2);
SELECT nvent.stream_poll_category('test:share', 0, member => 2, size => 2);
SELECT cardinality(events) FROM nvent.stream_poll_category('test:share', 0, member => 39999, size => 40000);

-- Correlation is a subject or its category; others and none are left out.
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "test:corr:1", "events": [{"type": "a", "correlation": "test:saga:1"}, {"type": "b", "correlation": "test:saga:2"},
        {"type": "c", "correlation": "test:sagas:1"}, {"type": "d"}, {"type": "e", "meta": {"correlation": "test:saga"}}, {"type": "f", "correlation": null}]},
    {"subject": "test:corr:2", "events": [{"type": "a", "correlation": "test:saga:1"}, {"type": "b", "correlation": 7}]}]');
SELECT pg_temp.page((nvent.stream_poll_category('test:corr', 0, correlation => 'test:saga')).events);
SELECT pg_temp.page((nvent.stream_poll_category('test:corr', 0, correlation => 'test:saga:1')).events),
    pg_temp.page((nvent.stream_poll_category('test:corr', 0, correlation => 'test:sag')).events),
    pg_temp.page((nvent.stream_poll_category('test:corr', 0, correlation => '%')).events);
SELECT pg_temp.page((nvent.stream_poll_category('test:corr', 0, correlation => 'test:saga', types => '{a}', max_count => 1)).events);
SELECT string_agg(e->>'subject', ' ') = 'test:corr:1 test:corr:1 test:corr:1' AS of_its_member
FROM nvent.stream_poll_category('test:corr', 0, correlation => 'test:saga', member => nvent.subject_member('test:corr:1', 40000), size => 40000) p, unnest(p.events) e;

SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
