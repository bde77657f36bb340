# On a streaming standby every function that reads works, every one that writes
# is error 25006, nothing is made, and what changes on the primary is seen by
# sessions that are there.  Promoted, it goes on.
#
# Seen to fail when store_adopt() looks for the store before it asks whether it
# may write.  Seen to fail with the trigger
# registry_changed taken from nvent.route: the standby's sessions miss routes.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "fsync = off\nautovacuum = off");
$primary->start;
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# Run on the primary and wait until the standby has it.
sub on_primary
{
	my $result = $primary->safe_psql('postgres', shift);

	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	return $result;
}

# SQLSTATE of a statement on the standby; empty when it succeeds.
sub sqlstate
{
	return (attempt($standby, $_[0]))[0];
}

# Without a store: reads find nothing, writes make nothing.
on_primary('CREATE EXTENSION nvent_store');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM nvent.stream_read('nvent:flow:run:1')}), '0', 'no store, no event');
is($standby->safe_psql('postgres', q{SELECT nvent.store_version() IS NULL}), 't', 'no store, no version');
is(sqlstate(q{SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}')}), '25006', 'no store is made by an append');
is(sqlstate(q{SELECT nvent.store_create()}), '25006', 'nor by store_create()');
is(sqlstate(q{SELECT nvent.kv_set('k', '1')}), '25006', 'nor by a key');

on_primary(q{
	SELECT nvent.store_create();
	SELECT nvent.stream_append_batch('nvent:flow:run:1', array_fill('{"type": "t"}'::jsonb, '{10}'));
	SELECT nvent.stream_append('nvent:order:1', '{"type": "t"}');
	CREATE TABLE log (id bigint DEFAULT nvent.next_position('nvent'), ts bigint, type text, subject text, meta jsonb);
	SELECT nvent.entry_add('nvent:flows', 'f', 1, '{"registeredAt": 1}');
	SELECT nvent.entry_add('nvent:own', 'e', 1, '{"a": 1}');
	SELECT nvent.kv_set('k', '{"a": false}'), nvent.kv_set('dead', '1', interval '1 microsecond'), nvent.kv_set('n', '1');
	SELECT nvent.lock_acquire('l', interval '1 hour');
	SELECT nvent.consumer_subscribe('c', 'nvent:order:>');
	SELECT nvent.checkpoint_save('p', 1);
	SELECT nvent.queue_create('q');
	SELECT nvent.queue_send('q', '1');
	SELECT nvent.queue_bind('q', 'a:>');
	SELECT nvent.snapshot_save('s', '{"a": 1}', '{"nvent:order:1": 1}');
	SELECT nvent.position_publish();
});
my $tables = q{SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'i', 'S')};
my $before = $standby->safe_psql('postgres', $tables);

# Reads and what they answer.
my %reads = (
	q{entry_is_changed(1, 2)} => 't',
	q{jsonb_deep_merge('{"a": 1}', '{"b": 2}')} => '{"a": 1, "b": 2}',
	q{jsonb_deep_merge_agg('{"a": 1}')} => '{"a": 1}',
	q{jsonb_expand_paths('{"a.b": 1}')} => '{"a": {"b": 1}}',
	q{jsonb_increment('{"a": 1}', '{a}', 2)} => '{"a": 3}',
	q{jsonb_set_path('{"a": 1}', '{b}', '2')} => '{"a": 1, "b": 2}',
	q{jsonb_merge_patch('{"a": 1}', '{"a": null}')} => '{}',
	q{version_table('public', 'nvent')} => 'nvent_schema_version', q{kv_expire_bucket('1970-01-01 05:00+00')} => '5',
	q{kv_glob_matches('k:1', 'k:*')} => 't',
	q{subject_captures('a:b', 'a:{x}')} => '{"x": "b"}',
	q{subject_escape('a:*')} => 'a:\\*',
	q{subject_is_valid('a:b')} => 't',
	q{subject_matches('a:b', 'a:*')} => 't',
	q{subject_pattern_is_valid('a:>')} => 't',
	q{subject_prefix('a:b:*')} => 'a:b:',
	q{subject_tokens('a:b')} => '{a,b}',
	q{subject_escape('a:*')} => 'a:\\*',
	q{entry_get('nvent:flows', 'f') IS NOT NULL} => 't',
	q{entry_read('nvent:own') IS NOT NULL} => 't',
	q{kv_exists('k')} => 't',
	q{kv_get('k')} => '{"a": false}',
	q{kv_mget('{k,dead}')} => qq{(k,"{""a"": false}")\n(dead,)},
	q{kv_scan('k')} => '(k,"{""a"": false}",)',
	q{kv_ttl('k') IS NULL} => 't',
	q{lock_get('l') IS NOT NULL} => 't',
	q{queue_get('q', (SELECT id FROM nvent_jobs))::text ~ 'created'} => 't',
	q{queue_runs('q', 1)::text} => '',
	q{queue_redrive('q', preview => true)::text} => '',
	q{queue_parents('q', 1)::text} => '',
	q{queue_children('q', 1)::text} => '',
	q{queue_find('q', 'k')::text} => '',
	q{queue_find('q', data => '1')::text ~ 'created'} => 't',
	q{queue_find('q', states => '{active}')::text} => '',
	q{queue_list()::text ~ '^\\(q,standard,0,'} => 't',
	q{queue_blocked('q')::text} => '',
	q{queue_bindings()::text ~ 'q,a:>,f'} => 't',
	q{queue_active('q')::text} => '',
	q{queue_stats('q')::text ~ '^\\(q,1,1,0,0,0,0,0,0,0,0,'} => 't',
	q{route_resolve('stream', 'nvent:flow:run:1')} => '(nvent,nvent:flow:run:{run_id...},nvent_flow_events,"{""run_id"": ""1""}",inline)',
	q{safe_position() > 0} => 't',
	q{store_number('nvent') IS NOT NULL} => 't',
	q{store_version() > 0} => 't',
	q{store_ensure()} => 'unchanged',
	q{stream_poll('nvent:flow:>', 0) IS NOT NULL} => 't',
	q{stream_read('nvent:order:1')->'version'} => '1',
	q{stream_stats('nvent:order:>')::text ~ '^.nvent:order:1,1,'} => 't',
	q{stream_wait('nvent:flow:>', 0, '10 ms') IS NOT NULL} => 't',
	q{stream_tables()} => '(nvent,order,nvent_stream_order,t)',
	q{stream_version('nvent:order:1')} => '1',
	q{subject_cardinal_id('a:b:c:d')} => 'c',
	q{subject_category('a:b:c')} => 'a:b',
	q{subject_id('a:b:c')} => 'c',
	q{subject_member('a:b:c', 1)} => '0',
	q{cron_next('@yearly', after => '2026-07-01') = '2027-01-01 00:00Z'} => 't',
	q{schedule_preview('@yearly', 'UTC', '2026-07-01', 1) = '2027-01-01 00:00Z'} => 't',
	q{schedule_list()::text IS NULL} => '',
	q{stream_poll_category('nvent:order', 0) IS NOT NULL} => 't',
	q{checkpoint_load('p')::text <> ''} => 't',
	q{consumer_lanes()::text <> ''} => 't',
	q{consumer_list()::text <> ''} => 't',
	q{consumer_stats()::text <> ''} => 't',
	q{consumer_furthest() IS NOT NULL} => 't',
	q{snapshot_load('s')::text <> ''} => 't',
	q{worker_status()::text <> ''} => 't',
	q{appender_low_water_marks() IS NULL} => '');
foreach my $call (sort keys %reads)
{
	is($standby->safe_psql('postgres', "SELECT nvent.$call"), $reads{$call}, "reads: $call");
}
is($standby->safe_psql('postgres', q{SELECT count(*) FROM nvent.stream_read('nvent:flow:run:1')}), '10', 'ten events');
is($standby->safe_psql('postgres', q{SELECT nvent.kv_get('dead') IS NULL}), 't', 'an expired key is absent');
is($standby->safe_psql('postgres', q{CALL nvent.stream_await('nvent:flow:>', 0, '10 ms')}), '', 'waits: stream_await()');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM nvent.appenders}), '0', 'nobody appends here');

