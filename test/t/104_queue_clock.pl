# A server whose clock is set back by an hour and then put forward, beneath jobs that
# are queued, deferred, leased and waited for, schedules, keys that expire and
# positions that are published: nothing is lost, nothing is done twice while its lease
# lasts by the clock, and nothing that has to do with no time of day waits until the
# clock has caught up.  test/hooks/clock.c is the clock.
#
# Seen to fail with the server's clock in place of nvs_uptime(): where fetches pause
# between looks for what is rare (queue/fetched.c), for the timeout of a wait and for
# how long it sleeps (wakeup/wait.c), and in the notifier.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $hour = 3600;
my $file = PostgreSQL::Test::Utils::tempdir() . '/clock';

# set_clock(SECONDS): have it be so far ahead of the machine's.
sub set_clock
{
	open(my $fh, '+<', $file) or die "$file: $!";
	binmode $fh;
	syswrite($fh, pack('q', $_[0])) == 8 or die "$file: $!";
	close $fh;
}

open(my $fh, '>', $file) or die "$file: $!";
print $fh "\0" x 8;
close $fh;
chmod 0644, $file;

my $library = library('clock');
my $node;
{
	local $ENV{NVS_CLOCK} = $file;
	local $ENV{LD_PRELOAD} = $library;
	$node = new_server('clock', <<'EOT');
nvent_store.maintenance_interval = '500ms'
nvent_store.worker_naptime = '2s'
nvent_store.publish_interval = '200ms'
nvent_store.worker_idle_timeout = '1h'
EOT
}

sub sql { return $node->safe_psql('postgres', $_[0]) }

# offset(): by how many hours the server's clock is ahead, as it says.
sub offset { return sql("SELECT round((extract(epoch FROM clock_timestamp()) - " . time . ") / $hour)") }

is(offset(), '0', 'the clock is right');
set_clock($hour);
is(offset(), '1', 'it can be set');
set_clock(0);

