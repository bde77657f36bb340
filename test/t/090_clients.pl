# The clients of test/examples/, each with its own tests, against a server that
# is theirs.  Skipped without Node, or without its package pg, which
# test/examples/setup.sh gets.
#
# Seen to fail: see the tests of each, in test/examples/NAME/test/; with a test that
# waits for ever, and with one that loops, both of which are named.

use strict;
use warnings;
use File::Basename;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

# Seconds; the longest takes half a minute.
my $bound = 300;
my @clients = map { m{([^/]+)/package\.json$} } sort glob "$FindBin::RealBin/../examples/*/package.json";

# node:test is there since 18.
plan skip_all => 'no Node of 18 or later'
  if (qx(node --version 2>/dev/null) =~ /^v(\d+)/ ? $1 : 0) < 18;
plan skip_all => 'Node has no package pg; run test/examples/setup.sh'
  if system(q{node -e 'require("pg")' >/dev/null 2>&1}) != 0;

my $node = plain_server('main');

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
# A client may restart it.
$ENV{PGDATA} = $node->data_dir;
$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');

# Each test says that it begins: what Node reports of one comes when it has ended.
my $begins = $node->basedir . '/begins.js';
append_to_file($begins, q{require('node:test').beforeEach(({ name }) => require('node:fs').writeSync(1, `# begins: ${name}\n`))});

# run_tests(CLIENT, FILE): run the tests of a file, and end them, with all that
# they started, when they take far longer than on a slow machine.
sub run_tests
{
	my ($client, $file) = @_;
	my $node = "timeout -s KILL $bound node --require=$begins --test-reporter=tap";
	my $output = qx(cd "$FindBin::RealBin/../examples/$client" && $node test/$file 2>&1);
	my $title = "$client: $file";

	$title .= ', which hangs in "' . ($output =~ /.*^# begins: (.*?)$/ms ? $1 : '') . '"' if $? >> 8 == 137 || $? & 127;
	is($?, 0, $title) or diag($output);
	note("$client: $1") while $output =~ /# SKIP (.*)/g;
	cmp_ok(scalar(() = $output =~ /^ *ok \d+/mg), '>', 0, "$client: there are tests in $file");
}

foreach my $client (@clients)
{
	run_tests($client, $_) foreach map { basename($_) } sort glob "$FindBin::RealBin/../examples/$client/test/*.test.js";
}

$node->stop;
done_testing();
