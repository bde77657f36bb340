# Locks that go before a commit is durable (nvent_store.early_lock_release): what
# is seen of it meanwhile and by whom, and that nobody is answered before.
#
# The flush of the log is held back by a session that is stopped while it holds
# the lock on it, so that each step can be looked at for as long as it takes;
# the standby that is waited for is one that does not exist.
#
# Seen to fail: without the wait, "is not answered before it is durable" and the
# lines after it; with marks passed that are not durable, "a poll answers with" and
# "nobody claims";
# with the marks taken back before the wait, that and "nobody is told"; without a
# record of commits that found nothing left to do, "a repeated append" and others
# of its kind; without the wait for standbys, "waits for the standby"; with
# remote_apply released early, "are a commit as ever, too"; with NOTIFY,
# "are a commit as ever"; with synchronous_commit not put back when a commit
# fails, "a failed commit"; with marks that are locks released early, "keeps its
# locks".

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run;
use Nvent;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_server('early', <<'EOT');
fsync = on
restart_after_crash = on
shared_buffers = 128MB
checkpoint_timeout = 1h
nvent_store.max_databases = 1
synchronous_commit = on
EOT

sub ask
{
	return $node->safe_psql('postgres', $_[0]);
}

# --- Sessions ---

# session(SETTING...): one that releases its locks early, and its process.
sub session
{
	my ($settings, $database) = @_;
	my $psql = $node->background_psql($database // 'postgres', on_error_stop => 0);
	my $pid;

	$psql->query_safe('SET nvent_store.early_lock_release = on; ' . ($settings // ''));
	$pid = $psql->query_safe('SELECT pg_backend_pid()');
	return { psql => $psql, pid => $pid };
}

# run_in(SESSION, SQL): without waiting for its end.
sub run_in
{
	my ($session, $sql) = @_;

	send_sql($session->{psql}, $sql);
	return $session;
}

# waits(SESSION, EVENT): does it come to wait for that?
sub waits
{
	my ($session, $event) = @_;

	return wait_until(sub { ask("SELECT wait_event = '$event' FROM pg_stat_activity WHERE pid = $session->{pid}") eq 't' });
}

# What the session has answered since; it has come to an end.
sub answer
{
	my ($session) = @_;
	my $out = $session->{psql}->query('SELECT \'over\'');

	$out =~ s/^\n*|\n*over\n*$//g;
	return $out;
}

sub end
{
	foreach my $session (@_)
	{
		eval { $session->{psql}->quit };
	}
}

# Locks that a session's transaction holds.
sub locks
{
	return ask("SELECT count(*) FROM pg_locks WHERE pid = $_[0]{pid} AND locktype <> 'virtualxid'");
}

# --- The flush ---

my $holder;

# Have nobody flush the log: who does so holds a lock, and waits for others to
# join him while he holds it.
sub hold_flush
{
	$holder = session('SET nvent_store.early_lock_release = off; SET commit_delay = 100000; SET commit_siblings = 0');
	run_in($holder, 'DO $$ BEGIN LOOP INSERT INTO filler VALUES (1); COMMIT; END LOOP; END $$');
	foreach my $try (1 .. 20)
	{
		usleep(20000);
		kill 'STOP', $holder->{pid};
		my $probe = session('SET nvent_store.early_lock_release = off');
		run_in($probe, 'INSERT INTO filler VALUES (2)');
		my $held = 0;
		foreach my $look (1 .. 10)
		{
			$held = ask("SELECT wait_event = 'WALWrite' FROM pg_stat_activity WHERE pid = $probe->{pid}") eq 't';
			last if $held;
			usleep(20000);
		}
		if ($held)
		{
			$holder->{probe} = $probe;
			return;
		}
		kill 'CONT', $holder->{pid};
		answer($probe);
		end($probe);
	}
	die 'the flush cannot be held back';
}

# Let the log be flushed again.
sub release_flush
{
	kill 'CONT', $holder->{pid};
	ask("SELECT pg_terminate_backend($holder->{pid})");
	end($holder, $holder->{probe});
}

# A statement's result; empty while the server cannot be reached.  psql is not
# written to, as it may be gone before it reads.
sub try
{
	my ($sql) = @_;
	my $out = '';
	my $done = IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', '/dev/null', '>', \$out, '2>', '/dev/null');

	chomp $out;
	return $done ? $out : '';
}

# Crash, while the log is held.
sub crash_held
{
	kill 'KILL', $holder->{pid};
	ok(wait_until(sub { try("SELECT count(*) FROM pg_stat_activity WHERE pid = $holder->{pid}") eq '0' }),
		'the server crashed and is up again');
	end($holder, $holder->{probe});
}

# --- The setting ---

is(ask('SHOW nvent_store.early_lock_release'), 'off', 'it is off by default');
ask(<<'EOT');
CREATE TABLE filler (i int);
SELECT nvent.store_create();
SELECT nvent.stream_create_table('t');
SELECT nvent.stream_append('nvent:t:hot', '{"type": "first"}');
SELECT nvent.kv_set('hot', '0');
SELECT nvent.entry_add('nvent:flows', 'hot', 1, '{"stats": {"total": 0}}');
SELECT nvent.consumer_subscribe('c', 'nvent:t:>');
EOT

my $plain = plain_server('plain');
my ($state) = attempt($plain, "LOAD 'nvent_store'; SET nvent_store.early_lock_release = on");
my $named = $plain->safe_psql('postgres', "SELECT current_setting('server_version_num')::int >= 170000");
is($state, $named eq 't' ? '' : '22023', 'it takes shared memory');
$plain->stop;

my $one = session();
is($one->{psql}->query_safe(<<'EOT'), "on\nlocal\non\non", 'synchronous_commit is as it was after a commit');
SHOW synchronous_commit;
BEGIN;
SET LOCAL synchronous_commit = local;
SELECT nvent.kv_increment('hot', 1) \g /dev/null
SHOW synchronous_commit;
COMMIT;
SHOW synchronous_commit;
BEGIN;
SELECT nvent.kv_increment('hot', 1) \g /dev/null
COMMIT AND CHAIN;
SHOW synchronous_commit;
ROLLBACK;
EOT
$one->{psql}->query(<<'EOT');
BEGIN;
CREATE TEMP TABLE a (i int PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE b (i int REFERENCES a);
SELECT nvent.kv_increment('hot', 1);
COMMIT;
EOT
like($one->{psql}->{stderr}, qr/unsupported ON COMMIT/, 'a commit fails late');
$one->{psql}->{stderr} = '';
is($one->{psql}->query_safe('SHOW synchronous_commit'), 'on', 'a failed commit leaves synchronous_commit as it was');
is($one->{psql}->query_safe(<<'EOT'), "7\non", 'a procedure may commit as often as it likes');
DO $$ BEGIN FOR i IN 1 .. 5 LOOP PERFORM nvent.kv_increment('hot', 1); COMMIT; END LOOP; END $$;
SELECT nvent.kv_get('hot');
SHOW synchronous_commit;
EOT
is($one->{psql}->query_safe(<<'EOT'), '7', 'subtransactions that are rolled back are nothing');
BEGIN;
SAVEPOINT s;
SELECT nvent.kv_increment('hot', 1) \g /dev/null
ROLLBACK TO s;
COMMIT;
SELECT nvent.kv_get('hot');
EOT
end($one);

# --- While the log is not flushed ---

sub hold_and_write
{
	my %s;

	hold_flush();
	$s{first} = run_in(session(), q{SELECT nvent.kv_increment('hot', 1), nvent.stream_append('nvent:t:hot', '{"type": "x", "eventId": "cmd-1"}') ->> 'version', nvent.entry_increment('nvent:flows', 'hot', 'stats.total', 1)});
	ok(waits($s{first}, 'WALWrite'), 'a commit is not answered before it is durable');
	is(locks($s{first}), 0, 'but has released its locks');
	$s{second} = run_in(session(), q{SELECT nvent.kv_increment('hot', 1), nvent.stream_append('nvent:t:hot', '{"type": "x"}') ->> 'version'});
	ok(waits($s{second}, 'WALWrite'), 'nobody waits for them');
	return %s;
}

my $listener = listener($node, 'nvent_events');
my $cursor = ask('SELECT nvent.position_publish()');
ask("SELECT nvent.consumer_subscribe('ahead', 'nvent:t:>', after => $cursor)");
my $waiter = run_in(session(), "CALL nvent.stream_await('nvent:t:>', $cursor)");
ok(waits($waiter, 'Extension'), 'a session waits for events');

my $before = ask(q{SELECT nvent.kv_get('hot')});
my $version = ask(q{SELECT nvent.stream_version('nvent:t:hot')});
my %s = hold_and_write();
is(ask(q{SELECT nvent.kv_get('hot')}), $before + 2, 'plain reads see what is not durable');

# What finds nothing left to do, since somebody has just done it.
my %again = (
	'a repeated append' => q{SELECT nvent.stream_append('nvent:t:hot', '{"type": "x", "eventId": "cmd-1"}') ->> 'version'},
	'an update that changes nothing' => q{SELECT nvent.entry_update('nvent:flows', 'hot', '{"stats": {"total": 1}}')},
	'a deletion of what is gone' => q{SELECT nvent.kv_delete('gone')},
	'a store that is there' => q{SELECT nvent.store_create()});
sub repeat
{
	my %repeated;

	foreach my $what (sort keys %again)
	{
		$repeated{$what} = run_in(session('SET nvent_store.early_lock_release = off'), $again{$what});
		ok(waits($repeated{$what}, 'WALWrite'), "$what is not answered before what it found is durable");
	}
	return %repeated;
}

my %repeated = repeat();
my $poll = qq{SELECT next_cursor > $cursor, (SELECT string_agg(e ->> 'version', ' ') FROM unnest(events) e) FROM nvent.stream_poll('nvent:t:>', $cursor)};
is(ask($poll), 'f|', 'a poll answers with nothing that is not durable, and does not wait');
my $kept = session();
is($kept->{psql}->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM unnest((SELECT events FROM nvent.stream_poll('nvent:t:>', $cursor))); COMMIT"),
	'0', 'nor does one with a snapshot that is kept');
my $claim = q{BEGIN; SELECT string_agg(name, ' ' ORDER BY name) FROM nvent.consumer_claim(); ROLLBACK};
my $fetch = q{BEGIN; SELECT string_agg(name || ' ' || cardinality(events), ', ' ORDER BY name) FROM nvent.consumer_fetch(); ROLLBACK};
is(ask($claim), 'c', 'nobody claims a consumer that has nothing else');
is(ask($fetch), 'c 1', 'nor fetches it for one');
is(silent($listener, 0.5), '', 'nobody is told of it');
is(ask("SELECT state FROM pg_stat_activity WHERE pid = $waiter->{pid}"), 'active', 'nor woken');

release_flush();
my $third = $version + 1;
is(answer($s{first}), ($before + 1) . "|$third|1", 'then the commit is answered');
is(answer($s{second}), ($before + 2) . '|' . ($third + 1), 'and the one that built on it');
is(answer($repeated{'a repeated append'}), $third, 'and the repeated append');
answer($repeated{$_}) foreach keys %repeated;
is(ask($poll), "t|$third " . ($third + 1), 'and a poll has the events');
is(ask($claim), 'ahead c', 'and who claims a consumer');
is(ask($fetch), 'ahead 2, c 3', 'and who fetches it for one');
answer($waiter);
pass('who waits is woken');
ok(notified($listener, qr/nvent:t:hot/), 'who listens is told');
end($kept, $waiter, values %s, values %repeated);

# --- What is prepared ---

my $later = session();
$later->{psql}->query_safe(q{BEGIN; SELECT nvent.kv_set('later', '1'); PREPARE TRANSACTION 'later'});
hold_flush();
my $prepares = run_in(session(), q{BEGIN; SELECT nvent.kv_set('now', '1'); PREPARE TRANSACTION 'now'});
ok(waits($prepares, 'WALWrite'), 'to prepare a transaction waits for the log');
cmp_ok(locks($prepares), '>', 0, 'with its locks');
run_in($later, q{COMMIT PREPARED 'later'});
ok(waits($later, 'WALWrite'), 'so does to commit one');
is(ask(q{SELECT nvent.kv_get('later') IS NULL, count(*) > 0 FROM pg_locks WHERE pid IS NULL AND mode = 'RowExclusiveLock'}), 't|t', 'which nobody sees, and which has its locks');
release_flush();
answer($_) foreach $prepares, $later;
is(ask(q{SELECT nvent.kv_get('later'), nvent.kv_get('now') IS NULL}), '1|t', 'then it is there, and what is prepared is not');
ask(q{ROLLBACK PREPARED 'now'});
end($prepares, $later);

# --- Workers of a query ---

my $parallel = session('SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0');
like($parallel->{psql}->query_safe(q{BEGIN; SELECT nvent.kv_increment('hot', 1) \g /dev/null
EXPLAIN (ANALYZE, COSTS OFF) SELECT count(nvent.jsonb_deep_merge(to_jsonb(f), '{}')) FROM filler f;
COMMIT}), qr/Workers Launched: [1-9]/, 'a transaction that counts has workers');
is($parallel->{psql}->query_safe('SHOW synchronous_commit'), 'on', 'which leave synchronous_commit as it was');
hold_flush();
run_in($parallel, q{BEGIN; SELECT nvent.kv_increment('hot', 1) \g /dev/null
SELECT count(nvent.jsonb_deep_merge(to_jsonb(f), '{}')) > 0 FROM filler f;
COMMIT});
ok(waits($parallel, 'WALWrite'), 'its commit is not answered before it is durable');
is(locks($parallel), 0, 'and has released its locks');
release_flush();
is(answer($parallel), 't', 'then it is');
end($parallel);

# --- A crash while it is not flushed ---

my $ids = ask('SELECT max(id) FROM nvent_stream_t');
$before = ask(q{SELECT nvent.kv_get('hot')});
$version = ask(q{SELECT nvent.stream_version('nvent:t:hot')});
$cursor = ask('SELECT nvent.safe_position()');
$again{'a repeated append'} =~ s/cmd-1/cmd-2/;
my $prepared = session();
$prepared->{psql}->query_safe(q{BEGIN; SELECT nvent.kv_set('prepared', '1'), nvent.stream_append('nvent:t:p', '{"type": "x"}'); PREPARE TRANSACTION 'p'});
end($prepared);
hold_flush();
my $lost = run_in(session(), q{SELECT nvent.kv_increment('hot', 1), nvent.stream_append('nvent:t:hot', '{"type": "x", "eventId": "cmd-2"}') ->> 'version', nvent.entry_increment('nvent:flows', 'hot', 'stats.total', 1)});
ok(waits($lost, 'WALWrite'), 'a commit waits');
is(ask(q{SELECT nvent.kv_get('hot')}), $before + 1, 'and is visible');
$again{'an update that changes nothing'} =~ s/1/2/;
%repeated = repeat();
my @answers = map { my $session = $_; sub { $session->{psql}->{stdout} } } $lost, values %repeated;
crash_held();
is(join('', map { $_->() } @answers), '', 'nobody has got an answer');
is(ask(q{SELECT nvent.kv_get('hot')}), $before, 'it is gone, wholly');
is(ask(q{SELECT nvent.stream_version('nvent:t:hot'), count(*) FROM nvent_stream_t WHERE subject = 'nvent:t:hot'}), "$version|$version", 'the event, too');
is(ask(q{SELECT nvent.entry_get('nvent:flows', 'hot') -> 'metadata' -> 'stats' -> 'total'}), 1, 'and the number');
is(ask(q{COMMIT PREPARED 'p'; SELECT nvent.kv_get('prepared'), nvent.stream_version('nvent:t:p')}), '1|1', 'a prepared transaction is durable as ever');
end($lost, values %repeated);
eval { $listener->quit };

# --- Where marks are locks ---

ask('CREATE DATABASE other');
$node->safe_psql('other', q{CREATE EXTENSION nvent_store; SELECT nvent.store_create(); SELECT nvent.kv_set('hot', '0'); SELECT nvent.stream_create_table('t'); SELECT nvent.stream_append('nvent:t:hot', '{"type": "x"}')});
hold_flush();
my $appends = run_in(session('', 'other'), q{SELECT nvent.stream_append('nvent:t:hot', '{"type": "x"}') ->> 'version'});
ok(waits($appends, 'WALWrite'), 'beyond max_databases an append waits');
cmp_ok(locks($appends), '>', 0, 'beyond max_databases an append keeps its locks meanwhile');
my $counts = run_in(session('', 'other'), q{SELECT nvent.kv_increment('hot', 1)});
ok(waits($counts, 'WALWrite'), 'beyond max_databases a counter waits');
is(locks($counts), 0, 'without its locks');
release_flush();
is(answer($appends), 2, 'beyond max_databases the append is answered');
end($appends, $counts);

# --- Standbys ---

my $local = 'SET synchronous_commit = local';
$cursor = ask('SELECT nvent.safe_position()');
$before = ask(q{SELECT nvent.kv_get('hot')});
synchronous($node, 'nobody');
my $write = q{SELECT nvent.kv_increment('hot', 1), nvent.stream_append('nvent:t:hot', '{"type": "x", "eventId": "cmd-3"}') ->> 'type'};
my $waits = run_in(session(), $write);
ok(waits($waits, 'SyncRep'), 'a commit waits for the standby');
is(locks($waits), 0, 'without its locks');
is(ask("$local; SELECT nvent.kv_increment('hot', 1)"), $before + 2, 'somebody else goes on');
is(ask("SELECT cardinality(events) FROM nvent.stream_poll('nvent:t:>', $cursor)"), 0, 'readers do not get what the standby may lack');
my $retry = run_in(session(), q{SELECT nvent.stream_append('nvent:t:hot', '{"type": "x", "eventId": "cmd-3"}') ->> 'type'});
ok(waits($retry, 'SyncRep'), 'a repeated append waits for the standby');
is(ask("SET nvent_store.early_lock_release = on; BEGIN; SET LOCAL synchronous_commit = local; SELECT nvent.kv_increment('hot', 1); COMMIT; SHOW synchronous_commit"), ($before + 3) . "\non", 'one that waits for the disk only does not wait for it');
foreach my $session ($waits, $retry)
{
	ask("SELECT pg_cancel_backend($session->{pid})");
	answer($session);
	like($session->{psql}->{stderr}, qr/WARNING:  canceling wait for synchronous replication due to user request\nDETAIL:  The transaction has already committed locally/,
		'cancelling the wait gives the warning of the server');
	$session->{psql}->{stderr} = '';
	is($session->{psql}->query_safe('SHOW synchronous_commit'), 'on', 'and nothing else');
}
is(ask("SELECT cardinality(events) FROM nvent.stream_poll('nvent:t:>', $cursor)"), 1, 'then readers get it');

# Others get these at once: nothing is to be read, or applied, late.
my $inline = run_in(session('SET nvent_store.notify = inline'), q{SELECT nvent.stream_append('nvent:t:hot', '{"type": "x"}') ->> 'type'});
ok(waits($inline, 'SyncRep'), 'NOTIFY and a standby');
cmp_ok(locks($inline), '>', 0, 'are a commit as ever');
my $apply = run_in(session('SET synchronous_commit = remote_apply'), q{SELECT nvent.kv_increment('other', 1)});
ok(waits($apply, 'SyncRep'), 'remote_apply and a standby');
cmp_ok(locks($apply), '>', 0, 'are a commit as ever, too');
my $killed = run_in(session(), q{SELECT nvent.kv_increment('killed', 1)});
ok(waits($killed, 'SyncRep'), 'another one waits');
ask("SELECT pg_terminate_backend($killed->{pid})");
ok(wait_until(sub { ask("SELECT count(*) FROM pg_stat_activity WHERE pid = $killed->{pid}") eq '0' }), 'its session can be ended');
is(ask(q{SELECT nvent.kv_get('killed')}), 1, 'it has committed');
synchronous($node, '');
answer($_) foreach $inline, $apply;
end($waits, $retry, $inline, $apply, $killed);

# One that is there.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'primary_conninfo = \'' . $node->connstr . " application_name=standby'\nwal_receiver_status_interval = 1h\n");
$standby->start;
synchronous($node, 'standby');
# It says how far it is when it gets something.
ok( wait_until(
		sub {
			ask("$local; INSERT INTO filler VALUES (3)");
			return ask(q{SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'}) eq '1';
		}),
	'there is a standby');
foreach my $level (qw(remote_write on remote_apply))
{
	my $n = ask("SET nvent_store.early_lock_release = on; SET synchronous_commit = $level; SELECT nvent.kv_increment('standby', 1)");

	is($standby->safe_psql('postgres', q{SELECT nvent.kv_get('standby')}), $n, 'what was acknowledged has been applied')
	  if $level eq 'remote_apply';
}
synchronous($node, '');
$standby->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing else went wrong');
$node->stop;

done_testing();
