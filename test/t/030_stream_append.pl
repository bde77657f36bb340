# Appends that many sessions make at once: to one stream, of the same events, to
# several streams in any order; and a reader that never sees half of a call.
#
# Seen to fail, with the mechanism taken out:
# - one stream and the same events: without the lock on the subject;
# - any order: with the locks taken in the order of the call;
# - half of a call: with two calls of stream_append() instead of one of
#   stream_append_many().

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = plain_server('main', "deadlock_timeout = 10ms\n");
$node->safe_psql('postgres', 'SELECT nvent.store_create()');
$node->safe_psql('postgres', "SELECT nvent.stream_create_table('t')");

# --- One subject, whatever its version ---

load($node, '8 sessions append without an error', [ '-c', 8, '-t', 200 ],
	"SELECT nvent.stream_append('nvent:t:one', '{\"type\": \"e\"}');\n");
is($node->safe_psql('postgres',
		"SELECT count(*), min(version), max(version), count(DISTINCT version)
		FROM nvent_stream_t WHERE subject = 'nvent:t:one'"),
	'1600|1|1600|1600', 'versions are 1 to 1600, each once');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM (SELECT version, row_number() OVER (ORDER BY id) AS n
		FROM nvent_stream_t WHERE subject = 'nvent:t:one') x WHERE version <> n"),
	'0', 'versions are in the order of positions');

# --- The same events from everybody ---

load($node, '8 sessions send the same events without an error', [ '-c', 8, '-t', 200 ],
	"\\set n random(1, 100)\n"
	. "SELECT nvent.stream_append('nvent:t:same:' || :n % 10, jsonb_build_object('type', 'e', 'eventId', 'id-' || :n));\n");
is($node->safe_psql('postgres',
		"SELECT count(*) = count(DISTINCT event_id), max(version) <= 10
		FROM nvent_stream_t WHERE subject LIKE 'nvent:t:same:%'"),
	't|t', 'each is there once');

# --- Several subjects, in any order ---

my $part = '{"subject": "nvent:t:%s", "events": [{"type": "e"}]}';
my ($a, $b, $c) = map { sprintf($part, $_) } 'a', 'b', 'c';

load($node, 'calls that name subjects in any order do not deadlock', [ '-c', 4, '-t', 500 ],
	"SELECT nvent.stream_append_many('[$a, $b, $c]');\n",
	"SELECT nvent.stream_append_many('[$c, $b, $a]');\n",
	"SELECT nvent.stream_append_many('[$b, $c, $a]');\n");
is($node->safe_psql('postgres',
		"SELECT nvent.stream_version('nvent:t:a'), nvent.stream_version('nvent:t:b'), nvent.stream_version('nvent:t:c')"),
	'2000|2000|2000', 'each of them wrote');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');

# --- A debit is never seen without its credit ---

my $read = <<'EOT';
SELECT 1 / (nvent.stream_version('nvent:t:debit') = nvent.stream_version('nvent:t:credit'))::int;
EOT
my ($debit, $credit) = map { sprintf($part, $_) } 'debit', 'credit';

load($node, 'readers see both or none', [ '-c', 4, '-t', 500 ],
	"SELECT nvent.stream_append_many('[$debit, $credit]');\n", $read);
cmp_ok($node->safe_psql('postgres', "SELECT nvent.stream_version('nvent:t:debit')"),
	'>', 100, 'while it was written');

$node->stop;
done_testing();
