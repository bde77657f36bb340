# A dump of a database with stores, restored elsewhere, is the same: registry,
# sequences and every row; appends go on above what was restored, and a session
# that was there before sees the stores; cursors and consumers go on where they
# were.  In one piece, schema before data, for another owner, without the tables
# of one store, which is gone then, and without the registry, which store_adopt()
# makes anew.
#
# Seen to fail with the lines pg_extension_config_dump() taken out of
# src/sql/store.sql (no stores), and out of src/sql/position.sql (positions
# begin at 1 and meet the ids that are there); and with foreign keys from the
# routes to the stores, which two jobs of pg_restore load in any order; and with
# version_table no computed column, which a dump then has OIDs or names of that
# are not there.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off");
$node->start;
my $dir = $node->basedir;

my $contents = contents_sql('nvent.published_position', 'nvent.position_timeline');

$node->safe_psql('postgres', 'CREATE DATABASE src; CREATE ROLE keeper; CREATE ROLE app; CREATE ROLE ops');
$node->safe_psql('src', q{
	CREATE EXTENSION nvent_store;
	SELECT nvent.store_create();
	SELECT nvent.store_create('My-App', 'My "Own" Schema');
	SELECT nvent.store_create('größe', 'public');
	SELECT nvent.stream_append_batch('nvent:flow:run:r' || n % 7, array_fill(jsonb_build_object('type', 't', 'n', n, 'data', jsonb_build_object('x', n)), ARRAY[20]))
		FROM generate_series(1, 30) n;
	SELECT nvent.stream_append('My-App:order:' || n % 5, jsonb_build_object('type', 't', 'ts', -n)) FROM generate_series(1, 50) n;
	SELECT nvent.stream_append('größe:Odd "Type":ü', '{"type": "t"}');
	SELECT nvent.stream_append('größe:' || repeat('long', 30) || ':1', '{"type": "t"}');
	SELECT nvent.stream_create_table('log', versioned => false);
	SELECT nvent.stream_append('nvent:log:1', '{"type": "t"}');
	CREATE TYPE mood AS ENUM ('sad', 'happy');
	CREATE TABLE visits (id bigint DEFAULT nvent.next_position('My-App') PRIMARY KEY, ts bigint NOT NULL, type text NOT NULL,
		visitor uuid, mood mood, version bigint, tags text[], created_at timestamptz DEFAULT now(), meta jsonb, UNIQUE (visitor, version));
	CREATE TABLE parts (LIKE visits INCLUDING DEFAULTS, subject text) PARTITION BY LIST (type);
	ALTER TABLE parts ALTER id SET DEFAULT nvent.next_position('nvent');
	CREATE TABLE parts_t PARTITION OF parts FOR VALUES IN ('t');
	SELECT nvent.route_add('stream', 'My-App:visit:{visitor}', 'visits', '{"feels": "mood"}', notify => 'off');
	SELECT nvent.route_add('stream', 'parts:>', 'parts');
	SELECT nvent.route_drop('entry', 'größe:triggers');
	SELECT nvent.stream_append('My-App:visit:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"type": "t", "feels": "happy", "tags": ["a,b"], "x": null}');
	SELECT nvent.stream_append('parts:1', '{"type": "t"}');
	SELECT nvent.entry_add('nvent:flows', 'f', 5, '{"registeredAt": 5, "stats": {"total": 3}, "own": {"deep": [1, null]}}');
	SELECT nvent.entry_add('My-App:own:entries', 'e' || n, n / 3.0, jsonb_build_object('n', n)) FROM generate_series(1, 20) n;
	SELECT nvent.entry_increment('nvent:flows', 'f', 'stats.total', 9007199254740993);
	SELECT nvent.kv_set('k' || n, to_jsonb(n)) FROM generate_series(1, 10) n;
	SELECT nvent.kv_set('My-App:expiring', '{"a": false}', interval '1 hour');
	SELECT nvent.lock_acquire('l', interval '1 hour');
	SELECT nvent.stream_create_table('kept');
	SELECT nvent.stream_append('nvent:kept:1', '{"type": "t"}');
	SELECT nvent.stream_protect('nvent_stream_kept');
	SELECT nvent.checkpoint_save('reader', (SELECT id FROM nvent_flow_events ORDER BY id OFFSET 300 LIMIT 1));
	SELECT nvent.consumer_subscribe('behind', 'nvent:flow:run:r1');
	SELECT nvent.consumer_subscribe('ahead', 'nvent:>', after => NULL);
	SELECT nvent.consumer_ack(name, token, upto) FROM nvent.consumer_fetch(max_events => 7);
	CREATE SCHEMA keeper AUTHORIZATION keeper; GRANT USAGE ON SCHEMA nvent TO keeper; GRANT EXECUTE ON FUNCTION nvent.store_create TO keeper;
	SET SESSION AUTHORIZATION keeper;
	SELECT nvent.store_create('keeper', 'keeper');
	SELECT nvent.store_grant('app', 'write', 'keeper'), nvent.store_grant('ops', 'admin', 'keeper');
	RESET SESSION AUTHORIZATION; RESET ROLE;
	SELECT nvent.store_create('moved', 'before');
	SELECT nvent.kv_set('moved:k', '1');
	ALTER SCHEMA before RENAME TO behind;
	SELECT nvent.store_migrate('moved');
});

