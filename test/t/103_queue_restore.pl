# A dump of queues and schedules that is restored while maintenance is at work, which
# is called behind the data of each table: nothing is taken for what was left behind,
# and no schedule runs before all is there.  In the order of the archive and the other
# way round, with indexes that come behind, and data alone into tables that are there.
#
# Seen to fail with queues that are swept without their indexes ("runs last": those that
# had ended are taken for such as waited too long), with rows taken for those of a
# dropped queue whatever its number ("data alone"), and with schedules that run while
# what they write to has no index.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = plain_server('main', "fsync = off\n");
my $archive = $node->basedir . '/archive';
my $list = $node->basedir . '/list';
my $contents = contents_sql('nvent.published_position', 'nvent.position_timeline');

$node->safe_psql('postgres', 'CREATE DATABASE src');
$node->safe_psql('src', <<'EOT_SQL');
CREATE EXTENSION nvent_store;
SELECT nvent.store_create();
SELECT nvent.queue_create(q, q, keep_ended => '1 year', keep_queued => '1 year') FROM unnest('{standard,short,exclusive,singleton,stately,key_strict_fifo}'::text[]) q;
SELECT nvent.queue_create('dead'), nvent.queue_create('dying', retry_limit => 0, dead_letter => 'dead');
SELECT nvent.queue_create('gone'), nvent.queue_drop('gone');
SELECT nvent.queue_create('lanes', group_limit => 1);
SELECT nvent.queue_send(q, to_jsonb(i), key => 'k' || i % 3) FROM unnest('{standard,short,exclusive,singleton,stately,key_strict_fifo}'::text[]) q, generate_series(1, 6) i;
SELECT nvent.queue_send('lanes', to_jsonb(i), group_name => 'g' || i % 2) FROM generate_series(1, 6) i;
SELECT count(*) FROM nvent.queue_fetch('lanes');
SELECT nvent.queue_send('standard', priority => 5), nvent.queue_send('standard', start_after => '1 hour'), nvent.queue_send('standard', key => 's', throttle => '1 hour');
SELECT nvent.queue_complete('standard', id, attempt) FROM nvent.queue_fetch('standard', 2);
SELECT nvent.queue_fail('stately', id, attempt, '"again"') FROM nvent.queue_fetch('stately');
SELECT nvent.queue_send('dying');
SELECT nvent.queue_fail('dying', id, attempt, '"no"') FROM nvent.queue_fetch('dying');
SELECT count(*) FROM nvent.queue_flow(ARRAY['{"queue": "standard", "name": "x"}', '{"queue": "standard", "after": "x"}']::jsonb[]);

-- What has ended is kept, what waits is not.
SELECT nvent.queue_create('ended', keep_ended => '1 year', keep_queued => '1 ms');
SELECT nvent.queue_send('ended') FROM generate_series(1, 5);
SELECT nvent.queue_complete('ended', id, attempt) FROM nvent.queue_fetch('ended', 5);

-- Runs of schedules are due: an event that makes a job, and a job.
SELECT nvent.stream_append('nvent:tick:1', '{"type": "t"}') FROM generate_series(1, 3);
SELECT nvent.queue_bind('standard', 'nvent:tick:*', true);
SELECT nvent.schedule_set('event', 'nvent:tick:1', '{"type": "t"}', at => '2000-01-01') IS NULL;
SELECT nvent.schedule_job('job', 'standard', at => '2000-01-01') IS NULL;
EOT_SQL
$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', $archive, 'src' ], 'dumped');
my $rows = $node->safe_psql('src', $contents);
like($rows, qr/^nvent_$_: [1-9]/m, "there is something in $_")
  foreach qw(queues jobs job_levels job_turns job_runs job_keys job_slots job_lanes job_waits job_parents queue_bindings scheduler_jobs stream_tick);

# Entries of the archive: data of the extension, of tables, and states of sequences.
my ($listed) = run_command([ 'pg_restore', '-l', $archive ]);
my @all = split /\n/, $listed;
my @registry = grep { / TABLE DATA nvent / } @all;
my @tables = grep { / TABLE DATA \w+ nvent_(queue|job|schedule|stream_tick)/ } @all;
my @others = grep { / TABLE DATA \w+ nvent_(?!queue|job|schedule|stream_tick)/ } @all;
my @sequences = grep { / SEQUENCE SET / } @all;

# restore(DB, ARGUMENT...): a part of the archive.
sub restore
{
	my ($db, @arguments) = @_;

	run_log([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), @arguments, $archive ])
	  or die "pg_restore @arguments failed";
}

# restore_entries(DB, ENTRY...): these.
sub restore_entries
{
	my ($db, @entries) = @_;

	open(my $file, '>', $list) or die "cannot write $list: $!";
	print $file map { "$_\n" } @entries;
	close $file;
	restore($db, '-L', $list, '--disable-triggers');
}

# load_each(DB, ENTRY...): these, one by one, with maintenance behind each.
sub load_each
{
	my ($db, @entries) = @_;

	foreach my $entry (@entries)
	{
		restore_entries($db, $entry);
		$node->psql($db, 'SELECT nvent.maintain()');
		$node->psql($db, 'SELECT nvent.schedule_run()');
	}
}

# What comes next.
my $goes_on = q{
	SELECT nvent.schedule_run();
	SELECT nvent.maintain();
	SELECT string_agg(concat_ws(' ', queue, depth, ready, deferred, retry, blocked, waiting, active), ', ' ORDER BY queue) FROM nvent.queue_stats();
	SELECT count(*), max(version) FROM nvent_stream_tick};
my $went_on = $node->safe_psql('src', $goes_on);
like($went_on, qr/^2\n0\n.*\n4\|4$/, 'schedules run, and there is nothing to delete');
# sorted(PATTERN, ENTRY...): those that match first.
sub sorted
{
	my ($pattern, @entries) = @_;

	return ((grep { /$pattern/ } @entries), (grep { !/$pattern/ } @entries));
}

# Triggers before data, as they may come in several jobs of pg_restore, and indexes last.
my ($behind) = run_command([ 'pg_restore', '-l', '--section=post-data', $archive ]);
my @behind = grep { /^\d/ } split /\n/, $behind;
my %orders = (
	'in order' => \@tables,
	'backwards' => [ reverse @tables ],
	'runs last' => [ reverse sorted(qr/ nvent_job_runs /, @tables) ]);
foreach my $order (sort keys %orders)
{
	my $db = $order =~ s/ //r;

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	restore($db, '--section=pre-data');
	restore_entries($db, grep { / TRIGGER / } @behind);
	restore_entries($db, @registry, @others);
	load_each($db, @{$orders{$order}});
	restore_entries($db, @sequences);
	is($node->safe_psql($db, $contents), $rows, "$order: every row and sequence");
	restore_entries($db, grep { !/ TRIGGER / } @behind);
	is($node->safe_psql($db, $goes_on), $went_on, "$order: it goes on as it would have");
}

# Where indexes are there already, the order of the archive is what keeps jobs; of
# schedules nothing tells that they may not run yet.
$node->safe_psql('postgres', 'CREATE DATABASE data TEMPLATE template0');
restore('data', '--schema-only');
restore_entries('data', @registry, @others);
load_each('data', grep { !/ nvent_scheduler_jobs / } @tables);
restore_entries('data', @sequences, grep { / nvent_scheduler_jobs / } @tables);
is($node->safe_psql('data', $contents), $rows, 'data alone: every row and sequence');
is($node->safe_psql('data', $goes_on), $went_on, 'data alone: it goes on as it would have');

$node->stop;
done_testing();
