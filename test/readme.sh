#!/bin/sh
# What README.md and the sources must say alike.
#   readme.sh examples    README's SQL statements, which sql/examples.sql runs
#   readme.sh reference   README's function reference, from the comments on the
#                         functions of the database that psql connects to
#   readme.sh readme      README.md with that reference in it
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)

examples() {
	echo '-- The statements of README.md, made by test/readme.sh; not to be edited.'
	echo "SET timezone = 'UTC';"
	awk '/^```sql$/ { inside = 1; print ""; next }
	     /^```$/ { inside = 0 }
	     inside' "$here/../README.md"
	echo
	echo "SET client_min_messages = warning;"
	echo "DROP PROCEDURE email_worker(interval);"
	echo "DROP TABLE order_events, sent_emails;"
	echo "DROP SCHEMA tenants;"
	echo "DROP SCHEMA integers CASCADE;"
	echo "SELECT nvent.store_migrate('scratch', 0) > 0 AS dropped;"
	echo "SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;"
}

reference() {
	psql -XAtq <<-'SQL' | awk -f "$here/reference.awk"
	SELECT concat_ws(E'\t', 'F', t.title, p.proname,
	        CASE WHEN p.prokind = 'p' THEN ''
	             ELSE replace(pg_get_function_result(p.oid), 'timestamp with time zone', 'timestamptz') END)
	    || coalesce((
	        SELECT string_agg(concat_ws(E'\t',
	                CASE WHEN a.mode = 'o' THEN E'\nO' ELSE E'\nA' END, a.name,
	                CASE WHEN a.mode = 'v' THEN 'VARIADIC ' ELSE '' END
	                    || replace(format_type(a.type, NULL), 'timestamp with time zone', 'timestamptz'),
	                regexp_replace(pg_get_function_arg_default(p.oid, a.n::int), '::[a-z ]+(\[\])?', '', 'g')),
	            '' ORDER BY a.n)
	        FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes)
	            WITH ORDINALITY a (type, name, mode, n)), '')
	    || E'\nC\t' || replace(obj_description(p.oid, 'pg_proc'), E'\n', E'\nC\t')
	FROM pg_proc p
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'nvent_store'
	JOIN (VALUES
	    ('stream', 'Streams', 1),
	    ('position', 'Positions', 2), ('next', 'Positions', 2), ('safe', 'Positions', 2),
	    ('snapshot', 'Snapshots', 3),
	    ('consumer', 'Consumers', 4),
	    ('checkpoint', 'Checkpoints', 5),
	    ('queue', 'Queues', 6),
	    ('entry', 'Entries', 7),
	    ('kv', 'Keys', 8),
	    ('lock', 'Locks', 9),
	    ('cron', 'Schedules', 10), ('schedule', 'Schedules', 10),
	    ('subject', 'Subjects and patterns', 11),
	    ('route', 'Routes', 12),
	    ('store', 'Stores', 13),
	    ('jsonb', 'JSON documents', 14),
	    ('worker', 'Worker and maintenance', 15), ('maintain', 'Worker and maintenance', 15)
	) t (family, title, rank) ON t.family = split_part(p.proname, '_', 1)
	-- Not what only the server, our triggers, views and statements call.
	WHERE p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)
	    AND NOT 'internal'::regtype = ANY (p.proargtypes)
	    AND p.proname NOT IN ('entry_is_changed', 'appender_low_water_marks', 'store_number', 'next_position_in_copy')
	ORDER BY t.rank, p.proname = 'kv_glob_matches', p.oid;
	SQL
}

# README.md with its reference made anew, on standard output.
readme() {
	made=$(reference)
	awk '/^<!-- reference/ { print; exit } { print }' "$here/../README.md"
	printf '%s\n' "$made"
	awk '/^<!-- end of reference/ { on = 1; print "" } on' "$here/../README.md"
}

"$1"
