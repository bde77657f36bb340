# A rate of a hundred jobs a second, for ten seconds and eight workers who wait for
# jobs: all that may begin do so, and no more in any second; what was not used while
# there was nothing to do is not had later.
#
# Seen to fail with places of a rate that are free after half of its time: 2,000 in ten
# seconds, and 200 in one.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('queue_rate');

# begun(CONDITION): how many began in the ten seconds from the first of them on, and
# the most in any second.
sub begun
{
	my ($condition) = @_;

	return split /\|/, $node->safe_psql('postgres', <<"EOS");
SELECT count(*) FILTER (WHERE started_at < first + interval '10 s'), max(n)
FROM (SELECT started_at, min(started_at) OVER () AS first,
		count(*) OVER (ORDER BY started_at RANGE BETWEEN CURRENT ROW AND interval '999999 us' FOLLOWING) AS n
	FROM nvent_job_runs WHERE $condition) r
EOS
}

$node->safe_psql('postgres', q{
	SELECT nvent.store_create();
	SELECT nvent.queue_create('r', rate_limit => 100, rate_interval => '1 s', lease => '1 hour');
	SELECT count(*) FROM nvent.queue_send_batch('r', array_fill('{}'::jsonb, ARRAY[2000]));
});
load($node, 'eight workers', [ '-c', 8, '-j', 2, '-T', 11 ],
	q{CALL nvent.queue_work_await('r', max_count => 1 + :client_id % 4, timeout => '1 s');});
my ($count, $most) = begun('true');
cmp_ok($count, '>=', 990, 'all that may begin in ten seconds do');
cmp_ok($count, '<=', 1010, 'and no more');
cmp_ok($most, '<=', 100, 'nor in any second');

# Three seconds in which there is nothing to do, and then more than may begin.
$node->safe_psql('postgres', q{SELECT nvent.queue_purge('r'); SELECT pg_sleep(3); CREATE TABLE idle AS SELECT clock_timestamp() AS at;
	SELECT count(*) FROM nvent.queue_send_batch('r', array_fill('{}'::jsonb, ARRAY[1000]))});
load($node, 'later', [ '-c', 8, '-j', 2, '-T', 3 ],
	q{CALL nvent.queue_work_await('r', max_count => 50, timeout => '1 s');});
($count, $most) = begun('started_at > (SELECT at FROM idle)');
cmp_ok($count, '>=', 200, 'there is load');
cmp_ok($most, '<=', 100, 'what was not used is not had later');
$node->stop;

done_testing();
