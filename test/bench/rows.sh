# test/bench/rows.sh: measures two sides in turns and prints the rows of the
# table; sourced by run.sh.
#
# Whoever adds a row calls turns() with two scripts of pgbench, or writes a
# figure a round to $work/ours and $work/plain himself, more being better, and
# calls row().  What has one side only is printed by figure().  The first line
# of a peer's script names it: "-- peer: what a user would really have".

# The file of results that rows go to, for plots and README.md.
kept=rows

# What a session's calls cost, by script: bytes of WAL a call, and the kB that
# its process has for itself in the end.
declare -A costs

# table_head: the names of the columns.
table_head()
{
	local form='%-36s %4s  %-23s %-23s %-18s %5s %11s %11s  %-6s  %s\n'

	printf "$form" '' '' ours 'its peer' ratio '' 'WAL B/call' 'backend kB' '' ''
	printf "$form" operation conn '1/s (min..max)' '1/s (min..max)' \
		'(min..max)' bound ours/peer ours/peer is peer
}

# spread: "MEDIAN MIN MAX" of the numbers on stdin.
spread()
{
	sort -g | awk '{ v[NR] = $1 } END {
		printf "%.6g %.6g %.6g\n",
			NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2,
			v[1], v[NR] }'
}

# median: of the numbers on stdin.
median()
{
	spread | cut -d ' ' -f 1
}

# verdict BOUND MEDIAN MIN MAX [MOST]: of ratios, or of figures that may be at
# most that.  They are noise where they spread over 15 % and some rounds keep to
# the bound while others do not.
verdict()
{
	awk -v bound="$1" -v median="$2" -v min="$3" -v max="$4" -v most="$5" '
		function keeps(x) {
			return most == "" ? x >= bound : x <= bound
		}
		BEGIN {
			wide = max - min > 0.15 * median
			if (bound == "")
				print(wide ? "noise" : "-")
			else if (wide && keeps(min) != keeps(max))
				print "noise"
			else
				print(keeps(median) ? "ok" : "MISSED")
		}'
}

# shown DECIMALS MEDIAN MIN MAX: as text.
shown()
{
	printf "%.$1f (%.$1f..%.$1f)" "$2" "$3" "$4"
}

# digits MEDIAN: decimals that a rate is shown with.
digits()
{
	awk -v rate="$1" 'BEGIN { print rate < 100 ? 1 : 0 }'
}

# row TITLE CONNECTIONS BOUND PEER [REMARK]: one line of the table, from a
# figure a round in $work/ours and $work/plain.  The ratio is the median of
# those of the rounds, as both sides of one round found the machine in the same
# state.  $wal and $kb are "ours/peer", if known.
row()
{
	local ours plain ratio is

	ours=$(spread <"$work/ours")
	plain=$(spread <"$work/plain")
	ratio=$(paste "$work/ours" "$work/plain" |
		awk '{ print ($2 > 0 ? $1 / $2 : 0) }' | spread)
	is=$(verdict "$3" $ratio)
	printf '%-36s %4s  %-23s %-23s %-18s %5s %11s %11s  %-6s  %s%s\n' \
		"$1" "$2" "$(shown "$(digits "${ours%% *}")" $ours)" \
		"$(shown "$(digits "${plain%% *}")" $plain)" "$(shown 2 $ratio)" \
		"${3:--}" "${wal:--}" "${kb:--}" "$is" "$4" "${5:+; $5}"
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "${ratio// /$'\t'}" \
		"$is" "${wal:--}" "${kb:--}" "$4${5:+; $5}" >>"$NVS_RESULTS/$kept"
}

# figure NAME VALUE UNIT [LIMIT [REMARK]]: a line of its own, for what is not
# compared.  VALUE may be "MEDIAN MIN MAX", as of spread(); with a limit it must
# be at most that.
figure()
{
	local median min max is

	read -r median min max <<<"$2"
	is=$(verdict "${4:-}" "$median" "${min:-$median}" "${max:-$median}" most)
	[ -n "${4:-}" ] || is=-
	[ -n "$median" ] || is=MISSED
	printf '%-44s %26s %-8s %-15s %-6s  %s\n' "$1" \
		"$median${min:+ ($min..$max)}" "$3" "${4:+at most $4}" "$is" "${5:-}"
}

# options MODE: the server settings of a session.  "flush" makes the flush at
# commit 2 ms, "worker" and "inline" are that with notification; "disk" leaves it
# as it is; all others leave it out, which would hide differences.  "early",
# "early_disk" and "early_cpu" release locks early; "loaded" loads the library as
# the session begins, where it is not preloaded.
options()
{
	local notify=off

	case $1 in
		worker | inline) notify=$1 ;;
	esac
	printf '%s' "-c nvent_store.notify=$notify"
	case $1 in
		early*) printf ' %s' '-c nvent_store.early_lock_release=on' ;;
		loaded) printf ' %s' '-c session_preload_libraries=nvent_store' ;;
	esac
	case $1 in
		flush | worker | inline | early)
			printf ' %s' '-c commit_delay=2000 -c commit_siblings=0'
			;;
		disk | early_disk) ;;
		*) printf ' %s' '-c synchronous_commit=off' ;;
	esac
}

