-- What else a tenant puts in the place of a store's tables: views, types,
-- partitions and children with code of their own.

SET search_path = tenant, pg_catalog;

-- Views over the tables.
SELECT format($sql$
	ALTER TABLE %1$s RENAME TO views_real_%2$s;
	CREATE VIEW %1$s AS SELECT * FROM views_real_%2$s WHERE spy('%1$s: view') AND spy('%1$s: view', random() < 1);
	CREATE TRIGGER spy BEFORE INSERT OR UPDATE OR DELETE ON views_real_%2$s FOR EACH ROW EXECUTE FUNCTION spy_trigger();
$sql$, relname, substr(relname, 7))
FROM pg_class WHERE relnamespace = 'tenant'::regnamespace AND relname ^@ 'views_' AND relkind = 'r' ORDER BY relname \gexec

-- A type of locks' times that is one by an implicit cast.
CREATE TYPE moment AS (t timestamptz);
CREATE FUNCTION spy_cast(moment) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN PERFORM tenant.spy('odd_locks: cast', $1 IS NULL); RETURN ($1).t; END $$;
CREATE FUNCTION spy_uncast(timestamptz) RETURNS moment LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN PERFORM tenant.spy('odd_locks: cast', $1 IS NULL); RETURN row($1); END $$;
CREATE CAST (moment AS timestamptz) WITH FUNCTION spy_cast(moment) AS IMPLICIT;
CREATE CAST (timestamptz AS moment) WITH FUNCTION spy_uncast(timestamptz) AS ASSIGNMENT;
ALTER TABLE odd_locks ALTER expires_at TYPE moment USING row(expires_at)::moment;

-- Keys that are partitioned by code.
CREATE TABLE evil_keys (key text COLLATE "C" NOT NULL, value jsonb NOT NULL, expires_at timestamptz, updated_at timestamptz)
	PARTITION BY LIST ((spy('evil_keys: partition key') AND spy('evil_keys: partition key', key IS NULL)));
CREATE TABLE evil_keys_part PARTITION OF evil_keys DEFAULT;
INSERT INTO evil_keys VALUES ('evil:keys:old', '1', '2000-01-01');
SELECT nvent.route_add('kv', 'evil:keys:>', 'evil_keys');

-- Keys, entries and streams that are routed to views.
CREATE VIEW evil_key_view AS SELECT key, value, expires_at, updated_at FROM evil_keys WHERE spy('evil_key_view: view') AND spy('evil_key_view: view', random() < 1);
CREATE VIEW odd_entry_view AS SELECT * FROM odd_entries WHERE spy('odd_entry_view: view') AND spy('odd_entry_view: view', random() < 1);
CREATE VIEW odd_stream_view AS SELECT * FROM odd_stream_order WHERE spy('odd_stream_view: view') AND spy('odd_stream_view: view', random() < 1);
SELECT nvent.route_add('kv', 'evil:view:>', 'evil_key_view');
SELECT nvent.route_add('entry', 'odd:view:>', 'odd_entry_view');
ALTER VIEW odd_stream_view ALTER id SET DEFAULT nvent.next_position('odd');
SELECT nvent.route_add('stream', 'odd:view:>', 'odd_stream_view');

-- A child of the entries, and a rule.
CREATE TABLE odd_entries_child () INHERITS (odd_entries);
CREATE TRIGGER spy BEFORE INSERT OR UPDATE OR DELETE ON odd_entries_child FOR EACH ROW EXECUTE FUNCTION spy_trigger();
CREATE RULE spy AS ON DELETE TO odd_entries DO ALSO SELECT spy('odd_entries: rule');
CREATE RULE spy AS ON UPDATE TO odd_consumers DO ALSO SELECT spy('odd_consumers: rule');
