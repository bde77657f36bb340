#!/bin/bash
# test/bench/run.sh: speed of the calls against plain SQL ("make bench").
#
#	SECONDS=2   of each run of pgbench, half of it with one connection
#	ROUNDS=5    runs of each side, in turns; the median counts
#	ONLY=name   one part, as below, or the rows of one script, as in calls.sh
#	ROWS=1000000  what "flat" fills the tables up to
#	SIZES="10000 1000000"  rows that "growth" compares; with PLOT 20 million, too
#	BACKLOGS, HELD, NODE_PATH  of "queue" and "bullmq", see there
#	PLOT=1      draws the rows to speed.svg and growth.svg here, by gnuplot, and
#	            writes them into README.md; takes all rows, or ONLY=growth
#
# OPERATION.sql is our call and OPERATION.plain.sql what a careful user would
# have instead; see README.md here.  Fails when a bound is missed, and not for
# what is noise.

. "$(dirname "$0")/../lib.sh"

bench=$TOP/test/bench
# bash counts in SECONDS itself from the moment it starts.
duration=${NVS_SECONDS:-2}
rounds=${ROUNDS:-5}
rows=${ROWS:-1000000}
psql=(psql -X -q -A -t -v ON_ERROR_STOP=1)

. "$bench/rows.sh"
. "$bench/calls.sh"
. "$bench/flat.sh"
. "$bench/eventstore.sh"
. "$bench/bytes.sh"
. "$bench/early.sh"
. "$bench/notify.sh"
. "$bench/growth.sh"
. "$bench/queue.sh"
. "$bench/bullmq.sh"

# Functions of the parts, in the order in which they run on one server.
parts='flat kv_clear merge subject eventstore claim poll bytes early arrays'

merge()
{
	memory merge
}

subject()
{
	memory subject
}

claim()
{
	ROUNDS=$rounds "$bench/claim.sh"
}

poll()
{
	ROUNDS=$rounds "$bench/poll.sh"
}

arrays()
{
	ROUNDS=$rounds "$bench/arrays.sh"
}

# memory NAME: what is done in memory alone, merging or matching.
memory()
{
	say "$1"
	echo
	# subject.sql finds its program from there.
	cd "$TOP" && psql -X -q -v ON_ERROR_STOP=1 -f "$bench/$1.sql" || exit 1
}

# everything: the calls and the parts.
everything()
{
	local part

	calls
	for part in $parts
	do
		[ "${ONLY:-$part}" != "$part" ] || "$part" || exit 1
	done
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

if [ "${1:-}" = --inside ]
then
	inside "$2" | tee -a "$NVS_RESULTS/table"
	exit "${PIPESTATUS[0]}"
fi

if [ -n "${PLOT:-}" ]
then
	command -v gnuplot >/dev/null ||
		die "PLOT needs gnuplot; run apt-get install gnuplot-nox"
	[ "${ONLY:-growth}" = growth ] ||
		die "PLOT needs all rows: ONLY may be growth, and nothing else"
fi
"$TOP/test/setup.sh" || exit 1
PG_CONFIG=$(pg_choose) || exit 1
export PG_CONFIG
build || exit 1
# The table, and its rows as fields between tabs.
NVS_RESULTS=$(mktemp -d) || exit 1
export NVS_RESULTS
trap 'rm -rf "$NVS_RESULTS"' EXIT
{
	echo "$("$PG_CONFIG" --version), $(nproc) processors," \
		"${duration} s x $rounds rounds a side"
	table_head
} | tee "$NVS_RESULTS/table"

# server FUNCTION [NAME=VALUE]...: run it within a server of its own.
server()
{
	local function=$1

	shift
	"$TOP/test/cluster.sh" shared_buffers=512MB max_wal_size=8GB \
		checkpoint_timeout=1h autovacuum=off jit=off \
		shared_preload_libraries=nvent_store "$@" -- \
		"$0" --inside "$function" || exit 1
}

case ${ONLY:-} in
	notify | growth | queue | bullmq) ;;
	*) server everything ;;
esac
if [ "${ONLY:-early}" = early ]
then
	server early_off shared_preload_libraries=
fi
if [ "${ONLY:-notify}" = notify ]
then
	server without_preload shared_preload_libraries=
	server notify track_commit_timestamp=on max_connections=1100
fi
[ "${ONLY:-growth}" != growth ] || server growth
[ "${ONLY:-queue}" != queue ] || server queue
[ "${ONLY:-bullmq}" != bullmq ] || server bullmq
if [ -n "${PLOT:-}" ]
then
	"$bench/plot.sh" "$NVS_RESULTS" "$bench" &&
		"$bench/readme.sh" "$NVS_RESULTS" "$TOP/README.md" || exit 1
fi
! grep -q MISSED "$NVS_RESULTS/table"
