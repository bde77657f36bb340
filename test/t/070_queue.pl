# Queues under load and through crashes: every job once, no matter how many fetch;
# and whatever eight sessions do to a few hundred jobs at random, and who dies at
# it, what is there at the end is what their results say.  With shared memory and
# without.
#
# NVS_OPERATIONS is how many each session makes (400), NVS_CRASHES how often the
# server dies (3), NVS_SEED the seed of what is done, which is printed.
#
# Seen to fail: with the attempt left out of what is compared when runs begin, a
# worker is told of another attempt than the one that he has ("no operation
# fails").

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use Operations;
use PostgreSQL::Test::Utils;
use Test::More;

my $operations = $ENV{NVS_OPERATIONS} // 400;
my $crashes = $ENV{NVS_CRASHES} // 3;
my $sessions = 8;

random_seed();

# What a session does at random.  What it was told is written down in the same
# transaction, so that it is known of exactly what is in effect.
my $model = <<'EOT';
CREATE TABLE sent (id bigint PRIMARY KEY);
CREATE TABLE fetched (id bigint, attempt int, data jsonb, PRIMARY KEY (id, attempt));
CREATE TABLE settled (id bigint, attempt int, how text, PRIMARY KEY (id, attempt));
CREATE TABLE cancelled (id bigint);
CREATE TABLE deleted (id bigint PRIMARY KEY);
CREATE TABLE redriven (id bigint PRIMARY KEY, source_id bigint);
CREATE TABLE buried (id bigint PRIMARY KEY);
CREATE TABLE throttled (id bigint PRIMARY KEY);
CREATE TABLE updated (id bigint);
SELECT nvent.queue_create('dead', keep_queued => NULL);
SELECT nvent.queue_create('m', retry_limit => 2, dead_letter => 'dead', lease => '20 ms');

CREATE TYPE lease AS (id bigint, attempt int);
CREATE FUNCTION some_id() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$SELECT id FROM (SELECT id FROM sent ORDER BY id DESC LIMIT 200) s ORDER BY random() LIMIT 1$$;
CREATE FUNCTION is_late(chance float, yes interval) RETURNS interval LANGUAGE sql VOLATILE AS
    $$SELECT CASE WHEN random() < chance THEN yes * random() END$$;
EOT

$model .= operate_sql(<<'VARIABLES', <<'OPERATION');
    held lease[] := '{}';
    one lease;
    job bigint;
