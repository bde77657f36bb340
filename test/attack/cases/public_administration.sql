-- Everybody could call what administers.  store_ensure() asks for itself when
-- there is something to do.
\c - root
SELECT COALESCE(string_agg(DISTINCT proname, ' ' ORDER BY proname), 'held') FROM pg_proc
WHERE pronamespace = 'nvent'::regnamespace AND has_function_privilege('stranger', oid, 'EXECUTE')
AND (proname ~ '^(store_(?!version|number|ensure)|route_(add|drop)|stream_(create_table|drop_table|clear|restore|retain|protect|unprotect|tick|wipe)|maintain|position_publish)'
	OR prorettype IN ('trigger'::regtype, 'event_trigger'::regtype));