# Writes, each of which is refused as such.
my @writes = (
	q{entry_add('nvent:flows', 'g', 1, '{"registeredAt": 1}')}, q{entry_delete('nvent:flows', 'f')},
	q{entry_increment('nvent:flows', 'f', 'stats.total')}, q{entry_increment_many('nvent:flows', 'f', '{"stats.total": 1}')},
	q{entry_update('nvent:flows', 'f', '{"displayName": "x"}')},
	q{kv_cas('k', '{"a": false}', '2')}, q{kv_clear('k*')}, q{kv_delete('k')}, q{kv_expire('k', interval '1 s')}, q{kv_getdel('k')},
	q{kv_getset('k', '1')}, q{kv_increment('n')}, q{kv_mset('{"m": 1}')}, q{kv_persist('k')}, q{kv_set('k', '1')},
	q{lock_acquire('m', interval '1 s')}, q{lock_release('l', 1)}, q{lock_renew('l', 1, interval '1 s')}, q{lock_assert('l', 1)},
	q{maintain()}, q{next_position('nvent')}, q{next_position_in_copy('nvent')},
	q{schedule_job('s', 'q', every => '1 hour')}, q{schedule_set('s', 'nvent:order:1', '{"type": "t"}', '@daily')}, q{schedule_pause('s')}, q{schedule_resume('s')}, q{schedule_run()}, q{schedule_delete('s')},
	q{route_add('stream', 'nvent:log:>', 'log')}, q{route_drop('stream', 'nvent:flow:run:{run_id...}')},
	q{store_adopt('nvent')}, q{store_create('other', 'public')}, q{store_ensure('other')}, q{store_migrate('nvent', 0)}, q{store_grant('pg_monitor', 'read')}, q{store_revoke('pg_monitor', 'read')},
	q{stream_append('nvent:flow:run:1', '{"type": "t"}')}, q{stream_append('nvent:order:1', '{"type": "t"}')}, q{stream_append('nvent:new:1', '{"type": "t"}')},
	q{stream_append_batch('nvent:order:1', array_fill('{"type": "t"}'::jsonb, '{2}'))},
	q{stream_append_many('[{"subject": "nvent:order:1", "events": [{"type": "t"}]}]')},
	q{stream_create_table('new')}, q{stream_index('order', 'type')}, q{stream_delete('nvent:flow:run:1')}, q{stream_drop_table('order')},
	q{stream_close('nvent:order:1')}, q{stream_reopen('nvent:order:1')}, q{stream_erase('nvent:order:1')}, q{stream_truncate('nvent:order:1', before => 1)},
	q{stream_retain('order', '1 day')}, q{stream_restore('{}')}, q{stream_clear()},
	q{queue_create('r')}, q{queue_drop('q')}, q{queue_pause('q')}, q{queue_unpause('q')}, q{queue_purge('q')}, q{queue_send('q')},
	q{queue_send_batch('q', ARRAY['{}']::jsonb[])}, q{queue_flow(ARRAY['{"queue": "q"}']::jsonb[])}, q{queue_fetch('q')}, q{queue_work('q')}, q{queue_complete('q', 1, 1)}, q{queue_complete_many('q', '{1}', '{1}')},
	q{queue_fail('q', 1, 1)}, q{queue_touch('q', 1, 1)}, q{queue_progress('q', 1, 1, '1')}, q{queue_release('q', 1, 1)}, q{queue_cancel('q', 1)}, q{queue_resume('q', 1)}, q{queue_retry('q', 1)}, q{queue_cancel_many('q', '{1}')}, q{queue_resume_many('q', '{1}')}, q{queue_retry_many('q', '{1}')}, q{queue_delete_many('q', '{1}')}, q{queue_redrive('q')}, q{queue_update('q', 1)}, q{queue_upsert('q', key => 'k')},
	q{queue_delete('q', 1)}, q{queue_unblock('q', 'k')}, q{queue_set_unlogged()}, q{queue_bind('q', 'b')}, q{queue_unbind('q', 'a:>')}, q{queue_publish('a:1')},
	q{checkpoint_save('p', 2)}, q{checkpoint_delete('p')}, q{snapshot_save('s', '{}', '{}')}, q{snapshot_delete('s')},
	q{consumer_subscribe('d', 'nvent:order:>')}, q{consumer_unsubscribe('c')}, q{consumer_claim()}, q{consumer_fetch()}, q{consumer_correlate()},
	q{consumer_ack('c', 1, 1)}, q{consumer_ack_many('{c}', '{1}', '{1}')}, q{consumer_block('c', 1, 'e')}, q{consumer_block_many('{c}', '{1}', '{e}')},
	q{consumer_renew('c', 1)}, q{consumer_defer('{c}', now())}, q{consumer_mark('{c}', '{1}')}, q{consumer_prioritize('{c}', 1)}, q{consumer_reset('{c}')},
	q{consumer_unblock('{c}')},
	q{stream_protect('nvent_stream_order')}, q{stream_unprotect('nvent_stream_order')}, q{position_publish()});
