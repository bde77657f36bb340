-- Flows: jobs that wait for others; what becomes of them, however their parents
-- end, and who may see that.
--
-- Seen to fail, with the mechanism taken out: when a parent's end is not told to
-- its children (nothing is ready); with a child that is counted down for each end
-- of a parent whatever it was, with one that is not counted up again when a parent
-- goes on; when those that end for a parent have no children of their own; when
-- keys, turns or outputs are left behind; when maintenance deletes who is
-- waited for; and when a look for leases that leaves flows out counts as one.  The
-- server crashes when a parent of number 0 stands for the jobs of a call.
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue.sql'
\i :helpers
SELECT nvent.store_create('f');
SET nvent_store.default_store = 'f';
SELECT nvent.queue_create('a', retry_limit => 0), nvent.queue_create('b', retry_limit => 0), nvent.queue_create('brief', keep_ended => '0'),
    nvent.queue_create('one', 'exclusive'), nvent.queue_create('dead'), nvent.queue_create('sorry', retry_limit => 0, dead_letter => 'dead');
CREATE TABLE job (name text, queue text, id bigint);
-- Sends a flow, and keeps the ids of its jobs by their names.
CREATE FUNCTION pg_temp.flow(VARIADIC jobs jsonb[]) RETURNS bigint LANGUAGE sql AS $$
    DELETE FROM job;
    INSERT INTO job SELECT j->>'name', j->>'queue', f.id
    FROM unnest(jobs) WITH ORDINALITY u (j, n) JOIN nvent.queue_flow(jobs) WITH ORDINALITY f (id, n) USING (n);
    SELECT count(*) FROM job $$;
CREATE FUNCTION pg_temp.id(name text) RETURNS bigint LANGUAGE sql AS 'SELECT id FROM job WHERE name = $1';
CREATE FUNCTION pg_temp.fetched(queue text, n int DEFAULT 10) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(coalesce(j.name, '?'), ' ' ORDER BY j.id), '-') FROM nvent.queue_fetch(queue, n) f LEFT JOIN job j USING (id) $$;
CREATE FUNCTION pg_temp.complete(name text, output jsonb DEFAULT NULL) RETURNS boolean LANGUAGE sql AS $$
    SELECT nvent.queue_complete(j.queue, j.id, g.attempt, $2) FROM job j, nvent.queue_get(j.queue, j.id) g WHERE j.name = $1 $$;
CREATE FUNCTION pg_temp.fail(name text, error jsonb DEFAULT NULL) RETURNS boolean LANGUAGE sql AS $$
    SELECT nvent.queue_fail(j.queue, j.id, g.attempt, $2) FROM job j, nvent.queue_get(j.queue, j.id) g WHERE j.name = $1 $$;
CREATE VIEW flow AS
    SELECT j.name, j.queue, coalesce(g.state, 'gone') AS state, g.waits_for, regexp_replace(g.output::text, '"\d+"', '"#"') AS output,
        (SELECT string_agg(format('%s %s %s', coalesce(p.name, '?'), q.outcome, regexp_replace(q.output::text, '"\d+"', '"#"')), ', ' ORDER BY q.id) FROM nvent.queue_parents(j.queue, j.id) q LEFT JOIN job p USING (id)) AS parents,
        (SELECT string_agg(format('%s %s', coalesce(p.name, '?'), c.waits), ', ' ORDER BY c.id) FROM nvent.queue_children(j.queue, j.id) c LEFT JOIN job p USING (id)) AS children
    FROM job j LEFT JOIN nvent.queue_get(j.queue, j.id) g ON true ORDER BY j.id;
