# The worker: which events it announces to whom and when, and that nothing of it
# is in the way of commits or of anybody else; maintenance, appenders that are
# too old, and what holds where the library is not preloaded.
#
# Seen to fail, with the mechanism taken out:
# - "announced when it can be read": without the comparison with the safe
#   position the notification comes while the appender is open;
# - "the end of a prepared transaction": when the worker does not have all read
#   again when the locks of a prepared transaction are gone;
# - "the ring is full": without the count of what had no room;
# - "what a worker had not sent": without the flag that it had something;
# - "DROP DATABASE" and the like: without the ProcessUtility hook;
# - "each as its owner": without SetUserIdAndSecContext();
# - "nothing of a stranger's runs": when tables with such code are swept.
# - "a new database is maintained": without nvs_shmem_ask_for_visit().

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_server('worker', <<'EOT');
nvent_store.ring_size = 16kB
nvent_store.worker_idle_timeout = 1min
nvent_store.maintenance_interval = 1s
log_min_messages = info
EOT

# --- Who is there ---

is($node->safe_psql('postgres', 'SHOW nvent_store.notify'),
	'worker', 'preloaded, the worker notifies by default');
ok(wait_until(sub {
	$node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'nvent_store launcher'"
	) == 1 }), 'there is a launcher');
is(notifier_pid($node), '', 'there is no worker until there is work');

# --- What is announced ---

$node->safe_psql('postgres', 'SELECT nvent.store_create()');
my $listener = listener($node, 'nvent_events');
my $id = append($node, '1');
is_deeply([ notified($listener, qr/t:1/) ],
	["{\"stream\": \"nvent:t:1\", \"id\": $id}"],
	'the first append starts the worker, and it is announced');
isnt(notifier_pid($node), '', 'the worker is there now');

$node->safe_psql('postgres', join ';', 'BEGIN',
	map({ append_sql($_) } 'a', 'b', 'a', 'b', 'a'), 'COMMIT');
$id = $node->safe_psql('postgres', 'SELECT nvent.safe_position()');
is_deeply(
	[ notified($listener, qr/t:a/, qr/t:b/) ],
	[   '{"stream": "nvent:t:b", "id": ' . ($id - 1) . '}',
		"{\"stream\": \"nvent:t:a\", \"id\": $id}" ],
	'each subject of a transaction once, with its highest position');

$node->safe_psql('postgres', join ';', 'BEGIN', append_sql('kept'),
	'SAVEPOINT s', append_sql('undone'), 'ROLLBACK TO s',
	'SAVEPOINT s', append_sql('released'), 'RELEASE s', 'COMMIT');
$node->safe_psql('postgres', join ';', 'BEGIN', append_sql('undone'),
	'ROLLBACK');
append($node, 'last');
my @seen = notified($listener, qr/t:last/);
is(scalar(grep { /undone/ } @seen), 0, 'nothing of what was rolled back');
is(scalar(grep { /kept|released/ } @seen), 2, 'the rest of it is announced');

$node->safe_psql('postgres',
	'SET nvent_store.notify = off; ' . append_sql('silently'));
$node->safe_psql('postgres',
	"INSERT INTO nvent_flow_events (run_id, ts, type) VALUES ('by hand', 1, 'x')");
is(silent($listener, 0.3), '', 'mode off announces nothing, nor does plain SQL');
$node->safe_psql('postgres',
	'SET nvent_store.notify = inline; ' . append_sql('inline'));
is(scalar(notified($listener, qr/t:inline/)), 1, 'mode inline announces');

# --- When ---

my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; ' . append_sql('open'));
append($node, 'above');
is(silent($listener, 0.5), '',
	'an event above an open appender is not announced: nobody can read it');
$open->query_safe('ROLLBACK');
is(scalar(notified($listener, qr/t:above/)),
	1, 'it is announced when it can be read, whatever became of the appender');

$open->query_safe('BEGIN; ' . append_sql('open'));
append($node, $_) foreach qw(above above beyond);
$open->query_safe('COMMIT');
is(scalar(notified($listener, qr/t:open/, qr/t:above/, qr/t:beyond/)),
	3, 'all of them at once, each once');

# Another store's appender is of no interest.
$node->safe_psql('postgres', "SELECT nvent.store_create('shop'), nvent.stream_create_table('t', store => 'shop')");
$open->query_safe("BEGIN; SELECT nvent.stream_append('shop:t:1', '{\"type\": \"x\"}')");
append($node, 'beside');
is(scalar(notified($listener, qr/t:beside/)), 1, 'an open appender of another store delays nobody');
$open->query_safe('COMMIT');
$node->safe_psql('postgres', "SELECT nvent.store_migrate('shop', 0)");

