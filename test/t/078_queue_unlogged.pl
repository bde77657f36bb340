# Queues whose jobs are not written to the log, and a crash: they are there, empty,
# and work as new ones do, while those of another store have all their jobs; no id of
# before is that of another job; and a standby and a dump of them.
#
# Seen to fail with one of the tables written to the log (what is left of a key, a
# slot, a place in a lane or a run keeps jobs back), and with positions that are
# drawn again after the crash (queue/job.c): whoever knows one has another's job.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Cluster;
use Test::More;

my @policies = qw(standard short exclusive singleton stately key_strict_fifo);
my $node = new_server('main');

# sql(SQL): what it returns.
sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# fill(STORE): jobs of each policy in each state, keys, slots, lanes and flows.
sub fill
{
	my ($store) = @_;

	sql(qq{
		SELECT nvent.queue_send(q, '"one"', key => 'k', store => '$store'), nvent.queue_send(q, '"two"', key => 'k', store => '$store'),
			nvent.queue_send(q, '"later"', key => 'l', start_after => '1 hour', store => '$store'), nvent.queue_send(q, key => 's', throttle => '3000 days', store => '$store')
		FROM unnest('{@{[join ',', @policies]}}'::text[]) q;
		SELECT nvent.queue_fetch(q, store => '$store') FROM unnest('{@{[join ',', @policies]}}'::text[]) q;
		SELECT nvent.queue_flow(ARRAY['{"queue": "standard", "name": "x"}', '{"queue": "standard", "after": "x"}']::jsonb[], '$store');
		SELECT nvent.queue_complete('standard', id, attempt, store => '$store') FROM nvent.queue_fetch('standard', store => '$store');
		SELECT nvent.queue_send('standard', priority => 7, store => '$store');
	});
}

# rows(STORE): how many rows its tables of jobs have.
sub rows
{
	my ($store) = @_;

	return sql(join ' UNION ALL ', map { "SELECT count(*) FROM $_" }
		  split /\n/, sql("SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relname ~ '^${store}_job' ORDER BY relname"));
}

# works(STORE, TITLE): queues of each policy do what those of one do that was made now.
sub works
{
	my ($store, $title) = @_;

	foreach my $policy (@policies)
	{
		my $sends = sql(qq{SELECT count(nvent.queue_send('$policy', to_jsonb(i), key => 'k', store => '$store')) FROM generate_series(1, 3) i});
		my $slot = sql(qq{SELECT nvent.queue_send('$policy', key => 's', throttle => '3000 days', store => '$store') > 0});
		my $done = 0;

		$done += sql(qq{SELECT count(nvent.queue_complete('$policy', id, attempt, store => '$store')) FROM nvent.queue_fetch('$policy', 10, store => '$store')})
		  foreach 1 .. 6;
		my %wanted = (short => 1, exclusive => 1, stately => 1);
		my $wanted = $wanted{$policy} // 3;

		is("$sends $slot $done", "$wanted t " . ($wanted + 1), "$title: a $policy queue");
	}
	is(sql(qq{
			SELECT count(*) FROM nvent.queue_flow(ARRAY['{"queue": "standard", "name": "x"}', '{"queue": "standard", "after": "x"}']::jsonb[], '$store');
			SELECT count(nvent.queue_complete('standard', id, attempt, store => '$store')) FROM nvent.queue_fetch('standard', 10, store => '$store');
			SELECT count(nvent.queue_complete('standard', id, attempt, store => '$store')) FROM nvent.queue_fetch('standard', 10, store => '$store')}),
		"2\n1\n1", "$title: a flow");
}

