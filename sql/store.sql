-- Stores, named sets of tables that the first token of a subject finds: made by
-- the first write or by name, their tables, layouts, names, owners and rights,
-- and how they go.
\set VERBOSITY terse
SET client_min_messages = warning;

-- Nothing is there at first, and reading makes nothing.
SELECT nvent.store_version() IS NULL AS none, (SELECT count(*) FROM nvent.store) AS stores;
SELECT count(*) FROM nvent.stream_read('nvent:flow:run:1');
SELECT * FROM nvent.route_resolve('stream', 'nvent:flow:run:1');
SELECT nvent.stream_delete('nvent:flow:run:1');
SELECT count(*) FROM nvent.stream_append_batch('nvent:t:1', '{}');
SELECT count(*) FROM nvent.stream_append_batch('nvent:t:1', '{}', 0);
SELECT count(*) FROM nvent.stream_append_many('[{"subject": "nvent:t:1", "expected": "none"}]');
SELECT nvent.kv_mset('{}');
SELECT count(*) FROM nvent.store;

-- The first write makes the default store, unless that is switched off.
SET nvent_store.auto_create = off;
\set VERBOSITY default
SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}');
\set VERBOSITY terse
SELECT nvent.stream_append('else:thing', '{"type": "t"}');
SELECT nvent.stream_create_table('t');
SELECT nvent.route_add('stream', 'x:>', 'pg_class');
SELECT nvent.route_drop('stream', 'x:>');
SELECT nvent.stream_drop_table('t');
SELECT count(*) FROM nvent.store;
RESET nvent_store.auto_create;
BEGIN;
SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}') IS NOT NULL AS appended;
SELECT prefix, schema_name FROM nvent.store;
-- ... which is undone like everything.
ROLLBACK;
SELECT count(*) FROM nvent.store;
SELECT nvent.stream_append('else:thing', '{"type": "t"}')->'subject' AS subject;
SELECT nvent.store_version(), nvent.store_create() AS made_again;

-- What is in a store.
SELECT relname, relkind, reloptions FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'nvent\_%' AND relkind IN ('r', 'S')
ORDER BY relname COLLATE "C";
SELECT attrelid::regclass AS relation, string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod),
    'COLLATE ' || nullif(collname, 'default'), CASE WHEN attnotnull THEN 'NOT NULL' END,
    CASE WHEN atthasdef THEN '= ' || regexp_replace(pg_get_expr(adbin, adrelid), '\s+', ' ', 'g') END), E'\n' ORDER BY attnum) AS columns
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
LEFT JOIN pg_collation co ON co.oid = attcollation
WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'nvent\_%' AND relkind = 'r')
    AND attnum > 0 GROUP BY 1 ORDER BY attrelid::regclass::text COLLATE "C";
SELECT i AS index FROM pg_index, regexp_replace(replace(pg_get_indexdef(indexrelid), 'public.', ''),
    'CREATE (UNIQUE )?INDEX \S+ ON (\S+) USING btree', '\2 \1') i
WHERE indrelid::regclass::text LIKE 'nvent\_%' ORDER BY i COLLATE "C";
SELECT version, description FROM nvent_schema_version ORDER BY 1;
SELECT kind, pattern, shape, schema_name, table_name, aliases, notify FROM nvent.route WHERE store = 'nvent'
ORDER BY kind, pattern COLLATE "C";

-- Another default store; the default one's own subjects are then its own.
SET nvent_store.default_store = 'other';
SELECT nvent.stream_append('a:unknown', '{"type": "t"}') IS NOT NULL AS appended;
SELECT store, type, relation FROM nvent.stream_tables();
SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}') IS NOT NULL AS appended;
SELECT count(*) FROM nvent_flow_events;
SET nvent_store.default_store = 'no store: this';
SELECT nvent.stream_append('a:unknown', '{"type": "t"}');
SET nvent_store.default_store = '';
SELECT nvent.stream_append('a:unknown', '{"type": "t"}');
SELECT count(*) FROM nvent.stream_read('a:unknown');
RESET nvent_store.default_store;
SELECT nvent.store_migrate('other', 0);