# Another database's appender is of no interest.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION nvent_store');
my $other = $node->background_psql('other');
$other->query_safe('BEGIN; ' . append_sql('elsewhere'));
append($node, 'here');
is(scalar(notified($listener, qr/t:here/)),
	1, 'an open appender of another database delays nobody');
my $elsewhere = listener($node, 'nvent_events', 'other');
$other->query_safe('COMMIT');
is(scalar(notified($elsewhere, qr/t:elsewhere/)), 1,
	'each database has a worker of its own');
$other->quit;
$elsewhere->quit;

# --- Prepared transactions ---

$node->safe_psql('postgres', join ';', 'BEGIN', append_sql('prepared'),
	"PREPARE TRANSACTION 'p'");
append($node, 'after');
is(silent($listener, 0.5), '', 'a prepared transaction holds, as it must');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
@seen = notified($listener, qr/null/, qr/t:after/);
is(scalar(@seen), 2, 'the end of a prepared transaction has all read again');
my ($resync) = $seen[0] =~ /"id": (\d+)/;
cmp_ok($resync, '>=', $node->safe_psql('postgres',
	"SELECT max(id) FROM nvent_stream_t WHERE subject = 'nvent:t:prepared'"),
	'and then its events can be read');

# --- Too much, and no worker ---

is($node->safe_psql('postgres',
		"SELECT count(nvent.stream_append('nvent:t:' || md5(i::text), '{\"type\": \"x\"}')) FROM generate_series(1, 500) i"),
	500, 'a transaction with more subjects than the ring has room for commits');
ok(scalar(notified($listener, qr/null/)),
	'too many subjects: listeners are to read everything');
my $pid = notifier_pid($node);
kill 'STOP', $pid;
$node->safe_psql('postgres', join ";\n", map { append_sql("full-$_") } 1 .. 500);
pass('appends commit when the ring is full and nobody empties it');
kill 'CONT', $pid;
ok(scalar(notified($listener, qr/null/)), 'the ring is full: the same');
append($node, 'now');
notified($listener, qr/t:now/);

$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
append($node, 'meanwhile');
ok(scalar(notified($listener, qr/t:meanwhile/)),
	'another worker announces what was appended meanwhile');
isnt(notifier_pid($node), $pid, 'it is another one');

# The worker dies while it keeps something to itself: the appender is open.
$open->query_safe('BEGIN; ' . append_sql('open'));
append($node, 'kept');
ok(wait_until(sub { $node->safe_psql('postgres',
	'SELECT has_unsent AND ring_bytes = 0 FROM nvent.worker_status()') eq 't' }),
	'the worker has taken what it cannot announce yet');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . notifier_pid($node) . ')');
is(silent($listener, 0.5), '', 'another one does not announce it either');
$open->query_safe('COMMIT');
is(scalar(notified($listener, qr/t:open/, qr/t:kept/)), 2,
	'what a notifier had not sent: the next one does when it can be read');

# One thing that fails does not keep it from the others.
$node->safe_psql('postgres', 'ALTER TABLE nvent.published_position RENAME TO elsewhere');
$pid = notifier_pid($node);
append($node, 'broken');
ok(wait_until(sub { $node->log_contains('could not publish the safe position: relation "nvent.published_position" does not exist') }),
	'it cannot publish positions');
append($node, 'broken-last');
ok(scalar(notified($listener, qr/t:broken-last/)), 'and announces all the same');
is(notifier_pid($node), $pid, 'it is still there');
$node->safe_psql('postgres', 'ALTER TABLE nvent.elsewhere RENAME TO published_position');
ok(wait_until(sub { $node->safe_psql('postgres',
	'SELECT position = nvent.safe_position() FROM nvent.published_position') eq 't' }),
	'when it can publish again it does');

# --- In nobody's way ---

append($node, '1', 'other');
ok(wait_until(sub { notifier_pid($node, 'other') ne '' }), 'a worker is connected');
$node->safe_psql('postgres', 'ALTER DATABASE other RENAME TO another');
append($node, '1', 'another');
ok(wait_until(sub { notifier_pid($node, 'another') ne '' }),
	'ALTER DATABASE RENAME is done and the worker is back');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE another');
append($node, '1', 'another');
append($node, '1', 'copy');
ok(wait_until(sub { notifier_pid($node, 'another') ne '' && notifier_pid($node, 'copy') ne '' }),
	'CREATE DATABASE TEMPLATE is done, and original and copy have workers');
$node->safe_psql('postgres', 'DROP DATABASE copy');
my ($ret, $out, $err) = $node->psql('postgres', 'DROP DATABASE nobody');
like($err, qr/does not exist/, 'errors are PostgreSQL\'s own');
$other = $node->background_psql('another');
($ret, $out, $err) = $node->psql('postgres', 'DROP DATABASE another');
like($err, qr/1 other session/, 'a session that is in the way is, the worker is not');
$other->query_safe(append_sql('2'));
ok(wait_until(sub { notifier_pid($node, 'another') ne '' }),
	'after a DROP DATABASE that failed the worker is back');
