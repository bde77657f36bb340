#!/bin/bash
# test/lint.sh: the rules of the house that a script can check.
#
# Each rule is one line "ok - ..." or "not ok - ..." with the offending lines
# below it.  A check that cannot run is an offence too, unless it needs what
# not everybody has: then it is a line "skipped - ...".  A line "warning - ..."
# is to be thought about.  src/README and the rules themselves say why; this
# file only says what.

. "$(dirname "$0")/lib.sh"

cd "$TOP" || exit 1
shopt -s nullglob

sources=(src/*.[ch] src/*/*.[ch])
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# rule TITLE COMMAND...: holds when COMMAND prints nothing at all.  A status of
# 1 is grep's "nothing found".
rule()
{
	local title=$1 output status

	shift
	output=$("$@" 2>&1)
	status=$?
	if [ -z "$output" ] && [ $status -gt 1 ]
	then
		output="$1 failed with exit code $status"
	fi
	if [ -z "$output" ]
	then
		echo "ok - $title"
	else
		echo "not ok - $title"
		printf '%s\n' "$output" | head -n 40 | sed 's/^/    /'
		failed=1
	fi
}

# warn TITLE COMMAND...: a line "warning - ..." with what COMMAND prints below
# it, which fails nothing; no line when it prints nothing.
warn()
{
	local title=$1 output

	shift
	output=$("$@" 2>&1)
	[ -z "$output" ] || {
		echo "warning - $title"
		printf '%s\n' "$output" | sed 's/^/    /'
	}
}

# skip TITLE REASON: a rule that cannot be checked here is neither kept nor
# broken.
skip()
{
	echo "skipped - $1 ($2)"
}

# makevar NAME: the words of a Makefile variable, one a line, sorted.
makevar()
{
	make -s "print-$1" | tr -s '[:blank:]' '\n' | sed '/^$/d' | sort
}

