-- The trigger of a role that may make one on a table ran with the rights of
-- whoever had the table maintained.
\c - grantee
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
