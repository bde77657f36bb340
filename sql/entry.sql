-- Entries of a store's own tables: add, get, update, increment, delete; fields
-- in columns, in documents and in neither; versions, times, defaults, nulls,
-- rights and errors.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET timezone = 'UTC';
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
SELECT nvent.store_create();

--
-- One entry of each kind of table, with a field for each column, one that has
-- none, and statistics; what is not given has its default.
--
SELECT nvent.entry_add('nvent:flow:runs:import', 'r1', 1767225600000, '{
    "status": "awaiting", "startedAt": 1767225600000, "completedAt": "2026-01-01T00:00:01.5Z",
    "stepCount": 3, "completedSteps": 2, "lastActivityAt": "2026-01-01T01:00:00+01:00",
    "emittedEvents": {"a": {"at": 1}}, "awaitingSteps": {"b": null},
    "owner": {"team": "data"}, "stats": {"retries": 1}}');
SELECT nvent.entry_add('nvent:flows', 'import', 1.5, '{
    "displayName": "Import", "flowVersion": 2, "registeredAt": 0, "lastRunAt": -1,
    "stats": {"total": 9007199254740993, "cancel": 1, "retries": 7}, "steps": ["a", "b"]}');
SELECT nvent.entry_add('nvent:triggers', 'hook', -1, '{
    "type": "webhook", "status": "paused", "registeredAt": 1, "lastActivityAt": 2,
    "displayName": "Hook", "description": "", "scope": "flow", "source": "api",
    "stats": {"totalFires": 1, "lastFiredAt": 2, "totalFlowsStarted": 3, "activeSubscribers": 4},
    "subscriptions": {"f": {"active": true}}, "webhook": {"path": "/x"},
    "schedule": {"cron": "* * * * *"}, "config": {"a": 1}, "retry": {"max": 3}}');
SELECT nvent.entry_add('nvent:scheduler:jobs', 'job1', 0, '{
    "name": "n", "jobName": "jn", "type": "cron", "schedule": "daily", "cron": "0 0 * * *",
    "interval": 5000, "executeAt": 1, "timezone": "UTC", "enabled": false,
    "scheduledAt": 2, "lastRunAt": 3, "nextRunAt": 4, "status": "running",
    "metadata": {"a": 1}, "config": {"b": 2}, "tags": []}');
