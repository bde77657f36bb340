#!/bin/bash
# test/bench/plot.sh: draws the results of "make bench" ("make bench PLOT=1").
#
#	plot.sh RESULTS FOLDER
#
# RESULTS is a folder with the table, whose first line says where it was
# measured, and its rows as fields between tabs: title, connections, ratio,
# least, greatest and more.  Draws FOLDER/speed.svg and FOLDER/growth.svg, or
# the one that there are rows for.

. "$(dirname "$0")/../lib.sh"

[ $# -eq 2 ] || die "give a folder of results and the folder to draw to"
command -v gnuplot >/dev/null ||
	die "no gnuplot here; run apt-get install gnuplot-nox"
results=$1
folder=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
where=$(head -n 1 "$results/table")

# terminal HEIGHT: how each plot begins.
terminal()
{
	cat <<-END
		set terminal svg size 860,$1 dynamic noenhanced \
			font 'DejaVu Sans,Helvetica,sans-serif,12' background 'white'
		set output '$work/plot.svg'
		set key below center horizontal width 3
		set border 1 lc rgb '#888888'
	END
}

# draw SVG: run what stdin says.
draw()
{
	gnuplot || die "gnuplot failed"
	sed 's/[[:blank:]]*$//' "$work/plot.svg" >"$folder/$1"
}

# bars: "ROW RATIO MIN MAX CONNECTIONS NAME" of each row; a name comes once, and
# rows of one name stand closer.
bars()
{
	awk -F '\t' '$3 > 0 {
		at += $1 == last ? 0.8 : 1.2
		printf "%.1f %s %s %s %d \"%s\"\n", at, $3, $4, $5, $2,
			$1 == last ? "" : $1
		last = $1
	}' "$results/rows"
}

# speed: a bar for each row: from 1, as fast as its peer, to the ratio, on a
# scale where twice as fast and half as fast are equally long, with a line from
# the least ratio of a round to the greatest.
speed()
{
	local rows low top
	local bar='(1):1:($2 < 1 ? $2 : 1):($2 < 1 ? 1 : $2):($1-0.34):($1+0.34)'

	bars >"$work/bars"
	awk '$5 == 1' "$work/bars" >"$work/one"
	awk '$5 > 1' "$work/bars" >"$work/many"
	rows=$(tail -n 1 "$work/bars" | cut -d ' ' -f 1)
	low=$(cut -d ' ' -f 3 "$work/bars" | sort -g |
		awk 'NR == 1 { print ($1 < 0.75 ? $1 : 0.75) * 0.9 }')
	top=$(cut -d ' ' -f 4 "$work/bars" | sort -g |
		awk '{ top = $1 } END { print (top < 2 ? 2 : top) * 1.7 }')
	draw speed.svg <<-END
		$(terminal "$(awk "BEGIN { print int(130 + $rows * 20) }")")
		set title "Rate of a call, as a multiple of its peer's\n$where"
		set logscale x
		set xrange [$low:$top]
		set xtics ("1/10" 0.1, "1/5" 0.2, "1/2" 0.5, "equal" 1, "2x" 2, "5x" 5, "10x" 10, \
			"20x" 20, "50x" 50, "100x" 100) scale 0
		set yrange [$rows + 1:0.2]
		unset ytics
		set grid xtics lc rgb '#dddddd' lt 1
		set lmargin 34
		set rmargin 3
		set style fill solid noborder
		set arrow from 1, graph 0 to 1, graph 1 nohead \
			lc rgb '#444444' front
		plot \
			'$work/one' using $bar with boxxyerror lc rgb '#7fb0d8' \
				title '1 connection', \
			'$work/many' using $bar with boxxyerror lc rgb '#1f5f99' \
				title 'many connections', \
			'$work/bars' using 2:1:3:4 with xerrorbars pt 0 \
				lc rgb '#444444' title 'least and greatest round', \
			'' using (\$4 < 1 ? 1 : \$4):1:(sprintf("%.2f", \$2)) \
				with labels left offset 0.7, 0 notitle, \
			'' using ($low):1:6 with labels right offset -1, 0 notitle
	END
}

# lines: a block for each operation, "ROWS RATIO MIN MAX" by size; the first
# size is 1, and comes from the name of the peer.
lines()
{
	awk -F '\t' '
		{
			name = size = $1
			sub(/, [0-9]+ rows$/, "", name)
			sub(/ rows$/, "", size)
			sub(/.* /, "", size)
			base = $9
			sub(/ rows$/, "", base)
			sub(/.* /, "", base)
			if (name != last)
				printf "%s\"%s\"\n%s 1 1 1\n", last == "" ? "" : "\n\n",
					name, base
			print size, $3, $4, $5
			last = name
		}' "$results/growth"
}

# growth: a line for each operation, from the smallest tables to the largest;
# those of any row come last, and are dashed.
growth()
{
	local last all

	lines >"$work/lines"
	all=$(($(grep -c '^"' "$work/lines") - 1))
	last=$((all - $(grep -c '^".*, any"' "$work/lines")))
	draw growth.svg <<-END
		$(terminal 520)
		set title "Rate of a call as tables grow, as a part of that in the smallest\n$where"
		set logscale x
		set xlabel 'rows of the table' enhanced
		set xtics ("10 thousand" 1e4, "100 thousand" 1e5, "1 million" 1e6, \
			"20 million" 2e7)
		set xrange [8e3:3e7]
		set yrange [0:1.5]
		set ytics ("" 0, "1/2" 0.5, "1 : 1.3" 1 / 1.3, "equal" 1, "1.5" 1.5)
		set grid ytics lc rgb '#dddddd' lt 1
		plot for [i = 0:$last] '$work/lines' index i \
			using (\$1 * (1 + 0.02 * i)):2:3:4 with yerrorlines \
			pt 7 ps 0.5 title columnheader(1), \
			for [i = $last + 1:$all] '$work/lines' index i \
			using (\$1 * (1 + 0.02 * i)):2:3:4 with yerrorlines \
			pt 6 ps 0.5 dt 2 title columnheader(1)
	END
}

[ ! -s "$results/rows" ] || speed
[ ! -s "$results/growth" ] || growth
