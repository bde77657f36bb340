# No position is drawn below a cursor that a reader has, however the database
# lost what it had drawn: a standby that was behind is promoted, synchronous or
# not; the server is recovered to a point in time; the database is restored from
# a dump.  Readers go on with their cursors, before and after the first append.
# Of a server that was started from a copy without recovery nobody knows: its
# readers get an error, until the positions are moved by hand.
#
# Seen to fail without the jump on a new timeline: the events that come next are
# not read, in every case; with the jump and without nvs_sequence_reach(), a
# reader gets an error until somebody appends; without
# nvs_position_check_cursor() what is appended on the copy is passed in silence;
# without the lock of the jump nobody waits for one, and without the second look
# behind it positions are moved eight times.

use strict;
use warnings;
use FindBin;
use IPC::Run;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $step = 4294967296;

# Positions that are drawn and rolled back.
my $rollback = q{BEGIN; SELECT count(nvent.next_position('nvent')) FROM generate_series(1, 100); ROLLBACK};

# Events that are committed where nobody waits for a standby.
my $lost = q{SET synchronous_commit = local; SELECT count(nvent.stream_append('nvent:t:lost', '{"type": "x"}')) FROM generate_series(1, 100)};

# cursor(NODE): how far a reader of it gets.
sub cursor
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{SELECT next_cursor FROM nvent.stream_poll('nvent:>', 0, 1000)});
}

# goes_on(TITLE, NODE, CURSOR, DATABASE): a reader with this cursor gets what is
# appended from now on.
sub goes_on
{
	my ($title, $node, $cursor, $database) = @_;
	my $poll = "SELECT next_cursor, cardinality(events) FROM nvent.stream_poll('nvent:>', $cursor)";
	my ($first, $second, $last);

	$database //= 'postgres';
	is($node->safe_psql($database, $poll), "$cursor|0", "$title: the reader waits where it is");
	is($node->safe_psql($database, "SELECT nvent.stream_wait('nvent:>', $cursor, '10 ms')"), 'f', "$title: and sleeps");
	$last = $node->safe_psql($database, 'SELECT last_value FROM nvent.position_seq');
	is(join(' ', attempt($node, "SELECT nvent.stream_poll('nvent:>', $last + $step + 1)", $database)), 'NV021 ',
		"$title: what it cannot have got is an error");

	$first = append($node, 'first', $database);
	$second = append($node, 'second', $database);
	cmp_ok($first, '>', $cursor, "$title: the next position is above its cursor");
	cmp_ok($second - $first, '<', 3, "$title: and the one after that follows");
	is($node->safe_psql($database, $poll), "$second|2", "$title: both are read");
	is(join(' ', attempt($node, "SELECT nvent.stream_poll('nvent:>', $second + 1)", $database)), 'NV021 ',
		"$title: then only what was drawn is a cursor");
}

# failover(TITLE, PRELOAD, CONF, SQL): a standby is promoted that has not got
# what the primary did by SQL, as nobody sends it any more.
sub failover
{
	my ($title, $preload, $conf, $sql) = @_;
	my $name = $title =~ s/\W+/_/gr;
	my $primary = $preload ? new_server("p_$name") : plain_server("p_$name");
	my $standby = PostgreSQL::Test::Cluster->new("s_$name");
	my ($sender, $cursor);

	append($primary, 'begin');
	$primary->backup('base');
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;
	$primary->append_conf('postgresql.conf', $conf);
	$primary->reload;
	append($primary, 'seen');
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	$sender = $primary->safe_psql('postgres', 'SELECT pid FROM pg_stat_replication');
	kill 'STOP', $sender;
	$primary->safe_psql('postgres', $sql);
	$cursor = cursor($primary);
	$primary->stop('immediate');
	$standby->promote;
	cmp_ok($standby->safe_psql('postgres', 'SELECT last_value FROM nvent.position_seq'), '<', $cursor,
		"$title: the standby is behind");
	goes_on($title, $standby, $cursor);
	$standby->stop;
}

