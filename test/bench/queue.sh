# test/bench/queue.sh: the job queue beside one in plain SQL; sourced by run.sh.
#
#	BACKLOGS="1000 100000 3000000"  jobs that are ready when one is fetched
#	HELD=90                         seconds that a snapshot is held
#
# It runs within a server of its own.  See README.md here for what is compared
# with what.

backlogs=${BACKLOGS:-1000 100000 3000000}
held_for=${HELD:-90}

# Jobs ready when fetching is measured.
backlog=100000

# queue_psql [ARGUMENT]...: psql that waits for no flush.
queue_psql()
{
	PGOPTIONS=$(options cpu) "${psql[@]}" "$@" || exit 1
}

# send_to QUEUE COUNT: so many thousand jobs more are ready there.
send_to()
{
	queue_psql -v queue="$1" <<-SQL >/dev/null
		SELECT count(*) FROM (SELECT nvent.queue_send_batch(:'queue', jobs) FROM lean.job_batch, generate_series(1, $2)) AS s;
	SQL
}

# add SIDE COUNT: so many thousand jobs more are ready there.
add()
{
	if [ "$1" = ours ]
	then
		send_to bench "$2"
		return
	fi
	queue_psql <<-SQL >/dev/null
		INSERT INTO lean.jobs (queue, data)
		SELECT 'bench', j -> 'data' FROM generate_series(1, $2), lean.job_batch, unnest(jobs) AS j;
	SQL
}

# fill COUNT: both sides have so many thousand jobs, and no others.
fill()
{
	queue_psql <<-SQL >/dev/null
		SELECT nvent.queue_drop('bench'), nvent.queue_create('bench');
		TRUNCATE lean.jobs;
	SQL
	add ours "$1"
	add plain "$1"
	queue_psql -c 'VACUUM ANALYZE'
}

# refill SIDE: before a turn, as many come in as the last one took, and what that
# one left dead is removed.
refill()
{
	if [ "${took[$1]:-0}" -gt 0 ]
	then
		add "$1" "${took[$1]}"
		queue_psql -c VACUUM
	fi
	took[$1]=$taking
}

# takes TITLE CONNECTIONS BOUND MODE SCRIPT PEER CALLS JOBS: fetch jobs and
# complete them, so many calls a connection, JOBS each; the backlog is the same
# at the beginning of each turn.
takes()
{
	local -A took=()
	local calls=$7 before=refill taking=$((($2 * $7 * $8 + 999) / 1000))

	fill $(((backlog + 500 * taking) / 1000 + 50))
	turns "$1" "$2" "$3" "$bench/$5.sql" "$4" "$bench/$6.plain.sql" "$4"
}

# sends: one by one and in batches.
sends()
{
	local mode bound remark

	fill 0
	while IFS='|' read -r mode bound remark
	do
		turns "queue_send$remark" 8 "$bound" "$bench/queue_send.sql" "$mode" \
			"$bench/queue_send.plain.sql" "$mode" </dev/null
	done <<-END
		flush|1|
		disk|1|, this disk
		cpu||, no flush
	END
	turns 'queue_send_batch, 1000 jobs' 1 1 "$bench/queue_send_batch.sql" cpu \
		"$bench/queue_send_batch.plain.sql" cpu
}

# fetches: what workers do.
fetches()
{
	local title connections bound mode script peer calls jobs

	while IFS='|' read -r title connections bound mode script peer calls jobs
	do
		takes "$title" "$connections" "$bound" "$mode" "$script" "$peer" \
			"$calls" "$jobs" </dev/null
	done <<-END
		queue_fetch, complete|8|1|flush|queue_take|queue_take|400|1
		queue_fetch, complete, this disk|8|1|disk|queue_take|queue_take|800|1
		queue_fetch, complete, no flush|1||cpu|queue_take|queue_take|4000|1
		queue_fetch, complete, no flush|8||cpu|queue_take|queue_take|1500|1
		queue_fetch 50, complete|8|1|flush|queue_take_50|queue_take_50|100|50
		queue_fetch 50, complete, this disk|8|1|disk|queue_take_50|queue_take_50|150|50
		queue_fetch 50, complete, no flush|8||cpu|queue_take_50|queue_take_50|150|50
		queue_work, this disk|1|1.8|disk|queue_work|queue_take|1000|1
		queue_work, no flush|1||cpu|queue_work|queue_take|4000|1
	END
}

