#!/bin/bash
# work.sh QUEUE COMMAND [ARGUMENT]...: runs COMMAND for each job of a queue, with
# the job's data on stdin.  What it prints is the job's output; when it fails,
# the job fails with what it says on stderr, and is tried again as the queue
# says.  With COUNT=n it ends after n jobs.
#
# A worker that waits polls nothing.  PGHOST and the like say where.

set -u
queue=$1
shift
left=${COUNT:-}
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT

# What became of the last job, which the next call says.
id='' attempt='' status='' output=''

# next: settle the last job and lease another one: id, attempt and data.
next()
{
	psql -XAtq -v ON_ERROR_STOP=1 --set=queue="$queue" --set=id="$id" \
		--set=attempt="$attempt" --set=status="$status" \
		--set=output="$output" --set=more="${left:-1}" \
		--set=worker="$(hostname)" <<-'EOF'
		SELECT CASE :'status' WHEN '0' THEN jsonb_build_array(job || jsonb_build_object('output', :'output'))
				ELSE '[]' END AS completed,
			CASE WHEN :'status' NOT IN ('', '0') THEN jsonb_build_array(job || jsonb_build_object('error',
				jsonb_build_object('status', :'status', 'message', :'output'))) ELSE '[]' END AS failed
		FROM jsonb_build_object('id', :'id', 'attempt', :'attempt') job \gset
		CALL nvent.queue_work_await(:'queue', :'completed', :'failed',
			least(:more, 1), '1 minute', :'worker') \gset
		SELECT job ->> 'id', job ->> 'attempt', job -> 'data' FROM jsonb_array_elements(:'jobs') job;
	EOF
}

while :
do
	# A job that was not settled is settled by the next call; twice is no harm.
	job=$(next) || { sleep 1; continue; }
	[ "${left:-1}" -gt 0 ] || break
	status=''
	[ -n "$job" ] || continue
	IFS='|' read -r id attempt data <<<"$job"
	output=$("$@" <<<"$data" 2>"$errors")
	status=$?
	[ $status -eq 0 ] || output=$(cat "$errors")
	[ -z "$left" ] || left=$((left - 1))
done
