-- What a tenant plants in a schema that goes before pg_catalog in everybody's
-- search path: types, functions and operators of PostgreSQL's own, and tables
-- of ours.  Nothing of it is ever to run but as the tenant.

SET search_path = tenant, pg_catalog;

SELECT format('CREATE DOMAIN traps.%I AS pg_catalog.%1$I CHECK (tenant.spy(''trap: type %1$s''))', t)
FROM unnest('{text,jsonb,timestamptz,name,oid,bool,int2,int4,int8,float8,numeric,regclass,regprocedure,uuid,bytea,varchar,xid}'::text[]) t \gexec

-- Functions of everyday arguments.
SELECT DISTINCT ON (p.proname, pg_get_function_identity_arguments(p.oid)) format($sql$
	CREATE FUNCTION traps.%I(%s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN PERFORM tenant.spy('trap: function %1$s'); RETURN NULL; END $$
$sql$, p.proname, (SELECT string_agg(format_type(t, NULL), ', ') FROM unnest(p.proargtypes) t),
	pg_get_function_result(p.oid))
FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
	AND p.proname IN ('now', 'clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'set_config', 'current_setting', 'nextval',
		'setval', 'starts_with', 'to_jsonb', 'jsonb_strip_nulls', 'pg_get_expr', 'pg_has_role', 'row_security_active', 'strpos', 'split_part',
		'hashtext', 'length', 'lower', 'substr', 'replace', 'format_type', 'quote_ident', 'md5', 'abs', 'mod', 'floor', 'timezone', 'date_part',
		'jsonb_typeof', 'array_length', 'cardinality', 'pg_describe_object', 'pg_get_serial_sequence', 'text', 'int8', 'int4', 'timestamptz')
	AND NOT p.proargtypes::oid[] && '{internal,cstring,anyelement,anyarray,anycompatible}'::regtype[]::oid[] \gexec

-- Operators of everyday types.
CREATE FUNCTION traps.make_operator(operator text, l regtype, r regtype, result regtype) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	function text = format('"%s of %s and %s"', operator, l, r);
BEGIN
	EXECUTE format('CREATE FUNCTION traps.%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS '
		'$f$ BEGIN PERFORM tenant.spy(%L); RETURN NULL; END $f$', function, l, r, result, 'trap: operator ' || operator);
	EXECUTE format('CREATE OPERATOR traps.%s (FUNCTION = traps.%s, LEFTARG = %s, RIGHTARG = %s)', operator, function, l, r);
END $$;
SELECT count(traps.make_operator(o.oprname, o.oprleft, o.oprright, o.oprresult))
FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0 AND o.oprright <> 0
	AND o.oprname IN ('=', '<>', '<', '<=', '>', '>=', '||', '->', '->>', '@>', '-', '+', '?')
	AND o.oprleft::regtype::text IN ('text', 'name', 'jsonb', 'bigint', 'integer', 'oid', 'boolean', 'timestamp with time zone', 'text[]', 'double precision')
	AND o.oprright::regtype::text IN ('text', 'name', 'jsonb', 'bigint', 'integer', 'oid', 'boolean', 'timestamp with time zone', 'text[]', 'double precision', 'interval');

-- Tables of ours.
SELECT format('CREATE VIEW traps.%I AS SELECT tenant.spy(''trap: table %1$s'') AS prefix', t)
FROM unnest('{store,route,stream_table,published_position,position_seq,appenders,default_route,nvent_kv,shop_kv,nvent_schema_version,pg_class,pg_namespace,pg_proc,pg_attribute,pg_locks}'::text[]) t \gexec
GRANT SELECT ON ALL TABLES IN SCHEMA traps TO PUBLIC;
