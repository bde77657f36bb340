# test/bench/calls.sh: one call beside what a user would write instead; sourced
# by run.sh.

# operation | connections | bound | mode | the script, if not of that name
#
# NAME.sql is our call and NAME.plain.sql its peer.  A title goes on after a
# comma.  Modes: see options() and tps().
operations='
kv_get|1|1|read|
kv_get|32|1.05|read|
kv_set|1 32||cpu|
kv_mget, 100 keys|1 32|1|read|kv_mget
kv_mset, 100 keys|1 32|1|cpu|kv_mset
kv_get, 10000 expired|1 32|1.7|burst|kv_get_expired
kv_get, 10000 expired or none|1|0.9|read|kv_get_either
entry_get|1 32|1|read|
entry_get, typed columns|1||read|entry_get_typed
entry_increment|32|0.9|flush|
entry_increment, no flush|1 32||cpu|entry_increment
entry_update, no flush|1 32||cpu|entry_update
entry_update, read first|1|1.5|cpu|entry_update_adapter
entry_update, read first|32|2|cpu|entry_update_adapter
entry_update, one hot row|32||flush|entry_update_hot
stream_append|32|0.9|flush|
stream_append, no flush|1 32||cpu|stream_append
stream_append, the record, no flush|1||cpu|stream_append_record
stream_append, versioned, no flush|1 32||cpu|stream_append_versioned
append_batch, 100 events|1 8|1|cpu|stream_append_batch_100
append_batch, 1000 events|1 8|1|cpu|stream_append_batch_1000
append_batch, plain log, 100 events|1 8|1|cpu|stream_append_batch_log_100
append_batch, plain log, 1000 events|1 8|1|cpu|stream_append_batch_log_1000
append_many, 1000 to 100 subjects|1 8|1|cpu|stream_append_many
COPY of 10000 events to a plain log|1|0.9|cpu|stream_copy
load of 100000 events, versions in the file|1|0.9|cpu|stream_load
load of 100000 events, numbered by awk|1|0.9|cpu|stream_load_number
load of 100000 events, numbered by INSERT|1||cpu|stream_load_insert
stream_poll, pages of 1000|1 8|1|read|query_poll
stream_poll, pages of 1000, columns|1||read|query_columns
stream_read, 1000 events|1 8|1|read|query_read
stream_stats, a subject of 1000 events|1 8|1|read|stream_stats
jsonb_deep_merge|1|4|read|
'

# Subjects, as variables of pgbench: it takes every :name for one, in literals
# too.
subjects=(
	-D keys=nvent:bench:
	-D list=nvent:bench
	-D flows=nvent:flows
	-D runs=nvent:flow:runs:bench
	-D hot=nvent:flow:runs:hot
	-D log=nvent:log:
	-D many=nvent:many:
	-D queried=nvent:query:
	-D hotkey=nvent:bench:hot
	-D hotsubject=bench:hot
)

# expire SIDE: 10,000 keys that have expired, on both sides.
expire()
{
	"${psql[@]}" <<-'SQL' >/dev/null || exit 1
		INSERT INTO nvent_kv (key, value, expires_at)
		SELECT 'nvent:expired:' || k, '{"n": 1}', now() - interval '1 s'
		FROM generate_series(1, 10000) AS k
		ON CONFLICT DO NOTHING;
		INSERT INTO adapter.kv (key, value, expires_at)
		SELECT 'nvent:expired:' || k, '{"n": 1}', now() - interval '1 s'
		FROM generate_series(1, 10000) AS k
		ON CONFLICT DO NOTHING;
	SQL
}

# expire_ours SIDE: none have on the other.
expire_ours()
{
	[ "$1" = plain ] || {
		expire
		return
	}
	"${psql[@]}" <<-'SQL' >/dev/null || exit 1
		DELETE FROM nvent_kv WHERE key LIKE 'nvent:expired:%';
		VACUUM nvent_kv;
	SQL
}

# versions_of_hot TABLE: how often the hot row was updated.
versions_of_hot()
{
	"${psql[@]}" -c "SELECT version FROM $1 WHERE flow_name = 'hot'"
}

# hot_side SIDE TABLE SCRIPT CONNECTIONS: updates that took effect, a second;
# adds "calls updates" to a file.
hot_side()
{
	local before calls took

	before=$(versions_of_hot "$2")
	tps "$bench/$3.sql" "$4" flush >/dev/null || exit 1
	calls=$(sed -n \
		's/^number of transactions actually processed: \([0-9]*\).*/\1/p' \
		"$report")
	took=$(($(versions_of_hot "$2") - before))
	echo "$calls $took" >>"$work/$1.hot"
	awk -v n="$took" -v s="$duration" 'BEGIN { print n / s }' >>"$work/$1"
}

# hot_row TITLE CONNECTIONS: all update one row.
hot_row()
{
	local round lost conflicts

	rm -f "$work"/ours* "$work"/plain*
	for round in $(seq "$rounds")
	do
		say "$1, round $round"
		hot_side ours nvent_flow_runs entry_update_hot "$2"
		hot_side plain adapter.flow_runs entry_update_hot.plain "$2"
	done
	lost=$(awk '{ n += $1 - $2 } END { print n }' "$work/ours.hot")
	conflicts=$(awk '{ n += $1; m += $2 } END {
		printf "%.0f", n ? 100 * (n - m) / n : 0 }' "$work/plain.hot")
	row "$1" "$2" '' "$(peer_of "$bench/entry_update_hot.plain.sql")" \
		"$conflicts % conflicts"
	[ "$lost" -eq 0 ] || figure "$1: updates lost" "$lost" '' 0
}

# operation TITLE CONNECTIONS BOUND MODE SCRIPT: one row.
operation()
{
	local before='' rounds=$rounds plain

	case $5 in
		entry_update_hot)
			hot_row "$1" "$2"
			return
			;;
		kv_get_expired) before=expire rounds=$((rounds * 2 + 1)) ;;
		kv_get_either)
			before=expire_ours
			turns "$1" "$2" "$3" "$bench/kv_get.sql" "$4" \
				"$bench/kv_get.sql" "$4" 'the same, none expired'
			return
			;;
		query_columns)
			turns "$1" "$2" "$3" "$bench/query_poll.sql" "$4" \
				"$bench/query_columns.plain.sql" "$4"
			return
			;;
	esac
	plain=$bench/$5.plain.sql
	[ -f "$plain" ] || plain=$bench/${5%_*}.plain.sql
	turns "$1" "$2" "$3" "$bench/$5.sql" "$4" "$plain" "$4"
}

# calls: all rows of the table above, or those of ONLY.
calls()
{
	local title connections bound mode script count

	while IFS='|' read -r title connections bound mode script
	do
		[ -n "$title" ] || continue
		script=${script:-$title}
		[ "${ONLY:-$script}" = "$script" ] || continue
		for count in $connections
		do
			operation "$title" "$count" "$bound" "$mode" "$script" \
				</dev/null
		done
	done <<<"$operations"
}
