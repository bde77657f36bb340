-- One table of a store, dropped and made again by somebody else, was used as
-- the store's.
\c - keeper
DROP TABLE public.nvent_stream_order, public.nvent_kv CASCADE;
\c - :admin
GRANT CREATE ON SCHEMA public TO tenant;
\c - tenant
CREATE TABLE public.nvent_stream_order (LIKE tenant.evil_stream_order INCLUDING ALL);
CREATE TABLE public.nvent_kv (LIKE tenant.evil_kv INCLUDING ALL);
GRANT ALL ON public.nvent_stream_order, public.nvent_kv TO PUBLIC;
\c - keeper
SELECT nvent.stream_append('nvent:order:1', '{"type": "secret"}');
SELECT nvent.kv_set('nvent:k', '"secret"');
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM public.nvent_stream_order) OR EXISTS (SELECT FROM public.nvent_kv) THEN 'what was appended is in another''s table' ELSE 'held' END;
