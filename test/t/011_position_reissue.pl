# A position that was safe to a reader is never drawn again, whatever the
# server forgets in a crash.
#
# A sequence is logged every 32 positions, and that is written with the next
# commit at the latest.  Transactions that are rolled back write nothing: after
# a crash their positions would be drawn again, below the cursor of a reader
# that had passed them.
#
# Seen to fail without XLogFlush() of what the sequence logged before a
# position is called safe.

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

# try(TITLE, SQL): the cursor that SQL prints last is still right after a crash
# before which nothing was written but what SQL wrote.
sub try
{
	my ($title, $sql) = @_;
	my ($pid, $out, $cursor, $position);

	append($node, '1');
	ok(wait_until(sub { $pid = wal_writer(); $pid ne '' }), "$title: up");
	kill 'STOP', $pid;
	$out = $node->safe_psql('postgres',
		"BEGIN; SELECT count(nvent.next_position('nvent')) FROM generate_series(1, 100); ROLLBACK; $sql");
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
foreach my $preload ('nvent_store', '')
{
	my $how = $preload eq '' ? 'not preloaded' : 'preloaded';

	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'$preload'");
	$node->restart;
	try("$how, stream_poll()", "SELECT next_cursor FROM nvent.stream_poll('nvent:t:>', 0)");
	try("$how, safe_position()", 'SELECT nvent.safe_position()');
	try("$how, events that a crash loses", "SET synchronous_commit = off; SELECT count(nvent.stream_append('nvent:t:2', '{\"type\": \"x\"}')) FROM generate_series(1, 100); SELECT next_cursor FROM nvent.stream_poll('nvent:t:>', 0)");
	try("$how, REPEATABLE READ", "SET synchronous_commit = off; SELECT nvent.position_publish(); BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT next_cursor FROM nvent.stream_poll('nvent:t:>', 0)");
}
$node->stop;

done_testing();