-- Several stores, in several schemas, which are made where they are missing.
SELECT nvent.store_create('shop', 'app');
SELECT nvent.store_create('shop', 'app') AS again;
SELECT nvent.store_create('shop', 'elsewhere');
SELECT nvent.store_create('blog', 'app');
SELECT nvent.stream_append(s || ':flow:run:1', jsonb_build_object('type', s))->'type' AS type
FROM unnest('{shop,blog,nvent}'::text[]) s;
SELECT s, e->>'type' AS type FROM unnest('{shop,blog,nvent}'::text[]) s, nvent.stream_read(s || ':flow:run:1') e
WHERE e->>'type' <> 't' ORDER BY s;
SELECT type FROM app.shop_flow_events;
SELECT prefix, s.schema_name, count(route) AS routes FROM nvent.store s LEFT JOIN nvent.route ON store = prefix
GROUP BY 1, 2 ORDER BY 1;

-- Names that need quoting, and the longest ones.
SELECT nvent.store_create('My-App', 'My "Own" Schema');
SELECT nvent.store_create('größe', 'schéma');
SELECT nvent.store_create('with space''s & "quotes" %s $1 \', 'app');
SELECT nvent.store_create('select', 'table');
SELECT nvent.store_create(repeat('p', 40), repeat('s', 63));
SELECT nvent.store_create(repeat('ä', 20), 'app');
SELECT prefix, nvent.store_version(prefix), (nvent.stream_append(prefix || ':flow:run:1', '{"type": "t"}')->>'runId') AS run,
    (nvent.stream_append(prefix || ':Odd "Type":1', '{"type": "t"}')->>'version') AS version
FROM nvent.store WHERE prefix NOT IN ('nvent', 'shop', 'blog') ORDER BY prefix;
SELECT prefix, count(e), count(f) FROM nvent.store, nvent.stream_read(prefix || ':flow:run:1') e, nvent.stream_read(prefix || ':Odd "Type":1') f
WHERE prefix NOT IN ('nvent', 'shop', 'blog') GROUP BY 1 ORDER BY 1;
SELECT store, type, relation FROM nvent.stream_tables() WHERE type LIKE 'Odd%' ORDER BY store;
SELECT n, nvent.store_migrate(n, 0) AS had, nvent.store_create(n, s) AS made, nvent.store_version(n) AS has
FROM (SELECT prefix AS n, schema_name AS s FROM nvent.store WHERE prefix NOT IN ('nvent', 'shop', 'blog') ORDER BY prefix) x;
-- A type that is too long for a name keeps its table apart from its like.
SELECT count(DISTINCT nvent.stream_append(s, '{"type": "t"}')->>'id') FROM (VALUES
    ('shop:' || repeat('a', 100) || '1:x'), ('shop:' || repeat('a', 100) || '2:x'), ('shop:' || repeat('ü', 100) || ':x')) v (s);
SELECT type = repeat('a', 100) || '1' AS one, length(type), octet_length(relation::text) - 4 AS bytes,
    regexp_replace(relation::text, '_[0-9a-f]{12}("?)$', '_<hash>\1') AS relation
FROM nvent.stream_tables('shop') WHERE length(type) > 99 ORDER BY 1 DESC, 2, type;

-- Not every text is a prefix or a schema.
SELECT nvent.store_create('');
SELECT nvent.store_create(repeat('p', 41));
SELECT nvent.store_create('a:b');
\set VERBOSITY default
SELECT nvent.store_create('a*b');
\set VERBOSITY terse
SELECT nvent.store_create(E'a\nb');
SELECT nvent.store_create('a{b');
SELECT nvent.store_create('x', repeat('s', 64));
SELECT nvent.store_create('x', '');
SELECT nvent.store_create('x', 'pg_mine');
SELECT nvent.store_create('x', 'pg_catalog');
SELECT nvent.store_create(NULL);
SELECT nvent.store_create('x', NULL);
-- One whose tables could be another's stream tables.
SELECT nvent.store_create('shop_stream', 'app');
\set VERBOSITY default
SELECT nvent.store_create('shop_stream_x', 'app');
\set VERBOSITY terse
SELECT nvent.store_create('shop_streak', 'app'), nvent.store_create('shop_stream_x', 'public');
SELECT nvent.store_create('shop_stream_y', 'public'), nvent.store_create('y_stream', 'public');
SELECT nvent.store_create('y', 'public');

-- Layouts: down by one, up by one, to nothing.  What a layout adds is missing
-- below it.
SELECT nvent.store_migrate('shop', 3) AS had, nvent.store_version('shop');
SELECT to_regclass('app.shop_entries') IS NULL AS no_index, to_regclass('app.shop_kv') IS NULL AS no_kv;
SELECT * FROM nvent.route_resolve('entry', 'shop:unrouted');
SELECT version FROM app.shop_schema_version ORDER BY 1;
SELECT nvent.store_migrate('shop') AS had, nvent.store_version('shop');
SELECT nvent.store_migrate('shop', 4) AS had, nvent.store_migrate('shop', NULL) AS had;
SELECT relation FROM nvent.route_resolve('entry', 'shop:unrouted');
SELECT version FROM app.shop_schema_version ORDER BY 1;
SELECT count(*) FROM nvent.stream_read('shop:flow:run:1');
SELECT nvent.store_migrate('shop', 1);
SELECT nvent.store_migrate('shop', 2);
SELECT nvent.store_migrate('shop', -1);
\set VERBOSITY default
SELECT nvent.store_migrate('shop', 99);
\set VERBOSITY terse
SELECT nvent.store_migrate('missing');
SELECT nvent.store_migrate(NULL);
SELECT nvent.store_version('missing') IS NULL AS missing, nvent.store_version(NULL) IS NULL AS nothing;
INSERT INTO app.shop_schema_version (version) VALUES (99);
SELECT nvent.store_migrate('shop', 4);
SELECT nvent.store_migrate('shop', 0);
DELETE FROM app.shop_schema_version WHERE version = 99;
-- Down to nothing, inside a transaction and undone, then for good.
BEGIN;
SELECT nvent.store_migrate('shop', 0) AS had, nvent.store_version('shop') IS NULL AS gone;
SELECT count(*) FROM nvent.stream_read('shop:flow:run:1');
SELECT nvent.store_create('shop', 'elsewhere'), nvent.store_version('shop');
ROLLBACK;
SELECT schema_name FROM nvent.store WHERE prefix = 'shop';
SELECT count(*) FROM nvent.stream_read('shop:flow:run:1');
SELECT nvent.store_migrate('shop', 0) AS had;
SELECT count(*) FROM pg_class WHERE relname ~ '^shop_(?!streak)' AND relnamespace = 'app'::regnamespace;
SELECT count(*) FROM nvent.route WHERE store = 'shop';
SELECT count(*) FROM nvent.stream_table WHERE store = 'shop';
-- Its subjects belong to the default store now.
SELECT store, relation FROM nvent.route_resolve('entry', 'shop:x');

-- What is left in the registry of one that was deleted by hand is nobody's.
SELECT nvent.store_create('half', 'half');
SELECT nvent.stream_append('half:t:1', '{"type": "t"}')->'version' AS version;
DELETE FROM nvent.store WHERE prefix = 'half';
SELECT store FROM nvent.route_resolve('entry', 'half:flows');
SELECT count(change) FROM nvent.store_adopt('half', 'half');
SELECT nvent.stream_append('half:t:1', '{"type": "t"}')->'version' AS version;
SELECT count(*) FROM nvent.route WHERE store = 'half';
SELECT nvent.store_migrate('half', 0) > 0 AS dropped;
DROP SCHEMA half;

-- A store's tables are tables: someone may drop them.
SELECT nvent.store_create('frail', 'frail');
DROP TABLE frail.frail_flow_events;
SELECT nvent.stream_append('frail:flow:run:1', '{"type": "t"}');
\set VERBOSITY default
SELECT nvent.stream_read('frail:flow:run:1');
\set VERBOSITY terse
SELECT nvent.stream_append('frail:t:1', '{"type": "t"}')->'version' AS version;
SELECT nvent.store_migrate('frail', 0) AS had;
SELECT nvent.store_create('frail', 'frail');
DROP SCHEMA frail CASCADE;
SELECT nvent.store_version('frail');
\set VERBOSITY default
SELECT nvent.store_create('frail', 'frail');
\set VERBOSITY terse
SELECT nvent.store_migrate('frail', 0) AS had, nvent.store_create('frail', 'frail') AS made, nvent.store_migrate('frail', 0) AS had;

-- Who makes a store owns it, and needs no right on anything of ours but the
-- use of schema nvent and of the function.
CREATE ROLE regress_nvs_app;
CREATE ROLE regress_nvs_other;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_app, regress_nvs_other;
GRANT EXECUTE ON FUNCTION nvent.store_create TO regress_nvs_app;
GRANT EXECUTE ON FUNCTION nvent.store_migrate, nvent.stream_drop_table TO regress_nvs_other;
CREATE SCHEMA mine AUTHORIZATION regress_nvs_app;
SET ROLE regress_nvs_app;
\set VERBOSITY sqlstate
SELECT nvent.store_create('theirs', 'app');
SELECT nvent.store_create('theirs', 'new_schema');
\set VERBOSITY terse
SELECT nvent.store_create('mine', 'mine');
SELECT tableowner, count(*) FROM pg_tables WHERE schemaname = 'mine' GROUP BY 1;
SELECT nvent.stream_append('mine:flow:run:1', '{"type": "t"}') IS NOT NULL AS appended;
SELECT nvent.stream_append('mine:own:1', '{"type": "t"}') IS NOT NULL AS appended;
SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}');
SELECT nvent.stream_read('nvent:flow:run:1');
SELECT nvent.stream_delete('nvent:flow:run:1');
\set VERBOSITY sqlstate
SELECT nvent.stream_append('nvent:new:1', '{"type": "t"}');
\set VERBOSITY terse
SELECT nvent.store_migrate('nvent', 0);
SELECT nvent.store_migrate('nvent');
SELECT nvent.route_add('stream', 'nvent:x:>', 'mine.mine_stream_own');
SELECT nvent.route_drop('stream', 'nvent:flow:run:{x...}');
SELECT nvent.stream_drop_table('else');
INSERT INTO nvent.store (prefix, schema_name) VALUES ('forged', 'mine');
UPDATE nvent.route SET table_name = 'forged';
DELETE FROM nvent.stream_table;
TRUNCATE nvent.store;
CREATE TRIGGER forged AFTER INSERT ON nvent.store EXECUTE FUNCTION nvent.registry_changed();
SET ROLE regress_nvs_other;
\set VERBOSITY sqlstate
SELECT nvent.stream_read('mine:flow:run:1');
\set VERBOSITY terse
SELECT nvent.store_migrate('mine', 0);
\set VERBOSITY default
SELECT nvent.stream_drop_table('own', store => 'mine');
\set VERBOSITY terse
-- The registry says which stores and routes there are, to everybody.
SELECT prefix, schema_name FROM nvent.store WHERE prefix = 'mine';
SELECT relation FROM nvent.route_resolve('stream', 'mine:own:1');
SET ROLE regress_nvs_app;
-- The owner may let others in, by the rights on the tables.
GRANT USAGE ON SCHEMA mine TO regress_nvs_other;
GRANT SELECT, INSERT ON mine.mine_stream_own TO regress_nvs_other;
SET ROLE regress_nvs_other;
SELECT nvent.stream_append('mine:own:1', '{"type": "guest"}')->'version' AS version;
SELECT e->>'type' AS type FROM nvent.stream_read('mine:own:1') e;
SELECT nvent.stream_delete('mine:own:1');
\set VERBOSITY sqlstate
SELECT nvent.stream_append('mine:new:1', '{"type": "t"}');
\set VERBOSITY terse
SET ROLE regress_nvs_app;
SELECT nvent.store_migrate('mine', 0);
RESET ROLE;
-- What a program calls when it starts makes the store, moves it to the latest
-- layout, or has nothing to do; then it needs no more than to read.
SELECT nvent.store_ensure('ensured', 'app'), nvent.store_ensure('ensured');
SELECT nvent.store_ensure('ensured', 'public');
SELECT nvent.store_migrate('ensured', 7) > 7 AS was_later, nvent.store_version('ensured') AS layout;
SELECT nvent.store_grant('regress_nvs_other', 'read', 'ensured');
SET ROLE regress_nvs_other;
SELECT nvent.store_ensure('ensured');
RESET ROLE;
SELECT nvent.store_ensure('ensured');
SELECT nvent.store_grant('regress_nvs_other', 'read', 'ensured');
SET ROLE regress_nvs_other;
SELECT nvent.store_ensure('ensured');
\set VERBOSITY default
SELECT nvent.store_ensure('not_there');
\set VERBOSITY terse
RESET ROLE;
SELECT nvent.store_ensure(NULL);
SELECT nvent.store_ensure('a:b');
SELECT nvent.store_migrate('ensured', 0) > 7 AS dropped;
-- Tables that another role has put there are not taken: nobody has asked for them.
SELECT nvent.store_create('ensured', 'app');
DO $$ DECLARE r regclass; BEGIN
    FOR r IN SELECT oid FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relname ^@ 'ensured_' AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO regress_nvs_app', r);
    END LOOP;
