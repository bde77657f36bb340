-- The extension installs its own schema, which goes with it: the first thing
-- that must work.
SELECT n.nspname, e.extname
FROM pg_namespace n
JOIN pg_depend d ON d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE n.nspname = 'nvent';
DROP EXTENSION nvent_store;
SELECT count(*) FROM pg_namespace WHERE nspname = 'nvent';
CREATE EXTENSION nvent_store;
