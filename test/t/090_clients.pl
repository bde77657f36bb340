# The clients of test/examples/, each with its own tests, against a server that
# is theirs.  Skipped without Node, or without its package pg, which
# test/examples/setup.sh gets.
#
# Seen to fail: see the tests of each, in test/examples/NAME/test/.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

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
foreach my $client (@clients)
{
	my $output = qx(cd "$FindBin::RealBin/../examples/$client" && node --test --test-reporter=tap 2>&1);

	is($?, 0, $client) or diag($output);
	note("$client: $1") while $output =~ /# SKIP (.*)/g;
	cmp_ok(scalar(() = $output =~ /^ *ok \d+/mg), '>', 0, "$client: there are tests");
}

$node->stop;
done_testing();
