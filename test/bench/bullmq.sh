# test/bench/bullmq.sh: the job queue beside BullMQ, both from Node and as
# durable; sourced by run.sh.
#
#	NODE_PATH=folder	where node finds bullmq, ioredis and pg; else npm
#						installed for all
#
# It takes redis-server, node and these, and is left out where one of them
# is missing.

# How much each run has to do.
bullmq_jobs=${BULLMQ_JOBS:-4000}

# bullmq_missing: says what is missing of what it takes.
bullmq_missing()
{
	local program module

	for program in redis-server node
	do
		command -v $program >/dev/null || {
			echo "$program"
			return
		}
	done
	for module in bullmq ioredis pg
	do
		node -e "require('$module')" 2>/dev/null || {
			echo "$module of npm"
			return
		}
	done
}

# start_redis: one that flushes each command before it answers, until we end.
start_redis()
{
	local i

	redis-server --port 0 --unixsocket "$work/redis" --dir "$work" --save '' \
		--appendonly yes --appendfsync always --daemonize yes \
		--pidfile "$work/redis.pid" --logfile "$work/redis.log" >/dev/null ||
		die "$(cat "$work/redis.log")"
	trap 'kill "$(cat "$work/redis.pid")"; rm -rf "$work"' EXIT
	for i in $(seq 100)
	do
		[ ! -S "$work/redis" ] || return 0
		sleep 0.05
	done
	die "redis-server did not start: $(cat "$work/redis.log")"
}

# from_node OPERATION CALLERS JOBS SIDE: what a side comes to.
from_node()
{
	node "$bench/bullmq.js" "$4" "$1" "$2" "$3" "$work/redis" ||
		die 'bullmq.js failed'
}

# beside_bullmq TITLE OPERATION CALLERS JOBS: one row.
beside_bullmq()
{
	local wal kb

	in_turns "$1" from_node "$2" "$3" "$4"
	row "$1, from Node" "$3" 1 'BullMQ, appendfsync always'
}

# bullmq: sending and working, with one job and with many at a time.
bullmq()
{
	local missing

	export NODE_PATH=${NODE_PATH:-$(npm root -g 2>/dev/null)}
	missing=$(bullmq_missing)
	if [ -n "$missing" ]
	then
		echo "BullMQ is left out, as there is no $missing here"
		return
	fi
	prepare_queue
	start_redis
	beside_bullmq queue_send send 1 "$bullmq_jobs"
	beside_bullmq queue_send send 8 $((4 * bullmq_jobs))
	beside_bullmq 'queue_send_batch 1000' batch 1 $((20 * bullmq_jobs))
	beside_bullmq queue_work work 1 "$bullmq_jobs"
	beside_bullmq queue_work work 50 $((8 * bullmq_jobs))
	beside_bullmq queue_work work 200 $((16 * bullmq_jobs))
}
