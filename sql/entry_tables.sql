-- Entries in tables of the user: columns of every type, ids and keys of other
-- types, columns that are added while entries are there.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET timezone = 'UTC';
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
SELECT nvent.store_create();

-- Every type: written from JSON, read back, updated, compared with.
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN short AS text CHECK (length(value) < 10);
CREATE DOMAIN positive AS integer CHECK (value > 0);
CREATE DOMAIN doc AS jsonb;
CREATE TABLE kinds (
    key text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version integer NOT NULL DEFAULT 0,
    score double precision NOT NULL,
    a_varchar varchar(5), a_char char(5), an_int2 smallint, an_int8 bigint, a_real real, a_float double precision,
    a_numeric numeric, a_money numeric(10, 2), a_bool boolean, seen_at bigint,
    a_uuid uuid, a_time timestamptz, a_stamp timestamp, a_date date, an_interval interval, a_mood mood,
    a_short short, a_positive positive, a_json json, a_doc doc, ints integer[], words text[], docs jsonb[],
    a_point point, bytes bytea, "camelCase" text, camel_case text,
    doubled integer GENERATED ALWAYS AS (an_int2 * 2) STORED,
    line integer GENERATED ALWAYS AS IDENTITY,
    preset text NOT NULL DEFAULT 'preset', made timestamptz NOT NULL DEFAULT now(),
    extra jsonb,
    PRIMARY KEY (key, id));
SELECT nvent.route_add('entry', 'kinds:>', 'kinds');
\set all '{"aVarchar": "five5", "aChar": "abc", "anInt2": -32768, "anInt8": 9223372036854775807, "aReal": 0.1, "aFloat": 1e-5, "aNumeric": 12345678901234567890.50, "aMoney": 1.005, "aBool": false, "seenAt": -1, "aUuid": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "aTime": "2026-01-31 12:00:00+01", "aStamp": "2026-01-31T12:00:00", "aDate": "2026-01-31", "anInterval": "1 day 02:00", "aMood": "happy", "aShort": "short", "aPositive": 7, "aJson": {"a": [1, {"b": null}]}, "aDoc": {"d": 1}, "ints": [1, null, 3], "words": ["a,b", "c\\"d", null, ""], "docs": [1, "one", {"one": [1]}, null], "aPoint": "(1,2)", "bytes": "\\\\x00ff", "camelCase": "C", "camel_case": "c", "other": [1]}'
SELECT nvent.entry_add('kinds:a', 'all', 1, :'all');
SELECT key, value FROM jsonb_each(pg_temp.meta('kinds:a', 'all') - 'made') ORDER BY key COLLATE "C";
SELECT a_char, a_money, a_uuid, a_mood, a_json, a_doc, ints, words, docs, bytes, doubled, line, extra FROM kinds;
-- What was read can be added again, without what the database computes.
SELECT nvent.entry_add('kinds:a', 'again', 1, pg_temp.meta('kinds:a', 'all') - '{doubled,line}'::text[]),
    pg_temp.meta('kinds:a', 'again') - '{line,version}'::text[] = pg_temp.meta('kinds:a', 'all') - '{line,version}'::text[] AS same;
-- Each field finds its entry again, alone and in a list; the update to what it
-- has is none, and a null removes it.  Fields that have no equality are
-- compared by their bytes, json as jsonb.
SELECT f.key AS field,
    (SELECT count(*) FROM nvent.entry_read('kinds:a', filter => jsonb_build_object(f.key, CASE jsonb_typeof(f.value) WHEN 'array' THEN jsonb_build_array(f.value) ELSE f.value END))) AS found,
    (SELECT count(*) FROM nvent.entry_read('kinds:a', filter => jsonb_build_object(f.key, jsonb_build_array(f.value, f.value, NULL)))) AS in_list,
    nvent.entry_update('kinds:a', 'all', jsonb_build_object(f.key, f.value)) AS version
