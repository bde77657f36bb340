#!/bin/bash
# test/redo.sh: a checkpoint that begins while positions are drawn, and a crash.
#
#	make clean && make COPT='-O0 -g' && test/redo.sh
#
# Positions that the sequence's last WAL record has already paid for are taken
# without another one (position/sequence.c), unless a checkpoint has begun since:
# recovery would begin behind that record, and draw them again.  The moment in
# between is a few instructions long, so a debugger holds a COPY there.  Needs
# gdb; not part of the suite.  Fails with the look at the redo position taken out.

if [ -z "${NVS_CLUSTER:-}" ]
then
	exec "$(dirname "$0")/cluster.sh" -- "$0"
fi
. "$(dirname "$0")/lib.sh"
command -v gdb >/dev/null || die "this needs gdb"

query="psql -Xqt -v ON_ERROR_STOP=1"
copy="COPY nvent_stream_t (subject, ts, type)
	FROM PROGRAM 'seq -f nvent:t:%g,1,x 4' (DELIMITER ',');"
data=$NVS_CLUSTER/data
pid=$NVS_CLUSTER/backend

$query -o /dev/null <<-EOT || exit 1
	CREATE EXTENSION nvent_store;
	SELECT nvent.store_create();
	SELECT nvent.stream_create_table('t', versioned => false);
EOT

# The COPY waits for a file, so that the debugger can be there first.
mkfifo "$NVS_CLUSTER/go" || exit 1
{
	echo "LOAD 'nvent_store'; SELECT pg_backend_pid() \\g $pid"
	cat "$NVS_CLUSTER/go"
	echo "$copy"
} | $query &
session=$!
until [ -s "$pid" ]
do
	kill -0 $session 2>/dev/null || die "there is no session"
done
gdb -q -batch -p "$(tr -d ' ' <"$pid")" \
	-ex 'break sequence_take_logged if n > 0' \
	-ex "shell : >$NVS_CLUSTER/go" -ex continue \
	-ex 'shell psql -Xqc CHECKPOINT' -ex detach >"$NVS_CLUSTER/gdb" 2>&1
grep -q 'hit Breakpoint\|hit Temporary\|Breakpoint 1, ' "$NVS_CLUSTER/gdb" ||
	die "the debugger did not stop: $(tail -n 3 "$NVS_CLUSTER/gdb")"
wait $session || die "the COPY failed"
last=$($query -c 'SELECT max(id) FROM nvent_stream_t' | tr -d ' ')

# As a crash leaves it, and up again.
postmaster=$(head -n 1 "$data/postmaster.pid")
kill -QUIT "$postmaster"
while kill -0 "$postmaster" 2>/dev/null
do
	sleep 0.1
done
owner=$(stat -c %U "$data")
start="cd $data && $("$PG_CONFIG" --bindir)/pg_ctl -D $data -w start -l ../log"
start="$start -o '-k $PGHOST -p $PGPORT'"
runuser -u "$owner" -- sh -c "$start" >/dev/null || die "it does not start"

next=$($query -c "SELECT nvent.next_position('nvent')" | tr -d ' ')
[ "$next" -gt "$last" ] || die "position $next was drawn again, after $last"
say "redo: after a crash, position $next follows $last"
