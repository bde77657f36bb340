# Nobody's lock, trigger or setting keeps a notification from its listeners, or
# another store from being maintained.
#
# Seen to fail with one process for all of it: a locked table of keys, and the
# row and the table of the published position, keep notifications back, and a
# trigger that sleeps is not cancelled.
#
# Seen to fail with the mechanism taken out:
# - "locked", of the row, the table and the registry: where they are waited for;
# - "does not wait for long", "is cancelled", "ends the process": without
#   maintenance's own lock_timeout, statement_timeout, and end_timeout;
# - "after a while", "but not at once": without looking for not_before, and
#   when the process that comes next does not know of the failure;
# - "two of them": when every process begins with the first store;
# - "settings": where default_transaction_read_only, session_replication_role,
#   default_transaction_isolation, exit_on_error or, since 17, transaction_timeout
#   is not set by session.c.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('stall', <<'EOT');
nvent_store.maintenance_interval = 100ms
nvent_store.maintenance_lock_timeout = 200ms
nvent_store.maintenance_timeout = 500ms
nvent_store.publish_interval = 100ms
EOT

$node->safe_psql('postgres', <<'EOT');
SELECT nvent.store_create();
CREATE ROLE good;
CREATE ROLE evil;
CREATE SCHEMA good AUTHORIZATION good;
CREATE SCHEMA evil AUTHORIZATION evil;
CREATE SCHEMA vile AUTHORIZATION evil;
GRANT USAGE ON SCHEMA nvent TO good, evil;
GRANT EXECUTE ON FUNCTION nvent.store_create TO good, evil;
CREATE TABLE ran (by text);
GRANT INSERT ON ran TO good, evil;
CREATE SEQUENCE tries;
GRANT USAGE ON SEQUENCE tries TO evil;
SET ROLE good;
SELECT nvent.store_create('good', 'good');
SET ROLE evil;
SELECT nvent.store_create('evil', 'evil'), nvent.store_create('vile', 'vile');
EOT
my $listener = listener($node, 'nvent_events');
my $holder = $node->background_psql('postgres');

# expired(STORE): an expired key of it is removed before long.
sub expired
{
	my ($store) = @_;

	my $table = $store eq 'nvent' ? 'nvent_kv' : "$store.${store}_kv";

	$node->safe_psql('postgres', "SELECT nvent.kv_set('$store:k', '1', '1 microsecond')");
	return wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM $table") eq '0' });
}

# announced(SUBJECT): an append of it is announced before long.
sub announced
{
	my ($subject) = @_;

	append($node, $subject);
	return scalar(notified($listener, qr/t:$subject/));
}

