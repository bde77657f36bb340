# test/bench/flat.sh: what reads touch in small and in large tables; sourced by
# run.sh.

# grow ROWS: rows that the tables of "flat" have from now on.
grow()
{
	say "filling up to $1 rows"
	PGOPTIONS=$(options read) "${psql[@]}" -v done="$filled" -v rows="$1" \
		-f "$bench/grow.sql" || exit 1
	filled=$1
}

# flat: buffers of reads at 10 thousand rows and at many.  A tree may be one
# level higher.
flat()
{
	local name few many

	[ "$filled" -lt "$rows" ] || return
	grow 10000
	"${psql[@]}" -f "$bench/flat.sql" >"$work/small" || exit 1
	grow "$rows"
	"${psql[@]}" -f "$bench/flat.sql" >"$work/large" || exit 1
	paste -d '|' "$work/small" "$work/large" | while IFS='|' read -r name few _ many
	do
		figure "$name, 10000 rows" "$few" buffers
		figure "$name, $rows rows" "$many" buffers $((few + 4))
	done
}

# kv_clear: 1,000 keys of many, and the plan beneath the call.
kv_clear()
{
	[ "$filled" -ge "$rows" ] || grow "$rows"
	"${psql[@]}" <<-'SQL' >"$work/clear" 2>"$work/clear.plan" || exit 1
		INSERT INTO nvent_kv (key, value)
		SELECT 'x:' || i, '1' FROM generate_series(1, 1000) AS i
		ON CONFLICT DO NOTHING;
		VACUUM ANALYZE nvent_kv;
		SELECT count(*) FROM nvent_kv;
		SELECT relpages FROM pg_class WHERE oid = 'nvent_kv'::regclass;
		LOAD 'auto_explain';
		SET auto_explain.log_min_duration = 0;
		SET auto_explain.log_nested_statements = on;
		SET auto_explain.log_analyze = on;
		SET auto_explain.log_buffers = on;
		SET client_min_messages = log;
		BEGIN;
		SELECT nvent.kv_clear('x:*');
		ROLLBACK;
	SQL
	printf '\n%s\n' "kv_clear('x:*'): $(sed -n 3p "$work/clear") keys of $(
		sed -n 1p "$work/clear") in a table of $(
		sed -n 2p "$work/clear") pages"
	grep -E 'Delete on|Index|Seq Scan' "$work/clear.plan" | head -n 8 |
		sed 's/^ */    /'
	if grep -q 'Index' "$work/clear.plan" &&
		! grep -q 'Seq Scan on nvent_kv' "$work/clear.plan" &&
		[ "$(sed -n 3p "$work/clear")" = 1000 ]
	then
		echo '    ok: uses an index'
	else
		echo '    MISSED: uses no index, or cleared something else'
	fi
}