FROM jsonb_each(pg_temp.meta('kinds:a', 'all') - '{version,doubled,line}'::text[]) f ORDER BY f.key COLLATE "C";
SELECT count(*) AS computed FROM nvent.entry_read('kinds:a', filter => '{"doubled": -65536}');
SELECT nvent.entry_update('kinds:a', 'again', (SELECT jsonb_object_agg(k, NULL) FROM jsonb_object_keys(:'all') k)), pg_temp.meta('kinds:a', 'again') - '{line,made}'::text[];
-- A default that is no constant: null writes it anew.
SELECT nvent.entry_update('kinds:a', 'again', '{"preset": "other", "made": "2020-01-01"}'), nvent.entry_update('kinds:a', 'again', '{"preset": null, "made": null}');
SELECT preset, made > '2025-01-01' AS made_anew FROM kinds WHERE id = 'again';
-- Documents merge in json and domains as in jsonb.
SELECT nvent.entry_update('kinds:a', 'all', '{"aJson.a": null, "aJson.c.d": 1, "aDoc": {"d": null, "e": {"f": null}}}'), pg_temp.meta('kinds:a', 'all') -> 'aJson' AS json, pg_temp.meta('kinds:a', 'all') -> 'aDoc' AS doc;
SELECT nvent.entry_update('kinds:a', 'all', '{"aJson.c.d": 1, "aDoc.e": {}}') AS no_change, nvent.entry_increment_many('kinds:a', 'all', '{"aJson.c.d": 1, "aDoc.n": 2}');
SELECT count(*) FROM nvent.entry_read('kinds:a', filter => '{"aJson.c.d": 2, "aDoc.n": [1, 2]}');
-- Numbers of every type can be added to.
SELECT nvent.entry_increment_many('kinds:a', 'all', '{"anInt2": 1, "aReal": 1, "aFloat": 0.5, "aNumeric": 0.005, "aMoney": 0.25, "aPositive": -6, "seenAt": 1}');
SELECT an_int2, a_real, a_float, a_numeric, a_money, a_positive, seen_at FROM kinds WHERE id = 'all';
SELECT nvent.entry_increment('kinds:a', 'again', 'aMoney', 1.005), nvent.entry_increment('kinds:a', 'again', 'aPositive');
SELECT nvent.entry_increment('kinds:a', 'all', 'anInt2', -2);
SELECT nvent.entry_increment('kinds:a', 'all', 'anInt2', 100000);
SELECT nvent.entry_increment('kinds:a', 'all', 'aPositive', -1);
SELECT nvent.entry_increment('kinds:a', 'all', 'aPositive', 0.5);
SELECT nvent.entry_increment('kinds:a', 'all', 'aMoney', 1e9);
SELECT nvent.entry_increment('kinds:a', 'all', 'aDate');
SELECT nvent.entry_increment('kinds:a', 'all', 'aUuid');
SELECT nvent.entry_increment('kinds:a', 'all', 'words');
\set VERBOSITY default
SELECT nvent.entry_increment('kinds:a', 'all', 'doubled');
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"doubled": 1}');
SELECT nvent.entry_update('kinds:a', 'all', '{"line": 1}');
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"aMood": "angry"}');
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"aUuid": 5}');
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"ints": {"a": 1}}');
\set VERBOSITY terse
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"ints": ["a"]}');
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"aVarchar": "sixsix"}');
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"aShort": "much too long"}');
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"anInt2": 40000}');
SELECT nvent.entry_add('kinds:a', 'x', 0, '{"aDate": "31 Feb"}');
-- Numbers that JSON has not come back as strings.
UPDATE kinds SET a_float = 'NaN', a_real = '-Infinity', a_numeric = 'Infinity' WHERE id = 'all';
SELECT m -> 'aFloat' AS f, m -> 'aReal' AS r, m -> 'aNumeric' AS n FROM pg_temp.meta('kinds:a', 'all') m;
SELECT nvent.entry_increment('kinds:a', 'all', 'aNumeric'), nvent.entry_increment_many('kinds:a', 'all', '{"aNumeric": 1}');

