-- A store whose schema was dropped stayed in the registry.
\c - :admin
DROP SCHEMA shop CASCADE;
SELECT CASE WHEN EXISTS (SELECT FROM nvent.store WHERE prefix = 'shop') OR EXISTS (SELECT FROM nvent.route WHERE store = 'shop')
	OR EXISTS (SELECT FROM nvent.stream_table WHERE store = 'shop') THEN 'the registry has the store' ELSE 'held' END;
