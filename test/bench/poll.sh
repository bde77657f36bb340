#!/bin/bash
# test/bench/poll.sh: what a poll costs over many tables; run by run.sh ("make
# bench ONLY=poll"), within a private server.
#
#	TABLES=250   stream tables, with ten events each
#	LIMIT=40     milliseconds that a session's first poll may take
#	FEW_LIMIT=50 microseconds that a later one may take that finds little
#
# Counted is the call of nvent.stream_poll, by psql's clock, in the median of
# rounds: the first one of a session from a cursor behind which one table has an
# event, behind which all have, and behind which none has; and one that follows
# in the same session.  Then what finds little beside many events of others; a
# flush at commit, which takes milliseconds, is left out of that.

. "$(dirname "$0")/../lib.sh"
. "$TOP/test/bench/rows.sh"

set -o pipefail
psql=(psql -X -q -A -t -v ON_ERROR_STOP=1)
tables=${TABLES:-250}
limit=${LIMIT:-40}
few_limit=${FEW_LIMIT:-50}
rounds=${ROUNDS:-5}

"${psql[@]}" <<SQL >/dev/null || exit 1
	SET client_min_messages = warning;
	SET nvent_store.max_stream_tables = 10000;
	SELECT nvent.store_create('poll');
	SELECT count(nvent.stream_append('poll:t' || t || ':' || n, '{"type": "t"}')) FROM generate_series(1, $tables) t, generate_series(1, 9) n;
	CREATE TABLE poll_cursor AS SELECT max(next_cursor) AS all_have FROM nvent.stream_poll('poll:>', 0, 65536);
	SELECT count(nvent.stream_append('poll:t' || t || ':10', '{"type": "t"}')) FROM generate_series(1, $tables) t;
	ALTER TABLE poll_cursor ADD one_has bigint, ADD none_has bigint;
	UPDATE poll_cursor SET one_has = (SELECT next_cursor FROM nvent.stream_poll('poll:>', all_have, $tables - 1)), none_has = (SELECT next_cursor FROM nvent.stream_poll('poll:>', 0, 65536));
	VACUUM ANALYZE;
SQL

# times CURSOR: milliseconds of a session's first and second poll from there.
times()
{
	PGOPTIONS="-c client_min_messages=warning" "${psql[@]}" <<-SQL |
		SELECT $1 AS at FROM poll_cursor \gset
		SELECT nvent.stream_version('poll:none:1');
		\timing on
		SELECT count(events) FROM nvent.stream_poll('poll:>', :at, 1000);
		SELECT count(events) FROM nvent.stream_poll('poll:>', :at, 1000);
	SQL
		awk '/^Time/ { print $2 }' | xargs
}

work=$(mktemp) || exit 1
trap 'rm -f "$work"' EXIT
echo
for cursor in none_has one_has all_have
do
	for _ in $(seq "$rounds")
	do
		times $cursor || exit 1
	done >"$work"
	figure "first poll over $tables tables, $cursor" \
		"$(cut -d ' ' -f 1 "$work" | spread)" ms "$limit"
	figure "the next, $cursor" "$(cut -d ' ' -f 2 "$work" | spread)" ms
done

# What finds little, whatever there is of others: 20,000 events above a cursor.
# Of the consumers each has ten events, or one; a call leases 100 of a lane.
"${psql[@]}" <<SQL >/dev/null || exit 1
	SET client_min_messages = warning;
	SELECT count(nvent.stream_append('poll:many:' || n % 2000, '{"type": "t"}')) FROM generate_series(1, 20000) n;
	SELECT count(nvent.stream_append('poll:few:' || n, '{"type": "t"}')) FROM generate_series(1, 200 * $rounds) n;
	SELECT count(nvent.consumer_subscribe(lane || n, stream || n, lane, store => 'poll')) FROM generate_series(1, 200 * $rounds) n,
	    (VALUES ('ten', 'poll:many:'), ('one', 'poll:few:'), ('late', 'poll:many:')) l (lane, stream);
	SELECT nvent.consumer_correlate(store => 'poll') FROM generate_series(1, 5);
	VACUUM ANALYZE;
SQL

# each NAME COUNT SELECTED: microseconds of one of so many, the second time.
each()
{
	local figures

	figures=$(for _ in $(seq "$rounds")
	do
		PGOPTIONS='-c synchronous_commit=off' "${psql[@]}" <<-SQL |
			\timing on
			SELECT count(x) FROM (SELECT $3) AS s (x);
			SELECT count(x) FROM (SELECT $3) AS s (x);
		SQL
			awk '/^Time/ { t = $2 } END { print t }' || exit 1
	done | awk -v n="$2" '{ print 1000 * $1 / n }' | spread) || exit 1
	figure "$1" "$figures" us "$few_limit"
}

each 'poll of a pattern that finds nothing' 100 \
	"nvent.stream_poll('poll:many:none' || n || ':>', 0) FROM generate_series(1, 100) n"
each 'poll of a subject that has ten events' 100 \
	"nvent.stream_poll('poll:many:' || n, 0) FROM generate_series(1, 100) n"
each 'read of a subject that has ten events' 100 \
	"nvent.stream_read('poll:many:' || n, max_count => 10) FROM generate_series(1, 100) n"
each 'fetch where no consumer has work' 100 \
	"nvent.consumer_fetch(10 + n * 0, '1 h', 'none', store => 'poll') FROM generate_series(1, 100) n"
each 'fetch of one event each, a consumer' 100 \
	"nvent.consumer_fetch(100, '1 h', 'one', store => 'poll')"
each 'fetch of ten events each, a consumer' 100 \
	"nvent.consumer_fetch(100, '1 h', 'ten', store => 'poll')"
each 'fetch of ten, of leases that ran out' 100 \
	"nvent.consumer_fetch(100, '0 s', 'late', store => 'poll')"
