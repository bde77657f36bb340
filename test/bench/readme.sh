#!/bin/bash
# test/bench/readme.sh: writes the results of "make bench" into README.md ("make
# bench PLOT=1").
#
#	readme.sh RESULTS README
#
# RESULTS is the folder that plot.sh reads.  Between the lines
#	<!-- speed: ... --> and <!-- end of speed -->
# come the plot and a line for each row, and between those of "growth" its plot
# and a line for each call, with a column for each size.  What there are no rows
# for stays as it is.

. "$(dirname "$0")/../lib.sh"

[ $# -eq 2 ] || die "give a folder of results and a README.md"
results=$1
readme=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# For each awk below: a ratio as text, and a title with its function marked.
text='
	function ratio(x) { return sprintf(x < 10 ? "%.2f" : "%.1f", x) }
	function marked(x) {
		sub(/^[a-z]+_[a-z_]+/, "`&`", x)
		return x
	}'

# heading TITLE SVG TEXT...: what comes before a table; where it was measured is
# the first line of the results.
heading()
{
	printf '\n![%s](test/bench/%s)\n\n' "$1" "$2"
	shift 2
	printf '%s ' "Measured with $(head -n 1 "$results/table")." "$@" |
		fold -s -w 120 | sed 's/ $//'
	printf '\n\n'
}

# speed: the rows, beside what.
speed()
{
	heading "Rates of calls as multiples of their peers'" speed.svg \
		'Ratios are medians of the rounds. "Noise" are those that spread' \
		'over more than 15 % on both sides of what is required. Bytes of' \
		"WAL and the memory of a session's process, after a thousand calls," \
		"are ours and the peer's."
	echo '| call | connections | ratio | least to greatest |' \
		'WAL bytes | session kB | beside |'
	echo '|---|---|---|---|---|---|---|'
	awk -F '\t' "$text"'
		{
			sub("/", ", ", $7)
			sub("/", ", ", $8)
			printf "| %s | %d | %s%s | %s to %s | %s | %s | %s |\n",
				marked($1), $2, ratio($3), $6 == "noise" ? " (noise)" : "",
				ratio($4), ratio($5), $7 == "-" ? "" : $7,
				$8 == "-" ? "" : $8, $9
		}' "$results/rows"
	echo
}

# growth: a call and its ratio at each size.
growth()
{
	heading 'Rates of calls as tables grow' growth.svg \
		'Rates in larger tables, as a part of that in the smallest. A call' \
		'works on 1,000 rows that lie apart over the whole table. "Any" are' \
		"all rows: then pages have to come from the system's cache, for a" \
		'plain SELECT as well.'
	awk -F '\t' "$text"'
		{
			name = size = $1
			sub(/, [0-9]+ rows$/, "", name)
			sub(/ rows$/, "", size)
			sub(/.* /, "", size)
			if (!(size in seen))
			{
				seen[size] = 1
				head = head " " size " rows |"
				rule = rule "---|"
			}
			if (!(name in cells))
				order[++names] = name
			cells[name] = cells[name] sprintf(" %s (%s to %s) |",
				ratio($3), ratio($4), ratio($5))
		}
		END {
			print "| call |" head
			print "|---|" rule
			for (i = 1; i <= names; i++)
				print "| " marked(order[i]) " |" cells[order[i]]
		}' "$results/growth"
	echo
}

# replace NAME: what is between its lines in README, by stdin.
replace()
{
	cat >"$work/new"
	grep -q "^<!-- $1: " "$readme" && grep -q "^<!-- end of $1 -->" "$readme" ||
		die "$readme has no lines for $1"
	awk -v name="$1" -v new="$work/new" '
		index($0, "<!-- end of " name " -->") == 1 { inside = 0 }
		!inside
		index($0, "<!-- " name ": ") == 1 {
			inside = 1
			while ((getline line <new) > 0)
				print line
		}' "$readme" >"$work/readme" && cat "$work/readme" >"$readme"
}

[ ! -s "$results/rows" ] || speed | replace speed
[ ! -s "$results/growth" ] || growth | replace growth
