# Twenty sessions at once lose no increment: of a column, of a number in a
# document and of a field without a column, alone and several in one call,
# with and without transactions that are rolled back.
#
# Seen to fail with a value that was read before: with "(SELECT s.col FROM
# table AS s WHERE ...)" in place of "t.col" in the UPDATE the counters lost
# hundreds of their 4,000 increments.
# With what came of an update not looked at (route/overwrite.c) they lost some of
# those that take no UPDATE.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions = 20;
my $calls = 200;

# A slow commit holds the row longer, so that the others have to wait.
my $node = plain_server('main', <<'EOT');
fsync = on
commit_delay = 100
commit_siblings = 1
EOT
$node->safe_psql('postgres', <<'SQL');
SELECT nvent.store_create();
SELECT nvent.entry_add('nvent:flows', id, 0), nvent.entry_add('nvent:free', id, 0),
	nvent.entry_add('nvent:flow:runs:f', id, 0)
FROM unnest('{commit,rollback}'::text[]) id;
CREATE TABLE done (n bigint, by numeric);
SQL

# counters ID: all counters of the entries with that id.
sub counters
{
	my ($id) = @_;

	return $node->safe_psql('postgres', <<"SQL");
SELECT nvent.entry_get('nvent:flows', '$id') #>> '{metadata,stats,total}',
	nvent.entry_get('nvent:flows', '$id') #>> '{metadata,stats,running}',
	nvent.entry_get('nvent:flows', '$id') #>> '{metadata,stats,mine}',
	nvent.entry_get('nvent:flow:runs:f', '$id') #>> '{metadata,emittedEvents,s1,count}',
	nvent.entry_get('nvent:free', '$id') #>> '{metadata,a,b}'
SQL
}

# Every call is a transaction of its own.
$node->pgbench(
	"--no-vacuum --client=$sessions --jobs=2 --transactions=$calls --protocol=prepared",
	0,
	[qr{processed: @{[$sessions * $calls]}/}],
	[qr{^$}],
	"$sessions sessions of $calls calls each",
	{
		'increment_commit' => q{
			SELECT nvent.entry_increment('nvent' || chr(58) || 'flows', 'commit', 'stats.total');
			SELECT nvent.entry_increment_many('nvent' || chr(58) || 'flows', 'commit', '{"stats.running": -1, "stats.mine": 2}');
			SELECT nvent.entry_increment('nvent' || chr(58) || 'flow' || chr(58) || 'runs' || chr(58) || 'f', 'commit', 'emittedEvents.s1.count');
			SELECT nvent.entry_increment('nvent' || chr(58) || 'free', 'commit', 'a.b', 0.5);
		}
	});
my $n = $sessions * $calls;
is(counters('commit'),
	join('|', $n, -$n, 2 * $n, $n, sprintf('%.1f', $n / 2)),
	'no increment is lost');
is( $node->safe_psql('postgres', <<'SQL'),
SELECT nvent.entry_get('nvent:flows', 'commit') #>> '{metadata,version}',
	nvent.entry_get('nvent:flow:runs:f', 'commit') #>> '{metadata,version}'
SQL
	join('|', 2 * $n, $n),
	'each call is one version');

# Half of the transactions are rolled back, some to a savepoint only; table
# done has what the others say they did.
$node->pgbench(
	"--no-vacuum --client=$sessions --jobs=2 --transactions=$calls --protocol=prepared",
	0,
	[qr{processed: $n/}],
	[qr{^$}],
	'the same with random rollbacks',
	{
		'increment_rollback' => q{
			\set how random(1, 4)
			\set by random(1, 9)
			BEGIN;
			SELECT nvent.entry_increment('nvent' || chr(58) || 'flows', 'rollback', 'stats.total', :by);
			SELECT nvent.entry_increment_many('nvent' || chr(58) || 'flows', 'rollback', '{"stats.running": -1, "stats.mine": 2}');
			SELECT nvent.entry_increment('nvent' || chr(58) || 'flow' || chr(58) || 'runs' || chr(58) || 'f', 'rollback', 'emittedEvents.s1.count', :by);
			INSERT INTO done VALUES (1, :by);
			SAVEPOINT s;
			SELECT nvent.entry_increment('nvent' || chr(58) || 'free', 'rollback', 'a.b', :by);
			INSERT INTO done VALUES (0, :by);
			\if :how = 1
			ROLLBACK TO s;
			\endif
			\if :how >= 3
			ROLLBACK;
			\else
			COMMIT;
			\endif
		}
	});
is( counters('rollback'),
	$node->safe_psql('postgres', <<'SQL'),
SELECT sum(by) FILTER (WHERE n = 1), -sum(n), 2 * sum(n), sum(by) FILTER (WHERE n = 1),
	sum(by) FILTER (WHERE n = 0)
FROM done
SQL
	'what was committed counts, and nothing else');
ok( $node->safe_psql('postgres', 'SELECT sum(n) FROM done') > $n / 4,
	'some transactions were committed');

$node->stop;
done_testing();
