#!/bin/sh
# Fuzzes subjects, patterns, tries and globs for so many seconds (60 without an
# argument), under ASan and UBSan; ends with an error on the first finding.
# Wants clang with its libFuzzer (libclang-rt-*-dev) and the server's headers.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
src=$here/../../src
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/corpus"
${CLANG:-clang} -g -O1 -w -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined -fno-omit-frame-pointer \
	-o "$work/fuzz" \
	-I"$("${PG_CONFIG:-pg_config}" --includedir-server)" -I"$src" \
	"$here/subject_fuzz.c" "$src/subject/subject.c" "$src/subject/glob.c" \
	"$src/subject/trie.c"
# What it found new goes to a folder that is thrown away; a finding stays here.
"$work/fuzz" -max_total_time="${1:-60}" -max_len=4096 -timeout=10 \
	-dict="$here/subject.dict" -artifact_prefix="$here/subject_finding_" \
	-print_final_stats=1 -verbosity="${FUZZ_VERBOSITY:-0}" \
	"$work/corpus" "$here/subject_corpus"
echo "no finding in ${1:-60} seconds"
