# Whatever becomes of notifier and launcher, listeners are told of everything,
# and no process is started again and again for nothing.
#
# Seen to fail: when the hook counts no resync, "COMMIT PREPARED while there is
# none"; when what was taken counts as told, "it cannot announce yet" and "if it
# has been overwritten"; when what is left after DROP EXTENSION is not given up,
# "does not come back"; when modes do not go by what the launcher can start, "no
# background workers"; when processes that have nothing to do stay, "take turns";
# without the check of rights, "who may not drop it", and without the cleanup of a
# hold, "an attempt that ends".

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_server('lost', <<'EOT');
nvent_store.ring_size = 16kB
nvent_store.maintenance_interval = 0
max_worker_processes = 16
max_logical_replication_workers = 0
log_min_messages = debug1
EOT

$node->safe_psql('postgres', 'SELECT nvent.store_create()');
my $listener = listener($node, 'nvent_events');
my $open = $node->background_psql('postgres');

# launcher_pid(): process of the launcher.
sub launcher_pid
{
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'nvent_store launcher'");
}

# without_notifier(CODE): it ends, and no other one is started until CODE returns.
sub without_notifier
{
	my ($code) = @_;
	my $launcher = launcher_pid();

	kill 'STOP', $launcher;
	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'nvent_store notifier'");
	wait_until(sub { notifier_pid($node) eq '' }) or die 'it does not end';
	$code->();
	kill 'CONT', $launcher;
}

# starts(DATABASE): how often a notifier was started there.
sub starts
{
	my ($oid) = @_;
	my @starts = slurp_file($node->logfile) =~
	  /starting background worker process "nvent_store notifier, database $oid"/g;

	return scalar(@starts);
}

# oid(DATABASE)
sub oid
{
	my ($database) = @_;

	return $node->safe_psql('postgres',
		"SELECT oid FROM pg_database WHERE datname = '$database'");
}

sub status
{
	my ($column, $database) = @_;

	return $node->safe_psql($database // 'postgres',
		"SELECT $column FROM nvent.worker_status()");
}

# --- What happens while there is no notifier ---

append($node, 'first');
notified($listener, qr/t:first/);
is(status('preloaded, mode, notifier_pid IS NOT NULL'), 't|worker|t',
	'preloading works');

without_notifier(sub { append($node, 'meanwhile') });
is_deeply([ map { /"(nvent[^"]*)"/ } notified($listener, qr/t:meanwhile/) ],
	['nvent:t:meanwhile'], 'an append while there is no notifier');

$node->safe_psql('postgres', join ';', 'BEGIN', append_sql('prepared'),
	"PREPARE TRANSACTION 'p'");
without_notifier(sub { $node->safe_psql('postgres', "COMMIT PREPARED 'p'") });
ok(scalar(notified($listener, qr/null/)), 'COMMIT PREPARED while there is none');

without_notifier(sub {
	$node->safe_psql('postgres', join ";\n", map { append_sql("full-$_") } 1 .. 500);
});
ok(scalar(notified($listener, qr/null/)), 'more than there is room for');
ok(wait_until(sub { status('has_unsent') eq 'f' }), 'all of it is told');
without_notifier(sub { append($node, 'after') });
is(scalar(grep { /null/ } notified($listener, qr/t:after/)), 0,
	'and what has been told once is not told by the next notifier');

# Taken, and not told: there is an open appender.
$open->query_safe('BEGIN; ' . append_sql('open'));
append($node, 'taken');
ok(wait_until(sub { status('has_unsent AND ring_bytes = 0') eq 't' }),
	'the notifier has taken what it cannot announce yet');
without_notifier(sub {
	$node->safe_psql('postgres', join ";\n", map { append_sql("much-$_") } 1 .. 80);
});
usleep(200000);
$open->query_safe('ROLLBACK');
is(scalar(grep { /null/ } notified($listener, qr/t:taken/, qr/t:much-80/)), 0,
	'the next one takes it again');
$open->query_safe('BEGIN; ' . append_sql('open'));
foreach my $round (1 .. 5)
{
	$node->safe_psql('postgres', join ";\n", map { append_sql("$round-$_") } 1 .. 100);
	wait_until(sub { status('ring_bytes = 0') eq 't' });
}
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . notifier_pid($node) . ')');
$open->query_safe('ROLLBACK');
ok(scalar(notified($listener, qr/null/)),
	'if it has been overwritten, everybody is to read again');
append($node, 'quiet');
notified($listener, qr/t:quiet/);

# --- Where nobody is to be told ---

$node->safe_psql('postgres', 'CREATE DATABASE gone');
$node->safe_psql('gone', 'CREATE EXTENSION nvent_store; SELECT nvent.store_create()');
my $gone = oid('gone');
append($node, '1', 'gone');
ok(wait_until(sub { notifier_pid($node, 'gone') ne '' }), 'a notifier is there');
my $starts = starts($gone);
without_notifier(sub {
	$node->safe_psql('gone', append_sql('2') . '; DROP EXTENSION nvent_store CASCADE');
});
ok(wait_until(sub { starts($gone) > $starts }), 'it comes to tell of an event');
ok(wait_until(sub { notifier_pid($node, 'gone') eq '' }),
	'and leaves, as the extension is gone');
