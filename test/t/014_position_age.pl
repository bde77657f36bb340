# Where nvent_store.max_append_age_action says so, the worker ends the sessions
# whose transactions hold readers back for too long, whatever they do meanwhile,
# and no other session: nor one that has appended before, in a transaction that
# is over, nor one of another database.
#
# Seen to fail without kill(): nobody is ended; with the comparison of "since"
# taken out, in both places: who has just begun is ended.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('age', "nvent_store.max_append_age = '4s'\n");
my $draw = "SELECT nvent.next_position('nvent')";

# session(SQL): one that has run this, and its process.
sub session
{
	my ($sql, $database) = @_;
	my $psql = $node->background_psql($database // 'postgres', on_error_stop => 0);
	my $pid = $psql->query_safe('SELECT pg_backend_pid()');

	$psql->query_safe($sql);
	return ($psql, $pid);
}

# Is there a session of this process?
sub alive
{
	return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $_[0]") eq '1';
}

append($node, 'begin');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION nvent_store; SELECT nvent.store_create(); CREATE TABLE t (n int)');
my ($logged, $logged_pid) = session("BEGIN; $draw");
ok(wait_until(sub { $node->log_contains("process $logged_pid holds back readers") }), 'log: it is named');
ok(alive($logged_pid), 'log: and goes on');
$node->safe_psql('postgres', 'ALTER SYSTEM SET nvent_store.max_append_age_action = terminate; SELECT pg_reload_conf()');
ok(wait_until(sub { !alive($logged_pid) }), 'terminate: one that was open before is ended');
eval { $logged->quit };

# One that appends again and again, for a second each, is never too old.
my ($young, $young_pid) = session('SELECT 1');
foreach my $n (1 .. 6)
{
	$young->query_safe('BEGIN; ' . append_sql('young') . '; SELECT pg_sleep(1); COMMIT') if alive($young_pid);
}
ok(alive($young_pid), 'terminate: not one whose transactions are young');

my ($before, $before_pid) = session('BEGIN; ' . append_sql('over') . '; COMMIT; BEGIN; CREATE TABLE elsewhere (n int)');
my ($other, $other_pid) = session('BEGIN; INSERT INTO t VALUES (1)', 'other');
my ($idle, $idle_pid) = session("BEGIN; $draw");
my ($writer, $writer_pid) = session('BEGIN; ' . append_sql('open') . "; SAVEPOINT s; $draw; ROLLBACK TO s");
my $above = append($node, 'above');
ok(wait_until(sub { !alive($idle_pid) }), 'terminate: one that has only drawn');
ok(wait_until(sub { !alive($writer_pid) }), 'terminate: one that has appended');
ok(wait_until(sub { $node->safe_psql('postgres', 'SELECT nvent.safe_position()') >= $above }), 'terminate: and readers go on');
ok(alive($before_pid), 'terminate: nor one whose appends are over');
ok(alive($other_pid), 'terminate: nor one of another database');
ok($node->log_contains("terminating process $idle_pid, which holds back readers"), 'terminate: the log says so');
ok(!$node->log_contains("terminating process ($before_pid|$other_pid|$young_pid),"), 'terminate: of no other');
like(join(' ', attempt($node, 'SET nvent_store.max_append_age_action = log')), qr/^55P02/, 'a session cannot change it');
eval { $_->quit } foreach $before, $other, $idle, $writer, $young;
$node->stop;

done_testing();
