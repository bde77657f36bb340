#!/bin/bash
# follow.sh PATTERN [AFTER]: prints the events of a pattern, a line of JSON each,
# once and in order: those after a position, 0 being the beginning, or those
# that come from now on.  With COUNT=n it ends after n events or more.
#
# Waits in the server, without a snapshot, and polls nothing.  PGHOST and the
# like say where.

set -u
pattern=$1
cursor=${2:-}
left=${COUNT:-}

# run [NAME=VALUE]...: a script on stdin, with these variables.
run()
{
	psql -XAtq -v ON_ERROR_STOP=1 "${@/#/--set=}"
}

[ -n "$cursor" ] || cursor=$(run <<<'SELECT nvent.safe_position()') || exit 1
while [ -z "$left" ] || [ "$left" -gt 0 ]
do
	# The cursor is the last line.
	if ! page=$(run pattern="$pattern" cursor="$cursor" <<-'EOF'
		CALL nvent.stream_await(:'pattern', :cursor, '1 minute');
		SELECT events, next_cursor FROM nvent.stream_poll(:'pattern', :cursor, 100) \gset
		SELECT unnest(:'events'::jsonb[]);
		\echo :next_cursor
	EOF
	)
	then
		# The server is away; the cursor is where it was.
		sleep 1
		continue
	fi
	cursor=${page##*$'\n'}
	[ "$page" != "$cursor" ] || continue
	page=${page%$'\n'*}
	printf '%s\n' "$page"
	[ -z "$left" ] || left=$((left - $(wc -l <<<"$page")))
done
