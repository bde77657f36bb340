# A prepared append holds back what lies at or above its low-water mark,
# through crashes and restarts, until it is committed or rolled back.  What
# holds a transaction but appends nothing here holds back nobody.
#
# Seen to fail, preloaded, when a server that starts does not expect low-water
# marks that are locks: the prepared event is passed after the crash.
# Preloaded or not, when locks of another database are not left out, and
# preloaded, when slots of one are not: "elsewhere" holds back; when the
# low-water mark of a prepared transaction is not locked: nothing is held.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('two_phase', 'autovacuum = off');
my $cursor = 0;

$node->safe_psql('postgres', 'CREATE DATABASE other; CREATE TABLE plain (n int)');
$node->safe_psql('other', 'CREATE EXTENSION nvent_store; CREATE TABLE plain (n int)');

sub prepare
{
	my ($subject, $gid, $database) = @_;

	return $node->safe_psql($database // 'postgres', join ';', 'BEGIN',
		append_sql($subject), "PREPARE TRANSACTION '$gid'");
}

# What a reader gets that goes on where it was: the last parts of subjects.
sub next_page
{
	my $events;

	($events, $cursor) = page($node, $cursor);
	return $events;
}

# Is this what is published for the store before long?  Without a worker we
# publish it.
sub published
{
	my ($position, $preloaded) = @_;

	$node->safe_psql('postgres', 'SELECT nvent.position_publish()') unless $preloaded;
	return wait_until(sub {
		$node->safe_psql('postgres', 'SET default_transaction_isolation = \'repeatable read\'; SELECT nvent.safe_position()') == $position;
	});
}

# The end of a prepared transaction after two crashes.
sub across_crashes
{
	my ($how, $end, $then, $preloaded) = @_;
	my ($low, $listener);

	append($node, 'before');
	next_page();
	$low = prepare('prepared', 'p');
	append($node, 'after');
	crash($node);
	is($node->safe_psql('postgres', "SELECT pid, prepared, low_water_mark <= $low, tables FROM nvent.appenders"),
		'|p|t|{nvent_stream_t}', "$how, $end: after a crash its gid is in nvent.appenders");
	is(next_page(), '', "$how, $end: held after a crash");
	append($node, 'later');
	crash($node);
	append($node, 'last');
	is(next_page(), '', "$how, $end: held after another crash, which no session saw");
	is($node->safe_psql('postgres', "SELECT nvent.stream_wait('nvent:t:>', $cursor, '10 ms')"),
		'f', "$how, $end: nothing to wait for");
	cmp_ok($node->safe_psql('postgres', 'SELECT nvent.safe_position()'), '<', $low,
		"$how, $end: the safe position is below it");
	ok(published($node->safe_psql('postgres', 'SELECT nvent.safe_position()'), $preloaded),
		"$how, $end: the published one is, too");
	$listener = listener($node, 'nvent_events') if $preloaded;

	$node->safe_psql('postgres', "$end PREPARED 'p'");
	is(next_page(), $then, "$how, $end: then all of it, in order");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM nvent.appenders'), '0',
		"$how, $end: and nobody is named");
	ok(published($node->safe_psql('postgres', 'SELECT nvent.safe_position()'), $preloaded),
		"$how, $end: the published position follows");
	return unless $preloaded;
	ok(scalar(notified($listener, qr/null/)), "$how, $end: listeners are to read everything");
	$listener->quit;
}

# Whoever holds a transaction without appending to this database.
sub held_elsewhere
{
	my ($how, $preloaded) = @_;
	my $here = $node->background_psql('postgres');
	my $there = $node->background_psql('other');
	my $appender = $node->background_psql('other');
	my $old = $node->background_psql('postgres');
	my $id;

	$here->query_safe('BEGIN; INSERT INTO plain VALUES (1); SELECT pg_current_xact_id()');
	$there->query_safe('BEGIN; INSERT INTO plain VALUES (1); SELECT pg_current_xact_id()');
	$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM plain');
	prepare('prepared', 'elsewhere', 'other');
	$appender->query_safe('BEGIN; ' . append_sql('open'));
	$node->safe_psql('postgres', "BEGIN; INSERT INTO plain VALUES (1); PREPARE TRANSACTION 'plain'");
	next_page();
	$id = append($node, 'free');
	is(next_page(), 'free', "$how: a transaction that appends nothing here delays nobody");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM nvent.appenders'), '0',
		"$how: nor is it named");
	ok(published($id, $preloaded), "$how: nor does it hold the published position");
	crash($node);
	$id = append($node, 'freed');
	is(next_page(), 'freed', "$how: nor do prepared ones after a crash");
	$node->safe_psql('postgres', "ROLLBACK PREPARED 'plain'");
	$node->safe_psql('other', "ROLLBACK PREPARED 'elsewhere'");
	eval { $_->quit } foreach $here, $there, $appender, $old;
}

# An open appender delays what is above its low-water mark, and is known by its
# process.
sub open_appender
{
	my ($how) = @_;
	my $open = $node->background_psql('postgres');
	my $pid = $open->query_safe('SELECT pg_backend_pid()');

	next_page();
	append($node, 'below');
	$open->query_safe('BEGIN; ' . append_sql('open'));
	append($node, 'above');
	is(next_page(), 'below', "$how: what is below an open appender's low-water mark does not wait");
	is($node->safe_psql('postgres', 'SELECT pid, tables, since < now() FROM nvent.appenders'),
		"$pid|{nvent_stream_t}|t", "$how: and it is named");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	ok(wait_until(sub { next_page() eq 'above' }), "$how: until its session is terminated");
	eval { $open->quit };
}

# Who makes the table would have all others wait until it ends.
append($node, 'first');
append($node, 'first', 'other');
foreach my $preload ('nvent_store', '')
{
	my $how = $preload eq '' ? 'not preloaded' : 'preloaded';

	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'$preload'");
	$node->restart;
	across_crashes($how, 'COMMIT', 'prepared,after,later,last', $preload ne '');
	across_crashes($how, 'ROLLBACK', 'after,later,last', $preload ne '');
	held_elsewhere($how, $preload ne '');
	open_appender($how);
}

# Prepared without shared memory, ended with it, and the other way round.
foreach my $preload ('nvent_store', '')
{
	next_page();
	prepare('moved', 'p');
	append($node, 'behind');
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'$preload'");
	$node->restart;
	is(next_page(), '', "preload '$preload' since it was prepared: held");
	$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
	is(next_page(), 'moved,behind', "preload '$preload' since it was prepared: then read");
}
$node->stop;

done_testing();
