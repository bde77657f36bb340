# Sixteen writers on a server that is killed again and again, and readers that
# miss nothing, get nothing twice and nothing out of order.  See
# test/checker/checker.c; what it prints is judged here.
#
# "make soak" runs this with more events, by NVS_EVENTS and NVS_SEED.
#
# Seen to fail, by events that readers lost of 20,000: without low-water marks,
# 3619; with them taken back before the commit, where commits take long, 210;
# with the snapshot taken before the safe position, and 1 ms in between, 136;
# with the registry read before that, and 2 ms in between, 3.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run qw(start);
use List::Util qw(min);
use Nvent;
use PostgreSQL::Test::Utils;
use Symbol qw(gensym);
use Test::More;
use Time::HiRes qw(time usleep);

my $events = $ENV{NVS_EVENTS} || 100000;
my $seed = $ENV{NVS_SEED} || 1;
my $dir = "$FindBin::RealBin/../checker";
my $program = program('checker');

# Of the server under test.
my $node;

# A statement's result; empty while the server cannot be reached.  psql is not
# written to, as it may be gone before it reads.
sub ask
{
	my ($sql) = @_;
	my $out = '';
	my $done = IPC::Run::run([ 'psql', '-XAtq', '-c', $sql ],
		'<', '/dev/null', '>', \$out, '2>', '/dev/null');

	chomp $out;
	return $done ? $out : '';
}

sub is_up
{
	return wait_until(sub { ask('SELECT 1') eq '1' });
}

# --- What happens to the server ---

my $busy_writer = q{application_name LIKE 'checker writer%' AND xact_start IS NOT NULL};
my $reader = q{application_name ~ 'checker (poll|part|await|listen|repeatable)'};
my $worker = q{backend_type IN ('nvent_store notifier', 'nvent_store maintenance') AND datname = 'postgres'};

# One of the processes that are described so.
sub process
{
	my ($which) = @_;
	my $pid = '';

	wait_until(sub { $pid = ask("SELECT pid FROM pg_stat_activity WHERE $which ORDER BY random() LIMIT 1"); $pid ne '' });
	return $pid;
}

# Each returns whether the server crashed.
sub kill_process
{
	my ($which) = @_;
	my $up = ask('SELECT pg_postmaster_start_time()');

	kill 'KILL', process($which) || return 0;
	usleep(20000);
	return is_up();
}

sub terminate
{
	my $pid = process($_[0]);

	ask("SELECT pg_terminate_backend($pid)") if $pid ne '';
	return 0;
}

sub stop_immediately
{
	crash($node);
	return 1;
}

my @with_worker = (
	sub { terminate($busy_writer) }, sub { kill_process($busy_writer) },
	sub { terminate($worker) }, sub { kill_process($worker) },
	sub { terminate($reader) }, \&stop_immediately);
my @without_worker = (
	sub { terminate($busy_writer) }, sub { kill_process($busy_writer) },
	sub { terminate($reader) }, \&stop_immediately);

# --- The check ---

# run(EVENTS, EACH, ACTION...): the checker's results, while one action after
# the other is taken at each so many events; and the number of crashes.
sub run
{
	my ($count, $each, $option, @actions) = @_;
	my ($out, $err) = ('', '');
	my $at = $each;
	my $crashes = 0;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = 'postgres';
	my $in = gensym;
	my $checker = start([ $program, $count, $seed, @$option ], '<pipe', $in,
		'>', \$out, '2>', \$err, IPC::Run::timeout(3600));

	while ($checker->pumpable && $out !~ /^written\n/m)
	{
		my ($progress) = $out =~ /.*^progress (\d+)\n/ms;

		if (defined $progress && $progress >= $at && $at <= $count - $each)
		{
			push @actions, my $action = shift @actions;
			$crashes += $action->();
			$at += $each;
			$out =~ s/^progress \d+\n//mg;
		}
		$checker->pump;
	}
	close $in;
	ok($checker->finish, 'the checker ran to its end') or diag($err);
	$out =~ s/^progress \d+\n|^written\n//mg;
	note($out);
	return ($out, $crashes);
}