# tps SCRIPT CONNECTIONS MODE: run pgbench once; leaves its report in $report.
# One connection has its first, slow calls behind it sooner than many, and gets
# half of the time.  "burst" is a few hundred calls, "warm" some thousand, not to
# be counted.  $calls, if set, is how many each connection makes instead.
tps()
{
	local length=(-T "$duration") jobs=$2

	[ "$2" -gt 1 ] || length=(-T $(((duration + 1) / 2)))
	case $3 in
		burst) length=(-t $(($2 > 1 ? 50 : 300))) ;;
		warm) length=(-t 4000) ;;
	esac
	[ -z "${calls:-}" ] || length=(-t "$calls")
	[ "$jobs" -le "$(nproc)" ] || jobs=$(nproc)
	PGOPTIONS=$(options "$3") pgbench -n -M prepared -c "$2" -j "$jobs" \
		"${length[@]}" "${subjects[@]}" -f "$1" >"$report" 2>&1 ||
	{
		cat "$report" >&2
		die "pgbench failed on $1"
	}
	sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$report"
}

# counted SCRIPT CALLS: the script, which says on its way how much WAL there is
# after a tenth of the calls and after all of them, and how many kB its server
# process has for itself then.
counted()
{
	local wal='pg_current_wal_insert_lsn() - $$0/0$$::pg_lsn'

	sed -e '$a\' "$1"
	cat <<-END
		\set calls :calls + 1
		\if :calls = $(($2 / 10))
		SELECT $wal AS wal_begin \gset
		\endif
		\if :calls = $2
		SELECT $wal AS wal_end, substring(pg_read_file(\$\$/proc/self/status\$\$) FROM \$\$RssAnon\D+(\d+)\$\$) AS kb \gset
		\shell echo cost :wal_begin :wal_end :kb
		\endif
	END
}

# cost SCRIPT CALLS: sets $cost to "WAL kB": bytes of WAL a call of one session,
# and what its process has for itself in the end.
cost()
{
	cost=${costs[$1]-}
	[ -z "$cost" ] || return 0
	counted "$1" "$2" >"$work/cost.sql"
	PGOPTIONS=$(options cpu) pgbench -n -M prepared -t "$2" \
		"${subjects[@]}" -D calls=0 -f "$work/cost.sql" >"$report" 2>&1 ||
	{
		cat "$report" >&2
		die "pgbench failed on $1"
	}
	cost=$(awk -v calls="$2" '$1 == "cost" {
		printf "%.0f %d", ($3 - $2) / (calls - int(calls / 10)), $4
	}' "$report")
	costs[$1]=$cost
}

# costs_of OURS PEER: sets $wal and $kb of a row, from a thousand calls, or from
# 30 or 10 where that would take long.  A script beside itself costs the same.
costs_of()
{
	local calls=1000 slower

	[ "$1" != "$2" ] || return 0
	slower=$(cat "$work/ours" "$work/plain" | sort -g | head -n 1)
	[ "${slower%.*}" -ge 300 ] || calls=30
	[ "${slower%.*}" -ge 3 ] || calls=10
	cost "$1" $calls
	wal=${cost% *} kb=${cost#* }
	cost "$2" $calls
	wal=$wal/${cost% *} kb=$kb/${cost#* }
}

# peer_of SCRIPT: what its first line calls it.
peer_of()
{
	sed -n '1s/^-- peer: //p' "$1" | grep . ||
		die "the first line of $1 does not name the peer"
}

# in_turns TITLE COMMAND...: call a command with "ours" or "plain" after its
# arguments, $rounds times with each, and keep what it prints in $work/ours and
# $work/plain.  Each begins as often as the other.
in_turns()
{
	local round side sides title=$1

	shift
	rm -f "$work/ours" "$work/plain"
	for round in $(seq "$rounds")
	do
		say "$title, round $round"
		sides='ours plain'
		[ $((round % 2)) -eq 1 ] || sides='plain ours'
		for side in $sides
		do
			"$@" "$side" >>"$work/$side" || exit 1
		done
	done
}

# turn CONNECTIONS OURS MODE PEER MODE SIDE: what a side's script comes to.
turn()
{
	[ -z "${before:-}" ] || "$before" "$6" >&2
	if [ "$6" = ours ]
	then
		tps "$2" "$1" "$3"
	else
		tps "$4" "$1" "$5"
	fi
}

# turns TITLE CONNECTIONS BOUND OURS MODE PEER MODE [NAME]: run two scripts in
# turns and print the row.  NAME is the peer's, where its script does not say.
# $rounds are how many; $before, if set, is called with "ours" or "plain" before
# each run.
turns()
{
	local wal kb name=${8:-}

	[ -n "$name" ] || name=$(peer_of "$6") || exit 1
	in_turns "$1, $2 connections" turn "$2" "$4" "$5" "$6" "$7"
	costs_of "$4" "$6"
	row "$1" "$2" "$3" "$name"
}
