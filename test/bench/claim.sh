#!/bin/bash
# test/bench/claim.sh: what a claim costs; run by run.sh ("make bench
# ONLY=claim"), within a private server.
#
#	CONSUMERS="1000 10000 100000"   how many are subscribed
#	LIMIT=2                         milliseconds that a claim may take
#
# Consumers have lanes and priorities; 0, 10 or all of them have work.  Each
# claim is of 10 consumers, which get an acknowledgement that leaves them where
# they are, so that their number stays.  Counted is the call of
# nvent.consumer_claim, from pgbench, with its commit; the median of rounds.
# The other side is the claim that a store with one table of watermarks makes,
# whose index for all lanes begins with what is not blocked.

. "$(dirname "$0")/../lib.sh"
. "$TOP/test/bench/rows.sh"

set -o pipefail
psql=(psql -X -q -A -t -v ON_ERROR_STOP=1)
limit=${LIMIT:-2}
rounds=${ROUNDS:-3}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

cat >"$work/ours.sql" <<'SQL'
SELECT coalesce(array_agg(name), '{}') AS names, coalesce(array_agg(token), '{}') AS tokens, coalesce(array_agg("position"), '{}') AS uptos FROM nvent.consumer_claim(10, lane => nullif(:lane::text, 'any')) \gset
SELECT count(*) FROM nvent.consumer_ack_many(:names::text[], :tokens::bigint[], :uptos::bigint[]);
SQL
# The same choice over a plain table, with that store's statement and indexes:
# one text without a lane, one with.
for lane in any lane1
do
	free="NOT blocked AND at < mark AND (leased_until IS NULL OR leased_until <= now())"
	[ $lane = any ] || free="$free AND lane = :lane::text"
	cat >"$work/plain.$lane.sql" <<-SQL
		WITH lagging AS (SELECT stream FROM peer_streams WHERE $free ORDER BY priority DESC, at LIMIT 8 FOR UPDATE SKIP LOCKED), fair AS (SELECT stream FROM peer_streams WHERE $free ORDER BY at LIMIT 2 FOR UPDATE SKIP LOCKED), taken AS (UPDATE peer_streams p SET leased_by = 'w', leased_until = now() + interval '30 s', retry = retry + 1 WHERE stream IN (SELECT stream FROM lagging UNION SELECT stream FROM fair) RETURNING p.stream) SELECT coalesce(array_agg(stream), '{}') AS names FROM taken \gset
		UPDATE peer_streams SET leased_by = NULL, leased_until = NULL, retry = -1 WHERE stream = ANY (:names::text[]);
	SQL
	cp "$work/ours.sql" "$work/ours.$lane.sql"
done

# subscribe N: both sides have N consumers, none with work.
subscribe()
{
	"${psql[@]}" <<-SQL >/dev/null || exit 1
		SET client_min_messages = warning;
		SET synchronous_commit = off;
		SELECT nvent.store_create('claim');
		TRUNCATE claim_consumers, claim_checkpoints;
		SELECT count(nvent.consumer_subscribe('consumer-' || i, 'claim:order:' || i, 'lane' || i % 10, i % 7, store => 'claim')) FROM generate_series(1, $1) AS i;
		SELECT nvent.consumer_correlate(store => 'claim') FROM generate_series(0, $1 / 1000);
		DROP TABLE IF EXISTS peer_streams;
		CREATE TABLE peer_streams (stream text PRIMARY KEY, at bigint NOT NULL, mark bigint, retry integer NOT NULL DEFAULT -1, blocked boolean NOT NULL DEFAULT false, leased_by text, leased_until timestamptz, priority integer NOT NULL, lane text NOT NULL);
		INSERT INTO peer_streams SELECT name, position, NULL, -1, false, NULL, NULL, priority, lane FROM claim_consumers;
		CREATE INDEX ON peer_streams (blocked, priority DESC, at);
		CREATE INDEX ON peer_streams (lane, priority DESC, at) WHERE NOT blocked AND at < mark;
		CREATE INDEX ON peer_streams (at) WHERE NOT blocked AND at < mark;
	SQL
}

# pending N OF: N consumers of OF have work, spread over lanes and positions.
pending()
{
	"${psql[@]}" <<-SQL >/dev/null || exit 1
		SET synchronous_commit = off;
		UPDATE claim_consumers SET mark = NULL, position = 0;
		UPDATE claim_consumers SET mark = 1000000, position = hashtext(name) & 65535
		WHERE name IN (SELECT 'consumer-' || i FROM generate_series(1, $2, $2 / greatest($1, 1)) AS i LIMIT $1);
		UPDATE peer_streams p SET mark = c.mark, at = CASE WHEN c.mark IS NULL THEN 1000000 ELSE c.position END
		FROM claim_consumers c WHERE c.name = p.stream;
		UPDATE peer_streams SET mark = 1000000 WHERE mark IS NULL;
		VACUUM ANALYZE claim_consumers;
		VACUUM ANALYZE peer_streams;
	SQL
}

# latency SIDE LANE: milliseconds of the first statement, by rounds.
latency()
{
	local round

	for round in $(seq "$rounds")
	do
		PGOPTIONS='-c synchronous_commit=off -c nvent_store.default_store=claim' \
			pgbench -n -M prepared -r \
			-c 1 -t 100 -D lane="$2" -f "$work/$1.$2.sql" >"$work/report" 2>&1 ||
		{
			cat "$work/report" >&2
			exit 1
		}
		awk '/^statement latencies/ { getline; print $1; exit }' "$work/report"
	done | spread
}

echo
for n in ${CONSUMERS:-1000 10000 100000}
do
	say "subscribing $n consumers"
	subscribe "$n"
	for having in 0 10 "$n"
	do
		pending "$having" "$n"
		for lane in any lane1
		do
			ours=$(latency ours $lane) && plain=$(latency plain $lane) || exit 1
			figure "claim 10 of $n, $having have work, $lane" "$ours" ms \
				"$limit" "one table of watermarks: ${plain%% *} ms"
		done
	done
done
"${psql[@]}" -c "DROP TABLE peer_streams" -c "SELECT nvent.store_migrate('claim', 0)" >/dev/null
