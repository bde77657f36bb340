# test/bench/notify.sh: what order and wake-ups cost; sourced by run.sh.
#
# Most of it runs within a server of its own that preloads the library.  See
# README.md here for what is compared with what.

# Sessions that wait.
waiting=${WAITING:-1000}

# prepare_notify: the other sides; bare.sql is INSERT into a table whose
# positions come from a plain sequence.
prepare_notify()
{
	"${psql[@]}" -f "$bench/notify.sql" >/dev/null || exit 1
	sed 's/nvent_stream_log/peer.stream_log/' \
		"$bench/stream_insert.sql" >"$work/bare.sql"
}

# await COUNT: so many sessions wait by now.
await()
{
	local i

	for i in $(seq 600)
	do
		[ "$("${psql[@]}" -c \
			'SELECT waiters FROM nvent.worker_status()')" -ne "$1" ] ||
			return 0
		sleep 0.1
	done
	die "there are not $1 sessions that wait"
}

# with_waiting: the rate of appends while many wait for something else.
with_waiting()
{
	local sessions

	printf '%s\n' "CALL nvent.stream_await('nvent' || chr(58) || 'never' || chr(58) || '>', 0);" \
		>"$work/await.sql"
	PGAPPNAME=waiting pgbench -n -c "$waiting" -j 1 -t 1 \
		-f "$work/await.sql" >"$work/waiting" 2>&1 &
	sessions=$!
	await "$waiting"
	tps "$bench/stream_append.sql" 32 worker
	"${psql[@]}" -c "SELECT count(pg_terminate_backend(pid))
		FROM pg_stat_activity WHERE application_name = 'waiting'" >/dev/null
	wait $sessions
	await 0
}

# waiting_sessions: appends while many wait, beside appends with nobody.
waiting_sessions()
{
	local round

	rm -f "$work"/ours "$work"/plain
	for round in $(seq "$rounds")
	do
		say "$waiting sessions wait, round $round"
		if [ $((round % 2)) -eq 1 ]
		then
			with_waiting >>"$work/ours" || exit 1
			tps "$bench/stream_append.sql" 32 worker >>"$work/plain" || exit 1
		else
			tps "$bench/stream_append.sql" 32 worker >>"$work/plain" || exit 1
			with_waiting >>"$work/ours" || exit 1
		fi
	done
	row "stream_append, $waiting wait" 32 0.95 'the same, nobody waits'
}

# paced NOTIFY: 1,000 appends a second.
paced()
{
	PGOPTIONS="-c nvent_store.notify=$1" pgbench -n -M prepared -c 8 \
		-j "$(nproc)" -R 1000 -T "$duration" "${subjects[@]}" \
		-f "$bench/stream_append.sql" >"$report" 2>&1 ||
	{
		cat "$report" >&2
		die "pgbench failed"
	}
}

# delays HOW TARGET NOTIFY: milliseconds from commit to a reader at 1,000
# appends a second: "p50 p99 untold events".
delays()
{
	local reader i

	"${psql[@]}" -c 'TRUNCATE peer.arrival' || exit 1
	"$work/follow" "$1" "$2" $((duration + 2)) >"$work/arrival" &
	reader=$!
	for i in $(seq 100)
	do
		[ ! -s "$work/arrival" ] || break
		sleep 0.05
	done
	paced "$3"
	wait $reader || die "no reader"
	"${psql[@]}" -F ' ' -c "\\copy peer.arrival FROM '$work/arrival'" \
		-c 'ANALYZE peer.arrival' -c "SELECT
			percentile_disc(0.5) WITHIN GROUP (ORDER BY ms),
			percentile_disc(0.99) WITHIN GROUP (ORDER BY ms),
			count(*) FILTER (WHERE ms IS NULL), count(*)
		FROM peer.delay" | tail -n 1
}

# delay_rows TITLE HOW TARGET NOTIFY [LIMIT]: what the rounds measured; with ''
# nothing is required of the delays.
delay_rows()
{
	local round

	rm -f "$work/delays"
	for round in $(seq "$rounds")
	do
		say "$1, round $round"
		delays "$2" "$3" "$4" >>"$work/delays" || exit 1
	done
	figure "$1: median" "$(cut -d ' ' -f 1 "$work/delays" | spread)" ms \
		"${5-2}"
	figure "$1: 99 of 100" "$(cut -d ' ' -f 2 "$work/delays" | spread)" ms \
		"${5-20}"
	figure "$1: not told of" "$(awk '{ untold += $3 } END { print untold }' \
		"$work/delays")" events 0
	figure "$1: rate" "$(awk -v s="$duration" '
		{ events += $4 } END { printf "%.0f", events / NR / s }' \
		"$work/delays")" 1/s
}

# round_trips: of SELECT 1, beside the same appends: what the machine adds to
# whatever is measured on it.
round_trips()
{
	local writers

	say 'SELECT 1'
	echo 'SELECT 1' >"$work/one.sql"
	paced worker &
	writers=$!
	pgbench -n -M prepared -c 1 -R 200 -T "$duration" -l \
		--log-prefix="$work/trip" -f "$work/one.sql" >"$work/trips" 2>&1 ||
		die 'pgbench failed'
	wait $writers || exit 1
	cut -d ' ' -f 3 "$work"/trip.* | sort -n >"$work/times"
	figure 'SELECT 1 beside such appends: median' "$(of_times 0.5)" ms
	figure 'SELECT 1 beside such appends: 99 of 100' "$(of_times 0.99)" ms
}

# of_times PART: the time in milliseconds that so many take at most.
of_times()
{
	awk -v part="$1" '{ v[NR] = $1 / 1000 } END {
		print v[int(NR * part + 0.5)] }' "$work/times"
}

# build_follow: the program that tells when something has arrived.
build_follow()
{
	${CC:-cc} -O2 -o "$work/follow" -I"$("$PG_CONFIG" --includedir)" \
		"$bench/follow.c" -L"$("$PG_CONFIG" --libdir)" -lpq ||
		die 'cannot compile follow.c'
}

# latency: from commit to who listens and to who waits.
latency()
{
	build_follow
	echo
	delay_rows 'from commit to LISTEN' listen nvent_events worker
	delay_rows 'from commit through stream_wait' wait 'nvent:log:>' worker
	delay_rows 'from commit to LISTEN, inline' listen nvent_events inline ''
	round_trips
}

# without_preload: what there is where the library is not preloaded.
without_preload()
{
	prepare_notify
	turns 'INSERT, marks as locks' 32 '' "$bench/stream_insert.sql" flush \
		"$work/bare.sql" flush 'the same table, ids of nextval()'
	turns 'stream_append, inline, off' 32 '' "$bench/stream_append.sql" inline \
		"$bench/stream_append.sql" flush 'the same, notify off'
}

# notify: everything, within the server that preloads the library.
notify()
{
	local many=$((rounds + 2))

	prepare_notify
	rounds=$many turns 'INSERT, positions' 32 0.95 \
		"$bench/stream_insert.sql" flush "$work/bare.sql" flush \
		'the same table, ids of nextval()'
	rounds=$many turns 'stream_append, worker, off' 32 0.9 \
		"$bench/stream_append.sql" worker "$bench/stream_append.sql" flush \
		'the same, notify off'
	turns 'stream_append, worker, inline' 32 15 "$bench/stream_append.sql" worker \
		"$bench/stream_append.sql" inline 'the same, notify inline'
	waiting_sessions
	latency
}