# What a reader gets from its cursor, and who gets what of the consumers.
my $followed = q{
	SELECT md5(string_agg(concat_ws(' ', e->>'id', e->>'subject', e->>'version'), ',' ORDER BY n)), count(*), bool_and((e->>'id')::bigint > c.position)
	FROM nvent.checkpoint_load('reader') c, nvent.stream_poll('nvent:>', c.position) p, unnest(p.events) WITH ORDINALITY u (e, n)};
my $fetched = q{SELECT name, position, upto, cardinality(events) FROM nvent.consumer_fetch(max_events => 7) ORDER BY name};
my $reader = $node->safe_psql('src', $followed);
like($reader, qr/^\w+\|301\|t$/, 'a reader is in the middle');
my $consumers = $node->safe_psql('src', "BEGIN; $fetched; ROLLBACK");
like($consumers, qr/^behind\|\d+\|\d+\|7$/, 'and so is a consumer');
my $rows = $node->safe_psql('src', $contents);
like($rows, qr/^nvent\.position_seq: /m, 'the contents have sequences in them');
like($rows, qr/^nvent_flow_events: 600 /m, 'and rows');
my $shape = q{SELECT relation, notify, keys FROM nvent.route_resolve('stream', 'My-App:visit:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')
	UNION ALL SELECT relation, notify, keys FROM nvent.route_resolve('entry', 'größe:triggers')
	UNION ALL SELECT relation, notify, keys FROM nvent.route_resolve('stream', 'größe:' || repeat('long', 30) || ':1')
	UNION ALL SELECT relation, store, to_jsonb(versioned) FROM nvent.stream_tables()};
my $routes = $node->safe_psql('src', $shape);

# What holds of every restored database.
sub check
{
	my ($db, $name) = @_;

	is($node->safe_psql($db, $contents), $rows, "$name: every row and sequence");
	is($node->safe_psql($db, $shape), $routes, "$name: every route and stream table");
	goes_on($db, $name);
	is_granted($db, $name);
}

# Roles have what they were given, and owners what they need.
sub is_granted
{
	my ($db, $name) = @_;

	is($node->safe_psql($db, q{
		SET SESSION AUTHORIZATION app; SELECT nvent.stream_append('keeper:fresh:1', '{"type": "t"}') -> 'version', nvent.kv_set('keeper:k', '1');
		RESET SESSION AUTHORIZATION; SELECT relowner::regrole FROM pg_class WHERE oid = 'keeper.keeper_stream_fresh'::regclass;
		SET SESSION AUTHORIZATION ops; SELECT nvent.stream_drop_table('fresh', 'keeper');
		SET SESSION AUTHORIZATION keeper; SELECT nvent.store_revoke('ops', 'read', 'keeper') IS NULL;
		SET SESSION AUTHORIZATION ops; SELECT has_table_privilege('keeper.keeper_kv', 'SELECT')}), "1|t\nkeeper\nt\nf\nf", "$name: whoever was granted a store has it");
}

