-- Checks of an event store, section G: categories, groups, correlation.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('cg', 'cg');
CREATE FUNCTION cg.poll(category text, args text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    EXECUTE format('SELECT (SELECT string_agg((e->>''subject'') || '' '' || (e->>''type''), '', '' ORDER BY n)
        FROM unnest(p.events) WITH ORDINALITY u (e, n)) FROM nvent.stream_poll_category(%L, 0 %s) p', category, args) INTO found;
    RETURN coalesce(found, 'none');
END $$;

-- 79: the category, the id and the cardinal id of a subject.
SELECT s, n, nvent.subject_category(s, n), nvent.subject_id(s, n), nvent.subject_cardinal_id(s, n)
FROM unnest(ARRAY['a:b:c', 'a:b', 'a', 'a:b:c:d', 'a:b-c:d+e:f']) s, generate_series(1, 3) n ORDER BY s, n;
SELECT nvent.subject_category('shop:account:1:audit'), nvent.subject_id('shop:account:1:audit'), nvent.subject_cardinal_id('shop:account:1:audit');
SELECT nvent.subject_category(NULL) IS NULL AS none, nvent.subject_member(NULL, 2) IS NULL AS none;
SELECT nvent.subject_category('a:b', 0);
SELECT nvent.subject_cardinal_id('a:b', -1);

-- 80: all streams of a category and the bare one, in the order of positions;
-- not its neighbours; an unknown one is empty, what is none raises.
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "cg:account:1", "events": [{"type": "a"}]},
    {"subject": "cg:account", "events": [{"type": "b"}]},
    {"subject": "cg:accounts:1", "events": [{"type": "c"}]},
    {"subject": "cg:account:2:audit", "events": [{"type": "d"}]},
    {"subject": "cg:account", "events": [{"type": "e"}]},
    {"subject": "cg:order:1", "events": [{"type": "f"}]},
    {"subject": "cg:account:1", "events": [{"type": "g"}]},
    {"subject": "cg:flow:run:7", "events": [{"type": "h"}]},
    {"subject": "cg:flow:run:8", "events": [{"type": "i"}]}]');
SELECT cg.poll('cg:account');
SELECT cg.poll('cg:account', ', max_count => 2'), cg.poll('cg:account', $$, types => '{b,g}'$$);
SELECT cg.poll('cg:flow:run'), cg.poll('cg:flow'), cg.poll('cg:account:2'), cg.poll('cg:none'), cg.poll('nowhere:none');
SELECT cg.poll('cg');
SELECT nvent.stream_poll_category('cg:*', 0);
SELECT nvent.stream_poll_category('', 0);
SELECT nvent.stream_poll_category(NULL, 0);
SELECT nvent.stream_poll_category('cg:account', 0, max_count => 0);
SELECT nvent.stream_poll_category('cg:account', 0, store => 'nowhere');
-- The cursor goes past what is left out, and pages are everything once.
CREATE FUNCTION cg.pages(category text, size int) RETURNS text LANGUAGE plpgsql AS $$
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
SELECT cg.pages('cg:account', 1), cg.pages('cg:account', 2), cg.pages('cg:account', 3), cg.pages('cg', 4);
SELECT p.next_cursor >= (SELECT max(id) FROM cg.cg_stream_account) AS beyond, cardinality(p.events) FROM nvent.stream_poll_category('cg:none', 0) p;

-- 81: the members of a group share the events, each stream and all ids of one
-- cardinal id with one of them, in order.
SELECT count(*) FROM nvent.stream_append_many((SELECT jsonb_agg(jsonb_build_object('subject', 'cg:share:' || i % 30 || CASE i % 3 WHEN 0 THEN '' ELSE ':part' || i % 3 END,
    'events', jsonb_build_array(jsonb_build_object('type', 'n', 'data', i)))) FROM generate_series(1, 300) i));
CREATE TEMP TABLE plain AS SELECT e->>'id' AS id, e->>'subject' AS subject, n
FROM nvent.stream_poll_category('cg:share', 0) p, unnest(p.events) WITH ORDINALITY u (e, n);
CREATE TEMP TABLE shared AS SELECT size, member, e->>'id' AS id, e->>'subject' AS subject, n
FROM unnest(ARRAY[1, 2, 3, 7]) size, generate_series(0, size - 1) member,
    LATERAL nvent.stream_poll_category('cg:share', 0, member => member, size => size) p, unnest(p.events) WITH ORDINALITY u (e, n);
