# The examples of test/examples/ that need no Node, against a server that is
# theirs: python, by its own tests, where psycopg2 is there; Go and Java, where
# these and their drivers are there, of which README shows lines; Rust, where
# test/examples/setup.sh has built it, as two processes that append to the same two
# streams; and psql, whose scripts follow events and do jobs while their connections
# are killed.
#
# Seen to fail: for python see its tests; when follow.sh goes on from the cursor
# that it began with, lines come twice; when work.sh forgets what became of a job
# that could not be settled, the job is done twice; when README's lines are not those
# of the file; for Rust when a conflict ends a transfer, is taken for its success, or
# when no version is expected.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = plain_server('main');
my $examples = "$FindBin::RealBin/../examples";

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');

# kill_until(DONE, FIRST): end the connections of psql's scripts until DONE, a
# statement, is true; how many were ended.  FIRST is called each time before.
sub kill_until
{
	my ($done, $first) = @_;
	my $killed = 0;

	wait_until(
		sub {
			usleep(300000);
			$first->() if $first;
			$killed += $node->safe_psql('postgres',
				"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'script'");
			return $node->safe_psql('postgres', $done) eq 't';
		});
	return $killed;
}

# script(COUNT, COMMAND...): start a script that ends after so many; its handle,
# and where its output goes.
sub script
{
	my ($count, @command) = @_;
	my ($out, $err) = ('', '');
	local $ENV{COUNT} = $count;
	local $ENV{PGAPPNAME} = 'script';
	my $handle = IPC::Run::start([ "$examples/psql/$command[0]", @command[ 1 .. $#command ] ], '<', \'', '>', \$out,
		'2>', \$err, IPC::Run::timeout(120));

	return ($handle, \$out);
}

# block(LANGUAGE, MARK): the lines of README that begin with a comment like that.
sub block
{
	my ($language, $mark) = @_;

	return slurp_file("$FindBin::RealBin/../../README.md") =~ /^```$language\n([^`]*\Q$mark\E.*?)^```$/ms ? $1 : '';
}

# lines(TEXT): without what stands before each line.
sub lines
{
	return $_[0] =~ s/^\s+//gmr;
}

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE EXTENSION nvent_store');

SKIP:
{
	my $python = (grep { system("$_ -c 'import psycopg2' >/dev/null 2>&1") == 0 } 'python3', '/usr/bin/python3')[0];

	skip 'python3 has no psycopg2', 3 if !defined $python;
	my $output = qx(cd "$examples/python" && $python -B -m unittest -v 2>&1);
	is($?, 0, 'python') or diag($output);
	append_to_file($node->basedir . '/readme.py', block('python', 'Python: psycopg2'));
	is(qx($python @{[$node->basedir]}/readme.py), "1\n", 'README: Python');
	is(qx($python @{[$node->basedir]}/readme.py), "NV001 1\n", 'README: Python, a conflict');
}

SKIP:
{
	skip 'no Node with its package pg', 2 if system(q{node -e 'require("pg")' >/dev/null 2>&1}) != 0;
	local $ENV{PGDATABASE} = 'shop';
	append_to_file($node->basedir . '/readme.js',
		'(async () => {' . block('js', 'Node: node-postgres') =~ s/order:17/order:18/r . 'await pool.end() })()');
	is(qx(node @{[$node->basedir]}/readme.js), "1\n", 'README: Node');
	is(qx(node @{[$node->basedir]}/readme.js), "1\n", 'README: Node, a conflict');
}

SKIP:
{
	# Debian has Go's packages there; what is built is not kept.
	local @ENV{qw(GO111MODULE GOPATH GOFLAGS GOCACHE)} = ('off', '/usr/share/gocode', '', $node->basedir . '/go-cache');
	my $program = $node->basedir . '/example-go';

	skip 'no Go with its package lib/pq', 3 if system('go list github.com/lib/pq >/dev/null 2>&1') != 0;
	$node->safe_psql('shop', q{SELECT nvent.stream_clear('nvent')});
	cmp_ok(index(lines(slurp_file("$examples/go/main.go")), lines(block('go', 'Go: database/sql'))), '>', 0, 'README: Go');
	is(qx(cd "$examples/go" && go build -o $program . 2>&1 && $program), "1\ntrue true\n", 'go');
	like(qx($program), qr/^NV001 .*"actual": 1/, 'go, a conflict');
}

SKIP:
{
	my $driver = '/usr/share/java/postgresql.jar';
	my $java = qq{java -cp $driver "$examples/java/Append.java" "jdbc:postgresql://127.0.0.1:} . $node->port . "/shop?user=$ENV{PGUSER}\" 2>&1";

	skip 'no Java with its package postgresql', 3 if !-e $driver || system('javac -version >/dev/null 2>&1') != 0;
	# It knows no other sockets.
	$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
	$node->restart;
	$node->safe_psql('shop', q{SELECT nvent.stream_clear('nvent')});
	cmp_ok(index(lines(slurp_file("$examples/java/Append.java")), lines(block('java', 'Java: JDBC'))), '>', 0, 'README: Java');
	is(qx($java), "1\ntrue true\n", 'java');
	like(qx($java), qr/^NV001 .*"actual": 1/, 'java, a conflict');
}

# Two processes move money to and fro, each transfer in one append to both streams.
# Both have looked at the first one when somebody else appends to it, so each of
# them has a conflict, at least.
is(slurp_file("$examples/eventcore/src/transfer.rs"), block('rust', 'tokio_postgres'), 'README: Rust');
SKIP:
{
	my $transfers = 300;
	my ($program, $err) = ('', '');
	my $built = IPC::Run::run([ "$examples/eventcore/build.sh" ], '<', '/dev/null', '>', \$program, '2>', \$err);

	skip $err =~ s/\n/ /gr, 5 if $? >> 8 == 77;
	ok($built, 'the Rust example is built') or diag($err), skip 'it is not built', 4;
	chomp $program;

	local $ENV{PGDATABASE} = 'bank';
	$node->safe_psql('postgres', 'CREATE DATABASE bank');
	$node->safe_psql('bank', 'CREATE EXTENSION nvent_store; SELECT nvent.store_create()');
	my $other = $node->background_psql('bank');
	$other->query_safe(q{BEGIN; SELECT nvent.stream_append('nvent:account:1', '{"type": "opened"}')});
	my ($out, $said) = ('', '');
	my @processes = map {
		IPC::Run::start([ $program, $_->[0], $_->[1], $transfers ], '<', '/dev/null', '>', \$out, '2>', \$said,
			IPC::Run::timeout(120))
	} ([ 'nvent:account:1', 'nvent:account:2' ], [ 'nvent:account:2', 'nvent:account:1' ]);
	ok( wait_until(
			sub {
				$node->safe_psql('bank', q{SELECT count(*) = 2 FROM pg_stat_activity
					WHERE application_name = 'transfer' AND wait_event_type = 'Lock' AND query LIKE '%stream_append_many%'}) eq 't';
			}),
		'both transfer what they have seen');
	$other->query_safe('COMMIT');
	$other->quit;
	is(join(' ', map { $_->finish ? 0 : $_->result } @processes) . $said, '0 0', 'both do all that was asked for');
	is(scalar(() = slurp_file($node->logfile) =~ /transfer DETAIL: +\{"subject": "nvent:account:1", "expected": 0/g), 2, 'though each had a conflict');
	is($node->safe_psql('bank', <<'EOT'), "1|601|601|601|300|300\n2|600|600|600|300|300", 'nothing is lost, and each version is there once');
SELECT n, count(*), count(DISTINCT e -> 'version'), max((e ->> 'version')::int),
	count(DISTINCT e #> '{data,cents}') FILTER (WHERE e ->> 'type' = 'withdrawn'),
	count(DISTINCT e #> '{data,cents}') FILTER (WHERE e ->> 'type' = 'deposited')
FROM generate_series(1, 2) n, nvent.stream_read('nvent:account:' || n, max_count => NULL) e GROUP BY n ORDER BY n
EOT
}

$node->safe_psql('postgres', 'SELECT nvent.store_create()');
my ($follow, $lines) = script(30, 'follow.sh', 'order:>', 0);
foreach my $i (1 .. 30)
{
	$node->safe_psql('postgres', "SELECT nvent.stream_append('order:$i', '{\"type\": \"t|\\\\n\"}')");
	kill_until('SELECT true') if $i % 10 == 0;
}
$follow->finish;
is(join(' ', $$lines =~ /"subject": "order:(\d+)"/g), join(' ', 1 .. 30),
	'follow.sh: each event once and in order');

# expire_lost(FILE): have the leases run out that work.sh was given and never saw,
# as it was killed while it fetched them; all others last, however slow the
# machine is.  It is in a later call, and FILE has no line of the attempt.
sub expire_lost
{
	my ($file) = @_;
	my $leases = $node->safe_psql('postgres', q{
		SELECT a.id, a.attempt, j.data -> 'n',
			(SELECT count(*) FROM nvent_job_runs r WHERE r.id = a.id AND r.outcome = 'failed')
		FROM nvent.queue_active('q') a JOIN nvent_jobs j USING (id)
		WHERE a.started_at < (SELECT max(query_start) FROM pg_stat_activity
			WHERE application_name = 'script' AND state = 'active' AND query LIKE 'CALL nvent.queue_work_await%')});

	foreach (split /\n/, $leases)
	{
		my ($id, $attempt, $n, $failed) = split /\|/;

		next if (() = slurp_file($file) =~ /"n": $n\b/g) > $failed;
		$node->safe_psql('postgres', "SELECT nvent.queue_touch('q', $id, $attempt, lease => '1 ms')");
	}
}

$node->safe_psql('postgres', <<'EOT');
SELECT nvent.queue_create('q', retry_limit => 50, lease => '1 day');
SELECT nvent.queue_send_batch('q', array_agg(jsonb_build_object('data', jsonb_build_object('n', i, 'text', E'a|''b\n'))))
FROM generate_series(1, 8) i;
EOT
my $done = $node->basedir . '/done';
append_to_file($done, '');
my ($work, undef) = script(9, 'work.sh', 'q', 'bash', '-c', <<"EOT");
data=\$(cat)
echo "\$data" >>'$done'
[[ \$data != *'"n": 3'* ]] || [ -e '$done.3' ] || { touch '$done.3'; echo not yet >&2; exit 4; }
echo "did \$data"
EOT
ok(wait_until(sub { -s $done }), 'work.sh begins');
kill_until("SELECT count(*) = 8 FROM nvent_job_runs WHERE outcome = 'completed'", sub { expire_lost($done) });
$work->kill_kill;
is($node->safe_psql('postgres', <<'EOT'), '8 true', 'work.sh: each job is done, and what was printed is kept');
SELECT count(DISTINCT id) || ' ' || bool_and(output #>> '{}' LIKE 'did {"n": %')
FROM nvent_job_runs WHERE outcome = 'completed'
EOT
is( $node->safe_psql('postgres', "SELECT output FROM nvent_job_runs WHERE outcome = 'failed'"),
	'{"status": "4", "message": "not yet"}', 'work.sh: what was said of a failure is kept');
is(scalar(() = slurp_file($done) =~ /"n": 3/g), 2, 'work.sh: a job that failed was done again');

$node->stop;
done_testing();