VARIABLES
        IF cardinality(held) > 20 THEN
            held := held[11:];
        END IF;
        job := some_id();
        one := held[1 + floor(random() * cardinality(held))];
        IF dice < 0.15 OR job IS NULL THEN
            INSERT INTO sent SELECT nvent.queue_send('m', to_jsonb(i), (random() * 3)::int, start_after => is_late(0.3, '50 ms'),
                lease => is_late(0.5, '100 ms') + '1 ms', max_run => is_late(0.1, '200 ms') + '1 ms');
        ELSIF dice < 0.165 THEN
            WITH n AS (SELECT nvent.queue_send('m', to_jsonb(i), key => 'k' || i % 3, throttle => CASE WHEN i % 2 = 0 THEN interval '50 ms' END, debounce => CASE WHEN i % 2 = 1 THEN interval '50 ms' END) AS id),
                s AS (INSERT INTO sent SELECT id FROM n WHERE id IS NOT NULL)
            INSERT INTO throttled SELECT id FROM n WHERE id IS NOT NULL;
        ELSIF dice < 0.18 THEN
            INSERT INTO sent SELECT nvent.queue_send_batch('m', ARRAY(SELECT jsonb_build_object('data', g, 'priority', g % 4) FROM generate_series(1, 5) g));
        ELSIF dice < 0.21 THEN
            -- What is changed is so before it is fetched, or not at all.
            INSERT INTO updated SELECT nvent.queue_update('m', job, to_jsonb(i || ' ' || random()), CASE WHEN i % 3 = 0 THEN i % 5 END, start_after => CASE WHEN i % 2 = 0 THEN is_late(0.7, '20 ms') END);
        ELSIF dice < 0.22 THEN
            WITH n AS (SELECT nvent.queue_upsert('m', to_jsonb(i || ' ' || random()), key => 'u' || i % 3) AS id)
            INSERT INTO sent SELECT id FROM n ON CONFLICT DO NOTHING;
        ELSIF dice < 0.45 THEN
            WITH f AS (SELECT f.id, f.attempt, f.data FROM nvent.queue_fetch('m', 1 + (random() * 8)::int, 'w') f), l AS (INSERT INTO fetched SELECT * FROM f)
            SELECT held || array_agg(ROW(id, attempt)::lease) INTO held FROM f;
        ELSIF dice < 0.65 AND one IS NOT NULL THEN
            INSERT INTO settled SELECT one.id, one.attempt, 'completed' WHERE nvent.queue_complete('m', one.id, one.attempt);
        ELSIF dice < 0.69 AND cardinality(held) > 0 THEN
            INSERT INTO settled SELECT c, (SELECT max(attempt) FROM unnest(held) h WHERE h.id = c), 'completed'
                FROM (SELECT array_agg(id) AS ids, array_agg(attempt) AS attempts FROM (SELECT id, max(attempt) AS attempt FROM unnest(held) GROUP BY id) h) h, nvent.queue_complete_many('m', ids, attempts) c;
        ELSIF dice < 0.77 AND one IS NOT NULL THEN
            INSERT INTO settled SELECT one.id, one.attempt, 'failed' WHERE nvent.queue_fail('m', one.id, one.attempt, to_jsonb(i));
        ELSIF dice < 0.82 AND one IS NOT NULL THEN
            INSERT INTO settled SELECT one.id, one.attempt, 'released' WHERE nvent.queue_release('m', one.id, one.attempt, is_late(0.3, '20 ms'));
        ELSIF dice < 0.87 AND one IS NOT NULL THEN
            PERFORM nvent.queue_touch('m', one.id, one.attempt, is_late(0.5, '50 ms') + '1 ms');
        ELSIF dice < 0.91 THEN
            INSERT INTO cancelled SELECT job WHERE nvent.queue_cancel('m', job);
        ELSIF dice < 0.93 THEN
            PERFORM nvent.queue_resume('m', job);
        ELSIF dice < 0.96 THEN
            PERFORM nvent.queue_retry('m', job);
        ELSIF dice < 0.98 THEN
            INSERT INTO deleted SELECT job WHERE nvent.queue_delete('m', job);
        ELSIF dice < 0.985 THEN
            WITH r AS (SELECT r.* FROM nvent.queue_redrive('dead', 3) r), s AS (INSERT INTO sent SELECT r.job FROM r WHERE r.job IS NOT NULL)
            INSERT INTO redriven SELECT r.id, r.source_id FROM r WHERE r.job IS NOT NULL;
        ELSIF dice < 0.99 THEN
            INSERT INTO buried SELECT f.id FROM nvent.queue_fetch('dead', 2) f WHERE nvent.queue_complete('dead', f.id, f.attempt);
        ELSE
            PERFORM pg_sleep(random() * 0.02);
        END IF;
OPERATION
$model .= drain_sql(<<'STATEMENTS', <<'LEFT');
        WITH f AS (SELECT f.id, f.attempt, f.data FROM nvent.queue_fetch('m', 50) f), l AS (INSERT INTO fetched SELECT * FROM f)
        INSERT INTO settled SELECT id, attempt, 'completed' FROM f WHERE nvent.queue_complete('m', id, attempt);
