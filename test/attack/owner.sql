-- What the owner of a store plants in its tables: a spy wherever PostgreSQL
-- runs code for somebody who writes or reads.  Run by the owner, with the
-- variables store and schema.

SELECT current_user AS me \gset
SET search_path = :me, pg_catalog;
\set of :store _

SELECT format('CREATE DOMAIN spied AS text CHECK (spy(''%s_: domain'') AND spy(''%1$s_: domain'', value IS NULL))', :'store') \gexec
SELECT format($sql$
	CREATE TRIGGER spy_before BEFORE INSERT OR UPDATE OR DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION spy_trigger();
	CREATE TRIGGER spy_after AFTER INSERT OR UPDATE OR DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION spy_trigger();
	CREATE TRIGGER spy_before_all BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %1$s EXECUTE FUNCTION spy_trigger();
	CREATE TRIGGER spy_after_all AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %1$s EXECUTE FUNCTION spy_trigger();
	CREATE TRIGGER spy_when BEFORE DELETE ON %1$s FOR EACH ROW WHEN (spy('%2$s: WHEN of a trigger') AND spy('%2$s: WHEN of a trigger', OLD.%3$I IS NULL)) EXECUTE FUNCTION spy_trigger();
	CREATE CONSTRAINT TRIGGER spy_deferred AFTER INSERT OR UPDATE OR DELETE ON %1$s INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spy_trigger();
	ALTER TABLE %1$s ADD planted_default boolean DEFAULT spy('%2$s: default'),
		ADD planted_generated boolean GENERATED ALWAYS AS (spy('%2$s: generated column') AND spy('%2$s: generated column', %3$I IS NULL)) STORED,
		ADD planted_domain spied DEFAULT 'd', ADD CHECK (spy('%2$s: CHECK constraint') AND spy('%2$s: CHECK constraint', %3$I IS NULL));
	CREATE INDEX ON %1$s ((spy('%2$s: index') AND spy('%2$s: index', %3$I IS NULL)));
	CREATE INDEX ON %1$s (planted_default) WHERE spy('%2$s: predicate of an index') AND spy('%2$s: predicate of an index', %3$I IS NULL);
	CREATE STATISTICS %2$s_spied ON (spy('%2$s: statistics') AND spy('%2$s: statistics', %3$I IS NULL)) FROM %1$s;
$sql$, c.oid::regclass, c.relname, (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1))
FROM pg_class c WHERE c.relnamespace = :'schema'::regnamespace AND c.relname ^@ :'of' AND c.relkind = 'r' ORDER BY c.relname \gexec

-- Not on streams and consumers, where a policy hides what must be seen.
SELECT format($sql$
	ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY spy ON %1$s USING (spy('%2$s: policy') AND spy('%2$s: policy', %3$I IS NULL));
$sql$, c.oid::regclass, c.relname, (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1))
FROM pg_class c WHERE c.relnamespace = :'schema'::regnamespace
	AND c.relname = ANY (SELECT format('%s_%s', :'store', t) FROM unnest('{kv,locks,entries,snapshots}'::text[]) t) \gexec
