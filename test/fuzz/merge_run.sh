#!/bin/bash
# test/fuzz/merge_run.sh: fuzz the merging of jsonb documents.
#
#	test/fuzz/merge_run.sh [SECONDS]
#
# Runs for that long, 60 without an argument, under the address and undefined
# behaviour sanitizers; fails on the first finding and leaves its input here as
# merge_finding_*.  Wants clang with libFuzzer: clang and libclang-rt-*-dev.
# Run with an input, test/fuzz/merge_run.sh FILE repeats just that.

. "$(dirname "$0")/../lib.sh"

here=$TOP/test/fuzz
PG_CONFIG=$(pg_choose) || die "no usable PostgreSQL; run test/setup.sh"
clang=${CLANG:-clang}
command -v "$clang" >/dev/null || die "no $clang; install clang and" \
	"libclang-rt-*-dev"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The limit on a document's size is small here, so that it is met.
flags=(-g -O2 -Wall -Wno-ignored-attributes -Wno-unused-function
	-fno-strict-aliasing -fsanitize=address,undefined
	-fno-sanitize-recover=undefined -DNVS_JSONB_MAX_SIZE=8192
	-I"$TOP/src" -I"$("$PG_CONFIG" --includedir-server)")

# Only the sources steer the search, not the harness.
objects=()
for stem in build merge tree
do
	"$clang" "${flags[@]}" -fsanitize=fuzzer-no-link \
		-c "$TOP/src/json/$stem.c" -o "$work/$stem.o" || exit 1
	objects+=("$work/$stem.o")
done
"$clang" "${flags[@]}" -fsanitize=fuzzer -o "$work/fuzz" \
	"$here/merge_fuzz.c" "${objects[@]}" ||
	die "could not build the harness; is libclang-rt-*-dev installed?"

if [ -f "${1:-}" ]
then
	"$work/fuzz" "$1"
	exit
fi

# New inputs go to a folder that is thrown away.
mkdir "$work/corpus"
"$work/fuzz" -max_total_time="${1:-60}" -max_len=1000 -timeout=20 \
	-artifact_prefix="$here/merge_finding_" -print_final_stats=1 \
	"$work/corpus" "$here/merge_corpus" >"$work/log" 2>&1 ||
{
	tail -n 60 "$work/log" >&2
	die "a finding; its input is $here/merge_finding_*"
}
inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
echo "merge: no finding in ${1:-60} seconds, $inputs inputs"
