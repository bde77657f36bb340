-- load.sql: what the operations work on; run once, by run.sh.
CREATE EXTENSION nvent_store;
SELECT nvent.store_create(prefix => 'nvent', schema => 'public');

-- 1,000 runs, each with 20 events emitted, in the generic table of entries and
-- in a table with typed columns.
CREATE TEMP TABLE run AS
SELECT r, jsonb_build_object('status', 'running', 'startedAt', 1700000000000 + r,
    'stepCount', 20, 'completedSteps', 0, 'emittedEvents', doc) AS doc
FROM generate_series(1, 1000) AS r,
     (SELECT jsonb_object_agg('step' || i, jsonb_build_object('state', 'pending',
                 'at', 1700000000000 + i, 'attempt', 1)) AS doc
      FROM generate_series(1, 20) AS i) AS d;
SELECT count(nvent.entry_add(key, 'run' || r, 1700000000000 + r, doc))
FROM run, unnest('{nvent:bench,nvent:flow:runs:bench}'::text[]) AS key;
-- The hot row is a run, too.
SELECT nvent.entry_add('nvent:flow:runs:hot', 'run1', 1700000000000, doc) FROM run WHERE r = 1;

SELECT count(nvent.entry_add('nvent:flows', 'flow' || f, 1700000000000 + f,
    '{"displayName": "a flow", "stats": {"total": 0}}'))
FROM generate_series(1, 1000) AS f;

SELECT count(nvent.kv_set('nvent:bench:' || k, jsonb_build_object('owner', 'worker-' || k)))
FROM generate_series(1, 10000) AS k;

SELECT nvent.stream_create_table('log', versioned => false), nvent.stream_create_table('many');

-- What a careful user would have instead, and no more than that.
CREATE SCHEMA lean;
CREATE TABLE lean.kv (
    key text PRIMARY KEY,
    value jsonb NOT NULL,
    expires_at timestamptz
);
CREATE TABLE lean.entries (
    key text NOT NULL,
    id text NOT NULL,
    doc jsonb NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, id)
) WITH (fillfactor = 70);
CREATE TABLE lean.counters (
    name text PRIMARY KEY,
    total bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE TABLE lean.log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    ts timestamptz NOT NULL DEFAULT now(),
    type text NOT NULL,
    data jsonb
);
CREATE INDEX ON lean.log (subject, id);
CREATE TABLE lean.events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    version bigint NOT NULL,
    ts timestamptz NOT NULL DEFAULT now(),
    type text NOT NULL,
    data jsonb,
    UNIQUE (subject, version)
);
-- Events of a batch, with 100 bytes of data each, as they were sent.
CREATE TABLE lean.batch (n integer PRIMARY KEY, events jsonb[] NOT NULL);
ALTER TABLE lean.batch ALTER COLUMN events SET STORAGE EXTERNAL;
INSERT INTO lean.batch
SELECT n, array_agg(jsonb_build_object('type', 'order:placed', 'data',
    jsonb_build_object('order', i, 'by', 'somebody-' || i, 'note', repeat('x', 40))) ORDER BY i)
FROM unnest(ARRAY[100, 1000]) AS n, generate_series(1, n) AS i GROUP BY n;
-- The same by turns to 100 subjects of each connection.
CREATE TABLE lean.appends (client integer PRIMARY KEY, appends jsonb NOT NULL);
ALTER TABLE lean.appends ALTER COLUMN appends SET STORAGE EXTERNAL;
INSERT INTO lean.appends
SELECT client, jsonb_agg(jsonb_build_object('subject', 'nvent:many:c' || client || '-' || i % 100,
    'events', jsonb_build_array(e)) ORDER BY i)
FROM generate_series(0, 7) AS client, lean.batch, unnest(events) WITH ORDINALITY AS u (e, i)
WHERE n = 1000 GROUP BY client;
COPY (SELECT 'nvent:log:c' || i % 1000, 1700000000000 + i, e ->> 'type', e -> 'data'
    FROM lean.batch, generate_series(0, 9) AS k, unnest(events) WITH ORDINALITY AS u (e, i) WHERE n = 1000)
TO PROGRAM 'cat >events.copy';
COPY (SELECT 'nvent:log:c' || i % 1000, now(), e ->> 'type', e -> 'data'
    FROM lean.batch, generate_series(0, 9) AS k, unnest(events) WITH ORDINALITY AS u (e, i) WHERE n = 1000)
TO PROGRAM 'cat >lean.copy';

-- What is loaded into tables with versions: 100,000 events by turns to 1,000
-- subjects, in files and in a table.
SELECT nvent.stream_create_table('load');
CREATE TABLE lean.load (LIKE lean.events INCLUDING ALL);
CREATE TABLE lean.incoming AS
SELECT i AS n, 'nvent:load:c' || i % 1000 AS subject, i / 1000 + 1 AS version, 1700000000000 + i AS ts,
    'order:placed' AS type, jsonb_build_object('order', i, 'by', 'somebody-' || i, 'note', repeat('x', 40)) AS data
FROM generate_series(0, 99999) AS i;
COPY (SELECT subject, version, ts, type, data FROM lean.incoming ORDER BY n) TO PROGRAM 'cat >load.copy';
COPY (SELECT subject, ts, type, data FROM lean.incoming ORDER BY n) TO PROGRAM 'cat >number.copy';
COPY (SELECT subject, version, now(), type, data FROM lean.incoming ORDER BY n) TO PROGRAM 'cat >lean_load.copy';