END $$;
DELETE FROM nvent.store WHERE prefix = 'ensured';
\set VERBOSITY default
SELECT nvent.store_ensure('ensured', 'app');
\set VERBOSITY terse
SELECT count(*) FROM nvent.store WHERE prefix = 'ensured';
GRANT USAGE, CREATE ON SCHEMA app TO regress_nvs_app;
SELECT count(*) AS changes FROM nvent.store_adopt('ensured', 'app');
SELECT nvent.store_ensure('ensured', 'app');
SELECT nvent.store_migrate('ensured', 0) > 7 AS dropped;
REVOKE ALL ON SCHEMA app FROM regress_nvs_app;
-- Without the default store a role with no right to make it gets an error
-- that says so.
SELECT nvent.store_migrate('nvent', 0);
SET ROLE regress_nvs_app;
\set VERBOSITY sqlstate
SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}');
\set VERBOSITY terse
RESET ROLE;
SELECT count(*) FROM nvent.store WHERE prefix = 'nvent';
REVOKE USAGE ON SCHEMA nvent FROM regress_nvs_other;
SET ROLE regress_nvs_other;
SELECT nvent.store_version();
RESET ROLE;

-- Neither in a read-only transaction.
BEGIN READ ONLY;
SELECT nvent.store_create('x', 'app');
ROLLBACK;
BEGIN READ ONLY;
SELECT nvent.store_migrate('blog', 0);
ROLLBACK;
BEGIN READ ONLY;
SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}');
ROLLBACK;
BEGIN READ ONLY;
SELECT nvent.store_version('blog'), nvent.store_create('blog', 'app') AS made, nvent.store_ensure('blog');
COMMIT;

-- The extension is not dropped while stores depend on it.
SELECT count(nvent.store_migrate(prefix, 0)) FROM (SELECT prefix FROM nvent.store WHERE prefix <> 'blog') s;
\set VERBOSITY default
DROP EXTENSION nvent_store;
\set VERBOSITY terse
SELECT nvent.store_migrate('blog', 0);
SELECT (SELECT count(*) FROM nvent.store) AS stores, (SELECT count(*) FROM nvent.route) AS routes,
    (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE '%\_flow\_events') AS tables;
DROP EXTENSION nvent_store;
CREATE EXTENSION nvent_store;
-- The same session goes on with the new one.
SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}') IS NOT NULL AS appended;
SELECT nvent.store_migrate('nvent', 0);
DROP SCHEMA app, "My ""Own"" Schema", "schéma", "table", mine CASCADE;
SELECT 'DROP SCHEMA ' || repeat('s', 63) \gexec
DROP ROLE regress_nvs_app, regress_nvs_other;