$other->quit;
$node->safe_psql('postgres', 'DROP DATABASE another');
is(notifier_pid($node, 'another'), '', 'DROP DATABASE with its worker connected');
unlike(slurp_file($node->logfile), qr/database \d+ does not exist/,
	'nobody looks for databases that are gone');

# --- Maintenance, as the owner of the store ---

$node->safe_psql('postgres', <<'EOT');
CREATE ROLE keeper;
GRANT USAGE ON SCHEMA nvent TO keeper;
GRANT EXECUTE ON FUNCTION nvent.store_create TO keeper;
CREATE SCHEMA kept AUTHORIZATION keeper;
CREATE TABLE public.ran (store text, by text);
GRANT INSERT ON public.ran TO keeper;
SET SESSION AUTHORIZATION keeper;
SELECT nvent.store_create('kept', 'kept');
EOT
# Mallory may have triggers on a superuser's table, and on the keeper's.
$node->safe_psql('postgres', <<'EOT');
CREATE ROLE mallory;
CREATE SCHEMA mallory AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA mallory, kept TO PUBLIC;
CREATE TABLE mallory.climbed (who text);
GRANT INSERT ON mallory.climbed TO PUBLIC;
GRANT TRIGGER ON nvent_kv, kept.kept_locks TO mallory;
SET SESSION AUTHORIZATION mallory;
CREATE FUNCTION mallory.climb() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO mallory.climbed VALUES (current_user);
	BEGIN
		ALTER ROLE mallory SUPERUSER;
	EXCEPTION WHEN insufficient_privilege THEN
		NULL;
	END;
	RETURN OLD;
END $$;
CREATE TRIGGER climb BEFORE DELETE ON public.nvent_kv FOR EACH ROW EXECUTE FUNCTION mallory.climb();
CREATE TRIGGER climb BEFORE DELETE ON kept.kept_locks FOR EACH ROW EXECUTE FUNCTION mallory.climb();
SET SESSION AUTHORIZATION keeper;
CREATE FUNCTION kept.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.ran VALUES (OLD.key, current_user);
	BEGIN
		EXECUTE 'RESET SESSION AUTHORIZATION';
		INSERT INTO public.ran VALUES ('session', current_user);
	EXCEPTION WHEN insufficient_privilege THEN
		NULL;
	END;
	RETURN OLD;
END $$;
CREATE TRIGGER note BEFORE DELETE ON kept.kept_kv FOR EACH ROW EXECUTE FUNCTION kept.note();
SELECT nvent.kv_set('kept:k', '1', '1 microsecond'), nvent.lock_acquire('kept:l', '1 microsecond');
RESET SESSION AUTHORIZATION;
SELECT nvent.kv_set('k', '1', '1 microsecond'), nvent.lock_acquire('l', '1 microsecond');
ALTER SYSTEM SET nvent_store.maintenance_interval = '50ms';
SELECT pg_reload_conf();
EOT
# sweeps(): two passes, seen by what is removed from tables that are in order.
sub sweeps
{
	foreach (1, 2)
	{
		$node->safe_psql('postgres', <<'EOT');
SELECT nvent.lock_acquire('l', '1 microsecond');
SET SESSION AUTHORIZATION keeper;
SELECT nvent.kv_set('kept:k', '1', '1 microsecond');
EOT
		return 0 unless wait_until(sub { $node->safe_psql('postgres',
			'SELECT (SELECT count(*) FROM nvent_locks) + (SELECT count(*) FROM kept.kept_kv)') eq '0' });
	}
	return 1;
}
append($node, '1');
ok(sweeps(), 'what is expired is removed');
is($node->safe_psql('postgres', 'SELECT DISTINCT store, by FROM ran'),
	'kept:k|keeper', "the owner's triggers run as the owner, who stays that");
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM mallory.climbed), rolsuper FROM pg_roles WHERE rolname = 'mallory'}),
	'0|f', "nothing of a stranger's runs");
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM nvent_kv), (SELECT count(*) FROM kept.kept_locks)'),
	'1|1', 'such tables are left alone');
foreach my $table ('public.nvent_kv', 'kept.kept_locks')
{
	my @reports = slurp_file($node->logfile) =~ /WARNING:  skipping table \Q$table\E,/g;
	is(scalar(@reports), 1, "and $table is reported once");
}
$node->safe_psql('postgres', 'DROP TRIGGER climb ON nvent_kv');
ok(wait_until(sub { $node->safe_psql('postgres', 'SELECT count(*) FROM nvent_kv') eq '0' }),
	'until it is in order');
