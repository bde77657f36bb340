# The order of all streams when appenders die, are prepared or write elsewhere,
# and under load: a reader in a tight loop beside eight writers.  With shared
# memory, and again without.
#
# Seen to fail with the highest position drawn in place of the safe one: with
# appenders that die or are prepared, when the cursor is saved; under load, with
# events that are never seen.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('order', "fsync = off\n");
my $mode;

sub sql
{
	return $node->safe_psql('postgres', shift);
}

# add(SUBJECT, TYPE): append an event.
sub add
{
	my ($subject, $type) = @_;

	return sql("SELECT nvent.stream_append('nvent:$subject', '{\"type\": \"$type\"}')->>'type'");
}

# follow(): types of what is new since the cursor, which is saved.
sub follow
{
	return sql(q{
		WITH page AS MATERIALIZED (SELECT p.* FROM at, nvent.stream_poll('nvent:>', position) p),
			saved AS (UPDATE at SET position = next_cursor FROM page)
		SELECT string_agg(e->>'type', ' ' ORDER BY n) FROM page, unnest(events) WITH ORDINALITY u (e, n)});
}

# open_append(SQL...): a session that is in a transaction and has run that.
sub open_append
{
	my ($database, @statements) = @_;
	my $psql = $node->background_psql($database, on_error_stop => 0);

	$psql->query_safe($_) foreach 'BEGIN', @statements;
	return $psql;
}

my $slow = q{SELECT nvent.stream_append('nvent:slow:1', '{"type": "slow"}')};

# --- An appender that is terminated, or goes down with the server ---

sub check_dying
{
	my $psql = open_append('postgres', $slow);
	my $pid = $psql->query('SELECT pg_backend_pid()');

	add('fast:1', 'a');
	is(follow(), '', "$mode: dying: an open append holds back what follows");
	sql("SELECT pg_terminate_backend($pid)");
	ok(wait_until(sub { follow() eq 'a' }), "$mode: dying: terminated, no stall");
	eval { $psql->quit };

	$psql = open_append('postgres', $slow);
	add('fast:2', 'b');
	is(follow(), '', "$mode: dying: another one");
	crash($node);
	eval { $psql->quit };
	add('fast:1', 'c');
	is(follow(), 'b c', "$mode: dying: after a crash, no stall, no loss, the order");
	is(sql("SELECT count(*) FROM nvent.stream_read('nvent:slow:1', types => '{slow}')"), 0, "$mode: dying: what was open is gone");
}

# --- Transactions of another database ---

sub check_elsewhere
{
	my $psql = open_append('other', 'INSERT INTO t VALUES (1)', $slow);

	add('fast:1', 'd');
	is(follow(), 'd', "$mode: elsewhere: an append and a write elsewhere delay nobody here");
	is(sql('SELECT count(*) FROM nvent.appenders'), 0, "$mode: elsewhere: nor are they shown");
	$psql->query_safe('ROLLBACK');
	$psql->quit;
}

# --- Prepared transactions, across a crash ---

sub check_prepared
{
	foreach my $end ('COMMIT', 'ROLLBACK')
	{
		sql("BEGIN; SELECT nvent.stream_append('nvent:slow:1', '{\"type\": \"prepared\"}'); PREPARE TRANSACTION 'p'");
		add('fast:1', 'e');
		is(follow(), '', "$mode: prepared: a prepared append holds back what follows");
		crash($node);
		add('fast:2', 'f');
		is(follow(), '', "$mode: prepared: after a crash too");
		is(sql('SELECT prepared, pid IS NULL FROM nvent.appenders'), 'p|t', "$mode: prepared: and it is shown");
		sql("$end PREPARED 'p'");
		is(follow(), $end eq 'COMMIT' ? 'prepared e f' : 'e f', "$mode: prepared: $end PREPARED, everything once");
		is(follow(), '', "$mode: prepared: and no more");
	}
}

# --- A reader in a tight loop beside eight writers ---

