# The published position: the worker writes it while positions advance, but not
# more often than said, and in place; and what those read who go by it, as
# standbys do.
#
# Seen to fail:
# - "not more often": without the interval asked for;
# - "in place": with an index on column position;
# - what the standby shows: when it goes by what the sequence logged.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_server('publish', "stats_fetch_consistency = none\n");

sub query
{
	return $node->safe_psql('postgres', $_[0]);
}

# The published position.
sub published
{
	return query('SELECT position FROM nvent.published_position');
}

# How often it was written so far; an idle worker reports all of its own.
sub written
{
	my ($column) = @_;
	my ($count, $last) = (-1, -2);

	wait_until(sub { $last = $count; $count = query("SELECT $column FROM pg_stat_user_tables WHERE relid = 'nvent.published_position'::regclass"); usleep(1200000) if $count != $last; $count == $last });
	return $count;
}

# Append for so many seconds, and how long that really took until all of it was
# published.
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
	wait_until(sub { published() == $safe }) or diag('what is published is behind');
	return time - $began;
}

# --- How often ---

query("SELECT nvent.store_create('other'), nvent.stream_create_table('t', store => 'other')");
append($node, '1');
ok(wait_until(sub { (published() || 0) == query('SELECT nvent.safe_position()') }),
	'the worker publishes what is safe');
my ($before, $hot) = (written('n_tup_upd'), written('n_tup_hot_upd'));
my $took = append_for(3);
my $times = written('n_tup_upd') - $before;
cmp_ok($times, '<=', $took / 0.1 + 2, 'not more often than every 100 ms');
cmp_ok($times, '>=', 5, 'all the time');
is(written('n_tup_hot_upd') - $hot, $times, 'in place: each is a HOT update');
cmp_ok(query("SELECT pg_relation_size('nvent.published_position')"), '<=', 2 * 8192, 'and the table does not grow');

# --- A standby ---

# From here on publishing is ours.
query("ALTER SYSTEM SET nvent_store.publish_interval = 0");
$node->restart;
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('follower');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $cursor = published();

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
append($node, 'first');
is(next_page(), '', 'standby: an event is there, but not before it is published');
query('SELECT nvent.position_publish()');
is(next_page(), 'first', 'standby: published it is read');
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; ' . append_sql('slow'));
append($node, 'fast');
query('SELECT nvent.position_publish()');
is(next_page(), '', 'standby: what is published does not pass an open appender');
$open->query_safe('COMMIT');
append($node, 'last');
is(next_page(), '', 'standby: nor does a reader when it has ended');
query('SELECT nvent.position_publish()');
is(next_page(), 'slow,fast,last', 'standby: then all of it, in order');

# An appender of another store holds back nobody here, open or prepared.
foreach my $how ('COMMIT', "PREPARE TRANSACTION 'p'")
{
	$open->query_safe("BEGIN; SELECT nvent.stream_append('other:t:1', '{\"type\": \"x\"}'); " . ($how eq 'COMMIT' ? '' : $how));
	append($node, 'free');
	query('SELECT nvent.position_publish()');
	is(next_page(), 'free', "standby: what is published for a store passes an appender of another, $how");
	is($standby->safe_psql('postgres', "SELECT cardinality(events) FROM nvent.stream_poll('other:>', $cursor - 2)"),
		0, "standby: and not for its own, $how");
	$open->query_safe($how eq 'COMMIT' ? 'COMMIT' : "COMMIT PREPARED 'p'");
}
query('SELECT nvent.position_publish()');
next_page();
is($standby->safe_psql('postgres', 'SELECT nvent.safe_position()'), published(),
	'standby: what is safe is what is published');
$open->quit;
$standby->stop;
$node->stop;

done_testing();