-- Ids of other types; in SQL they are what they are, in an entry they are text.
CREATE TABLE by_uuid (id uuid PRIMARY KEY, version int NOT NULL DEFAULT 0, score float8 NOT NULL, n int, extra jsonb);
CREATE TABLE by_number (id bigint PRIMARY KEY, version int NOT NULL DEFAULT 0, score float8 NOT NULL, n int, extra jsonb);
CREATE TABLE by_small (id smallint PRIMARY KEY, version int NOT NULL DEFAULT 0, score float8 NOT NULL, n int, extra jsonb);
CREATE TABLE by_mood (id mood PRIMARY KEY, version int NOT NULL DEFAULT 0, score float8 NOT NULL, n int, extra jsonb);
CREATE TABLE by_numeric (id numeric(5,1) PRIMARY KEY, version int NOT NULL DEFAULT 0, score float8 NOT NULL, n int, extra jsonb);
SELECT nvent.route_add('entry', 'by:' || v, ('by_' || v)::regclass) IS NULL AS failed FROM unnest('{uuid,number,small,mood,numeric}'::text[]) v;
SELECT key, id, nvent.entry_add(key, id, 1, '{"n": 1}') AS add, nvent.entry_add(key, id, 1, '{"n": 1}') AS again,
    nvent.entry_update(key, id, '{"n": 2}') AS update, nvent.entry_increment(key, id, 'n') AS inc
