#!/bin/bash
# test/bench/arrays.sh: what calls that take an array cost an element; run by
# run.sh ("make bench ONLY=arrays"), within a private server.
#
#	LIMIT=0.1	milliseconds that an element may take, of 10,000
#
# Every SQL function with an argument that is an array is in the list below, by
# its name; a function that is not is a miss.  So are those that take many in one
# jsonb, which nobody finds out if one is missing.  Shown is the call with 1,000 and
# with 10,000 elements, by psql's clock, in the median of rounds.  What is linear
# takes ten times as long.

. "$(dirname "$0")/../lib.sh"

set -o pipefail
psql=(psql -X -q -A -t -v ON_ERROR_STOP=1)
limit=${LIMIT:-0.1}
rounds=${ROUNDS:-5}

# function, what is special | what undoes it, for the next round | call, where :n
# is how many elements, :names so many consumers, :types so many types of events,
# :keys so many keys, :jobs so many jobs that were fetched.
calls='
consumer_mark||nvent.consumer_mark(:names, array_fill(9::bigint, ARRAY[:n]), store => $$arr$$)
consumer_ack_many|nvent.consumer_claim(:n, $$1 h$$, owner => $$w$$, max_scan => NULL, store => $$arr$$)|nvent.consumer_ack_many(:names, NULL, array_fill(1::bigint, ARRAY[:n]), owner => $$w$$, store => $$arr$$)
consumer_block_many|nvent.consumer_claim(:n, $$1 h$$, owner => $$w$$, max_scan => NULL, store => $$arr$$)|nvent.consumer_block_many(:names, NULL, :types, owner => $$w$$, store => $$arr$$)
consumer_unblock||nvent.consumer_unblock(:names, store => $$arr$$)
consumer_defer||nvent.consumer_defer(:names, now(), store => $$arr$$)
consumer_prioritize||nvent.consumer_prioritize(:names, 3, store => $$arr$$)
consumer_reset||nvent.consumer_reset(:names, 0, store => $$arr$$)
consumer_list||nvent.consumer_list(:names, max_count => NULL, store => $$arr$$)
stream_append_batch||nvent.stream_append_batch($$arr:log:$$ || random(), ARRAY(SELECT jsonb_build_object($$type$$, t) FROM unnest(:types) t))
stream_append_batch, ids||nvent.stream_append_batch($$arr:log:$$ || random(), ARRAY(SELECT jsonb_build_object($$type$$, t, $$eventId$$, gen_random_uuid()) FROM unnest(:types) t))
stream_restore||nvent.stream_restore(ARRAY(SELECT jsonb_build_object($$subject$$, $$arr:restored:1$$, $$type$$, t, $$version$$, v) FROM unnest(:types) WITH ORDINALITY u (t, v)))
stream_poll, by type||nvent.stream_poll($$arr:order:>$$, 0, :n, :types)
stream_poll, one subject by type||nvent.stream_poll($$arr:order:1$$, 0, :n, :types)
stream_poll_category, by type||nvent.stream_poll_category($$arr:order$$, 0, :n, :types)
stream_read, by type||nvent.stream_read($$arr:order:1$$, types => :types, max_count => :n)
stream_stats, subjects||nvent.stream_stats($$arr:>$$, subjects => ARRAY(SELECT $$arr:order:$$ || t FROM unnest(:types) t))
stream_stats, exclude||nvent.stream_stats($$arr:order:>$$, exclude => :types)
queue_send_batch||nvent.queue_send_batch($$work$$, ARRAY(SELECT jsonb_build_object($$data$$, t) FROM unnest(:types) t), $$arr$$)
queue_complete_many||nvent.queue_complete_many($$work$$, :jobs, array_fill(1, ARRAY[:n]), store => $$arr$$)
queue_cancel_many||nvent.queue_cancel_many($$work$$, :jobs, $$arr$$)
queue_resume_many|nvent.queue_cancel_many($$work$$, :jobs, $$arr$$)|nvent.queue_resume_many($$work$$, :jobs, $$arr$$)
queue_retry_many|nvent.queue_work($$work$$, failed => (SELECT jsonb_agg(jsonb_build_object($$id$$, id, $$attempt$$, 1)) FROM unnest(:jobs) id), max_count => 0, store => $$arr$$)|nvent.queue_retry_many($$work$$, :jobs, $$arr$$)
queue_delete_many||nvent.queue_delete_many($$work$$, :jobs, $$arr$$)
queue_bind||nvent.queue_bind($$work$$, $$arr:bound:>$$, true, :types, $$arr$$)
queue_flow, behind one job||nvent.queue_flow(ARRAY(SELECT jsonb_build_object($$queue$$, $$work$$, $$name$$, t, $$after$$, CASE WHEN t <> $$t1$$ THEN ARRAY[$$t1$$] ELSE ARRAY[]::text[] END) FROM unnest(:types) t), $$arr$$)
queue_flow, a chain||nvent.queue_flow(ARRAY(SELECT jsonb_build_object($$queue$$, $$work$$, $$name$$, t, $$after$$, CASE WHEN v > 1 THEN ARRAY[$$t$$ || v - 1] ELSE ARRAY[]::text[] END) FROM unnest(:types) WITH ORDINALITY u (t, v)), $$arr$$)
stream_append_many, in jsonb||nvent.stream_append_many((SELECT jsonb_agg(jsonb_build_object($$subject$$, $$arr:log:$$ || n % 1000, $$events$$, jsonb_build_array(jsonb_build_object($$type$$, t)))) FROM unnest(:types) WITH ORDINALITY u (t, n)))
queue_work, completed, in jsonb||nvent.queue_work($$work$$, completed => (SELECT jsonb_agg(jsonb_build_object($$id$$, id, $$attempt$$, 1)) FROM unnest(:jobs) id), max_count => 0, store => $$arr$$)
queue_work, failed, in jsonb||nvent.queue_work($$work$$, failed => (SELECT jsonb_agg(jsonb_build_object($$id$$, id, $$attempt$$, 1)) FROM unnest(:jobs) id), max_count => 0, store => $$arr$$)
queue_work, touched, in jsonb||nvent.queue_work($$work$$, touched => (SELECT jsonb_agg(jsonb_build_object($$id$$, id, $$attempt$$, 1)) FROM unnest(:jobs) id), max_count => 0, store => $$arr$$)
kv_mset, in jsonb||nvent.kv_mset((SELECT jsonb_object_agg(k, 1) FROM unnest(:keys) k))
kv_mget||nvent.kv_mget(:keys)
kv_delete|nvent.kv_mset((SELECT jsonb_object_agg(k, 1) FROM unnest(:keys) k))|nvent.kv_delete(VARIADIC :keys)
'