foreach my $store (qw(lost kept))
{
	sql(qq{SELECT nvent.store_create('$store')});
	sql(qq{SELECT nvent.queue_create('$_', '$_', store => '$store')}) foreach @policies;
	sql(qq{SELECT nvent.queue_bind('short', '$store:t:*', true, store => '$store'), nvent.queue_bind('standard', 'x', store => '$store')});
}
is(sql(q{SELECT nvent.queue_set_unlogged(store => 'lost')}), 't', 'jobs are not written to the log');
fill($_) foreach qw(lost kept);
sql(q{SELECT nvent.stream_append('lost:t:1', '{"type": "t"}')});
my $kept = rows('kept');
my $before = rows('lost');
unlike($before, qr/^0$/m, 'there is something in each table');

# Stopped in order, they keep what they have.
$node->restart;
is(rows('lost'), $before, 'a server that is stopped in order keeps all');

# A crash.
crash($node);
is(rows('lost') =~ s/\n//gr, '0' x ($before =~ tr/\n// + 1), 'after a crash there is nothing');
is(rows('kept'), $kept, 'and all of the store beside it');
is(sql(q{SELECT string_agg(name, ' ' ORDER BY number) FROM lost_queues}), "@policies", 'queues are there');
is(sql(q{SELECT count(*) FROM nvent.queue_bindings(store => 'lost')}), '2', 'and bindings');
is(sql(q{SELECT count(*) FROM nvent.stream_read('lost:t:1')}), '1', 'and events');
works('lost', 'after a crash');
is(sql(q{SELECT nvent.stream_append('lost:t:1', '{"type": "t"}') ->> 'version'; SELECT data ->> 'version' FROM nvent.queue_fetch('short', store => 'lost')}), "2\n2", 'events make jobs again');

# Dead letters go with the jobs that they were, and none comes twice or of before: a
# job fails into its dead letter queue, goes back, and what is kept of all is counted.
# Schedules are written to the log, and so make jobs from then on.
sql(q{SELECT nvent.queue_create('dead', store => 'lost'), nvent.queue_create('fails', retry_limit => 0, dead_letter => 'dead', store => 'lost'),
	nvent.schedule_job('often', 'standard', '{"data": {"made": true}}', every => '1 second', store => 'lost')});

# bury(N, TITLE): so many fail for good, and half of them are put back.
sub bury
{
	my ($n, $title) = @_;

	sql(qq{SELECT nvent.queue_send('fails', to_jsonb(i), priority => 3, store => 'lost') FROM generate_series(1, $n) i;
		SELECT nvent.queue_fail('fails', id, attempt, '"no"', store => 'lost') FROM nvent.queue_fetch('fails', $n, store => 'lost')});
	is(sql(q{SELECT failed, (SELECT ready FROM nvent.queue_stats('dead', 'lost')) FROM nvent.queue_stats('fails', 'lost')}), "$n|$n", "$title: dead letters");
	is(sql(q{SELECT count(*) FROM nvent.queue_redrive('dead', } . $n / 2 . q{, store => 'lost')}), $n / 2, "$title: half of them are put back");
}

# counted(TITLE): do the numbers of all queues agree with their tables?
sub counted
{
	my ($title) = @_;

	is(sql(q{SELECT string_agg(s.queue || ' ' || s.depth || ' ' || s.active || ' ' || s.failed, ', ' ORDER BY s.queue) FROM nvent.queue_stats(store => 'lost') s}),
		sql(q{SELECT string_agg(q.name || ' ' || (SELECT count(*) FILTER (WHERE f.state NOT IN ('active', 'completed', 'failed', 'cancelled')) || ' ' || count(*) FILTER (WHERE f.state = 'active') || ' ' || count(*) FILTER (WHERE f.state = 'failed')
				FROM nvent.queue_find(q.name, max_count => 10000, store => 'lost') f), ', ' ORDER BY q.name) FROM lost_queues q}),
		"$title: numbers are those of the tables");
}

bury(6, 'before a crash');
sql(q{SELECT nvent.schedule_pause('often', 'lost')});
counted('before a crash');
crash($node);
is(sql(q{SELECT sum(depth + active + completed + failed) FROM nvent.queue_stats(store => 'lost')}), '0', 'no numbers are left after a crash');
is(sql(q{SELECT count(*) FROM nvent.queue_redrive('dead', 10, store => 'lost')}), '0', 'nor dead letters');
bury(4, 'after a crash');
counted('after a crash');
ok(sql(q{SELECT nvent.schedule_resume('often', 'lost') IS NOT NULL}), 'its schedules are there');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM (SELECT nvent.schedule_run('lost')) r, lost_jobs WHERE data -> 'made' = 'true'}), 'and make jobs');
sql(q{SELECT nvent.schedule_delete('often', 'lost'), nvent.queue_drop('dead', 'lost'), nvent.queue_drop('fails', 'lost'), nvent.queue_purge('standard', 'lost')});