foreach my $preload (1, 0)
{
	my $how = $preload ? 'preloaded' : 'plain';

	failover("$how sync", $preload, "synchronous_standby_names = '*'\n", $rollback);
	failover("$how async", $preload, '', $lost);
}

# --- Recovery, and what only looks like it ---

my $node = PostgreSQL::Test::Cluster->new('archived');
$node->init(has_archiving => 1, allows_streaming => 1);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'nvent_store'\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION nvent_store');
append($node, 'begin');
$node->backup('base');
append($node, 'kept');
my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
$node->safe_psql('postgres', $lost);
my $cursor = cursor($node);
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');

my $recovered = PostgreSQL::Test::Cluster->new('recovered');
$recovered->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
$recovered->append_conf('postgresql.conf', "recovery_target_lsn = '$target'\nrecovery_target_action = 'promote'\n");
$recovered->start;
ok($recovered->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), 'recovered');
is($recovered->safe_psql('postgres', q{SELECT count(*) FROM nvent.stream_read('nvent:t:lost')}), 0, 'recovered: without what came later');
is($recovered->safe_psql('postgres', q{SELECT count(*) FROM nvent.stream_read('nvent:t:kept')}), 1, 'recovered: and with what came before');
goes_on('recovered', $recovered, $cursor);
$recovered->stop;

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'base');
$copy->start;
is(join(' ', attempt($copy, "SELECT nvent.stream_poll('nvent:>', $cursor)")), 'NV021 ', 'copied: the reader gets an error');
$copy->safe_psql('postgres', "SELECT setval('nvent.position_seq', last_value + $step) FROM nvent.position_seq");
cmp_ok(append($copy, 'after'), '>', $cursor, 'copied: until the positions were moved');
is($copy->safe_psql('postgres', "SELECT cardinality(events) FROM nvent.stream_poll('nvent:>', $cursor)"), 1, 'copied: then it is read');
$copy->stop;

my $dump = $node->basedir . '/dump.sql';
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dumped');
$node->safe_psql('postgres', $lost);
$cursor = cursor($node);
$node->command_ok([ 'psql', '-Xqf', $dump, $node->connstr('restored') ], 'restored');
goes_on('restored', $node, $cursor, 'restored');

# Who comes first moves the positions, and nobody else does: the others wait for
# that, and look again.  All of them have looked before the first one does it.
$node->safe_psql('postgres', 'CREATE DATABASE together');
$node->command_ok([ 'psql', '-Xqf', $dump, $node->connstr('together') ], 'restored once more');
my $script = $node->basedir . '/together.sql';
append_to_file($script, q{SELECT nvent.stream_append('nvent:t:' || :client_id, '{"type": "x"}');});
my $holder = $node->background_psql('together');
# What COMMENT locks the sequence with lets nobody move the positions.
$holder->query_safe(q{BEGIN; COMMENT ON SEQUENCE nvent.position_timeline IS 'held'});
my $out = '';
my $appends = IPC::Run::start([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', 5, '-f', $script, $node->connstr('together') ], '>', \$out, '2>&1');
ok(wait_until(sub { $node->safe_psql('together', q{SELECT count(*) FROM pg_locks WHERE relation = 'nvent.position_timeline'::regclass AND NOT granted}) eq '8' }),
	'eight append first, and wait for one');
$holder->query_safe('ROLLBACK');
$holder->quit;
ok($appends->finish, 'then all append') or diag($out);
is($node->safe_psql('together', "SELECT max(id) - min(id) < 1000, max(id) < 2 * $step, count(*) FROM nvent_stream_t WHERE id > $step"), 't|t|40',
	'positions were moved once');

# A new database has nobody to go beyond.
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION nvent_store');
cmp_ok(append($node, 'first', 'fresh'), '<', 10, 'a new database begins at the beginning');
$node->stop;

done_testing();
