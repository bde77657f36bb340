-- Many events in one call come to what as many calls with one event come to,
-- and both to what the executor makes of them: the same rows in the same order,
-- the same records, the same errors.  A plain table gets them without the
-- executor (stream/bulk.c); what comes between an INSERT and a table, or may
-- look at the rows before, has it be the executor, and so has here a trigger.
-- Each line below is one of these, and fails when stream/bulk.c does not look
-- for it.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers
CREATE ROLE regress_nvs_app;
SELECT nvent.store_grant('regress_nvs_app', 'write', 'test');

-- What becomes of events by calls for one each (many = false) or by one call:
-- the records, unless their positions are not in order; or the error.
CREATE FUNCTION test.append(subject text, docs jsonb[], many boolean) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    records jsonb[];
BEGIN
    IF many THEN
        records := ARRAY(SELECT nvent.stream_append_batch(subject, docs));
    ELSE
        FOR i IN 1..cardinality(docs) LOOP
            records := records || nvent.stream_append(subject, docs[i]);
        END LOOP;
    END IF;
    RETURN (SELECT CASE WHEN array_agg((r->>'id')::bigint ORDER BY n) = array_agg((r->>'id')::bigint ORDER BY (r->>'id')::bigint)
                THEN array_agg((r - '{id,ts,subject}'::text[])::text ORDER BY n) ELSE '{not in order}' END
            FROM unnest(records) WITH ORDINALITY u (r, n));
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY[SQLSTATE || ': ' || SQLERRM];
END $$;