-- 50,000 events of 50 subjects, and where each thousand of them begins.
SELECT nvent.stream_create_table('query');
SELECT count(e) FROM generate_series(1, 50) AS s, lean.batch,
    LATERAL nvent.stream_append_batch('nvent:query:' || s, events) AS e WHERE n = 1000;
CREATE TABLE lean.query (
    id bigint PRIMARY KEY,
    subject text NOT NULL,
    version bigint NOT NULL,
    ts timestamptz NOT NULL,
    type text NOT NULL,
    data jsonb,
    UNIQUE (subject, version)
);
INSERT INTO lean.query
SELECT id, subject, version, to_timestamp(ts / 1000.0), type, data FROM nvent_stream_query ORDER BY id;
CREATE TABLE lean.pages AS
SELECT (row_number() OVER (ORDER BY id) - 1) / 1000 AS page, id - 1 AS after FROM nvent_stream_query;
DELETE FROM lean.pages AS p USING lean.pages AS q WHERE q.page = p.page AND q.after < p.after;
ALTER TABLE lean.pages ADD PRIMARY KEY (page);

INSERT INTO lean.kv (key, value) SELECT key, value FROM nvent_kv;
-- The arguments of calls with 100 keys, as either side has them.
CREATE TABLE lean.batches AS
SELECT k % 100 AS b, array_agg(key ORDER BY k) AS keys, array_agg(value ORDER BY k) AS vals,
    jsonb_object_agg(key, value) AS entries
FROM (SELECT k, 'nvent:bench:' || k AS key, jsonb_build_object('owner', 'worker-' || k) AS value
      FROM generate_series(1, 10000) AS k) AS kv
GROUP BY k % 100;
ALTER TABLE lean.batches ADD PRIMARY KEY (b);
INSERT INTO lean.entries (key, id, doc) SELECT 'nvent:bench', 'run' || r, doc FROM run;
INSERT INTO lean.counters (name) SELECT 'flow' || f FROM generate_series(1, 1000) AS f;

-- The tables of the published adapter, with its indexes.
CREATE SCHEMA adapter;
CREATE TABLE adapter.kv (
    key text PRIMARY KEY,
    value jsonb NOT NULL,
    expires_at timestamptz,
    updated_at timestamptz DEFAULT now()
);
CREATE INDEX ON adapter.kv (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE adapter.flow_runs (
    flow_name text NOT NULL,
    run_id text NOT NULL,
    status text NOT NULL DEFAULT 'running',
    started_at bigint NOT NULL,
    completed_at bigint,
    step_count integer,
    completed_steps integer DEFAULT 0,
    last_activity_at bigint,
    emitted_events jsonb DEFAULT '{}',
    awaiting_steps jsonb DEFAULT '{}',
    version integer DEFAULT 0,
    updated_at timestamptz DEFAULT now(),
    PRIMARY KEY (flow_name, run_id)
);
CREATE INDEX ON adapter.flow_runs (status) WHERE status IN ('running', 'awaiting');
CREATE INDEX ON adapter.flow_runs (flow_name, started_at DESC) WHERE status IN ('running', 'awaiting');
CREATE INDEX ON adapter.flow_runs (flow_name, completed_at DESC NULLS LAST) WHERE completed_at IS NOT NULL;
CREATE INDEX ON adapter.flow_runs (last_activity_at DESC NULLS LAST);
INSERT INTO adapter.kv (key, value) SELECT key, value FROM nvent_kv;
INSERT INTO adapter.flow_runs (flow_name, run_id, started_at, step_count, emitted_events)
SELECT flow_name, run_id, started_at, step_count, emitted_events FROM nvent_flow_runs;

-- Deep merge the way a plpgsql programmer writes it, and the adapter's
-- authors did: one jsonb_set for each changed key, on each level.
CREATE FUNCTION adapter.deep_merge(target jsonb, source jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    change record;
BEGIN
    IF jsonb_typeof(target) <> 'object' OR jsonb_typeof(source) <> 'object' THEN
        RETURN source;
    END IF;
    FOR change IN SELECT e.key, e.value FROM jsonb_each(source) AS e LOOP
        IF change.value = 'null' THEN
            target := target - change.key;
        ELSIF jsonb_typeof(target -> change.key) = 'object'
            AND jsonb_typeof(change.value) = 'object' THEN
            target := jsonb_set(target, ARRAY[change.key],
                adapter.deep_merge(target -> change.key, change.value));
        ELSE
            target := jsonb_set(target, ARRAY[change.key], change.value);
        END IF;
    END LOOP;
    RETURN target;
END
$$;

-- 100 keys in 3 levels, and 5 changes in the innermost.
CREATE TABLE bench_document AS
SELECT (SELECT jsonb_object_agg('key' || k, jsonb_build_object('inner',
            jsonb_build_object('value', k, 'name', 'name of ' || k)))
        FROM generate_series(1, 100) AS k) AS doc,
       (SELECT jsonb_object_agg('key' || k, jsonb_build_object('inner',
            jsonb_build_object('value', -k)))
        FROM generate_series(10, 90, 20) AS k) AS patch;

VACUUM ANALYZE;
