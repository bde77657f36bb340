# Installed by the owner of a database, who is no superuser: what then belongs to
# whom, what he may and may not do, that his stores work and are maintained, and
# that a dump of his is complete.  Nothing of his runs as a superuser, above all
# not in the worker, which works in his database as one.
#
# Seen to fail without USAGE and SELECT for the extension's owner (he can neither
# use nor dump it), and with the worker looking for nvent's tables by name (what
# he puts in their place runs as a superuser).

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
$node->append_conf('postgresql.conf', <<'EOT');
shared_preload_libraries = 'nvent_store'
nvent_store.maintenance_interval = 50ms
nvent_store.worker_naptime = 1s
fsync = off
EOT
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE tenant LOGIN; CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN;
	CREATE DATABASE db OWNER tenant;
	CREATE DATABASE copy OWNER tenant;
});

# Result of a statement by a role, or the SQLSTATE of its error.
sub as
{
	my ($role, $sql) = @_;

	return answer($node, $sql, 'db', $role);
}

is(as('stranger', 'CREATE EXTENSION nvent_store'), '42501', 'who may not CREATE in the database does not install it');
is(as('tenant', 'CREATE SCHEMA nvent; CREATE EXTENSION nvent_store'), '42P06', 'a schema of that name that is there is not taken over');
$node->safe_psql('db', 'DROP SCHEMA nvent');
is(as('tenant', 'CREATE EXTENSION nvent_store'), '', "the database's owner installs it");
is($node->safe_psql('db', q{SELECT extowner::regrole FROM pg_extension WHERE extname = 'nvent_store'}), 'tenant', 'it is his');
my $others = q{
	SELECT count(*), bool_and(owner = 10) FROM pg_depend d, LATERAL (
		SELECT relowner FROM pg_class WHERE classid = 'pg_class'::regclass AND oid = objid UNION ALL
		SELECT proowner FROM pg_proc WHERE classid = 'pg_proc'::regclass AND oid = objid UNION ALL
		SELECT nspowner FROM pg_namespace WHERE classid = 'pg_namespace'::regclass AND oid = objid UNION ALL
		SELECT evtowner FROM pg_event_trigger WHERE classid = 'pg_event_trigger'::regclass AND oid = objid) o (owner)
	WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'nvent_store') AND deptype = 'e'};
like($node->safe_psql('db', $others), qr/^\d{3}\|t$/, "everything in it is the bootstrap superuser's");

