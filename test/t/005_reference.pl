# README.md's function reference is what the functions' comments say, and what
# the comments show as examples are statements that PostgreSQL understands.
# README.md has lines that can be read, and its links lead somewhere.
#
# Seen to fail with a word of a comment changed in src/sql/kv.sql, with an
# argument left undescribed, with an argument of an example misspelt, with a
# long line, with a heading renamed, and with a function of a table on another
# system misspelt.

use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = dirname(__FILE__) . '/../..';
my $node = plain_server('main');

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'postgres';
my ($made, $stderr) = run_command([ "$root/test/readme.sh", 'readme' ]);
is($stderr, '', 'the reference can be made');
ok($made . "\n" eq slurp_file("$root/README.md"),
	'README.md has it: run test/readme.sh readme');

# Tables are as wide as they have to be.
my @long = grep { length > 120 && !/^\|/ } split /\n/, $made;
is(join("\n", @long), '', 'no line of README.md has over 120 characters');

# A heading's anchor, as code hosts make it.
my %anchors = map {
	my $anchor = lc;
	$anchor =~ s/[^\w -]//g;
	$anchor =~ tr/ /-/;
	$anchor => 1
} $made =~ /^#+ (.*)$/mg;
my %links = map { $_ => 1 } $made =~ /\]\(([^)]*)\)/g;
my @broken = grep { /^#(.*)/ ? !$anchors{$1} : !-e "$root/$_" } sort keys %links;
is(join("\n", @broken), '', 'links lead to headings and files that are there');

# What the tables on other systems say is here, is: in their second columns.
my ($others) = $made =~ /^(## Coming from other systems\n.*?)^## /ms;
my %ours = map { $_ => 1 } split /\n/, $node->safe_psql('postgres',
	"SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'nvent'::regnamespace");
my @mapped = map { /`(?:nvent\.)?([a-z]+_[a-z_]+)\b/g }
  map { (split /(?<!\\)\|/)[2] // '' } grep { /^\|/ } split /\n/, $others;
# Of families of functions: others are arguments and columns.
my @named = grep { /^(?:queue|schedule|stream|consumer|kv|lock|entry|snapshot|checkpoint)_/ } @mapped;
cmp_ok(scalar @named, '>', 100, 'tables on other systems name functions');
is(join(' ', grep { !$ours{$_} } @named), '', 'all of which are there');

# What the examples name.
$node->safe_psql('postgres',
	'SELECT nvent.store_create(); CREATE ROLE app; CREATE TABLE order_events (subject text)');

# An example shows its answer behind "-- "; one without is only planned.
my ($reference) = $made =~ /<!-- reference(.*)<!-- end of reference/s;
my ($planned, $run) = (0, 0);
while ($reference =~ /^```pgsql\n((?:SELECT|CALL) (?:(?!```).)*?;)\n(?:-- ([^\n]*)\n)?```$/msg)
{
	my ($statement, $answer) = ($1, $2);
	my $procedure = $statement =~ /^CALL/;

	if (defined $answer)
	{
		my ($ret, $out) = $node->psql('postgres', $statement);
		$out = 'true' if $out eq 't';
		is($out, $answer, $statement);
		$run++;
		next;
	}
	# CALL cannot be explained: have it parsed only.
	$statement = "DO \$do\$ BEGIN IF false THEN $statement END IF; END \$do\$"
	  if $procedure;
	$statement = "EXPLAIN $statement" if !$procedure;
	my ($ret, $out, $err) = $node->psql('postgres', $statement);
	is($err, '', $statement);
	$planned++;
}
cmp_ok($planned, '>', 70, 'there were examples to plan');
cmp_ok($run, '>', 10, 'there were examples to run');

$node->stop;
done_testing();