-- Whatever is left of jobs that are gone, and waits for nothing.
CREATE VIEW rubbish AS
    SELECT 'wait' AS what, count(*) FROM f_job_waits w WHERE NOT EXISTS (SELECT FROM f_jobs j WHERE j.id = w.id) OR pending <= 0 OR EXISTS (SELECT FROM f_job_turns t WHERE t.id = w.id) OR EXISTS (SELECT FROM f_job_runs t WHERE t.id = w.id)
    UNION ALL SELECT 'parent', count(*) FROM f_job_parents p WHERE NOT EXISTS (SELECT FROM f_jobs j WHERE j.id = p.id)
    UNION ALL SELECT 'count', count(*) FROM f_job_waits w WHERE pending <> (SELECT count(*) FROM f_job_parents p WHERE p.id = w.id AND coalesce(outcome, '') <> 'completed' AND (w.on_failure <> 'run' OR outcome IS NULL))
    UNION ALL SELECT 'lost', count(*) FROM f_jobs j WHERE due_at = 'infinity' AND NOT EXISTS (SELECT FROM f_job_waits w WHERE w.id = j.id) AND NOT EXISTS (SELECT FROM f_job_turns w WHERE w.id = j.id) AND NOT EXISTS (SELECT FROM f_job_runs w WHERE w.id = j.id)
    UNION ALL SELECT 'turn', count(*) FROM f_job_turns t WHERE NOT EXISTS (SELECT FROM f_jobs j WHERE j.id = t.id)
    UNION ALL SELECT 'key', count(*) FROM f_job_keys k WHERE NOT EXISTS (SELECT FROM f_jobs j WHERE j.id = k.id);

-- A diamond, in two queues: who waits is not fetched before both are completed,
-- and then with what they left.
SELECT nvent.queue_flow('{}'), pg_temp.flow('{"name": "top", "queue": "a", "data": 1}', '{"name": "left", "queue": "a", "after": "top"}',
    '{"name": "right", "queue": "b", "after": ["top"], "priority": 7}', '{"name": "bottom", "queue": "b", "after": ["left", "right", "left"], "data": {"x": 1}}');
SELECT * FROM flow;
SELECT pg_temp.fetched('a'), pg_temp.fetched('b');
SELECT pg_temp.complete('top', '{"made": "top"}');
SELECT name, state, waits_for, parents FROM flow;
SELECT pg_temp.fetched('a'), pg_temp.fetched('b');
SELECT pg_temp.complete('right', '2');
SELECT pg_temp.fetched('b'), (SELECT waits_for FROM flow WHERE name = 'bottom');
BEGIN;
SELECT pg_temp.complete('left', '1'), pg_temp.fetched('b');
ROLLBACK;
SELECT pg_temp.fetched('b');
SELECT pg_temp.complete('left', '1'), pg_temp.fetched('b');
SELECT outcome, output FROM nvent.queue_parents('b', pg_temp.id('bottom'));
SELECT pg_temp.complete('bottom');
SELECT name, state, waits_for FROM flow;
SELECT sum(count) FROM rubbish;

-- By many at once, and by queue_work; one that is to start later does not before.
SELECT pg_temp.flow(VARIADIC (SELECT array_agg(format('{"name": "p%s", "queue": "a"}', i)::jsonb) FROM generate_series(1, 4) i)
    || ('{"name": "all", "queue": "a", "after": ["p1", "p2", "p3", "p4"]}'::jsonb) || '{"name": "later", "queue": "a", "after": "p1", "startAfter": "1 hour"}'::jsonb);
SELECT pg_temp.fetched('a');
SELECT count(*) FROM nvent.queue_complete_many('a', ARRAY[pg_temp.id('p1'), pg_temp.id('p2')], '{1,1}', ARRAY[NULL, '2'::jsonb]);
SELECT state, waits_for FROM nvent.queue_get('a', pg_temp.id('all'));
SELECT state, start_at > now() + '50 minutes' AS later FROM nvent.queue_get('a', pg_temp.id('later'));
SELECT j.name FROM nvent.queue_work('a', jsonb_build_array(jsonb_build_object('id', pg_temp.id('p4'), 'attempt', 1), jsonb_build_object('id', pg_temp.id('p3'), 'attempt', 1, 'output', 3)), max_count => 5) w JOIN job j USING (id);
SELECT outcome, output FROM nvent.queue_parents('a', pg_temp.id('all'));
SELECT nvent.queue_delete('a', pg_temp.id('later')), pg_temp.complete('all');
SELECT sum(count) FROM rubbish;