# tail(TITLE, SECONDS, SCRIPT): what it saw is what was written.
sub tail
{
	my ($title, $seconds, $script) = @_;
	my $errors = '';
	my $reader;

	sql('TRUNCATE seen, done; DELETE FROM nvent_stream_tail; UPDATE at SET position = nvent.safe_position()');
	my $from = sql('SELECT position FROM at');
	$reader = IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
			'-c', 'CALL read_tail()' ], '2>', \$errors);
	load($node, "$mode: $title, writers", [ '-c', 8, '-T', $seconds ], $script);
	sql('INSERT INTO done VALUES (true)');
	ok($reader->finish, "$mode: $title, the reader came to an end") or diag($errors);
	cmp_ok(sql('SELECT count(*) FROM nvent_stream_tail'), '>', 100, "$mode: $title, there was load");
	is(sql(q{
		SELECT (SELECT count(*) FROM nvent_stream_tail t WHERE NOT EXISTS (SELECT FROM seen s WHERE s.id = t.id)),
			(SELECT count(*) FROM seen s WHERE NOT EXISTS (SELECT FROM nvent_stream_tail t WHERE t.id = s.id)),
			(SELECT count(*) - count(DISTINCT id) FROM seen)}), '0|0|0', "$mode: $title, none missed, none made up, none twice");
	is(sql('SELECT count(*) FROM (SELECT id < lag(id) OVER (ORDER BY n) AS back FROM seen) x WHERE back'), 0,
		"$mode: $title, in the order of a later scan");
	cmp_ok(sql('SELECT count(DISTINCT page) FROM seen'), '>', 20, "$mode: $title, while it was written");
	is(sql(q{SELECT count(*) FROM (SELECT version, row_number() OVER (PARTITION BY subject ORDER BY id) n FROM nvent_stream_tail) x WHERE version <> n}),
		0, "$mode: $title, versions in the order of positions");
}

my $single = <<'EOT';
\set stream random(1, 20)
\set before random(0, 2000)
\set after random(0, 10000)
BEGIN;
\sleep :before us
SELECT nvent.stream_append('nvent:tail:' || :stream, '{"type": "t"}');
\sleep :after us
COMMIT;
EOT
my $batch = <<'EOT';
\set stream random(1, 20)
\set size random(1, 9)
\set after random(0, 10000)
\set fate random(1, 10)
BEGIN;
SELECT nvent.stream_append_batch('nvent:tail:' || :stream, array_fill('{"type": "t"}'::jsonb, ARRAY[:size]));
\sleep :after us
\if :fate = 10
ROLLBACK;
\else
COMMIT;
\endif
EOT

sub run_checks
{
	my ($seconds) = @_;

	check_dying();
	check_elsewhere();
	check_prepared();
	tail('single events', $seconds, $single);
	tail('batches and rollbacks', $seconds, $batch);
}

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION nvent_store; CREATE TABLE t (n int); SELECT nvent.store_create()');
sql(<<'EOT');
SELECT nvent.store_create();
CREATE TABLE at AS SELECT 0::bigint AS position;
CREATE UNLOGGED TABLE done (yes boolean);
CREATE TABLE seen (n bigserial, page bigint, id bigint);
SELECT nvent.stream_create_table('tail');

-- Reads until nothing is new after "done".
CREATE PROCEDURE read_tail() LANGUAGE plpgsql AS $$
DECLARE
    cursor bigint := (SELECT position FROM at);
    last boolean := false;
    p record;
BEGIN
    LOOP
        last := EXISTS (SELECT FROM done);
        SELECT * INTO p FROM nvent.stream_poll('nvent:tail:>', cursor, 100);
        INSERT INTO seen (page, id) SELECT p.next_cursor, (e ->> 'id')::bigint FROM unnest(p.events) WITH ORDINALITY AS u (e, i) ORDER BY i;
        cursor := p.next_cursor;
        COMMIT;
        EXIT WHEN last AND p.events = '{}';
    END LOOP;
END $$;
EOT

$mode = 'shared memory';
run_checks(10);
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
$mode = 'locks';
sql('UPDATE at SET position = nvent.safe_position()');
run_checks(4);

unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nobody crashed');
$node->stop;
done_testing();
