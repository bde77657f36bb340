# A position that was safe to a reader is never drawn again, whatever the
# server forgets in a crash.
#
# A sequence is logged every 32 positions, and that is written with the next
# commit at the latest.  Transactions that are rolled back write nothing: after
# a crash their positions would be drawn again, below the cursor of a reader
# that had passed them.
#
# Seen to fail without XLogFlush() of what the sequence logged before a
# position is called safe; and where more are drawn at once than it has logged.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('reissue', "restart_after_crash = on\nwal_buffers = 4MB\n");

# The process that writes WAL when nobody waits for it; empty while there is
# none, as the server starts.
sub wal_writer
{
	my ($ret, $out) = $node->psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'");

	return $ret == 0 ? $out : '';
}

# try(TITLE, SQL, DRAW): the cursor that SQL prints last, behind a transaction
# that draws and is rolled back, is still right after a crash before which
# nothing was written but what SQL wrote.
sub try
{
	my ($title, $sql, $draw) = @_;
	my ($pid, $out, $cursor, $position);

	append($node, '1');
	ok(wait_until(sub { $pid = wal_writer(); $pid ne '' }), "$title: up");
	kill 'STOP', $pid;
	$out = $node->safe_psql('postgres',
		"BEGIN; $draw; ROLLBACK; $sql");
	($cursor) = $out =~ /(\d+)[^\n]*\z/;
	kill 'KILL', $pid;
	ok(wait_until(sub { my $other = wal_writer(); $other ne '' && $other ne $pid }),
		"$title: crashed, and up again");
	$position = append($node, '1');
	cmp_ok($position, '>', $cursor,
		"$title: what is appended now is above the cursor");
	is($node->safe_psql('postgres',
			"SELECT cardinality(events) FROM nvent.stream_poll('nvent:t:>', $cursor)"),
		1, "$title: and is read");
}

# Make the store and its table.
append($node, '1');
my $poll = "SELECT next_cursor FROM nvent.stream_poll('nvent:t:>', 0)";
my $one_by_one = "SELECT count(nvent.next_position('nvent')) FROM generate_series(1, 100)";
my $batch = "SELECT count(*) FROM nvent.stream_append_batch('nvent:t:2', array_fill('{\"type\": \"x\"}'::jsonb, ARRAY[100]))";
my $copy = "COPY nvent_trigger_events (trigger_name, ts, type) FROM PROGRAM 'yes x,1,x | head -n 100' (DELIMITER ',')";
foreach my $preload ('nvent_store', '')
{
	my $how = $preload eq '' ? 'not preloaded' : 'preloaded';

	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'$preload'");
	$node->restart;
	try("$how, stream_poll()", $poll, $one_by_one);
	try("$how, a batch", $poll, $batch);
	try("$how, COPY", $poll, $copy);
	try("$how, safe_position()", 'SELECT nvent.safe_position()', $one_by_one);
	try("$how, events that a crash loses", "SET synchronous_commit = off; SELECT count(nvent.stream_append('nvent:t:2', '{\"type\": \"x\"}')) FROM generate_series(1, 100); $poll", $one_by_one);
	try("$how, REPEATABLE READ", "SET synchronous_commit = off; SELECT nvent.position_publish(); BEGIN ISOLATION LEVEL REPEATABLE READ; $poll", $one_by_one);
}
$node->stop;

done_testing();
