# Counts of queues: they are right beside whatever commits, rolls back, is
# prepared, crashes or changes rows by hand, and need not be counted each time.
#
# NVS_SECONDS is how long the load runs (5).
#
# Seen to fail: "it is what the jobs say" with a job that only its row knows of;
# without what those have told who are just committing, "what is visible is known";
# without a mark at what was counted of that, "and does not have it twice".

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;

my $seconds = $ENV{NVS_SECONDS} // 5;

my $columns = 'queue, depth, ready, deferred, retry, blocked, waiting, active, completed, failed, cancelled';

# What is known of all queues, and what there is: counted, as without statistics.
sub known
{
	return $_[0]->safe_psql('postgres', "SELECT $columns FROM nvent.queue_stats()");
}

sub counted
{
	return $_[0]->safe_psql('postgres', "SET track_counts = off; SELECT $columns FROM nvent.queue_stats()");
}

# What queue_get says of all jobs, in the same words.
sub truth
{
	return $_[0]->safe_psql('postgres', <<'EOT');
SELECT q.name, count(*) FILTER (WHERE state IN ('created', 'retry', 'waiting')),
	count(*) FILTER (WHERE state IN ('created', 'retry') AND NOT later AND NOT blocked),
	count(*) FILTER (WHERE state = 'created' AND later), count(*) FILTER (WHERE state = 'retry' AND later),
	count(*) FILTER (WHERE state IN ('created', 'retry') AND blocked), count(*) FILTER (WHERE state = 'waiting'),
	count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state = 'completed'),
	count(*) FILTER (WHERE state = 'failed'), count(*) FILTER (WHERE state = 'cancelled')
FROM nvent_queues q LEFT JOIN (SELECT j.queue, g.state, coalesce(g.start_at > clock_timestamp(), false) AS later,
		coalesce(t.lane IS NOT NULL AND t.due_at = 'infinity', false) AS blocked
	FROM nvent_jobs j JOIN nvent_queues n ON n.number = j.queue LEFT JOIN nvent_job_turns t ON t.id = j.id, nvent.queue_get(n.name, j.id) g) s ON s.queue = q.number
GROUP BY 1 ORDER BY 1
EOT
}

# is_right(NODE, TITLE): both are the same, and the former needs no counting.
sub is_right
{
	my ($node, $title) = @_;

	known($node);
	is(known($node), counted($node), $title);
	cmp_ok(tuples($node), '<', $node->safe_psql('postgres', <<'EOT'), "$title: it is known");
SELECT ((SELECT count(*) FROM nvent_jobs) + (SELECT count(*) FROM nvent_job_runs)) / 4
EOT
}

# How many rows queue_stats() reads.
sub tuples
{
	my ($node) = @_;

	return $node->safe_psql('postgres', <<'EOT');
BEGIN;
SELECT FROM nvent.queue_stats();
SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname ~ '^nvent_job';
EOT
}

my $node = new_server('counts', "restart_after_crash = on\n");

