# Pooling by transaction, as of PgBouncer: what works, and what is kept in
# a session and is another client's by the next transaction: LISTEN and SET, and
# statements prepared by name, with a PgBouncer that does not know them.
# Skipped where pgbouncer is not there.
#
# Seen to fail: with pool_mode = session instead, LISTEN and SET stay with their
# client; when an advisory lock of ours is taken for the session, "nothing is
# left" names it.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $pgbouncer = (grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin')[0];
plan skip_all => 'no pgbouncer' if !defined $pgbouncer;

my $node = new_server('main');
my $user = $node->safe_psql('postgres', 'SELECT current_user');
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $port = $node->port + 1;

$node->safe_psql('postgres', 'SELECT nvent.store_create()');
# Later ones know prepared statements by name, and which connection has them.
my $named = version->parse(qx($pgbouncer -V) =~ /PgBouncer (\d+\.\d+)/ ? "v$1" : 'v0') >= version->parse('v1.21');
append_to_file("$dir/ini", <<"EOT");
[databases]
postgres = host=${\$node->host} port=${\$node->port} user=$user pool_size=2
one = host=${\$node->host} port=${\$node->port} dbname=postgres user=$user pool_size=1
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $dir
auth_type = any
pool_mode = transaction
max_client_conn = 50
logfile = $dir/log
pidfile = $dir/pid
@{[ $named ? 'max_prepared_statements = 100' : '' ]}
EOT
system($pgbouncer, '-q', '-d', "$dir/ini") == 0 or BAIL_OUT('pgbouncer does not start');
END
{
	local $?;
	kill 'INT', slurp_file("$dir/pid") =~ /(\d+)/ if defined $dir && -s "$dir/pid";
}

# through(SQL, DATABASE): what psql prints that connects to the pool.
sub through
{
	my ($sql, $database) = @_;
	my ($out, $err);

	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $dir, '-p', $port, '-U', $user, '-d', $database // 'postgres' ],
		'<', \$sql, '>', \$out, '2>', \$err);
	chomp $out;
	diag($err) if $err =~ /ERROR/;
	return $out;
}

ok(wait_until(sub { through('SELECT 1') eq '1' }), 'the pool is there');

# Eight clients on two connections.
my @scripts = map { "$node->{_basedir}/pool$_" } 1 .. 4;
append_to_file($scripts[0], <<'EOT');
SELECT nvent.stream_append('order:' || :client_id, '{"type": "t"}');
SELECT cardinality(events) FROM nvent.stream_poll('order:>', 0, 10);
EOT
append_to_file($scripts[1], <<'EOT');
BEGIN;
SELECT nvent.kv_set('k:' || :client_id, '1', ttl => '1 min'), nvent.kv_increment('n'),
	nvent.entry_add('things', 'e' || :client_id, 1, '{}'), nvent.entry_increment('things', 'e' || :client_id, 'n');
SELECT nvent.lock_acquire('l:' || :client_id, '1 min', 'me');
COMMIT;
SELECT nvent.lock_release('l:' || :client_id, (nvent.lock_get('l:' || :client_id) ->> 'token')::bigint);
EOT
append_to_file($scripts[2], <<'EOT');
SELECT name, nvent.consumer_ack(name, token, upto) FROM nvent.consumer_fetch(2, owner => 'w');
EOT
append_to_file($scripts[3], <<'EOT');
SELECT nvent.queue_send('q', '{}');
SELECT nvent.queue_complete('q', id, attempt) FROM nvent.queue_fetch('q', 5);
CALL nvent.queue_work_await('q', timeout => '1 ms', max_count => 0);
EOT
$node->safe_psql('postgres', "SELECT nvent.queue_create('q'), nvent.consumer_subscribe('c', 'order:>')");
foreach my $mode ('simple', 'extended')
{
	command_ok(
		[ 'pgbench', '-n', '-M', $mode, '-c', 8, '-t', 25, '-h', $dir, '-p', $port, '-U', $user, (map { ('-f', $_) } @scripts), 'postgres' ],
		"eight clients on two connections, $mode");
}

my ($said, $failed) = ('', '');
IPC::Run::run([ 'pgbench', '-n', '-M', 'prepared', '-c', 8, '-t', 25, '-h', $dir, '-p', $port, '-U', $user, '-f', $scripts[0], 'postgres' ],
	'<', '/dev/null', '>', \$said, '2>', \$failed);
is($failed =~ /ERROR:  prepared statement "\w+" (already exists|does not exist)/ ? 'fail' : 'work', $named ? 'work' : 'fail',
	'statements prepared by name, with ' . qx($pgbouncer -V) =~ s/\n.*//sr);

# LISTEN: the connection hears, and whoever has it then is told, or nobody.
through('LISTEN nvent_events', 'one');
is(through('SELECT pg_listening_channels()', 'one'), 'nvent_events', 'LISTEN is the next client\'s');
through('UNLISTEN *', 'one');

# Waiting works, with a connection of the pool as long as it lasts.
my ($waited, $err) = ('', '');
my $safe = $node->safe_psql('postgres', 'SELECT nvent.safe_position()');
my $wait = IPC::Run::start([ 'psql', '-XAtq', '-h', $dir, '-p', $port, '-U', $user, '-d', 'postgres', '-c',
	"SELECT nvent.stream_wait('order:>', $safe, '25 s')" ], '>', \$waited, '2>', \$err);
ok(wait_until(sub { $node->safe_psql('postgres', 'SELECT waiters FROM nvent.worker_status()') eq '1' }),
	'stream_wait waits through the pool');
through("SELECT nvent.stream_append('order:1', '{\"type\": \"t\"}')");
$wait->finish;
is($waited, "t\n", 'and is woken by an append through the pool');
my $jobs = '';
my $work = IPC::Run::start([ 'psql', '-XAtq', '-h', $dir, '-p', $port, '-U', $user, '-d', 'postgres', '-c',
	"CALL nvent.queue_work_await('q', timeout => '25 s')" ], '>', \$jobs, '2>', \$err);
usleep(100000);
through("SELECT nvent.queue_send('q', '{\"a\": 1}')");
$work->finish;
like($jobs, qr/"data": \{"a": 1\}/, 'queue_work_await works through the pool');

# Settings are the connection's, hence the next client's, unless they are local.
through('SET nvent_store.default_store = other', 'one');
is(through('SHOW nvent_store.default_store', 'one'), 'other', 'SET is the next client\'s');
through('RESET nvent_store.default_store', 'one');
is(through("BEGIN; SET LOCAL nvent_store.default_store = other; SHOW nvent_store.default_store; COMMIT", 'one'),
	'other', 'SET LOCAL holds for the transaction');
is(through('SHOW nvent_store.default_store', 'one'), 'nvent', 'and no longer');

# Nothing of ours is left in a session between transactions.
my $left = join "\n", map { slurp_file($_) =~ s/:client_id/'1'/gr } @scripts;
$left = $node->safe_psql('postgres', <<"EOT");
$left
SELECT nvent.stream_wait('order:>', 0);
SELECT 'left:' || concat_ws(' ',
	(SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
	(SELECT count(*) FROM pg_listening_channels()),
	(SELECT count(*) FROM pg_prepared_statements),
	(SELECT count(*) FROM pg_cursors WHERE name <> ''),
	(SELECT count(*) FROM pg_settings WHERE name LIKE 'nvent%' AND source = 'session'),
	(SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()));
EOT
like($left, qr/left:0 0 0 0 0 0$/, 'nothing is left in a session');

$node->stop;
done_testing();
