-- The extension's own objects, checked against the rules of the house.  Each
-- query lists offenders; all of them list none.
SELECT nvent.store_version() IS NULL AS loaded;
CREATE TEMP VIEW member AS
    SELECT d.classid, d.objid FROM pg_depend d
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE e.extname = 'nvent_store' AND d.deptype = 'e';
CREATE TEMP VIEW fn AS
    SELECT p.oid::regprocedure AS fn, p.* FROM pg_proc p JOIN member ON classid = 'pg_proc'::regclass AND objid = p.oid;
CREATE TEMP VIEW rel AS
    SELECT c.oid::regclass AS rel, c.* FROM pg_class c JOIN member ON classid = 'pg_class'::regclass AND objid = c.oid;
-- There is something to check.
SELECT count(*) > 20 AS functions, (SELECT count(*) > 3 FROM rel WHERE relkind = 'r') AS tables,
    (SELECT count(*) > 0 FROM rel WHERE relkind = 'S') AS sequences, (SELECT count(*) > 0 FROM rel WHERE relkind = 'v') AS views
FROM fn;

-- Everything is in schema nvent, which is one of us.
SELECT fn FROM fn WHERE pronamespace <> 'nvent'::regnamespace;
SELECT rel FROM rel WHERE relnamespace <> 'nvent'::regnamespace;
SELECT pg_describe_object(classid, objid, 0) FROM member
WHERE classid NOT IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass, 'pg_type'::regclass, 'pg_cast'::regclass, 'pg_operator'::regclass, 'pg_event_trigger'::regclass);

-- Everything is described: functions, relations, columns, types, triggers.
SELECT fn FROM fn WHERE obj_description(oid, 'pg_proc') IS NULL;
SELECT rel FROM rel WHERE obj_description(oid, 'pg_class') IS NULL;
SELECT rel, attname FROM rel JOIN pg_attribute ON attrelid = rel.oid
WHERE relkind IN ('r', 'v', 'p') AND attnum > 0 AND NOT attisdropped AND col_description(rel.oid, attnum) IS NULL;
-- Of types, those that are not of a table or an array, which PostgreSQL 17 lists.
SELECT objid::regtype FROM member JOIN pg_type t ON t.oid = objid LEFT JOIN pg_class c ON c.oid = typrelid
WHERE classid = 'pg_type'::regclass AND typcategory <> 'A' AND coalesce(relkind, 'c') = 'c' AND obj_description(objid, 'pg_type') IS NULL;
SELECT rel, tgname FROM rel JOIN pg_trigger ON tgrelid = rel.oid WHERE NOT tgisinternal AND obj_description(pg_trigger.oid, 'pg_trigger') IS NULL;
SELECT evtname FROM pg_event_trigger JOIN member ON classid = 'pg_event_trigger'::regclass AND objid = pg_event_trigger.oid
WHERE obj_description(pg_event_trigger.oid, 'pg_event_trigger') IS NULL;
SELECT obj_description('nvent'::regnamespace, 'pg_namespace') IS NOT NULL AS described;

SELECT fn, obj_description(oid, 'pg_proc') FROM fn WHERE length(obj_description(oid, 'pg_proc')) < 30;

-- Arguments have names, and those with defaults come last (which SQL sees to).
SELECT fn FROM fn WHERE pronargs > 0 AND prokind = 'f' AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype)
    AND NOT 'internal'::regtype::oid = ANY (proargtypes) AND (proargnames IS NULL OR '' = ANY (proargnames[1:pronargs]));