# percent OF: what so many of a hundred numbers on stdin are at most.
percent()
{
	sort -g | awk -v of="$1" '{ v[NR] = $1 } END {
		print v[int(NR * of / 100 + 0.999)] }'
}

# shortest: the smallest of the backlogs.
shortest()
{
	printf '%s\n' $backlogs | sort -g | head -n 1
}

# fetch_times QUEUE: milliseconds that a new session's fetches of one job take;
# into $work/QUEUE a line "MEDIAN FIRST".  All rounds together take nine tenths of
# the shortest queue at most.
fetch_times()
{
	local fetches=$(($(shortest) * 9 / 10 / rounds))

	[ $fetches -le 400 ] || fetches=400
	rm -f "$work"/fetch.*
	PGOPTIONS=$(options cpu) pgbench -n -M prepared -c 1 -t $fetches -l \
		--log-prefix="$work/fetch" -D queue="$1" -f "$work/fetch_one" \
		>"$report" 2>&1 || die "$(cat "$report")"
	awk '{ print $3 / 1000 }' "$work"/fetch.* >"$work/times"
	echo "$(percent 50 <"$work/times") $(head -n 1 "$work/times")" \
		>>"$work/depth.$1"
}

# complete_million: of the queue "completed".
complete_million()
{
	send_to completed 1000
	queue_psql <<-'SQL' >/dev/null
		DO $$
		BEGIN
			FOR i IN 1 .. 1000
			LOOP
				PERFORM nvent.queue_complete_many('completed', array_agg(id), array_agg(attempt))
				FROM nvent.queue_fetch('completed', 1000);
				COMMIT;
			END LOOP;
		END $$;
	SQL
}

# fill_depths: a queue for each backlog, one with a million that are deferred,
# and one with a million that have been completed.
fill_depths()
{
	local count

	for count in $backlogs
	do
		say "$count jobs"
		queue_psql -c "SELECT nvent.queue_create('ready $count')" >/dev/null
		send_to "ready $count" $((count / 1000))
	done
	say 'a million deferred, and a million completed'
	queue_psql <<-'SQL' >/dev/null
		SELECT nvent.queue_create('deferred'), nvent.queue_create('completed');
		SELECT count(*) FROM (SELECT nvent.queue_send_batch('deferred', later) FROM (SELECT array_agg(j || '{"startAfter": 86400}') AS later FROM lean.job_batch, unnest(jobs) AS j) AS s, generate_series(1, 1000)) AS s;
	SQL
	complete_million
	send_to deferred 100
	send_to completed 100
	queue_psql -c 'VACUUM ANALYZE' -c 'CHECKPOINT'
}

# deep: what one job costs to fetch, whatever there is of others.
deep()
{
	local queues=(deferred completed) count queue round limit

	for count in $backlogs
	do
		queues+=("ready $count")
	done
	fill_depths
	echo "SELECT id, attempt, data FROM nvent.queue_fetch(:queue) \\gset" \
		>"$work/fetch_one"
	for round in $(seq "$rounds")
	do
		say "fetches, round $round"
		for queue in "${queues[@]}"
		do
			fetch_times "$queue"
		done
	done
	limit=$(for queue in "${queues[@]}"
	do
		cut -d ' ' -f 1 "$work/depth.$queue" | median
	done | sort -g | awk 'NR == 1 { print 1.5 * $1 }')
	for count in $backlogs
	do
		depth_figure "fetch 1 of $count" "ready $count"
	done
	depth_figure 'fetch 1 of 100000, a million deferred' deferred
	depth_figure 'fetch 1 of 100000, a million completed' completed
}

# depth_figure NAME QUEUE: what rounds found, and what a session's first fetch
# took, which has to begin at what is written down.
depth_figure()
{
	figure "$1" "$(cut -d ' ' -f 1 "$work/depth.$2" | spread)" ms "$limit"
	figure "    a session's first" \
		"$(cut -d ' ' -f 2 "$work/depth.$2" | spread)" ms
}

# hold: a session that holds the snapshot of a query, until it is killed.
hold()
{
	PGAPPNAME=holder "${psql[@]}" -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' \
		-c 'SELECT count(*) FROM lean.job_batch' \
		-c "SELECT pg_sleep($held_for + 60)" >/dev/null 2>&1
}

