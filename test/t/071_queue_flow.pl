# Flows under load and through crashes: eight sessions send random ones, fetch,
# complete, fail and let leases run out, cancel, resume, retry and delete, roll some
# of that back, and are killed at it.  No job is fetched before its time, none waits
# for what has ended, and each knows how its parents did.
#
# NVS_OPERATIONS is how many each session makes (300), NVS_CRASHES how often the
# server dies (2), NVS_SEED the seed of what is done, which is printed.
#
# Seen to fail: without the lock on the row of who waits, jobs wait for what has
# ended; with children that are not looked after in the order of their ids,
# sessions deadlock.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use Operations;
use PostgreSQL::Test::Utils;
use Test::More;

my $operations = $ENV{NVS_OPERATIONS} // 300;
my $crashes = $ENV{NVS_CRASHES} // 2;

random_seed();

my $node = new_server('queue_flow', "restart_after_crash = on\n");

$node->safe_psql('postgres', <<'EOT');
SELECT nvent.queue_create(q, retry_limit => 1, lease => '20 ms', keep_ended => CASE q WHEN 'brief' THEN interval '0' ELSE '7 days' END)
FROM unnest('{a,b,brief}'::text[]) q;
CREATE TABLE sent (id bigint PRIMARY KEY, queue text, parents bigint[], on_failure text);
-- Jobs that somebody had run by hand, whatever their parents did.
CREATE TABLE forced (id bigint);
CREATE TABLE early (id bigint, parents text);

-- Sends a flow whose jobs wait for some of those before them.
CREATE PROCEDURE send_flow() LANGUAGE plpgsql AS $$
DECLARE
	jobs jsonb[] := '{}';
	ids bigint[];
BEGIN
	FOR i IN 1 .. 2 + (random() * 6)::int LOOP
		jobs := jobs || jsonb_build_object('queue', ('{a,b,brief}'::text[])[1 + floor(random() * 3)], 'name', 'j' || i, 'priority', (random() * 2)::int,
			'onFailure', ('{wait,cancel,fail,run}'::text[])[1 + floor(random() * 4)],
			'after', (SELECT coalesce(jsonb_agg('j' || p), '[]') FROM generate_series(1, i - 1) p WHERE random() < 0.5));
	END LOOP;
	SELECT array_agg(f.id ORDER BY f.n) INTO ids FROM nvent.queue_flow(jobs) WITH ORDINALITY f (id, n);
	INSERT INTO sent SELECT ids[n], j ->> 'queue', ARRAY(SELECT ids[substr(p, 2)::int] FROM jsonb_array_elements_text(j -> 'after') p), j ->> 'onFailure'
	FROM unnest(jobs) WITH ORDINALITY u (j, n);
END $$;

-- Fetches jobs, and notes those that are there too early: by another statement,
-- which sees what the fetch saw.
CREATE FUNCTION fetch_some(q text, n int) RETURNS TABLE (id bigint, attempt int) LANGUAGE plpgsql AS $$
BEGIN
	FOR id, attempt IN SELECT f.id, f.attempt FROM nvent.queue_fetch(q, n) f LOOP
		INSERT INTO early SELECT s.id, (SELECT string_agg(format('%s %s', p.id, p.outcome), ', ') FROM nvent.queue_parents(q, s.id) p)
		FROM sent s WHERE s.id = fetch_some.id AND s.id NOT IN (SELECT f.id FROM forced f)
		AND (SELECT count(*) FROM nvent.queue_parents(q, s.id) p WHERE p.outcome = 'completed' OR s.on_failure = 'run' AND p.outcome IS NOT NULL) < cardinality(s.parents);
		RETURN NEXT;
	END LOOP;
END $$;
EOT
$node->safe_psql('postgres', operate_sql(<<'VARIABLES', <<'OPERATION') . drain_sql(<<'STATEMENTS', <<'LEFT') . <<'EOT');
	q text;
	ids bigint[];
	attempts int[];
	job sent;
