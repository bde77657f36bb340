-- The trigger of a role that may make one on a table ran with the rights of
-- whoever had the table maintained.
\c - grantee
CREATE FUNCTION grantee.rise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'grantee' THEN PERFORM grantee.spy('deletion of keys'); END IF;
	IF current_setting('is_superuser') = 'on' THEN ALTER ROLE grantee SUPERUSER; END IF;
	RETURN OLD;
END $$;
CREATE TRIGGER aaa BEFORE DELETE ON public.nvent_kv FOR EACH ROW EXECUTE FUNCTION grantee.rise();
CREATE TRIGGER aaa BEFORE DELETE ON shop.shop_kv FOR EACH ROW EXECUTE FUNCTION grantee.rise();
\c - root
SELECT nvent.maintain();
SELECT nvent.maintain(store => 'shop');
\c - keeper
SELECT nvent.maintain();
\c - shopkeeper
SELECT nvent.maintain();
\c - watcher
SELECT CASE WHEN rolsuper THEN 'grantee is a superuser' ELSE 'held' END FROM pg_roles WHERE rolname = 'grantee';
