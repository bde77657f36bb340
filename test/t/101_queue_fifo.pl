# Jobs of strict keys have their effects in the order in which they were sent, each
# once: for many keys and ten workers, some of whom are terminated, killed, too late,
# or fail; what fails, is given back or runs out is tried again before the next one.
#
# NVS_JOBS is how many jobs each of the 40 keys has (40), NVS_SEED the seed of what is
# done with them, which is printed.
#
# Seen to fail with the first of the key not looked for by who has its place
# (queue/admit.c), among turns and among jobs that have none.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $jobs = $ENV{NVS_JOBS} // 40;
my $keys = 40;
my $workers = 10;

random_seed();

my $node = new_server('queue_fifo', "restart_after_crash = on\n");

$node->safe_psql('postgres', <<"EOT");
SELECT nvent.store_create();
SELECT nvent.queue_create('f', 'key_strict_fifo', retry_limit => 1000, retry_delay => '5 ms', lease => '500 ms');

-- What the jobs came to, in the order in which that was.
CREATE TABLE effect (at bigserial, key text, n int);
CREATE FUNCTION is_done() RETURNS boolean LANGUAGE sql AS 'SELECT count(*) >= $keys * $jobs FROM effect';
-- Jobs are sent by tenths, each when it is asked for, lest all are done before the test is.
CREATE TABLE tenth ();
CREATE PROCEDURE send() LANGUAGE plpgsql AS \$\$
BEGIN
    FOR n IN 1 .. $jobs LOOP
        WHILE n * 10 > (SELECT count(*) FROM tenth) * $jobs LOOP
            COMMIT;
            PERFORM pg_sleep(0.005);
        END LOOP;
        PERFORM nvent.queue_send('f', to_jsonb(n), key => k::text) FROM generate_series(1, $keys) k;
        COMMIT;
    END LOOP;
END \$\$;
CREATE PROCEDURE work(seed float) LANGUAGE plpgsql AS \$\$
DECLARE
    job record;
    dice float;
    none boolean;
BEGIN
    PERFORM setseed(seed);
    LOOP
        none := true;
        FOR job IN SELECT f.id, f.attempt, f.data::int AS n, j.key FROM nvent.queue_fetch('f', 1 + (random() * 4)::int) f JOIN nvent_jobs j USING (id) LOOP
            none := false;
            COMMIT;
            dice := random();
            IF dice < 0.06 THEN
                PERFORM nvent.queue_fail('f', job.id, job.attempt);
            ELSIF dice < 0.1 THEN
                PERFORM nvent.queue_release('f', job.id, job.attempt, CASE WHEN dice < 0.08 THEN interval '20 ms' END);
            ELSIF dice < 0.105 THEN
                -- Too late: somebody else has it by now, or can.
                PERFORM pg_sleep(0.6);
            END IF;
            IF nvent.queue_complete('f', job.id, job.attempt) THEN
                INSERT INTO effect (key, n) VALUES (job.key, job.n);
            END IF;
            IF random() < 0.02 THEN
                ROLLBACK;
            ELSE
                COMMIT;
            END IF;
        END LOOP;
        COMMIT;
        IF none THEN
            EXIT WHEN is_done();
            PERFORM pg_sleep(0.005);
        END IF;
    END LOOP;
END \$\$;
EOT

# start(STATEMENT): a session that runs it.
sub start
{
	return IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $_[0] ],
		'>', \my $out, '2>', \my $err);
}

sub start_worker
{
	return start(sprintf 'CALL work(%f)', rand);
}

# effects(): how many there are.
sub effects
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM effect');
}

# a_worker(): the process of one of those who are at work.
sub a_worker
{
	return $node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL work%' ORDER BY random() LIMIT 1));
}

# Some leave in the middle of their work, and others come in their place; one is killed.
my $sender = start('CALL send()');
my @running = map { start_worker() } 1 .. $workers;

foreach my $n (1 .. 10)
{
	my $before = effects();

	$node->safe_psql('postgres', 'INSERT INTO tenth DEFAULT VALUES');
	ok(wait_until(sub { effects() >= $before + $jobs }), "there is load ($n)");
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . a_worker() . ')');
	push @running, start_worker();
}
ok($sender->finish, 'all were sent');
kill 'KILL', a_worker();
$_->finish foreach @running;
ok(wait_until(sub { is_up($node) }), 'one was killed, and the server is up again');
@running = map { start_worker() } 1 .. $workers;
is(join(' ', map { $_->finish ? 'ok' : 'failed' } @running), join(' ', ('ok') x $workers), 'no worker fails');

is(effects(), $keys * $jobs, 'all are done');
is($node->safe_psql('postgres', q(
		SELECT * FROM (SELECT key, n, row_number() OVER (PARTITION BY key ORDER BY at) AS place FROM effect) e WHERE n <> place)),
	'', 'each key in its order, each job once');
is($node->safe_psql('postgres', q(
		SELECT * FROM (SELECT r.id, r.attempt, r.started_at, lag(r.ended_at, 1, '-infinity') OVER (PARTITION BY j.key ORDER BY r.started_at) AS before
			FROM nvent_job_runs r JOIN nvent_jobs j USING (id)) r WHERE started_at < before OR before IS NULL)),
	'', 'and one at a time');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM nvent_job_runs WHERE outcome = '$_'"), '>', 0, "some are $_")
  foreach qw(failed released expired);
is($node->safe_psql('postgres', q(SELECT lane FROM nvent_job_lanes WHERE held UNION ALL SELECT lane FROM nvent_job_turns)), '', 'nothing is left');
$node->stop;

done_testing();