STATEMENTS
SELECT FROM nvent_jobs j, nvent.queue_get('m', j.id) g WHERE g.state IN ('created', 'retry', 'active')
LEFT
$model .= <<'EOT';
CREATE VIEW runs AS
    SELECT r.*, lag(attempt, 1, 0) OVER w AS before, lag(ended_at) OVER w AS ended_before, lag(outcome, 1, 'none') OVER w AS outcome_before
    FROM nvent_job_runs r WHERE queue = (SELECT number FROM nvent_queues WHERE name = 'm') WINDOW w AS (PARTITION BY id ORDER BY attempt);
EOT

# Each finds what is wrong: a title and a query.
my @checks = (
	'no job is lost' =>
	  'SELECT id FROM sent EXCEPT SELECT id FROM deleted EXCEPT SELECT id FROM nvent_jobs',
	'none is there that nobody sent, or that was deleted' =>
	  q(SELECT j.id FROM nvent_jobs j JOIN nvent_queues q ON q.number = j.queue WHERE q.name = 'm' AND (j.id NOT IN (SELECT id FROM sent) OR j.id IN (SELECT id FROM deleted))),
	'nothing is left of those that were deleted' =>
	  'SELECT id FROM nvent_job_runs WHERE id NOT IN (SELECT id FROM nvent_jobs) UNION ALL SELECT id FROM nvent_job_turns WHERE id NOT IN (SELECT id FROM nvent_jobs)',
	'attempts increase by one' =>
	  'SELECT id, attempt FROM runs WHERE attempt <> before + 1',
	'one lease at a time' =>
	  'SELECT id, attempt FROM runs WHERE before > 0 AND (outcome_before IS NULL OR ended_before > started_at)',
	'a lease that ran out did so before' =>
	  q(SELECT id, attempt FROM runs WHERE outcome = 'expired' AND ended_at < lease_until),
	'what was fetched has run' =>
	  'SELECT f.id, f.attempt FROM fetched f WHERE f.id NOT IN (SELECT id FROM deleted) AND NOT EXISTS (SELECT FROM runs r WHERE (r.id, r.attempt) = (f.id, f.attempt))',
	'what has run was fetched, or cancelled before' =>
	  q(SELECT r.id, r.attempt FROM runs r WHERE NOT EXISTS (SELECT FROM fetched f WHERE (r.id, r.attempt) = (f.id, f.attempt)) AND NOT (r.outcome IN ('cancelled', 'resumed') AND r.attempt = 1)),
	'what was settled is how runs ended' =>
	  q(SELECT s.id, s.attempt, s.how, r.outcome FROM settled s LEFT JOIN runs r ON (r.id, r.attempt) = (s.id, s.attempt) WHERE s.id NOT IN (SELECT id FROM deleted) AND r.outcome IS DISTINCT FROM s.how AND NOT (r.outcome IN ('cancelled', 'resumed') AND s.how IN ('failed', 'released'))),
	'and nothing else ended so' =>
	  q(SELECT r.id, r.attempt, r.outcome FROM runs r WHERE r.outcome IN ('completed', 'failed', 'released') AND NOT EXISTS (SELECT FROM settled s WHERE (s.id, s.attempt, s.how) = (r.id, r.attempt, r.outcome))),
	'none is completed twice, or goes on' =>
	  q(SELECT id FROM runs WHERE outcome_before = 'completed'),
	# A run that was cancelled is told from the others when it is resumed; one that
	# was resumed and cancelled again is the same run.
	'what was cancelled says so' =>
	  q(SELECT c.id, c.count, r.count FROM (SELECT id, count(*) FROM cancelled WHERE id NOT IN (SELECT id FROM deleted) GROUP BY id) c
		FULL JOIN (SELECT id, count(*) FROM runs WHERE outcome IN ('cancelled', 'resumed') GROUP BY id) r USING (id)
		WHERE (r.count BETWEEN 1 AND c.count) IS NOT TRUE),
	# A run that failed for good may have been cancelled when it was retried.
	'dead letters' =>
	  q(WITH f AS (SELECT r.id, count(*) FILTER (WHERE r.outcome NOT IN ('cancelled', 'resumed')) AS least, count(*) AS most FROM runs r WHERE r.outcome IN ('failed', 'expired', 'cancelled', 'resumed') AND r.retries >= 2 GROUP BY r.id),
		d AS (SELECT id, count(*) FROM (SELECT (origin ->> 'id')::bigint AS id FROM nvent_jobs WHERE origin ? 'queue' UNION ALL SELECT source_id FROM redriven) d GROUP BY 1)
		SELECT id, least, most, d.count FROM f FULL JOIN d USING (id) WHERE coalesce(d.count, 0) NOT BETWEEN coalesce(least, 0) AND coalesce(most, 0) AND id NOT IN (SELECT id FROM deleted)),
	'what was put back is in one place, and nobody had it' =>
	  q(SELECT id FROM redriven WHERE id IN (SELECT id FROM nvent_jobs UNION SELECT id FROM nvent_job_runs UNION SELECT id FROM nvent_job_turns UNION SELECT id FROM buried)),
	# A slot has one row that is not cancelled.
	'each throttled job has its slot, unless it was cancelled' =>
	  q(SELECT t.id, g.state, s.cancelled FROM throttled t LEFT JOIN nvent_job_slots s USING (id) LEFT JOIN LATERAL nvent.queue_get('m', t.id) g ON true
		WHERE s.id IS NULL OR (g.id IS NOT NULL AND s.cancelled <> (g.state = 'cancelled'))),
	# Unless it was given another time.
	'what was debounced did not start before its slot' =>
	  q(SELECT t.id FROM throttled t JOIN nvent_job_slots s USING (id) JOIN nvent_job_runs r USING (id) WHERE r.started_at < s.starts_at AND t.id NOT IN (SELECT id FROM updated)),
	'what was completed is what was fetched' =>
	  q(SELECT f.id, f.attempt, f.data, j.data FROM fetched f JOIN runs r USING (id, attempt) JOIN nvent_jobs j USING (id) WHERE r.outcome = 'completed' AND f.data IS DISTINCT FROM j.data),
	'nothing is left to do' =>
	  q(SELECT j.id, g.state FROM nvent_jobs j, nvent.queue_get('m', j.id) g WHERE g.state NOT IN ('completed', 'failed', 'cancelled')));

