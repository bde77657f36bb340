# Lanes of queues under load and through crashes: never more active than a group
# or a key may have, nor begun in a time than rates allow, by the times of all
# runs; nobody starves behind a full group, keys are run in order, and nothing is
# left waiting.
#
# NVS_JOBS is how many jobs there are of the groups (3000), NVS_SEED the seed of
# what is done with them, which is printed.
#
# Seen to fail: without the locks of places in groups, by deadlocks ("no worker
# fails"); without those in the rate of the queue, and now and then when places
# were found to be free too late by a clock that was read before their rows
# ("never more begin in a time").

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $jobs = $ENV{NVS_JOBS} // 3000;
my $sessions = 8;

random_seed();

my $setup = <<"EOT";
SELECT nvent.queue_create('g', group_limit => 2, retry_limit => 100, lease => '3 s');
SELECT nvent.queue_create('s', 'singleton', retry_limit => 100, lease => '3 s');
SELECT nvent.queue_create('f', 'key_strict_fifo', retry_limit => 100, lease => '3 s');
SELECT nvent.queue_create('r', rate_limit => 40, rate_interval => '200 ms', group_rate_limit => 12, group_rate_interval => '200 ms', retry_limit => 100, lease => '3 s');
SELECT count(*) FROM nvent.queue_send_batch('r', (SELECT array_agg(jsonb_build_object('group', n % 4) ORDER BY n) FROM generate_series(1, $jobs / 10) n));
SELECT count(*) FROM nvent.queue_send_batch('g', (SELECT array_agg(jsonb_build_object('group', CASE WHEN n <= $jobs * 8 / 10 THEN 'big' WHEN n % 2 = 0 THEN 'b' ELSE 'c' END) ORDER BY n) FROM generate_series(1, $jobs) n));
SELECT count(*) FROM nvent.queue_send_batch('s', (SELECT array_agg(jsonb_build_object('key', nullif(n % 5, 0)) ORDER BY n) FROM generate_series(1, $jobs / 10) n));
SELECT count(*) FROM nvent.queue_send_batch('f', (SELECT array_agg(jsonb_build_object('key', n % 5) ORDER BY n) FROM generate_series(1, $jobs / 10) n));

CREATE VIEW runs AS
    SELECT q.name AS queue, j.id, r.attempt, r.started_at, r.ended_at, r.outcome, coalesce(j.group_name, j.key, '') AS lane
    FROM nvent_job_runs r JOIN nvent_jobs j USING (id) JOIN nvent_queues q ON q.number = j.queue;
CREATE FUNCTION is_done(q text) RETURNS boolean LANGUAGE sql AS
    \$\$SELECT NOT EXISTS (SELECT FROM nvent_jobs j WHERE j.queue = (SELECT number FROM nvent_queues WHERE name = q)
        AND NOT EXISTS (SELECT FROM nvent_job_runs r WHERE r.id = j.id AND r.outcome = 'completed'))\$\$;
CREATE PROCEDURE work(q text, seed float) LANGUAGE plpgsql AS \$\$
DECLARE
    ids bigint[];
    attempts int[];
    idle int := 0;
    dice float;
BEGIN
    PERFORM setseed(seed);
    LOOP
        SELECT array_agg(f.id), array_agg(f.attempt) INTO ids, attempts FROM nvent.queue_fetch(q, 1 + (random() * 4)::int) f;
        IF random() < 0.03 THEN
            ROLLBACK;
            CONTINUE;
        END IF;
        COMMIT;
        IF ids IS NULL THEN
            idle := idle + 1;
            EXIT WHEN idle % 50 = 0 AND is_done(q);
            PERFORM pg_sleep(0.005);
            CONTINUE;
        END IF;
        dice := random();
        IF dice < 0.03 THEN
            PERFORM nvent.queue_fail(q, ids[1], attempts[1]);
        ELSIF dice < 0.06 THEN
            PERFORM nvent.queue_release(q, ids[1], attempts[1]);
        END IF;
        PERFORM nvent.queue_complete_many(q, ids, attempts);
        IF random() < 0.03 THEN
            ROLLBACK;
            PERFORM nvent.queue_complete_many(q, ids, attempts);
        END IF;
        COMMIT;
    END LOOP;
END \$\$;