# Sessions with a worker each, who goes on after crashes.
crash($node);
fill('lost');
crash($node);
works('lost', 'after another crash');

# A job of which somebody knows the id is no other one afterwards, though no commit
# has waited for the log.  Nothing else may flush it: there is no notifier, and a
# session that is at work writes nothing to it.
my $plain = plain_server('plain', "wal_writer_delay = 10s\n");
$plain->safe_psql('postgres', q{
	SELECT nvent.store_create('lost'), nvent.store_create('kept');
	SELECT nvent.queue_create('q', store => 'lost'), nvent.queue_set_unlogged(store => 'lost');
	SELECT nvent.stream_append('kept:t:1', '{"type": "t"}');
});
my $send = q{SELECT nvent.queue_send('q', store => 'lost')};
my $sender = $plain->background_psql('postgres');
$sender->query_safe($send) foreach 1 .. 3;
my $open = $plain->background_psql('postgres');
$open->query_safe('BEGIN');
$open->query_safe(q{SELECT count(nvent.next_position('kept')) FROM generate_series(1, 40)});
my $id = $sender->query_safe($send);
crash($plain);
$plain->safe_psql('postgres', q{SELECT nvent.queue_send('q', store => 'lost') FROM generate_series(1, 60)});
is($plain->safe_psql('postgres', "SELECT count(*) FROM nvent.queue_get('q', $id, 'lost')"), '0', 'an id is not used again');
eval { $_->quit } foreach $open, $sender;
$plain->stop;

# A dump has them; a standby has queues, cannot read their jobs, and has none when it is promoted.
sql('CREATE DATABASE copy');
$node->command_ok([ 'pg_dump', '-Fc', '-f', $node->basedir . '/dump', $node->connstr('postgres') ], 'dumped');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $node->basedir . '/dump' ], 'restored');
is($node->safe_psql('copy', q{SELECT count(*) > 0, min(c.relpersistence) FROM lost_jobs, pg_class c WHERE c.oid = 'lost_jobs'::regclass}), 't|u', 'as they were');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is(answer($standby, "SELECT count(*) FROM nvent.queue_bindings(store => 'lost')"), '2', 'a standby has what is said of queues');
is(answer($standby, "SELECT string_agg(DISTINCT s || ' ' || unlogged, ', ' ORDER BY s || ' ' || unlogged) FROM unnest('{lost,kept}'::text[]) s, nvent.queue_list(store => s)"),
	'kept false, lost true', 'and tells which jobs may be lost');
is(answer($standby, "SELECT count(*) FROM nvent.queue_find('standard', 'k', store => 'lost')"), '0A000', 'and cannot read their jobs');
is(answer($standby, "SELECT count(*) > 0 FROM nvent.queue_find('standard', 'k', store => 'kept')"), 't', 'but those of other stores');
$standby->promote;
$node->stop;
$node = $standby;
is(rows('lost') =~ s/\n//gr, '0' x ($before =~ tr/\n// + 1), 'when it is promoted there are none');
works('lost', 'promoted');

# Written to the log again, they survive.
is(sql(q{SELECT nvent.queue_set_unlogged(false, 'lost')}), 't', 'jobs are written to the log again');
fill('lost');
$before = rows('lost');
crash($node);
is(rows('lost'), $before, 'and survive a crash');

done_testing();