# Appends come after all that is there, with the next version.
sub goes_on
{
	my ($db, $name) = @_;
	my $highest = $node->safe_psql($db, q{
		SELECT max(m) FROM (SELECT max(id) FROM nvent_flow_events UNION ALL SELECT max(id) FROM "My ""Own"" Schema"."My-App_stream_order"
			UNION ALL SELECT max(id) FROM nvent_stream_log UNION ALL SELECT max(id) FROM visits UNION ALL SELECT max(id) FROM nvent_stream_kept) x (m)});

	is($node->safe_psql($db, $followed), $reader, "$name: a cursor goes on where it was");
	is($node->safe_psql($db, $fetched), $consumers, "$name: consumers go on where they were");
	is($node->safe_psql($db, qq{
		SELECT (e->>'id')::bigint > $highest, e->>'version', n FROM (VALUES (1, 'nvent:flow:run:r1'), (2, 'My-App:order:0'), (3, 'nvent:log:1'),
			(4, 'nvent:kept:1'), (5, 'größe:Odd "Type":ü')) s (n, s), nvent.stream_append(s, '{"type": "t"}') e ORDER BY n}),
		"t||1\nt|11|2\nt||3\nt|2|4\nt|2|5", "$name: appends go on");
	is($node->safe_psql($db, q{SELECT nvent.entry_increment('nvent:flows', 'f', 'stats.total'), nvent.kv_get('k7'), nvent.kv_get('My-App:expiring')}),
		'9007199254740997|7|{"a": false}', "$name: entries and keys");
	my ($ret, $out, $err) = $node->psql($db, q{DROP EXTENSION nvent_store});
	like($err, qr/other objects depend on it/, "$name: the stores depend on the extension");
}

