# test/bench/bytes.sh: what an event costs in bytes; sourced by run.sh.
#
# WAL, without whole pages, and tables with their indexes, beside a lean table;
# see bytes.sql.  These figures do not depend on the machine.

# bytes: at most 1.1 of the other table.
bytes()
{
	say 'bytes of an event'
	"${psql[@]}" -c 'ALTER SYSTEM SET full_page_writes = off' \
		-c 'SELECT pg_reload_conf()' >/dev/null || exit 1
	PGOPTIONS=$(options cpu) "${psql[@]}" -f "$bench/bytes.sql" \
		>"$work/bytes" || exit 1
	"${psql[@]}" -c 'ALTER SYSTEM RESET full_page_writes' \
		-c 'SELECT pg_reload_conf()' >/dev/null || exit 1
	printf '\n%-36s %11s %11s %6s %8s\n' 'bytes of one event' ours 'its peer' \
		ratio 'at most'
	awk -F '|' 'NF == 5 {
		line($1 ": WAL", $2, $3)
		line($1 ": table and indexes", $4, $5)
	}
	function line(name, ours, plain) {
		printf "%-36s %11.0f %11.0f %6.2f %8s %s\n", name, ours, plain,
			ours / plain, 1.1, ours <= 1.1 * plain ? "ok" : "MISSED"
	}' "$work/bytes"
}