-- What becomes of children of whoever fails, by their own choice, and of theirs.
CREATE FUNCTION pg_temp.four() RETURNS bigint LANGUAGE sql AS $$
    SELECT pg_temp.flow('{"name": "p", "queue": "a"}', '{"name": "other", "queue": "b"}', '{"name": "waits", "queue": "b", "after": "p", "onFailure": "wait"}', '{"name": "cancels", "queue": "b", "after": ["p", "other"]}',
        '{"name": "fails", "queue": "sorry", "after": ["p", "other"], "onFailure": "fail"}', '{"name": "runs", "queue": "b", "after": ["p", "other"], "onFailure": "run"}',
        '{"name": "under cancels", "queue": "b", "after": "cancels", "onFailure": "fail"}', '{"name": "under fails", "queue": "b", "after": ["fails", "p"]}', '{"name": "under both", "queue": "b", "after": ["under cancels", "under fails"], "onFailure": "run"}') $$;
SELECT pg_temp.four(), pg_temp.fetched('a'), pg_temp.fetched('b');
SELECT pg_temp.fail('p', '"broken"');
SELECT * FROM flow;
SELECT sum(count) FROM rubbish;
SELECT (SELECT count(*) FROM nvent.queue_fetch('dead', 10)) AS dead, pg_temp.fetched('b'), pg_temp.fetched('sorry');
-- Somebody has the parent be tried again: who waits does so for it.
SELECT nvent.queue_retry('a', pg_temp.id('p'));
SELECT name, state, waits_for, parents FROM flow WHERE name IN ('p', 'waits', 'runs', 'cancels');
SELECT sum(count) FROM rubbish;
SELECT pg_temp.complete('other');
SELECT pg_temp.fetched('a'), pg_temp.fetched('b');
SELECT pg_temp.complete('p', '"well"'), pg_temp.fetched('b'), pg_temp.fetched('sorry');
SELECT name, state, waits_for, parents FROM flow;
-- And those that ended for it are run by hand.
SELECT nvent.queue_resume('b', pg_temp.id('cancels')), nvent.queue_retry('sorry', pg_temp.id('fails'));
SELECT pg_temp.fetched('b'), pg_temp.fetched('sorry');
SELECT pg_temp.complete('cancels'), pg_temp.complete('fails'), pg_temp.complete('waits'), pg_temp.complete('runs'), pg_temp.complete('under both');
SELECT name, state FROM flow;
SELECT sum(count) FROM rubbish;
-- One that runs whatever happens has both told of.
SELECT pg_temp.four(), pg_temp.fetched('a'), pg_temp.fetched('b'), pg_temp.fail('p', '"broken"'), pg_temp.complete('other', '"well"'), pg_temp.fetched('b');
SELECT outcome, output FROM nvent.queue_parents('b', pg_temp.id('runs'));
SELECT pg_temp.complete('runs'), nvent.queue_cancel('b', pg_temp.id('waits')), pg_temp.complete('under both');

-- A lease that runs out is a failure, too, and so is a second try.
SELECT nvent.queue_create('twice', retry_limit => 1);
SELECT pg_temp.flow('{"name": "p", "queue": "twice", "lease": "1 millisecond"}', '{"name": "c", "queue": "twice", "after": "p"}');
CREATE FUNCTION pg_temp.lapse() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM f_job_runs WHERE outcome IS NULL AND lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 second') LOOP
    END LOOP;
END $$;
SELECT pg_temp.fetched('twice');
SELECT pg_temp.lapse(), (SELECT state FROM flow WHERE name = 'c'), pg_temp.fetched('twice'), (SELECT state FROM flow WHERE name = 'c');
SELECT pg_temp.lapse(), pg_temp.fetched('twice');
SELECT name, state, parents FROM flow;