VARIABLES
		SELECT * INTO job FROM (SELECT * FROM sent ORDER BY id DESC LIMIT 100) s ORDER BY random() LIMIT 1;
		q := ('{a,b,brief}'::text[])[1 + floor(random() * 3)];
		IF dice < 0.15 OR job.id IS NULL THEN
			CALL send_flow();
		ELSIF dice < 0.8 THEN
			SELECT array_agg(f.id), array_agg(f.attempt) INTO ids, attempts FROM fetch_some(q, 1 + (random() * 5)::int) f;
			COMMIT;
			IF ids IS NULL THEN
			ELSIF dice < 0.55 THEN
				PERFORM nvent.queue_complete_many(q, ids, attempts);
			ELSIF dice < 0.6 THEN
				PERFORM nvent.queue_complete(q, ids[1], attempts[1], to_jsonb(i));
			ELSIF dice < 0.75 THEN
				PERFORM nvent.queue_work(q, NULL, (SELECT jsonb_agg(jsonb_build_object('id', u.id, 'attempt', u.attempt, 'error', i)) FROM unnest(ids, attempts) u (id, attempt)), 0);
			END IF;
		ELSIF dice < 0.86 THEN
			PERFORM nvent.queue_cancel(job.queue, job.id);
		ELSIF dice < 0.9 THEN
			INSERT INTO forced SELECT job.id WHERE nvent.queue_resume(job.queue, job.id);
		ELSIF dice < 0.96 THEN
			INSERT INTO forced SELECT job.id WHERE nvent.queue_retry(job.queue, job.id);
		ELSE
			PERFORM nvent.queue_delete(job.queue, job.id);
		END IF;
OPERATION
		FOREACH q IN ARRAY '{a,b,brief}'::text[] LOOP
			PERFORM nvent.queue_complete(q, f.id, f.attempt) FROM fetch_some(q, 50) f;
			COMMIT;
		END LOOP;
STATEMENTS
SELECT FROM sent s, nvent.queue_get(s.queue, s.id) g WHERE g.state IN ('created', 'retry', 'active')
LEFT
-- What children that wait know of their parents, and what is so.
CREATE VIEW knows AS
	SELECT p.id, p.parent, p.outcome, coalesce(g.state, 'gone') AS state, w.on_failure
	FROM nvent_job_waits w JOIN nvent_job_parents p USING (id) JOIN sent s ON s.id = p.parent LEFT JOIN LATERAL nvent.queue_get(s.queue, s.id) g ON true;
EOT

# Each finds what is wrong: a title and a query.
my @checks = (
	'none is fetched before its time' =>
	  'SELECT * FROM early',
	'none waits for what has ended' =>
	  q(SELECT w.id, w.pending, w.on_failure FROM nvent_job_waits w WHERE w.pending <= 0 OR w.pending <> (SELECT count(*) FROM nvent_job_parents p WHERE p.id = w.id AND (p.outcome IS NULL OR p.outcome <> 'completed' AND w.on_failure <> 'run'))),
	'each knows how its parents ended' =>
	  q(SELECT * FROM knows WHERE outcome IS DISTINCT FROM CASE state WHEN 'gone' THEN CASE outcome WHEN 'deleted' THEN 'deleted' ELSE 'completed' END WHEN 'waiting' THEN NULL ELSE state END),
	'only who wants to waits for who has failed' =>
	  q(SELECT * FROM knows WHERE outcome IN ('failed', 'cancelled', 'deleted') AND NOT (on_failure = 'run' OR on_failure = 'wait' AND outcome <> 'deleted')),
	'who waits does nothing else' =>
	  'SELECT id FROM nvent_job_waits WHERE id IN (SELECT id FROM nvent_job_turns UNION ALL SELECT id FROM nvent_job_runs) OR id NOT IN (SELECT id FROM nvent_jobs)',
	'who does not is somewhere else' =>
	  q(SELECT id FROM nvent_jobs WHERE due_at = 'infinity' AND id NOT IN (SELECT id FROM nvent_job_waits UNION SELECT id FROM nvent_job_turns UNION SELECT id FROM nvent_job_runs)),
	'nothing is left of those that are gone' =>
	  'SELECT id FROM (SELECT id FROM nvent_job_parents UNION SELECT id FROM nvent_job_turns UNION SELECT id FROM nvent_job_runs) x WHERE id NOT IN (SELECT id FROM nvent_jobs)',
	'nothing is left to do' =>
	  q(SELECT s.id, g.state FROM sent s, nvent.queue_get(s.queue, s.id) g WHERE g.state IN ('created', 'retry', 'active')),
	'who waits still waits for one that failed' =>
	  q(SELECT id FROM knows GROUP BY id HAVING NOT bool_or(coalesce(state IN ('failed', 'cancelled', 'waiting'), false))));

my @check = ($node, 'load', q(SELECT coalesce(g.state, 'gone') FROM sent s LEFT JOIN LATERAL nvent.queue_get(s.queue, s.id) g ON true), @checks);

operate($node, 'load', $operations);
check_operations(@check);
operate_through_crashes($node, 'load', $crashes);
$check[1] = 'after crashes';
check_operations(@check);

$node->stop;
done_testing();
