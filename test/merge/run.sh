#!/bin/bash
# test/merge/run.sh: merges of random documents against SQL that says the same
# ("make test-merge").
#
#	PAIRS=100000   how many pairs of documents
#	SEED=0.5       where to start, from 0 to 1; another each time if not given
#
# Builds, and works on a private server.  Pairs come in parts of
# 25,000, each with a seed of its own that is derived from SEED; a difference
# stops the run with an error that names the part's seed and the documents.
# Ends with the limits on the size of a result, which take gigabytes.

. "$(dirname "$0")/../lib.sh"

here=$TOP/test/merge
psql=(psql -X -q -A -t -v ON_ERROR_STOP=1)

in_cluster "$0"

pairs=${PAIRS:-100000}
seed=${SEED:-0.$RANDOM$RANDOM}
echo "merge: $pairs pairs, seed $seed"
"${psql[@]}" -c 'CREATE EXTENSION nvent_store' -f "$here/reference.sql" ||
	exit 1
compared=0
while [ "$compared" -lt "$pairs" ]
do
	n=$((pairs - compared))
	[ $n -le 25000 ] || n=25000
	part=$(awk -v s="$seed" -v d=$compared \
		'BEGIN { x = s + d * 0.0000137; printf "%.9f", x - int(x) }')
	"${psql[@]}" -c "SELECT merge_test.compare($n, $part)" >/dev/null || exit 1
	compared=$((compared + n))
	echo "merge: $compared pairs without a difference"
done
"${psql[@]}" -f "$here/limits.sql" || exit 1
echo "merge: the limits hold"