SELECT size, count(*), count(DISTINCT s.id) AS different, count(DISTINCT member) AS members, count(*) = (SELECT count(*) FROM plain) AS everything
FROM shared s JOIN plain USING (id) GROUP BY size ORDER BY size;
SELECT count(*) AS split FROM (SELECT FROM shared GROUP BY size, nvent.subject_cardinal_id(subject) HAVING count(DISTINCT member) > 1) x;
SELECT count(*) AS disorder FROM shared a JOIN shared b ON a.size = b.size AND a.member = b.member AND a.n < b.n AND a.id::bigint >= b.id::bigint;
SELECT count(*) AS elsewhere FROM shared WHERE member <> nvent.subject_member(subject, size);
-- The hash does not change.
SELECT nvent.subject_member('shop:account:1', 7), nvent.subject_member('shop:other:1:audit', 7) AS same,
    nvent.subject_member('shop:account', 7), nvent.subject_member('shop:account:1', 40000);
-- Where subjects are spread over columns too.
SELECT m, (SELECT string_agg(e->>'subject', ' ') FROM unnest(p.events) e) = (SELECT string_agg(s, ' ') FROM unnest(ARRAY['cg:flow:run:7', 'cg:flow:run:8']) s
    WHERE nvent.subject_member(s, 2, 3) = m) AS right
FROM generate_series(0, 1) m, nvent.stream_poll_category('cg:flow:run', 0, member => m, size => 2) p
WHERE EXISTS (SELECT FROM unnest(ARRAY['cg:flow:run:7', 'cg:flow:run:8']) s WHERE nvent.subject_member(s, 2, 3) = m) AND m < 2 ORDER BY m;

-- 82: a bare category is with one member.
SELECT size, count(*) FROM unnest(ARRAY[1, 2, 3, 7]) size, generate_series(0, size - 1) member,
    nvent.stream_poll_category('cg:account', 0, member => member, size => size) p, unnest(p.events) e
WHERE e->>'subject' = 'cg:account' GROUP BY size ORDER BY size;

-- 83: what is no group.
SELECT nvent.stream_poll_category('cg:share', 0, member => 0);
SELECT nvent.stream_poll_category('cg:share', 0, size => 2);
SELECT nvent.stream_poll_category('cg:share', 0, member => 0, size => 0);
SELECT nvent.stream_poll_category('cg:share', 0, member => -1, size => 2);
SELECT nvent.stream_poll_category('cg:share', 0, member => 2, size => 2);
SELECT nvent.subject_member('cg:share:1', 0);
SELECT cardinality(events) FROM nvent.stream_poll_category('cg:share', 0, member => 39999, size => 40000);

-- 84: correlation is a subject or its category; others and none are left out.
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "cg:corr:1", "events": [{"type": "a", "correlation": "cg:saga:1"}, {"type": "b", "correlation": "cg:saga:2"},
        {"type": "c", "correlation": "cg:sagas:1"}, {"type": "d"}, {"type": "e", "meta": {"correlation": "cg:saga"}}, {"type": "f", "correlation": null}]},
    {"subject": "cg:corr:2", "events": [{"type": "a", "correlation": "cg:saga:1"}, {"type": "b", "correlation": 7}]}]');
SELECT cg.poll('cg:corr', $$, correlation => 'cg:saga'$$);
SELECT cg.poll('cg:corr', $$, correlation => 'cg:saga:1'$$), cg.poll('cg:corr', $$, correlation => 'cg:sag'$$), cg.poll('cg:corr', $$, correlation => '%'$$);
SELECT cg.poll('cg:corr', $$, correlation => 'cg:saga', types => '{a}', max_count => 1$$);
SELECT string_agg(e->>'subject', ' ') = 'cg:corr:1 cg:corr:1 cg:corr:1' AS of_its_member
FROM nvent.stream_poll_category('cg:corr', 0, correlation => 'cg:saga', member => nvent.subject_member('cg:corr:1', 40000), size => 40000) p, unnest(p.events) e;

DROP FUNCTION cg.poll(text, text), cg.pages(text, int);
SELECT nvent.store_migrate('cg', 0) > 0 AS dropped;
DROP SCHEMA cg;
