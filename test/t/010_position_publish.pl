# The tick row: written by the worker while positions advance, but not more
# often than said, in place; and what those read who go by it.
#
# Fails:
# - "not more often": without is_over() in tick_is_due();
# - "in place": with an index on column position;
# - what the standby shows: without RecoveryInProgress() in
#   nvs_horizon_push_snapshot(), when it goes by what the sequence logged.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_server('tick', "stats_fetch_consistency = none\n");
my $append = "SELECT nvent.stream_append('nvent:t:%s', '{\"type\": \"x\"}') ->> 'id'";

sub query
{
	return $node->safe_psql('postgres', $_[0]);
}

sub append
{
	return query(sprintf($append, $_[0]));
}

sub tick
{
	return query('SELECT position FROM nvent.published_position');
}

# Ticks so far; an idle worker reports all of its own.
sub ticks
{
	my ($column) = @_;
	my ($count, $last) = (-1, -2);

	wait_until(sub { $last = $count; $count = query("SELECT $column FROM pg_stat_user_tables WHERE relid = 'nvent.published_position'::regclass"); usleep(1200000) if $count != $last; $count == $last });
	return $count;
}

# Append for so many seconds, and how long that really took until the tick row
# had it all.
sub append_for
{
	my ($seconds) = @_;
	my $began = time;

	query(<<"EOT");
DO \$\$
BEGIN
	WHILE clock_timestamp() < statement_timestamp() + '$seconds s' LOOP
		PERFORM nvent.stream_append('nvent:t:1', '{"type": "x"}');
		COMMIT;
	END LOOP;
END \$\$
EOT
	my $safe = query('SELECT nvent.safe_position()');
	wait_until(sub { tick() == $safe }) or diag('the tick row is behind');
	return time - $began;
}

# --- How often ---

append('1');
ok(wait_until(sub { (tick() || 0) == query('SELECT nvent.safe_position()') }),
	'the worker writes down what is settled');
my ($before, $hot) = (ticks('n_tup_upd'), ticks('n_tup_hot_upd'));
my $took = append_for(3);
my $ticks = ticks('n_tup_upd') - $before;
cmp_ok($ticks, '<=', $took / 0.1 + 2, 'not more often than every 100 ms');
cmp_ok($ticks, '>=', 5, 'all the time');
is(ticks('n_tup_hot_upd') - $hot, $ticks, 'in place: each is a HOT update');
cmp_ok(query("SELECT pg_relation_size('nvent.published_position')"), '<=', 2 * 8192, 'and the table does not grow');

# --- A standby ---

# From here on ticks are ours.
query("ALTER SYSTEM SET nvent_store.publish_interval = 0");
$node->restart;
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('follower');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $cursor = tick();

# What a reader on the standby gets that goes on where it was.
sub next_page
{
	my $events;

	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	($events, $cursor) = page($standby, $cursor);
	return $events;
}

query('SELECT nvent.position_publish()');
next_page();
append('first');
is(next_page(), '', 'standby: an event is there, but not before the next tick');
query('SELECT nvent.position_publish()');
is(next_page(), 'first', 'standby: with the tick it is read');
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; ' . sprintf($append, 'slow'));
append('fast');
query('SELECT nvent.position_publish()');
is(next_page(), '', 'standby: a tick does not pass an open appender');
$open->query_safe('COMMIT');
append('last');
is(next_page(), '', 'standby: nor does a reader when it has ended');
query('SELECT nvent.position_publish()');
is(next_page(), 'slow,fast,last', 'standby: then all of it, in order');
is($standby->safe_psql('postgres', 'SELECT nvent.safe_position()'), tick(),
	'standby: what is settled is what the tick row says');
$open->quit;
$standby->stop;
$node->stop;

done_testing();
