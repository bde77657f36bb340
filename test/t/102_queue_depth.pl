# What a call costs does not grow with its queue: pages that a fetch looks at before a
# thousand jobs and before a million, behind many that are deferred, active or
# completed, and beside an old snapshot; and those of queue_stats, which is exact.
#
# How fast they are is for "make bench ONLY=queue".  NVS_JOBS is how many jobs there
# are (1000000).
#
# Seen to fail with walks that begin at the first job of all, and with a queue_stats
# that counts each time.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $jobs = $ENV{NVS_JOBS} // 1000000;
my $behind = $jobs / 5;
my $node = new_server('queue_depth', "shared_buffers = 256MB\nmax_wal_size = 4GB\nsynchronous_commit = off\nautovacuum = off\n");

$node->safe_psql('postgres', <<'EOT');
SELECT nvent.store_create();
SELECT nvent.queue_create(q, lease => '1 day', keep_ended => '1 year', keep_queued => '10 years') FROM unnest('{few,many,deferred,active,done,old}'::text[]) q;

-- The pages that a statement looks at.
CREATE FUNCTION pages(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || statement INTO plan;
    RETURN (plan #>> '{0,Plan,Shared Hit Blocks}')::int + (plan #>> '{0,Plan,Shared Read Blocks}')::int;
END $$;

-- Those of one of several fetches of a job, each in a transaction of its own.
CREATE TABLE looks (queue text, n int);
CREATE PROCEDURE look(queue text) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 15 LOOP
        INSERT INTO looks VALUES (queue, pages(format('SELECT * FROM nvent.queue_fetch(%L)', queue)));
        COMMIT;
    END LOOP;
END $$;

-- So many jobs, by the hundred thousand; some that are taken; and completed.
CREATE PROCEDURE send(queue text, n int, job jsonb DEFAULT '{}') LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. (n - 1) / 100000 LOOP
        PERFORM count(*) FROM nvent.queue_send_batch(queue, array_fill(job, ARRAY[least(n - i * 100000, 100000)]));
        COMMIT;
    END LOOP;
END $$;
CREATE PROCEDURE take(queue text, n int, completes boolean) LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
    attempts int[];
BEGIN
    FOR i IN 1 .. n / 1000 LOOP
        SELECT array_agg(f.id), array_agg(f.attempt) INTO ids, attempts FROM nvent.queue_fetch(queue, 1000) f;
        PERFORM count(*) FROM nvent.queue_complete_many(queue, ids, attempts) WHERE completes;
        COMMIT;
    END LOOP;
END $$;
EOT

# fetch_pages(QUEUE): how many pages a fetch of one of its jobs looks at.
sub fetch_pages
{
	my ($queue) = @_;

	return $node->safe_psql('postgres', qq{
		TRUNCATE looks;
		SELECT count(*) FROM nvent.queue_fetch('$queue', 5);
		CALL look('$queue');
		SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY n) FROM looks}) =~ s/.*\n//r;
}

# stats_pages(QUEUE): how many pages queue_stats looks at, once it has been asked.
sub stats_pages
{
	my ($queue) = @_;

	return $node->safe_psql('postgres', qq{
		SELECT count(*) FROM nvent.queue_stats('$queue');
		SELECT pages('SELECT * FROM nvent.queue_stats(''$queue'')')}) =~ s/.*\n//r;
}

# is_flat(QUEUE, TITLE): neither looks at more than half as many pages again as in a
# queue of a thousand.
my ($few, $few_stats);
sub is_flat
{
	my ($queue, $title) = @_;
	my ($pages, $stats) = (fetch_pages($queue), stats_pages($queue));

	note "$title: $pages pages, $stats of queue_stats";
	cmp_ok($pages, '<=', $few * 1.5, $title);
	cmp_ok($stats, '<=', $few_stats * 1.5, "queue_stats $title");
}

# Each has a history that fills the sample of which queue_stats knows times.
$node->safe_psql('postgres', "CALL send('$_', 2000); CALL take('$_', 2000, true)") foreach qw(few many deferred active done old);
$node->safe_psql('postgres', q{CALL send('few', 1000)});
($few, $few_stats) = (fetch_pages('few'), stats_pages('few'));
note "few jobs: $few pages, $few_stats of queue_stats";

$node->safe_psql('postgres', "CALL send('many', $jobs / 10)");
is_flat('many', 'before a hundred thousand');
$node->safe_psql('postgres', "CALL send('many', $jobs * 9 / 10)");
is_flat('many', 'before a million');
$node->safe_psql('postgres', qq{CALL send('deferred', $behind, '{"startAfter": 86400}'); CALL send('deferred', 100)});
is_flat('deferred', 'behind those that are deferred');
$node->safe_psql('postgres', qq{CALL send('active', $behind); CALL take('active', $behind, false); CALL send('active', 100)});
is_flat('active', 'behind those that are active');
$node->safe_psql('postgres', qq{CALL send('done', $behind); CALL take('done', $behind, true); CALL send('done', 100)});
is_flat('done', 'behind those that are completed');

# All of that is exact.
is($node->safe_psql('postgres', q{SELECT queue, depth, deferred, active, completed FROM nvent.queue_stats() WHERE queue <> 'old' ORDER BY queue}),
	join("\n", "active|80|0|@{[$behind + 20]}|2000", "deferred|@{[$behind + 80]}|$behind|20|2000", "done|80|0|20|@{[$behind + 2000]}", 'few|980|0|20|2000', "many|@{[$jobs - 40]}|0|40|2000"),
	'queue_stats is exact');

# Beside a snapshot that is kept nothing can be cleaned up, and need not be.
my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$old->query_safe('SELECT count(*) FROM nvent_jobs WHERE false');
$node->safe_psql('postgres', qq{CALL send('old', $behind); CALL take('old', $behind, true); CALL send('old', 100)});
is_flat('old', 'beside an old snapshot');
$old->query_safe('COMMIT');
$old->quit;
$node->stop;

done_testing();
