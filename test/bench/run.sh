#!/bin/bash
# test/bench/run.sh: speed of the calls against plain SQL ("make bench").
#
#	SECONDS=3   of each run of pgbench
#	ROUNDS=5    runs of each side, in turns; the median counts
#	ONLY=name   one operation of the table below, or one of flat, kv_clear,
#	            merge, subject, eventstore, claim, poll, notify
#	ROWS=2000000  what "flat" fills the tables up to
#	PLOT=1      draws the table to speed.svg here, by gnuplot
#
# OPERATION.sql is our call and OPERATION.plain.sql what a careful user would
# write instead, or what the published adapter does; see README.md here.
# Fails when a required ratio is missed.

. "$(dirname "$0")/../lib.sh"

bench=$TOP/test/bench
. "$bench/eventstore.sh"
. "$bench/notify.sh"
# bash counts in SECONDS itself from the moment it starts.
duration=${NVS_SECONDS:-3}
rounds=${ROUNDS:-5}
rows=${ROWS:-2000000}
psql=(psql -X -q -A -t -v ON_ERROR_STOP=1)

# operation | clients | required ratio | mode | prepared by | the other script
#
# Modes: "read" and "cpu" leave out the flush at commit, which would hide
# differences; "flush" makes it 2 ms; "burst" is a few hundred calls.
operations='
kv_get|1 32|0.9|read||
entry_get|1 32|0.9|read||
stream_append|1 32|0.9|flush||
stream_append|1 32||cpu||
stream_append_record|1 32||cpu||stream_append.plain
entry_increment|1 32|0.9|flush||
entry_increment|1 32||cpu||
entry_update|1|1.5|cpu||
entry_update|32|2|cpu||
entry_update_hot|32||flush||
kv_get_expired|1 32|1.7|burst|expired|
kv_get_expired|1 32|0.9|read|either|kv_get
jsonb_deep_merge|1|4|read||
'

# Subjects, as variables of pgbench: it takes every :name for one, in literals
# too.
subjects=(
	-D keys=nvent:bench:
	-D run=nvent:flow:run:bench
	-D runs=nvent:flow:runs:bench
	-D hot=nvent:flow:runs:hot
	-D flows=nvent:flows
	-D many=nvent:many:
)

# options MODE: the server settings of a session; "worker" and "inline" are
# "flush" with that way of notification.
options()
{
	local notify=off

	case $1 in
		worker | inline) notify=$1 ;;
	esac
	printf '%s' "-c nvent_store.notify=$notify"
	case $1 in
		flush | worker | inline)
			printf ' %s' '-c commit_delay=2000 -c commit_siblings=0'
			;;
		*) printf ' %s' '-c synchronous_commit=off' ;;
	esac
}

