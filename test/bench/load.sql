-- load.sql: what the operations work on; run once, by run.sh.
CREATE EXTENSION nvent_store;
SELECT nvent.store_create(prefix => 'nvent', schema => 'public');

-- 1,000 runs, each with 20 events emitted.
SELECT count(nvent.entry_add('nvent:flow:runs:bench', 'run' || r, 1700000000000 + r,
    jsonb_build_object('status', 'running', 'startedAt', 1700000000000 + r,
        'stepCount', 20, 'completedSteps', 0, 'emittedEvents', doc)))
FROM generate_series(1, 1000) AS r,
     (SELECT jsonb_object_agg('step' || i, jsonb_build_object('state', 'pending',
                 'at', 1700000000000 + i, 'attempt', 1)) AS doc
      FROM generate_series(1, 20) AS i) AS d;

-- The hot row is a run, too.
SELECT nvent.entry_add('nvent:flow:runs:hot', 'run1', 1700000000000,
    (SELECT jsonb_build_object('status', 'running', 'emittedEvents', emitted_events)
     FROM nvent_flow_runs WHERE flow_name = 'bench' AND run_id = 'run1'));

SELECT count(nvent.entry_add('nvent:flows', 'flow' || f, 1700000000000 + f,
    '{"displayName": "a flow", "stats": {"total": 0}}'))
FROM generate_series(1, 1000) AS f;

SELECT count(nvent.kv_set('nvent:bench:' || k, jsonb_build_object('owner', 'worker-' || k)))
FROM generate_series(1, 10000) AS k;

-- The published adapter keeps keys in a table of this form, with an index
-- that its deletion of expired keys can use.
CREATE SCHEMA peer;
CREATE TABLE peer.kv (
    key text PRIMARY KEY,
    value jsonb NOT NULL,
    expires_at timestamptz,
    updated_at timestamptz DEFAULT now()
);
CREATE INDEX ON peer.kv (expires_at) WHERE expires_at IS NOT NULL;
INSERT INTO peer.kv (key, value) SELECT key, value FROM nvent_kv;

-- Deep merge the way a plpgsql programmer writes it, and the adapter's
-- authors did: one jsonb_set for each changed key, on each level.
CREATE FUNCTION peer.deep_merge(target jsonb, source jsonb) RETURNS jsonb
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
                peer.deep_merge(target -> change.key, change.value));
        ELSE
            target := jsonb_set(target, ARRAY[change.key], change.value);
        END IF;
    END LOOP;
    RETURN target;
END
$$;

-- 100 keys in 3 levels, and 5 changes in the innermost.
CREATE TABLE peer.document AS
SELECT (SELECT jsonb_object_agg('key' || k, jsonb_build_object('inner',
            jsonb_build_object('value', k, 'name', 'name of ' || k)))
        FROM generate_series(1, 100) AS k) AS doc,
       (SELECT jsonb_object_agg('key' || k, jsonb_build_object('inner',
            jsonb_build_object('value', -k)))
        FROM generate_series(10, 90, 20) AS k) AS patch;

VACUUM ANALYZE;
