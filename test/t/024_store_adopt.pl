# A deployment of adapter-store-postgres is taken over while it writes, and goes
# on beside our functions on the same tables: none of its statements fails, and
# integers are what they were.  Then README's way back gives the tables up, with
# all that both have written, under the same load.
#
# Seen to fail: when the way back does not move the sequences, for ids that are
# there; without widen => false, for the types; when the sequence of positions is
# moved in its page and not in the log, for where positions go on after a crash.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 4;
my $top = "$FindBin::RealBin/../..";
my $node = plain_server('main');

# As in the regression tests, but in a database that has nothing of ours yet.
$node->safe_psql('postgres', 'DROP EXTENSION nvent_store');
$node->safe_psql('postgres', slurp_file("$top/sql/include/deployment.sql") . q{
	SELECT deploy('nvent', 'public', 2);
	INSERT INTO nvent_flows (flow_name, registered_at) VALUES ('import', 1);
	INSERT INTO nvent_flow_runs (flow_name, run_id, started_at) SELECT 'import', i::text, i FROM generate_series(1, 20000) i;
	INSERT INTO nvent_flow_events (run_id, flow_name, ts, type) SELECT i::text, 'import', i, 'old' FROM generate_series(1, 20000) i});

# The adapter's statements, of clients that never end.
my $script = $node->basedir . '/adapter.sql';
append_to_file($script, q{
INSERT INTO nvent_flow_events (run_id, flow_name, ts, type, data) VALUES ('load', 'import', :client_id, 'load', '{"n": 1}') RETURNING id, ts;
SELECT stats_total, version FROM nvent_flows WHERE flow_name = 'import';
UPDATE nvent_flows SET stats_total = stats_total + 1, version = version + 1, updated_at = now() WHERE flow_name = 'import' RETURNING version;
INSERT INTO nvent_flow_runs (flow_name, run_id, status, started_at, version) VALUES ('import', 'load' || :client_id, 'running', 1, 0)
	ON CONFLICT (flow_name, run_id) DO UPDATE SET status = 'running', version = nvent_flow_runs.version + 1;
SELECT * FROM nvent_flow_runs WHERE flow_name = 'import' AND run_id = 'load' || :client_id;
INSERT INTO nvent_kv (key, value) VALUES ('n', '1') ON CONFLICT (key) DO UPDATE SET value = to_jsonb((nvent_kv.value #>> '{}')::bigint + 1);
});
my ($out, $err) = ('', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-M', 'extended', '-c', $clients, '-T', 600, '-f', $script, '-h', $node->host,
		'-p', $node->port, 'postgres' ], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(600));

# goes_on(TITLE): every client writes more than it had.
sub goes_on
{
	my ($title) = @_;
	my $count = q{SELECT count(DISTINCT ts) FROM nvent_flow_events WHERE type = 'load'};
	my $last = $node->safe_psql('postgres', 'SELECT coalesce(max(id), 0) FROM nvent_flow_events');

	ok(wait_until(sub { $node->safe_psql('postgres', "$count AND id > $last") eq $clients }), $title) or diag($err);
}

goes_on('the adapter writes');
$node->safe_psql('postgres', q{CREATE EXTENSION nvent_store; SELECT nvent.store_adopt('nvent', widen => false)});
goes_on('the adapter goes on in tables that were adopted');
is($node->safe_psql('postgres', q{
	SELECT nvent.stream_append('nvent:flow:run:ours', '{"type": "ours", "flowName": "import"}') ->> 'type';
	SELECT nvent.entry_increment('nvent:flows', 'import', 'stats.success', 3);
	SELECT nvent.kv_set('ours', '"kept"');
	SELECT pg_typeof(stats_total), stats_success FROM nvent_flows}), "ours\n3\nt\ninteger|3", 'beside our functions');
goes_on('the adapter goes on beside them');

slurp_file("$top/README.md") =~ /^```pgsql\n([^`]*-- The way back\..*?)^```$/ms or die 'no way back in README';
$node->safe_psql('postgres', $1);
goes_on('the adapter goes on where ours is gone');
is($node->safe_psql('postgres', q{
	SELECT to_regnamespace('nvent') IS NULL, count(*) FROM nvent_flow_events WHERE type IN ('old', 'ours');
	SELECT stats_success FROM nvent_flows;
	SELECT value FROM nvent_kv WHERE key = 'ours'}), qq{t|20001\n3\n"kept"}, 'and has what ours wrote');

$load->signal('TERM');
$load->finish;
unlike($err, qr/ERROR|abort/, 'no statement of the adapter failed');
is($node->safe_psql('postgres', qq{
	SELECT stats_total - events BETWEEN -$clients AND 0, n - events BETWEEN -$clients AND 0
	FROM (SELECT stats_total, (SELECT count(*) FROM nvent_flow_events WHERE type = 'load') AS events,
			(SELECT (value #>> '{}')::bigint FROM nvent_kv WHERE key = 'n') AS n
		FROM nvent_flows) x}), 't|t', 'nothing of it was lost');
is($node->safe_psql('postgres', q{CREATE EXTENSION nvent_store; SELECT nvent.store_ensure();
	SELECT count(*) FROM nvent.stream_read('nvent:flow:run:ours')}), "adopted\n1", 'and it can be adopted again');

# Where positions go on is there after a crash, of which no page was written.
$node->append_conf('postgresql.conf', "shared_buffers = '64MB'");
$node->restart;
$node->safe_psql('postgres', q{CREATE DATABASE crashed});
$node->safe_psql('crashed', slurp_file("$top/sql/include/deployment.sql") . q{
	CREATE EXTENSION nvent_store;
	SELECT deploy('nvent', 'public', 2);
	INSERT INTO nvent_flow_events (id, run_id, flow_name, ts, type) VALUES (5000000, 'r', 'import', 1, 'old');
	CHECKPOINT;
	SELECT nvent.store_adopt('nvent')});
$node->stop('immediate');
$node->start;
is($node->safe_psql('crashed', q{SELECT (nvent.stream_append('nvent:order:1', '{"type": "t"}') ->> 'id')::bigint > 5000000}),
	't', 'positions are above adopted ids after a crash');

$node->stop;
done_testing();