usleep(2000000);
cmp_ok(starts($gone), '<=', $starts + 2, 'and does not come back');

$node->safe_psql('postgres', 'CREATE DATABASE closed');
$node->safe_psql('closed', 'CREATE EXTENSION nvent_store; SELECT nvent.store_create()');
my $closed = oid('closed');
append($node, '1', 'closed');
my $inside = $node->background_psql('closed');
my $inside_listener = listener($node, 'nvent_events', 'closed');
$inside->query_safe(append_sql('2'));
$node->safe_psql('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
without_notifier(sub { $inside->query_safe(append_sql('3')) });
ok(scalar(notified($inside_listener, qr/t:3/)),
	'who is in a database where connections are not allowed is notified');
usleep(1000000);
unlike(slurp_file($node->logfile), qr/not currently accepting connections/,
	'nobody tries to connect in vain');
$_->quit foreach $inside, $inside_listener;
$node->safe_psql('postgres', 'DROP DATABASE closed; ');

# --- DROP DATABASE ---

$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN; CREATE DATABASE kept');
$node->safe_psql('kept', 'CREATE EXTENSION nvent_store; SELECT nvent.store_create()');
append($node, '1', 'kept');
ok(wait_until(sub { notifier_pid($node, 'kept') ne '' }), 'a notifier is there');
my $pid = notifier_pid($node, 'kept');
foreach my $statement ('DROP DATABASE kept', 'ALTER DATABASE kept RENAME TO mine',
	'ALTER DATABASE kept SET TABLESPACE pg_default', 'CREATE DATABASE mine TEMPLATE kept')
{
	my ($ret, $out, $err) = $node->psql('postgres', $statement,
		extra_params => [ '-U', 'stranger' ]);
	like($err, qr/must be owner of database kept|permission denied/, $statement);
	$node->psql('postgres', "SET statement_timeout = '1ms'; $statement",
		extra_params => [ '-U', 'stranger' ]);
}
is(notifier_pid($node, 'kept'), $pid, 'who may not drop it sends nobody away');
$listener->quit;
$listener = listener($node, 'nvent_events', 'kept');
foreach my $ms (1, 5, 20)
{
	my $session = $node->background_psql('kept');

	$node->psql('postgres', "SET statement_timeout = '${ms}ms'; DROP DATABASE kept");
	$session->query_safe(append_sql("after-$ms"));
	ok(scalar(notified($listener, qr/t:after-$ms/)),
		'an attempt that ends before long lets it come back');
	$session->quit;
}
$listener->quit;

# --- Too few background workers ---

$node->safe_psql('postgres', "CREATE DATABASE db$_") foreach 1 .. 12;
$node->safe_psql("db$_", 'CREATE EXTENSION nvent_store; SELECT nvent.store_create()')
	foreach 1, 2;
$node->adjust_conf('postgresql.conf', 'max_worker_processes', '2');
$node->stop;
my $log_end = -s $node->logfile;
$node->start;
ok(wait_until(sub {
	my %seen = map { $_ => 1 } slurp_file($node->logfile, $log_end) =~
	  /starting background worker process "nvent_store notifier, database (\d+)"/g;
	return keys %seen >= 15;
}), 'a server that starts looks into each database');
unlike(slurp_file($node->logfile, $log_end), qr/too few background workers/,
	'one after the other');
my %listeners = map { $_ => listener($node, 'nvent_events', $_) } qw(postgres db1 db2);
$node->safe_psql($_, append_sql('turn')) foreach qw(postgres db1 db2);
foreach my $database (qw(postgres db1 db2))
{
	ok(scalar(notified($listeners{$database}, qr/t:turn/)), 'databases take turns');
}
foreach my $round (1 .. 5)
{
	append($node, "turn-$round", $_) foreach qw(postgres db1 db2);
}
foreach my $database (qw(postgres db1 db2))
{
	ok(scalar(notified($listeners{$database}, map { qr/t:turn-$_/ } 1 .. 5)),
		'again and again');
	$listeners{$database}->quit;
}
my @few = slurp_file($node->logfile) =~ /nvent_store has too few background workers/g;
is(scalar(@few), 1, 'that there are too few is said once');
unlike(slurp_file($node->logfile), qr/WARNING:  could not start/, 'and nothing else');

foreach my $workers (0, 1)
{
	$node->adjust_conf('postgresql.conf', 'max_worker_processes', $workers);
	$node->restart;
	is($node->safe_psql('postgres', 'SHOW nvent_store.notify'), 'worker',
		"$workers background workers");
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'nvent_store launcher'") == 1 })
		if $workers == 1;
	is(status('preloaded, mode, notifier_pid IS NULL'), 't|inline|t',
		'with no background workers, appends notify by themselves');
	$listener = listener($node, 'nvent_events');
	append($node, 'alone');
	ok(scalar(notified($listener, qr/t:alone/)), 'listeners are notified');
	$listener->quit;
}
$open->quit;
$node->stop;

done_testing();