# prepare HOW SIDE: 10,000 expired keys, or with "either" none on the other.
prepare()
{
	case $1/$2 in
		expired/* | either/ours)
			"${psql[@]}" <<-'SQL' >/dev/null
				INSERT INTO nvent_kv (key, value, expires_at)
				SELECT 'nvent:expired:' || k, '{"n": 1}', now() - interval '1 s'
				FROM generate_series(1, 10000) AS k
				ON CONFLICT DO NOTHING;
				INSERT INTO peer.kv (key, value, expires_at)
				SELECT 'nvent:expired:' || k, '{"n": 1}', now() - interval '1 s'
				FROM generate_series(1, 10000) AS k
				ON CONFLICT DO NOTHING;
			SQL
			;;
		either/plain)
			"${psql[@]}" <<-'SQL' >/dev/null
				DELETE FROM nvent_kv WHERE key LIKE 'nvent:expired:%';
				VACUUM nvent_kv;
			SQL
			;;
	esac
}

# tps SCRIPT CLIENTS MODE: run pgbench once; leaves its report in $report.
tps()
{
	local length=(-T "$duration") jobs=$2

	[ "$3" != burst ] || length=(-t $(($2 > 1 ? 50 : 300)))
	[ "$jobs" -le "$(nproc)" ] || jobs=$(nproc)
	PGOPTIONS=$(options "$3") pgbench -n -M prepared -c "$2" -j "$jobs" \
		"${length[@]}" "${subjects[@]}" -f "$1" >"$report" 2>&1 ||
	{
		cat "$report" >&2
		die "pgbench failed on $1"
	}
	sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$report"
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END {
		print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# versions_of_hot: how often the hot row was updated.
versions_of_hot()
{
	"${psql[@]}" -c "SELECT version FROM nvent_flow_runs
		WHERE flow_name = 'hot'"
}

# row NAME CLIENTS OURS PLAIN REQUIRED [REMARK [RATIO]]: one line of the table.
row()
{
	awk -v name="$1" -v c="$2" -v ours="$3" -v plain="$4" -v need="$5" \
		-v remark="${6:-}" -v ratio="${7:-}" 'BEGIN {
		if (ratio == "")
			ratio = plain > 0 ? ours / plain : 0
		ok = need == "" ? "" : ratio >= need ? "ok" : "MISSED"
		printf "%-36s %7d %11.0f %11.0f %6.2f %8s %s\n", name, c, ours,
			plain, ratio, need, remark == "" ? ok : remark
	}'
}

# measure NAME CLIENTS REQUIRED MODE PREPARE OTHER: one line of the table.
measure()
{
	local name=$1 clients=$2 mode=$4 side sides script other=$1.plain
	local round before calls title=$1

	[ -z "$6" ] || other=$6
	[ -n "$5" ] && script=kv_get || script=$1
	[ "$5" != either ] || title="kv_get, 10000 expired or none"
	[ "$mode" != cpu ] || title="$title, no flush"
	rm -f "$work"/ours "$work"/plain "$work"/*.calls "$work"/*.done
	for round in $(seq "$(rounds_of "$mode")")
	do
		say "$title, $clients clients, round $round"
		sides='ours plain'
		[ $((round % 2)) -eq 1 ] || sides='plain ours'
		for side in $sides
		do
			prepare "$5" "$side"
			before=0
			[ "$name" != entry_update_hot ] || before=$(versions_of_hot)
			if [ "$side" = ours ]
			then
				tps "$bench/$script.sql" "$clients" "$mode" >>"$work/$side"
			else
				tps "$bench/$other.sql" "$clients" "$mode" >>"$work/$side"
			fi || exit 1
			[ "$name" = entry_update_hot ] || continue
			calls=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' \
				"$report")
			echo "$calls" >>"$work/$side.calls"
			echo $(($(versions_of_hot) - before)) >>"$work/$side.done"
		done
	done
	if [ "$name" = entry_update_hot ]
	then
		row_of_hot "$clients"
	else
		paired_row "$title" "$clients" "$3"
	fi
}

# compare TITLE REQUIRED ROUNDS SCRIPT MODE SCRIPT MODE: with 32 clients, in
# turns; one line of the table.
compare()
{
	local round side sides

	rm -f "$work"/ours "$work"/plain
	for round in $(seq "$3")
	do
		say "$1, round $round"
		sides='ours plain'
		[ $((round % 2)) -eq 1 ] || sides='plain ours'
		for side in $sides
		do
			if [ "$side" = ours ]
			then
				tps "$4" 32 "$5" >>"$work/ours"
			else
				tps "$6" 32 "$7" >>"$work/plain"
			fi || exit 1
		done
	done
	paired_row "$1" 32 "$2"
}

# paired_row TITLE CLIENTS REQUIRED: the ratio is the median of those of the
# rounds, as both sides of one round found the machine in the same state.
paired_row()
{
	row "$1" "$2" "$(median <"$work/ours")" "$(median <"$work/plain")" "$3" \
		'' "$(paste "$work/ours" "$work/plain" |
			awk '{ print $1 / $2 }' | median)"
}

# A burst is short, hence more of them.
rounds_of()
{
	if [ "$1" = burst ]
	then
		echo $((rounds * 2 + 1))
	else
		echo "$rounds"
	fi
}

sum()
{
	awk '{ n += $1 } END { print n + 0 }' "$1"
}

# row_of_hot CLIENTS: updates that took effect, a second.
row_of_hot()
{
	local ours plain lost conflicts total=$((rounds * duration))

	ours=$(sum "$work/ours.done")
	plain=$(sum "$work/plain.done")
	lost=$(($(sum "$work/ours.calls") - ours))
	conflicts=$(awk -v d="$plain" -v c="$(sum "$work/plain.calls")" \
		'BEGIN { printf "%.0f", c ? 100 * (c - d) / c : 0 }')
	if [ "$lost" -eq 0 ]
	then
		lost='ok: none failed'
	else
		lost="MISSED: $lost failed"
	fi
	row 'entry_update, one hot row' "$1" $((ours / total)) \
		$((plain / total)) '' "$lost; adapter: $conflicts % conflicts"
}

# grow ROWS: rows that the tables of "flat" have from now on.
grow()
{
	say "filling up to $1 rows"
	PGOPTIONS=$(options read) "${psql[@]}" -v done="$filled" -v rows="$1" \
		-f "$bench/grow.sql" || exit 1
	filled=$1
}

# flat: buffers of reads at 10 thousand rows and at many.  A tree may be one
# level higher.
flat()
{
	[ "$filled" -lt "$rows" ] || return
	grow 10000
	"${psql[@]}" -f "$bench/flat.sql" >"$work/small" || exit 1
	grow "$rows"
	"${psql[@]}" -f "$bench/flat.sql" >"$work/large" || exit 1
	printf '\n%-36s %11s %11s\n' 'buffers of one call' '10000 rows' "$rows rows"
	paste -d '|' "$work/small" "$work/large" |
		awk -F '|' '{
			printf "%-36s %11d %11d %s\n", $1, $2, $4,
				$4 <= $2 + 4 ? "ok" : "MISSED"
		}'
}

# kv_clear: 1,000 keys of many, and the plan beneath the call.
kv_clear()
{
	[ "$filled" -ge "$rows" ] || grow "$rows"
	"${psql[@]}" <<-'SQL' >"$work/clear" 2>"$work/clear.plan" || exit 1
		INSERT INTO nvent_kv (key, value)
		SELECT 'x:' || i, '1' FROM generate_series(1, 1000) AS i
		ON CONFLICT DO NOTHING;
		VACUUM ANALYZE nvent_kv;
		SELECT count(*) FROM nvent_kv;
		SELECT relpages FROM pg_class WHERE oid = 'nvent_kv'::regclass;
		LOAD 'auto_explain';
		SET auto_explain.log_min_duration = 0;
		SET auto_explain.log_nested_statements = on;
		SET auto_explain.log_analyze = on;
		SET auto_explain.log_buffers = on;
		SET client_min_messages = log;
		BEGIN;
		SELECT nvent.kv_clear('x:*');
		ROLLBACK;
	SQL
	printf '\n%s\n' "kv_clear('x:*'): $(sed -n 3p "$work/clear") keys of $(
		sed -n 1p "$work/clear") in a table of $(
		sed -n 2p "$work/clear") pages"
	grep -E 'Delete on|Index|Seq Scan' "$work/clear.plan" | head -n 8 |
		sed 's/^ */    /'
	if grep -q 'Index' "$work/clear.plan" &&
		! grep -q 'Seq Scan on nvent_kv' "$work/clear.plan" &&
		[ "$(sed -n 3p "$work/clear")" = 1000 ]
	then
		echo '    ok: uses an index'
	else
		echo '    MISSED: uses no index, or cleared something else'
	fi
}

