#!/bin/bash
# test/fuzz/run.sh: run every harness of this folder ("make fuzz").
#
#	test/fuzz/run.sh [SECONDS]
#
# Each runs for that long, 60 without an argument; the first finding ends it.

for script in "$(dirname "$0")"/*_run.sh
do
	"$script" "${1:-60}" || exit 1
done
