#!/bin/bash
# test/bench/plot.sh: draws the table of "make bench" ("make bench PLOT=1").
#
#	plot.sh TABLE ROWS SVG
#
# A bar for each row: from 1, as fast as what it is measured beside, to the
# ratio, on a scale where twice as fast and half as fast are equally long, with
# a line from the least ratio of a round to the greatest.  The first line of the
# table says where it was measured.

. "$(dirname "$0")/../lib.sh"

[ $# -eq 3 ] || die "give a table, its rows and the file to draw to"
command -v gnuplot >/dev/null ||
	die "no gnuplot here; run apt-get install gnuplot-nox"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# bars: "ROW RATIO MIN MAX CONNECTIONS NAME" of each row; a name comes once, and
# rows of one name stand closer.
bars()
{
	awk -F '\t' '$3 > 0 {
		at += $1 == last ? 0.8 : 1.2
		printf "%.1f %s %s %s %d \"%s\"\n", at, $3, $4, $5, $2,
			$1 == last ? "" : $1
		last = $1
	}' "$1"
}

bars "$2" >"$work/bars"
[ -s "$work/bars" ] || die "$2 has no row"
rows=$(tail -n 1 "$work/bars" | cut -d ' ' -f 1)
top=$(cut -d ' ' -f 4 "$work/bars" | sort -n | tail -n 1)

# A bar lies between 1 and its ratio.
awk '$5 == 1' "$work/bars" >"$work/one"
awk '$5 > 1' "$work/bars" >"$work/many"
bar='(1):1:($2 < 1 ? $2 : 1):($2 < 1 ? 1 : $2):($1 - 0.34):($1 + 0.34)'

gnuplot <<END || die "gnuplot failed"
set terminal svg size 860,$(awk "BEGIN { print int(130 + $rows * 20) }") \
	dynamic noenhanced font 'DejaVu Sans,Helvetica,sans-serif,12' \
	background 'white'
set output '$work/plot.svg'
set title "Rate of a call, as a multiple of that of the SQL beside it\n\
$(grep -m 1 ^PostgreSQL "$1")"
set logscale x
set xrange [0.7:$(awk "BEGIN { print ($top < 2 ? 2 : $top) * 1.7 }")]
set xtics ("equal" 1, "2x" 2, "5x" 5, "10x" 10, "20x" 20, "50x" 50, \
	"100x" 100) scale 0
set yrange [$rows + 1:0.2]
unset ytics
set border 1 lc rgb '#888888'
set grid xtics lc rgb '#dddddd' lt 1
set lmargin 30
set rmargin 3
set key below center horizontal width 3
set style fill solid noborder
set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb '#444444' front
plot '$work/one' using $bar with boxxyerror lc rgb '#7fb0d8' \
		title '1 connection', \
	'$work/many' using $bar with boxxyerror lc rgb '#1f5f99' \
		title 'many connections', \
	'$work/bars' using 2:1:3:4 with xerrorbars pt 0 lc rgb '#444444' \
		title 'least and greatest of the rounds', \
	'' using (\$4 < 1 ? 1 : \$4):1:2 with labels left \
		offset 0.7, 0 notitle, \
	'' using (0.7):1:6 with labels right offset -1, 0 notitle
END
sed 's/[[:blank:]]*$//' "$work/plot.svg" >"$3"