# A database that is made meanwhile, in which there are never events.
$node->safe_psql('postgres', q{ALTER SYSTEM SET nvent_store.worker_naptime = '100ms'});
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
$node->safe_psql('postgres', 'CREATE DATABASE quiet');
$node->safe_psql('quiet', q{CREATE EXTENSION nvent_store; SELECT nvent.store_create(), nvent.kv_set('k', '1', '1 microsecond')});
ok(wait_until(sub { $node->safe_psql('quiet', 'SELECT count(*) FROM nvent_kv') eq '0' }),
	'a new database is maintained too, without events');
$node->safe_psql('postgres', 'DROP DATABASE quiet');
$node->safe_psql('postgres', <<'EOT');
ALTER SYSTEM RESET nvent_store.worker_naptime;
ALTER SYSTEM RESET nvent_store.maintenance_interval;
SELECT pg_reload_conf();
EOT

# --- Appenders that are too old ---

$node->safe_psql('postgres', <<'EOT');
ALTER SYSTEM SET nvent_store.max_append_age = '300ms';
SELECT pg_reload_conf();
EOT
$open->query_safe('BEGIN; ' . append_sql('old'));
my $old = $open->query_safe('SELECT pg_backend_pid()');
append($node, 'awake');
ok(wait_until(sub { $node->log_contains("process $old holds back readers") }),
	'the log names who holds readers back');
$open->query_safe('ROLLBACK');
($ret, $out, $err) = $node->psql('postgres', join ';', 'BEGIN',
	append_sql('old'), 'SELECT pg_sleep(0.4)', append_sql('older'));
like($err, qr{exceeded nvent_store.max_append_age}, 'who appends for too long is stopped');
$node->safe_psql('postgres', <<'EOT');
ALTER SYSTEM RESET nvent_store.max_append_age;
SELECT pg_reload_conf();
EOT

# --- Coming and going ---

$node->safe_psql('postgres', <<'EOT');
ALTER SYSTEM SET nvent_store.worker_idle_timeout = '200ms';
ALTER SYSTEM SET nvent_store.worker_naptime = '1s';
SELECT pg_reload_conf();
EOT
append($node, '1');
ok(wait_until(sub { notifier_pid($node) eq '' }), 'a worker without work leaves');
$id = append($node, 'back');
ok(scalar(grep { /t:back/ } notified($listener, qr/t:back/)),
	'the next append brings one back');
ok(wait_until(sub { notifier_pid($node) eq '' }), 'which leaves again');
$node->safe_psql('postgres', "SELECT nvent.kv_set('kept:k', '1', '1 microsecond')");
ok(wait_until(sub { $node->safe_psql('postgres', 'SELECT count(*) FROM kept.kept_kv') eq '0' }),
	'and maintenance comes from time to time');
$listener->quit;
$open->quit;

$node->safe_psql('postgres', <<'EOT');
ALTER SYSTEM RESET ALL;
SELECT pg_reload_conf();
EOT
append($node, '1');
ok(wait_until(sub { notifier_pid($node) ne '' }), 'a worker is there');
$node->safe_psql('postgres', 'DROP EXTENSION nvent_store CASCADE');
ok(wait_until(sub { notifier_pid($node) eq '' }),
	'it leaves when the extension is gone');
$node->restart;
ok(wait_until(sub { $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'nvent_store launcher'") == 1 }),
	'the server restarts');
$node->stop;

# --- Not preloaded ---

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->start;
$node->safe_psql('postgres', 'DROP SCHEMA IF EXISTS kept CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION nvent_store');
is($node->safe_psql('postgres', 'SELECT nvent.safe_position() IS NOT NULL; SHOW nvent_store.notify'),
	"t\ninline", 'not preloaded, notifications are inline');
($ret, $out, $err) = $node->psql('postgres',
	'SELECT nvent.safe_position(); SET nvent_store.notify = worker');
like($err, qr/invalid value for parameter.*There is a worker only when/s,
	'and the worker cannot be asked for');
$listener = listener($node, 'nvent_events');
append($node, '1');
is(scalar(notified($listener, qr/t:1/)), 1, 'listeners are notified');
# Fails on PostgreSQL 17, where there is shared memory all the same, when that
# is all that nvs_notify_mode() asks for.
$node->safe_psql('postgres', <<'EOT');
CREATE TABLE log (LIKE nvent_stream_t INCLUDING ALL);
SELECT nvent.route_add('stream', 'nvent:w:>', 'log', notify => 'worker');
SELECT nvent.stream_append('nvent:w:1', '{"type": "x"}');
EOT
is(scalar(notified($listener, qr/w:1/)), 1,
	'also by a route that wants the worker');
$listener->quit;
$node->stop;

done_testing();