# Their arrays are short: paths in a document, which has a limit of levels, and
# names of the few indexes, or states, that there are.
short='jsonb_increment jsonb_set_path stream_create_table queue_find'

"${psql[@]}" <<'SQL' >/dev/null || exit 1
	SET client_min_messages = warning;
	SELECT nvent.store_create('arr');
	SELECT count(nvent.consumer_subscribe('c' || i, 'arr:order:' || i, store => 'arr')) FROM generate_series(1, 10000) i;
	SELECT nvent.consumer_correlate(store => 'arr') FROM generate_series(0, 10);
	SELECT nvent.consumer_mark(ARRAY(SELECT 'c' || i FROM generate_series(1, 10000) i), array_fill(8::bigint, ARRAY[10000]), store => 'arr');
	SELECT count(*) FROM nvent.stream_append_batch('arr:order:1', ARRAY(SELECT jsonb_build_object('type', 't' || i) FROM generate_series(1, 10000) i));
	SELECT nvent.queue_create('work', retry_limit => 0, store => 'arr');
	SELECT count(*) FROM nvent.queue_send_batch('work', ARRAY(SELECT jsonb_build_object('data', i) FROM generate_series(1, 10000) i), 'arr');
	CREATE TABLE arr_fetched AS
	SELECT f.id FROM generate_series(1, 10) i, LATERAL nvent.queue_fetch('work', 1000 + 0 * i, store => 'arr') f;
	VACUUM ANALYZE;
SQL

# time_of N BEFORE CALL: milliseconds of the call with N elements.
time_of()
{
	local sql before

	fill()
	{
		sed -e "s/:names/ARRAY(SELECT \$\$c\$\$ || i FROM generate_series(1, $1) i)/g" \
			-e "s/:types/ARRAY(SELECT \$\$t\$\$ || i FROM generate_series(1, $1) i)/g" \
			-e "s/:keys/ARRAY(SELECT \$\$arr:\$\$ || i FROM generate_series(1, $1) i)/g" \
			-e "s/:jobs/ARRAY(SELECT id FROM arr_fetched ORDER BY id LIMIT $1)/g" \
			-e "s/:n\>/$1/g"
	}
	sql=$(printf '%s' "$3" | fill "$1")
	before=$(printf '%s' "${2:-1}" | fill "$1")
	PGOPTIONS='-c client_min_messages=warning -c synchronous_commit=off' \
		"${psql[@]}" <<-SQL |
		SELECT nvent.stream_version('arr:order:1'), nvent.kv_get('arr:1');
		BEGIN;
		SELECT count(x) FROM (SELECT $before AS x) s;
		\timing on
		SELECT count(x) FROM (SELECT $sql AS x) s;
		\timing off
		ROLLBACK;
	SQL
		awk '/^Time/ { print $2 }'
}

# median_of N BEFORE CALL
median_of()
{
	local _

	for _ in $(seq "$rounds")
	do
		time_of "$@" || exit 1
	done | sort -g | sed -n "$(((rounds + 1) / 2))p"
}

printf '\n%-34s %10s %10s %12s\n' 'arrays of' 1,000 10,000 'ms/element'
while IFS='|' read -r title before call
do
	[ -n "$title" ] || continue
	say "$title"
	few=$(median_of 1000 "$before" "$call" </dev/null) || exit 1
	many=$(median_of 10000 "$before" "$call" </dev/null) || exit 1
	awk -v t="$title" -v few="$few" -v many="$many" -v l="$limit" 'BEGIN {
		printf "%-34s %10.1f %10.1f %12.4f %s\n", t, few, many,
			many / 10000, many != "" && many / 10000 <= l ? "ok" : "MISSED" }'
done <<<"$calls"

# What is not listed.
"${psql[@]}" <<'SQL' |
	SELECT DISTINCT p.proname FROM pg_proc p, unnest(p.proargtypes) t, pg_type y
	WHERE p.pronamespace = 'nvent'::regnamespace AND y.oid = t AND y.typcategory = 'A' ORDER BY 1;
SQL
	while read -r name
	do
		grep -q "^$name[|,]" <<<"$calls" || grep -qw "$name" <<<"$short" ||
			echo "$name is not in the list: MISSED"
	done
"${psql[@]}" -c "SELECT nvent.store_migrate('arr', 0)" >/dev/null