# inside FUNCTION: what needs the server.
inside()
{
	work=$(mktemp -d) || exit 1
	report=$work/report
	filled=0
	trap 'rm -rf "$work"' EXIT
	PGOPTIONS=$(options cpu) "${psql[@]}" -f "$bench/load.sql" >/dev/null ||
		exit 1
	"$1"
}

# memory NAME: what is done in memory alone, merging or matching.
memory()
{
	say "$1"
	echo
	# subject.sql finds its program from there.
	cd "$TOP" && psql -X -q -v ON_ERROR_STOP=1 -f "$bench/$1.sql" || exit 1
}

# against_plain: the operations, against plain SQL.
against_plain()
{
	local name clients required mode prepared other count

	while IFS='|' read -r name clients required mode prepared other
	do
		[ -n "$name" ] || continue
		[ "${ONLY:-$name}" = "$name" ] || continue
		for count in $clients
		do
			measure "$name" "$count" "$required" "$mode" "$prepared" \
				"$other" </dev/null
		done
	done <<<"$operations"
	[ "${ONLY:-flat}" != flat ] || flat
	[ "${ONLY:-kv_clear}" != kv_clear ] || kv_clear
	[ "${ONLY:-merge}" != merge ] || memory merge
	[ "${ONLY:-subject}" != subject ] || memory subject
	[ "${ONLY:-eventstore}" != eventstore ] || eventstore
	[ "${ONLY:-claim}" != claim ] || ROUNDS=$rounds "$bench/claim.sh"
	[ "${ONLY:-poll}" != poll ] || ROUNDS=$rounds "$bench/poll.sh"
}

if [ "${1:-}" = --inside ]
then
	inside "$2" | tee -a "$3"
	exit "${PIPESTATUS[0]}"
fi

[ -z "${PLOT:-}" ] || command -v gnuplot >/dev/null ||
	die "PLOT needs gnuplot; run apt-get install gnuplot-nox"
"$TOP/test/setup.sh" || exit 1
PG_CONFIG=$(pg_choose) || exit 1
export PG_CONFIG
build || exit 1
table=$(mktemp) || exit 1
trap 'rm -f "$table"' EXIT
echo "$("$PG_CONFIG" --version), $(nproc) processors," \
	"${duration} s x $rounds rounds a side" | tee "$table"
printf '%-36s %7s %11s %11s %6s %8s\n' operation clients 'ours tps' \
	'plain tps' ratio required

# server FUNCTION [NAME=VALUE]...: run it within a server of its own.
server()
{
	local function=$1

	shift
	"$TOP/test/cluster.sh" shared_buffers=512MB max_wal_size=8GB \
		checkpoint_timeout=1h autovacuum=off jit=off "$@" -- \
		"$0" --inside "$function" "$table" || exit 1
}

[ "${ONLY:-}" = notify ] ||
	server against_plain shared_preload_libraries=nvent_store
if [ "${ONLY:-notify}" = notify ]
then
	server without_preload
	server notify shared_preload_libraries=nvent_store \
		track_commit_timestamp=on max_connections=1100
fi
[ -z "${PLOT:-}" ] || "$bench/plot.sh" "$table" "$bench/speed.svg" || exit 1
! grep -q MISSED "$table"
