# Libraries that have hooks (test/hooks/hooks.c): what reads and writes tables by
# itself, not through the executor, leaves that to a statement where a hook wants
# to know of rights, or has the planner look elsewhere for a relation's rows; and
# goes on to do so where a hook has no such intentions.
#
# Seen to fail with each look at ExecutorCheckPerms_hook taken out, and with
# each call of nvs_is_planned_as_itself().

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use Test::More;

my $library = library('hooks');
my $node = new_server('main');
$node->safe_psql('postgres', q{
	SELECT nvent.store_create();
	SELECT nvent.kv_set('k', '1', ttl => '1 day');
	SELECT nvent.entry_add('e', 'i', 1, '{"a": 1}');
	SELECT nvent.stream_create_table('t', versioned => false);
	SELECT nvent.consumer_subscribe('c', 't:1');
	SELECT nvent.consumer_correlate();
	SELECT nvent.stream_append('t:1', '{"type": "x"}');
});

# What is read and changed by keys, and what is walked along; by the table.
my %reads = (
	nvent_kv => [
		q{SELECT nvent.kv_get('k')}, q{SELECT nvent.kv_exists('k')},
		q{SELECT nvent.kv_ttl('k') IS NOT NULL}, q{SELECT value FROM nvent.kv_mget('{k}')}
	],
	nvent_entries => [
		q{SELECT nvent.entry_get('e', 'i') -> 'metadata' ->> 'a'}, q{SELECT nvent.entry_increment('e', 'i', 'a')},
		q{SELECT nvent.entry_update('e', 'i', '{"a": 7}')}
	],
	nvent_stream_t => [
		q{SELECT count(e) FROM nvent.stream_poll('t:>', 0), unnest(events) e},
		q{SELECT count(e) FROM nvent.stream_poll('t:1', 0), unnest(events) e},
		q{SELECT count(*) FROM nvent.consumer_claim(10, '1 minute')}
	]);

# append(N): so many events in a call.
sub append_batch
{
	my ($n) = @_;

	return qq{SELECT count(e) FROM nvent.stream_append_batch('t:1', array_fill('{"type": "x"}'::jsonb, '{$n}')) e};
}

# outcome(SETUP, STATEMENT, LAST): what it comes to the third time, when all that
# a session keeps is there, with LAST before that, or its error.
sub outcome
{
	my ($setup, $sql, $last) = @_;
	my ($out, $err) = ('', '');
	my $once = "BEGIN;\n$sql;\nROLLBACK;\n";

	$node->psql('postgres', "$setup\n$once$once" . ($last // '') . $once,
		on_error_stop => 0, stdout => \$out, stderr => \$err);
	return $err =~ /ERROR:\s+(.*)/ ? $1 : (split(/\n/, $out, -1))[-1] // '';
}

# setting(NAME, TABLE): the statement that sets one.
sub setting
{
	my ($name, $table) = @_;

	return "SELECT set_config('nvs_hooks.$name', '$table'::regclass::oid::text, false) \\g /dev/null\n";
}

my $planner = "LOAD '$library';\n";
my $rights = "SET nvs_hooks.asked = on;\n$planner";
foreach my $table (sort keys %reads)
{
	foreach my $sql (@{ $reads{$table} })
	{
		my $plain = outcome('', $sql);

		is(outcome($rights, $sql), $plain, "a hook that has nothing to say: $sql");
		is(outcome($rights, $sql, setting('guarded', $table)), 'the hook says no', "one that has hears of it: $sql");
		isnt(outcome($planner . setting('elsewhere', $table), $sql), $plain, "where the planner looks: $sql");
	}
}
is(outcome($rights, append_batch(4)), '4', 'many events');
is(outcome($rights, append_batch(4), setting('guarded', 'nvent_stream_t')), 'the hook says no', 'the hook hears of them');
is(outcome($planner . setting('elsewhere', 'nvent_stream_t'), append_batch(4)),
	outcome($planner . setting('elsewhere', 'nvent_stream_t'), append_batch(3)), 'they go where the planner says');

# A hook of the planner that leaves a relation alone costs nothing: what is read
# without a statement takes no lock of the registry.
my $locks = q{SELECT nvent.kv_get('k'); SELECT count(*) FROM pg_locks WHERE relation = 'nvent.store'::regclass AND pid = pg_backend_pid()};
is(outcome($planner, $locks), '0', 'a relation that the planner leaves alone is read without a statement');
is(outcome($rights, $locks), '1', 'one that a hook asks about is not');

done_testing();
