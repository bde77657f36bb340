-- Limits of groups: so many jobs of one are active at a time.
--
-- Seen to fail: with all jobs of a group taking its first place, and without places
-- given back where a run or a job ends, in "Groups"; with dead letters that do not
-- tell of the group, with jobs that stay in the lane of the group which they had, or
-- leave it without a sign, in "Jobs that got their groups"; without what maintenance
-- does about jobs or lanes, in "A lease"; where jobs of no lane are chosen without
-- being counted, in "Behind many".
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_named.sql'
\i :helpers

-- Groups: so many of each are active, of jobs without one any number; whatever
-- ends a run makes room.
SELECT nvent.queue_create('g', group_limit => 0);
SELECT nvent.queue_create('g', group_limit => 10001);
SELECT nvent.queue_create('g', group_limit => 2), nvent.queue_create('gs', 'singleton', group_limit => 1), nvent.queue_create('gf', 'key_strict_fifo', group_limit => 2);
UPDATE q_queues SET group_limit = 3 WHERE name = 'g';
SELECT nvent.queue_send('g', group_name => '');
SELECT nvent.queue_send_batch('g', ARRAY[jsonb_build_object('group', repeat('x', 1001))]);
SELECT pg_temp.group('g', 'A-1', 'A-2', 'A-3', 'A-4', 'B-1', '-5', '-6', 'B-2', 'B-3');
SELECT pg_temp.fetch('g', 3), pg_temp.fetch('g', 1), pg_temp.fetch('g');
SELECT pg_temp.done('A-1'), pg_temp.fetch('g'), pg_temp.fail('A-2'), pg_temp.fetch('g'), pg_temp.fetch('g');
SELECT nvent.queue_cancel(queue, id), pg_temp.fetch('g') FROM pg_temp.job('B-1');
SELECT nvent.queue_release(queue, id, attempt), pg_temp.fetch('g', 1) FROM pg_temp.job('A-2');
SELECT nvent.queue_delete(queue, id), pg_temp.fetch('g') FROM pg_temp.job('B-2');
SELECT pg_temp.states('g'), count(*) FROM pg_temp.stray();
SELECT pg_temp.done('A-2', 'A-3', 'B-3', '-5', '-6'), pg_temp.fetch('g');
SELECT pg_temp.done('A-4'), pg_temp.fetch('g');
SELECT count(*) FROM q_job_lanes WHERE queue = (SELECT number FROM q_queues WHERE name = 'g');
-- Both: first the key, then the group; where keys are strict, who waits for its
-- group keeps the key.
SELECT pg_temp.group('gs', 'C-k', 'C-l', 'D-k', 'D-m', 'E-m'), pg_temp.fetch('gs');
SELECT pg_temp.done('C-k'), pg_temp.fetch('gs'), pg_temp.done('D-m'), pg_temp.fetch('gs');
SELECT pg_temp.done('C-l', 'D-k', 'E-m'), pg_temp.fetch('gs'), count(*) FROM pg_temp.stray();
SELECT pg_temp.group('gf', 'F-k', 'F-l', 'F-m', 'G-m', 'G-k'), pg_temp.fetch('gf');
SELECT nvent.queue_cancel(queue, id), pg_temp.fetch('gf') FROM pg_temp.job('F-m');
SELECT pg_temp.done('F-k'), pg_temp.fetch('gf'), pg_temp.done('F-l', 'G-m', 'G-k'), pg_temp.fetch('gf'), count(*) FROM pg_temp.stray();