-- It is found by who finds another job to try again at each call, and looks for
-- leases once he has that, however long such a look takes.
SELECT nvent.queue_create('deep', retry_limit => 0);
SELECT pg_temp.flow('{"name": "p", "queue": "deep"}', '{"name": "c", "queue": "deep", "after": "p"}'), nvent.queue_send('deep') > 0 AS sent;
SELECT count(nvent.queue_release('deep', id, attempt)) FROM nvent.queue_fetch('deep', 2) WHERE id <> pg_temp.id('p');
INSERT INTO f_job_runs (id, attempt, queue, priority, lease_until, ended_at, outcome)
    SELECT -n, 1, q.number, 0, clock_timestamp(), clock_timestamp(), 'completed' FROM generate_series(1, 60000) n, f_queues q WHERE q.name = 'deep';
DO $$
DECLARE
    until timestamptz := clock_timestamp() + '20 s';
    pause timestamptz;
BEGIN
    -- An old snapshot, beside which leases that are over are looked at again.
    PERFORM pg_current_xact_id();
    PERFORM nvent.queue_release('deep', id, attempt) FROM nvent.queue_fetch('deep', 2);
    UPDATE f_job_runs SET lease_until = clock_timestamp() WHERE id = pg_temp.id('p');
    WHILE clock_timestamp() < until AND EXISTS (SELECT FROM f_job_runs WHERE id = pg_temp.id('p') AND outcome IS NULL) LOOP
        -- So long that jobs to try again are looked for at once, but leases are not.
        pause := clock_timestamp() + '40 ms';
        WHILE clock_timestamp() < pause LOOP
        END LOOP;
        PERFORM nvent.queue_release('deep', id, attempt) FROM nvent.queue_fetch('deep', 2);
    END LOOP;
END $$;
SELECT outcome FROM f_job_runs WHERE id = pg_temp.id('p');
DELETE FROM f_job_runs WHERE id < 0;
SELECT nvent.queue_drop('deep');

-- A parent is cancelled, active or not; and resumed. A child is, before its time.
SELECT pg_temp.four(), nvent.queue_cancel('a', pg_temp.id('p'));
SELECT name, state, waits_for, parents FROM flow;
SELECT nvent.queue_resume('a', pg_temp.id('p')), pg_temp.fetched('a'), nvent.queue_cancel('a', pg_temp.id('p')), nvent.queue_resume('a', pg_temp.id('p'));
SELECT name, state, waits_for FROM flow WHERE name IN ('waits', 'runs');
SELECT nvent.queue_cancel('b', pg_temp.id('waits')), nvent.queue_cancel('b', pg_temp.id('runs')), nvent.queue_cancel('b', pg_temp.id('runs'));
SELECT name, state, waits_for FROM flow;
SELECT pg_temp.fetched('a'), pg_temp.complete('p'), pg_temp.fetched('b'), pg_temp.complete('other'), pg_temp.fetched('b');
SELECT nvent.queue_resume('b', pg_temp.id('runs')), pg_temp.fetched('b'), pg_temp.complete('runs');
SELECT sum(count) FROM rubbish;

-- When a child was to start holds however it ended before, and goes on: by hand, and
-- as its parent failed. Seen to fail with that forgotten by who stops waiting, and by
-- who ends for a parent.
SELECT pg_temp.flow('{"name": "p", "queue": "a"}', '{"name": "by hand", "queue": "b", "after": "p", "startAt": "2100-01-01"}', '{"name": "any time", "queue": "b", "after": "p"}',
    '{"name": "cancels", "queue": "b", "after": "p", "startAt": "2100-01-01"}', '{"name": "fails", "queue": "b", "after": "p", "startAt": "2100-01-01", "onFailure": "fail"}');
