# test/bench/growth.sh: what calls cost as tables grow ("make bench
# ONLY=growth"); sourced by run.sh, and run within a server of its own.
#
#	SIZES="10000 1000000"   rows of each table; the first is compared with.  With
#	                        PLOT=1 also 20 million, if there is room for them
#
# Each size is a store of its own, so that sizes take turns.  A call works on
# 1,000 rows that lie apart over the whole table, two pages of table and index
# each, which stay in memory whatever the size: what grows is the work, if it
# does.  "Any" are all rows; in tables larger than shared_buffers that also
# counts what it takes to get a page from the system.

sizes=${SIZES:-10000 1000000}

# MB that 20 million rows of each table take, with their WAL.
room=40000

# A rate of so much of that of the first size: 1.3 times the time.
least_rate=0.77

# Positions of the first and the last event that was loaded, by size.
declare -A first last

# operation | script | rows that are touched
growing='
kv_get|kv_get|hot
kv_set|kv_set|hot
entry_update|entry_update|hot
stream_append|append|hot
stream_append_batch|batch|hot
stream_read|read|hot
stream_poll|poll|hot
kv_get, any|kv_get|any
stream_read, any|read|any
'

# add_largest: 20 million rows are to be compared as well, if they fit.
add_largest()
{
	local free

	free=$(df -Pm "$NVS_CLUSTER" | awk 'NR == 2 { print $4 }')
	if [ "$free" -ge $room ]
	then
		sizes="$sizes 20000000"
	else
		say "20 million rows are left out: $free MB are free, not $room"
	fi
}

# load_size ROWS: a store with that many; says how long it took and its bytes.
load_size()
{
	local begin

	say "loading $1 rows of each table"
	begin=$(date +%s)
	PGOPTIONS=$(options read) "${psql[@]}" -v store="g$1" -v rows="$1" \
		-f "$bench/growth/load.sql" >/dev/null || exit 1
	figure "$1 rows in each of three tables" $(($(date +%s) - begin)) s
	figure 'the same' "$("${psql[@]}" -c "SELECT sum(pg_total_relation_size(oid)) / 1000000
		FROM pg_class WHERE relname IN ('g$1_kv', 'g$1_entries', 'g$1_stream_growth')" |
		cut -d . -f 1)" MB
	IFS='|' read -r "first[$1]" "last[$1]" < <("${psql[@]}" \
		-c "SELECT min(id), max(id) FROM g$1_stream_growth")
}

# sized ROWS TOUCHED SCRIPT MODE: the rate of one script at one size.
sized()
{
	local step=$(($1 / 1000)) hot=1000

	if [ "$2" = any ]
	then
		# Of ten rows that are one subject.
		step=10 hot=$(($1 / 10))
	fi
	local duration=1 subjects=(
		-D hot=$hot -D step=$step
		-D "first=${first[$1]}" -D "apart=$(((last[$1] - first[$1]) / 1000))"
		-D keys="g$1:k:" -D list="g$1:list"
		-D subjects="g$1:growth:" -D pattern="g$1:growth:>"
	)
	tps "$bench/growth/$3.sql" 1 "$4"
}

# grown TITLE SCRIPT TOUCHED: all sizes in turns; a row for each but the first.
grown()
{
	local kept=growth base=${sizes%% *} size round wal='' kb=''

	# 4,000 calls meet all but a few of 1,000 rows; a batch meets what the
	# appends before it have met.
	for size in $sizes
	do
		: >"$work/size.$size"
		[ "$2" = batch ] || sized "$size" "$3" "$2" warm >/dev/null || exit 1
	done
	for round in $(seq "$rounds")
	do
		say "$1, round $round"
		for size in $(turned "$round")
		do
			sized "$size" "$3" "$2" read >>"$work/size.$size" || exit 1
		done
	done
	cp "$work/size.$base" "$work/plain"
	for size in ${sizes#"$base"}
	do
		cp "$work/size.$size" "$work/ours"
		row "$1, $size rows" 1 "$([ "$3" = any ] || echo $least_rate)" \
			"the same, $base rows"
	done
}

# turned ROUND: the sizes, from the last to the first in every second round.
turned()
{
	if [ $(($1 % 2)) -eq 1 ]
	then
		echo "$sizes"
	else
		printf '%s\n' $sizes | tac
	fi
}

growth()
{
	local size title script touched

	[ -z "${PLOT:-}" ] || [ -n "${SIZES:-}" ] || add_largest
	for size in $sizes
	do
		load_size "$size"
	done
	while IFS='|' read -r title script touched
	do
		[ -z "$title" ] || grown "$title" "$script" "$touched" </dev/null
	done <<<"$growing"
}