foreach my $call (@writes)
{
	is(sqlstate("SELECT nvent.$call"), '25006', "writes: $call");
}
my @procedures = (q{queue_await('q')}, q{queue_work_await('q')});
foreach my $call (@procedures)
{
	is(sqlstate("CALL nvent.$call"), '25006', "writes: $call");
}
is($standby->safe_psql('postgres', $tables), $before, 'nothing was made');

# Each function of ours is in one of the lists.
my %listed = map { /^(\w+)/; ($1 => 1) } keys %reads, @writes, @procedures, 'stream_await';
my @functions = split /\n/, $primary->safe_psql('postgres', q{
	SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'nvent'::regnamespace
		AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype) AND NOT 'internal'::regtype::oid = ANY (proargtypes)});
is(join(' ', grep { !$listed{$_} } @functions), '', 'no function is missing from these tests');

# Sessions of the standby follow the primary's registry and tables.
my $session = $standby->background_psql('postgres');
my $where = q{SELECT relation FROM nvent.route_resolve('stream', 'nvent:log:1')};
is($session->query($where), '', 'no route yet');
on_primary(q{SELECT nvent.route_add('stream', 'nvent:log:>', 'log'); SELECT nvent.stream_append('nvent:log:1', '{"type": "t", "colour": "red"}')});
is($session->query($where), 'log', 'a route that was added');
is($session->query(q{SELECT e->'meta'->'colour' FROM nvent.stream_read('nvent:log:1') e}), '"red"', 'and its event');
on_primary(q{ALTER TABLE log ADD COLUMN colour text; SELECT nvent.stream_append('nvent:log:1', '{"type": "t", "colour": "blue"}')});
is($session->query(q{SELECT e->'colour' FROM nvent.stream_read('nvent:log:1', backward => true, max_count => 1) e}), '"blue"', 'a column that was added');
on_primary(q{SELECT nvent.stream_append('nvent:fresh:1', '{"type": "t"}')});
is($session->query(q{SELECT e->'version' FROM nvent.stream_read('nvent:fresh:1') e}), '1', 'a table that was made');
on_primary(q{SELECT nvent.route_drop('stream', 'nvent:log:>')});
is($session->query($where), '', 'a route that was dropped');
on_primary(q{SELECT nvent.stream_drop_table('fresh')});
is($session->query(q{SELECT count(*) FROM nvent.stream_read('nvent:fresh:1')}), '0', 'a table that was dropped');
$session->quit;

# Promoted it is a primary like any other: positions and versions go on.
my $highest = $primary->safe_psql('postgres', 'SELECT last_value FROM nvent.position_seq');
$primary->stop('immediate');
$standby->promote;
is($standby->safe_psql('postgres', qq{SELECT (e->>'id')::bigint > $highest, e->'version' FROM nvent.stream_append('nvent:order:1', '{"type": "t"}') e}), 't|2', 'promoted: an append');
is($standby->safe_psql('postgres', q{SELECT nvent.stream_append('nvent:another:1', '{"type": "t"}')->'version', nvent.kv_get('k')}), '1|{"a": false}', 'promoted: a new table');
is($standby->safe_psql('postgres', q{SELECT nvent.safe_position() = (SELECT last_value FROM nvent.position_seq)}), 't', 'promoted: nothing holds readers back');

$standby->stop;
done_testing();