SELECT jsonb_pretty(nvent.entry_get('nvent:flow:runs:import', 'r1'));
SELECT jsonb_pretty(nvent.entry_get('nvent:flows', 'import'));
SELECT jsonb_pretty(nvent.entry_get('nvent:triggers', 'hook'));
-- Schedules tell who wrote them, too.
SELECT jsonb_pretty(nvent.entry_get('nvent:scheduler:jobs', 'job1') #- '{metadata,authors}');
-- SQL sees the same in ordinary columns.
SELECT flow_name, run_id, status, started_at, completed_at, step_count, emitted_events, awaiting_steps, version, score, extra
FROM nvent_flow_runs;
SELECT flow_name, display_name, registered_at, stats_total, stats_success, stats_cancel, version, score, extra FROM nvent_flows;
SELECT trigger_name, trigger_type, stats_total_fires, stats_last_fired_at, webhook, extra FROM nvent_triggers;
SELECT job_id, schedule, "interval", enabled, metadata, config, extra FROM nvent_scheduler_jobs;

-- add replaces all of an entry: everything that it does not mention returns to
-- its default, times that must be there to the score.  The version goes on.
SELECT nvent.entry_add('nvent:flow:runs:import', 'r1', 1767225600000.9, '{"note": "again"}');
SELECT nvent.entry_add('nvent:flows', 'import', 1000, '{}');
SELECT nvent.entry_add('nvent:triggers', 'hook', 1000);
SELECT nvent.entry_add('nvent:scheduler:jobs', 'job1', 1000, '{"status": null, "enabled": null, "config": null}');
SELECT nvent.entry_get('nvent:flow:runs:import', 'r1');
SELECT nvent.entry_get('nvent:flows', 'import');
SELECT nvent.entry_get('nvent:triggers', 'hook');
SELECT nvent.entry_get('nvent:scheduler:jobs', 'job1') #- '{metadata,authors}' AS entry_get;
SELECT bool_and(extra IS NULL) AS extra_is_gone FROM nvent_flows;

-- A dotted name is a path, as in an update: what add made, a filter finds, an
-- increment and an update reach and null removes.  Inside of an object a dot is
-- part of the name.
SELECT nvent.entry_add('nvent:c', 'dots', 0, '{"a.b": 1, "a": {"c": 2}, "x.y.z": 1, "o": {"p.q": 1}}');
SELECT pg_temp.meta('nvent:c', 'dots');
SELECT e ->> 'id' AS found FROM nvent.entry_read('nvent:c', filter => '{"a.b": 1, "x.y.z": 1}') AS e;
SELECT nvent.entry_increment('nvent:c', 'dots', 'a.b');
SELECT nvent.entry_update('nvent:c', 'dots', '{"x.y.z": null, "a.c": 3}');
SELECT pg_temp.meta('nvent:c', 'dots');
SELECT nvent.entry_add('nvent:flows', 'dots', 0, '{"stats.total": 5, "stats": {"retries": 1}, "steps.first": "a"}');
SELECT pg_temp.meta('nvent:flows', 'dots');
SELECT stats_total, extra FROM nvent_flows WHERE flow_name = 'dots';
SELECT nvent.entry_add('nvent:flow:runs:import', 'dots', 0, '{"emittedEvents.step1.at": 5}');
SELECT emitted_events, extra FROM nvent_flow_runs WHERE run_id = 'dots';
SELECT nvent.entry_add('nvent:c', 'dots', 0, '{"a..b": 1}');
SELECT nvent.entry_add('nvent:c', 'dots', 0, jsonb_build_object(repeat('a.', 1000) || 'a', 1));
SELECT nvent.entry_delete(k, 'dots') FROM unnest(ARRAY['nvent:c', 'nvent:flows', 'nvent:flow:runs:import']) AS k;

-- Names of columns are names of their fields, and the other way round.
SELECT nvent.entry_add('nvent:flows', 'names', 0, '{"display_name": "x", "stats_total": 5, "stats": {"last_success": 1, "cancel": 2}}');
SELECT pg_temp.meta('nvent:flows', 'names');
-- What is called like a column of the table's own is a field like any other.
SELECT nvent.entry_add('nvent:flows', 'names', 0, '{"score": 1, "id": 2, "extra": 3, "flowName": 4, "flow_name": 5, "updatedAt": 6, "metadata": 7}');
SELECT pg_temp.meta('nvent:flows', 'names') - 'stats', version, score FROM nvent_flows WHERE flow_name = 'names';
SELECT nvent.entry_update('nvent:flows', 'names', '{"score": 8, "extra": {"a": 1}, "updatedAt": null}');
SELECT pg_temp.meta('nvent:flows', 'names') - 'stats' FROM nvent_flows WHERE flow_name = 'names';
-- The version is ours to count.
SELECT nvent.entry_add('nvent:flows', 'names', 0, '{"version": 100}'), nvent.entry_update('nvent:flows', 'names', '{"version": 100}');
-- Entries of one id under two keys are two; so are those of two stores.
SELECT nvent.store_create('other');
SELECT nvent.entry_add(k, 'same', n, jsonb_build_object('from', k))
FROM (VALUES ('nvent:a', 1), ('nvent:b', 2), ('other:a', 3), ('nvent:flows', 4), ('other:flows', 5),
    ('nvent:flow:runs:a', 6), ('nvent:flow:runs:a:b', 7), ('other:flow:runs:a', 8), ('nobody:a', 9)) v (k, n);
SELECT k, nvent.entry_get(k, 'same') -> 'score' AS score, nvent.entry_get(k, 'same') #>> '{metadata,from}' AS "from"
FROM unnest('{nvent:a,nvent:b,other:a,nvent:flows,other:flows,nvent:flow:runs:a,nvent:flow:runs:a:b,other:flow:runs:a,nobody:a,nobody:b,nvent:c}'::text[]) k;
SELECT nvent.entry_delete('nvent:a', 'same'), nvent.entry_delete('nvent:flow:runs:a', 'same');
SELECT k, nvent.entry_get(k, 'same') IS NOT NULL AS there
FROM unnest('{nvent:a,nvent:b,other:a,nvent:flow:runs:a,nvent:flow:runs:a:b}'::text[]) k;

--
-- What add() is given comes back.  Only a name of the metadata itself is a path
-- when it has dots.
--
CREATE TABLE documents (n serial PRIMARY KEY, doc jsonb);
INSERT INTO documents (doc) VALUES
    ('{}'),
    ('{"": 1, " ": 2, "a": {"": 1, " ": 2, "a.b": 3, ".": 4, "..": 5, "a.": 6, "stats.total": 7, "b": 8, "c.d": 9}}'),
    ('{"f": false, "z": 0, "e": "", "n": null, "o": {}, "l": [], "t": {"f": false, "z": 0, "e": "", "n": null, "o": {}, "l": []}}'),
    ('{"l": [null, false, 0, "", [], {}, [[null]], {"a": null}]}'),
    ('{"ä": "ö", "漢字": "😀", "\"": "\\", "\u0007": "\t\n", "q''": "''", "$1": "%s", "{a}": "{b}"}'),
    ('{"i": 9223372036854775807, "j": -9223372036854775808, "k": 1e100, "l": 1e-100, "m": 1.50, "n": -0, "o": 123456789012345678901234567890.123456789}'),
    ('{"stats": {"a": {"b": {"c": {"d": [1, {"e": null}]}}}, "total": "many"}}'),
    ('{"stats": []}'), ('{"stats": "none"}'), ('{"stats": null}'),
    ('{"status": 1, "startedAt": "soon", "emittedEvents": 5, "enabled": "yes"}'),
    (jsonb_build_object('long', repeat('x', 10000), repeat('k', 5000), 1)),
    ((SELECT jsonb_object_agg('k' || i, i) FROM generate_series(1, 300) i)),
    ((SELECT jsonb_object_agg('k' || i, jsonb_build_array(i, repeat('é', i))) FROM generate_series(1, 40) i));
-- In a table without columns for fields exactly so; after an add over another
-- entry as on a new one.
SELECT n, nvent.entry_add('nvent:docs', 'd' || n, n, doc), nvent.entry_add('nvent:docs', 'd', n, doc) AS over,
    pg_temp.meta('nvent:docs', 'd' || n) - 'version' = doc AS same
FROM documents ORDER BY n;
SELECT d.n, pg_temp.meta('nvent:docs', 'd' || d.n) - 'version' = d.doc AS same, nvent.entry_get('nvent:docs', 'd' || d.n) ->> 'score' AS score
FROM documents d ORDER BY d.n;
SELECT pg_temp.meta('nvent:docs', 'd') - 'version' = doc AS last_is_there FROM documents ORDER BY n DESC LIMIT 1;

-- Documents from a generator, for columns and for what has none.  The same on
-- every machine: a hash decides, not a random number.
CREATE FUNCTION pick(seed text, n int) RETURNS int LANGUAGE sql IMMUTABLE
AS $$ SELECT (('x' || substr(md5(seed), 1, 7))::bit(28)::int % n) $$;
CREATE FUNCTION gen_value(seed text, depth int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    scalars jsonb[] := '{null,true,false,0,1,-1,1.50,1e30,-0.001,9007199254740993,"\"\"","\"x\"","\"ä 漢\"","\"2026-01-01\"","\"null\"","\"a.b\""}';
BEGIN
    IF depth > 0 AND pick(seed || 'o', 3) = 0 THEN
        RETURN (SELECT coalesce(jsonb_object_agg(substr('abcdef', i, 1), gen_value(seed || i, depth - 1)), '{}')
                FROM generate_series(1, 4) i WHERE pick(seed || 'k' || i, 2) = 0);
    ELSIF depth > 0 AND pick(seed || 'l', 6) = 0 THEN
        RETURN (SELECT coalesce(jsonb_agg(gen_value(seed || i, depth - 1)), '[]')
                FROM generate_series(1, pick(seed || 'n', 4)) i);
    END IF;
    RETURN scalars[1 + pick(seed || 's', 16)];
END $$;
-- A value of a kind: one that a column of that kind gives back as it is.
CREATE FUNCTION gen_kind(seed text, kind text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT CASE kind
        WHEN 'any' THEN gen_value(seed, 3)
        WHEN 'text' THEN to_jsonb((ARRAY['', 'x', 'ä 漢', 'null', '0', 'a.b', 'run''"\'])[1 + pick(seed, 7)])
        WHEN 'int' THEN to_jsonb((ARRAY[0, 1, -1, 2147483647, -2147483648])[1 + pick(seed, 5)])
        WHEN 'number' THEN (ARRAY['0', '1.50', '-1e30', '1e-30', '12345678901234567890.5']::jsonb[])[1 + pick(seed, 5)]
        WHEN 'float' THEN (ARRAY['0', '1.5', '-1e30', '1e-30', '0.1']::jsonb[])[1 + pick(seed, 5)]
        WHEN 'bool' THEN to_jsonb(pick(seed, 2) = 0)
        WHEN 'time' THEN to_jsonb(to_char(timestamp '1960-01-01' + pick(seed, 1000000) * interval '1 hour 1 minute 1.001 s',
                                          'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
        WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(k, gen_value(seed || k, 2)), '{}')
                            FROM unnest('{a,b,c,d}'::text[]) k WHERE pick(seed || k, 2) = 0)
        WHEN 'list' THEN (SELECT coalesce(jsonb_agg(i || 'x'), '[]') FROM generate_series(1, pick(seed, 4)) i)
    END $$;
-- A document with some of the fields of a kind: {"field": kind}; with_null has
-- nulls in it, dotted names of paths where they are asked for.
CREATE FUNCTION gen_document(seed text, kinds jsonb, nulls bool, dots bool) RETURNS jsonb LANGUAGE sql AS $$
    SELECT coalesce(jsonb_object_agg(
        CASE WHEN dots AND kind IN ('object', 'any') AND pick(seed || field || 'dot', 4) = 0
             THEN field || '.' || (ARRAY['a', 'b', 'a.b', 'x.y'])[1 + pick(seed || field || 'p', 4)] ELSE field END,
        CASE WHEN nulls AND pick(seed || field || 'null', 5) = 0 THEN 'null'
             WHEN dots AND kind IN ('object', 'any') AND pick(seed || field || 'dot', 4) = 0 THEN gen_value(seed || field, 2)
             WHEN kind = 'stats' THEN gen_document(seed || 'stats',
                '{"total": "int", "ratio": "float", "lastAt": "time", "other": "any", "more": "object"}', nulls, false)
             ELSE gen_kind(seed || field, kind) END), '{}')
    FROM (SELECT key AS field, value AS kind FROM jsonb_each_text(kinds)) k
    WHERE pick(seed || field || 'there', 2) = 0 $$;

-- A table with a column of each kind, none of which has a default.
CREATE TABLE kinds (
    id text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    score double precision NOT NULL,
    a_text text, an_int int, a_small smallint, a_number numeric, a_float double precision, a_bool bool,
    seen_at bigint, doc jsonb, plain json, words text[],
    stats_total bigint, stats_ratio double precision, stats_last_at bigint,
    extra jsonb);
SELECT nvent.route_add('entry', 'kinds:one', 'kinds');
\set kinds '{"aText": "text", "anInt": "int", "aNumber": "number", "aFloat": "float", "aBool": "bool", "seenAt": "time", "doc": "object", "plain": "object", "words": "list", "stats": "stats", "free": "any", "open": "object"}'
-- Objects that are empty once nulls are out, or a null in a column, are no
-- field; that is all that may differ.
CREATE FUNCTION unset(doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT coalesce(jsonb_object_agg(k, v), '{}') FROM (
        SELECT key AS k, CASE WHEN key = 'stats' AND jsonb_typeof(value) = 'object'
                              THEN (SELECT jsonb_object_agg(key, value) FROM jsonb_each(value)
                                    WHERE NOT (value = 'null' AND key IN ('total', 'ratio', 'lastAt'))) ELSE value END AS v
        FROM jsonb_each(doc) WHERE value <> 'null' OR key IN ('free', 'open')) f
    WHERE v IS NOT NULL $$;
SELECT count(*) AS documents, count(*) FILTER (WHERE same) AS same,
    sum((SELECT count(*) FROM jsonb_object_keys(doc))) > 1000 AS large_enough
FROM (SELECT doc, nvent.entry_add('kinds:one', 'e', n, doc) IS NULL,
             pg_temp.meta('kinds:one', 'e') - 'version' = unset(doc) AS same
      FROM (SELECT n, gen_document('add' || n, :'kinds', true, false) AS doc FROM generate_series(1, 300) n) g) r;
-- And what it does not mention is gone: nothing of the 300 before shows.
SELECT nvent.entry_add('kinds:one', 'e', 0), pg_temp.meta('kinds:one', 'e');

--
-- update merges as RFC 7396 does: the columns and the rest together become
-- what nvent.jsonb_merge_patch makes of all the metadata.
--
CREATE FUNCTION place_of(relation regclass, id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE place text;
BEGIN
    EXECUTE format('SELECT ctid::text FROM %s WHERE %I = $1', relation,
        (SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[indnatts - 1]
         WHERE indrelid = relation AND indisprimary)) INTO place USING id;
    RETURN place;
END $$;
-- Statistics without a field are no field.
CREATE FUNCTION without_empty(doc jsonb) RETURNS jsonb LANGUAGE sql
AS $$ SELECT CASE WHEN doc -> 'stats' = '{}' THEN doc - 'stats' ELSE doc END $$;
CREATE FUNCTION update_errors(key text, relation regclass, kinds jsonb, n int, defaults jsonb DEFAULT '{}', added bool DEFAULT false)
RETURNS TABLE (updates bigint, changes bigint, fields bigint, wrong text) LANGUAGE plpgsql AS $$
DECLARE
    id text; before jsonb; patch jsonb; expected jsonb; after jsonb; old_place text; old_version bigint; new_version bigint;
    -- A field that is read by two names is patched by one.
    second_names text[] := CASE key WHEN 'nvent:triggers' THEN '{type}' ELSE '{}' END;
BEGIN
    updates := 0; changes := 0; fields := 0;
    FOR i IN 1 .. n LOOP
        id := CASE WHEN added THEN 'u' || i ELSE 'u' END;
        IF i % 5 = 1 AND NOT added THEN
            PERFORM nvent.entry_add(key, id, 0, gen_document('add' || i, kinds, true, false));
        END IF;
        before := pg_temp.meta(key, id) - second_names;
        old_version := before ->> 'version';
        old_place := place_of(relation, id);
        patch := gen_document('update' || i, kinds, true, true);
        expected := nvent.jsonb_merge_patch(before - 'version', nvent.jsonb_expand_paths(patch));
        expected := expected || (SELECT coalesce(jsonb_object_agg(d.key, d.value), '{}') FROM jsonb_each(defaults) d
                                 WHERE NOT expected ? d.key);
        new_version := nvent.entry_update(key, id, patch);
        after := pg_temp.meta(key, id) - second_names;
        updates := updates + 1;
        fields := fields + (SELECT count(*) FROM jsonb_object_keys(patch));
        IF without_empty(after - 'version') IS DISTINCT FROM without_empty(expected) THEN
            wrong := format('%s + %s is %s, not %s', before, patch, after, expected);
            RETURN NEXT; RETURN;
        END IF;
        changes := changes + (new_version - old_version);
        IF new_version <> (after ->> 'version')::bigint OR new_version - old_version NOT IN (0, 1)
           OR (new_version > old_version) <> (without_empty(after - 'version') <> without_empty(before - 'version'))
           OR (new_version > old_version) <> (place_of(relation, id) <> old_place) THEN
            wrong := format('%s + %s is version %s', before, patch, new_version);
            RETURN NEXT; RETURN;
        END IF;
        -- The same again changes nothing, so it writes nothing.
        old_place := place_of(relation, id);
        IF nvent.entry_update(key, id, patch) <> new_version OR place_of(relation, id) <> old_place THEN
            wrong := format('%s once more', patch);
            RETURN NEXT; RETURN;
        END IF;
    END LOOP;
    RETURN NEXT;
END $$;
SELECT * FROM update_errors('kinds:one', 'kinds', :'kinds', 300);
SELECT * FROM update_errors('nvent:docs', 'nvent_entries', :'kinds', 200);
SELECT * FROM update_errors('nvent:flow:runs:update', 'nvent_flow_runs', '{"status": "text", "completedAt": "time",
    "stepCount": "int", "completedSteps": "int", "emittedEvents": "object", "awaitingSteps": "object",
    "stats": "stats", "free": "any", "open": "object"}', 100, '{"status": "running"}');
SELECT * FROM update_errors('nvent:flows', 'nvent_flows', '{"displayName": "text", "flowVersion": "int",
    "lastRunAt": "time", "stats": "stats", "free": "any"}', 100);
SELECT * FROM update_errors('nvent:triggers', 'nvent_triggers', '{"triggerType": "text", "status": "text",
    "subscriptions": "object", "webhook": "object", "config": "any", "free": "any"}', 100);
SELECT * FROM update_errors('nvent:scheduler:jobs', 'nvent_scheduler_jobs', '{"name": "text", "enabled": "bool",
    "interval": "int", "nextRunAt": "time", "metadata": "object", "config": "object", "free": "any"}', 100);

-- So they do when columns were added to the table after the entries were.
CREATE TABLE late (id text COLLATE "C" PRIMARY KEY, version bigint NOT NULL DEFAULT 0, score double precision NOT NULL, extra jsonb);
SELECT nvent.route_add('entry', 'late:one', 'late');
SELECT count(nvent.entry_add('late:one', 'u' || i, 0, gen_document('add' || i, :'kinds', false, false))) FROM generate_series(1, 200) i;
CREATE TABLE before AS SELECT id, pg_temp.meta('late:one', id) AS was FROM late;
ALTER TABLE late ADD a_text text, ADD an_int int, ADD a_number numeric, ADD a_float double precision, ADD a_bool bool, ADD seen_at bigint,
    ADD doc jsonb, ADD plain json, ADD words text[], ADD stats_total bigint, ADD stats_ratio double precision, ADD stats_last_at bigint;
SELECT count(*) FILTER (WHERE without_empty(was) IS DISTINCT FROM without_empty(pg_temp.meta('late:one', id))) AS changed FROM before;
SELECT * FROM update_errors('late:one', 'late', :'kinds', 200, added => true);
SELECT * FROM update_errors('late:one', 'late', :'kinds', 200, added => true);
-- What an update or an increment names is nowhere but in its column then.
SELECT nvent.entry_update('late:one', 'u' || i, '{"aText": "x", "an_int": 1, "doc": {}, "plain": {}, "words": [], "stats": {"total": 1}}') IS NULL AS failed, count(*) FROM generate_series(1, 200) i GROUP BY 1;
SELECT count(*) FROM late WHERE extra ?| '{aText,anInt,doc,plain,words}' OR extra -> 'stats' ? 'total';

-- Dotted names are paths, also where nothing is yet.
SELECT nvent.entry_add('nvent:flow:runs:paths', 'p', 0, '{"emittedEvents": {"s1": {"state": "new"}}}');
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{"emittedEvents.s1.state": "done", "emittedEvents.s2.state": "new", "owner.team.lead": "ada", "stats.runs": 1}');
SELECT pg_temp.meta('nvent:flow:runs:paths', 'p') - 'startedAt';
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{"emittedEvents.s1": null, "owner.team": null, "stats": null, "owner.name": null}');
SELECT pg_temp.meta('nvent:flow:runs:paths', 'p') - 'startedAt';
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{"emittedEvents": null, "awaitingSteps": ["a"], "owner": "ada"}');
SELECT pg_temp.meta('nvent:flow:runs:paths', 'p') - 'startedAt';
-- A document that is gone is merged into as into an empty one.
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{"emittedEvents.s3.at": 1, "awaitingSteps": {"b": {"c": null}}}');
SELECT pg_temp.meta('nvent:flow:runs:paths', 'p') - 'startedAt';
-- A null for all of "stats" takes every field of it.
SELECT nvent.entry_add('nvent:flows', 'nostats', 0, '{"stats": {"total": 3, "mine": 4}}');
SELECT nvent.entry_update('nvent:flows', 'nostats', '{"stats": null}'), nvent.entry_update('nvent:flows', 'nostats', '{"stats": null}') AS again;
SELECT pg_temp.meta('nvent:flows', 'nostats');
-- Removing what is not there changes nothing.
SELECT nvent.entry_update('nvent:flows', 'nostats', '{"nothing": null, "stats.none": null, "a.b": null, "displayName": null}') AS is_a_change;
SELECT nvent.entry_update('nvent:flows', 'nostats', '{"nothing": null, "stats.none": null, "displayName": null}') AS is_none;
SELECT pg_temp.meta('nvent:flows', 'nostats');

-- A field whose column must not be NULL returns to its default by null.
SELECT nvent.entry_add('nvent:flow:runs:null', 'n', 5, '{"status": "failed"}');
SELECT nvent.entry_update('nvent:flow:runs:null', 'n', '{"status": null}'), nvent.entry_update('nvent:flow:runs:null', 'n', '{"status": null}') AS again;
SELECT pg_temp.meta('nvent:flow:runs:null', 'n') ->> 'status' AS status;
SELECT nvent.entry_update('nvent:flow:runs:null', 'n', '{"startedAt": null}');
-- A time that must be there is the score's when add has none, or null.
SELECT nvent.entry_add('nvent:flow:runs:null', 'n', 5000.9, '{"startedAt": null}'), pg_temp.meta('nvent:flow:runs:null', 'n') ->> 'startedAt' AS started;

--
-- An update that changes nothing leaves the row alone, in transactions of its
-- own too; touch writes all the same.
--
CREATE TEMP TABLE was AS SELECT ctid AS at, xmin AS by, version, updated_at FROM nvent_flow_runs WHERE run_id = 'p';
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{"owner": "ada", "emittedEvents.s3.at": 1, "awaitingSteps": {"b": {}}, "gone": null}') AS version;
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{}') AS version;
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{"version": 7}') AS version;
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', pg_temp.meta('nvent:flow:runs:paths', 'p')) AS version;
SELECT r.ctid = w.at AND r.xmin = w.by AND r.version = w.version AS untouched FROM nvent_flow_runs r, was w WHERE run_id = 'p';
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{"owner": "ada"}', touch => true) AS version;
SELECT nvent.entry_update('nvent:flow:runs:paths', 'p', '{}', touch => true) AS version;
SELECT r.ctid = w.at AS same_place, r.version - w.version AS versions, r.updated_at >= w.updated_at AS later
FROM nvent_flow_runs r, was w WHERE run_id = 'p';

-- The expected version: the new one, or NULL and nothing done.
SELECT nvent.entry_add('nvent:v', 'x', 0, '{"n": 0}');
SELECT nvent.entry_update('nvent:v', 'x', '{"n": 1}', 1) AS too_high, nvent.entry_update('nvent:v', 'x', '{"n": 2}', -1) AS negative;
SELECT nvent.entry_update('nvent:v', 'x', '{"n": 3}', expected_version => 0);
SELECT nvent.entry_update('nvent:v', 'x', '{"n": 4}', 0) AS stale, nvent.entry_update('nvent:v', 'x', '{"n": 4}', 0, true) AS stale_touch;
SELECT nvent.entry_update('nvent:v', 'x', '{"n": 3}', 1) AS no_change, nvent.entry_update('nvent:v', 'x', '{"n": 3}', 1, true) AS touched;
SELECT nvent.entry_update('nvent:v', 'x', '{"n": 5}', NULL), pg_temp.meta('nvent:v', 'x');
SELECT nvent.entry_update('nvent:v', 'none', '{"n": 5}') AS no_entry, nvent.entry_update('nvent:v', 'none', '{}', touch => true) AS touched;
SELECT nvent.entry_update('nosuchstore:v', 'x', '{"n": 5}') AS no_key;

--
-- Times: milliseconds or ISO-8601 in, ISO-8601 out; UTC without a zone.
--
SET timezone = 'America/New_York';
SET datestyle = 'German';
CREATE TABLE times (n serial, given jsonb);
INSERT INTO times (given) SELECT to_jsonb(v) FROM unnest(ARRAY[
    '2026-01-31T12:00:00.123Z', '2026-01-31T12:00:00Z', '2026-01-31 12:00:00+01', '2026-01-31T12:00:00.5-05:30',
    '2026-01-31T12:00:00', '2026-01-31T12:00', '2026-01-31', '1969-12-31T23:59:59.999Z', '1900-01-01', '0001-01-01',
    '9999-12-31T23:59:59.999Z', '2026-07-01T00:00:00', '2024-02-29', '2026-01-31T12:00:00.9999Z']) v;
INSERT INTO times (given) SELECT v FROM unnest('{0,-1,-3600000,1767225600000,253402300799999,253402300800000,-62135596800000,-62135596800001,9223372036854775807,-9223372036854775808,1e12}'::jsonb[]) v;
SELECT n, given, nvent.entry_add('nvent:flow:runs:time', 't', 0, jsonb_build_object('startedAt', given)) IS NULL AS failed,
    pg_temp.meta('nvent:flow:runs:time', 't') -> 'startedAt' AS read,
    nvent.entry_update('nvent:flow:runs:time', 't', jsonb_build_object('startedAt', pg_temp.meta('nvent:flow:runs:time', 't') -> 'startedAt')) = n - 1 AS round
FROM times ORDER BY n;
-- What is no time is an error, not a NULL.
\set VERBOSITY terse
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": "soon"}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": "now"}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": ""}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": "31.01.2026"}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": "2026-02-30"}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": "2026-01-31T25:00:00Z"}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": "12026-01-31"}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": 1.5}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": 1e300}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": true}');
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": {"$date": 1}}');
SELECT nvent.entry_add('nvent:flow:runs:time', 'far', 1e300);
-- SQL reads the milliseconds.
SELECT nvent.entry_update('nvent:flow:runs:time', 't', '{"startedAt": "1969-12-31T23:59:59.999Z", "completedAt": "2026-01-31T12:00:00.9999Z"}') IS NULL AS failed;
SELECT started_at, completed_at FROM nvent_flow_runs WHERE run_id = 't';
RESET datestyle;
SET timezone = 'UTC';

--
-- Increments: flat, of "stats", inside documents, in what has no column.
--
SELECT nvent.entry_add('nvent:flow:runs:inc', 'i', 0, '{"emittedEvents": {"s1": {"count": 5}}, "cost": 1.25}');
SELECT nvent.entry_increment('nvent:flow:runs:inc', 'i', 'completedSteps') AS flat,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'completed_steps', 10) AS by_column,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'stepCount', -3) AS from_null,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'emittedEvents.s1.count', 2) AS nested,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'emittedEvents.s2.a.b', 0.5) AS new_parents,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'cost', 0.005) AS extra,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'hits') AS new_extra,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'stats.deep.hits', 9007199254740993) AS deep,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'startedAt', 1000) AS a_time,
    nvent.entry_increment('nvent:flow:runs:inc', 'i', 'hits', 0) AS by_nothing;
