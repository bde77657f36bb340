# README.md's function reference is what the functions' comments say.
#
# Seen to fail with a word of a comment changed in src/sql/kv.sql.

use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = dirname(__FILE__) . '/../..';
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION nvent_store');

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'postgres';
my ($made, $stderr) = run_command([ "$root/test/readme.sh", 'readme' ]);
is($stderr, '', 'the reference can be made');
ok($made . "\n" eq slurp_file("$root/README.md"),
	'README.md has it: run test/readme.sh readme');

$node->stop;
done_testing();
