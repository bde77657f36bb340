\set ECHO none
-- For tests of queues in a store q, which is the default one from here on: that
-- store, and what queue.sql has.
SET client_min_messages = warning;
\set helpers :abs_srcdir '/sql/include/queue.sql'
\i :helpers
\set ECHO none
DO $$ BEGIN PERFORM nvent.store_create('q'); END $$;
SET nvent_store.default_store = 'q';
\set ECHO all