-- What runs as its owner has a search path of its own; so has PL/pgSQL.
SELECT fn FROM fn JOIN pg_language l ON l.oid = prolang
WHERE (prosecdef OR lanname = 'plpgsql') AND NOT EXISTS (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search\_path=pg\_catalog%');
-- SQL functions are parsed when they are made, or have a search path.
SELECT fn FROM fn JOIN pg_language l ON l.oid = prolang
WHERE lanname = 'sql' AND prosqlbody IS NULL AND NOT EXISTS (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search\_path=pg\_catalog%');
-- C functions bind to nvs_ symbols of our library.
SELECT fn, prosrc FROM fn JOIN pg_language l ON l.oid = prolang WHERE lanname = 'c' AND (prosrc !~ '^nvs_' OR probin <> '$libdir/nvent_store');

-- Labels agree: what is immutable may run anywhere, what writes nowhere but in
-- the leader; nothing leaks.
SELECT fn, provolatile, proparallel FROM fn
WHERE (provolatile = 'i' AND proparallel <> 's') OR (provolatile = 'v' AND proparallel <> 'u') OR proleakproof;
-- Functions that return sets say how many rows to expect.
SELECT fn FROM fn WHERE proretset AND prorows = 1000 AND provolatile <> 'v' AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'sql');

-- What a dump has to keep is in the extension's configuration: each table and
-- sequence, and all of it but for what is listed here.  Restored, a database has
-- not drawn positions on any timeline.
SELECT rel FROM rel, pg_extension e WHERE extname = 'nvent_store' AND relkind IN ('r', 'S', 'p') AND NOT extconfig @> ARRAY[rel.oid];
SELECT c::regclass AS rel, w AS rows FROM pg_extension e, unnest(extconfig, extcondition) u (c, w) WHERE extname = 'nvent_store' AND w <> '' ORDER BY 1;
-- No index is left without a use: each belongs to a constraint.
SELECT i.indexrelid::regclass FROM rel JOIN pg_index i ON indrelid = rel.oid
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid);
-- Text in our tables compares bytes.
SELECT rel, attname FROM rel JOIN pg_attribute ON attrelid = rel.oid
WHERE relkind = 'r' AND atttypid = 'text'::regtype AND attcollation <> '"C"'::regcollation;

-- PUBLIC may not use the schema, so nothing in it can be called.  With USAGE
-- everybody may call what checks rights on tables, or needs none; which functions
-- these are is decided here, and a new one is missing below until it is.
SELECT split_part(proname, '_', 1) AS family, string_agg(proname, ' ' ORDER BY proname COLLATE "C") AS everybodys
FROM fn WHERE has_function_privilege(0, oid, 'EXECUTE') AND NOT 'internal'::regtype = ANY (proargtypes) GROUP BY 1 ORDER BY 1;
SELECT string_agg(proname, ' ' ORDER BY proname COLLATE "C") AS not_everybodys FROM fn WHERE NOT has_function_privilege(0, oid, 'EXECUTE');
-- What is not everybody's is the extension's owner's to grant, and is granted to
-- owners of stores by name, so each has one.
SELECT fn FROM fn WHERE NOT has_function_privilege(0, oid, 'EXECUTE')
    AND NOT EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = proowner AND privilege_type = 'EXECUTE' AND is_grantable);
SELECT proname FROM fn WHERE NOT has_function_privilege(0, oid, 'EXECUTE') GROUP BY 1 HAVING count(*) > 1;
-- Of tables PUBLIC may read the registry and draw fencing tokens, and nothing
-- else.
SELECT privilege_type FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'nvent' AND grantee = 0;
SELECT has_schema_privilege('pg_monitor', 'nvent', 'USAGE') AS somebody_may;
SELECT rel, privilege_type, is_grantable FROM rel, aclexplode(relacl) WHERE grantee = 0
    AND (rel::text, privilege_type) NOT IN (('nvent.store', 'SELECT'), ('nvent.route', 'SELECT'), ('nvent.stream_table', 'SELECT'), ('nvent.published_position', 'SELECT'), ('nvent.appenders', 'SELECT'), ('nvent.fence_seq', 'USAGE'));
SELECT rel, attname FROM rel JOIN pg_attribute ON attrelid = rel.oid WHERE attacl IS NOT NULL;
-- A view over our tables checks the rights of who reads it.
SELECT DISTINCT rel FROM rel
JOIN pg_rewrite w ON ev_class = rel.oid JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND c.oid <> rel.oid
WHERE rel.relkind = 'v' AND c.oid IN (SELECT oid FROM rel) AND NOT coalesce(rel.reloptions @> '{security_invoker=true}', false);

-- Every setting is described, starts with our name and has a sane default.
SELECT name FROM pg_settings WHERE name LIKE 'nvent\_store.%' AND (short_desc IS NULL OR short_desc !~ '^[A-Z].*\.$' OR (extra_desc IS NOT NULL AND extra_desc !~ '\.$'));
SELECT count(*) > 3 AS settings FROM pg_settings WHERE name LIKE 'nvent\_store.%';
