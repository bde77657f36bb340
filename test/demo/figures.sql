-- figures.sql: what count.awk counts, as the store has it: name|value.
SELECT 'events|' || count(*) FROM nvent_flow_events;
SELECT 'events ' || type || '|' || count(*) FROM nvent_flow_events GROUP BY type;

SELECT 'packages|' || count(*)
FROM nvent_kv
WHERE key LIKE 'nvent:pkg:%' AND expires_at > now();

SELECT figure || (e ->> 'id') || '|' || (e #>> ARRAY['metadata', 'stats', stat])
FROM nvent.entry_read('nvent:flows') AS e,
     (VALUES ('runs ', 'total'), ('success ', 'success')) AS f(figure, stat)
WHERE e ->> 'id' IN ('install', 'upgrade', 'remove', 'purge', 'disappear');

-- A counter that differs from its runs is a line that the log cannot have.
SELECT 'counter ' || flow || ' ' || stat || '|' || counted || ', runs ' || found
FROM (
    SELECT e ->> 'id' AS flow, stat,
           (e #>> ARRAY['metadata', 'stats', stat])::bigint AS counted,
           (SELECT count(*) FROM nvent_flow_runs r
            WHERE r.flow_name = e ->> 'id'
            AND (r.status = s.status OR s.status IS NULL)) AS found
    FROM nvent.entry_read('nvent:flows') AS e,
         (VALUES ('total', NULL), ('running', 'running'),
                 ('success', 'completed'), ('failure', 'failed')) AS s(stat, status)
) AS c
WHERE counted IS DISTINCT FROM found;
