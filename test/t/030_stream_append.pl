# Checks of an event store that need many sessions at once; numbers are those
# of the table in the documentation.
#
# Seen to fail, with the mechanism taken out:
# - 16 and 24: without nvs_lock() in nvs_stream_lock();
# - 34: without the sort in nvs_stream_lock();
# - 36: with two calls of stream_append() instead of one of stream_append_many().

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "deadlock_timeout = 10ms\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION nvent_store');
$node->safe_psql('postgres', 'SELECT nvent.store_create()');
$node->safe_psql('postgres', "SELECT nvent.stream_create_table('t')");

# run_all(TITLE, CLIENTS, TRANSACTIONS, SCRIPT...): none of the clients may meet
# an error, at which pgbench gives up.
sub run_all
{
	my ($title, $clients, $transactions, @scripts) = @_;
	my @files;

	for my $i (0 .. $#scripts)
	{
		my $file = $node->basedir . "/script$i.sql";

		append_to_file($file, '');
		open my $out, '>', $file or die $!;
		print $out $scripts[$i];
		close $out;
		push @files, '-f', $file;
	}
	$node->command_ok(
		[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $transactions,
			@files, 'postgres' ], $title);
}

# --- 16: one subject, whatever its version ---

run_all('16: 8 sessions append without an error', 8, 200,
	"SELECT nvent.stream_append('nvent:t:one', '{\"type\": \"e\"}');\n");
is($node->safe_psql('postgres',
		"SELECT count(*), min(version), max(version), count(DISTINCT version)
		FROM nvent_stream_t WHERE subject = 'nvent:t:one'"),
	'1600|1|1600|1600', '16: versions are 1 to 1600, each once');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM (SELECT version, row_number() OVER (ORDER BY id) AS n
		FROM nvent_stream_t WHERE subject = 'nvent:t:one') x WHERE version <> n"),
	'0', '59: versions are in the order of positions');

# --- 24: the same events from everybody ---

run_all('24: 8 sessions send the same events without an error', 8, 200,
	"\\set n random(1, 100)\n"
	. "SELECT nvent.stream_append('nvent:t:same:' || :n % 10, jsonb_build_object('type', 'e', 'eventId', 'id-' || :n));\n");
is($node->safe_psql('postgres',
		"SELECT count(*) = count(DISTINCT event_id), max(version) <= 10
		FROM nvent_stream_t WHERE subject LIKE 'nvent:t:same:%'"),
	't|t', '24: each is there once');

# --- 34: several subjects, in any order ---

my $part = '{"subject": "nvent:t:%s", "events": [{"type": "e"}]}';
my ($a, $b, $c) = map { sprintf($part, $_) } 'a', 'b', 'c';

run_all('34: calls that name subjects in any order do not deadlock', 4, 500,
	"SELECT nvent.stream_append_many('[$a, $b, $c]');\n",
	"SELECT nvent.stream_append_many('[$c, $b, $a]');\n",
	"SELECT nvent.stream_append_many('[$b, $c, $a]');\n");
is($node->safe_psql('postgres',
		"SELECT nvent.stream_version('nvent:t:a'), nvent.stream_version('nvent:t:b'), nvent.stream_version('nvent:t:c')"),
	'2000|2000|2000', '34: each of them wrote');
unlike(slurp_file($node->logfile), qr/deadlock detected/, '34: no deadlock');

# --- 36: a debit is never seen without its credit ---

my $read = <<'EOT';
SELECT 1 / (nvent.stream_version('nvent:t:debit') = nvent.stream_version('nvent:t:credit'))::int;
EOT
my ($debit, $credit) = map { sprintf($part, $_) } 'debit', 'credit';

run_all('36: readers see both or none', 4, 500,
	"SELECT nvent.stream_append_many('[$debit, $credit]');\n", $read);
cmp_ok($node->safe_psql('postgres', "SELECT nvent.stream_version('nvent:t:debit')"),
	'>', 100, '36: while it was written');

$node->stop;
done_testing();