# maintenance_waits(): is it waiting for a lock?
sub maintenance_waits
{
	return wait_until(sub { $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'nvent_store %' AND wait_event_type = 'Lock'") ne '0' });
}

append($node, 'begin');
ok(expired('good'), 'a store is maintained');

# --- Locks ---

$holder->query_safe('BEGIN; LOCK TABLE evil.evil_kv, nvent_kv');
ok(maintenance_waits(), 'a table of keys is locked, which maintenance wants');
ok(announced("locked$_"), 'appends are announced') foreach 1 .. 3;
ok(expired('good'), 'and another store is maintained');
ok(wait_until(sub { $node->log_contains('evil: canceling statement due to lock timeout') }),
	'which does not wait for long');
$holder->query_safe('COMMIT');

$holder->query_safe('BEGIN; SELECT * FROM nvent.published_position FOR UPDATE');
ok(announced("row$_"), 'somebody has locked the row of the published position')
	foreach 1 .. 3;
$holder->query_safe('COMMIT');
$holder->query_safe('BEGIN; LOCK TABLE nvent.published_position');
ok(announced("table$_"), 'or all of it') foreach 1 .. 3;
$holder->query_safe('COMMIT');

# What is locked by who drops the extension, or waits to.
my @open = map { $node->background_psql('postgres') } 1, 2;
$open[$_]->query_safe('BEGIN; ' . append_sql("open$_")) foreach 0, 1;
send_sql($holder, 'BEGIN; LOCK TABLE nvent.store');
ok(wait_until(sub { $node->safe_psql('postgres',
	q{SELECT count(*) FROM pg_locks WHERE relation = 'nvent.store'::regclass AND mode = 'AccessExclusiveLock'}) eq '1' }),
	'somebody wants all of the registry');
$open[0]->query_safe('COMMIT');
ok(notified($listener, qr/t:open0/), 'an append is announced');
is(silent($listener, 0.5), '', 'nothing else is to be');
$open[1]->query_safe('COMMIT');
ok(notified($listener, qr/t:open1/), 'so is one that is settled meanwhile');
$holder->query_safe('COMMIT');
$_->quit foreach @open;

# --- Triggers ---

# maintenance(INTERVAL): how often; 0 has the process leave.
sub maintenance
{
	my ($interval) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET nvent_store.maintenance_interval = '$interval'");
	$node->reload;
	return $interval ne '0' || wait_until(sub { maintainer_pid($node) eq '' });
}

# trap(BODY, STORE...): it runs whenever a row of the stores' keys is deleted,
# where there is one now.  Maintenance begins anew, and knows of no failures.
sub trap
{
	my ($body, @stores) = @_;

	ok(maintenance('0'), 'maintenance is left off');
	$node->safe_psql('postgres', <<"EOT") foreach @stores;
SET ROLE evil;
CREATE OR REPLACE FUNCTION $_.trap() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $body RETURN OLD; END \$\$;
CREATE OR REPLACE TRIGGER trap BEFORE DELETE ON $_.${_}_kv FOR EACH ROW EXECUTE FUNCTION $_.trap();
RESET ROLE;
SELECT nvent.kv_set('$_:k', '1', '1 microsecond');
EOT
	maintenance('100ms');
}

# logged_at(REGEX): the times that the log has behind that.
sub logged_at
{
	my ($regex) = @_;
	my @times = slurp_file($node->logfile) =~ /$regex at ([\d.]+)/g;

	return @times;
}

my $clock = 'extract(epoch FROM clock_timestamp())';

trap('PERFORM pg_sleep(1000);', 'evil');
ok(wait_until(sub { $node->log_contains('evil: canceling statement due to statement timeout') }),
	'a trigger that sleeps is cancelled');
ok(announced('asleep'), 'appends are announced');
ok(expired('good'), 'and another store is maintained');

trap("RAISE 'trapped at %', $clock;", 'evil');
ok(wait_until(sub { $node->log_contains('evil: trapped') }), 'a trigger that raises');
ok(expired('good'), 'ends nothing but its own store\'s turn');
unlike(slurp_file($node->logfile), qr/ERROR:  trapped/, 'in one line of the log');
ok(wait_until(sub { logged_at('evil: trapped') >= 3 }), 'it is tried again, and again');
my @tried = logged_at('evil: trapped');
cmp_ok($tried[1] - $tried[0], '>=', 1, 'after a while');
cmp_ok($tried[2] - $tried[1], '>=', 2, 'which is longer the more often it failed');

my $stubborn = 'LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;';
# Two attempts are of that kind.
trap("IF nextval('public.tries') <= 2 THEN RAISE LOG 'caught at %', $clock; $stubborn END IF;", 'evil');
ok(wait_until(sub { logged_at('LOG:  caught') >= 1 }), 'one that catches its cancellation');
ok(announced('caught'), 'appends are announced');
ok(wait_until(sub { logged_at('LOG:  caught') >= 2 }), 'ends the process, and another one tries it');
my ($first) = slurp_file($node->logfile) =~ /\[(\d+)\].*LOG:  caught/;
my ($end) = slurp_file($node->logfile) =~ /^(\S+ \S+ \S+) [^\[\n]*\[$first\].*FATAL:  terminating/m;
cmp_ok((logged_at('LOG:  caught'))[1] - $node->safe_psql('postgres', "SELECT extract(epoch FROM timestamptz '$end')"), '>=', 1, 'but not at once');
ok(expired('good'), 'and another store is maintained');

# Of two such stores each ends a process while the other one may be tried.  The
# default store's turn is behind both.
is($node->safe_psql('postgres', q{SELECT string_agg(s, ' ' ORDER BY hashtextextended(s COLLATE "C", 0) & 4294967295) FROM unnest(ARRAY['evil', 'good', 'nvent', 'vile']) s}),
	'good vile evil nvent', 'stores have their turns in the order of their numbers');
trap($stubborn, 'evil', 'vile');
ok(expired('nvent'), 'two of them do not keep a third store from its turn');

# What locks it takes by itself does not make it wait longer.
$holder->query_safe('BEGIN; LOCK TABLE ran');
trap("SET lock_timeout = 0; SET statement_timeout = 0; SET nvent_store.notify = off; INSERT INTO public.ran VALUES ('evil');", 'evil', 'vile');
ok(expired('good'), 'it cannot give itself more time');
$holder->query_safe('COMMIT');
ok(maintenance('0'), 'maintenance is left off');
$node->safe_psql('postgres', 'DROP TRIGGER trap ON evil.evil_kv; DROP TRIGGER trap ON vile.vile_kv');
maintenance('100ms');

# --- Settings ---

$node->safe_psql('postgres', <<'EOT');
SET ROLE good;
CREATE FUNCTION good.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.ran VALUES (current_user || ' ' || current_setting('search_path') || ' ' || current_setting('transaction_isolation'));
	RETURN OLD;
END $$;
CREATE TRIGGER note BEFORE DELETE ON good.good_kv FOR EACH ROW EXECUTE FUNCTION good.note();
EOT
$node->safe_psql('postgres', 'TRUNCATE ran');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my @settings = ("role = 'evil'", 'search_path = evil, pg_catalog',
	'default_transaction_read_only = on',
	"default_transaction_isolation = 'serializable'",
	"statement_timeout = '1ms'", "lock_timeout = '1ms'",
	"idle_in_transaction_session_timeout = '1ms'",
	"idle_session_timeout = '1ms'",
	"session_replication_role = 'replica'", 'row_security = off',
	'exit_on_error = on');
my $timeout = $node->pg_version >= 17 ? 'transaction_timeout' : 'statement_timeout';
push @settings, "$timeout = '1ms'";
$node->safe_psql('postgres', join ';', map { my $of = $_; map { "ALTER $of SET $_" } @settings }
	  'DATABASE postgres', "ROLE \"$superuser\"");
# Ours would get these as well.
$ENV{PGOPTIONS} = join ' ', map { "-c $_" } 'role=none',
	'search_path=public', 'default_transaction_read_only=off',
	'default_transaction_isolation=read\ committed', 'statement_timeout=0',
	'lock_timeout=0', 'idle_in_transaction_session_timeout=0',
	'idle_session_timeout=0', 'session_replication_role=origin',
	'row_security=on', 'exit_on_error=off', "$timeout=0";
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type IN ('nvent_store notifier', 'nvent_store maintenance')");
ok(announced('settings'), 'settings of database and role do not reach the notifier');
ok(expired('good'), 'nor maintenance');
is($node->safe_psql('postgres', 'SELECT DISTINCT by FROM ran'),
	'good pg_catalog, pg_temp read committed', 'which is as it always is');
trap("RAISE 'trapped again';", 'evil');
ok(wait_until(sub { $node->log_contains('evil: trapped again') }),
	'and whose errors do not end it');
ok(wait_until(sub { $node->safe_psql('postgres',
	'SELECT p.position = nvent.safe_position() FROM nvent.published_position p') eq 't' }),
	'positions are published');

$listener->quit;
$holder->quit;
$node->stop;

done_testing();
