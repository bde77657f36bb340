# The regression tests and specs of whatever depends on shared memory, on a
# server that has it: "make installcheck" may well run without.  Publishing and
# maintenance are off, as the tests see to these themselves.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('preloaded', <<'EOT');
nvent_store.publish_interval = 0
nvent_store.maintenance_interval = 0
fsync = off
EOT

# Words of a Makefile variable.
sub words
{
	my ($name) = @_;
	my $words = qx(make -s print-$name);

	die "make print-$name failed" if $? != 0;
	return split ' ', $words;
}

# The first know nothing of shared memory, and take long; "route" and
# "route_invalidate" show the mode of notification, which is another one here.
my @regress = grep { !/^(json_|subject|route$)/ } words('REGRESS');
my @isolation = grep { !/^route_invalidate$/ } words('ISOLATION');
my $isolation_regress = $ENV{PG_REGRESS};
$isolation_regress =~ s{regress/pg_regress$}{isolation/pg_isolation_regress}
	or die "PG_REGRESS is \"$ENV{PG_REGRESS}\"";
my $out = PostgreSQL::Test::Utils::tempdir();

# run(PROGRAM, INPUTDIR, TESTS...): and show what differs.
sub run
{
	my ($program, $input, $database, @tests) = @_;
	my $dir = "$out/$database";

	mkdir $dir or die "$dir: $!";
	ok( PostgreSQL::Test::Utils::run_log(
			[   $program, "--inputdir=$input", "--outputdir=$dir",
				'--host=' . $node->host, '--port=' . $node->port,
				'--dlpath=.', "--dbname=$database",
				'--load-extension=nvent_store', '--encoding=UTF8', @tests ]),
		"$database: @tests");
	diag(slurp_file("$dir/regression.diffs")) if -s "$dir/regression.diffs";
}

$ENV{PGUSER} = 'postgres';
$node->safe_psql('postgres', 'CREATE ROLE postgres SUPERUSER LOGIN')
	if $node->safe_psql('postgres', "SELECT count(*) FROM pg_roles WHERE rolname = 'postgres'") == 0;
run($ENV{PG_REGRESS}, '.', 'contrib_regression', @regress);
run($isolation_regress, 'test', 'isolation_regression', @isolation);

unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/,
	'nobody crashed');
$node->stop;

done_testing();
