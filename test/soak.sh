#!/bin/bash
# test/soak.sh: the checker of test/t/006_crash.pl for long ("make soak").
#
#	EVENTS=1000000  to be committed, and a fifth of that without preloading
#	SEED=number     what is done by chance; another one each time
#
# Prints what writers and readers had, and fails when anything is wrong.

. "$(dirname "$0")/lib.sh"

export NVS_EVENTS=${EVENTS:-1000000} NVS_SEED=${SEED:-$RANDOM}
say "soak: $NVS_EVENTS events, seed $NVS_SEED"
ONLY=006_crash "$TOP/test/run.sh"
status=$?
grep '^# ' "$TOP/tmp_check/tap/006_crash.log"
exit $status