SELECT pg_temp.meta('nvent:flow:runs:inc', 'i');
SELECT nvent.entry_add('nvent:flows', 'inc', 0);
SELECT nvent.entry_increment('nvent:flows', 'inc', 'stats.total') AS stat, nvent.entry_increment('nvent:flows', 'inc', 'stats_total', 2) AS by_column,
    nvent.entry_increment('nvent:flows', 'inc', 'stats.mine', 2) AS other_stat;
SELECT pg_temp.meta('nvent:flows', 'inc') - 'registeredAt';
-- Several at once are one version.
SELECT nvent.entry_increment_many('nvent:flows', 'inc', '{"stats.total": 1, "stats.running": -1, "stats.mine": 0.5, "stats.other": 1, "flowVersion": 1, "a.b": 1, "a.c": 2, "d": 3}');
SELECT pg_temp.meta('nvent:flows', 'inc') - 'registeredAt';
-- What is null counts as zero, in a column or out of it.
SELECT nvent.entry_update('nvent:flows', 'inc', '{"stats.total": null}'), nvent.entry_increment('nvent:flows', 'inc', 'stats.total', 4);
SELECT nvent.entry_add('nvent:c', 'null', 0, '{"n": null, "o": {"n": null}}'), nvent.entry_increment_many('nvent:c', 'null', '{"n": 1, "o.n": 2}');
-- The returned numbers are exact.
SELECT nvent.entry_increment('nvent:c', 'null', 'big', 123456789012345678901234567890.5), nvent.entry_increment('nvent:c', 'null', 'big', 0.25);
SELECT nvent.entry_increment('nvent:flows', 'inc', 'stats.cancel', 9223372036854775807);
\set VERBOSITY default
SELECT nvent.entry_increment('nvent:flows', 'inc', 'stats.cancel');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'flowVersion', 3000000000);
SELECT nvent.entry_increment('nvent:flows', 'inc', 'stats.total', 0.5);
SELECT nvent.entry_increment('nvent:flows', 'inc', 'stats.total', 'NaN');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'displayName');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'displayName.x');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'stats.total.x');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'stats');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'version');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'a');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'd.e');
SELECT nvent.entry_increment('nvent:flows', 'inc', '');
SELECT nvent.entry_increment('nvent:flows', 'inc', 'a..b');
SELECT nvent.entry_increment('nvent:flows', 'inc', rtrim(repeat('a.', 1001), '.'));
SELECT nvent.entry_increment('nvent:triggers', 'hook', 'config');
SELECT nvent.entry_increment('nvent:flows', 'no such', 'stats.total');
SELECT nvent.entry_increment('nosuchstore:x', 'no such', 'n');
SELECT nvent.entry_increment_many('nvent:flows', 'inc', '{"stats.total": "1"}');
SELECT nvent.entry_increment_many('nvent:flows', 'inc', '{"stats.total": 1, "stats_total": 1}');
SELECT nvent.entry_increment_many('nvent:flows', 'inc', '{}');
SELECT nvent.entry_increment_many('nvent:flows', 'inc', '[1]');
\set VERBOSITY terse
-- Nothing of a call with an error is done.
SELECT pg_temp.meta('nvent:flows', 'inc') - 'registeredAt';