SELECT nvent.queue_cancel('b', pg_temp.id('by hand')), nvent.queue_cancel('b', pg_temp.id('any time')), pg_temp.fetched('a'), pg_temp.fail('p');
SELECT nvent.queue_resume('b', pg_temp.id('by hand')), nvent.queue_resume('b', pg_temp.id('any time')), nvent.queue_resume('b', pg_temp.id('cancels')), nvent.queue_retry('b', pg_temp.id('fails'));
SELECT j.name, g.state, extract(year FROM g.start_at) AS year FROM job j, nvent.queue_get(j.queue, j.id) g ORDER BY j.id;
SELECT pg_temp.fetched('b'), nvent.queue_purge('b') AS purged;
SELECT sum(count) FROM rubbish;

-- Parents and children are deleted.
SELECT pg_temp.four(), nvent.queue_delete('a', pg_temp.id('p'));
SELECT name, state, waits_for, parents FROM flow;
SELECT nvent.queue_delete('b', pg_temp.id('runs')), pg_temp.fetched('b'), pg_temp.complete('other'), pg_temp.fetched('b');
-- One that had failed before was done with then.
SELECT pg_temp.four(), pg_temp.fetched('a'), pg_temp.fail('p', '"broken"'), nvent.queue_delete('a', pg_temp.id('p'));
SELECT name, state, waits_for, parents FROM flow WHERE name IN ('waits', 'runs');
SELECT nvent.queue_delete('b', pg_temp.id('runs')), nvent.queue_purge('b');
SELECT sum(count) FROM rubbish;
SELECT pg_temp.four(), pg_temp.fetched('a'), pg_temp.complete('p', '"kept"'), nvent.queue_delete('a', pg_temp.id('p'));
SELECT name, state, waits_for, parents FROM flow;
SELECT nvent.queue_purge('b');
SELECT name, state, waits_for, parents FROM flow;
SELECT sum(count) FROM rubbish;
-- With their queue.
SELECT nvent.queue_create('gone');
SELECT pg_temp.flow('{"name": "p", "queue": "gone"}', '{"name": "done", "queue": "gone"}', '{"name": "c", "queue": "a", "after": "p", "onFailure": "run"}', '{"name": "w", "queue": "a", "after": "p", "onFailure": "wait"}',
    '{"name": "d", "queue": "a", "after": ["done", "p"], "onFailure": "run"}', '{"name": "x", "queue": "gone", "after": "c"}', '{"name": "y", "queue": "a", "after": "x", "onFailure": "run"}');
SELECT nvent.queue_complete('gone', pg_temp.id('done'), 1, '"done"') FROM nvent.queue_fetch('gone', 2) OFFSET 1;
SELECT nvent.queue_drop('gone');
SELECT j.name, g.state, g.waits_for, (SELECT string_agg(format('%s %s', q.outcome, q.output), ', ' ORDER BY q.id) FROM nvent.queue_parents(j.queue, j.id) q) AS parents
FROM job j, nvent.queue_get(j.queue, j.id) g WHERE j.queue = 'a' ORDER BY j.id;
SELECT sum(count) FROM rubbish;
SELECT nvent.queue_purge('a');

-- A queue that keeps nothing: the child has what the parent left.
SELECT pg_temp.flow('{"name": "p", "queue": "brief"}', '{"name": "q", "queue": "brief"}', '{"name": "c", "queue": "brief", "after": ["p", "q"]}', '{"name": "d", "queue": "brief", "after": ["c"]}');
SELECT pg_temp.fetched('brief'), pg_temp.complete('p', '"left"');
SELECT count(*) FROM nvent.queue_complete_many('brief', ARRAY[pg_temp.id('q')], '{1}');
SELECT name, state, parents FROM flow;
SELECT pg_temp.fetched('brief'), pg_temp.complete('c'), pg_temp.fetched('brief'), pg_temp.complete('d');
SELECT (SELECT sum(count) FROM rubbish), (SELECT count(*) FROM flow WHERE state <> 'gone');

