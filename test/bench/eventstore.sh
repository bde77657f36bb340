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

# append_apart: 32 connections, a flush of 2 ms at each commit.
append_apart()
{
	turns 'append, different subjects' 32 10 \
		"$bench/append_apart.sql" flush \
		"$bench/append_apart.plain.sql" flush
}

# append_one: 8 connections, one subject, whatever its version.  pgbench stops
# at the first error.
append_one()
{
	local rate count

	say 'append to one subject'
	rate=$(tps "$bench/append_one.sql" 8 flush) || exit 1
	count=$(events_of nvent:many:one)
	figure 'append, one subject, any version, 8 conn.' "${rate%.*}" 1/s
	figure 'the same: versions without an event' \
		$((${count#* } - ${count% *})) '' 0
}

# append_wide: one call, 1,000 events of one subject or of 1,000.
append_wide()
{
	local narrow wide

	say 'append to 1,000 subjects'
	read -r narrow wide < <("${psql[@]}" -F ' ' -f "$bench/append_wide.sql" |
		tail -n 1)
	figure 'append, 1,000 events of one subject' "$narrow" ms
	figure 'append, 1,000 subjects in one call' "$wide" ms \
		"$(awk -v ms="$narrow" 'BEGIN { print 3 * ms }')"
}

# buffers NAME LIMIT QUERY: what the second call in a session reads.
buffers()
{
	local count

	count=$("${psql[@]}" -c "$3" \
		-c "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) $3" |
		awk '/Buffers:/ && !seen {
			seen = 1
			n = 0
			for (i = 1; i <= NF; i++)
				if ($i ~ /^(hit|read)=/)
				{
					split($i, part, "=")
					n += part[2]
				}
			print n
		}')
	figure "$1" "$count" buffers "$2"
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