--
-- Errors.
--
\set VERBOSITY default
SELECT nvent.entry_add(NULL, 'x', 0);
SELECT nvent.entry_add('nvent:x', NULL, 0);
SELECT nvent.entry_add('nvent:x', 'x', NULL);
SELECT nvent.entry_add('nvent:x', 'x', 0, NULL);
SELECT nvent.entry_update(NULL, 'x', '{}');
SELECT nvent.entry_update('nvent:x', NULL, '{}');
SELECT nvent.entry_update('nvent:x', 'x', NULL);
SELECT nvent.entry_increment(NULL, 'x', 'n');
SELECT nvent.entry_increment('nvent:x', NULL, 'n');
SELECT nvent.entry_increment('nvent:x', 'x', NULL);
SELECT nvent.entry_increment('nvent:x', 'x', 'n', NULL);
SELECT nvent.entry_increment_many(NULL, 'x', '{}');
SELECT nvent.entry_increment_many('nvent:x', NULL, '{}');
SELECT nvent.entry_increment_many('nvent:x', 'x', NULL);
SELECT nvent.entry_get(NULL, 'x') IS NULL AND nvent.entry_get('nvent:x', NULL) IS NULL AND nvent.entry_delete(NULL, 'x') IS NULL AS nulls_give_null;
SELECT nvent.entry_add('', 'x', 0);
SELECT nvent.entry_get(repeat(':', 64), 'x');
SELECT nvent.entry_update('', 'x', '{}');
SELECT nvent.entry_increment('', 'x', 'n');
SELECT nvent.entry_delete('nvent:' || repeat('x', 1019), 'x');
SELECT nvent.entry_add('nvent:x', 'x', 'NaN');
SELECT nvent.entry_add('nvent:x', 'x', 'Infinity');
SELECT nvent.entry_add('nvent:x', 'x', 0, '[1]');
SELECT nvent.entry_add('nvent:x', 'x', 0, '"text"');
SELECT nvent.entry_update('nvent:x', 'x', '[1]');
SELECT nvent.entry_update('nvent:x', 'x', '{"a..b": 1}');
SELECT nvent.entry_add('nvent:flow:runs:x', 'x', 0, '{"status": 5}');
SELECT nvent.entry_add('nvent:flow:runs:x', 'x', 0, '{"stepCount": "five"}');
SELECT nvent.entry_add('nvent:scheduler:jobs', 'x', 0, '{"enabled": "yes"}');
SELECT nvent.entry_add('nvent:flows', 'x', 0, '{"stats": 5}');
SELECT nvent.entry_add('nvent:flows', 'x', 0, '{"stats": {"total": {"all": 5}}}');
SELECT nvent.entry_add('nvent:flows', 'x', 0, '{"displayName": "x", "display_name": "y"}');
SELECT nvent.entry_add('nvent:triggers', 'x', 0, '{"type": "x", "triggerType": "y"}');
SELECT nvent.entry_add('nvent:triggers', 'x', 0, '{"type": "x", "triggerType": null}');
SELECT nvent.entry_update('nvent:flow:runs:null', 'n', '{"status": {"a": 1}}');
SELECT nvent.entry_update('nvent:flow:runs:null', 'n', '{"status.a": 1}');
-- None of them left anything behind.
SELECT count(*) FROM unnest('{nvent:x,nvent:flow:runs:x,nvent:flows,nvent:triggers,nvent:scheduler:jobs}'::text[]) k
WHERE nvent.entry_get(k, 'x') IS NOT NULL;