# stems FILE...: base names without the last suffix, one a line, sorted.
stems()
{
	local file

	for file
	do
		file=${file##*/}
		echo "${file%.*}"
	done | sort
}

# same LEFT RIGHT LEFTNAME RIGHTNAME: two files hold the same sorted lines.
same()
{
	comm -23 "$1" "$2" | sed "s|\$|: in $3, not in $4|"
	comm -13 "$1" "$2" | sed "s|\$|: in $4, not in $3|"
}

# --- Copies without comments (code/) and also without strings (bare/). ---

strip_c()
{
	perl -0777 -pe '
		s{(/\*.*?\*/)|("(?:[^"\\\n]|\\.)*"|\x27(?:[^\x27\\\n]|\\.)+\x27)}
		 {
			my ($comment, $string) = ($1, $2);
			if (defined $comment) { $comment =~ s/[^\n]//g; $comment; }
			elsif ($ENV{STRINGS}) { $string; }
			else { substr($string, 0, 1) x 2; }
		 }gsex' "$1"
}

for file in "${sources[@]}" src/sql/*.sql
do
	mkdir -p "$work/code/${file%/*}" "$work/bare/${file%/*}"
done
for file in "${sources[@]}"
do
	STRINGS=1 strip_c "$file" >"$work/code/$file"
	STRINGS='' strip_c "$file" >"$work/bare/$file"
done
for file in src/sql/*.sql
do
	sed 's/--.*//' "$file" >"$work/code/$file"
done

# in_code PATTERN [FILE...], in_bare PATTERN [FILE...]: grep the copies; the
# default is all C files.
in_code()
{
	local pattern=$1

	shift
	[ $# -gt 0 ] || set -- "${sources[@]}"
	(cd "$work/code" && grep -nHP -e "$pattern" -- "$@")
}

in_bare()
{
	local pattern=$1

	shift
	[ $# -gt 0 ] || set -- "${sources[@]}"
	(cd "$work/bare" && grep -nHP -e "$pattern" -- "$@")
}

# in_bare_but FILE PATTERN: the files that are not FILE.
in_bare_but()
{
	local files=() file

	for file in "${sources[@]}"
	do
		[ "$file" = "$1" ] || files+=("$file")
	done
	in_bare "$2" "${files[@]}"
}

# --- C: form. ---

# A string that does not fit is not broken: messages must be found by grep.
long_lines()
{
	local file

	for file in "${sources[@]}"
	do
		expand -t 4 "$file" | awk -v f="$file" '
			length($0) > 80 && !/".*"[,;) \\]*$/ {
				print f ":" NR ": " length($0) " columns"
			}'
	done
}

# texts: what people write here; not pictures, test outputs, logs and what is
# built.
texts()
{
	find . \( -name .git -o -name tmp_check -o -name results -o -name log \
		-o -name output_iso -o -name expected -o -name release \
		-o -name "*_corpus" \) -prune \
		-o -type f ! -name '*.o' ! -name '*.so' ! -name '*.bc' \
		! -name '*.log*' ! -name 'nvent_store--*.sql' \
		! -name 'regression.*' ! -name '*.png' -print0
}

blanks()
{
	# xargs makes 123 of grep's 1.
	texts | xargs -0 grep -nHE '[[:blank:]]+$' || [ $? -eq 123 ]
}

no_final_newline()
{
	local file

	while IFS= read -r -d '' file
	do
		[ -z "$(tail -c 1 "$file")" ] || echo "$file"
	done < <(texts)
}

# functions: "FILE LINE NAME LENGTH COMMENTED BODY INSIDE" of each function; its
# body's braces are at column 1, its header is the lines above down to a blank
# one, and its comment ends right above that, PG_FUNCTION_INFO_V1 aside.  BODY
# are the lines between the braces, INSIDE the comments there that begin a line
# and say something.
functions()
{
	perl - "$work/bare" "${sources[@]}" <<'PERL'
	use strict;
	use warnings;
	my $bare = shift;
	foreach my $file (@ARGV)
	{
		open my $fh, '<', "$bare/$file" or die "$bare/$file: $!\n";
		my @code = <$fh>;
		open $fh, '<', $file or die "$file: $!\n";
		my @text = <$fh>;
		for (my $i = 0; $i < @code; $i++)
		{
			next unless $code[$i] =~ /^\{/;
			my $top = $i;
			$top-- while $top > 0 && $code[$top - 1] =~ /\S/
				&& $code[$top - 1] !~ /^(PG_FUNCTION_INFO_V1|#|\})/;
			my $head = join '', @code[$top .. $i - 1];
			next if $head =~ /^\s*(typedef|struct|enum|union)\b/
				&& $head !~ /\)\s*$/;
			next if $head =~ /=\s*$/ || $head !~ /\)\s*$/;
			my ($name) = $head =~ /^(?:.*[\s*])?(\w+)\(/m;
			my $end = $i;
			$end++ while $end < $#code && $code[$end] !~ /^\}/;
			my $above = $top - 1;
			$above-- while $above >= 0
				&& $text[$above] =~ /^(PG_FUNCTION_INFO_V1\(.*|\s*)$/;
			my $commented = $above >= 0 && $text[$above] =~ m{\*/\s*$};
			my $inside = grep { m{^\s*/\*} && !/\bFALLTHROUGH\b/ }
				@text[$i + 1 .. $end - 1];
			printf "%s %d %s %d %d %d %d\n", $file, $top + 1, $name // '?',
				$end - $top + 1, $commented ? 1 : 0, $end - $i - 1, $inside;
		}
	}
PERL
}

functions >"$work/functions" || echo "0 0 functions 999 0 999 0" >"$work/functions"

file_heads()
{
	local file

	for file in "${sources[@]}"
	do
		[ "$(sed -n 1p "$file")" = '/*' ] &&
			[ "$(sed -n 2p "$file")" = " * ${file#src/}" ] ||
			echo "$file"
	done
}

guards()
{
	local file guard

	for file in "${sources[@]}"
	do
		[ "${file%.h}" != "$file" ] || continue
		guard=${file#src/}
		guard=NVS_${guard%.h}_H
		guard=${guard//\//_}
		grep -qx "#ifndef ${guard^^}" "$file" || echo "$file: ${guard^^}"
	done
}

rule 'C: lines of at most 80 columns, tabs of 4' long_lines
rule 'C: indented with tabs' grep -nHE '^ {4}|^	* +	' "${sources[@]}"
rule 'C: no // comments' in_bare '//'
rule 'no blanks at the end of a line' blanks
rule 'files end with a newline' no_final_newline
rule 'C: files open with their name and purpose' file_heads
rule 'C: headers have a guard' guards
# longer_than LINES: the files with more, and how many they have.
longer_than()
{
	wc -l -- "${sources[@]}" |
		awk -v most="$1" '$1 > most && $2 != "total" { print $2 ": " $1 }'
}

rule 'C: files of at most 1,000 lines' longer_than 1000
warn 'C: files of more than 700 lines' longer_than 700
rule 'C: functions of at most 120 lines' \
	awk '$4 > 120 { print $1 ":" $2 ": " $3 " has " $4 }' "$work/functions"
rule 'C: every function has a comment' \
	awk '!$5 { print $1 ":" $2 ": " $3 }' "$work/functions"
rule 'C: functions of more than 25 lines have a comment inside' \
	awk '$6 > 25 && !$7 { print $1 ":" $2 ": " $3 " has " $6 }' \
	"$work/functions"
rule 'C: no comment goes on with the one above' \
	grep -nE '^(/\*| \*) (The same|Nor|And|But|Likewise)\b' "${sources[@]}"

if test/indent.sh have
then
	rule 'C: as pgindent has it (make indent)' test/indent.sh check
else
	skip 'C: as pgindent has it' 'make indent gets the tool'
fi

# --- C: what may be called where. ---

rule 'C: only compat.h tests PG_VERSION_NUM' \
	in_bare_but src/compat.h '\bPG_VERSION_NUM\b'
rule 'C: pg_noreturn, which 18 has in place of pg_attribute_noreturn()' \
	in_bare_but src/compat.h '\bpg_attribute_noreturn\b'
rule 'C: only wakeup/notify.c calls Async_Notify' \
	in_bare_but src/wakeup/notify.c '\bAsync_Notify\b'
rule 'C: only base/plan.c prepares and executes SQL' \
	in_bare_but src/base/plan.c '\bSPI_(execute|exec|prepare|cursor_open)'
# each_source: what the Perl of standard input prints, for each source: it has
# $file, its $text, and $place, which says where an offset in it is.
each_source()
{
	perl -e '
		use strict;
		use warnings;
		my $look = do { local $/; <STDIN> };
		$look = eval "sub { my (\$file, \$text, \$place) = \@_;\n$look}" or die $@;
		foreach my $file (@ARGV)
		{
			open my $fh, "<", $file or die "$file: $!\n";
			my $text = do { local $/; <$fh> };
			$look->($file, $text, sub {
				return "$file:" . (1 + (substr($text, 0, shift) =~ tr/\n//));
			});
		}' "${sources[@]}"
}

# As the extension's owner only constant SQL is run: between nvs_become_owner()
# and nvs_become_caller(), and by nvs_store_registry_execute() and _query(), which
# do both, statements are NvsStatement with a text, and nothing builds one.
elevated()
{
	each_source <<'PERL'
	my %constant = map { $_ => 1 }
		$text =~ /^static const NvsStatement (\w+) = \{\n\t"/mg;
	my $check = sub {
		my ($where, $name) = @_;
		print "$where: $name is no constant text\n"
			unless $constant{$name};
	};
	while ($text =~ /^\tnvs_become_owner\(\w*&?\w+\);\n(.*?)^(\}|\tnvs_become_caller\()/msg)
	{
		my ($body, $end, $line) = ($1, $2, $place->($-[0]));
		print "$line: stays the extension's owner\n" if $end eq '}';
		print "$line: $1 builds or runs SQL as the extension's owner\n"
			while $body =~ /\b(nvs_sql\w*|nvs_plan_\w+|nvs_layout_\w+|nvs_statement_plan_text|nvs_qualified|quote_\w+|psprintf|appendStringInfo\w*|SPI_(?!getvalue|getbinval|tuptable|connect|finish)\w+)\(/g;
		$check->($line, $1)
			while $body =~ /\bnvs_statement_plan\(NULL, &(\w+)/g;
		print "$line: a plan of others\n"
			if $body =~ /\bnvs_statement_plan\((?!NULL, (&\w+|statement),)/;
	}
	$check->($place->($-[0]), $1)
		while $text =~ /\bnvs_store_registry_(?:execute|query)\(&(\w+)/g;
PERL
}

rule 'C: as the owner of the extension only constant SQL' elevated
rule 'C: palloc, and bounded string functions' \
	in_bare '\b(malloc|calloc|realloc|strdup|sprintf|vsprintf|strcpy|strcat|strtok)\s*\('
rule 'C: an elog says "unexpected" or "failed"' \
	in_code '\belog\((ERROR|FATAL|PANIC)(?!.*(unexpected|failed))'

# --- C: messages. ---

# messages: errmsg, errdetail and errhint texts and ereports without a code.
messages()
{
	each_source <<'PERL'
	# Macros such as UINT64_FORMAT may stand between the strings.
	while ($text =~ /\b(err(?:msg|detail|hint)(?:_internal)?)\(\s*(?=")((?:"(?:[^"\\]|\\.)*"|[A-Z]\w*|\s)+)/g)
	{
		my ($kind, $line) = ($1, $place->($-[0]));
		my $message = join '',
			map { /^"(.*)"$/s ? $1 : '%d' }
			$2 =~ /("(?:[^"\\]|\\.)*"|\b[A-Z]\w*)/g;
		if ($kind =~ /^errmsg/)
		{
			print "$line: starts in upper case: $message\n"
				if $message =~ /^[A-Z](?![A-Z])/;
			print "$line: ends in a period: $message\n"
				if $message =~ /\.$/;
			print "$line: unhelpful word: $message\n"
				if $message =~ /\b(unable|bad|illegal)\b/i;
		}
		elsif ($message !~ /^%s$|^\{/)
		{
			print "$line: not a sentence: $message\n"
				if $message !~ /^[A-Z"%].*[.!?]$/s;
		}
	}
	while ($text =~ /\bereport(\(((?:[^()"]|"(?:[^"\\]|\\.)*"|(?1))*)\))/g)
	{
		my ($line, $body) = ($place->($-[0]), $1);
		print "$line: no errcode\n"
			if $body =~ /^\((ERROR|FATAL)/ && $body !~ /\berrcode\(/;
	}
PERL
}

rule 'C: errmsg, errdetail, errhint and errcode as PostgreSQL has them' messages

# Every SQL text pins its operators to pg_catalog, as search_path is the
# caller's.  Found where it matters most: in conditions.
rule 'C: SQL texts pin comparison operators' \
	in_code '".*\b(WHERE|AND|OR|WHEN)\s+[\w.%"\\()]+\s*(=|<>|<|>|<=|>=|@>|\?)\s*[\w\$%(]'

# A type's name is looked up as an operator is, unless the grammar knows it.
# Hints are for a reader; one text is compared with how PostgreSQL writes it.
rule 'C: SQL texts pin the types that they cast to' \
	in_code '^(?!.*(errhint|next_position)).*"[^"]*::(?!pg_catalog\.|(double precision|interval)\b)\w'

# These have no operator that could be pinned.
rule 'C: SQL texts compare by operators' \
	in_code '"[^"]*\b(IN \((SELECT|VALUES)\b|IS (NOT )?DISTINCT FROM\b|NULLIF\()'

# --- Layers: an include points down. ---

# layer_of FOLDER: its number in the table of src/README, a line for each layer
# with the folders in it; files of src/ itself are above or, headers, below all.
layer_of()
{
	awk -v want="$1/" '
		/^\t[0-9]+ / { for (i = 2; i <= NF; i++) if ($i == want) print $1 }
	' src/README
}

# folder_of FILE: "stream" for src/stream/read.c, nothing for src/errors.h.
folder_of()
{
	case ${1#src/} in
		*/*) dirname "${1#src/}" ;;
	esac
}

layers()
{
	local folder own target file line

	for folder in src/*/
	do
		folder=$(basename "$folder")
		[ "$folder" = sql ] || [ -n "$(layer_of "$folder")" ] ||
			echo "src/$folder: in no layer of src/README"
	done
	while IFS=: read -r file line target
	do
		target=${target#*\"}
		target=${target%\"*}
		# What is not ours is in no layer.
		[ -e "src/$target" ] || continue
		own=$(folder_of "$file")
		folder=$(folder_of "$target")
		if [ -z "$own" ] || [ -z "$folder" ] || [ "$own" = "$folder" ]
		then
			continue
		fi
		[ "$(layer_of "$folder")" -lt "$(layer_of "$own")" ] ||
			echo "$file:$line: $own/ includes $target"
	done < <(in_code '^\s*#\s*include\s+"[\w/]+\.h"')
}

# own_group: our headers come last, in a group of their own, in order.
own_group()
{
	local file

	for file in "${sources[@]}"
	do
		awk -v f="$file" '
			/^#include "/ {
				split($0, part, "\"")
				ours = system("test -e src/" part[2]) == 0
				if (ours && !was && blank == 0)
					print f ":" NR ": no blank line above " part[2]
				if (!ours && was && part[2] !~ /simplehash|sort_template/)
					print f ":" NR ": " part[2] " below ours"
				was = ours
				blank = 0
			}
			/^$/ { blank = 1 }' "$file"
	done
}

# impure: SPI, catalog and table headers in the pure layer; catalog/pg_type.h
# and the collation's are only numbers.  Planner support has to look.
impure()
{
	local files=() file

	for file in src/json/*.[ch] src/subject/*.[ch]
	do
		[ "$file" = src/subject/support.c ] || files+=("$file")
	done
	in_code 'include\s+"(executor/spi|access/(table|heap)am?|catalog/(?!pg_type|pg_collation)|utils/(syscache|lsyscache|rel)\b|base/plan\.h)' \
		"${files[@]}"
}

# no_circles TITLE KIND: files, or folders, do not call each other in a circle.
# The objects tell, when they are there.
no_circles()
{
	test/cycles.sh "$2" >/dev/null 2>"$work/a"
	if [ $? -eq 3 ]
	then
		skip "$1" "$(cat "$work/a")"
	else
		rule "$1" test/cycles.sh "$2"
	fi
}

rule 'C: includes point to the same folder or a lower one' layers
rule 'C: our own includes are a group, below the others' own_group
rule 'C: the pure layer reads no catalog and runs no SQL' impure
no_circles 'C: no two files call each other, also by others' files
no_circles 'C: no two folders call each other, also by others' folders

# --- Lists: what is there is listed, and what is listed is there. ---

objects()
{
	makevar OBJS >"$work/a"
	for file in src/*.c src/*/*.c
	do
		echo "${file%.c}.o"
	done | sort >"$work/b"
	same "$work/a" "$work/b" OBJS src/
}

parts()
{
	makevar SQL_PARTS >"$work/a"
	stems src/sql/*.sql >"$work/b"
	same "$work/a" "$work/b" SQL_PARTS src/sql/
}

regress()
{
	makevar REGRESS >"$work/a"
	stems sql/*.sql >"$work/b"
	stems expected/*.out >"$work/c"
	same "$work/a" "$work/b" REGRESS sql/
	same "$work/b" "$work/c" sql/ expected/
}

specs()
{
	stems test/specs/*.spec >"$work/a"
	stems test/expected/*.out >"$work/b"
	same "$work/a" "$work/b" test/specs/ test/expected/
}

# typedefs: the list for pgindent has every type that we declare, and none that
# we do not mention.
typedefs()
{
	LC_ALL=C sort -cu typedefs.list
	test/indent.sh declared | LC_ALL=C comm -13 typedefs.list - |
		sed 's/$/: not in typedefs.list (make typedefs)/'
	{
		test/indent.sh declared
		cd "$work/bare" && grep -ohE '\w+' "${sources[@]}"
	} | LC_ALL=C sort -u | LC_ALL=C comm -23 typedefs.list - |
		sed 's/$/: in typedefs.list, not in src\/ (make typedefs)/'
}

rule 'Makefile: OBJS are the files of src/' objects
rule 'typedefs.list has the types of src/' typedefs
rule 'Makefile: SQL_PARTS are the files of src/sql/' parts
rule 'Makefile: REGRESS, sql/ and expected/ agree' regress
rule 'test/specs/ and test/expected/ agree' specs

# --- SQL parts. ---

in_parts()
{
	in_code "$1" src/sql/*.sql
}

# unqualified: CREATEs whose object is not put into our schema by name.
unqualified()
{
	in_parts '(?i)^\s*CREATE\s+(UNLOGGED\s+)?(FUNCTION|PROCEDURE|AGGREGATE|TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE|TYPE|DOMAIN|COLLATION|STATISTICS)\s+(?!nvent\.)'
	in_parts '(?i)^\s*CREATE\s+SCHEMA\s+(?!nvent\s*;)'
	in_parts '(?i)^\s*CREATE\s+OPERATOR\s+(?!(CLASS\s+|FAMILY\s+)?nvent\.)'
	(
		cd "$work/code" &&
			perl -0777 -ne '
				while (/^\s*CREATE\s+((?:UNIQUE\s+)?INDEX|TRIGGER|RULE|POLICY)\b([^;]*);/gim)
				{
					my ($kind, $rest) = ($1, $2);
					print "$ARGV: $kind", substr($rest, 0, 60), "\n"
						if $rest !~ /\bON\s+(ONLY\s+)?nvent\./i
						&& $rest !~ /\bTO\s+nvent\./i;
				}' src/sql/*.sql
	)
}

# unlabelled: functions that leave volatility or parallel safety unsaid.
unlabelled()
{
	(
		cd "$work/code" &&
			perl -0777 -ne '
				while (/^CREATE\s+FUNCTION\s+([\w.]+)(.*?;)\s*$/gims)
				{
					my ($name, $rest) = ($1, $2);
					next if $rest =~ /\bRETURNS\s+(event_)?trigger\b/i;
					print "$ARGV: $name: no volatility\n"
						if $rest !~ /\b(IMMUTABLE|STABLE|VOLATILE)\b/i;
					print "$ARGV: $name: no PARALLEL\n"
						if $rest !~ /\bPARALLEL\s+(SAFE|RESTRICTED|UNSAFE)\b/i;
				}' src/sql/*.sql
	)
}

# Released scripts are frozen: each has its checksum.
released()
{
	[ -d src/sql/release ] || return 0
	(
		cd src/sql/release || exit
		printf '%s\n' ./*.sql | sort >"$work/a"
		sed 's/^[0-9a-f]*  //' SHA256SUMS | sort >"$work/b"
		same "$work/a" "$work/b" src/sql/release/ SHA256SUMS
		sha256sum --quiet --check SHA256SUMS
	)
}

rule 'SQL: no OR REPLACE and no IF NOT EXISTS' \
	in_parts '(?i)\bOR\s+REPLACE\b|\bIF\s+NOT\s+EXISTS\b'
rule 'SQL: objects are created in schema nvent by name' unqualified
rule 'SQL: functions say their volatility and PARALLEL' unlabelled
rule 'SQL: C functions bind to nvs_*' \
	in_parts "MODULE_PATHNAME'(?!\\s*,\\s*'nvs_\\w+'|\\s*\$)"
rule 'SQL: released scripts are as they were' released

# --- The module's symbols. ---

# symbols: what the library shows to others, when there is one.
symbols()
{
	[ -e nvent_store.so ] || return 0
	nm -D --defined-only nvent_store.so | awk '{ print $3 }' |
		grep -vE '^(nvs_\w+|_PG_init|Pg_magic_func|pg_finfo_nvs_\w+|_init|_fini|__odr_asan\.nvs_\w+)$'
}

rule 'the library shows only nvs_* symbols' symbols

# --- Versions and documents. ---

versions()
{
	local version found

	version=$(makevar EXTVERSION)
	found=$(sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
	[ "$found" = "$version" ] || echo "CHANGELOG.md begins with \"$found\""
	sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' META.json >"$work/a"
	# The first is the distribution's, one more is in "provides", and the
	# last is the META specification's own.
	printf '%s\n' "$version" "$version" 1.0.0 | sort >"$work/b"
	sort "$work/a" | cmp -s - "$work/b" || echo "META.json is not $version"
	[ ! -e README.md ] ||
		grep -noE 'nvent_store(--| v?)[0-9]+\.[0-9]+\.[0-9]+' README.md |
		grep -vE "[- v]${version//./\\.}\$"
}

scripts()
{
	local file

	for file in test/*.sh test/*/*.sh .ci/run
	do
		bash -n "$file"
		[ -x "$file" ] || [ "$file" = test/lib.sh ] ||
			echo "$file: not executable"
	done
}

# examples: sql/examples.sql is README.md's statements.
examples()
{
	test/readme.sh examples | diff - sql/examples.sql |
		sed 's/^/run: test\/readme.sh examples > sql\/examples.sql    /'
}

# named: targets of make, files and tests that documents for contributors name
# in code, and that are not there.
named()
{
	perl - README.md CONTRIBUTING.md SECURITY.md src/README <<'PERL'
	use strict;
	use warnings;
	open my $make, '<', 'Makefile' or die "Makefile: $!\n";
	my %target = map { $_ => 1 } qw(all install installcheck check clean),
		map { /^([a-z][\w-]*):/ } <$make>;
	foreach my $file (@ARGV)
	{
		open my $fh, '<', $file or die "$file: $!\n";
		my $code = '';
		while (<$fh>)
		{
			$code = !$code if /^```/;
			foreach my $words ($code ? $_ : /`([^`]+)`/g)
			{
				foreach ($words =~ /\bmake\s+(?:-\S+\s+)*([a-z][\w-]*)(?![\w-]*=)/g)
				{
					print "$file:$.: no target $_\n" if !$target{$_};
				}
				next if $file !~ /^[A-Z]+\.md$/ || $file eq 'README.md';
				foreach ($words =~ m{(?<![\w./])((?:src|test|sql|expected|\.ci)/[\w./-]+)}g)
				{
					print "$file:$.: no file $_\n" if !/[A-Z]{3}/ && !-e $_;
				}
				next if $words !~ /\bONLY="([^"]*)"/;
				foreach (split ' ', $1)
				{
					print "$file:$.: no test $_\n" if $_ ne 'NAME'
						&& !-e "sql/$_.sql" && !-e "test/specs/$_.spec"
						&& !-e "test/t/$_.pl";
				}
			}
		}
	}
PERL
}

# wide: lines of documents that a screen does not hold.
wide()
{
	awk 'length($0) > 120 { print FILENAME ":" FNR ": " length($0) " columns" }' \
		CONTRIBUTING.md SECURITY.md
}

rule 'documents name targets, files and tests that are there' named
rule 'CONTRIBUTING.md, SECURITY.md: lines of at most 120 columns' wide
rule 'control file, META.json, CHANGELOG.md and README.md have one version' \
	versions
rule 'sql/examples.sql is the statements of README.md' examples
rule 'test/README.md names every test, and what to look for in it' \
	test/readme_tests.sh
rule 'shell scripts parse and can be run' scripts

# --- The scripts of test/ have tests of their own, a line for each. ---

test/scripts.sh || failed=1

exit $failed