-- Maintenance leaves alone who waits and who is waited for, and takes all else.
UPDATE f_queues SET keep_queued = '0', keep_ended = '0' WHERE name IN ('a', 'b', 'sorry');
SELECT pg_temp.four(), pg_temp.fetched('a'), pg_temp.fail('p', '"broken"');
UPDATE f_job_runs SET lease_until = lease_until - interval '1 day', ended_at = ended_at - interval '1 hour' WHERE outcome IS NOT NULL;
SELECT nvent.maintain(1000, 'f') > 0 AS swept;
SELECT name, state, parents FROM flow;
SELECT nvent.queue_cancel('b', pg_temp.id('waits')), nvent.queue_cancel('b', pg_temp.id('runs'));
UPDATE f_job_runs SET lease_until = lease_until - interval '1 day', ended_at = ended_at - interval '1 hour' WHERE outcome IS NOT NULL;
SELECT nvent.maintain(1000, 'f') > 0 AS swept;
SELECT count(*) FROM flow WHERE state <> 'gone';
SELECT sum(count) FROM rubbish;
UPDATE f_queues SET keep_queued = NULL, keep_ended = NULL WHERE name IN ('a', 'b', 'sorry');

-- Keys: who waits has its key, and gives it back when it ends for a parent.
SELECT pg_temp.flow('{"name": "p", "queue": "a"}', '{"name": "c", "queue": "one", "key": "k", "after": "p"}');
SELECT nvent.queue_send('one', key => 'k') IS NULL AS taken, pg_temp.fetched('a'), pg_temp.fail('p'), nvent.queue_send('one', key => 'k') > 0 AS free;
-- A flow of which one has a key that is taken is not sent.
SELECT pg_temp.flow('{"name": "p", "queue": "a"}', '{"name": "c", "queue": "one", "key": "k", "after": "p"}');
SELECT pg_temp.fetched('a'), nvent.queue_resume('one', pg_temp.id('c'));

-- What is no flow.
SELECT nvent.queue_flow(NULL);
SELECT nvent.queue_flow(ARRAY[NULL::jsonb]);
SELECT nvent.queue_flow(ARRAY['1']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "none"}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": 1}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a", "nonsense": 1}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a", "after": "later"}', '{"queue": "a", "name": "later"}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a", "name": "self", "after": "self"}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a", "after": {"x": 1}}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a", "after": [1]}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a", "name": "x"}', '{"queue": "a", "name": "x"}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a", "name": ""}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY[jsonb_build_object('queue', 'a', 'name', repeat('x', 256))]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a", "onFailure": "shrug"}']::jsonb[]);
SELECT nvent.queue_flow(ARRAY['{"queue": "a"}']::jsonb[], 'none');
BEGIN READ ONLY;
SELECT nvent.queue_flow(ARRAY['{"queue": "a"}']::jsonb[]);
ROLLBACK;
SELECT count(*) FROM nvent.queue_fetch('a', 10);

-- A wide one and a deep one.
SELECT count(*) FROM nvent.queue_flow((SELECT array_agg(jsonb_build_object('queue', 'a', 'name', 'w' || i) ORDER BY i) FROM generate_series(1, 500) i)
    || jsonb_build_object('queue', 'b', 'data', 'last', 'after', (SELECT jsonb_agg('w' || i) FROM generate_series(1, 500) i)));
SELECT count(nvent.queue_complete('a', f.id, f.attempt)) FROM nvent.queue_fetch('a', 1000) f;
SELECT data FROM nvent.queue_fetch('b', 10);
SELECT count(*) FROM nvent.queue_flow((SELECT array_agg(jsonb_build_object('queue', 'a', 'name', 'd' || i, 'after', CASE WHEN i > 1 THEN 'd' || i - 1 END, 'onFailure', CASE i % 2 WHEN 0 THEN 'fail' END) ORDER BY i) FROM generate_series(1, 500) i));
SELECT count(nvent.queue_fail('a', f.id, f.attempt)) FROM nvent.queue_fetch('a', 1000) f;
SELECT outcome, count(*) FROM f_job_parents p WHERE EXISTS (SELECT FROM f_job_runs r WHERE r.id = p.id AND r.output ? 'parent') AND p.parent > (SELECT max(id) FROM f_jobs) - 600 GROUP BY 1 ORDER BY 1;
SELECT sum(count) FROM rubbish;

