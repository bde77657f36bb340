# Nobody's lock, trigger or setting keeps a notification from its listeners, or
# another store from being maintained.
#
# Seen to fail with one process for all of it: a locked table of keys, and the
# row and the table of the published position, keep notifications back, and a
# trigger that sleeps is not cancelled.  The row does so too where it is waited
# for.

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
EOT

$node->safe_psql('postgres', <<'EOT');
SELECT nvent.store_create();
CREATE ROLE good;
CREATE ROLE evil;
CREATE SCHEMA good AUTHORIZATION good;
CREATE SCHEMA evil AUTHORIZATION evil;
GRANT USAGE ON SCHEMA nvent TO good, evil;
GRANT EXECUTE ON FUNCTION nvent.store_create TO good, evil;
CREATE TABLE ran (by text);
GRANT INSERT ON ran TO good, evil;
SET ROLE good;
SELECT nvent.store_create('good', 'good');
SET ROLE evil;
SELECT nvent.store_create('evil', 'evil');
EOT
my $listener = listener($node, 'nvent_events');
my $holder = $node->background_psql('postgres');

# expired(STORE): an expired key of it is removed before long.
sub expired
{
	my ($store) = @_;

	$node->safe_psql('postgres', "SELECT nvent.kv_set('$store:k', '1', '1 microsecond')");
	return wait_until(sub { $node->safe_psql('postgres',
		"SELECT count(*) FROM $store.${store}_kv") eq '0' });
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
$holder->query_safe('COMMIT');

$holder->query_safe('BEGIN; SELECT * FROM nvent.published_position FOR UPDATE');
ok(announced("row$_"), 'somebody has locked the row of the published position')
	foreach 1 .. 3;
$holder->query_safe('COMMIT');
$holder->query_safe('BEGIN; LOCK TABLE nvent.published_position');
ok(announced("table$_"), 'or all of it') foreach 1 .. 3;
$holder->query_safe('COMMIT');

# --- Triggers ---

# trap(BODY): it runs whenever a row of evil's keys is deleted.
sub trap
{
	my ($body) = @_;

	$node->safe_psql('postgres', <<"EOT");
SET ROLE evil;
CREATE OR REPLACE FUNCTION evil.trap() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $body RETURN OLD; END \$\$;
CREATE OR REPLACE TRIGGER trap BEFORE DELETE ON evil.evil_kv FOR EACH ROW EXECUTE FUNCTION evil.trap();
RESET ROLE;
SELECT nvent.kv_set('evil:k', '1', '1 microsecond');
EOT
}

trap('PERFORM pg_sleep(1000);');
ok(wait_until(sub { $node->log_contains('evil: canceling statement due to statement timeout') }),
	'a trigger that sleeps is cancelled');
ok(announced('asleep'), 'appends are announced');
ok(expired('good'), 'and another store is maintained');

trap("RAISE 'trapped';");
ok(wait_until(sub { $node->log_contains('evil: trapped') }), 'a trigger that raises');
ok(expired('good'), 'ends nothing but its own store\'s turn');
unlike(slurp_file($node->logfile), qr/ERROR:  trapped/, 'in one line of the log');

my $first = maintainer_pid($node);
trap('LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;');
ok(wait_until(sub { my $pid = maintainer_pid($node); $pid ne '' && $pid ne $first }),
	'one that catches its cancellation ends the process, and there is another one');
ok(announced('caught'), 'appends are announced');
ok(expired('good'), 'and another store is maintained');

# What locks it takes by itself does not make it wait longer.
$holder->query_safe('BEGIN; LOCK TABLE ran');
trap("SET lock_timeout = 0; SET statement_timeout = 0; SET nvent_store.notify = off; INSERT INTO public.ran VALUES ('evil');");
ok(expired('good'), 'it cannot give itself more time');
$holder->query_safe('COMMIT');
$node->safe_psql('postgres', 'DROP TRIGGER trap ON evil.evil_kv');

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
$node->safe_psql('postgres', join ';', map { my $of = $_; map { "ALTER $of SET $_" } @settings }
	  'DATABASE postgres', "ROLE \"$superuser\"");
# Ours would get these as well.
$ENV{PGOPTIONS} = join ' ', map { "-c $_" } 'role=none',
	'search_path=public', 'default_transaction_read_only=off',
	'default_transaction_isolation=read\ committed', 'statement_timeout=0',
	'lock_timeout=0', 'idle_in_transaction_session_timeout=0',
	'idle_session_timeout=0', 'session_replication_role=origin',
	'row_security=on', 'exit_on_error=off';
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type IN ('nvent_store notifier', 'nvent_store maintenance')");
ok(announced('settings'), 'settings of database and role do not reach the notifier');
ok(expired('good'), 'nor maintenance');
is($node->safe_psql('postgres', 'SELECT DISTINCT by FROM ran'),
	'good pg_catalog, pg_temp read committed', 'which is as it always is');
trap("RAISE 'trapped again';");
ok(wait_until(sub { $node->log_contains('evil: trapped again') }),
	'and whose errors do not end it');
ok(wait_until(sub { $node->safe_psql('postgres',
	'SELECT p.position = nvent.safe_position() FROM nvent.published_position p') eq 't' }),
	'positions are published');

$listener->quit;
$holder->quit;
$node->stop;

done_testing();
