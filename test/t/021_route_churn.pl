# Clients append, read and poll while others add and drop routes, columns,
# stream tables and whole stores: nobody crashes, and nobody gets an error but
# those that say that something was there already or is not there any more.
#
# Seen to fail with a relation not locked before it is compiled, and with
# maintain() trusting that what was compiled is there still: XX000.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = plain_server('main');
$node->safe_psql('postgres', q{
	SELECT nvent.store_create();
	CREATE TABLE own (id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, ts bigint, type text, subject text, version bigint, meta jsonb, UNIQUE (subject, version));
	SELECT nvent.route_add('stream', 'own:>', 'own');
	-- Clients poll behind positions up to 5, which are drawn by then.
	SELECT nvent.stream_append('own:' || k, '{"type": "t"}') FROM generate_series(1, 5) k;
	CREATE TABLE errors (state text PRIMARY KEY, message text);
	CREATE FUNCTION try(statement text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN others THEN
		INSERT INTO errors VALUES (sqlstate, statement || ': ' || sqlerrm) ON CONFLICT DO NOTHING;
	END $$;
});

my $use = q{
\set k random(1, 5)
\set t random(1, 8)
SELECT try(format('SELECT nvent.stream_append(%L, %L)', 'x:type' || :t || ':' || :k, '{"type": "t", "colour": "red"}'));
SELECT try(format('SELECT nvent.stream_append(%L, %L)', 'own:' || :k, '{"type": "t", "colour": "red"}'));
SELECT try(format('SELECT nvent.stream_append_batch(%L, %L)', 'own:' || :k, ARRAY['{"type": "t"}', '{"type": "t", "x": 1}']::jsonb[]));
SELECT try(format('SELECT nvent.stream_read(%L, backward => true, max_count => 3)', 'x:type' || :t || ':' || :k));
SELECT try(format('SELECT nvent.stream_poll(%L, %s, 10)', CASE WHEN :k > 2 THEN '>' ELSE 'own:>' END, :k));
SELECT try(format('SELECT nvent.kv_set(%L, %L)', 's' || :k || ':key', '1'));
SELECT try('SELECT nvent.maintain(10)');
};
my $change = q{
\set k random(1, 8)
\set a random(1, 8)
SELECT try(format(('{
	"ALTER TABLE own ADD COLUMN colour text", "ALTER TABLE own DROP COLUMN colour",
	"SELECT nvent.route_add(''stream'', ''x:type%1$s:>'', ''own'')", "SELECT nvent.route_drop(''stream'', ''x:type%1$s:>'')",
	"SELECT nvent.kv_clear(''s%1$s:*''), nvent.store_create(''s%1$s'')", "SELECT nvent.store_migrate(''s%1$s'', 0)", "SELECT nvent.stream_drop_table(''type%1$s'')",
	"UPDATE nvent.route SET notify = CASE WHEN notify IS NULL THEN ''off'' END WHERE pattern = ''own:>''"}'::text[])[:a], :k));
};
load($node, 'no client is lost', [ '-c', 8, '-T', 6 ], "\@6 $use", "\@1 $change");
# What takes several tables, as a new store's claim does, and what drops them may
# wait for each other.
is($node->safe_psql('postgres', q{
	SELECT state, message FROM errors WHERE NOT (state = '40P01' AND message ~ 'maintain|poll|create|migrate|drop_table') AND state NOT IN ('42701', '42703', '42710', '42P01', '55006', 'NV009') ORDER BY 1}), '', 'no error but the expected');
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM own}), '>', 100, 'events were appended');
is($node->safe_psql('postgres', q{
	SELECT subject FROM own GROUP BY subject HAVING count(*) <> max(version) OR min(version) <> 1}), '', 'versions without a gap');
is($node->safe_psql('postgres', q{
	SELECT subject FROM (SELECT subject, version, lag(id) OVER (PARTITION BY subject ORDER BY version) < id AS later FROM own) x WHERE NOT later}), '', 'versions in the order of positions');

$node->stop;
done_testing();