# In one piece: as SQL, and from an archive, with two jobs.
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE template0") foreach qw(plain archive two filtered);
$node->command_ok(['pg_dump', '--no-sync', '-f', "$dir/plain.sql", 'src'], 'pg_dump as SQL');
$node->command_ok(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", '-o', "$dir/out", 'plain'], 'psql restores it');
check('plain', 'plain');
$node->command_ok(['pg_dump', '--no-sync', '-Fc', '-f', "$dir/archive", 'src'], 'pg_dump of an archive');
$node->command_ok(['pg_restore', '-j', '2', '--exit-on-error', '-d', 'archive', "$dir/archive"], 'pg_restore with two jobs');
check('archive', 'archive');

is($node->safe_psql('archive', q{SELECT nvent.kv_get('moved:k'), schema_name, version_table FROM nvent.store WHERE prefix = 'moved'}),
	'1|behind|behind.moved_schema_version', 'a store whose schema was renamed is where it was');

# For another owner, who then owns every store.
$node->safe_psql('postgres', 'CREATE ROLE heir SUPERUSER LOGIN; CREATE DATABASE owned TEMPLATE template0 OWNER heir');
$node->command_ok(['pg_restore', '--no-owner', '--exit-on-error', '-U', 'heir', '-d', 'owned', "$dir/archive"], 'pg_restore for another owner');
is($node->safe_psql('owned', q{SELECT DISTINCT relowner::regrole FROM nvent.store JOIN pg_class c ON c.oid = version_table}), 'heir', 'the stores are his');
goes_on('owned', 'another owner');

# Without the tables of one store: it is gone, its name is nobody else's, and
# the others are there.
$node->safe_psql('postgres', 'CREATE DATABASE without TEMPLATE template0');
$node->command_ok(['pg_dump', '--no-sync', '-Fc', '-f', "$dir/without", '--exclude-schema', 'behind', 'src'], 'pg_dump without a schema');
$node->command_ok(['pg_restore', '--exit-on-error', '-d', 'without', "$dir/without"], 'pg_restore of that');
goes_on('without', 'without a store');
is((attempt($node, q{SELECT nvent.kv_set('moved:k', '1')}, 'without', undef))[0], 'NV009', 'the store that was left out is gone');
is($node->safe_psql('without', q{SELECT nvent.store_create('moved', 'again'), nvent.kv_set('moved:k', '2'); SELECT version_table FROM nvent.store WHERE prefix = 'moved'}),
	"t|t\nagain.moved_schema_version", 'and is made anew');

# Schema first: tables without a registry; then data, while a session is there
# that has seen the empty registry.
$node->command_ok(['pg_restore', '--exit-on-error', '--schema-only', '-d', 'two', "$dir/archive"], 'pg_restore --schema-only');
is($node->safe_psql('two', 'SELECT count(*) FROM nvent.store'), '0', 'no data came with the schema');
my $session = $node->background_psql('two');
is($session->query(q{SELECT count(*) FROM nvent.route_resolve('stream', 'nvent:flow:run:r1')}), '0', 'the session knows no store');
# A protected table takes rows only so.
$node->command_ok(['pg_restore', '--exit-on-error', '--data-only', '--disable-triggers', '-d', 'two', "$dir/archive"], 'pg_restore --data-only');
is($node->safe_psql('two', $contents), $rows, 'schema, then data: every row and sequence');
is($session->query(q{SELECT relation FROM nvent.route_resolve('stream', 'nvent:flow:run:r1')}), 'nvent_flow_events', 'the session sees the store');
goes_on('two', 'schema, then data');
is_granted('two', 'schema, then data');
$session->quit;

# The trigger has sessions see what is copied into the registry.
$node->safe_psql('two', 'DELETE FROM nvent.store; DELETE FROM nvent.route');
$session = $node->background_psql('two', on_error_stop => 0);
$session->query(q{SELECT count(*) FROM nvent.route_resolve('stream', 'nvent:flow:run:r1')});
like($session->{stderr}, qr/store "nvent" does not exist/, 'the session knows no store again');
$session->{stderr} = '';
$node->safe_psql('src', "COPY nvent.store TO '$dir/store'; COPY nvent.route TO '$dir/route'");
$node->safe_psql('two', "COPY nvent.store FROM '$dir/store'; COPY nvent.route FROM '$dir/route'");
is($session->query(q{SELECT relation FROM nvent.route_resolve('stream', 'nvent:flow:run:r1')}), 'nvent_flow_events', 'it sees what was copied');
$session->quit;

# Without the extension's schema: the tables come without a registry and with
# positions that begin anew; store_adopt() takes them over as they are.
$node->safe_psql('filtered', 'CREATE EXTENSION nvent_store');
$node->command_ok(['pg_dump', '--no-sync', '-f', "$dir/filtered.sql", '-n', 'public', '-n', '"My ""Own"" Schema"', 'src'], 'pg_dump of some schemas');
# The dump makes schema public again; that it is there is no error here.
$node->command_ok(['psql', '-XqAt', '-f', "$dir/filtered.sql", '-o', "$dir/out", 'filtered'], 'psql restores them');
is($node->safe_psql('filtered', 'SELECT count(*) FROM nvent.store'), '0', 'no registry came');
my ($ret, $out, $err) = $node->psql('filtered', q{SELECT nvent.stream_append('nvent:flow:run:r1', '{"type": "t"}')});
like($err, qr/store_adopt\('nvent', 'public'\)/, 'an append says what to do');
$node->safe_psql('filtered', q{
	SELECT nvent.store_adopt('nvent'); SELECT nvent.store_adopt('My-App', 'My "Own" Schema'); SELECT nvent.store_adopt('größe')});
goes_on('filtered', 'adopted');
is($node->safe_psql('filtered', q{SELECT count(*) FROM nvent.stream_read('größe:' || repeat('long', 30) || ':1')}), '1', 'adopted: a hashed name');

$node->stop;
done_testing();
