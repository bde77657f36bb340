# Who may do what: roles that log in, with and without the use of schema nvent,
# readers, writers and owners of a store; README.md's first minute by a role
# that was given the store and nothing else; and what an owner plants for those
# who have more rights than he.
#
# Seen to fail with USAGE on schema nvent granted to PUBLIC (strangers call
# us), with stream tables made as the caller (the writer can make none), with
# maintenance not becoming the table's owner (it runs the owner's
# trigger as a superuser), and with the search path of the registry's
# statements not pinned (traps are sprung).

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
$node->append_conf('postgresql.conf', "fsync = off");
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE dba LOGIN; CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE writer LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE mallory LOGIN; CREATE ROLE minimal LOGIN; CREATE ROLE ops LOGIN;
	CREATE DATABASE db OWNER dba;
});

# Result of a statement by a role, or the SQLSTATE of its error.
sub as
{
	my ($role, $sql) = @_;

	return answer($node, $sql, 'db', $role);
}

# Whoever may not make a schema in the database does not install it; its owner's
# turn is in 022_store_trusted.pl.
is(as('stranger', 'CREATE EXTENSION nvent_store'), '42501', 'a stranger cannot install it');
$node->safe_psql('db', 'CREATE EXTENSION nvent_store');

# Without USAGE no function can be called, by nobody but a superuser.
my $calls = q{
	SELECT format('SELECT nvent.%I(%s)', proname, (SELECT coalesce(string_agg('NULL::' || format_type(t, NULL), ', '), '')
		FROM unnest(proargtypes[0:pronargs - pronargdefaults - 1]::oid[]) t))
	FROM pg_proc WHERE pronamespace = 'nvent'::regnamespace AND prokind = 'f'
		AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype) AND NOT 'internal'::regtype::oid = ANY (proargtypes)
	ORDER BY 1};
my @calls = grep { !/anyelement/ } split /\n/, $node->safe_psql('db', $calls);
cmp_ok(scalar @calls, '>', 50, 'there are functions to call');
foreach my $role (qw(stranger dba))
{
	my @may = grep { as($role, $_) ne '42501' } @calls;

	is(join("\n", @may), '', "$role can call none of them");
}
is(as('stranger', 'SELECT * FROM nvent.store'), '42501', 'a stranger cannot read the registry');
is(as('stranger', 'SELECT * FROM nvent.appenders'), '42501', 'nor who appends');

# With USAGE alone a role makes no store, also where it may make tables.
$node->safe_psql('db', q{
	GRANT USAGE ON SCHEMA nvent TO app, mallory, minimal;
	GRANT CREATE ON SCHEMA public TO minimal;
	CREATE SCHEMA app AUTHORIZATION app; CREATE SCHEMA mallory AUTHORIZATION mallory; CREATE SCHEMA postgres AUTHORIZATION mallory;
	ALTER ROLE app SET search_path = '';
});
is(as('minimal', q{SELECT nvent.store_create('session', 'public')}), '42501', 'nobody claims a token of the database');
is(as('minimal', q{SELECT nvent.store_adopt('session', 'public')}), '42501', 'nor by adopting it');
is(as('minimal', q{SELECT nvent.kv_set('session:1', '1')}), '42501', 'nor by a first write');
$node->safe_psql('db', 'REVOKE ALL ON SCHEMA public FROM minimal');

