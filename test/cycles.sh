#!/bin/bash
# test/cycles.sh: which files, or folders, call each other in a circle.
#
#	test/cycles.sh files	a line for each circle of files of src/
#	test/cycles.sh folders	the same of their folders
#
# Works on the current folder, and reads the symbols of its objects: a use of
# another file's variable counts as a call of it.  Exit code 3, and the reason,
# when an object is missing or older than what it was made from; 0 otherwise.
# Objects of files that are gone do not count.

shopt -s nullglob
sources=(src/*.c src/*/*.c)
headers=(src/*.h src/*/*.h)

# stale: print the first file whose object does not tell how it is now.
stale()
{
	local file newest=

	for file in "${headers[@]}"
	do
		[ -n "$newest" ] && [ ! "$file" -nt "$newest" ] || newest=$file
	done
	for file in "${sources[@]}"
	do
		if [ ! -e "${file%.c}.o" ] || [ "$file" -nt "${file%.c}.o" ] ||
			[ "$newest" -nt "${file%.c}.o" ]
		then
			echo "$file"
			return
		fi
	done
}

# calls: "CALLER CALLEE" for each two files of which one needs a symbol of the
# other.
calls()
{
	nm -P -A "${sources[@]/%.c/.o}" | awk '
		{ sub(/\.o:$/, ".c", $1) }
		$3 ~ /^[TDBRCSG]$/ { home[$2] = $1 }
		$3 == "U" { user[NR] = $1; used[NR] = $2 }
		END {
			for (n in used)
				if (used[n] in home && home[used[n]] != user[n])
					print user[n], home[used[n]]
		}' | LC_ALL=C sort -u
}

# fold: the calls between folders, of calls between files.
fold()
{
	awk '
		{
			sub(/[^\/]*$/, "", $1)
			sub(/[^\/]*$/, "", $2)
		}
		$1 != $2' | LC_ALL=C sort -u
}

# circles: what cannot be put into an order, a line for each circle.
circles()
{
	LC_ALL=C tsort 2>&1 >/dev/null | sed 's/^tsort: //' | awk '
		/input contains a loop:$/ { if (circle) print circle; circle = ""; next }
		{ circle = circle (circle == "" ? "" : " -> ") $0 }
		END { if (circle) print circle }'
}

file=$(stale)
if [ -n "$file" ]
then
	echo "$file is not built" >&2
	exit 3
fi
case ${1:-} in
	files) calls | circles ;;
	folders) calls | fold | circles ;;
	*)
		echo "usage: ${0##*/} files | folders" >&2
		exit 2
		;;
esac
