#!/bin/bash
# test/cron/run.sh: a second opinion on nvent.cron_next, npm's cron-parser.
#
#	CASES=5000   how many random expressions
#	SEED=1        where to start
#
# For by hand, not for "make test", as it wants Node and a package of the
# registry, which goes to a temporary folder.  Prints what the two do not agree
# about, and ends with an error if there is anything.  They are asked about
# zones whose clocks change too, at hours at which they do not: in an hour that
# is left out cron-parser moves "30 2" to 3:30, where we are due at 3:00.  Nor
# do they agree about days of the month with a step beside days of the week, for
# which we are as cron is.

. "$(dirname "$0")/../lib.sh"

here=$TOP/test/cron

in_cluster "$0"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
npm --silent --prefix "$work" install cron-parser@5 >/dev/null ||
	die "npm cannot install cron-parser"
cp "$here/cases.mjs" "$work" || exit 1
node "$work/cases.mjs" "${CASES:-5000}" "${SEED:-1}" >"$work/cases.tsv" || exit 1
psql -X -q -A -t -v ON_ERROR_STOP=1 <<SQL
CREATE EXTENSION nvent_store;
SET timezone = 'UTC';
CREATE TEMP TABLE cases (expression text, zone text, after timestamptz, due timestamptz[]);
\\copy cases FROM '$work/cases.tsv'
SELECT count(*) || ' expressions' FROM cases;
CREATE TEMP TABLE different AS
SELECT c.*, r.due AS ours FROM cases c CROSS JOIN LATERAL (
    SELECT array_agg(t ORDER BY t) FROM nvent.schedule_preview(c.expression, c.zone, c.after, cardinality(c.due)) t) r (due)
WHERE r.due IS DISTINCT FROM c.due;
SELECT * FROM different LIMIT 20;
DO \$\$ BEGIN
    IF EXISTS (SELECT FROM different) THEN RAISE 'they do not agree'; END IF;
END \$\$;
SQL
