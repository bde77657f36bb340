# Workers that fetch fifties and complete them at once, as fast as they can: none
# meets a run that another has begun, and each job has one.
#
# A first run that is just being completed moves in its table, and must be seen by
# who looks for it then.
#
# Seen to fail with runs looked for by a dirty snapshot (queue/direct.c): in one of
# five rounds a fetch meets another's run (23505).

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use Test::More;

my $rounds = 14;
my $node = new_server('main', "synchronous_commit = off\nshared_buffers = 256MB\n");
my $take = <<'EOT';
SELECT array_agg(id) AS ids, array_agg(attempt) AS attempts FROM nvent.queue_fetch('q', 50) \gset
SELECT count(*) FROM nvent.queue_complete_many('q', :ids::bigint[], :attempts::integer[]);
EOT

# send_jobs(THOUSANDS): so many thousand more.
sub send_jobs
{
	my ($thousands) = @_;

	$node->safe_psql('postgres', qq{
		DO \$\$
		BEGIN
			FOR thousand IN 1 .. $thousands LOOP
				PERFORM nvent.queue_send_batch('q', (SELECT array_agg(jsonb_build_object('data', i)) FROM generate_series(1, 1000) i));
			END LOOP;
		END \$\$;
		VACUUM;
	});
}

$node->safe_psql('postgres', q{SELECT nvent.store_create(); SELECT nvent.queue_create('q')});
send_jobs(150);
foreach my $round (1 .. $rounds)
{
	send_jobs(60) if $round > 1;
	$node->pgbench('-n -M prepared -c 8 -j 2 -t 150', 0, [qr{processed: 1200/1200}], [qr{^(?!.*ERROR)}s],
		"round $round: nobody meets another's run", { "take_$round" => $take });
}
is($node->safe_psql('postgres', q{SELECT count(*) = count(DISTINCT id) FROM nvent_job_runs}), 't', 'each job has one');

done_testing();
