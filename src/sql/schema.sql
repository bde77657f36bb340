-- nvent_store install script; made from src/sql/*.sql, see the Makefile.
--
-- There is a part for each folder of src/ that has SQL functions.  A comment on
-- a function has a summary, notes, and the sections Arguments, Returns, Columns,
-- Raises, Locks and Example; test/readme.sh makes README.md's reference of them.

\echo Use "CREATE EXTENSION nvent_store" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- A member of the extension, so that nobody else's schema is ever taken over.
-- The extension may be a database owner's, while all that is in it is the
-- bootstrap superuser's: what he may do with it is granted to him.
CREATE SCHEMA nvent;
GRANT USAGE ON SCHEMA nvent TO @extowner@ WITH GRANT OPTION;

COMMENT ON SCHEMA nvent IS
'nvent_store: functions and registry; stores'' tables live in the users'' schemas';