# windows SCRIPT: jobs a second, by 10 seconds, of four sessions that take ten
# jobs and send ten, while an old snapshot is held.
windows()
{
	local holder

	hold &
	holder=$!
	sleep 1
	PGOPTIONS=$(options cpu) pgbench -n -M prepared -c 4 -j "$(nproc)" \
		-T $((held_for + 1)) -P 10 -f "$1" >"$report" 2>&1 ||
		die "$(cat "$report")"
	"${psql[@]}" -c "SELECT count(*) FROM pg_stat_activity
		WHERE application_name = 'holder' AND backend_xmin IS NOT NULL" |
		grep -qx 1 || die 'the snapshot was not held'
	"${psql[@]}" -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE application_name = 'holder'" >/dev/null
	wait $holder
	awk '/^progress: / { print 10 * $4 }' "$report"
}

# held TITLE BOUND SCRIPT: the last ten seconds beside the first.
held()
{
	fill 2
	say "$1"
	windows "$3" >"$work/windows" || exit 1
	tail -n 1 "$work/windows" >"$work/ours"
	head -n 1 "$work/windows" >"$work/plain"
	row "$1" 4 "$2" 'the first ten seconds' "$(xargs <"$work/windows")"
}

# works WORKERS RATE SECONDS [MEANWHILE]: jobs sent at so many a second to workers that wait
# for them; leaves a line for each job that was begun in $work/worked,
# milliseconds after it was sent.  MEANWHILE is called when all of them wait.
works()
{
	local workers=() i worker

	rm -f "$work"/worker.*
	for i in $(seq "$1")
	do
		"$work/follow" work bench $(($3 + 2)) >"$work/worker.$i" &
		workers+=($!)
	done
	for i in $(seq 100)
	do
		[ "$(cat "$work"/worker.* | grep -c ready)" -lt "$1" ] || break
		sleep 0.05
	done
	[ -z "${4:-}" ] || "$4"
	PGOPTIONS="-c nvent_store.notify=worker" pgbench -n -M prepared -c 8 \
		-j "$(nproc)" -R "$2" -T "$3" -f "$bench/queue_send_at.sql" \
		>"$report" 2>&1 || die "$(cat "$report")"
	for worker in "${workers[@]}"
	do
		wait "$worker" || die 'a worker failed'
	done
	awk -F '\t' '$2 != "ready" { print ($1 - $2) / 1000 }' \
		"$work"/worker.* >"$work/worked"
}

# no_snapshot: who waits for jobs keeps nothing from VACUUM.
no_snapshot()
{
	sleep 0.5
	figure 'snapshots that waiting workers hold' "$("${psql[@]}" -c "
		SELECT count(*) FROM pg_stat_activity
		WHERE application_name = 'follow' AND (backend_xmin IS NOT NULL
			OR backend_xid IS NOT NULL)")" '' 0
}

# starts TITLE WORKERS RATE PERCENT LIMIT: from sending to the start of work.
starts()
{
	local round

	for round in $(seq "$rounds")
	do
		say "$1, round $round"
		fill 0
		works "$2" "$3" "$duration"
		percent "$4" <"$work/worked"
	done >"$work/starts" || exit 1
	figure "$1: $4 of 100" "$(spread <"$work/starts")" ms "$5"
}

# wake_ups: of workers that wait.
wake_ups()
{
	build_follow
	fill 0
	works 4 50 1 no_snapshot
	starts 'from queue_send to a waiting worker' 1 50 99 10
	starts 'the same, 1000 a second, 4 workers' 4 1000 50 2
}

# prepare_queue: both sides, and the variables of the scripts.
prepare_queue()
{
	subjects+=(-D 'done=[]' -D 'payload={"to": "somebody-1234@example.com", "kind": "order placed", "order": 1234, "note": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}')
	queue_psql -f "$bench/queue.sql" >/dev/null
}

# queue: all of it.
queue()
{
	prepare_queue
	sends
	fetches
	held 'queue, old snapshot, last 10 s' 0.8 "$bench/queue_steady.sql"
	held 'lean.jobs, old snapshot, last 10 s' '' "$bench/queue_steady.plain.sql"
	deep
	wake_ups
}