foreach my $way ([ 'preloaded', \&new_server ], [ 'plain', \&plain_server ])
{
	my ($name, $server) = @$way;
	my $node = $server->("queue_$name", "restart_after_crash = on\n");

	# --- Every job once ---

	my $jobs = 20000;
	$node->safe_psql('postgres', <<"EOT");
CREATE TABLE seen (id bigint);
SELECT nvent.queue_create('load');
SELECT count(*) FROM nvent.queue_send_batch('load', array_fill('{"data": 1}'::jsonb, ARRAY[$jobs]));
EOT
	load($node, "$name: many fetch at once", [ '-c', $sessions, '-t', int($jobs / $sessions / 10) ], <<'EOT');
\set n random(1, 50)
INSERT INTO seen SELECT id FROM nvent.queue_fetch('load', :n);
EOT
	is($node->safe_psql('postgres', q(SELECT count(*) || ' ' || count(DISTINCT id) FROM seen)), "$jobs $jobs", "$name: each of them once");
	is($node->safe_psql('postgres', q(SELECT count(*) FROM nvent.queue_fetch('load', 10))), 0, "$name: and none is left");
	$node->safe_psql('postgres', q(SELECT nvent.queue_drop('load')));

	# --- Anything, by many ---

	my @check = ($node, $name, q(SELECT coalesce(outcome, 'active') FROM nvent_job_runs), @checks);

	$node->safe_psql('postgres', $model);
	operate($node, $name, $operations);
	check_operations(@check);

	# --- The same, and the server dies of it ---

	operate_through_crashes($node, $name, $crashes);
	$check[1] .= ', after crashes';
	check_operations(@check);
	$node->stop;
}

done_testing();
