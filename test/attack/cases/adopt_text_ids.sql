-- store_adopt pasted the highest id of a table, of any type, into SQL that ran
-- as the extension's owner.
\c - :admin
CALL attack.allow('tenant');
\c - root
CALL attack.plant('text', 'tenant', 'tenant');
\c - tenant
ALTER TABLE tenant.text_trigger_events ALTER id DROP DEFAULT, ALTER id TYPE text USING id::text;
INSERT INTO tenant.text_trigger_events (id, trigger_name, ts, type) VALUES
	('1; ALTER ROLE tenant SUPERUSER', 'n', 1, 't'), ('9) FROM nvent.position_seq; ALTER ROLE tenant SUPERUSER --', 'n', 1, 't');
SELECT nvent.store_adopt('text', 'tenant');
\c - watcher
SELECT CASE WHEN rolsuper THEN 'tenant is a superuser' ELSE 'held' END FROM pg_roles WHERE rolname = 'tenant';