# The numbers on a line of the results, by name.
sub numbers
{
	my ($out, $line) = @_;

	return $out =~ /^\Q$line\E (.*)$/m ? { $1 =~ /(\w+)=(-?\d+)/g } : {};
}

# faults(NUMBERS, NAME...): those that are not 0.
sub faults
{
	my ($numbers, @names) = @_;

	return join ' ', map { "$_=" . ($numbers->{$_} // 'none') }
	  grep { !defined $numbers->{$_} || $numbers->{$_} != 0 } @names;
}

# judge(RESULTS, TITLE, EVENTS, READER...): what there is to be said of them.
sub judge
{
	my ($out, $title, $count, @readers) = @_;
	my $writers = numbers($out, 'writers');

	cmp_ok($writers->{events} // 0, '>=', $count, "$title: events are there");
	is(faults($writers, qw(missing revived torn)), '',
		"$title: what is committed is there, what is rolled back is not, and no transaction in part");
	foreach my $name (@readers)
	{
		my $numbers = numbers($out, "reader $name");

		is(faults($numbers, qw(lost foreign repeated disorder versions serials)),
			'', "$title: reader $name got what is committed, once, in order");
		is($numbers->{arrived}, 1, "$title: and all of it");
	}
	# Who waits looks by himself after 10 s; a listener never does.
	foreach my $name (grep { /await|listen/ } @readers)
	{
		cmp_ok(numbers($out, "reader $name")->{late_ms} // 60000, '<', 8000,
			"$title: reader $name was woken for the last event");
	}

	my $naive = numbers($out, 'reader naive');
	cmp_ok($naive->{lost} // 0, '>', 0,
		"$title: a reader by \"id > last\" loses events");
	diag(sprintf('%s: %d events; a reader by "id > last" lost %.1f %%',
		$title, $writers->{events} // 0,
		100 * ($naive->{lost} // 0) / ($writers->{events} || 1)));
}

sub server
{
	my ($name, $conf) = @_;

	$node = new_server($name, <<"EOT" . $conf);
max_prepared_transactions = 20
restart_after_crash = on
deadlock_timeout = 20ms
log_statement = none
log_min_error_statement = panic
shared_buffers = 128MB
max_wal_size = 1GB
EOT
	$node->safe_psql('postgres', slurp_file("$dir/setup.sql"));
}

# A standby, which goes on as soon as the server is back.
sub standby
{
	my $standby = PostgreSQL::Test::Cluster->new('standby');

	$node->backup('base');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->append_conf('postgresql.conf', "wal_retrieve_retry_interval = 100ms\n");
	$standby->start;
	return $standby;
}

my $began = time;
server('crash', '');
my $standby = standby();
my $each = min($events / 25, 4000);
my ($out, $crashes) = run($events, $each, [ '--standby', $standby->port ], @with_worker);
judge($out, 'preloaded', $events, qw(poll part await listen repeatable standby));
cmp_ok($crashes, '>=', $events / $each / 3, 'preloaded: the server crashed all the time');
$standby->stop;
$node->stop;
diag(sprintf('%d crashes, %d s', $crashes, time - $began));

$began = time;
my $fewer = $events / 5;
$each = min($fewer / 10, 4000);
server('locks', "shared_preload_libraries = ''");
($out, $crashes) = run($fewer, $each, ['--without-worker'], @without_worker);
judge($out, 'not preloaded', $fewer, qw(poll part await repeatable));
cmp_ok($crashes, '>=', $fewer / $each / 3, 'not preloaded: the server crashed all the time');
$node->stop;
diag(sprintf('%d crashes, %d s', $crashes, time - $began));

# A commit takes a while, so that readers come across what is about to be
# committed.
$began = time;
my $few = $events / 10;
server('slow', "fsync = on\ncommit_delay = 1000\ncommit_siblings = 0\n");
($out, $crashes) = run($few, $few / 4, [], @with_worker[ 0, 2, 4 ]);
judge($out, 'slow commits', $few, qw(poll part await listen repeatable));
$node->stop;
diag(sprintf('%d s', time - $began));

done_testing();
