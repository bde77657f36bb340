#!/bin/sh
# Builds and runs subject/subject.c, which times the trie and the matchers alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
out=$(mktemp)
trap 'rm -f "$out"' EXIT
${CC:-cc} -O2 -w -o "$out" \
	-I"$("${PG_CONFIG:-pg_config}" --includedir-server)" -I"$root/src" \
	"$here/subject.c" "$root/src/subject/subject.c" \
	"$root/src/subject/glob.c" "$root/src/subject/trie.c"
"$out"