# What is known is what is counted where nothing is: all that the regression test
# shows, which runs without shared memory on older servers.
{
	my $top = "$FindBin::RealBin/../..";
	my $result = $node->basedir . '/queue_stats.out';

	local $ENV{PGOPTIONS} = '-c intervalstyle=postgres_verbose';
	$node->safe_psql('template1', 'CREATE EXTENSION nvent_store');
	$node->safe_psql('postgres', 'CREATE DATABASE steps');
	system("psql -X -a -q -h " . $node->host . " -p " . $node->port . " -d steps -f $top/sql/queue_stats.sql > $result 2>&1");
	is(slurp_file($result) =~ s/^psql:[^ ]+: //gmr, slurp_file("$top/expected/queue_stats.out"), 'each step of jobs');
}

$node->safe_psql('postgres', <<'EOT');
SELECT nvent.queue_create('dead'), nvent.queue_create('a', retry_limit => 1, dead_letter => 'dead', lease => '50 ms'), nvent.queue_create('none', keep_ended => '0'), nvent.queue_create('past'), nvent.queue_create('one', policy => 'key_strict_fifo'),
	nvent.queue_create('single', policy => 'singleton', retry_limit => 1);
SELECT count(*) FROM nvent.queue_send_batch('a', array_fill('{}'::jsonb, ARRAY[20000]));
EOT
is_right($node, 'sent');

# A transaction that is older than all counts.
crash($node);
my $old = $node->background_psql('postgres');
$old->query_safe("BEGIN; SELECT nvent.queue_send('a')");
known($node);
$old->query_safe('COMMIT');
is(known($node), counted($node), 'an older transaction');
$old->quit;
is_right($node, 'and after it');

# By hand, with triggers and without.
my $by_hand = 'DELETE FROM nvent_jobs WHERE id IN (SELECT max(id) FROM nvent_jobs)';
$node->safe_psql('postgres', $by_hand);
is(known($node), counted($node), 'by hand');
cmp_ok(tuples($node), '<', 5000, 'by hand: it is known');
$node->safe_psql('postgres', "SET session_replication_role = replica; $by_hand");
is(known($node), counted($node), 'triggers are off');
is_right($node, 'and later');
my $hand = $node->background_psql('postgres');
$hand->query_safe("SET session_replication_role = replica; BEGIN; $by_hand");
known($node);
$hand->query_safe('COMMIT');
$hand->quit;
is(known($node), counted($node), 'triggers are off, while it is asked');

# What is noted spoils nothing.
foreach my $step (
	"BEGIN; SELECT nvent.queue_send('a'); SAVEPOINT s; SELECT nvent.queue_send('a'); ROLLBACK TO s; COMMIT",
	"BEGIN; SAVEPOINT s; SELECT nvent.queue_send('a', start_after => '1 day'); RELEASE s; COMMIT",
	"SELECT nvent.queue_fail('a', id, attempt) FROM nvent.queue_fetch('a', 2)",
	"SELECT nvent.queue_flow(ARRAY['{\"name\": \"x\", \"queue\": \"dead\"}', '{\"queue\": \"dead\", \"after\": \"x\"}']::jsonb[])",
	"SELECT nvent.queue_cancel('dead', id) FROM nvent.queue_fetch('dead')",
	"SELECT count(nvent.queue_send('single', key => 'k')) FROM generate_series(1, 3)",
	"SELECT nvent.queue_complete('single', id, attempt) FROM nvent.queue_fetch('single', 3)",
	"SELECT count(*) FROM nvent.queue_fetch('single', 3)",
	"UPDATE nvent_jobs SET data = '1' WHERE id IN (SELECT max(id) FROM nvent_jobs)")
{
	$node->safe_psql('postgres', $step);
	cmp_ok(tuples($node), '<', 9000, "known after $step");
}
is(known($node), counted($node), 'and right');

# Prepared.
$node->safe_psql('postgres', "BEGIN; SELECT nvent.queue_send('a'); PREPARE TRANSACTION 'p'");
known($node);
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
is(known($node), counted($node), 'prepared');
$node->safe_psql('postgres', "BEGIN; SELECT nvent.queue_send('a'); PREPARE TRANSACTION 'p'");
crash($node);
known($node);
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
is(known($node), counted($node), 'prepared before a crash');
is_right($node, 'and committed');

# Commits that are visible, and have not been added yet: they wait for a standby
# which is not there.  Each of them is counted once, by who knows the counts and by
# who counts anew.
my @waiting;
sub commit_and_wait
{
	my ($sql) = @_;
	my $sender = $node->background_psql('postgres');

	$sender->query_safe('SET nvent_store.early_lock_release = on');
	send_sql($sender, $sql);
	push @waiting, $sender;
	ok($node->poll_query_until('postgres', "SELECT count(*) = @{[scalar @waiting]} FROM pg_stat_activity WHERE wait_event = 'SyncRep'"), 'a commit waits');
}
$node->safe_psql('postgres', "SELECT nvent.queue_create('early'), nvent.queue_send('early')");
is_right($node, 'before commits that wait');
ok(synchronous($node, 'nobody'), 'there is a standby to wait for');
commit_and_wait("SELECT nvent.queue_send('early'), nvent.queue_send('early', start_after => '1 hour')");
like(known($node), qr/^early\|3\|2\|1\|/m, 'what is visible is known');
is(known($node), counted($node), 'and right');
cmp_ok(tuples($node), '<', 9000, 'without counting');
commit_and_wait("SELECT nvent.queue_send('early')");
commit_and_wait("SET session_replication_role = replica; DELETE FROM nvent_jobs WHERE id IN (SELECT max(id) FROM nvent_jobs WHERE queue = (SELECT number FROM nvent_queues WHERE name = 'a'))");
is(known($node), counted($node), 'what is counted anew has what is visible');
synchronous($node, '');
$_->quit foreach @waiting;
is(known($node), counted($node), 'and does not have it twice when it is added');
is_right($node, 'and later');

# More queues than one transaction can tell of.
$node->safe_psql('postgres', <<'EOT');
SELECT nvent.queue_create('q' || i) FROM generate_series(1, 12) i;
SELECT FROM nvent.queue_stats();
SELECT nvent.queue_send('q' || i) FROM generate_series(1, 12) i;
EOT
is(known($node), counted($node), 'many queues at once');

# All at once, while somebody has everything be counted all the time.
my $some = "(SELECT 1 + floor(random() * 5)::int)";
my @load = (
	"\@4 SELECT nvent.queue_send('a', start_after => CASE WHEN random() < 0.05 THEN interval '20 ms' END), nvent.queue_send('none');",
	"\@4 BEGIN; SELECT nvent.queue_send('a'); SAVEPOINT s; SELECT count(*) FROM nvent.queue_fetch('a', 3); ROLLBACK TO s; SELECT nvent.queue_send('none'); COMMIT;",
	"\@2 BEGIN; SELECT nvent.queue_send('a'); SELECT count(*) FROM nvent.queue_fetch('a', 3); ROLLBACK;",
	"\@6 SELECT CASE WHEN random() < 0.5 THEN nvent.queue_complete(q, id, attempt) ELSE nvent.queue_fail(q, id, attempt) END FROM (SELECT CASE WHEN random() < 0.7 THEN 'a' ELSE 'none' END AS q OFFSET 0) q, nvent.queue_fetch(q, $some);",
	"\@2 SELECT count(*) FROM nvent.queue_fetch('a', $some);",
	"\@1 SELECT nvent.queue_cancel('a', id), nvent.queue_resume('a', id) FROM (SELECT id FROM nvent_job_runs ORDER BY id DESC LIMIT 1) r;",
	"\@1 SELECT nvent.queue_delete('a', id) FROM (SELECT id FROM nvent_jobs ORDER BY id DESC LIMIT 1) r;",
	"\@1 INSERT INTO nvent_jobs (queue) SELECT number FROM nvent_queues WHERE name = 'a';",
	"\@2 SELECT nvent.queue_send('one', key => (random() * 3)::int::text, priority => (random() * 2)::int), nvent.queue_send('single', key => (random() * 3)::int::text);",
	"\@2 SELECT CASE WHEN random() < 0.8 THEN nvent.queue_complete(q, id, attempt) ELSE nvent.queue_fail(q, id, attempt) END FROM (SELECT CASE WHEN random() < 0.7 THEN 'one' ELSE 'single' END AS q OFFSET 0) q, nvent.queue_fetch(q, $some);",
	"\@1 SELECT nvent.queue_flow(ARRAY['{\"name\": \"x\", \"queue\": \"a\"}', '{\"queue\": \"none\", \"after\": \"x\", \"onFailure\": \"cancel\"}', '{\"queue\": \"a\", \"after\": \"x\", \"onFailure\": \"fail\"}']::jsonb[]);",
	"\@1 SELECT nvent.queue_update('a', id, priority => (random() * 2)::int, start_after => CASE WHEN random() < 0.5 THEN interval '1 ms' END) FROM (SELECT id FROM nvent_jobs ORDER BY id DESC LIMIT 1) j;",
	"\@1 SELECT nvent.queue_cancel('one', id), nvent.queue_resume('one', id), nvent.queue_unblock('one', (random() * 3)::int::text) FROM (SELECT id FROM nvent_job_turns ORDER BY id DESC LIMIT 1) r;",
	"\@2 SELECT nvent.queue_send('past', start_at => '2000-01-01', priority => (random() * 2)::int);",
	"\@2 SELECT nvent.queue_complete('past', id, attempt) FROM nvent.queue_fetch('past', $some);",
	# Nothing of what is there is deferred: by one snapshot.
	"\@6 SELECT 1 / (deferred = 0 AND ready >= 0)::int FROM nvent.queue_stats('past');",
	"\@2 SELECT FROM nvent.queue_stats();",
	"\@1 SELECT nvent.maintain();");
$node->append_conf('postgresql.conf', 'synchronous_commit = off');
$node->reload;
load($node, 'a load', [ '-c', 8, '-T', $seconds, '-s', 1, '--max-tries=9' ], @load);
is_right($node, 'what is known is right');
$node->safe_psql('postgres', 'SELECT pg_sleep(0.1)');
is(known($node), truth($node), 'it is what the jobs say');

# The server dies under load.
my $script = $node->basedir . '/dying.sql';
append_to_file($script, substr($load[3], 3));
$node->safe_psql('postgres', "SELECT count(*) FROM nvent.queue_send_batch('a', array_fill('{}'::jsonb, ARRAY[5000]))");
my $dying = IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-T', 60, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'>', '/dev/null', '2>', '/dev/null');
# What fails makes dead letters all the time.
ok($node->poll_query_until('postgres', "SELECT count(*) > 50 FROM nvent_job_runs WHERE started_at > (SELECT max(created_at) FROM nvent_jobs WHERE queue = (SELECT number FROM nvent_queues WHERE name = 'a'))"),
	'there is load');
$node->stop('immediate');
$dying->finish;
$node->start;
is(known($node), counted($node), 'after a crash');
is_right($node, 'and again');

# The cost is that of what is looked at, not of what there is.
my $before = tuples($node);
$node->safe_psql('postgres', "SELECT count(*) FROM unnest('{q1,q2}'::text[]) q, nvent.queue_send_batch(q, array_fill('{}'::jsonb, ARRAY[50000]))");
cmp_ok(tuples($node), '<', $before + 100, 'a backlog of 100,000 is not counted');
is(known($node), counted($node), 'though it is known');

$node->stop;
done_testing();
