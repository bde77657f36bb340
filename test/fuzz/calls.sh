#!/bin/bash
# test/fuzz/calls.sh: test/t/009_calls.pl for long, on a server with assertions
# ("make fuzz-calls").
#
#	SECONDS=3600	for how long
#	SEED=number	what is done by chance; another one each time
#
# A failure prints the seed, and the last statements of each session.

. "$(dirname "$0")/../lib.sh"

export NVS_SECONDS=${1:-3600} NVS_SEED=${SEED:-$RANDOM}
say "fuzz-calls: $NVS_SECONDS s, seed $NVS_SEED"
TESTS=tap ONLY=009_calls "$TOP/test/variant.sh" assert
status=$?
grep '^# ' "$TOP/tmp_check/tap/009_calls.log"
exit $status
