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
	echo "DROP TABLE order_events;"
	echo "DROP SCHEMA tenants;"
	echo "SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;"
}

reference() {
	psql -XAtq <<-'SQL'
	SELECT CASE WHEN lag(f.title) OVER w IS DISTINCT FROM f.title
	            THEN E'\n### ' || f.title || E'\n\n' ELSE '' END
	    || '- `' || f.call || '`'
	    || CASE WHEN f.result = 'void' THEN '' ELSE ' returns `' || f.result || '`' END
	    || ': ' || f.comment
	FROM (
	    SELECT p.proname,
	        split_part(p.proname, '_', 1) AS family,
	        t.title, t.rank,
	        p.proname || '('
	            || regexp_replace(pg_get_function_arguments(p.oid), '::[a-z ]+(\[\])?', '', 'g')
	            || ')' AS call,
	        coalesce(pg_get_function_result(p.oid), 'void') AS result,
	        translate(obj_description(p.oid, 'pg_proc'), E'\n', ' ') AS comment
	    FROM pg_proc p
	    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'nvent_store'
	    JOIN (VALUES ('store', 'Stores', 1), ('route', 'Routes', 2),
	        ('subject', 'Subjects', 3), ('stream', 'Streams', 4), ('next', 'Positions', 5),
	        ('safe', 'Positions', 5), ('position', 'Positions', 5), ('appender', 'Positions', 5), ('entry', 'Entries', 6), ('kv', 'Keys', 7),
	        ('lock', 'Locks', 8), ('jsonb', 'JSON', 9), ('maintain', 'Housekeeping', 10),
	        ('consumer', 'Consumers', 11), ('checkpoint', 'Consumers', 11),
	        ('snapshot', 'Snapshots', 12), ('worker', 'Housekeeping', 10)
	    ) t (family, title, rank) ON t.family = split_part(p.proname, '_', 1)
	    WHERE p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype)
	        AND NOT 'internal'::regtype = ANY (p.proargtypes)
	) f
	WINDOW w AS (ORDER BY f.rank, f.proname, f.call)
	ORDER BY f.rank, f.proname, f.call;
	SQL
}

# README.md with its reference made anew, on standard output.
readme() {
	awk '/^<!-- reference/ { print; exit } { print }' "$here/../README.md"
	reference
	awk '/^<!-- end of reference/ { on = 1; print "" } on' "$here/../README.md"
}

"$1"
