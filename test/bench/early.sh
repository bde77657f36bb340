# test/bench/early.sh: what nvent_store.early_lock_release gains where all want
# the same row or subject, and what it costs who reads; sourced by run.sh.
#
# See README.md here for what is compared with what.

# hot SCRIPT REMARK BOUND EARLY MODE: 32 clients, early beside as ever.
hot()
{
	local wal kb

	turns "$1, $2" 32 "$3" "$bench/$1.sql" "$4" "$bench/$1.sql" "$5" \
		'early_lock_release = off'
}

# polls MODE: the rate of a session that polls while 31 append to one subject.
polls()
{
	local cursor writers

	PGOPTIONS=$(options "$1") pgbench -n -M prepared -c 31 -j 1 \
		-T $((duration + 2)) "${subjects[@]}" \
		-f "$bench/stream_append_hot.sql" >"$work/writers" 2>&1 &
	writers=$!
	sleep 1
	cursor=$("${psql[@]}" -c 'SELECT nvent.safe_position()')
	subjects+=(-D "cursor=$cursor")
	tps "$bench/early_poll.sql" 1 "$1"
	wait $writers || die "$(cat "$work/writers")"
}

# early_poll: polls beside appends that release early, and as ever.
early_poll()
{
	local round

	rm -f "$work/ours" "$work/plain"
	for round in $(seq "$rounds")
	do
		say "stream_poll beside 31 that append, round $round"
		if [ $((round % 2)) -eq 1 ]
		then
			polls early >>"$work/ours" || exit 1
			polls flush >>"$work/plain" || exit 1
		else
			polls flush >>"$work/plain" || exit 1
			polls early >>"$work/ours" || exit 1
		fi
	done
	row 'stream_poll beside such appends' 1 '' 'early_lock_release = off'
}

# early_off: what a transaction that is none of ours pays for the library, with
# the setting off, as it is; run where the library is not preloaded.
early_off()
{
	local connections

	for connections in 1 32
	do
		turns 'upsert by SQL, library loaded' $connections 0.95 \
			"$bench/kv_set.plain.sql" loaded "$bench/kv_set.plain.sql" cpu \
			'the same, without the library'
	done
}

# early: 32 clients on one key, entry and subject; then where a flush takes what
# it takes on this disk, and where there is none.
early()
{
	hot kv_increment_hot '2 ms' 15 early flush
	hot entry_increment_hot '2 ms' 15 early flush
	hot entry_update_hot '2 ms' 15 early flush
	hot stream_append_hot '2 ms' 15 early flush
	hot kv_increment_hot 'this disk' '' early_disk disk
	hot kv_increment_hot 'no flush' '' early_cpu cpu
	early_poll
}
