#!/bin/bash
# test/indent.sh: PostgreSQL's pgindent for this project ("make indent").
#
#	test/indent.sh [FILE]...       indent the files of src/, or these
#	test/indent.sh check [FILE]... show what it would change; 1 if anything
#	test/indent.sh have            is the tool there?  Says nothing
#	test/indent.sh get             get it where it is missing
#	test/indent.sh typedefs        make typedefs.list anew
#	test/indent.sh declared        print the types that our sources declare
#
# pgindent and pg_bsd_indent come with the server's development package (since
# PostgreSQL 17), or are built from PostgreSQL's source into the cache.

. "$(dirname "$0")/lib.sh"

# What our style was made with; others indent otherwise.
version='pg_bsd_indent 2.1.2 '

# tool_in DIR: are both programs there, and the right ones?
tool_in()
{
	[ -f "$1/pgindent" ] && [ -x "$1/pg_bsd_indent" ] &&
		[[ $("$1/pg_bsd_indent" --version 2>/dev/null) == "$version"* ]]
}

# find_tool: print the folder that has both programs.
find_tool()
{
	local dir

	for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -Vr) \
		"$(cache_dir)/pgindent"
	do
		! tool_in "$dir" || { printf '%s\n' "$dir"; return; }
	done
	return 1
}

# build_tool: build it into the cache, with the headers of any server.  Before
# 18 they do not know pg_noreturn.
build_tool()
{
	local dir source log

	dir=$(cache_dir)/pgindent
	PG_CONFIG=$(pg_choose) || die "no usable PostgreSQL; run test/setup.sh"
	source=$("$TOP/test/source.sh" 18 17) || exit 1
	mkdir -p "$dir" && tar -C "$work" --strip-components=3 -xf "$source" \
		--wildcards '*/src/tools/pg_bsd_indent/*.[ch]' \
		'*/src/tools/pgindent/pgindent' || die "cannot unpack $source"
	log=$(cc -O2 -I "$work/pg_bsd_indent" \
		-I "$("$PG_CONFIG" --includedir-server)" \
		-D'pg_noreturn=__attribute__((noreturn))' \
		-o "$work/built" "$work"/pg_bsd_indent/*.c \
		-L "$("$PG_CONFIG" --pkglibdir)" -L "$("$PG_CONFIG" --libdir)" \
		-lpgport 2>&1) || die "cannot build pg_bsd_indent:" "$log"
	cp "$work/pgindent/pgindent" "$dir/pgindent" &&
		mv "$work/built" "$dir/pg_bsd_indent" &&
		tool_in "$dir" || die "cannot install pgindent into $dir"
}

# get_tool: print the folder of the tool, which is built where it is missing.
get_tool()
{
	find_tool || { build_tool >&2 && find_tool; }
}

# run_pgindent FILE...: indent them in place.  It leaves its own files in the
# folder where it runs, and knows no blanks in the name of its program.
run_pgindent()
{
	local tool

	tool=$(get_tool) || exit 1
	mkdir -p "$work/run"
	(
		cd "$work/run" && PATH="$tool:$PATH" perl "$tool/pgindent" \
			--indent=pg_bsd_indent --typedefs="$TOP/typedefs.list" "$@"
	) || die "pgindent failed"
}

# c_files [FILE]...: these, or all of src/, from the top of the checkout and
# separated by NUL.
c_files()
{
	if [ $# -gt 0 ]
	then
		realpath -z --relative-to="$TOP" -- "$@"
	else
		(cd "$TOP" && find src -name '*.[ch]' -print0)
	fi
}

# check [FILE]...: indent copies, and show how they differ.
check()
{
	local files

	mapfile -d '' files < <(c_files "$@")
	mkdir "$work/a" "$work/b"
	(cd "$TOP" && cp --parents -t "$work/a" -- "${files[@]}" &&
		cp --parents -t "$work/b" -- "${files[@]}") || exit 1
	run_pgindent "${files[@]/#/$work/b/}"
	(cd "$work" && diff -ru a b)
}

# declared: the types that our sources declare.
declared()
{
	find "$TOP/src" -name '*.[ch]' -exec cat {} + | perl -0777 -ne '
		s{/\*.*?\*/|"(?:[^"\\\n]|\\.)*"}{}gs;
		while (/\btypedef\b ((?:[^;{}]|(\{(?:[^{}]|(?2))*\}))*) ;/gx)
		{
			my $type = $1;
			$type =~ s/(\{(?:[^{}]|(?1))*\})//g;
			print "$1\n" if $type =~ /\(\*(\w+)\)/
				|| $type =~ /(\w+)\s*(?:\[.*\]\s*)?$/;
		}
		print "$1_hash\n$1_iterator\n"
			while /^#define\s+SH_PREFIX\s+(\w+)/gm;'
}

# used: the types that the compiler met, of what our sources mention.
used()
{
	local words

	PG_CONFIG=$(pg_choose) || die "no usable PostgreSQL; run test/setup.sh"
	build >&2 || die "cannot build"
	(cd "$TOP" && find src -name '*.o' -exec objdump -Wi {} +) | perl -ne '
		if (/\(DW_TAG_(\w+)\)/) { $tag = $1 }
		elsif ($tag eq "typedef" && /DW_AT_name\s*:.*?(\w+)\s*$/)
		{ print "$1\n"; $tag = "" }' >"$work/met"
	[ -s "$work/met" ] ||
		die "the objects have no debug information; build them with COPT=-g"
	words=$(find "$TOP/src" -name '*.[ch]' -exec cat {} + |
		perl -0777 -pe 's{/\*.*?\*/|"(?:[^"\\\n]|\\.)*"}{ }gs' |
		grep -oE '[A-Za-z_][A-Za-z_0-9]*')
	comm -12 <(LC_ALL=C sort -u "$work/met") \
		<(printf '%s\n' "$words" | LC_ALL=C sort -u)
}

work=$(mktemp -d) || die "cannot make a folder in ${TMPDIR:-/tmp}"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
command=${1:-}
case $command in
	have) find_tool >/dev/null ;;
	get) get_tool >/dev/null ;;
	check)
		shift
		check "$@"
		;;
	declared) declared | LC_ALL=C sort -u ;;
	typedefs)
		types=$(used) || exit 1
		{
			printf '%s\n' "$types"
			declared
		} | LC_ALL=C sort -u >"$TOP/typedefs.list"
		;;
	*)
		mapfile -d '' files < <(c_files "$@")
		run_pgindent "${files[@]/#/$TOP/}"
		;;
esac
