#!/bin/bash
# test/demo/run.sh: replays a package log through nvent_store ("make demo").
#
# LOG=file names the log; the default is this machine's /var/log/dpkg.log, or
# the sample beside this script where that says little.  The newest LOG_LINES
# (20000) lines of it are used.  KEEP=1 leaves the server up afterwards.
# WEB=1 shows it on a page as well (test/examples/live), on loopback, at PORT
# (8017) if that is free; so that there is something to see the replay takes a
# minute then, and the page stays until it is interrupted.

. "$(dirname "$0")/../lib.sh"

demo=$TOP/test/demo
# The server's own clients speak to it as one superuser over its own socket.
psql=(psql -X -q -v ON_ERROR_STOP=1)

# pick_log: print the log's name.
pick_log()
{
	local log=${LOG:-/var/log/dpkg.log}

	if [ -z "${LOG:-}" ] &&
		[ "$(grep -c ' status ' "$log" 2>/dev/null || true)" -lt 200 ]
	then
		log=$demo/dpkg.log.sample
	fi
	[ -r "$log" ] || die "cannot read \"$log\""
	echo "$log"
}

# listen: a client of its own that hears every wake-up; fd 3 is its input.
listen()
{
	mkfifo "$work/listener" || return 1
	"${psql[@]}" -A -t <"$work/listener" >"$work/wakeups" &
	listener=$!
	exec 3>"$work/listener"
	echo 'LISTEN nvent_events; SELECT 1;' >&3
	for _ in $(seq 100)
	do
		[ ! -s "$work/wakeups" ] || return 0
		sleep 0.1
	done
	return 1
}

# open_page: start the server of the page; print its address.
open_page()
{
	local port

	for port in "${PORT:-8017}" 0
	do
		# The listener's input would not end while the page is there.
		PORT=$port node "$TOP/test/examples/live/server.js" \
			>"$work/page" 2>"$work/page.err" 3>&- &
		page=$!
		for _ in $(seq 100)
		do
			! grep . "$work/page" 2>/dev/null || return 0
			kill -0 "$page" 2>/dev/null || break
			sleep 0.1
		done
	done
	cat "$work/page.err" >&2
	return 1
}

# paced: lines, as many in a minute as there are.
paced()
{
	awk -v n="$(($(wc -l <"$1") / 300 + 1))" \
		'{ print } NR % n == 0 { fflush(); system("sleep 0.2") }' "$1"
}

# run_replay: have psql run the statements, at its own pace unless somebody
# looks.
run_replay()
{
	if [ -n "${WEB:-}" ]
	then
		paced "$work/replay.sql" | "${psql[@]}" -o /dev/null
	else
		"${psql[@]}" -o /dev/null -f "$work/replay.sql"
	fi
}

# replay: run the statements; each is a transaction, as a client's would be.
replay()
{
	local start end

	awk -v ttl='1 day' -f "$demo/replay.awk" "$work/log" >"$work/replay.sql"
	start=$(date +%s%N)
	run_replay || return 1
	end=$(date +%s%N)
	seconds=$(((end - start) / 1000000))
	[ $seconds -gt 0 ] || seconds=1
}

# compare: every figure of the plain count against the store's.
compare()
{
	awk -f "$demo/count.awk" "$work/log" | LC_ALL=C sort >"$work/plain"
	"${psql[@]}" -A -t -f "$demo/figures.sql" | LC_ALL=C sort >"$work/stored"
	if ! diff "$work/plain" "$work/stored" >"$work/diff"
	then
		echo 'The store (>) and the plain count of the log (<) differ:'
		cat "$work/diff"
		return 1
	fi
	echo "All $(wc -l <"$work/plain") figures equal a plain count of the log," \
		"and every counter equals its runs."
}

# inside: everything that needs the server.
inside()
{
	local calls heard

	work=$(mktemp -d) || exit 1
	page=
	trap 'exec 3>&-; [ -z "$page" ] || kill "$page"; rm -rf "$work"' EXIT
	tail -n "${LOG_LINES:-20000}" "$1" >"$work/log"
	"${psql[@]}" -c 'CREATE EXTENSION nvent_store' || exit 1
	listen || die "the listener did not start"

	# There is no store to look at before the first event.
	[ -z "${WEB:-}" ] || { "${psql[@]}" -o /dev/null \
		-c 'SELECT nvent.store_create()' && open_page; } ||
		die "the page cannot be shown"
	echo "Replaying $(wc -l <"$work/log") lines of $1"
	replay || die "the replay failed"
	calls=$(grep -o 'nvent\.[a-z]*_[a-z]*(' "$work/replay.sql" | wc -l)
	echo 'SELECT 2;' >&3
	exec 3>&-
	wait "$listener"
	heard=$(grep -c '^Asynchronous notification "nvent_events"' "$work/wakeups")

	"${psql[@]}" -f "$demo/report.sql" || exit 1
	# Every call writes one row.
	echo "$calls rows written by $(grep -c ';$' "$work/replay.sql")" \
		"transactions of one client in $((seconds / 1000)).$(printf \
		%03d $((seconds % 1000))) s: $((calls * 1000 / seconds)) rows a second"
	echo "$heard wake-ups heard by a listener, the last:" \
		"$(grep -o '{.*}' "$work/wakeups" | tail -n 1)"
	compare || exit 1
	[ "$heard" -gt 0 ] || die "the listener heard nothing"
	[ -z "$page" ] || {
		echo 'The page is there until you interrupt this with Ctrl-C'
		wait "$page"
		page=
	}
}

if [ "${1:-}" = --inside ]
then
	inside "$2"
	exit
fi

log=$(pick_log) || exit 1
if [ -n "${WEB:-}" ]
then
	"$TOP/test/examples/setup.sh" || exit 1
	NODE_PATH=$(node_path)
	export NODE_PATH
fi
echo "Setting up"
"$TOP/test/setup.sh" || exit 1
PG_CONFIG=$(pg_choose) || exit 1
export PG_CONFIG
echo "Building for $("$PG_CONFIG" --version)"
build || exit 1
echo "Starting a private server"
# Not waiting for the disk keeps the time the same on slow ones.
exec "$TOP/test/cluster.sh" synchronous_commit=off -- "$0" --inside "$log"
