-- Adoption asked for the ownership of the version table alone.
\c - :admin
CREATE SCHEMA open;
GRANT ALL ON SCHEMA open TO tenant, shopkeeper;
CALL attack.allow('tenant');
\c - root
CALL attack.plant('mine', 'open', 'tenant');
ALTER TABLE open.mine_kv OWNER TO shopkeeper;
\c - tenant
SELECT nvent.store_adopt('mine', 'open');
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM nvent.store WHERE prefix = 'mine') THEN 'a table of another role was adopted' ELSE 'held' END;