-- Have the executor insert events of a type, by a trigger that does nothing.
CREATE FUNCTION test.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION test.execute(type text, on_ boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF on_ THEN
        EXECUTE format('CREATE TRIGGER nothing AFTER INSERT ON test.%I FOR EACH STATEMENT EXECUTE FUNCTION test.nothing()', 'test_stream_' || type);
    ELSE
        EXECUTE format('DROP TRIGGER nothing ON test.%I', 'test_stream_' || type);
    END IF;
END $$;

-- The last record or the error, and "the same" when one call, many and many by
-- the executor agree in all of them and in the rows.  Numbered events of type t,
-- with these fields.
CREATE FUNCTION test.both(type text, fields jsonb DEFAULT '{}', n integer DEFAULT 5) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    docs jsonb[] := ARRAY(SELECT jsonb_build_object('type', 't', 'data', i) || fields FROM generate_series(1, n) i);
    slow text[];
    one text[];
    many text[];
    rows text[];
    subject text;
BEGIN
    PERFORM test.execute(type, true);
    slow := test.append('test:' || type || ':slow', docs, false);
    PERFORM test.execute(type, false);
    one := test.append('test:' || type || ':one', docs, false);
    many := test.append('test:' || type || ':many', docs, true);
    FOREACH subject IN ARRAY ARRAY['slow', 'one', 'many'] LOOP
        EXECUTE format($q$SELECT $1 || coalesce(string_agg((to_jsonb(e) - '{id,ts,subject}'::text[])::text, ', ' ORDER BY id), 'no rows')
            FROM test.%I e WHERE e.subject = 'test:%s:%s'$q$, 'test_stream_' || type, type, subject)
        INTO STRICT rows USING rows;
    END LOOP;
    RETURN many[cardinality(many)] || CASE
        WHEN slow <> many THEN ': not ' || slow::text
        WHEN slow <> one THEN ': one by one ' || one::text
        WHEN rows[1] IS DISTINCT FROM rows[2] OR rows[1] IS DISTINCT FROM rows[3] THEN ': the rows are not the same: ' || rows::text
        ELSE ': the same' END;
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA test TO regress_nvs_app;
CREATE FUNCTION test.make(type text, versioned boolean DEFAULT true) RETURNS void
LANGUAGE sql AS $$ SELECT nvent.stream_create_table(type, versioned, 'test') $$;

-- Plain tables; columns beside ours, and one that was dropped.
SELECT test.make('plain'), test.make('log', false), test.make('wide');
ALTER TABLE test.test_stream_wide ADD COLUMN gone integer, ADD COLUMN amount numeric, ADD COLUMN paid boolean DEFAULT true,
    ADD COLUMN shop text DEFAULT 'main', ADD COLUMN ratio double precision, ADD COLUMN small smallint;
ALTER TABLE test.test_stream_wide DROP COLUMN gone;
SELECT test.both('plain');
SELECT test.both('log');
SELECT test.both('wide', '{"amount": 1.50, "ratio": 0.1, "small": 3, "stepName": "s", "other": {"a": 1}}', 4);
SELECT test.both('wide', '{"paid": false, "shop": null}', 4);
SELECT count(*), count(DISTINCT created_at), count(ts) FROM test.test_stream_wide;
BEGIN;
SELECT count(nvent.stream_append('test:wide:now', '{"type": "t"}')) FROM generate_series(1, 2);
SELECT count(*) FROM test.test_stream_wide WHERE subject = 'test:wide:now' AND created_at = now();
COMMIT;

-- Some of the events leave a column to its default: they stay in order.
SELECT pg_temp.rec(e)->'data' AS data, e->'paid' AS paid, e->'version' AS version FROM nvent.stream_append_batch('test:wide:mixed', ARRAY(
    SELECT jsonb_build_object('type', 't', 'data', i) || CASE i / 5 WHEN 1 THEN '{"paid": false}' ELSE '{}' END::jsonb FROM generate_series(1, 14) i)) e;

-- Enough for several pages, and values that are stored out of line.
SELECT count(*), min((e->>'version')::int), max((e->>'version')::int),
    bool_and((e->>'id')::bigint > previous) AS ascending, max(length(e->>'data')) AS longest
FROM (SELECT e, lag((e->>'id')::bigint, 1, 0::bigint) OVER (ORDER BY (e->>'version')::int) AS previous
    FROM nvent.stream_append_batch('test:plain:pages', ARRAY(SELECT jsonb_build_object('type', 't',
        'data', CASE WHEN i % 100 = 0 THEN repeat(md5(i::text), 1000) ELSE 'x' END) FROM generate_series(1, 1000) i)) e) e;
SELECT count(*), sum(length(e->>'data')) FROM nvent.stream_read('test:plain:pages', max_count => NULL) e;

-- Checks, NOT NULL, unique and exclusion constraints, whichever row it is.
SELECT test.make('checked');
ALTER TABLE test.test_stream_checked ADD CONSTRAINT few CHECK ((data)::int < 4);
SELECT test.both('checked');
SELECT test.both('checked', n => 3);
ALTER TABLE test.test_stream_checked DROP CONSTRAINT few, ADD CHECK (tableoid = 'test.test_stream_checked'::regclass);
SELECT test.both('checked');
SELECT test.make('strict');
ALTER TABLE test.test_stream_strict ALTER COLUMN step_id SET NOT NULL;
SELECT test.both('strict');
SELECT test.make('unique'), test.make('later');
CREATE UNIQUE INDEX by_step ON test.test_stream_unique (step_id, subject);
SELECT test.both('unique', '{"stepId": "s"}');
SELECT test.both('unique', '{}');
ALTER TABLE test.test_stream_later ADD UNIQUE (subject, step_id) DEFERRABLE;
SELECT test.both('later', '{"stepId": "s"}');
SELECT test.make('excluding');
ALTER TABLE test.test_stream_excluding ADD EXCLUDE (step_id WITH =) WHERE (attempt > 1);
SELECT test.both('excluding', '{"stepId": "s", "attempt": 2}');
SELECT test.both('excluding', '{"stepId": "s", "attempt": 1}');

-- Indexes that have no entries for some of the events, and those for which that is not seen.
SELECT test.make('ids'), test.make('types'), test.make('numbers'), test.make('defaults'), test.make('ats'), test.make('others');
CREATE UNIQUE INDEX ON test.test_stream_ids (subject) WHERE step_id IS NOT NULL;
CREATE UNIQUE INDEX ON test.test_stream_types (subject) WHERE type = 'u';
CREATE UNIQUE INDEX ON test.test_stream_numbers (subject) WHERE attempt > 1 AND step_id IS NOT NULL;
ALTER TABLE test.test_stream_defaults ADD COLUMN shop text DEFAULT 'main';
CREATE UNIQUE INDEX ON test.test_stream_defaults (subject) WHERE shop = 'main';
CREATE UNIQUE INDEX ON test.test_stream_ats (subject) WHERE created_at IS NOT NULL;
SELECT test.both('ids'), test.both('types'), test.both('numbers', '{"attempt": 1, "stepId": "s"}'), test.both('defaults', '{"shop": "x"}'), test.both('defaults', '{"shop": null}');
SELECT test.both('ids', '{"stepId": "s"}');
SELECT test.both('ids', '{"stepId": "s"}', 1);
SELECT test.both('ids', '{"stepId": "s"}', 1);
SELECT test.both('types', '{"type": "u"}');
SELECT test.both('types', '{"type": "v"}');
SELECT test.both('numbers', '{"attempt": 2, "stepId": "s"}');
SELECT test.both('defaults');
SELECT test.both('ats');
CREATE UNIQUE INDEX ON test.test_stream_others (subject) WHERE type <> 'u';
SELECT test.both('others', '{"type": "u"}');
SELECT test.both('others');
SELECT code, message FROM pg_temp.error_of($$nvent.stream_append_batch('test:types:x', ARRAY(SELECT jsonb_build_object('type', CASE WHEN i < 5 THEN 't' ELSE 'u' END) FROM generate_series(1, 6) i))$$);

-- A check that looks at the rows before.
SELECT test.make('looking');
CREATE FUNCTION test.rows_before(s text) RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN RETURN (SELECT count(*) FROM test.test_stream_looking e WHERE e.subject = s); END $$;
ALTER TABLE test.test_stream_looking ADD CHECK (test.rows_before(subject) < 4);
SELECT test.both('looking');

-- Defaults: volatile ones are evaluated for each row, and see the rows before.
SELECT test.make('volatile'), test.make('serial'), test.make('failing');
CREATE FUNCTION test.rows_now() RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN RETURN (SELECT count(*) FROM test.test_stream_volatile); END $$;
ALTER TABLE test.test_stream_volatile ADD COLUMN number bigint DEFAULT test.rows_now();
SELECT pg_temp.rec(e)->'number' AS number FROM nvent.stream_append_batch('test:volatile:1', array_fill('{"type": "t"}'::jsonb, ARRAY[5])) e;
ALTER TABLE test.test_stream_serial ADD COLUMN number bigint GENERATED BY DEFAULT AS IDENTITY;
SELECT pg_temp.rec(e)->'number' AS number FROM nvent.stream_append_batch('test:serial:1', array_fill('{"type": "t"}'::jsonb, ARRAY[5])) e;
CREATE FUNCTION test.fail() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'no default'; END $$;
ALTER TABLE test.test_stream_failing ADD COLUMN must_say text;
ALTER TABLE test.test_stream_failing ALTER COLUMN must_say SET DEFAULT test.fail();
SELECT test.both('failing');
SELECT test.both('failing', '{"mustSay": "x"}');

-- Columns that are computed, of other types, and domains.
SELECT test.make('computed'), test.make('typed'), test.make('listed');
ALTER TABLE test.test_stream_computed ADD COLUMN twice text GENERATED ALWAYS AS (type || type) STORED;
SELECT test.both('computed');
CREATE DOMAIN test.short AS text CHECK (length(value) < 4);
ALTER TABLE test.test_stream_typed ADD COLUMN tag uuid, ADD COLUMN word varchar(3), ADD COLUMN short test.short;
ALTER TABLE test.test_stream_listed ADD COLUMN tags text[];
SELECT test.both('typed', '{"tag": "00000000-0000-0000-0000-000000000001", "word": "abc", "short": "abc"}');
SELECT test.both('listed', '{"tags": ["a", "b"]}');
SELECT test.both('typed', '{"word": "abcd"}');
SELECT test.both('typed', '{"short": "abcd"}');

-- Triggers of each kind, foreign keys and rules.
SELECT test.make(t) FROM unnest('{before,after,statement,transition,referring,ruled,guarded}'::text[]) t;
CREATE FUNCTION test.trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_WHEN = 'BEFORE' AND TG_LEVEL = 'ROW' THEN NEW.meta := '{"seen": true}'; END IF;
    IF TG_WHEN = 'AFTER' AND TG_LEVEL = 'ROW' AND NEW.data = '4' THEN RAISE 'not four'; END IF;
    IF TG_LEVEL = 'STATEMENT' AND TG_NARGS = 0 THEN RAISE 'no statement'; END IF;
    IF TG_NARGS > 0 THEN
        IF EXISTS (SELECT FROM new_rows) THEN RAISE 'no rows'; END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT ON test.test_stream_before FOR EACH ROW EXECUTE FUNCTION test.trigger();
CREATE TRIGGER t AFTER INSERT ON test.test_stream_after FOR EACH ROW EXECUTE FUNCTION test.trigger();
CREATE TRIGGER t BEFORE INSERT ON test.test_stream_statement FOR EACH STATEMENT EXECUTE FUNCTION test.trigger();
CREATE TRIGGER t AFTER INSERT ON test.test_stream_transition REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION test.trigger('x');
CREATE TABLE test.step (id text COLLATE "C" PRIMARY KEY);
INSERT INTO test.step VALUES ('s');
ALTER TABLE test.test_stream_referring ADD FOREIGN KEY (step_id) REFERENCES test.step;
CREATE RULE r AS ON INSERT TO test.test_stream_ruled WHERE new.data = '4' DO INSTEAD NOTHING;
SELECT nvent.stream_protect('test.test_stream_guarded');
SELECT test.both('before');
SELECT test.both('after');
SELECT test.both('after', n => 3);
SELECT test.both('statement');
SELECT test.both('transition');
SELECT test.both('referring', '{"stepId": "s"}');
SELECT test.both('referring', '{"stepId": "none"}');
SELECT test.both('ruled');
SELECT test.both('guarded');
DROP TRIGGER t ON test.test_stream_after;
SELECT test.both('after');

-- Policies and privileges: those of the columns, and of the default.
SELECT test.make(t) FROM unnest('{policed,columns,readless,insertless}'::text[]) t;
ALTER TABLE test.test_stream_policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON test.test_stream_policed FOR SELECT USING (true);
CREATE POLICY q ON test.test_stream_policed FOR INSERT WITH CHECK (data < '4');
REVOKE INSERT ON test.test_stream_columns, test.test_stream_insertless FROM regress_nvs_app;
REVOKE SELECT ON test.test_stream_readless FROM regress_nvs_app;
GRANT INSERT (subject, version, ts, type, data) ON test.test_stream_columns TO regress_nvs_app;
SET ROLE regress_nvs_app;
SELECT test.both('policed');
SELECT test.both('policed', n => 3);
SELECT test.both('columns');
SELECT test.append('test:readless:x', array_fill('{"type": "t"}'::jsonb, ARRAY[5]), many) FROM unnest('{f,t}'::boolean[]) many;
SELECT test.both('insertless');
RESET ROLE;
GRANT INSERT (run_id, flow_name, step_name, step_id, attempt, meta, event_id, pii) ON test.test_stream_columns TO regress_nvs_app;
SET ROLE regress_nvs_app;
SELECT test.both('columns');
SELECT test.both('plain', '{"by": "app"}');
RESET ROLE;
BEGIN;
REVOKE EXECUTE ON FUNCTION nvent.next_position(text) FROM PUBLIC;
SET LOCAL ROLE regress_nvs_app;
SELECT test.both('plain', '{"by": "app"}');
ROLLBACK;

-- Ids that draw no positions, partitions and views.
CREATE TABLE test.test_stream_own (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, subject text COLLATE "C" NOT NULL, ts bigint NOT NULL, type text NOT NULL, data jsonb);
ALTER TABLE test.test_stream_own ALTER COLUMN id DROP IDENTITY, ALTER COLUMN id SET DEFAULT nvent.next_position('test');
CREATE TABLE test.test_stream_parts (LIKE test.test_stream_own INCLUDING DEFAULTS) PARTITION BY LIST (type);
CREATE TABLE test.part PARTITION OF test.test_stream_parts FOR VALUES IN ('t');
CREATE VIEW test.test_stream_view AS SELECT * FROM test.test_stream_own WHERE type = 't' WITH CHECK OPTION;
ALTER VIEW test.test_stream_view ALTER COLUMN id SET DEFAULT nvent.next_position('test');
SELECT nvent.route_add('stream', format('test:%s:>', t), ('test.test_stream_' || t)::regclass) FROM unnest('{own,parts,view}'::text[]) t;
SELECT nvent.route_add('stream', 'test:part:>', 'test.part');
SELECT test.both(t) FROM unnest('{own,parts,view}'::text[]) t;
SELECT test.both(t, '{"type": "u"}') FROM unnest('{own,parts,view}'::text[]) t;
SELECT test.append('test:part:x', array_fill('{"type": "u"}'::jsonb, ARRAY[5]), true);
ALTER TABLE test.test_stream_own ALTER COLUMN id SET DEFAULT 7;
SELECT test.append('test:own:x', array_fill('{"type": "t"}'::jsonb, ARRAY[5]), true);

-- Ids that events repeat, and expected versions, as ever.
SELECT count(*) FROM nvent.stream_append_batch('test:plain:ids', ARRAY(SELECT jsonb_build_object('type', 't', 'eventId', 'e' || i) FROM generate_series(1, 9) i), 0);
SELECT count(*) FROM nvent.stream_append_batch('test:plain:ids', ARRAY(SELECT jsonb_build_object('type', 't', 'eventId', 'e' || i) FROM generate_series(1, 9) i), 0);
SELECT pg_temp.outcome($$SELECT nvent.stream_append_batch('test:plain:ids', array_fill('{"type": "t"}'::jsonb, ARRAY[5]), 8)$$);
SELECT nvent.stream_version('test:plain:ids');

-- Several subjects, in turns, and what a transaction sees of its own.
BEGIN;
SELECT count(*) FROM nvent.stream_append_many((SELECT jsonb_agg(jsonb_build_object('subject', 'test:plain:turn' || i % 3, 'events', '[{"type": "a"}, {"type": "b"}]'::jsonb)) FROM generate_series(1, 9) i));
SELECT pg_temp.events('test:plain:turn1');
SELECT count(*) FROM test.test_stream_plain WHERE subject LIKE 'test:plain:turn_';
SAVEPOINT s;
SELECT count(*) FROM nvent.stream_append_batch('test:plain:turn1', array_fill('{"type": "c"}'::jsonb, ARRAY[9]));
ROLLBACK TO s;
SELECT nvent.stream_version('test:plain:turn1');
COMMIT;
SELECT nvent.stream_version('test:plain:turn1');

-- An error is of one call alone, and a table that changes meanwhile is seen.
ALTER TABLE test.test_stream_plain ADD CHECK (type <> 'bad');
SELECT code, message FROM pg_temp.error_of($$nvent.stream_append_batch('test:plain:turn1', array_fill('{"type": "bad"}'::jsonb, ARRAY[9]))$$);
SELECT nvent.stream_version('test:plain:turn1');

DROP OWNED BY regress_nvs_app;
DROP ROLE regress_nvs_app;
SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test CASCADE;