# He makes stores, for himself and others, and grants them.
is(as('tenant', q{SELECT nvent.store_create()}), 't', 'he makes a store');
is(as('tenant', q{SELECT nvent.store_grant('app', 'write')}), '', 'and grants it');
is(as('app', q{SELECT nvent.stream_append('order:1', '{"type": "t"}') -> 'version'}), '1', 'which works');
is(as('app', q{SELECT nvent.kv_set('k', '1', '1 ms')}), 't', 'with keys');
is(as('tenant', 'CREATE ROLE x'), '42501', 'he is no superuser');
is(as('tenant', $_), '42501', "he does not: $_") foreach (
	q{INSERT INTO nvent.store (prefix, schema_name) VALUES ('forged', 'public')}, q{DELETE FROM nvent.route},
	q{UPDATE nvent.published_position SET position = 0}, q{SELECT setval('nvent.position_seq', 1)}, q{SELECT nextval('nvent.position_seq')},
	q{CREATE TABLE nvent.mine ()}, q{CREATE FUNCTION nvent.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'}, q{DROP FUNCTION nvent.maintain},
	q{ALTER TABLE nvent.store DISABLE TRIGGER ALL}, q{ALTER EVENT TRIGGER nvent_guard_ddl DISABLE}, q{ALTER SCHEMA nvent RENAME TO x},
	q{ALTER EXTENSION nvent_store DROP TABLE nvent.store}, q{CREATE TRIGGER t AFTER UPDATE ON nvent.published_position EXECUTE FUNCTION suppress_redundant_updates_trigger()});
is(as('tenant', q{GRANT EXECUTE ON FUNCTION nvent.store_create TO app; GRANT CREATE ON DATABASE db TO app}), '', 'he lets others make stores');
is(as('app', q{SELECT nvent.store_create('app', 'app')}), 't', 'which they do');
is(as('tenant', q{SELECT nvent.store_migrate('app', 0)}), '42501', 'and which are theirs');
is(as('app', q{SELECT nvent.store_migrate('app', 0) > 0; DROP SCHEMA app}), 't', 'also to drop');
# He protects a table, and cannot take that back.
is(as('tenant', q{SELECT nvent.stream_protect('nvent_stream_order')}), 't', 'he protects events');
is(as('tenant', q{SELECT nvent.stream_unprotect('nvent_stream_order')}), '42501', 'and does not unprotect them');
is(as('tenant', q{DELETE FROM nvent_stream_order}), '42501', 'nor change them');
ok(wait_until(sub { as('tenant', 'SELECT count(*) FROM nvent_kv') eq '0' }), 'the worker maintains his store');

# A dump of his has it all, and comes back where the extension is his already: the
# registry is a superuser's to restore.
$node->command_ok([ 'pg_dump', '--no-sync', '-U', 'tenant', '-Fc', '-f', $node->basedir . '/dump', 'db' ], 'his dump');
$node->safe_psql('copy', 'SET SESSION AUTHORIZATION tenant; CREATE EXTENSION nvent_store');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'copy', $node->basedir . '/dump' ], 'a superuser restores it');
is($node->safe_psql('copy', q{SET SESSION AUTHORIZATION app; SELECT nvent.stream_append('order:1', '{"type": "t"}') -> 'version'}), '2', 'it goes on');

# What he puts in the place of what he drops is nobody's but his, also when
# the worker is about to use what he drops.
$node->safe_psql('db', 'CREATE TABLE public.ran (who name, what text); GRANT ALL ON public.ran TO PUBLIC');
is(as('app', q{SELECT nvent.stream_append('order:1', '{"type": "t"}') -> 'version'}), '2', 'there is something to publish');
my $session = $node->background_psql('db', extra_params => [ '-U', 'tenant' ]);
$session->query_safe(q{
	BEGIN;
	SET LOCAL client_min_messages = warning;
	DROP EXTENSION nvent_store CASCADE;
	CREATE SCHEMA nvent;
	GRANT USAGE ON SCHEMA nvent TO PUBLIC;
	CREATE FUNCTION nvent.look(what text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ran VALUES (current_user, what); RETURN 'x'; END $$;
	CREATE FUNCTION nvent.spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nvent.look(tg_table_name); RETURN NEW; END $$;
	CREATE TABLE nvent.published_position (only_row boolean DEFAULT true, position bigint, published_at timestamptz, held_stores int[], held_positions bigint[]);
	INSERT INTO nvent.published_position VALUES (true, 0);
	CREATE TRIGGER spy BEFORE INSERT OR UPDATE ON nvent.published_position FOR EACH ROW EXECUTE FUNCTION nvent.spy();
	CREATE VIEW nvent.store AS SELECT nvent.look('store') AS prefix, nvent.look('schema') AS schema_name, 0::oid AS version_table;
	CREATE VIEW nvent.route AS SELECT nvent.look('route') AS store;
	CREATE VIEW nvent.stream_table AS SELECT nvent.look('stream_table') AS store;
	CREATE SEQUENCE nvent.position_seq;
	CREATE FUNCTION nvent.maintain(integer, text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM nvent.look('maintain'); RETURN 0; END $$;
	SELECT 1});
ok(wait_until(sub { $node->safe_psql('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted}) eq 't' }), 'the worker waits for him');
$session->query_safe('COMMIT');
$session->quit;
ok(wait_until(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE NOT granted}) eq '0' }), 'and goes on');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'db' AND wait_event_type = 'Lock'}), '0', 'or has gone');
is(as('tenant', q{SELECT * FROM public.ran WHERE who <> 'tenant'}), '', 'nothing of his has run as anybody else');

$node->stop;
done_testing();
