\set ECHO none
-- For tests of streams in a store test, whose schema has that name: the store,
-- and what helpers.sql has; errors and warnings in one line.
SET client_min_messages = warning;
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
\set ECHO none
DO $$ BEGIN PERFORM nvent.store_create('test', 'test'); END $$;
\set VERBOSITY terse
\set ECHO all
