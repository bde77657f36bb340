# Commits whose locks go early (nvent_store.early_lock_release), beneath which the
# server is killed, all its processes at once, again and again: what was
# acknowledged is there, and so is each event that was read; versions have no
# gap.  Twelve write one key, one entry and one subject, two follow it.
# NVS_CRASHES says how often.
#
# Seen to fail without the wait before the answer: the key, the entry and the
# subject are behind what was acknowledged, and events that were read are gone.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run qw(start);
use List::Util qw(max);
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $crashes = $ENV{NVS_CRASHES} || 3;
my $node = new_server('cut', <<'EOT');
fsync = on
commit_delay = 2000
commit_siblings = 0
shared_buffers = 128MB
EOT

sub ask
{
	return $node->safe_psql('postgres', $_[0]);
}

my $nfiles = 0;

# client(SQL, COUNT): psql runs it so often, or as often as it can; its output.
sub client
{
	my ($sql, $count) = @_;
	my $file = $node->basedir . '/client' . $nfiles++ . '.sql';
	my $out = '';

	append_to_file($file, "SET nvent_store.early_lock_release = on;\n\\set cursor 0\n" . "$sql;\n" x $count);
	my $run = start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $file ],
		'<', '/dev/null', '>', \$out, '2>', '/dev/null');
	return { run => $run, out => \$out };
}

# All processes of the server at once, as a power cut does; and up again.
sub cut
{
	my $postmaster = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : die;
	my @children = split ' ', qx(pgrep -P $postmaster);

	kill 'KILL', $postmaster, @children;
	# Until the last of them is gone its memory is in use.
	wait_until(sub { $node->{_pid} = undef; $node->start(fail_ok => 1) })
	  or die 'the server does not start';
}

# The number of the last of some answers, which ascend; and how many there are.
sub acknowledged
{
	my @n = map { ${ $_->{out} } =~ /^(\d+)$/mg } @_;

	return (max(0, @n), scalar @n);
}

# How much all of them have written.
sub written
{
	return ask(q{SELECT nvent.kv_get('many')::int + (nvent.entry_get('nvent:flows', 'many') -> 'metadata' -> 'stats' -> 'total')::int + coalesce(nvent.stream_version('nvent:t:many'), 0)});
}

ask(<<'EOT');
SELECT nvent.store_create();
SELECT nvent.stream_create_table('t');
SELECT nvent.kv_set('many', '0');
SELECT nvent.entry_add('nvent:flows', 'many', 1, '{"stats": {"total": 0}}');
EOT
my %writes = (
	counter => q{SELECT nvent.kv_increment('many', 1)},
	entry => q{SELECT nvent.entry_increment('nvent:flows', 'many', 'stats.total', 1)},
	subject => q{SELECT nvent.stream_append('nvent:t:many', '{"type": "x"}') ->> 'version'});
my %reads = (
	counter => q{SELECT nvent.kv_get('many')},
	entry => q{SELECT nvent.entry_get('nvent:flows', 'many') -> 'metadata' -> 'stats' -> 'total'},
	subject => q{SELECT nvent.stream_version('nvent:t:many')});
my $read = <<'EOT';
CALL nvent.stream_await('nvent:t:many', :cursor, '1 s');
SELECT next_cursor AS cursor, (SELECT string_agg(e ->> 'id', ' ') FROM unnest(events) e) AS ids FROM nvent.stream_poll('nvent:t:many', :cursor) \gset
\echo :ids
EOT
my $total = 0;
my $read_total = 0;
foreach my $crash (1 .. $crashes)
{
	my %clients = map { my $sql = $writes{$_}; $_ => [ map { client($sql, 20000) } 1 .. 4 ] } keys %writes;
	my @readers = map { client($read, 5000) } 1 .. 2;
	my $goal = written() + 500;

	ok( wait_until(
			sub {
				$_->{run}->pump_nb foreach @readers, map { @$_ } values %clients;
				return written() >= $goal;
			}),
		"crash $crash: they write");
	cut();
	eval { $_->{run}->finish } foreach @readers, map { @$_ } values %clients;
	foreach my $what (sort keys %clients)
	{
		my ($highest, $count) = acknowledged(@{ $clients{$what} });

		cmp_ok(ask($reads{$what}) // 0, '>=', $highest, "crash $crash: the $what is never less than what was acknowledged");
		$total += $count;
	}
	is(ask(q{SELECT count(*) - max(version) FROM nvent_stream_t WHERE subject = 'nvent:t:many'}), 0, "crash $crash: versions have no gap");
	my @seen = map { ${ $_->{out} } =~ /(\d+)/g } @readers;
	is(ask("SELECT count(*) FROM unnest('{" . join(',', @seen) . "}'::bigint[]) i WHERE i NOT IN (SELECT id FROM nvent_stream_t)"), 0,
		"crash $crash: what was read is there");
	$read_total += @seen;
}
cmp_ok($total, '>', 0, 'there were answers');
cmp_ok($read_total, '>', 0, 'and events that were read');
diag("$total acknowledged, $read_total events read, $crashes crashes");
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing else went wrong');
$node->stop;

done_testing();
