-- report.sql: what a user would want to see of a replayed log.
\pset footer off
\pset border 0

\echo
\echo 'From nvent.entry_read(), the flows'
SELECT e ->> 'id' AS flow,
       s ->> 'total' AS total, s ->> 'running' AS running,
       s ->> 'success' AS success, s ->> 'failure' AS failure
FROM nvent.entry_read('nvent:flows') AS e,
     LATERAL (SELECT e #> '{metadata,stats}' AS s) AS m
ORDER BY (s ->> 'total')::bigint DESC, flow;

\echo 'From plain SQL on nvent_flow_events, the busiest packages'
SELECT data ->> 'package' AS package, count(*) AS events,
       count(DISTINCT run_id) AS runs,
       to_timestamp(max(ts) / 1000) AT TIME ZONE 'UTC' AS last
FROM nvent_flow_events
GROUP BY 1
ORDER BY events DESC, package
LIMIT 10;

-- The longest run, rather one that did not go well.
SELECT flow_name AS flow, run_id AS run
FROM nvent_flow_runs
ORDER BY status = 'failed' DESC, completed_steps DESC, run_id
LIMIT 1 \gset

\echo 'From nvent.stream_read(), the timeline of run' :run 'of flow' :flow
SELECT e ->> 'id' AS id,
       to_timestamp((e ->> 'ts')::bigint / 1000) AT TIME ZONE 'UTC' AS at,
       e ->> 'stepName' AS step, e ->> 'attempt' AS attempt,
       e ->> 'type' AS status, e #>> '{data,version}' AS version
FROM nvent.stream_read('nvent:flow:run:' || :'run') WITH ORDINALITY AS r(e, n)
ORDER BY n;

\echo 'From nvent.entry_get(), its entry'
\pset tuples_only on
\pset format unaligned
SELECT jsonb_pretty(nvent.entry_get('nvent:flow:runs:' || :'flow', :'run'));
\pset format aligned
\pset tuples_only off
\echo

-- A run's id is its package and a number.
SELECT 'nvent:pkg:' || regexp_replace(:'run', ':[0-9]+$', '') AS key \gset
\echo 'From nvent.kv_get() and nvent.kv_ttl(), the key of its package'
SELECT :'key' AS key, nvent.kv_get(:'key') AS value,
       date_trunc('minute', nvent.kv_ttl(:'key') + interval '30 s') AS expires_in;