BEGIN READ ONLY;
SELECT nvent.entry_get('nvent:v', 'x') IS NOT NULL AS reads;
SAVEPOINT s;
SELECT nvent.entry_add('nvent:v', 'x', 0);
ROLLBACK TO s;
SELECT nvent.entry_update('nvent:v', 'x', '{"n": 1}');
ROLLBACK TO s;
SELECT nvent.entry_increment('nvent:v', 'x', 'n');
ROLLBACK TO s;
SELECT nvent.entry_delete('nvent:v', 'x');
ROLLBACK TO s;
SELECT nvent.entry_add('newstore:v', 'x', 0);
ROLLBACK;

-- The caller's rights are what counts.
CREATE ROLE regress_entry_reader;
CREATE ROLE regress_entry_nobody;
GRANT USAGE ON SCHEMA nvent TO regress_entry_reader, regress_entry_nobody;
GRANT SELECT ON nvent_entries TO regress_entry_reader;
SET ROLE regress_entry_reader;
SELECT nvent.entry_get('nvent:v', 'x') IS NOT NULL AS reads;
SELECT count(*) FROM nvent.entry_read('nvent:v');
SELECT nvent.entry_add('nvent:v', 'x', 0);
SELECT nvent.entry_update('nvent:v', 'x', '{"n": 1}');
SELECT nvent.entry_increment('nvent:v', 'x', 'n');
SELECT nvent.entry_delete('nvent:v', 'x');
SET ROLE regress_entry_nobody;
SELECT nvent.entry_get('nvent:v', 'x');
SELECT count(*) FROM nvent.entry_read('nvent:v');
RESET ROLE;
REVOKE ALL ON SCHEMA nvent FROM regress_entry_reader, regress_entry_nobody;
REVOKE ALL ON nvent_entries FROM regress_entry_reader;
DROP ROLE regress_entry_reader, regress_entry_nobody;

-- A table that is gone is somebody's mistake, not an empty one; so says every
-- call, and what to do.
DROP TABLE other_entries, other_flows;
\set VERBOSITY default
SELECT nvent.entry_get('other:a', 'same');
SELECT nvent.entry_update('other:a', 'same', '{}');
SELECT nvent.entry_increment('other:a', 'same', 'n');
SELECT nvent.entry_delete('other:a', 'same');
SELECT nvent.entry_add('other:a', 'same', 0);
SELECT nvent.entry_read('other:flows');

\set VERBOSITY terse
SELECT nvent.store_migrate('nvent', 0) > 0 AND nvent.store_migrate('other', 0) > 0 AS dropped;
DROP TABLE documents, kinds, late, before, times;
DROP FUNCTION pick, gen_value, gen_kind, gen_document, unset, place_of, without_empty, update_errors;
