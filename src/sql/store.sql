
-- The registry of stores.  See src/store/store.c.

-- Computes a stored column and is said to be immutable for that: it tells what
-- a name meant when the row was written, as by CREATE, COPY or a restore.  A dump
-- leaves such a column out, so it never has the OID of another database.
CREATE FUNCTION nvent.version_table(
    schema_name text,
    prefix text
) RETURNS regclass
AS 'MODULE_PATHNAME', 'nvs_version_table'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.version_table(text, text) IS
'the table by which a store is known, prefix_schema_version; NULL when there is none';
REVOKE ALL ON FUNCTION nvent.version_table(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION nvent.version_table(text, text) TO @extowner@ WITH GRANT OPTION;

CREATE TABLE nvent.store (
    prefix text COLLATE "C" PRIMARY KEY,
    schema_name text COLLATE "C" NOT NULL,
    version_table regclass GENERATED ALWAYS AS (nvent.version_table(schema_name, prefix)) STORED,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE nvent.store IS
'stores: named sets of tables of the users; '
'written by nvent.store_create, store_adopt and store_migrate only';
COMMENT ON COLUMN nvent.store.prefix IS
'first token of the store''s subjects and beginning of its tables'' names';
COMMENT ON COLUMN nvent.store.schema_name IS
'schema of its tables when it was made; where they are now is where version_table is';
COMMENT ON COLUMN nvent.store.version_table IS
'the table by which the store is known, whatever others get its name; '
'who owns it owns the store, and where it is gone the store is';
COMMENT ON COLUMN nvent.store.created_at IS 'when it was made or adopted';

-- No foreign keys: pg_restore -j loads the registry's tables in any order.
CREATE TABLE nvent.route (
    store text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    pattern text COLLATE "C" NOT NULL,
    shape text COLLATE "C" NOT NULL,
    schema_name text COLLATE "C",
    table_name text COLLATE "C" NOT NULL,
    aliases jsonb NOT NULL DEFAULT '{}',
    notify text COLLATE "C",
    PRIMARY KEY (store, kind, shape)
);
COMMENT ON TABLE nvent.route IS
'which relation holds the subjects or keys that match a pattern; '
'written by nvent.route_add and route_drop only';
COMMENT ON COLUMN nvent.route.store IS 'prefix of the store that the route belongs to';
COMMENT ON COLUMN nvent.route.kind IS 'stream, entry or kv';
COMMENT ON COLUMN nvent.route.pattern IS
'subject pattern; its captures name columns of the relation';
COMMENT ON COLUMN nvent.route.shape IS
'the pattern without the names of its captures: '
'equal shapes match the same subjects with the same precedence';
COMMENT ON COLUMN nvent.route.schema_name IS
'schema of the relation; NULL for where the store''s own tables are';
COMMENT ON COLUMN nvent.route.table_name IS
'name of the relation, which must belong to the store''s owner';
COMMENT ON COLUMN nvent.route.aliases IS 'other names of fields: {"field": "column"}';
COMMENT ON COLUMN nvent.route.notify IS
'worker, inline or off; NULL follows nvent_store.notify';

CREATE TABLE nvent.stream_table (
    store text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    table_name text COLLATE "C" NOT NULL,
    PRIMARY KEY (store, type)
);
COMMENT ON TABLE nvent.stream_table IS
'generic stream tables, one for each type of the subjects that no route takes; '
'see nvent.stream_tables';
COMMENT ON COLUMN nvent.stream_table.store IS 'prefix of the store';
COMMENT ON COLUMN nvent.stream_table.type IS
'type of its subjects: the token after the store''s prefix, '
'or their first when that is not the prefix';
COMMENT ON COLUMN nvent.stream_table.table_name IS
'name of the table, hashed where prefix and type are too long; it is where the store is';

SELECT pg_catalog.pg_extension_config_dump('nvent.store', '');
SELECT pg_catalog.pg_extension_config_dump('nvent.route', '');
SELECT pg_catalog.pg_extension_config_dump('nvent.stream_table', '');

-- Names only; who may read a store's rows is decided by its tables.
GRANT SELECT ON nvent.store, nvent.route, nvent.stream_table TO PUBLIC;

CREATE FUNCTION nvent.registry_changed() RETURNS trigger
AS 'MODULE_PATHNAME', 'nvs_registry_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.registry_changed() IS
'trigger of the registry tables: has every session read them again after commit';

CREATE TRIGGER registry_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON nvent.store
    FOR EACH STATEMENT EXECUTE FUNCTION nvent.registry_changed();
CREATE TRIGGER registry_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON nvent.route
    FOR EACH STATEMENT EXECUTE FUNCTION nvent.registry_changed();
CREATE TRIGGER registry_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON nvent.stream_table
    FOR EACH STATEMENT EXECUTE FUNCTION nvent.registry_changed();

-- Sessions must be told whatever session_replication_role says.
ALTER TABLE nvent.store ENABLE ALWAYS TRIGGER registry_changed;
ALTER TABLE nvent.route ENABLE ALWAYS TRIGGER registry_changed;
ALTER TABLE nvent.stream_table ENABLE ALWAYS TRIGGER registry_changed;
COMMENT ON TRIGGER registry_changed ON nvent.store IS 'see nvent.registry_changed()';
COMMENT ON TRIGGER registry_changed ON nvent.route IS 'see nvent.registry_changed()';
COMMENT ON TRIGGER registry_changed ON nvent.stream_table IS 'see nvent.registry_changed()';

-- What every store begins with; pattern and shape follow "prefix:".
CREATE VIEW nvent.default_route AS
SELECT d.kind, d.pattern, d.shape, d.table_name, d.aliases::pg_catalog.jsonb
FROM (VALUES
    ('stream', 'flow:run:{run_id...}', 'flow:run:{...}', 'flow_events', '{}'),
    ('stream', 'trigger:event:{trigger_name...}', 'trigger:event:{...}', 'trigger_events', '{}'),
    ('entry', 'flow:runs:{flow_name...}', 'flow:runs:{...}', 'flow_runs', '{}'),
    ('entry', 'flows', 'flows', 'flows', '{}'),
    ('entry', 'triggers', 'triggers', 'triggers', '{"type": "trigger_type"}'),
    ('entry', 'scheduler:jobs', 'scheduler:jobs', 'scheduler_jobs', '{}')
) d (kind, pattern, shape, table_name, aliases);
COMMENT ON VIEW nvent.default_route IS
'the routes that nvent.store_create gives a store, to tables prefix_table_name';
COMMENT ON COLUMN nvent.default_route.kind IS 'as in nvent.route';
COMMENT ON COLUMN nvent.default_route.pattern IS 'what follows "prefix:" in the pattern';
COMMENT ON COLUMN nvent.default_route.shape IS 'what follows "prefix:" in the shape';
COMMENT ON COLUMN nvent.default_route.table_name IS 'what follows "prefix_" in the table''s name';
COMMENT ON COLUMN nvent.default_route.aliases IS 'as in nvent.route';

CREATE FUNCTION nvent.store_create(
    prefix text DEFAULT 'nvent',
    schema text DEFAULT 'public',
    owner text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_store_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.store_create(text, text, text) IS
'Makes a store: tables prefix_... in a schema, which belong to one role.

Its name is claimed for the whole database: from then on everything whose first token it is belongs
to the store. So it is refused while another store holds something under that name. What
transactions hold open meanwhile is not seen and stays where it was written. Many sessions may make
the same store at once. A store whose tables were dropped is made anew.

Arguments:
  prefix: name of the store, one token of 1 to 40 bytes; none of "*", ">", "{", "}" and control
    characters is in it, and it does not begin with "\"
  schema: where its tables go; it is made too, for the owner, when it is missing
  owner: the role that the store is to belong to, and that the caller is a member of; NULL is the
    caller
Returns:
  true when the store was made now, false when it was there in that schema
Raises:
  42710: the prefix is taken in another schema or by another owner, or is too close to one of
    another store there
  55006: another store holds keys, entries, locks, events, snapshots, consumers or routes under it
  42P07: unregistered tables of that prefix are there, see nvent.store_adopt
  42622: the name of the schema is too long
  22023: the prefix is not valid, or the schema is temporary
  42704: there is no such role
  42501: the caller is no member of that role, or that role may not make tables in the schema
Locks:
  the names of the store and of the schema until the transaction ends, against other calls like it
Example:
  SELECT nvent.store_create(''shop'', ''app'');';

CREATE FUNCTION nvent.store_ensure(
    prefix text DEFAULT 'nvent',
    schema text DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_store_ensure'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.store_ensure(text, text) IS
'Has a store be there, with the latest layout: what a program calls when it starts.

It makes the store as nvent.store_create does, takes over tables that are there as
nvent.store_adopt does if they are the caller''s own, or moves it to the latest layout as
nvent.store_migrate does. Where nothing is to be done the right to read the store is enough. Any
number of processes may start at once.

Arguments:
  prefix: name of the store
  schema: where it is to be; NULL is where it is, and schema public when it is made
Returns:
  what was done: "created", "adopted", "migrated" or "unchanged"
Raises:
  42710: it is in another schema, and others as nvent.store_create and nvent.store_adopt
  42501: the caller may not make stores, or does not own this one or tables that are there, where
    something is to be done
  0A000: the store has a later layout than this version of nvent_store knows
Locks:
  nothing where nothing is to be done, else as these functions
Example:
  SELECT nvent.store_ensure(''shop'', ''app'');';

CREATE FUNCTION nvent.store_version(
    prefix text DEFAULT 'nvent'
) RETURNS integer
AS 'MODULE_PATHNAME', 'nvs_store_version'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.store_version(text) IS
'Returns the layout of a store''s tables.

Arguments:
  prefix: name of the store
Returns:
  the layout as prefix_schema_version has it; NULL when there is no such store, and for NULL
Example:
  SELECT nvent.store_version(''nvent'');';

CREATE FUNCTION nvent.store_migrate(
    prefix text DEFAULT 'nvent',
    target integer DEFAULT NULL
) RETURNS integer
AS 'MODULE_PATHNAME', 'nvs_store_migrate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.store_migrate(text, integer) IS
'Moves a store to a layout, up or down.

Only the store''s owner may. The name of a store whose tables were dropped is given up by target 0,
by whoever may make stores.

Arguments:
  prefix: name of the store
  target: the layout; NULL is the latest, 0 drops every table of the store with its rows
Returns:
  the layout that the store had; NULL for one whose tables were gone
Raises:
  22023: there is no such layout, or it is 1 or 2, of adapter-store-postgres
  NV009: there is no such store
  42501: the caller is not the store''s owner
  0A000: the store has a later layout than this version of nvent_store knows
Locks:
  the store until the transaction ends, and the tables that it changes, against everybody; from 6 to 7 only stream
    tables that have an index to drop, and from 7 to 6, where these are built, against writers
Example:
  SELECT nvent.store_migrate(''nvent'', 0);';

CREATE FUNCTION nvent.store_adopt(
    prefix text DEFAULT 'nvent',
    schema text DEFAULT 'public',
    widen boolean DEFAULT true,
    OUT relation text,
    OUT change text
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_store_adopt'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.store_adopt(text, text, boolean) IS
'Takes over tables that are there already, in place and with every row.

They are those of a deployment of adapter-store-postgres (layout 1 or 2), or of a store that the
registry does not know or whose version table it has lost. They must be plain tables of one role,
as which the caller can act; it is the owner of the store. The name is claimed as by
nvent.store_create.

Arguments:
  prefix: beginning of the tables'' names
  schema: where they are
  widen: whether integer columns of adapter-store-postgres become bigint. With false they stay as
    they are: node-postgres gives bigint as text, which the adapter takes for text if it goes on
    beside. Counters then end at 2,147,483,647
Returns:
  a row for each change
Columns:
  relation: the table
  change: what was done to it, in words; or "left to SQL" and how many rows of it no function
    reaches, since they have no name that can be said, or an id below 1
Raises:
  42P01: there are no such tables
  42710: the store exists
  42501: the caller does not own the tables; or row-level security is forced on one, and would hide rows
  42P16: a table belongs to another role, is a view or the like, or has a column of another type
  42809: a table is partitioned, a partition, or inherits or is inherited from
  22003: an id is too high to be a position; the message says in which table
  55006: another store holds something under the prefix
  0A000: the tables have a later layout than this version of nvent_store knows
Locks:
  the tables until commit, against everybody; those of entries and keys are written anew once, and
  every index is built once. Other stores go on
Example:
  SELECT * FROM nvent.store_adopt(''nvent'');';

CREATE FUNCTION nvent.store_grant(
    role regrole,
    privilege text,
    store text DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'nvs_store_grant'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.store_grant(regrole, text, text) IS
'Lets a role read, write or administer a store: all that an application needs.

It grants USAGE on schema nvent and on the schema of the store''s tables, and privileges on all of
them: tables of the layout, stream tables, and tables of its routes. Stream tables that are made
later, by the first append of a type or by nvent.stream_create_table, belong to the store''s owner
and get the privileges that a role has on prefix_flow_events. A table to which a route is added later
gets them by another call. Tables of a route that belong to somebody else are left alone, with a
warning.

"read" is SELECT, for all functions that read. "write" adds INSERT, UPDATE and DELETE, for all that
write, and stream tables are made as they are needed. "admin" adds nvent.stream_create_table, nvent.stream_index,
stream_drop_table, stream_retain, stream_restore, stream_clear and maintain. Routes, layouts,
protection and grants are the owner''s alone; for a role that a store was given to by ALTER TABLE ..
OWNER TO or REASSIGN OWNED, the call gives the functions for that.

Arguments:
  role: the role
  privilege: "read", "write" or "admin"; each includes those before it
  store: the store; NULL is the default store
Raises:
  NV009: there is no such store
  42501: the caller is not the store''s owner
  22023: privilege is not valid
Locks:
  the store until the transaction ends, against new tables
Example:
  SELECT nvent.store_grant(''app'', ''write'');';

CREATE FUNCTION nvent.store_revoke(
    role regrole,
    privilege text,
    store text DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'nvs_store_revoke'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.store_revoke(regrole, text, text) IS
'Takes from a role what nvent.store_grant gave: a privilege and those that include it.

So "read" takes everything, and "write" leaves "read". USAGE on schemas and EXECUTE on functions
stay: they give no right on a store, and the role may have them for something else.

Arguments:
  role: the role
  privilege: "read", "write" or "admin"
  store: the store; NULL is the default store
Raises:
  NV009: there is no such store
  42501: the caller is not the store''s owner
  22023: privilege is not valid
Locks:
  the store until the transaction ends, against new tables
Example:
  SELECT nvent.store_revoke(''app'', ''write'');';

-- Making a store claims a token of the subjects of the whole database.  Who owns one is given
-- EXECUTE on what administers it, see src/store/grant.c.
REVOKE ALL ON FUNCTION
    nvent.registry_changed,
    nvent.store_create,
    nvent.store_migrate,
    nvent.store_adopt,
    nvent.store_grant,
    nvent.store_revoke
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    nvent.registry_changed,
    nvent.store_create,
    nvent.store_migrate,
    nvent.store_adopt,
    nvent.store_grant,
    nvent.store_revoke
TO @extowner@ WITH GRANT OPTION;