# With the right to it, a role makes a store of its own, in a schema of its own.
$node->safe_psql('db', 'GRANT EXECUTE ON FUNCTION nvent.store_create TO app, mallory');
is(as('app', q{SELECT nvent.store_create('app', 'app')}), 't', 'an owner makes a store');
is(as('app', q{SELECT nvent.store_create('two', 'public')}), '42501', 'but not where he may make no tables');
is(as('app', q{SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}')}), '42501', 'nor the default store there');
is(as('app', q{SET nvent_store.default_store = 'app'; SELECT nvent.stream_append('x:flow:run:1', '{"type": "t"}') OPERATOR(pg_catalog.->>) 'subject'}),
	'x:flow:run:1', 'his own store may be his default');
is(as('app', q{SELECT pg_catalog.count(nvent.stream_append(s, '{"type": "t"}')) FROM pg_catalog.unnest('{app:flow:run:1,app:order:1,app:order:2}'::pg_catalog.text[]) s}),
	'3', 'he appends');
is(as('app', q{
	SELECT nvent.kv_set('app:k', '1', '1 hour'), nvent.entry_add('app:flows', 'f', 1, '{"registeredAt": 1}') OPERATOR(pg_catalog.>=) 0,
		nvent.lock_acquire('app:l', '1 hour') OPERATOR(pg_catalog.>) 0}), 't|t|t', 'keys, entries and locks');

# Rights on the tables are rights on the store.
is(as('app', q{
	SELECT nvent.store_grant('reader', 'read', 'app'), nvent.store_grant('writer', 'write', 'app'), nvent.store_grant('ops', 'admin', 'app')}), '||', 'the owner grants');
my @reads = (
	q{SELECT count(*) FROM nvent.stream_read('app:order:1')}, q{SELECT cardinality(events) FROM nvent.stream_poll('app:order:>', 0)},
	q{SELECT count(*) FROM nvent.entry_read('app:flows')}, q{SELECT nvent.kv_get('app:k')}, q{SELECT nvent.store_version('app') > 0},
	q{SELECT count(*) FROM nvent.route_resolve('stream', 'app:order:1')}, q{SELECT nvent.stream_version('app:order:1')}, q{SELECT nvent.lock_get('app:l') IS NOT NULL});
my @writes = (
	q{SELECT nvent.stream_append('app:order:1', '{"type": "t"}') IS NOT NULL}, q{SELECT count(*) FROM nvent.stream_append_batch('app:flow:run:1', array_fill('{"type": "t"}'::jsonb, '{2}'))},
	q{SELECT nvent.kv_set('app:k', '1')}, q{SELECT nvent.kv_increment('app:n')}, q{SELECT nvent.entry_increment('app:flows', 'f', 'stats.total')},
	q{SELECT nvent.entry_update('app:flows', 'f', '{"displayName": "n"}') > 0}, q{SELECT nvent.lock_acquire('app:m', '1 hour') > 0},
	q{SELECT nvent.stream_delete('app:order:2')}, q{SELECT nvent.kv_delete('app:n')}, q{SELECT nvent.entry_delete('app:flows', 'f')});
my @owns = (
	q{SELECT nvent.stream_create_table('made', store => 'app')}, q{SELECT nvent.stream_index('order', 'type', 'app')}, q{SELECT nvent.stream_drop_table('order', 'app')}, q{SELECT nvent.maintain()},
	q{SELECT nvent.stream_retain('order', '1 day', 'app')}, q{SELECT nvent.stream_clear('app')}, q{SELECT nvent.stream_restore('{}')},
	q{SELECT nvent.store_grant('mallory', 'write', 'app')}, q{SELECT nvent.store_revoke('reader', 'read', 'app')}, q{SELECT nvent.position_publish()},
	q{SELECT nvent.route_add('stream', 'app:x:>', 'app.app_stream_order')}, q{SELECT nvent.route_drop('stream', 'app:flow:run:{x...}')},
	q{SELECT nvent.store_migrate('app', 0)}, q{SELECT nvent.store_migrate('app')}, q{SELECT nvent.stream_protect('app.app_stream_order')},
	q{ALTER TABLE app.app_kv ADD COLUMN x text}, q{INSERT INTO nvent.route SELECT * FROM nvent.route}, q{DELETE FROM nvent.store}, q{SELECT nextval('nvent.position_seq')});
foreach my $case (['reader', 1, 0], ['writer', 1, 1], ['mallory', 0, 0], ['minimal', 0, 0])
{
	my ($role, $reads, $writes) = @$case;

	isnt(as($role, $_), $reads ? '42501' : 'anything', "$role reads: $_") foreach $reads ? @reads : ();
	is(as($role, $_), '42501', "$role does not read: $_") foreach grep { !/route_resolve/ } $reads ? () : @reads;
	like(as($role, $_), qr/^(t|1|2|3)$/, "$role writes: $_") foreach $writes ? @writes : ();
	is(as($role, $_), '42501', "$role does not write: $_") foreach $writes ? () : @writes;
	is(as($role, $_), '42501', "$role does not own: $_") foreach @owns;
}
is($node->safe_psql('db', q{SELECT count(*) FROM pg_class WHERE relname = 'app_stream_made'}), '0', 'none of them made a table');
is(as('reader', q{SELECT nvent.stream_append('app:fresh:1', '{"type": "t"}')}), '42501', 'the reader does not make one by an append');
is(as('writer', q{SELECT nvent.stream_append('app:fresh:1', '{"type": "t"}') -> 'version'}), '1', 'the writer does');
is($node->safe_psql('db', q{SELECT relowner::regrole FROM pg_class WHERE relname = 'app_stream_fresh'}), 'app', "it is the store's owner's");
is(as('reader', q{SELECT count(*) FROM nvent.stream_read('app:fresh:1')}), '1', 'the reader may read it');
is(as('ops', q{SELECT nvent.stream_create_table('made', false, 'app'), nvent.stream_index('made', 'type', 'app'), nvent.stream_retain('made', '1 day', 'app'), nvent.maintain(1, 'app'), nvent.stream_drop_table('made', 'app')}),
	't|t|0|0|t', 'who administers it makes and drops tables');
foreach my $sql (q{SELECT nvent.route_drop('stream', 'app:flow:run:{x...}')}, q{SELECT nvent.store_migrate('app', 0)}, q{SELECT nvent.store_grant('ops', 'read', 'app')},
	q{SELECT nvent.stream_protect('app.app_stream_order')})
{
	is(as('ops', $sql), '42501', "and does not own it: $sql");
}

# README.md's first minute, by a role that was given the default store.
my ($minute) = slurp_file("$FindBin::RealBin/../../README.md") =~ /^## In one minute\n.*?```sql\n(.*?)```/ms or die 'README.md has no first minute';
$minute =~ s/^CREATE EXTENSION .*\n//m;
$node->safe_psql('db', q{CREATE ROLE novice LOGIN; SELECT nvent.store_create(), nvent.store_grant('novice', 'write')});
is(as('novice', $minute), qq{1\nplaced|{"total": 42}\n1|t\n0|1\nt}, "README.md's first minute");
is($node->safe_psql('db', q{SELECT relowner::regrole FROM pg_class WHERE relname = 'nvent_stream_order'}), $node->safe_psql('db', 'SELECT current_user'), 'whose table is not his');
$node->safe_psql('db', 'SELECT nvent.store_migrate(target => 0)');

# A function of the owner lends his rights, and nothing more.
is(as('app', q{
	CREATE FUNCTION app.lend(what pg_catalog.text) RETURNS pg_catalog.jsonb LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
		AS $$ SELECT nvent.stream_append('app:lent:' || what, jsonb_build_object('type', current_user)) $$}), '', 'a function that lends');
$node->safe_psql('db', 'GRANT USAGE ON SCHEMA app TO stranger');
is(as('stranger', q{SELECT app.lend('1')->>'type'}), 'app', 'a stranger appends by it');
is(as('stranger', q{SELECT nvent.stream_append('app:lent:1', '{}')}), '42501', 'and not without');

# Plans that say so run in parallel workers.
is(as('reader', q{
	SELECT set_config(name, 'on', false) IS NOT NULL FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
	SELECT string_agg(type, ' ' ORDER BY type) FROM nvent.stream_tables('app');
	SELECT count(DISTINCT subject) FROM app.app_stream_order WHERE nvent.subject_matches(subject, 'app:*:1')}), "t\nfresh lent order x\n1", 'parallel workers');

# What mallory plants: in his store, in schemas that superusers' paths have.
is(as('mallory', q{
	SELECT nvent.store_create('evil', 'mallory');
	CREATE TABLE mallory.seen (who text, what text);
	GRANT ALL ON mallory.seen TO PUBLIC; GRANT USAGE ON SCHEMA mallory, postgres TO PUBLIC;
	CREATE FUNCTION mallory.spy() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
		BEGIN INSERT INTO mallory.seen VALUES (current_user, tg_op || ' ' || tg_table_name); RETURN coalesce(NEW, OLD); END $$;
	CREATE TRIGGER spy BEFORE INSERT OR UPDATE OR DELETE ON mallory.evil_kv FOR EACH ROW EXECUTE FUNCTION mallory.spy();
	CREATE TRIGGER spy BEFORE INSERT OR UPDATE OR DELETE ON mallory.evil_locks FOR EACH ROW EXECUTE FUNCTION mallory.spy();
	SELECT nvent.kv_set('evil:k', '1', '1 microsecond');
	SELECT nvent.lock_acquire('evil:l', '1 microsecond') > 0;
	CREATE FUNCTION postgres.trap() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO mallory.seen VALUES (current_user, 'trap'); RETURN true; END $$;
	CREATE DOMAIN postgres.jsonb AS pg_catalog.jsonb CHECK (postgres.trap());
	CREATE DOMAIN postgres.text AS pg_catalog.text CHECK (postgres.trap());
	CREATE FUNCTION postgres.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT postgres.trap(); SELECT pg_catalog.now() $$;
	CREATE FUNCTION postgres.eq(pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE sql AS 'SELECT postgres.trap()';
	CREATE OPERATOR postgres.= (FUNCTION = postgres.eq, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
	CREATE VIEW postgres.store AS SELECT postgres.trap();
	CREATE VIEW postgres.route AS SELECT postgres.trap();
}), "t\nt\nt", 'mallory plants');
my $all = q{
	SELECT nvent.store_create('root', 'root'), nvent.store_version('root');
	SELECT nvent.stream_append('root:o:1', '{"type": "t"}'), nvent.stream_append('root:flow:run:1', '{"type": "t"}');
	SELECT nvent.stream_read('root:o:1'), nvent.stream_poll('root:>', 0);
	SELECT nvent.kv_set('root:k', '1'), nvent.kv_get('root:k'), nvent.entry_add('root:x', 'i', 1, '{"a": 1}'), nvent.entry_read('root:x');
	SELECT nvent.route_resolve('stream', 'root:o:1');
	SELECT nvent.maintain(), nvent.stream_drop_table('o', 'root'), nvent.store_migrate('root', 0);
	DROP SCHEMA root};
$node->safe_psql('db', $all);
$node->safe_psql('db', "SET search_path = postgres, mallory, pg_catalog; $all");
is($node->safe_psql('db', q{SELECT DISTINCT who FROM mallory.seen}), 'mallory', 'nothing of it ran as anybody but mallory');
is($node->safe_psql('db', 'SELECT count(*) FROM mallory.seen WHERE what ~ \'DELETE\''), '2', "a superuser's maintain() runs his triggers as him");
is(as('mallory', q{SELECT nvent.kv_set('evil:k', '1', '1 microsecond'); SELECT nvent.maintain()}), "t\n1", 'they are not in the way of his own');
is($node->safe_psql('db', q{SELECT DISTINCT who FROM mallory.seen}), 'mallory', 'which runs them as mallory');
like($node->safe_psql('db', q{SELECT string_agg(what, ',' ORDER BY what) FROM mallory.seen}), qr/DELETE evil_kv,DELETE evil_locks/, 'that is, his triggers did run');

$node->stop;
done_testing();