-- The most that were active at a time, by when runs began and ended.
CREATE VIEW most AS
    SELECT queue, max(active) AS most FROM (SELECT queue, sum(change) OVER (PARTITION BY queue, lane ORDER BY at, change) AS active
        FROM (SELECT queue, lane, started_at AS at, 1 AS change FROM runs UNION ALL SELECT queue, lane, ended_at, -1 FROM runs WHERE ended_at IS NOT NULL) e) s
    GROUP BY queue;
EOT

# Each finds what is wrong: a title and a query.
my @checks = (
	'all of them are done' => q(SELECT name FROM nvent_queues WHERE NOT is_done(name)),
	'each once' => q(SELECT id FROM runs WHERE outcome = 'completed' GROUP BY id HAVING count(*) > 1),
	'never more than two of a group' => q(SELECT * FROM most WHERE queue = 'g' AND most > 2),
	'never more than one of a key' => q(SELECT * FROM most WHERE queue IN ('s', 'f') AND most > 1),
	'never more begin in a time' => q(
		SELECT * FROM (SELECT id, count(*) OVER (ORDER BY started_at RANGE BETWEEN CURRENT ROW AND interval '199999 us' FOLLOWING) AS begun,
				count(*) OVER (PARTITION BY lane ORDER BY started_at RANGE BETWEEN CURRENT ROW AND interval '199999 us' FOLLOWING) AS of_group
			FROM runs WHERE queue = 'r') r WHERE begun > 40 OR of_group > 12),
	'keys are run in order' => q(
		SELECT * FROM (SELECT id, min(started_at) AS began, lag(max(ended_at)) OVER (PARTITION BY lane ORDER BY id) AS before FROM runs WHERE queue = 'f' GROUP BY id, lane) r WHERE began < before),
	'none starves behind a full group' => q(
		SELECT lane FROM runs WHERE queue = 'g' AND lane <> 'big' GROUP BY lane
		HAVING max(ended_at) > (SELECT max(ended_at) FROM runs WHERE queue = 'g' AND lane = 'big')),
	'no place is left, and none waits' => q(SELECT lane FROM nvent_job_lanes WHERE held AND free_at IS NULL UNION ALL SELECT lane FROM nvent_job_turns));

foreach my $way ([ 'preloaded', \&new_server ], [ 'plain', \&plain_server ])
{
	my ($name, $server) = @$way;
	my $node = $server->("queue_lane_$name", "restart_after_crash = on\n");
	my @errors;

	# start(): eight workers of the groups, some of each of the others.
	my $start = sub {
		return map {
			my $i = $_;
			my $queue = $i < $sessions ? 'g' : (qw(r s f r))[ $i % 4 ];
			IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
					'-c', sprintf("CALL work('%s', %f)", $queue, rand) ], '>', \my $out, '2>', \$errors[$i])
		} 0 .. $sessions + 7;
	};
	my $completed = sub { $node->safe_psql('postgres', q(SELECT count(*) FROM runs WHERE outcome = 'completed')) };

	$node->safe_psql('postgres', $setup);
	foreach my $crash ('backend', 'server')
	{
		my @running = $start->();
		my $before = $completed->();

		ok(wait_until(sub { $completed->() > $before + 100 }), "$name: there is load");
		if ($crash eq 'backend')
		{
			kill 'KILL', $node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL work%' ORDER BY random() LIMIT 1));
		}
		else
		{
			$node->stop('immediate');
		}
		$_->finish foreach @running;
		$node->start if $crash eq 'server';
		ok(wait_until(sub { is_up($node) }), "$name: it is up again");
	}
	@errors = ();
	my @running = $start->();
	is(join(' ', map { $_->finish ? 'ok' : 'failed' } @running), join(' ', ('ok') x @running), "$name: no worker fails")
	  or diag(join '', map { $_ // '' } @errors);
	for (my $i = 0; $i < @checks; $i += 2)
	{
		is($node->safe_psql('postgres', $checks[ $i + 1 ]), '', "$name: $checks[$i]");
	}
	note "$name: " . $node->safe_psql('postgres', q(SELECT string_agg(queue || ' ' || coalesce(outcome, 'active') || ' ' || count, ', ' ORDER BY queue, outcome) FROM (SELECT queue, outcome, count(*) FROM runs GROUP BY 1, 2) x));
	$node->stop;
}

done_testing();
