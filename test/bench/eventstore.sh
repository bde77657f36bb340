# test/bench/eventstore.sh: what an event store is asked for; sourced by run.sh.
#
# Appends to different subjects against a store that takes one append lock,
# appends to one subject that must not conflict, calls that name many subjects,
# and what a look at the end of a long stream reads.

# events_of SUBJECT: how many events it has, and its last version.
events_of()
{
	"${psql[@]}" -F ' ' -c "SELECT count(*), max(version)
		FROM nvent_stream_many WHERE subject = '$1'"
}

# append_apart: 32 clients, a flush of 2 ms at each commit.
append_apart()
{
	compare 'append, different subjects' 10 "$rounds" \
		"$bench/append_apart.sql" flush \
		"$bench/append_apart.plain.sql" flush
}

# append_one: 8 clients, one subject, whatever its version.  pgbench stops at
# the first error.
append_one()
{
	local rate count

	say 'append to one subject'
	rate=$(tps "$bench/append_one.sql" 8 flush) || exit 1
	count=$(events_of nvent:many:one)
	if [ "${count% *}" = "${count#* }" ]
	then
		row 'append, one subject, any version' 8 "$rate" 0 '' \
			'ok: no conflict, no gap'
	else
		row 'append, one subject, any version' 8 "$rate" 0 '' \
			"MISSED: events and last version are $count"
	fi
}

# append_wide: one call, 1,000 events of one subject or of 1,000.
append_wide()
{
	say 'append to 1,000 subjects'
	"${psql[@]}" -F ' ' -f "$bench/append_wide.sql" | tail -n 1 |
		awk '{ printf "%-36s %s ms, one subject %s ms: %.1f times %s\n",
			"append, 1,000 subjects in one call", $2, $1, $2 / $1,
			$2 < 3 * $1 ? "ok" : "MISSED" }'
}

# buffers NAME LIMIT QUERY: what the second call in a session reads.
buffers()
{
	"${psql[@]}" -c "$3" -c "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) $3" |
		awk -v name="$1" -v limit="$2" '/Buffers:/ && !seen {
			seen = 1
			n = 0
			for (i = 1; i <= NF; i++)
				if ($i ~ /^(hit|read)=/)
				{
					split($i, part, "=")
					n += part[2]
				}
			printf "%-36s %d buffers %s\n", name, n, n < limit ? "ok" : "MISSED"
		}'
}

eventstore()
{
	say 'filling a subject of a million events'
	PGOPTIONS=$(options read) "${psql[@]}" -f "$bench/eventstore.sql" \
		>/dev/null || exit 1
	append_apart
	append_one
	append_wide
	buffers 'version of a million events' 10 \
		"SELECT nvent.stream_version('nvent:long:1')"
	buffers 'last of a million events' 10 \
		"SELECT nvent.stream_read('nvent:long:1', backward => true, max_count => 1)"
	buffers 'tail of a million events' 10 \
		"SELECT nvent.stream_read('nvent:long:1', after_version => 999990)"
	buffers 'only event beside a million' 10 \
		"SELECT nvent.stream_read('nvent:long:2')"
	# Of a poll: what a walk looks at before it gives up, and an index.
	buffers '10 of a type in a million' 500 \
		"SELECT nvent.stream_poll('nvent:long:>', 0, types => '{rare}')"
	buffers '10 of a prefix beside a million' 500 \
		"SELECT nvent.stream_poll('nvent:long:few:>', 0)"
	buffers '10 of a pattern beside a million' 500 \
		"SELECT nvent.stream_poll('nvent:long:few:*', 0)"
	buffers '10 of a category beside a million' 500 \
		"SELECT nvent.stream_poll_category('nvent:long:few', 0)"
}
