# Twenty clients start at once on a database without a store: each has the
# store made, or adopted where its tables are there already, appends to a stream table that is not there yet, and to one subject
# that all of them share.  None fails, nothing is lost, versions have no gaps.
#
# Seen to fail with the store's lock, the table's lock or the subject's lock
# taken out: some of the clients get "duplicate key value".  With a store that
# store_ensure() looks for before it holds the lock alone: "already exists".

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 20;
my $rounds = 5;
my $node = plain_server('main');

# By name, in a new schema; the default one by its first append; both, many
# times over, since a race is not lost every time.
my $script = q{
SELECT nvent.store_ensure('race', 'race');
SELECT nvent.stream_append('race:order:shared', '{"type": "t"}');
SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}');
SELECT nvent.stream_append('nvent:order:' || :client_id, '{"type": "t"}', 0);
SELECT nvent.stream_append('nvent:order:shared', '{"type": "t"}');
SELECT nvent.stream_append('nvent:order:shared', '{"type": "t"}');
SELECT nvent.stream_append('nvent:order:shared', '{"type": "t"}');
SELECT nvent.stream_append('nvent:order:shared', '{"type": "t"}');
SELECT nvent.kv_increment('race:n'), nvent.entry_add('race:x', :client_id::text, 1, '{}');
};
foreach my $round (1 .. $rounds)
{
	load($node, "round $round: no client fails", [ '-c', $clients, '-t', 1 ], $script);
	is($node->safe_psql('postgres', q{
		SELECT string_agg(prefix || ' in ' || schema_name, ', ' ORDER BY prefix) FROM nvent.store}), 'nvent in public, race in race', "round $round: two stores");
	is($node->safe_psql('postgres', q{
		SELECT s, count(*), bool_and((e->>'version')::bigint = n) FROM unnest('{race:order:shared,nvent:order:shared}'::text[]) WITH ORDINALITY x (s, o),
			nvent.stream_read(s) WITH ORDINALITY r (e, n) GROUP BY s, o ORDER BY o}),
		"race:order:shared|$clients|t\nnvent:order:shared|" . 4 * $clients . "|t", "round $round: versions without a gap");
	is($node->safe_psql('postgres', q{
		SELECT (SELECT count(*) FROM nvent.stream_read('nvent:flow:run:1')), nvent.kv_get('race:n'),
			(SELECT count(*) FROM nvent.entry_read('race:x', max_count => NULL)), (SELECT count(*) FROM nvent.stream_tables())}),
		"$clients|$clients|$clients|2", "round $round: nothing is lost");
	# Tables that the registry does not know, as in a restored dump.
	$node->safe_psql('postgres', q{
		SET client_min_messages = warning;
		CREATE TABLE kept AS SELECT count(*) AS events FROM race.race_stream_order;
		DROP EXTENSION nvent_store CASCADE;
		CREATE EXTENSION nvent_store});
	load($node, "round $round: nor where it is adopted", [ '-c', $clients, '-t', 1 ],
		q{SELECT nvent.store_ensure('race', 'race'); SELECT nvent.stream_append('race:order:shared', '{"type": "t"}');
			SELECT nvent.store_ensure()});
	is($node->safe_psql('postgres', q{SELECT events, count(*) FROM kept, nvent.stream_read('race:order:shared') GROUP BY 1; DROP TABLE kept}),
		"$clients|" . 2 * $clients, "round $round: with all that was there");
	is($node->safe_psql('postgres', q{
		SELECT count(nvent.store_migrate(prefix, 0)) FROM (SELECT prefix FROM nvent.store) s;
		DROP SCHEMA race}), '2', "round $round: and all of it goes");
}

$node->stop;
done_testing();
