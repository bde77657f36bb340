# Notifications that cannot be sent, as their queue is full (test/hooks/failing.c has
# each commit of them fail): what was due is told later, whatever the notifier has had
# meanwhile, and by whichever notifier; nobody else has to wait for that.
#
# Seen to fail where what could not be sent is forgotten (notifier_tell() in
# worker/notifier.c), is taken for sent, or is tried no more.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $file = PostgreSQL::Test::Utils::tempdir() . '/fails';
my $library = library('failing');
my $node = new_server('send', <<"EOT");
shared_preload_libraries = 'nvent_store, $library'
nvs_failing.file = '$file'
nvent_store.worker_idle_timeout = 1h
EOT

sub sql { return $node->safe_psql('postgres', $_[0]) }

# fails(): from now on no notification is sent.
sub fails
{
	open(my $fh, '>', $file) or die "$file: $!";
	close $fh;
	chmod 0666, $file;
}

# tried(N): has that failed so many times, before long?
sub tried
{
	my ($n) = @_;

	return wait_until(sub { (-s $file // 0) >= $n });
}

# warnings(): how often the log says so.
sub warnings_said
{
	return scalar(() = slurp_file($node->logfile) =~ /WARNING:.*could not send notifications/g);
}

sql(q{SELECT nvent.store_create(); SELECT nvent.stream_create_table('t'); SELECT nvent.queue_create('q', notify => 'worker')});
my $channel = sql(q{SELECT 'nvent_events'});
my $listener = listener($node, $channel);
append($node, 'first');
ok(notified($listener, qr/t:first/), 'an event is told of');

# --- While it fails ---

fails();
append($node, $_) foreach qw(a b);
sql(q{SELECT nvent.queue_send('q')});
ok(tried(3), 'it is tried again and again');
is(silent($listener, 0), '', 'nobody is told');
is(warnings_said(), 1, 'the log says so once');
my ($waiter, $waiter_pid) = sleeper($node, "CALL nvent.stream_await('nvent:t:w', 0, '20 s')");
my $begin = time;
append($node, 'w');
$waiter->query('SELECT 1');
cmp_ok(time - $begin, '<', 10, 'who waits in a call is woken');
$waiter->quit;
is(sql('SELECT count(*) FROM nvent_stream_t'), '4', 'and appends commit');
my $pid = notifier_pid($node);
is(sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid"), '1', 'the notifier stays');
ok($node->poll_query_until('postgres', 'SELECT nvent.safe_position() = position FROM nvent.published_position'),
	'positions are published');

# --- When it works again ---

unlink $file;
my @told = notified($listener, qr/./);
ok(@told, 'what was due is told');
diag("told: @told") if $ENV{NVS_SHOW};
append($node, 'then');
ok(notified($listener, qr/t:then/), 'and what comes then, by its subject');

# --- By another notifier ---

fails();
append($node, 'c');
ok(tried(2), 'it fails once more');
is(warnings_said(), 2, 'which is said');
$pid = notifier_pid($node);
sql("SELECT pg_terminate_backend($pid)");
ok(wait_until(sub { my $now = notifier_pid($node); $now ne '' && $now != $pid }), 'another notifier comes');
my $tries = -s $file;
ok(tried($tries + 1), 'and tries');
is(silent($listener, 0), '', 'in vain');
unlink $file;
ok(notified($listener, qr/./), 'until it works');

# --- A database that is dropped meanwhile ---

sql('CREATE DATABASE other');
$node->safe_psql('other', q{CREATE EXTENSION nvent_store; SELECT nvent.store_create(); SELECT nvent.stream_create_table('t')});
my $else = listener($node, $channel, 'other');
fails();
$node->safe_psql('other', append_sql('x'));
ok(tried(2), 'it fails in another database');
$else->quit;
$begin = time;
sql('DROP DATABASE other');
cmp_ok(time - $begin, '<', 10, 'which can be dropped');
unlink $file;
append($node, 'last');
ok(notified($listener, qr/t:last|resync/), 'and the first one goes on');

$listener->quit;
$node->stop;
done_testing();