-- Jobs outside of flows have nothing of it.
SELECT nvent.queue_send('a') AS plain \gset
SELECT nvent.queue_complete('a', f.id, f.attempt) FROM nvent.queue_fetch('a') f;
SELECT j.flow, r.flow FROM f_jobs j JOIN f_job_runs r USING (id) WHERE id = :plain;

-- Who may read sees it, who may write does it, and others learn nothing.
CREATE ROLE regress_nvs_reader;
CREATE ROLE regress_nvs_writer;
CREATE ROLE regress_nvs_stranger;
SELECT nvent.store_grant('regress_nvs_reader', 'read'), nvent.store_grant('regress_nvs_writer', 'write');
GRANT USAGE ON SCHEMA nvent TO regress_nvs_stranger;
SELECT pg_temp.flow('{"name": "p", "queue": "a"}', '{"name": "c", "queue": "b", "after": "p"}');
CREATE FUNCTION pg_temp.calls(p bigint, c bigint) RETURNS TABLE (call text, result text) LANGUAGE sql VOLATILE AS $$
    SELECT c, pg_temp.answer(replace(replace(c, '{p}', $1::text), '{c}', $2::text)) FROM unnest(ARRAY[
        '(SELECT waits_for FROM nvent.queue_get(''b'', {c}))', '(SELECT count(*) FROM nvent.queue_parents(''b'', {c}))', '(SELECT count(*) FROM nvent.queue_parents(''a'', {c}))',
        '(SELECT count(*) FROM nvent.queue_children(''a'', {p}))', '(SELECT count(*) FROM nvent.queue_children(''b'', {p}))',
        '(SELECT count(*) FROM nvent.queue_flow(ARRAY[''{"queue": "dead", "name": "x"}'', ''{"queue": "b", "after": "x"}'']::jsonb[]))',
        '(SELECT count(nvent.queue_complete(''a'', f.id, f.attempt)) FROM nvent.queue_fetch(''a'') f)',
        '(SELECT count(*) FROM nvent.queue_fetch(''b'') f)']) WITH ORDINALITY u (c, n) ORDER BY n $$;
SELECT pg_temp.id('p') AS p, pg_temp.id('c') AS c \gset
SET ROLE regress_nvs_stranger;
SELECT * FROM pg_temp.calls(:p, :c);
SET ROLE regress_nvs_reader;
SELECT * FROM pg_temp.calls(:p, :c);
SET ROLE regress_nvs_writer;
SELECT * FROM pg_temp.calls(:p, :c);

-- He may write rows by hand, whose parent has any number: they are children, and
-- none of the jobs that a call names.
INSERT INTO f_jobs (id, queue, priority, flow) SELECT -i, number, priority, true FROM f_queues, generate_series(0, 2000) i WHERE name = 'a';
INSERT INTO f_job_parents (id, parent, queue, parent_queue) SELECT -i, 0, number, number FROM f_queues, generate_series(1, 2000) i WHERE name = 'a';
SELECT nvent.queue_cancel('a', 0), nvent.queue_resume('a', 0);
SELECT f.id, nvent.queue_complete('a', f.id, f.attempt) FROM nvent.queue_fetch('a') f;
SELECT outcome, count(*), (SELECT count(*) FROM f_job_runs r WHERE r.id < 0) AS runs FROM f_job_parents WHERE parent = 0 GROUP BY 1;
RESET ROLE;
DROP VIEW flow, rubbish;
DROP TABLE job;
RESET nvent_store.default_store;
SELECT nvent.store_migrate('f', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_reader, regress_nvs_writer, regress_nvs_stranger;
DROP ROLE regress_nvs_reader, regress_nvs_writer, regress_nvs_stranger;
