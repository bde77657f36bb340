# Waiting for jobs: what it holds, what wakes it and how many, and how it ends.
#
# Whoever is not woken looks by himself after 10 seconds, which is too late here.
#
# Seen to fail: without SPI_commit() in wakeup/wait.c it holds a snapshot and
# locks, and has not committed what it settled; without jobs_rolled_back() where
# a fetch is rolled back, and without jobs_undo_level() where that is in a
# subtransaction; when nvs_jobs_wait_end() wakes nobody else, where the one that
# keeps time leaves, and where one is terminated that was woken;
# and when what a look for leases has left is not looked for soon, or what others
# had who tell nobody.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# Sooner than anybody looks who is not woken.
my $soon = 7;

my $node = new_server('queue_wait', 'nvent_store.max_wait = 5min');
$node->safe_psql('postgres',
	"SELECT nvent.queue_create('q', retry_limit => 0); SELECT nvent.queue_create('other')");

sub sql { return $node->safe_psql('postgres', $_[0]) }

# start(SQL): a session that runs it, and waits.
sub start
{
	my ($session, $pid) = sleeper($node, $_[0]);

	return { session => $session, pid => $pid };
}

# worker(QUEUE): one that waits for a job of it.
sub worker
{
	my ($queue) = @_;

	return start("CALL nvent.queue_work_await('" . ($queue // 'q') . "')");
}

# returns(WORKER): what its call returned; it ends.
sub returns
{
	my ($self) = @_;
	my $out = $self->{session}->query('SELECT 1');

	$self->{error} = $self->{session}{stderr};
	eval { $self->{session}->quit };
	return $out;
}

sub is_waiting
{
	my ($self) = @_;

	return activity($node, $self->{pid}, "state = 'active'") eq 't';
}

# woken(TITLE, WORKER, SQL...): what is done meanwhile wakes it, and it has a job.
sub woken
{
	my ($title, $worker, @sql) = @_;
	my $begin = time;

	sql($_) foreach @sql;
	like(returns($worker), qr/"id": \d+/, "$title: there is a job");
	cmp_ok(time - $begin, '<', $soon, "$title: at once");
	done();
}

# Complete what is active, and forget it.
sub done
{
	sql(<<'EOT');
DELETE FROM nvent_job_turns;
DELETE FROM nvent_job_runs;
DELETE FROM nvent_jobs;
DELETE FROM nvent_job_keys;
EOT
}

# --- What it holds ---

my $sent = sql("SELECT nvent.queue_send('q')");
sql("SELECT * FROM nvent.queue_fetch('q')");
my $worker = start(
	"CALL nvent.queue_work_await('q', '[{\"id\": $sent, \"attempt\": 1}]')");
is(activity($node, $worker->{pid}, 'backend_xmin IS NULL AND backend_xid IS NULL'), 't',
	'who waits holds no snapshot and no transaction id');
is(sql("SELECT count(*) FROM pg_locks
		WHERE pid = $worker->{pid} AND locktype <> 'virtualxid'"),
	0, 'and no lock');
is(sql("SELECT outcome FROM nvent.queue_runs('q', $sent)"), 'completed',
	'what was settled is committed before');
is(sql('SELECT waiters FROM nvent.worker_status()'), 1, 'it is known to wait');
woken('a job that is sent', $worker, "SELECT nvent.queue_send('q')");
is(sql('SELECT waiters FROM nvent.worker_status()'), 0, 'then it waits no more');

$worker = start("CALL nvent.queue_await('q')");
is(activity($node, $worker->{pid}, 'backend_xmin IS NULL AND backend_xid IS NULL'), 't',
	'nor does who only waits');
sql("SELECT nvent.queue_send('q')");
returns($worker);
is(sql("SELECT count(*) FROM nvent_job_runs"), 0, 'who takes no job');
is(sql("SELECT count(*) FROM nvent.queue_fetch('q')"), 1, 'others can');
done();

# --- What wakes it ---

woken('a job of a priority that is new', worker(),
	"SELECT nvent.queue_send('q', priority => 7)");
woken('a job that comes due later', worker(),
	"SELECT nvent.queue_send('q', start_after => '1 s')");
foreach my $rate ('rate', 'group_rate')
{
	my $slow = $node->background_psql('postgres');

	sql("SELECT nvent.queue_create('$rate', ${rate}_limit => 1, ${rate}_interval => '1 s')");
	sql("SELECT nvent.queue_send('$rate', group_name => 'g') FROM generate_series(1, 2)");
	$slow->query_safe("BEGIN; SELECT id FROM nvent.queue_fetch('$rate', 1)");
	$worker = worker($rate);
	$slow->query_safe('COMMIT');
	woken("the next of a $rate that another had used who commits", $worker);
	$slow->quit;
}
woken('one that comes due earlier than another', do {
		sql("SELECT nvent.queue_send('q', start_after => '9 s')");
		worker();
	}, "SELECT nvent.queue_send('q', start_after => '1 s')");

sub fetched
{
	my ($lease) = @_;
	my $id = sql("SELECT nvent.queue_send('q', retry_limit => 1, retry_delay => '1 s'"
		  . ($lease ? ", lease => '$lease'" : '') . ")");

	sql("SELECT * FROM nvent.queue_fetch('q')");
	return $id;
}

my $id = fetched();
woken('a job that failed, after its delay', worker(),
	"SELECT nvent.queue_fail('q', $id, 1)");
$id = fetched();
woken('one that is given back', worker(),
	"SELECT nvent.queue_release('q', $id, 1)");
$id = fetched();
sql("SELECT nvent.queue_cancel('q', $id)");
woken('one that goes on', worker(), "SELECT nvent.queue_resume('q', $id)");
$id = fetched('2 s');
woken('a lease that had begun and runs out', worker());
$id = fetched('9 s');
woken('a lease that is cut short', worker(),
	"SELECT nvent.queue_touch('q', $id, 1, '1 s')");
my $waits = worker();
sql("SELECT nvent.queue_send('other', retry_limit => 1, retry_delay => '1 s')");
ok(is_waiting($waits), 'a job of another queue does not wake it');
woken('a lease that begins meanwhile and runs out', $waits, <<'EOT');
BEGIN;
SELECT nvent.queue_send('q', lease => '1 s', retry_limit => 1);
SELECT * FROM nvent.queue_fetch('q');
COMMIT;
EOT

# More runs of flows whose leases have run out than one look ends.
sql(<<'EOT');
SELECT count(*) FROM nvent.queue_flow(ARRAY(
	SELECT jsonb_build_object('queue', 'q', 'name', 'p' || n) FROM generate_series(1, 300) n)
	|| (SELECT jsonb_build_object('queue', 'q', 'after', jsonb_agg('p' || n)) FROM generate_series(1, 300) n));
SELECT count(*) FROM nvent.queue_fetch('q', 300);
UPDATE nvent_job_runs SET lease_until = clock_timestamp();
EOT
my $begin = time;
$waits = start("CALL nvent.queue_work_await('q')");
ok(wait_until(sub {
		sql("SELECT count(*) FROM nvent_job_runs WHERE outcome = 'expired'") == 300 }),
	'who waits ends all leases that have run out');
cmp_ok(time - $begin, '<', $soon, 'at once');
ok(is_waiting($waits), 'none of which is a job to be run');
woken('then a job', $waits, "SELECT nvent.queue_send('q')");
sql('DELETE FROM nvent_job_waits; DELETE FROM nvent_job_parents');

sql("SELECT nvent.queue_pause('q')");
sql("SELECT nvent.queue_send('q')");
woken('a queue that goes on', worker(), "SELECT nvent.queue_unpause('q')");
sql("SELECT nvent.queue_pause('q')");
sql("SELECT nvent.queue_send('q')");
woken('the same by hand', worker(),
	"UPDATE nvent_queues SET paused_at = NULL WHERE name = 'q'");

# Of a transaction: nothing while it is open, and of what it undoes.
my $other = $node->background_psql('postgres');
$waits = worker();
$other->query_safe("BEGIN; SELECT nvent.queue_send('q')");
ok(is_waiting($waits), 'an open transaction wakes nobody');
$other->query_safe('COMMIT');
woken('its commit', $waits);

sql("SELECT nvent.queue_send('q')");
$other->query_safe("BEGIN; SELECT * FROM nvent.queue_fetch('q')");
$waits = worker();
$other->query_safe('ROLLBACK');
woken('a fetch that is rolled back', $waits);

sql("SELECT nvent.queue_send('q')");
$other->query_safe("BEGIN; SAVEPOINT s; SELECT * FROM nvent.queue_fetch('q')");
$waits = worker();
$other->query_safe('ROLLBACK TO s');
woken('one in a subtransaction', $waits);
$other->query_safe('COMMIT');

sql("SELECT nvent.queue_send('q')");
$other->query_safe(
	"BEGIN; SELECT nvent.queue_cancel('q', id) FROM nvent_jobs");
$waits = worker();
$other->query_safe('ROLLBACK');
woken('anything that had it locked', $waits);

# left(TITLE, SQL, POLICY): of the jobs that are there then, in a queue of that policy,
# a fetch of one locks others, which who waits passes over; its commit has him look.
sub left
{
	my ($title, $sql, $policy) = @_;
	my $fetch = $node->background_psql('postgres');

	sql("SELECT nvent.queue_create('left', policy => '$policy')");
	sql($sql);
	ok(wait_until(sub {
				sql("SELECT count(*) FROM nvent_job_turns WHERE due_at > clock_timestamp()") == 0
			}), "$title: they are due");
	$fetch->query_safe("BEGIN; SELECT id FROM nvent.queue_fetch('left')");
	$waits = worker('left');
	$fetch->query_safe('COMMIT');
	woken($title, $waits);
	$fetch->quit;
	sql("SELECT nvent.queue_drop('left')");
}
foreach my $policy ('standard', 'singleton')
{
	left("a turn that a fetch locked and did not take ($policy)", <<'EOT', $policy);
SELECT nvent.queue_send('left', key => 'a', priority => 1, start_after => '0.1 s'), nvent.queue_send('left', key => 'b', priority => 5)
EOT
	left("a job of the level of one that it took ($policy)", <<'EOT', $policy);
SELECT nvent.queue_send('left', key => 'a', start_after => '0.1 s'), nvent.queue_send('left', key => 'b')
EOT
	left("a turn that it made due ($policy)", <<'EOT', $policy);
SELECT nvent.queue_send('left', key => k, start_after => '0.1 s') FROM unnest(ARRAY['a', 'b']) k
EOT
}

# A job that is not the next of its key, of which somebody deletes that one: he
# tells nobody, as he takes no place, and gives none back.
foreach my $verb ('delete', 'cancel')
{
	my $deletes = $node->background_psql('postgres');
	my $first = sql(<<'EOT');
SELECT nvent.queue_create('strict', policy => 'key_strict_fifo');
SELECT min(id) FROM (SELECT nvent.queue_send('strict', key => 'k') AS id FROM generate_series(1, 2)) s
EOT

	$first =~ s/.*\n//s;
	$deletes->query_safe("BEGIN; SELECT nvent.queue_$verb('strict', $first)");
	$waits = worker('strict');
	$deletes->query_safe('COMMIT');
	woken("the next of a key ($verb)", $waits);
	$deletes->quit;
	sql("SELECT nvent.queue_drop('strict')");
}

$waits = worker();
$other->query_safe(<<'EOT');
BEGIN; SAVEPOINT s; SAVEPOINT t; SELECT nvent.queue_send('q');
RELEASE t; RELEASE s;
EOT
$other->query_safe('COMMIT');
woken('what subtransactions did', $waits);

$waits = worker();
sql("BEGIN; SELECT nvent.queue_send('q'); PREPARE TRANSACTION 'p'");
ok(is_waiting($waits), 'a prepared transaction wakes nobody');
woken('COMMIT PREPARED', $waits, "COMMIT PREPARED 'p'");
sql("SELECT nvent.queue_send('q')");
sql("BEGIN; SELECT * FROM nvent.queue_fetch('q'); PREPARE TRANSACTION 'p'");
woken('ROLLBACK PREPARED', worker(), "ROLLBACK PREPARED 'p'");

# More queues than a transaction keeps notes of.
woken('the last of many queues', worker('many40'), <<'EOT') if
SELECT nvent.queue_send('many' || n) FROM generate_series(1, 40) n
EOT
  sql("SELECT count(nvent.queue_create('many' || n)) FROM generate_series(1, 40) n");

# --- Who listens, and who waits for events ---

my $listener = listener($node, 'nvent_events');
sql("SELECT nvent.queue_create('told', notify => 'worker', retry_limit => 1)");
sql(<<'EOT');
BEGIN;
SELECT nvent.queue_send('told') FROM generate_series(1, 3);
SAVEPOINT s;
SELECT nvent.queue_send('told');
ROLLBACK TO s;
SELECT nvent.queue_send('q'), nvent.queue_send('told', start_after => '1 hour');
COMMIT;
EOT
is_deeply([ notified($listener, qr/told/) ], ['{"queue": "told"}'],
	'who listens is told of a queue that wants it, once');
sql("SELECT nvent.queue_release('told', id, attempt) FROM nvent.queue_fetch('told')");
is_deeply([ notified($listener, qr/told/) ], ['{"queue": "told"}'],
	'and of a job that is given back');
sql("SELECT nvent.queue_send('q')");
is(silent($listener, 0.3), '', 'and of no other queue');
$listener->quit;

# Events are told of with the position up to which they can be read.  Jobs are
# none: who waits for events sleeps on.
my $reader = start("CALL nvent.stream_await('nvent:t:>', 0)");
sub switches
{
	my $status = slurp_file("/proc/$reader->{pid}/status");

	return $status =~ /^voluntary_ctxt_switches:\s*(\d+)/m ? $1 : 0;
}
SKIP: {
	skip 'needs /proc', 1 unless -r "/proc/$reader->{pid}/status";
	my $before = switches();

	sql("SELECT nvent.queue_send('q')") foreach 1 .. 20;
	usleep(300000);
	cmp_ok(switches() - $before, '<', 10, 'jobs do not wake who waits for events');
}
append($node, '1');
$reader->{session}->query_safe('SELECT 1');
$reader->{session}->quit;
done();

# --- How many ---

my @workers = map { worker() } 1 .. 3;
sql("SELECT nvent.queue_send('q')");
ok(wait_until(sub { sql('SELECT waiters FROM nvent.worker_status()') == 2 }),
	'one job wakes one');
usleep(300000);
is(sql('SELECT waiters FROM nvent.worker_status()'), 2, 'and no other');
sql("SELECT * FROM nvent.queue_send_batch('q', ARRAY[$_]::jsonb[])")
  foreach "'{}', '{}'";
ok(wait_until(sub { sql('SELECT waiters FROM nvent.worker_status()') == 0 }),
	'two wake the others');
returns($_) foreach @workers;
done();

# --- Who leaves ---

# The first of those who wait keeps time.  It is cancelled, or its time is up:
# another keeps it from then on.
foreach my $how ('cancelled', 'over')
{
	sql("SELECT nvent.queue_send('q', start_after => '5 s')");
	@workers = (start("CALL nvent.queue_work_await('q'"
			  . ($how eq 'over' ? ", timeout => '3 s')" : ')')), worker());
	sql("SELECT pg_cancel_backend($workers[0]{pid})") if $how eq 'cancelled';
	woken("what comes due when its time is $how", $workers[1]);
	returns($workers[0]);
	like($workers[0]{error}, qr/canceling statement due to user request/,
		'a wait can be cancelled') if $how eq 'cancelled';
}

# One that is woken, not the one that keeps time, and ends before it looks passes
# that on.
@workers = (worker(), worker());
kill 'STOP', $_->{pid} foreach @workers;
sql("SELECT nvent.queue_send('q')");
sql("SELECT pg_terminate_backend($workers[1]{pid})");
kill 'CONT', $_->{pid} foreach @workers;
ok(wait_until(sub { !is_waiting($workers[1]) }), 'it is terminated');
woken('a job for which another was woken', $workers[0]);
eval { $workers[1]{session}->quit };
is(sql('SELECT waiters FROM nvent.worker_status()'), 0, 'nobody is left');

# --- How it ends otherwise ---

my ($state) = attempt($node,
	"SET statement_timeout = '200ms'; CALL nvent.queue_work_await('q')");
is($state, '57014', 'statement_timeout ends it');
$waits = worker('other');
sql("SELECT nvent.queue_drop('other')");
returns($waits);
like($waits->{error}, qr/queue "other" does not exist/,
	'so does dropping the queue');
$waits = start("BEGIN; CALL nvent.queue_await('q', '4 min')");
sql("SELECT nvent.queue_send('q')");
$waits->{session}->query_safe('COMMIT');
pass('in a transaction block it is woken, too');
$waits->{session}->quit;
done();

# What was committed meanwhile is what the transaction sees next, and it keeps what it
# had; a function waits no longer than it may.
$waits = start("BEGIN; CREATE TEMP TABLE mine (); CALL nvent.queue_await('q', '4 min')");
is(activity($node, $waits->{pid}, "xact_start IS NOT NULL AND backend_xid IS NOT NULL"), 't', 'there it holds what the transaction holds');
sql("SELECT nvent.queue_send('q')");
is($waits->{session}->query_safe("SELECT count(*) FROM nvent.queue_fetch('q'), (SELECT count(*) FROM mine) m"), '1', 'and what came can be fetched there');
$waits->{session}->query_safe('COMMIT');
sql('CREATE FUNCTION awaits() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL nvent.queue_await(\'q\'); END $$');
my $wait_began = time;
is(sql("SET nvent_store.max_wait = '500ms'; SELECT count(awaits())"), '1', 'a function that waits for good returns');
cmp_ok(time - $wait_began, '<', 10, 'when max_wait is over');
$waits->{session}->quit;
done();
$other->quit;

# --- The server stops ---

$waits = worker();
$node->stop('smart', timeout => 1, fail_ok => 1);
returns($waits);
like($waits->{error}, qr/cannot wait while the server is to stop/,
	'a smart shutdown does not wait for who waits');
ok(wait_until(sub { !-e $node->data_dir . '/postmaster.pid' }), 'and is done');
$node->_update_pid(0);
$node->start;
$waits = worker();
$node->stop('fast');
like(slurp_file($node->logfile),
	qr/\[$waits->{pid}\] .*FATAL:  terminating connection due to administrator/,
	'nor does a fast one');
eval { $waits->{session}->quit };

# --- Without shared memory ---

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
$waits = worker();
is(activity($node, $waits->{pid}, 'backend_xid IS NULL'), 't',
	'without shared memory it looks now and then, and holds nothing between');
woken('a job', $waits, "SELECT nvent.queue_send('q')");
woken('a job that comes due', worker(),
	"SELECT nvent.queue_send('q', start_after => '1 s')");
$node->stop;

done_testing();
