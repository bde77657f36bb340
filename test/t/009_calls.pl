# Calls of every function with anything that can be said in SQL, by sessions
# that are cancelled and terminated, beside one that changes what they use:
# test/fuzz/calls.  The server does not crash, says nothing of an internal
# error, and keeps no memory; and what is cancelled ends within 100 ms, but for
# what the machine has to do with it (test/fuzz/calls/delay.c).
#
# NVS_SECONDS is for how long, and NVS_SEED what is done by chance; "make
# fuzz-calls" is this test for long, on a server with assertions.
#
# Seen to fail with elog(ERROR) in kv_get(), with a write through a null pointer,
# 200 ms of computing or 700 ms of a wait that goes on in the same, and
# with 1,000 bytes that each lock_get() leaves behind.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{NVS_SECONDS} || 60;
my $seed = $ENV{NVS_SEED} // 1;
my $dir = "$FindBin::RealBin/../fuzz/calls";
my $program = program('fuzz/calls');
my $nruns = 0;

# start(NAME, CONF): a server with a database in an encoding, and one of bytes.
sub start
{
	my ($name, $conf) = @_;
	my $node = new_server($name, <<"EOT" . $conf);
max_prepared_transactions = 20
restart_after_crash = off
fsync = off
deadlock_timeout = 20ms
max_locks_per_transaction = 256
log_statement = none
log_min_messages = warning
log_min_error_statement = panic
log_line_prefix = '%m [%p] %b %e '
temp_file_limit = 1GB
nvent_store.max_wait = 300
EOT

	$node->safe_psql('postgres', 'DROP EXTENSION nvent_store');
	$node->safe_psql('postgres', "CREATE DATABASE bytes TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'");
	$node->safe_psql($_, 'CREATE SCHEMA other') foreach 'postgres', 'bytes';
	return $node;
}

# run(NODE, DATABASE, SECONDS): what the program has to say; each run looks at
# the memory of another share of the functions, one that is long of all.
sub run
{
	my ($node, $database, $time) = @_;
	my $name = $node->name . ", $database";
	my @share = $seconds < 600 ? ($seed + $nruns++, 3) : (0, 1);

	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = $database;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ $program, $dir, $time, $seed, @share ],
		'<', '/dev/null', '>', \$out, '2>', \$err,
		IPC::Run::timeout($time * 2 + 300));

	note($out);
	ok($ok, "$name: all calls end well (seed $seed)")
	  or diag($err, "the server ended:\n", map { "$_\n" }
		  grep { /FATAL|PANIC|TRAP:|exited with|terminated by/ }
		  split /\n/, slurp_file($node->logfile));
}

# stop(NODE): what the server has to say.
sub stop
{
	my ($node) = @_;

	# Only what processes say that are nobody's session is news here.
	my @lines = grep { /TRAP:|PANIC|terminated by signal|\[\d+\] nvent_store \w+ XX|\[\d+\] (?!client backend).*leak/ }
	  split /\n/, slurp_file($node->logfile);
	is(join("\n", @lines), '', $node->name . ": so do those of the workers");
	$node->stop;
}

my $node = start('preloaded', '');
run($node, 'postgres', $seconds / 2);
run($node, 'bytes', $seconds / 4);
stop($node);

$node = start('locks', "shared_preload_libraries = ''\n");
run($node, 'postgres', $seconds / 4);
stop($node);

done_testing();
