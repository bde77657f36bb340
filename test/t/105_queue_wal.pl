# What a job's life leaves in the write-ahead log, without whole pages: sent,
# fetched and completed one by one, by queue_work, and fifty at a time; and what its
# deletion adds.  These figures do not depend on the machine.
#
# Seen to fail with rows that store what is NULL at their end (route/direct.c), and
# with pages of runs that have no room for their ends (store/layout.c).

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $jobs = 1000;
my $node = new_server('queue_wal', "full_page_writes = off\nsynchronous_commit = off\nnvent_store.maintenance_interval = 0\nnvent_store.publish_interval = 0\nmax_wal_size = 4GB\n");

# A job of 140 bytes is sent and run by a worker whose name has 6 letters.
$node->safe_psql('postgres', <<'EOT');
SELECT nvent.store_create();
SELECT nvent.queue_create('q', keep_ended => '1 hour');
CREATE FUNCTION data(i int) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('to', 'somebody-' || i || '@example.com', 'kind', 'order placed', 'order', i, 'note', repeat('x', 40))
$$;
CREATE PROCEDURE send(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM nvent.queue_send('q', data(i));
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE send_many(n int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(*) FROM nvent.queue_send_batch('q', ARRAY(SELECT jsonb_build_object('data', data(i)) FROM generate_series(1, n) i));
END $$;
CREATE PROCEDURE take(n int) LANGUAGE plpgsql AS $$
DECLARE
	job record;
BEGIN
	FOR i IN 1 .. n LOOP
		SELECT id, attempt INTO job FROM nvent.queue_fetch('q', 1, 'worker');
		COMMIT;
		PERFORM nvent.queue_complete('q', job.id, job.attempt);
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE work(n int, size int) LANGUAGE plpgsql AS $$
DECLARE
	done jsonb := '[]';
BEGIN
	FOR i IN 0 .. n / size LOOP
		SELECT COALESCE(jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt)), '[]') INTO done
			FROM nvent.queue_work('q', done, max_count => CASE WHEN i < n / size THEN size ELSE 0 END, worker => 'worker');
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE forget() LANGUAGE plpgsql AS $$
BEGIN
	WHILE nvent.maintain(1000) > 0 LOOP
		COMMIT;
	END LOOP;
END $$;
EOT

# wal(CALL): bytes of the log for each of the jobs.
sub wal
{
	my ($call) = @_;

	return $node->safe_psql('postgres', qq{
		SELECT pg_current_wal_insert_lsn() AS began \\gset
		CALL $call;
		SELECT round((pg_current_wal_insert_lsn() - :'began') / $jobs)});
}

$node->safe_psql('postgres', 'CALL send(100); CALL take(100); VACUUM ANALYZE; CHECKPOINT');
my ($send, $take) = (wal("send($jobs)"), wal("take($jobs)"));
my ($send_many, $work) = (wal("send_many($jobs)"), wal("work($jobs, 1)"));
wal("send_many($jobs)");
my $work_many = wal("work($jobs, 50)");

# All of that is too old to be kept, as it is after some hours.
$node->safe_psql('postgres', q{UPDATE nvent_job_runs SET lease_until = lease_until - interval '1 day', ended_at = ended_at - interval '1 day'});
my $kept = $node->safe_psql('postgres', 'SELECT count(*) FROM nvent_jobs');
my $deleted = wal('forget()') * $jobs / $kept;

note "one by one: $send, $take; by queue_work $work; many: $send_many, $work_many; deleted: $deleted";
cmp_ok($send + $take, '<=', 840, 'sent, fetched and completed one by one');
cmp_ok($send + $work, '<=', 800, 'sent, and fetched and completed by queue_work');
cmp_ok($send_many + $work_many, '<=', 620, 'sent by a thousand, fetched and completed by fifties');
cmp_ok($deleted, '<=', 190, 'deleted by maintenance');
is($kept, 3 * $jobs + 100, 'all of them were kept');
is($node->safe_psql('postgres', 'SELECT count(*) FROM nvent_jobs NATURAL FULL JOIN nvent_job_runs'), 0, 'and then deleted');

$node->stop;
done_testing();