-- Jobs that got their groups otherwise: later, by another call, as children, as
-- dead letters that are put back.
SELECT nvent.queue_create('dead'), nvent.queue_create('one', group_limit => 1, retry_limit => 0, dead_letter => 'dead');
SELECT pg_temp.group('one', 'H-1', 'H-2', 'I-1', 'I-2'), pg_temp.fetch('one');
SELECT count(*) FROM pg_temp.job('H-2') j, nvent.queue_update('one', j.id, group_name => 'J');
SELECT pg_temp.fetch('one'), pg_temp.done('H-1', 'H-2'), pg_temp.fetch('one'), group_name FROM q_jobs j, pg_temp.job('H-2') h WHERE j.id = h.id;
SELECT nvent.queue_upsert('one', '"I-2"', key => '2', group_name => 'I') IS NOT NULL AS changed, pg_temp.fetch('one');
SELECT nvent.queue_upsert('one', '"I-3"', key => '3', group_name => 'I') IS NOT NULL AS sent, pg_temp.fetch('one');
SELECT count(*) FROM pg_temp.job('I-2') j, nvent.queue_update('one', j.id, start_after => '1 h');
SELECT pg_temp.done('I-1'), pg_temp.fetch('one'), pg_temp.done('I-3');
SELECT count(*) FROM pg_temp.job('I-2') j, nvent.queue_update('one', j.id, start_after => '0');
SELECT pg_temp.fetch('one'), pg_temp.fail('I-2');
-- One that was to be next in its group, and is no more in it: another is.
SELECT pg_temp.group('one', 'X-1', 'X-2', 'X-3'), pg_temp.fetch('one'), pg_temp.fetch('one');
SELECT nvent.queue_send('one', '"-y"', 5) IS NOT NULL AS sent, pg_temp.done('X-1'), pg_temp.fetch('one', 1);
SELECT count(*) FROM pg_temp.job('X-2') j, nvent.queue_update('one', j.id, group_name => 'Y');
SELECT pg_temp.fetch('one'), pg_temp.done('X-2', 'X-3', '-y');
SELECT job FROM nvent.queue_redrive('dead') \gset
SELECT group_name FROM q_jobs WHERE id = :job;
SELECT pg_temp.group('one', 'I-4'), pg_temp.fetch('one'), pg_temp.fetch('one');
SELECT nvent.queue_complete('one', :job, 1), pg_temp.fetch('one'), pg_temp.done('I-4');
SELECT count(*) FROM nvent.queue_flow(ARRAY['{"name": "p", "queue": "dead", "data": "p"}', '{"queue": "one", "after": "p", "data": "c1", "group": "K"}', '{"queue": "one", "after": "p", "data": "c2", "group": "K"}']::jsonb[]);
SELECT pg_temp.fetch('one'), pg_temp.fetch('dead'), pg_temp.done('p'), pg_temp.fetch('one');
SELECT pg_temp.done('c1'), pg_temp.fetch('one'), pg_temp.fail('c2'), pg_temp.group('one', 'K-3'), pg_temp.fetch('one'), nvent.queue_retry('one', j.id), pg_temp.fetch('one') FROM pg_temp.job('c2') j;
SELECT pg_temp.done('K-3'), pg_temp.fetch('one');
SELECT count(*) FROM pg_temp.stray();

-- Behind many that wait no more are fetched than are wanted.
SELECT nvent.queue_create('many', group_limit => 1);
SELECT count(*) FROM nvent.queue_send_batch('many', array_fill('{"group": "N"}'::jsonb, ARRAY[200]) || array_fill('{}'::jsonb, ARRAY[200]));
SELECT count(*) FROM nvent.queue_fetch('many', 5);

-- A lease that runs out makes room; so does maintenance, where rows were deleted
-- by hand, of jobs or of lanes.
SELECT nvent.queue_create('short', group_limit => 1, retry_limit => 0);
SELECT nvent.queue_send('short', '"L-1"', lease => '1 ms', group_name => 'L') IS NOT NULL AS sent;
SELECT pg_temp.group('short', 'L-2', 'L-3'), pg_temp.fetch('short'), pg_sleep(0.01), pg_temp.fetch('short', 1), pg_temp.fetch('short', 1);
SELECT nvent.queue_create('hand', group_limit => 1);
SELECT pg_temp.group('hand', 'M-1', 'M-2', 'M-3', 'M-4'), pg_temp.fetch('hand'), pg_temp.fetch('hand');
DELETE FROM q_job_runs r USING pg_temp.job('M-1') j WHERE r.id = j.id;
DELETE FROM q_jobs WHERE data = '"M-1"';
SELECT pg_temp.fetch('hand'), nvent.maintain(100, 'q'), pg_temp.fetch('hand'), pg_temp.fetch('hand');
DELETE FROM q_job_lanes;
SELECT nvent.maintain(100, 'q'), pg_temp.fetch('hand'), pg_temp.fetch('hand');
SELECT pg_temp.done('M-3'), pg_temp.fetch('hand'), pg_temp.done('M-2', 'M-4'), pg_temp.fetch('hand');

SELECT nvent.queue_drop(name) FROM (SELECT name FROM q_queues ORDER BY name) q;
SELECT count(*) FROM q_job_lanes;
SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