sql(q{
	SELECT nvent.store_create();
	SELECT nvent.stream_create_table('t');
	SELECT nvent.queue_create('q', lease => '20 minutes', retry_limit => 5),
		nvent.queue_create('short', lease => '1 second', retry_limit => 5),
		nvent.queue_create('lanes', 'singleton'), nvent.queue_create('deferred'), nvent.queue_create('wait');
	CREATE TABLE work (queue text, job jsonb, attempt int);
	-- Fetches so many, and notes them; completes them, unless told not to.
	CREATE FUNCTION work(queue text, max_count int DEFAULT 1, complete bool DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		done text;
	BEGIN
		WITH f AS MATERIALIZED (SELECT * FROM nvent.queue_fetch(work.queue, work.max_count)),
			noted AS (INSERT INTO work SELECT work.queue, data, attempt FROM f)
		SELECT string_agg((data ->> 0) || '/' || attempt, ' ' ORDER BY id) INTO done FROM f
			WHERE NOT complete OR nvent.queue_complete(work.queue, id, attempt);
		RETURN coalesce(done, 'nothing');
	END $$;
});

# Sessions that have looked for all there is, and are in the middle of a pause.
my $session = $node->background_psql('postgres');

# query(SQL): what that one answers.
sub query { return $session->query_safe($_[0]) }

# becomes(TITLE, SQL, VALUE): a query comes to that before long.
sub becomes
{
	my ($title, $sql, $value) = @_;
	my $last;

	ok(wait_until(sub { $last = query($sql); $last eq $value }), $title) or diag("$last, not $value");
}

# --- What there is when the clock is set ---

query(q{
	SELECT nvent.queue_send('q', '"ready"'), nvent.queue_send('deferred', '"later"', start_after => '30 minutes'),
		nvent.queue_send('q', '"held"', priority => 9), nvent.queue_send('q', '"urgent"', priority => 8),
		nvent.kv_set('k', '1', ttl => '20 minutes'), nvent.stream_append('nvent:t:1', '{"type": "x"}'),
		nvent.schedule_set('s', 'nvent:t:s', '{"type": "due"}', every => '30 minutes');
	SELECT nvent.queue_send('lanes', '1', key => 'k'), nvent.queue_send('lanes', '2', key => 'k');
});
my $held = query(q{SELECT id FROM nvent.queue_fetch('q')});
is(query(q{SELECT data FROM nvent_jobs WHERE id = } . $held), '"held"', 'one is held');
my $urgent = query(q{SELECT id FROM nvent.queue_fetch('q')});
is(query(q{SELECT work('lanes', complete => false)}), '1/1', 'so is one of a key');
is(query(q{SELECT work(q) FROM unnest('{short,lanes,deferred}'::text[]) q}), "nothing\nnothing\nnothing", 'there is nothing else');
becomes('the position is published', 'SELECT nvent.safe_position() = position FROM nvent.published_position', 't');
my ($timed, $timed_pid) = sleeper($node, "CALL nvent.queue_await('wait', '8 s')");
my ($worker, $worker_pid) = sleeper($node, "CALL nvent.queue_work_await('deferred')");
my ($short, $short_pid) = sleeper($node, "CALL nvent.queue_work_await('short')");

# --- An hour back ---

my $begin = time;
set_clock(-$hour);
is(offset(), '-1', 'the clock is an hour back');

# What is sent, fails or is let go now is the next that somebody has, without a time.
query("SELECT nvent.queue_fail('q', $urgent, 1)");
query(q{SELECT count(nvent.queue_send('q', '"new"')) FROM generate_series(1, 3000)});
my $tries = 0;
ok(wait_until(sub { $tries++; query("SELECT work('q')") =~ /urgent/ }), 'what failed is tried again, before what there is');
cmp_ok($tries, '<', 2900, 'and not when there is nothing else');
becomes('what was sent by a later clock comes', q{SELECT work('q') <> 'nothing' AND EXISTS (SELECT FROM work WHERE job = '"ready"')}, 't');
is(query("SELECT nvent.queue_complete('lanes', id, 1) FROM nvent_job_runs WHERE outcome IS NULL AND queue = (SELECT number FROM nvent_queues WHERE name = 'lanes')"), 't', 'a key is let go');
becomes('and its next job comes', q{SELECT work('lanes')}, '2/1');

# Leases are by the clock: one lasts longer, another runs out.
is(query("SELECT count(*) FROM nvent.queue_fetch('q') WHERE id = $held"), '0', 'what is held is not fetched');
is(query("SELECT nvent.queue_send('short', '\"leased\"') > 0"), 't', 'a job is sent to who waits');
like($short->query('SELECT 1'), qr/leased/, 'he is woken');
like($node->safe_psql('postgres', "CALL nvent.queue_work_await('short', timeout => '1 min')"), qr/"attempt": 2/,
	'a lease that begins now runs out');
cmp_ok(time - $begin, '<', 40, 'soon');

# What takes so long takes no longer.
$timed->query('SELECT 1');
cmp_ok(time - $begin, '<', 30, 'a wait is over when its time is');
query(q{SELECT nvent.stream_append('nvent:t:1', '{"type": "y"}')});
becomes('positions are published', 'SELECT nvent.safe_position() = position FROM nvent.published_position', 't');
is(query("SELECT nvent.schedule_set('second', 'nvent:t:second', '{\"type\": \"due\"}', every => '1 second') IS NOT NULL"), 't', 'a schedule');
becomes('it is run', "SELECT count(*) > 1 FROM nvent_stream_t WHERE subject = 'nvent:t:second'", 't');
query("SELECT nvent.schedule_delete('second')");
foreach my $kind (qw(maintenance notifier))
{
	my $pid = $kind eq 'notifier' ? notifier_pid($node) : maintainer_pid($node);

	query("SELECT pg_terminate_backend($pid)");
	query(q{SELECT nvent.stream_append('nvent:t:1', '{"type": "z"}')});
	becomes("another $kind comes", "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'nvent_store $kind' AND pid <> $pid", '1');
}

# What has a time of day waits for that.
is(query(q{SELECT nvent.kv_get('k')}), '1', 'a key lives on');
is(query(q{SELECT nvent.kv_ttl('k') > '70 minutes'}), 't', 'as long as it says');
is(query(q{SELECT work('deferred')}), 'nothing', 'a job is deferred for longer');
is(query(q{SELECT count(*) FROM nvent_stream_t WHERE subject = 'nvent:t:s'}), '0', 'a schedule is not run');
is(activity($node, $worker_pid, "state = 'active'"), 't', 'and who waits, waits');

# --- As it was, and half an hour more ---

set_clock(0);
is(query(q{SELECT work('deferred')}), 'nothing', 'nothing is due when the clock is right again');
is(query(q{SELECT nvent.queue_touch('q', } . $held . q{, 1, '20 minutes') IS NOT NULL}), 't', 'what is held can be touched');
$begin = time;
set_clock($hour / 2 + 60);
like($worker->query('SELECT 1'), qr/later/, 'what was deferred is due, and who waited has it');
cmp_ok(time - $begin, '<', 20, 'soon');
becomes('the lease of what was held runs out', "SELECT work('q', 100) IS NOT NULL AND EXISTS (SELECT FROM work WHERE job = '\"held\"' AND attempt = 2)", 't');
is(query("SELECT nvent.queue_complete('q', $held, 1)"), 'f', 'and who held it has it no more');
is(query(q{SELECT coalesce(nvent.kv_get('k')::text, 'gone')}), 'gone', 'a key is gone');
becomes('a schedule is run', q{SELECT count(*) FROM nvent_stream_t WHERE subject = 'nvent:t:s'}, '1');

# --- Back once more, and forward past several runs ---

set_clock(0);
becomes('maintenance has been there', 'SELECT count(*) > 0 FROM (SELECT nvent.maintain(100)) m', 't');
is(query(q{SELECT count(*) FROM nvent_stream_t WHERE subject = 'nvent:t:s'}), '1', 'a run is not repeated');
set_clock(3 * $hour);
becomes('runs that were missed are made once', q{SELECT count(*) FROM nvent_stream_t WHERE subject = 'nvent:t:s'}, '2');
is(query(q{SELECT next_run_at > clock_timestamp() FROM nvent.schedule_list() WHERE name = 's'}), 't', 'the next one is to come');

# Each job was done, once.
becomes('all is done', q{SELECT work('q', 1000) = 'nothing' AND NOT EXISTS (SELECT FROM nvent_job_turns t JOIN nvent_queues q ON q.number = t.queue WHERE q.name = 'q')}, 't');
is(query(q{SELECT count(*), count(DISTINCT (job, attempt)) FROM work WHERE job <> '"new"'}), query(q{SELECT count(*), count(*) FROM work WHERE job <> '"new"'}), 'nothing twice');
is(query(q{SELECT count(*) FROM work WHERE job = '"new"'}), '3000', 'and nothing is lost');
is(query(q{SELECT ready + deferred + active FROM nvent.queue_stats('q')}), '0', 'as the numbers say');

$session->quit;
eval { $_->quit } foreach $timed, $worker, $short;
$node->stop;
done_testing();
