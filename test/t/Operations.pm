# What tests share that have many sessions do things to queues by chance, and
# kill the server meanwhile: the sessions, the crashes, and what all of it came
# to.
#
# The database has a procedure operate(n, seed), which makes so many of the
# operations, counts them by the sequence operations and commits now and then;
# and a procedure drain(), after which nothing is left to do.

package Operations;

use strict;
use warnings;
use Exporter 'import';
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(operate_sql drain_sql operate operate_through_crashes check_operations);

my $sessions = 8;

# operate_sql(VARIABLES, OPERATION): what makes the procedure operate().  The
# operation is chosen by dice, from 0 to 1, and is the i-th of its session; one of
# twenty is rolled back.
sub operate_sql
{
	my ($variables, $operation) = @_;

	return <<"EOT";
CREATE SEQUENCE operations;
CREATE PROCEDURE operate(n int, seed float) LANGUAGE plpgsql AS \$\$
DECLARE
    dice float;
    $variables
BEGIN
    PERFORM setseed(seed);
    FOR i IN 1 .. n LOOP
        PERFORM nextval('operations');
        dice := random();
        $operation
        IF random() < 0.05 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
    END LOOP;
END \$\$;
EOT
}

# drain_sql(STATEMENTS, LEFT): what makes the procedure drain(), which does what
# there is to do until nothing can come any more: the query LEFT has no row.
sub drain_sql
{
	my ($statements, $left) = @_;

	return <<"EOT";
CREATE PROCEDURE drain() LANGUAGE plpgsql AS \$\$
DECLARE
    until timestamptz := clock_timestamp() + '60 s';
    q text;
BEGIN
    LOOP
        $statements
        COMMIT;
        EXIT WHEN clock_timestamp() > until OR NOT EXISTS ($left);
        PERFORM pg_sleep(0.005);
    END LOOP;
END \$\$;
EOT
}

# The sessions, each of which is to make N operations, that are started.
sub start_sessions
{
	my ($node, $n, $errors) = @_;

	return map {
		my $i = $_;
		IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
				'-c', sprintf('CALL operate(%d, %f)', $n, rand) ], '2>', \$errors->[$i])
	} 0 .. $sessions - 1;
}

# How many operations were made, or begun.
sub count_operations
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT last_value FROM operations');
}

# operate(NODE, TITLE, N): eight sessions make N operations each, and meet no
# error.
sub operate
{
	my ($node, $title, $n) = @_;
	my @errors;
	my @running = start_sessions($node, $n, \@errors);

	is(join(' ', map { $_->finish ? 'ok' : 'failed' } @running), join(' ', ('ok') x $sessions), "$title: no operation fails")
	  or diag(join '', map { $_ // '' } @errors);
}

# operate_through_crashes(NODE, TITLE, N): they go on until the server has died N
# times: of a session that is killed, and by being stopped at once, in turns.
sub operate_through_crashes
{
	my ($node, $title, $n) = @_;

	for my $round (1 .. $n)
	{
		my @running = start_sessions($node, 1000000, []);
		my $before = count_operations($node);

		ok(wait_until(sub { count_operations($node) > $before + 200 + rand(300) }), "$title: there is load");
		if ($round % 2)
		{
			kill 'KILL', $node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL operate%' ORDER BY random() LIMIT 1));
		}
		else
		{
			$node->stop('immediate');
		}
		$_->finish foreach @running;
		$node->start if $round % 2 == 0;
		ok(wait_until(sub { is_up($node) }), "$title: it is up again");
	}
}

# check_operations(NODE, TITLE, OUTCOMES, CHECK...): what all of it came to.  Each
# check is a title and a query for what is wrong; OUTCOMES is one for what there is
# of jobs or runs, a row for each, which is counted for who reads the log.
sub check_operations
{
	my ($node, $title, $outcomes, @checks) = @_;

	$node->safe_psql('postgres', 'CALL drain()');
	while (my ($what, $query) = splice @checks, 0, 2)
	{
		is($node->safe_psql('postgres', $query), '', "$title: $what");
	}
	note "$title: " . count_operations($node) . ' operations, ' . $node->safe_psql('postgres', qq(
		SELECT string_agg(outcome || ' ' || count, ', ' ORDER BY outcome)
		FROM (SELECT outcome, count(*) FROM ($outcomes) AS o (outcome) GROUP BY 1) x));
}

1;