FROM (VALUES ('by:uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), ('by:number', '9007199254740993'), ('by:small', '-1'), ('by:mood', 'happy'), ('by:numeric', '1.50')) v (key, id);
SELECT key, nvent.entry_get(key, id) AS get, (SELECT e -> 'id' FROM nvent.entry_read(key) e) AS read,
    (SELECT count(*) FROM nvent.entry_read(key, after_score => 1, after_id => id)) AS after, nvent.entry_delete(key, id) AS delete
FROM (VALUES ('by:uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'), ('by:number', '9007199254740993'), ('by:small', '-1'), ('by:mood', 'happy'), ('by:numeric', '1.5')) v (key, id);
SELECT nvent.entry_get('by:uuid', 'none');
SELECT nvent.entry_get('by:number', 'none');
SELECT nvent.entry_add('by:small', '99999', 0);
SELECT nvent.entry_add('by:mood', 'angry', 0);
SELECT nvent.entry_add('by:numeric', 'one', 0);

-- A unique index does for a primary key, in any order, with more in INCLUDE; a
-- version that may be NULL counts from zero, one that has a default from that.
CREATE TABLE plain (name text COLLATE "C", team text COLLATE "C", version smallint, score float8, note text);
CREATE UNIQUE INDEX ON plain (name, team) INCLUDE (note);
SELECT nvent.route_add('entry', 'plain:{team}', 'plain');
INSERT INTO plain (name, team, score) VALUES ('old', 'a', 1);
SELECT nvent.entry_add('plain:a', 'x', 0), nvent.entry_add('plain:b', 'x', 0), nvent.entry_add('plain:a', 'x', 0, '{"note": "n"}');
SELECT nvent.entry_get('plain:a', 'x'), nvent.entry_get('plain:a', 'old');
SELECT nvent.entry_update('plain:a', 'old', '{"note": "n"}', 1) AS stale, nvent.entry_update('plain:a', 'old', '{"note": "n"}', 0) AS done, nvent.entry_update('plain:a', 'old', '{"note": "n"}') AS same;
SELECT name, team, version, note FROM plain ORDER BY name, team;
-- A row that SQL inserted without an id is shown as it is.
INSERT INTO plain (name, team, score) VALUES (NULL, 'c', 1), ('x', 'c', 2);
SELECT nvent.entry_read('plain:c');
DELETE FROM plain WHERE team = 'c';
ALTER TABLE plain ALTER version SET DEFAULT 100;
SELECT nvent.entry_add('plain:a', 'y', 0), nvent.entry_add('plain:a', 'y', 0);
UPDATE plain SET version = 32767 WHERE name = 'y';
SELECT nvent.entry_update('plain:a', 'y', '{"note": "n"}');
-- Without extra there is no place for other fields; nothing is dropped.
\set VERBOSITY default
SELECT nvent.entry_add('plain:a', 'z', 0, '{"colour": "red"}');
SELECT nvent.entry_update('plain:a', 'x', '{"a.b": 1}');
SELECT nvent.entry_increment('plain:a', 'x', 'hits');
SELECT nvent.entry_read('plain:a', filter => '{"colour": "red"}');
\set VERBOSITY terse

-- Columns of the whole key and of its parts.
CREATE TABLE parts (key text COLLATE "C", region text COLLATE "C", id text COLLATE "C", version int NOT NULL DEFAULT 0, score float8 NOT NULL, extra jsonb,
    UNIQUE (region, id), UNIQUE (key, region), UNIQUE (key, id));
SELECT nvent.route_add('entry', 'parts:{region}:*', 'parts');
SELECT nvent.entry_add('parts:eu:1', 'x', 1), nvent.entry_add('parts:eu:1', 'x', 2);
SELECT key, region, id, version, score FROM parts;
-- An entry that breaks another of the table's rules is an error.
SELECT nvent.entry_add('parts:eu:2', 'x', 3);
SELECT nvent.entry_get('parts:eu:2', 'x') AS none, nvent.entry_get('parts:eu:1', 'x');

-- Tables that cannot hold entries say so.
CREATE TABLE no_index (id text, version int, score float8);
CREATE TABLE no_version (id text PRIMARY KEY, version text, score float8);
CREATE TABLE partly (id text, version int, score float8);
CREATE UNIQUE INDEX ON partly (id) WHERE score > 0;
CREATE UNIQUE INDEX ON partly (lower(id));
ALTER TABLE partly ADD UNIQUE (id) DEFERRABLE;
CREATE VIEW a_view AS SELECT * FROM plain;
SELECT nvent.route_add('entry', 'cannot:' || v, v::regclass) IS NULL AS failed FROM unnest('{no_index,no_version,partly}'::text[]) v;
SELECT nvent.route_add('entry', 'cannot:{team}:x', 'a_view');
\set VERBOSITY default
SELECT nvent.entry_add('cannot:no_index', 'x', 0);
SELECT nvent.entry_add('cannot:no_version', 'x', 0);
-- As often as one asks: a refusal keeps no memory.
CREATE FUNCTION pg_temp.relation_memory() RETURNS numeric LANGUAGE sql
AS $$ SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'nvent_store%' $$;
SELECT pg_temp.relation_memory() AS before \gset
DO $$
BEGIN
    FOR i IN 1..2000 LOOP
        BEGIN
            PERFORM nvent.entry_get('cannot:no_version', 'x');
        EXCEPTION WHEN invalid_table_definition THEN NULL;
        END;
    END LOOP;
END $$;
SELECT pg_temp.relation_memory() - :before AS grown;
SELECT nvent.entry_get('cannot:partly', 'x');
SELECT nvent.entry_read('cannot:a:x');
\set VERBOSITY terse

-- Triggers and rules have their say.
CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION double_n() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := NEW.n * 2; RETURN NEW; END $$;
CREATE TABLE guarded (id text PRIMARY KEY, version int NOT NULL DEFAULT 0, score float8 NOT NULL, n int, extra jsonb);
SELECT nvent.route_add('entry', 'guarded:x', 'guarded');
CREATE TRIGGER double BEFORE INSERT OR UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION double_n();
SELECT nvent.entry_add('guarded:x', 'a', 0, '{"n": 1}'), nvent.entry_increment('guarded:x', 'a', 'n'), pg_temp.meta('guarded:x', 'a');
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION keep_out();
SELECT nvent.entry_update('guarded:x', 'a', '{}') AS nothing_to_do;
\set VERBOSITY default
SELECT nvent.entry_add('guarded:x', 'b', 0);
SELECT nvent.entry_update('guarded:x', 'a', '{"n": 5}');
SELECT nvent.entry_update('guarded:x', 'a', '{}', touch => true);
SELECT nvent.entry_increment('guarded:x', 'a', 'n');
\set VERBOSITY terse

--
-- A column that is added is a field from the next statement on; what extra has
-- of that field is the field's value until something writes it.
--
CREATE TABLE growing (id text COLLATE "C" PRIMARY KEY, version int NOT NULL DEFAULT 0, score float8 NOT NULL, extra jsonb);
SELECT nvent.route_add('entry', 'growing:x', 'growing');
SELECT nvent.entry_add('growing:x', v, 1, '{"color": "red", "size": 5, "config": {"a": 1}, "day": "2026-01-31", "stats": {"total": 7, "mine": 1}, "seen_at": 1000, "tags": ["x"]}')
FROM unnest('{read,update,nulls,merge,inc,add,sql,delete,many,filter}'::text[]) v;
SELECT nvent.entry_add('growing:x', 'wrong', 2, '{"color": 5, "size": "large", "config": [1], "day": "someday", "stats": {"total": "many"}}');
ALTER TABLE growing ADD color text, ADD size int NOT NULL DEFAULT 0, ADD config jsonb DEFAULT '{}', ADD day date,
    ADD stats_total bigint DEFAULT 0, ADD seen_at bigint, ADD tags text[];
SELECT pg_temp.meta('growing:x', 'read'), pg_temp.meta('growing:x', 'wrong');
-- Writes go to the column and take the old value away.
SELECT nvent.entry_update('growing:x', 'update', '{"color": "blue", "size": 6, "day": "2026-02-01", "stats.total": 8, "seenAt": 2000, "tags": ["y"]}'), pg_temp.meta('growing:x', 'update');
SELECT color, size, config, day, stats_total, seen_at, tags, extra FROM growing WHERE id = 'update';
-- To the same, too: it moves, once.
SELECT nvent.entry_update('growing:x', 'update', '{"config": {"a": 1}}') AS moves, nvent.entry_update('growing:x', 'update', '{"config": {"a": 1}}') AS done;
-- A field that is removed stays removed, in any of its ways of being removed.
SELECT nvent.entry_update('growing:x', 'nulls', '{"color": null, "config": null, "day": null, "stats.total": null, "seen_at": null, "tags": null}'), pg_temp.meta('growing:x', 'nulls');
SELECT nvent.entry_update('growing:x', 'nulls', '{"size": null, "stats": null}'), pg_temp.meta('growing:x', 'nulls');
SELECT color, size, config, day, stats_total, seen_at, tags, extra FROM growing WHERE id = 'nulls';
-- Merges and increments begin with the old value.
SELECT nvent.entry_update('growing:x', 'merge', '{"config.b": 2}'), pg_temp.meta('growing:x', 'merge') -> 'config' AS config, nvent.entry_update('growing:x', 'merge', '{"config": {"a": null}}'), pg_temp.meta('growing:x', 'merge') -> 'config' AS then;
SELECT nvent.entry_increment('growing:x', 'inc', 'size'), nvent.entry_increment('growing:x', 'inc', 'stats.total', 3), nvent.entry_increment('growing:x', 'inc', 'config.a', 10), nvent.entry_increment('growing:x', 'inc', 'stats.mine');
SELECT size, stats_total, config, extra FROM growing WHERE id = 'inc';
SELECT nvent.entry_increment_many('growing:x', 'many', '{"size": 1, "stats.total": 3, "config.b": 10, "stats.mine": 1, "stats.new": 1}'), pg_temp.meta('growing:x', 'many');
SELECT nvent.entry_increment_many('growing:x', 'many', '{"size": 1, "stats.total": 3, "config.b": 10, "stats.mine": 1, "stats.new": 1}'), pg_temp.meta('growing:x', 'many');
-- A value that is no number is an error, and stays.
SELECT nvent.entry_increment('growing:x', 'wrong', 'size');
SELECT nvent.entry_increment('growing:x', 'wrong', 'stats.total');
SELECT nvent.entry_update('growing:x', 'wrong', '{"size": 1, "color": "red", "config": {"a": 1}}'), pg_temp.meta('growing:x', 'wrong');
-- add replaces all, here too.
SELECT nvent.entry_add('growing:x', 'add', 1, '{"size": 1}'), pg_temp.meta('growing:x', 'add');
SELECT nvent.entry_delete('growing:x', 'delete'), nvent.entry_add('growing:x', 'delete', 1), pg_temp.meta('growing:x', 'delete');
-- What SQL wrote into the column counts.
UPDATE growing SET color = 'green', size = 1, day = '2026-03-01', config = '{"sql": 1}', stats_total = 1 WHERE id = 'sql';
SELECT pg_temp.meta('growing:x', 'sql');
-- Filters find both.
SELECT filter, (SELECT array_agg(e ->> 'id' ORDER BY e ->> 'id') FROM nvent.entry_read('growing:x', filter => filter) e)
FROM unnest('{"{\"color\": \"red\"}","{\"color\": [\"red\", \"green\"]}","{\"color\": null}","{\"color\": [\"blue\", null]}","{\"size\": 5}","{\"size\": 0}","{\"size\": [5, 6]}",
    "{\"stats.total\": 7}","{\"stats.total\": [7, 10]}","{\"config\": {\"a\": 1}}","{\"config\": {}}","{\"config.a\": 1}","{\"config.a\": [2, null]}","{\"day\": \"2026-01-31\"}","{\"tags\": [[\"x\"]]}","{\"color\": \"red\", \"size\": 5}"}'::jsonb[]) WITH ORDINALITY f (filter, n)
ORDER BY n;
-- A column that is dropped takes its field with it; the others stay.
ALTER TABLE growing DROP color;
SELECT pg_temp.meta('growing:x', 'update') ->> 'color' AS color, nvent.entry_update('growing:x', 'update', '{"color": "new"}') IS NULL AS failed, pg_temp.meta('growing:x', 'update') ->> 'color' AS again;
-- A column that is renamed gives its field the new name; one whose type changes is of that type.
ALTER TABLE growing RENAME size TO width;
ALTER TABLE growing ALTER width TYPE text;
SELECT pg_temp.meta('growing:x', 'inc') -> 'width' AS width, nvent.entry_update('growing:x', 'inc', '{"width": "wide"}') IS NULL AS failed, pg_temp.meta('growing:x', 'inc') -> 'width' AS width;

-- The same in a store's table, whose own columns are older than extra, and
-- under names that want quoting.
SELECT nvent.entry_add('nvent:flow:runs:g', 'r', 1, '{"it''s \"x\"": 1, "priority": 5, "status": "running"}');
ALTER TABLE nvent_flow_runs ADD "it's ""x""" int, ADD priority int NOT NULL DEFAULT 0;
SELECT pg_temp.meta('nvent:flow:runs:g', 'r') -> 'priority' AS priority, nvent.entry_increment_many('nvent:flow:runs:g', 'r', '{"it''s \"x\"": 1, "priority": 1}');
SELECT "it's ""x""", priority, extra FROM nvent_flow_runs;

-- A table with a column for all of "stats" has no fields of it.
CREATE TABLE both_stats (id text PRIMARY KEY, version int NOT NULL DEFAULT 0, score float8 NOT NULL, stats jsonb, stats_total int, extra jsonb);
SELECT nvent.route_add('entry', 'both:stats', 'both_stats');
SELECT nvent.entry_add('both:stats', 'x', 0, '{"stats": {"total": 1}, "statsTotal": 2}'), nvent.entry_increment('both:stats', 'x', 'stats.total'), nvent.entry_increment('both:stats', 'x', 'stats_total'), pg_temp.meta('both:stats', 'x');

SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP VIEW a_view;
DROP TABLE kinds, by_uuid, by_number, by_small, by_mood, by_numeric, plain, parts, no_index, no_version, partly, guarded, growing, both_stats;
DROP TYPE mood;
DROP DOMAIN short, positive, doc;
DROP FUNCTION keep_out, double_n;
