# Waiting: what it holds, what it costs to interrupt it, and that it ends when
# sessions, worker or server do.
#
# Seen to fail: without SPI_commit() before it waits, the procedure holds a
# snapshot and locks; without WL_LATCH_SET, cancellation takes until the end of
# the nap; without PG_ENSURE_ERROR_CLEANUP(), sessions that were terminated go
# on being counted as waiting; when the worker does not look for the end of
# prepared transactions, a wait takes until the session looks by itself.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(min);
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_server('wait', 'nvent_store.max_wait = 5min');
$node->safe_psql('postgres',
	"SELECT nvent.store_create(); SELECT nvent.stream_create_table('t')");

sub waiters
{
	return $node->safe_psql('postgres', 'SELECT waiters FROM nvent.worker_status()');
}

# --- What it holds ---

my ($function, $function_pid) = sleeper($node, "SELECT nvent.stream_wait('nvent:t:>', 0, '4 min')");
is(activity($node, $function_pid, 'backend_xmin IS NOT NULL'), 't',
	'a function holds the snapshot of its statement');
my ($call, $call_pid) = sleeper($node, "CALL nvent.stream_await('nvent:t:>', 0)");
is(activity($node, $call_pid, 'backend_xmin IS NULL AND backend_xid IS NULL'), 't',
	'the procedure holds no snapshot while it waits');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_locks WHERE pid = $call_pid AND locktype <> 'virtualxid'"),
	0, 'and no lock');
my ($block, $block_pid) = sleeper($node, "BEGIN; CALL nvent.stream_await('nvent:t:>', 0, '4 min')");
is(activity($node, $block_pid, 'backend_xmin IS NOT NULL'), 't',
	'in a transaction block it holds what the block holds');
is(waiters(), 3, 'three sessions are known to wait');

# --- Interrupting it ---

my @took;
foreach my $try (1 .. 5)
{
	my ($session, $pid) = sleeper($node, "SELECT nvent.stream_wait('nvent:t:none', 0, '4 min')");
	my $begin = time;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	$session->query('SELECT 1');
	push @took, time - $begin;
	like($session->{stderr}, qr/canceling statement due to user request/,
		'a wait can be cancelled');
	$session->{stderr} = '';
	$session->quit;
}
# Not when it looks for events the next time.  How soon exactly is seen by
# 009_calls.pl; here others' load is in it, and starting psql.
cmp_ok(min(@took), '<', 2, 'and that takes effect at once');
@took = ();
foreach my $try (1 .. 5)
{
	my $begin = time;
	my ($ret, $out, $err) = $node->psql('postgres',
		"SET statement_timeout = '200ms'; CALL nvent.stream_await('nvent:t:none', 0)");
	push @took, time - $begin;
	like($err, qr/canceling statement due to statement timeout/,
		'statement_timeout ends it');
}
cmp_ok(min(@took), '<', 0.2 + 2, 'in time');

my ($gone, $gone_pid) = sleeper($node, "CALL nvent.stream_await('nvent:t:none', 0)");
is(waiters(), 4, 'one more');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($gone_pid)");
ok(wait_until(sub { waiters() == 3 }), 'a session that was terminated waits no more');
eval { $gone->quit };

# --- Without a worker ---
# It is woken although the worker dies between the append and the announcement.
my $worker = notifier_pid($node);
kill 'STOP', $worker;
append($node, '1');
kill 'CONT', $worker;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
like($function->query('SELECT 1'), qr/^t\n1$/m, 'the function returns');
$call->query_safe('SELECT 1');
$block->query_safe('COMMIT');
is(waiters(), 0, 'as do all that waited');

# A worker that has nothing to do stays as long as somebody waits.
$node->safe_psql('postgres', <<'EOT');
ALTER SYSTEM SET nvent_store.worker_idle_timeout = '100ms';
SELECT pg_reload_conf();
EOT
my $after = $node->safe_psql('postgres', 'SELECT nvent.safe_position()');
($call, $call_pid) = sleeper($node, "CALL nvent.stream_await('nvent:t:>', $after)");
usleep(500000);
isnt(notifier_pid($node), '', 'a worker stays where somebody waits');
append($node, '1');
$call->query_safe('SELECT 1');
ok(wait_until(sub { notifier_pid($node) eq '' }), 'and leaves when nobody does');
($call, $call_pid) = sleeper($node, "CALL nvent.stream_await('nvent:t:>', $after + 1)");
append($node, '1');
$call->query_safe('SELECT 1');
pass('who begins to wait without a worker is woken');

# --- Prepared transactions ---

# Nobody announces their end: the worker looks for it.
$after = $node->safe_psql('postgres', 'SELECT nvent.safe_position()');
($call, $call_pid) = sleeper($node, "CALL nvent.stream_await('nvent:p:>', $after)");
$node->safe_psql('postgres', <<'EOT');
BEGIN;
SELECT nvent.stream_append('nvent:p:1', '{"type": "x"}');
PREPARE TRANSACTION 'p';
EOT
usleep(500000);
is(waiters(), 1, 'a prepared event wakes nobody');
my $begin = time;
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
$call->query_safe('SELECT 1');
cmp_ok(time - $begin, '<', 5, 'COMMIT PREPARED does');
$_->quit foreach $function, $call, $block;
$node->stop;

done_testing();
