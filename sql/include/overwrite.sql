\set ECHO none
-- What tests of rows that are overwritten without the executor share: a store, a
-- role of a writer, and which way the last call went.  Whoever plans a statement that
-- writes keeps a lock on each index: with all plans discarded before, that tells.
DO $$ BEGIN PERFORM nvent.store_create(); END $$;
CREATE ROLE regress_writer;
GRANT USAGE ON SCHEMA nvent, public TO regress_writer;

CREATE FUNCTION way() RETURNS text LANGUAGE sql AS $$
SELECT CASE WHEN EXISTS (SELECT FROM pg_locks l JOIN pg_index i ON i.indexrelid = l.relation
                         WHERE l.pid = pg_backend_pid() AND l.mode = 'RowExclusiveLock')
            THEN 'statement' ELSE 'here' END $$;
\set ECHO all
