-- Entries that are there are changed without the executor: with the same rows,
-- answers and errors as by a statement, under the same rights, or a statement
-- is what changes them.
--
-- Seen to fail with each condition of src/entry/overwrite.c and src/route/overwrite.c
-- taken out but three: that a row is free, which the update finds out as well, what
-- hooks have a say in (023_route_hooks.pl), and that columns that were dropped lose
-- what they had.
\set SHOW_CONTEXT never
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/overwrite.sql'
\i :helpers
CREATE FUNCTION entry(relation text, key text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    entry jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(t) FROM %s t WHERE t.key = $1 AND t.id = ''x''', relation) INTO entry USING key;
    RETURN entry || jsonb_build_object('updated_at', (entry ->> 'updated_at')::timestamptz = now());
END $$;
-- Make a call: which way it went, its answer, and what has changed of entry x.
CREATE FUNCTION try(call text, relation text DEFAULT 'public.nvent_entries', key text DEFAULT 'e') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := public.entry(relation, key);
    answer text;
    said text;
    detail text;
    hint text;
BEGIN
    DISCARD PLANS;
    EXECUTE 'SELECT ' || call INTO answer;
    said := public.way();
    RETURN concat_ws(' | ', said, COALESCE(answer, 'NULL'), (SELECT jsonb_object_agg(a.key, a.value) FROM jsonb_each(public.entry(relation, $3)) a
        WHERE a.value IS DISTINCT FROM before -> a.key));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN replace(concat_ws(' | ', SQLSTATE, SQLERRM, regexp_replace(NULLIF(detail, ''), '(Failing row).*', '\1'), NULLIF(hint, '')), relation, 'it');
END $$;
\set inc '$$nvent.entry_increment(\'e\', \'x\', \'n\')$$'
\set upd '$$nvent.entry_update(\'e\', \'x\', \'{"a": {"b": 1}}\')$$'

SELECT nvent.entry_add('e', 'x', 1, '{"a": {"c": null}}');
SELECT try(:inc);
SELECT try(:upd);
SELECT try(:upd), try($$nvent.entry_update('e', 'x', '{}', touch => true)$$);
SELECT try($$nvent.entry_increment_many('e', 'x', '{"n": 1.50, "stats.total": 2}')$$);
-- What is not there is a statement's.
SELECT try($$nvent.entry_update('e', 'y', '{"a": 1}')$$);
SELECT try($$nvent.entry_increment('e', 'y', 'n')$$);

-- The same calls, of a table that is changed here and of one where a trigger,
-- which does nothing, has a statement do it: the same comes of them.
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE plain (
    key text, id text, version smallint NOT NULL DEFAULT 1, updated_at timestamptz, score float8,
    small smallint, whole integer, big bigint, exact numeric, real real, money numeric(8, 2), short varchar(3),
    word text, must text NOT NULL DEFAULT 'd', preset text NOT NULL, flag boolean, mood mood, ints integer[], made date,
    encoding text NOT NULL DEFAULT current_setting('server_encoding'),
    doc jsonb, more json, "stats_n" integer, extra jsonb,
    PRIMARY KEY (key, id));
CREATE TABLE watched (LIKE plain INCLUDING ALL);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER t BEFORE UPDATE ON watched FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT nvent.route_add('entry', 'plain:>', 'plain'), nvent.route_add('entry', 'watched:>', 'watched');
INSERT INTO plain (key, id, score, preset, small, whole, big, exact, word, doc, extra)
VALUES ('plain:a', 'x', 1, 'p', 32766, 2147483646, 9223372036854775806, 1.50, 'w', '{"a": {"b": [1], "n": 7, "s": "t"}}', '{"e": 1, "o": {"p": 2}, "stats": {"z": 1, "y": 2}}'),
    ('plain:b', 'x', 1, 'p', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('plain:c', 'x', 1, 'p', 1, 1, 1, 'NaN', '', '"text"', '{}');
UPDATE plain SET version = 32766 WHERE key = 'plain:b';
INSERT INTO watched SELECT (jsonb_populate_record(p, jsonb_build_object('key', replace(key, 'plain', 'watched')))).* FROM plain p;
CREATE TABLE calls (n integer GENERATED ALWAYS AS IDENTITY, call text);
INSERT INTO calls (call) SELECT format('nvent.entry_increment($1, ''x'', %L, %s)', field, by)
FROM unnest('{small,whole,big,exact,real,money}'::text[]) WITH ORDINALITY f(field, i), unnest('{1,-2,1.5,1e30}'::text[]) WITH ORDINALITY b(by, j) ORDER BY i, j;
INSERT INTO calls (call) SELECT format('nvent.entry_increment($1, ''x'', %L, 1)', field)
FROM unnest('{doc.a.n,doc.a.new.one,doc.a.s,doc.a.b,doc,more.n,word,word.n,stats.n,stats.z,stats.new,stats,e,o,o.p,o.q.r,e.f,new,a..b,version,must,id}'::text[]) WITH ORDINALITY f(field, i) ORDER BY i;
INSERT INTO calls (call) SELECT format('nvent.entry_increment_many($1, ''x'', %L)', increments)
FROM unnest(ARRAY['{"small": 1, "doc.a.n": -1, "doc.m": 0.10, "e": 2, "stats.n": 5, "exact": 0.001}', '{"small": 1, "big": 2}', '{"e": 1, "e.f": 1}', '{"new": 1, "new.f": 1}',
    '{"statsN": 1, "stats.n": 1}', '{"small": "1"}', '{}', '{"doc.a": 1, "small": 1e9}']) WITH ORDINALITY f(increments, i) ORDER BY i;
INSERT INTO calls (call) SELECT format('nvent.entry_update($1, ''x'', %L)', metadata)
FROM unnest(ARRAY['{}', '{"word": "w"}', '{"word": "v"}', '{"word": null}', '{"must": null}', '{"must": "m"}', '{"preset": null}', '{"encoding": null}', '{"preset": "p", "word": "q"}',
    '{"small": 3}', '{"small": 99999}', '{"small": "x"}', '{"whole": 1.5}', '{"exact": 1.5}', '{"exact": 1.50}', '{"flag": true, "mood": "happy"}', '{"mood": "odd"}',
    '{"ints": [1, null]}', '{"made": "2026-01-31"}', '{"made": "x"}', '{"money": 1.005}', '{"short": "abcd"}', '{"short": "abc "}', '{"real": 0.1}',
    '{"doc": {"a": {"b": null}}}', '{"doc.a.n": 7}', '{"doc.a.n": 7.0}', '{"doc": {"new": {"x": null}}}', '{"doc": [1]}', '{"doc": null}', '{"doc": {}}', '{"more": {"a": 1}}',
    '{"e": 1}', '{"e": 2, "o.p": null}', '{"o": null}', '{"new": null}', '{"new": {"x": null}}', '{"stats": null}', '{"stats": {"n": 1}}', '{"stats": {"z": 1}}', '{"stats": {"z": null}}',
    '{"stats": {"z": null, "y": 3}}', '{"stats.n": null, "stats.z": 4}', '{"stats": 1}', '{"version": 9}', '{"id": "z"}', '{"score": 2}', '{"extra": {"a": 1}}', '[1]', '{"updatedAt": 1}',
    '{"word": "w", "e": null, "doc.a.b": [1]}']) WITH ORDINALITY f(metadata, i) ORDER BY i;
INSERT INTO calls (call) VALUES ('nvent.entry_update($1, ''x'', ''{"word": "v"}'', 1)'), ('nvent.entry_update($1, ''x'', ''{"word": "v"}'', 7)'),
    ('nvent.entry_update($1, ''x'', ''{"word": "w"}'', 1)'), ('nvent.entry_update($1, ''x'', ''{}'', 1, true)'), ('nvent.entry_update($1, ''x'', ''{"word": "w"}'', touch => true)'),
    ('nvent.entry_update($1, ''x'', ''{"new": null}'', touch => true)'), ('nvent.entry_update($1, ''y'', ''{"word": "w"}'')');
-- Make a call and take it back: what came of it.
CREATE FUNCTION try_only(call text, relation text, name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    key text := relation || ':' || name;
    result text;
BEGIN
    result := public.try(replace(call, '$1', quote_literal(key)), relation, key);
    RAISE SQLSTATE 'ZZ999';
EXCEPTION WHEN SQLSTATE 'ZZ999' THEN
    RETURN result;
END $$;
CREATE TABLE outcomes AS
SELECT n, call, name, try_only(call, 'plain', name) AS plain, try_only(call, 'watched', name) AS watched FROM calls, unnest('{a,b,c}'::text[]) AS name;
SELECT count(*), count(*) FILTER (WHERE plain LIKE 'here |%') AS here, count(*) FILTER (WHERE watched LIKE 'here |%') AS watched_here,
    count(*) FILTER (WHERE plain LIKE 'statement |%') AS statement, count(*) FILTER (WHERE plain ~ '^[0-9A-Z]{5} ') AS error FROM outcomes;
SELECT call, name, plain, watched FROM outcomes WHERE regexp_replace(plain, '^(here|statement) ', '') IS DISTINCT FROM regexp_replace(watched, '^(here|statement) ', '') ORDER BY n, name;
SELECT regexp_replace(call, '^nvent.entry_(.*)\(\$1, ''x'', (.*)\)$', '\1 \2') AS call, plain FROM outcomes WHERE name = 'a' ORDER BY n;
-- No room for the next version.
UPDATE plain SET version = 32767 WHERE key = 'plain:b';
SELECT try($$nvent.entry_increment('plain:b', 'x', 'big')$$, 'plain', 'plain:b');

-- What comes between, one by one: a statement has it have its say.
CREATE TABLE told (n integer GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO told (what) VALUES (concat_ws(' ', TG_OP, TG_WHEN, TG_LEVEL));
    RETURN NEW;
END $$;
CREATE FUNCTION told() RETURNS text LANGUAGE sql AS $$ WITH d AS (DELETE FROM told RETURNING *) SELECT string_agg(what, ', ' ORDER BY n) FROM d $$;
CREATE TRIGGER t BEFORE UPDATE ON nvent_entries FOR EACH ROW EXECUTE FUNCTION tell();
SELECT try(:inc);
SELECT try(:upd);
SELECT told();
DROP TRIGGER t ON nvent_entries;
CREATE TRIGGER t AFTER UPDATE ON nvent_entries FOR EACH STATEMENT EXECUTE FUNCTION tell();
SELECT try(:inc);
SELECT told();
DROP TRIGGER t ON nvent_entries;
SELECT try(:inc);
CREATE RULE r AS ON UPDATE TO nvent_entries DO ALSO INSERT INTO told (what) VALUES ('rule');
SELECT try(:inc);
SELECT told();
DROP RULE r ON nvent_entries;
ALTER TABLE nvent_entries ADD CONSTRAINT c CHECK (version < 9);
SELECT try(:inc);
SELECT try(:inc);
ALTER TABLE nvent_entries DROP CONSTRAINT c;
SELECT try(:inc);
ALTER TABLE nvent_entries ENABLE ROW LEVEL SECURITY;
SELECT try(:inc);
GRANT SELECT, UPDATE ON nvent_entries TO regress_writer;
CREATE POLICY p ON nvent_entries FOR ALL TO regress_writer USING (true) WITH CHECK (version < 10);
SET ROLE regress_writer;
SELECT try(:inc);
RESET ROLE;
DROP POLICY p ON nvent_entries;
ALTER TABLE nvent_entries DISABLE ROW LEVEL SECURITY;
SELECT try(:inc);
CREATE TABLE child () INHERITS (nvent_entries);
SELECT try(:inc);
DROP TABLE child;
-- That it had children is known until then.
ANALYZE nvent_entries;
SELECT try(:inc);
CREATE TABLE other (key text, id text, PRIMARY KEY (key, id));
INSERT INTO other VALUES ('e', 'x');
ALTER TABLE nvent_entries ADD FOREIGN KEY (key, id) REFERENCES other;
SELECT try(:inc);
DROP TABLE other CASCADE;
SELECT try(:inc);
-- An UPDATE that a publication could not say of which row it was.
SET client_min_messages = error;
CREATE PUBLICATION regress_entry FOR TABLE nvent_entries;
RESET client_min_messages;
SELECT try(:inc);
ALTER TABLE nvent_entries REPLICA IDENTITY NOTHING;
SELECT try(:inc);
SELECT try(:upd);
DROP PUBLICATION regress_entry;
SELECT try(:inc);
ALTER TABLE nvent_entries REPLICA IDENTITY DEFAULT;
-- Columns: what the database computes, has dropped, or did not have when extra
-- was there, which may hold the field then.
ALTER TABLE nvent_entries ADD COLUMN computed bigint GENERATED ALWAYS AS (version * 2) STORED;
SELECT try(:inc);
ALTER TABLE nvent_entries DROP COLUMN computed;
SELECT try(:inc);
SELECT try(:inc);
CREATE TABLE added (key text, id text, version bigint NOT NULL, updated_at timestamptz(0), score float8, extra jsonb, n integer, PRIMARY KEY (key, id));
SELECT nvent.route_add('entry', 'added:>', 'added');
INSERT INTO added VALUES ('added:e', 'x', 0, NULL, 1, '{"n": 7, "m": 1}');
SELECT try($$nvent.entry_increment('added:e', 'x', 'm')$$, 'added', 'added:e');
ALTER TABLE added ALTER updated_at TYPE timestamptz;
SELECT try($$nvent.entry_increment('added:e', 'x', 'm')$$, 'added', 'added:e');
SELECT try($$nvent.entry_increment('added:e', 'x', 'n')$$, 'added', 'added:e');
SELECT try($$nvent.entry_update('added:e', 'x', '{"n": 1}')$$, 'added', 'added:e');
SELECT try($$nvent.entry_update('added:e', 'x', '{"m": 3}')$$, 'added', 'added:e');
CREATE DOMAIN small AS integer CHECK (VALUE < 3);
ALTER TABLE added DROP COLUMN extra, DROP COLUMN n;
ALTER TABLE added ADD COLUMN n small, ADD COLUMN big bigint, ADD COLUMN extra jsonb;
CREATE TABLE fresh (LIKE added INCLUDING ALL);
INSERT INTO fresh SELECT 'fresh:e', 'x', 0, NULL, 1, 1, 1, '{}';
SELECT nvent.route_add('entry', 'fresh:>', 'fresh');
SELECT try($$nvent.entry_increment('added:e', 'x', 'big')$$, 'added', 'added:e');
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'big')$$, 'fresh', 'fresh:e');
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'n')$$, 'fresh', 'fresh:e');
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'n')$$, 'fresh', 'fresh:e');
SELECT try($$nvent.entry_update('fresh:e', 'x', '{"n": 2}')$$, 'fresh', 'fresh:e');
SELECT try($$nvent.entry_update('fresh:e', 'x', '{"n": 3}')$$, 'fresh', 'fresh:e');
-- A table that is written anew, or another one of its name.
ALTER TABLE fresh ALTER big TYPE integer;
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'big', 2147483647)$$, 'fresh', 'fresh:e');
ALTER TABLE fresh RENAME TO stale;
CREATE TABLE fresh (LIKE stale INCLUDING ALL);
INSERT INTO fresh SELECT * FROM stale;
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'big')$$, 'fresh', 'fresh:e');
SELECT big FROM stale;
-- A version that the database counts: no statement may set it.
ALTER TABLE fresh ALTER version ADD GENERATED ALWAYS AS IDENTITY;
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'big', 0)$$, 'fresh', 'fresh:e');
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'big', 0)$$, 'fresh', 'fresh:e');
ALTER TABLE fresh ALTER version SET GENERATED BY DEFAULT;
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'big', 0)$$, 'fresh', 'fresh:e');
ALTER TABLE fresh ALTER version DROP IDENTITY;
UPDATE fresh SET version = 3;
-- A partition that is written to by its own name.
CREATE TABLE whole (LIKE fresh) PARTITION BY RANGE (version);
ALTER TABLE whole ATTACH PARTITION fresh FOR VALUES FROM (0) TO (6);
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'big', 0)$$, 'fresh', 'fresh:e');
SELECT try($$nvent.entry_increment('fresh:e', 'x', 'big', 0)$$, 'fresh', 'fresh:e');
DROP TABLE whole CASCADE;

-- Rights: both on the table; whoever has them by columns gets a statement, and
-- whoever lacks one its error.
SET ROLE regress_writer;
SELECT try(:inc);
SELECT try(:inc);
RESET ROLE;
REVOKE UPDATE ON nvent_entries FROM regress_writer;
SET ROLE regress_writer;
SELECT try(:inc);
RESET ROLE;
GRANT UPDATE (version, updated_at, extra) ON nvent_entries TO regress_writer;
SET ROLE regress_writer;
SELECT try(:inc);
RESET ROLE;
GRANT UPDATE ON nvent_entries TO regress_writer;
REVOKE SELECT ON nvent_entries FROM regress_writer;
SET ROLE regress_writer;
SELECT nvent.entry_increment('e', 'x', 'n');
RESET ROLE;
GRANT SELECT ON nvent_entries TO regress_writer;
SET ROLE regress_writer;
SELECT try(:inc);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION nvent.jsonb_increment FROM PUBLIC;
SET ROLE regress_writer;
SELECT try(:inc);
RESET ROLE;
GRANT EXECUTE ON FUNCTION nvent.jsonb_increment TO PUBLIC;
SET ROLE regress_writer;
SELECT try(:inc);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION nvent.jsonb_merge_patch FROM PUBLIC;
SET ROLE regress_writer;
SELECT try(:upd);
RESET ROLE;
GRANT EXECUTE ON FUNCTION nvent.jsonb_merge_patch TO PUBLIC;
REVOKE EXECUTE ON FUNCTION nvent.entry_is_changed FROM PUBLIC;
SET ROLE regress_writer;
SELECT try(:upd);
RESET ROLE;
GRANT EXECUTE ON FUNCTION nvent.entry_is_changed TO PUBLIC;
-- Who comes here by a view and must not name what is in schema nvent, has what
-- the statement names none of.
CREATE VIEW counted AS SELECT nvent.entry_increment('e', 'x', 'n') AS n;
CREATE VIEW summed AS SELECT nvent.entry_increment('plain:c', 'x', 'big') AS n;
GRANT SELECT ON counted, summed TO regress_writer;
GRANT SELECT, UPDATE ON plain TO regress_writer;
REVOKE USAGE ON SCHEMA nvent FROM regress_writer;
SET ROLE regress_writer;
SELECT try('n FROM public.counted');
SELECT try('n FROM public.summed', 'public.plain', 'plain:c');
RESET ROLE;
GRANT USAGE ON SCHEMA nvent TO regress_writer;
SET ROLE regress_writer;
SELECT try('n FROM public.counted');
RESET ROLE;
BEGIN READ ONLY;
SELECT nvent.entry_increment('e', 'x', 'n');
ROLLBACK;
BEGIN READ ONLY;
SELECT nvent.entry_update('e', 'x', '{"n": 0}');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT try(:inc);
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT try(:inc);
COMMIT;

-- Within a transaction: again and again, what a savepoint takes back, and rows
-- that the transaction has locked, made or deleted itself.
SELECT nvent.entry_add('e', 'x', 1, '{"n": 0}');
BEGIN;
SELECT nvent.entry_increment('e', 'x', 'n'), nvent.entry_increment('e', 'x', 'n'), nvent.entry_update('e', 'x', '{"m": 1}');
SAVEPOINT s;
SELECT sum(nvent.entry_increment('e', 'x', 'n')) FROM generate_series(1, 50);
ROLLBACK TO s;
SELECT nvent.entry_get('e', 'x') -> 'metadata' -> 'n' AS n;
SELECT way();
SELECT id FROM nvent_entries FOR UPDATE;
SELECT nvent.entry_increment('e', 'x', 'n'), nvent.entry_add('e', 'made', 1, '{"n": 1}');
SELECT nvent.entry_increment('e', 'made', 'n');
SELECT nvent.entry_delete('e', 'x'), nvent.entry_update('e', 'x', '{"n": 1}');
SELECT nvent.entry_increment('e', 'x', 'n');
ROLLBACK;
SELECT nvent.entry_get('e', 'x') -> 'metadata' -> 'n' AS n;
-- What an older snapshot shows stays.
BEGIN;
DECLARE c CURSOR FOR SELECT extra FROM nvent_entries;
SELECT nvent.entry_increment('e', 'x', 'n');
FETCH ALL FROM c;
COMMIT;
-- A statement that changes the row itself.
UPDATE nvent_entries SET extra = jsonb_build_object('n', nvent.entry_increment('e', 'x', 'n'));

-- Indexes: by an expression, of a part, unique, and one that excludes.
CREATE INDEX by_n ON nvent_entries ((extra ->> 'n'));
CREATE INDEX part ON nvent_entries (version) WHERE extra ? 'some';
SELECT nvent.entry_increment('e', 'x', 'n', 100), nvent.entry_update('e', 'x', '{"some": 1}');
SELECT nvent.entry_increment('e', 'x', 'n', 100);
SET enable_seqscan = off;
SELECT extra FROM nvent_entries WHERE extra ->> 'n' = '101';
SELECT extra FROM nvent_entries WHERE extra ->> 'n' = '201';
SELECT version, extra FROM nvent_entries WHERE version > 0 AND extra ? 'some';
RESET enable_seqscan;
DROP INDEX by_n, part;
SELECT nvent.entry_add('e', 'z', 1, '{"n": 202}');
CREATE UNIQUE INDEX by_n ON nvent_entries ((extra ->> 'n'));
SELECT nvent.entry_increment('e', 'x', 'n');
SELECT nvent.entry_update('e', 'x', '{"n": 202}');
SELECT nvent.entry_update('e', 'x', '{"n": 203}');
DROP INDEX by_n;
ALTER TABLE nvent_entries ADD CONSTRAINT apart EXCLUDE USING btree ((extra ->> 'n') WITH =);
SELECT nvent.entry_update('e', 'x', '{"n": 202}');
SELECT nvent.entry_update('e', 'x', '{"n": 204}');
ALTER TABLE nvent_entries DROP CONSTRAINT apart;
SELECT id, version, extra FROM nvent_entries ORDER BY id;

-- Values that are stored out of line: one that is changed, and beside one.
SELECT nvent.entry_add('e', 'x', 1, jsonb_build_object('n', 0, 'long', (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 1000) i)));
SELECT try($$nvent.entry_increment('e', 'x', 'n') - 1$$) ~ '^here \| 0 \| ' AS here;
SELECT length(extra ->> 'long'), extra -> 'n' AS n FROM nvent_entries WHERE id = 'x';
UPDATE plain SET more = to_json((SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 1000) i)) WHERE key = 'plain:a';
SELECT pg_column_size(more) < 40000 AS toasted FROM plain WHERE key = 'plain:a';
SELECT nvent.entry_increment('plain:a', 'x', 'o.p'), length(more::text) FROM plain WHERE key = 'plain:a';
SELECT o.n FROM (SELECT pg_relation_size(reltoastrelid) AS n FROM pg_class WHERE oid = 'plain'::regclass) o,
    LATERAL (SELECT count(nvent.entry_increment('plain:a', 'x', 'o.p')) AS c FROM generate_series(1, 20)) c,
    LATERAL (SELECT pg_relation_size(reltoastrelid) + 0 * c.c AS n FROM pg_class WHERE oid = 'plain'::regclass) p WHERE o.n <> p.n;
SELECT length(more::text), extra -> 'o' AS o FROM plain WHERE key = 'plain:a';

-- More versions than a page has room for: it is pruned, and rows stay in it, as
-- soon as nobody's snapshot shows what is old.
SELECT count(nvent.entry_add('often', i::text, 1, '{"n": 0}')) FROM generate_series(1, 50) i;
CREATE PROCEDURE often(INOUT pruned boolean) LANGUAGE plpgsql AS $$
DECLARE
    size bigint;
BEGIN
    FOR round IN 1 .. 20 LOOP
        size := pg_relation_size('public.nvent_entries');
        FOR i IN 1 .. 1000 LOOP
            PERFORM nvent.entry_increment('often', (i % 50 + 1)::text, 'n');
            COMMIT;
        END LOOP;
        pruned := pg_relation_size('public.nvent_entries') = size;
        EXIT WHEN pruned;
    END LOOP;
END $$;
CALL often(NULL);
SELECT sum((extra ->> 'n')::int) = sum(version) AS all_there, count(*) FROM nvent_entries WHERE key = 'often';

DROP TABLE plain, watched, calls, outcomes, told, added, stale;
DROP VIEW counted, summed;
DROP TYPE mood;
DROP DOMAIN small;
DROP PROCEDURE often;
DROP FUNCTION way, entry, try, try_only, nothing, tell, told;
DROP OWNED BY regress_writer;
DROP ROLE regress_writer;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
