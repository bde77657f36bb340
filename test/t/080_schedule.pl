# Schedules: the maintenance process makes their runs as the owner of their store,
# and any number of sessions make each run once, whatever they roll back.
#
# Seen to fail, with the mechanism taken out:
# - "each run once": without a lock on the row of a schedule;
# - "as the owner of the store" and "nobody's code": when runs are made before
#   maintenance has become the owner, and without the look at foreign code;
# - "in its pass": when maintenance makes no runs.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('schedule', <<'EOT');
nvent_store.maintenance_interval = 1s
EOT

# --- The maintenance process ---

# One role owns a store and a trigger on its table of events, another one may
# write to it, and has a trigger on that of another type.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE keeper;
CREATE ROLE mallory;
CREATE SCHEMA kept AUTHORIZATION keeper;
GRANT ALL ON SCHEMA public TO keeper, mallory;
GRANT USAGE ON SCHEMA nvent TO keeper, mallory;
GRANT EXECUTE ON FUNCTION nvent.store_create TO keeper;
SELECT nvent.store_create();
SET ROLE keeper;
SELECT nvent.store_create('kept', 'kept');
SELECT nvent.stream_append('kept:' || t || ':1', '{"type": "first"}') FROM unnest('{good,trapped}'::text[]) t;
GRANT USAGE ON SCHEMA kept TO mallory;
SELECT nvent.store_grant('mallory', 'write', 'kept');
GRANT TRIGGER ON kept.kept_stream_trapped TO mallory;
CREATE TABLE kept.ran (by text, subject text);
CREATE FUNCTION kept.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO kept.ran VALUES (current_user, NEW.subject);
	RETURN NEW;
END $$;
CREATE TRIGGER note AFTER INSERT ON kept.kept_stream_good FOR EACH ROW EXECUTE FUNCTION kept.note();
RESET ROLE;
CREATE SCHEMA mallory AUTHORIZATION mallory;
SET ROLE mallory;
CREATE TABLE mallory.climbed (by text);
GRANT INSERT ON mallory.climbed TO PUBLIC;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
CREATE FUNCTION mallory.climb() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO mallory.climbed VALUES (current_user);
	RETURN NEW;
END $$;
CREATE TRIGGER climb BEFORE INSERT ON kept.kept_stream_trapped FOR EACH ROW EXECUTE FUNCTION mallory.climb();
SQL
my $listener = listener($node, 'kept_events');
$node->safe_psql('postgres', <<'SQL');
SET ROLE mallory;
SELECT nvent.schedule_set('good', 'kept:good:1', '{"type": "due"}', at => '2026-01-01', store => 'kept'),
	nvent.schedule_set('trapped', 'kept:trapped:1', '{"type": "due"}', at => '2026-01-01', store => 'kept'),
	nvent.schedule_set('often', 'kept:often:1', '{"type": "due"}', cron => '* * * * * *', store => 'kept');
SQL
ok( wait_until(sub {
		$node->safe_psql('postgres', q{SELECT count(*) FROM nvent.schedule_list('kept') WHERE status = 'pending'}) eq '1'
	}), 'maintenance makes runs in its pass');
is( $node->safe_psql('postgres', q{SELECT name, status, last_run_at IS NOT NULL FROM nvent.schedule_list('kept') WHERE name <> 'often'}),
	"good|completed|t\ntrapped|failed|f", 'of those that it may');
is($node->safe_psql('postgres', 'SELECT DISTINCT by, subject FROM kept.ran'),
	'keeper|kept:good:1', 'as the owner of the store');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mallory.climbed'), '0', "and nobody's code runs by that");
ok(scalar(notified($listener, qr/kept:good:1/)), 'listeners are told');
ok( wait_until(sub {
		$node->safe_psql('postgres', q{SELECT nvent.stream_version('kept:often:1') >= 3}) eq 't'
	}), 'it does so again and again');
is( $node->safe_psql('postgres', q{
		SELECT count(*) = count(DISTINCT r #> '{meta,scheduledAt}') FROM nvent.stream_read('kept:often:1', max_count => NULL) r}),
	't', 'each time is run once');
is( $node->safe_psql('postgres', q{
		SELECT s.stopped FROM (SELECT nvent.schedule_delete('often', 'kept') AS stopped) s}),
	't', 'a schedule is deleted while it is run');

# --- Many sessions ---

# Fifty schedules that are forty runs late, and eight sessions that make them,
# by ones and by tens, and roll a third of that back.
$node->safe_psql('postgres', <<'SQL');
ALTER SYSTEM SET nvent_store.maintenance_interval = 0;
SELECT pg_reload_conf();
SELECT nvent.schedule_set('s' || i, 'late:' || i, '{"type": "due"}', every => '1 hour', missed => 'all') FROM generate_series(1, 50) i;
UPDATE nvent_scheduler_jobs SET next_run_at = next_run_at - 40 * 3600000 - 1000;
SQL
$node->pgbench(
	'--no-vacuum --client=8 --jobs=2 --transactions=200 --protocol=prepared',
	0,
	[qr{processed: 1600/}],
	[qr{^$}],
	'eight sessions make runs',
	{
		'schedule_run' => q{
			\set n random(1, 2) * 9 - 8
			\set how random(1, 3)
			BEGIN;
			SELECT nvent.schedule_run(max_count => :n);
			\if :how = 1
			ROLLBACK;
			\else
			COMMIT;
			\endif
		}
	});
$node->safe_psql('postgres', 'SELECT nvent.schedule_run(max_count => 10000)');
is( $node->safe_psql('postgres', <<'SQL'),
SELECT count(*), count(DISTINCT (r ->> 'subject', r #>> '{meta,scheduledAt}')), count(DISTINCT r #>> '{meta,scheduleName}'),
	bool_and((r ->> 'version')::bigint <= 40)
FROM generate_series(1, 50) i, nvent.stream_read('late:' || i) r
SQL
	'2000|2000|50|t',
	'each run once');
is($node->safe_psql('postgres', 'SELECT nvent.schedule_run()'), '0', 'nothing is left');

$node->stop;
done_testing();
