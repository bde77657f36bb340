#!/bin/bash
# test/cluster.sh: runs a command beside a private server, then removes it.
#
#	test/cluster.sh [NAME=VALUE]... -- COMMAND [ARGUMENT]...
#
# NAME=VALUE are server settings.  The server listens on a unix socket in a
# temporary folder only, so any number can run side by side; it runs as the
# caller, or as postgres (else nobody) when the caller is root.  Its programs
# are copies in that folder, with the extension installed as it was last built,
# so no server of this machine is touched.  COMMAND finds
# PGHOST, PGPORT, PGUSER, PGDATABASE, PG_CONFIG and the server's programs in
# PATH; NVS_CLUSTER is the folder.  The exit code is COMMAND's.
# KEEP=1 leaves the server up and says how to reach and to stop it.

. "$(dirname "$0")/lib.sh"

settings=()
while [ $# -gt 0 ] && [ "$1" != -- ]
do
	case $1 in
		*=*) settings+=("$1") ;;
		*) die "\"$1\" is not NAME=VALUE" ;;
	esac
	shift
done
shift
[ $# -gt 0 ] || die "no command given"

PG_CONFIG=$(pg_choose) || die "no usable PostgreSQL; run test/setup.sh"

owner=
if [ "$(id -u)" -eq 0 ]
then
	owner=nobody
	! getent passwd postgres >/dev/null || owner=postgres
fi

# as_owner COMMAND...: run it as the server's user, in the server's folder.
as_owner()
{
	(
		cd "$dir" || exit 1
		if [ -n "$owner" ]
		then
			exec runuser -u $owner -- env HOME="$dir" "$@"
		else
			exec "$@"
		fi
	)
}

# Stop the server and remove its folder, or say how with KEEP=1.
cleanup()
{
	local become=

	[ -n "$dir" ] || return
	[ -z "$owner" ] || become="runuser -u $owner -- "
	if [ -n "${KEEP:-}" ] && [ -f "$dir/data/postmaster.pid" ]
	then
		say "The server is left running.  Connect with"
		say "    $bindir/psql -h $dir -U postgres ${PGDATABASE:-}"
		say "and stop it with"
		say "    ${become}$bindir/pg_ctl -D $dir/data stop -m fast;" \
			"rm -rf $dir"
		return
	fi
	if [ -f "$dir/data/postmaster.pid" ]
	then
		as_owner "$bindir/pg_ctl" -D "$dir/data" -m immediate -s stop
	fi
	rm -rf "$dir"
}

need_space 200
# A socket's path is limited to 107 bytes, and the owner must reach it.
dir=
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
for base in "${TMPDIR:-/tmp}" /tmp
do
	[ ${#base} -le 60 ] || continue
	dir=$(mktemp -d "$base/nvs-XXXXXX") || continue
	[ -z "$owner" ] || chown "$owner:" "$dir"
	! as_owner test -w "$dir" 2>/dev/null || break
	rmdir "$dir"
	dir=
done
[ -n "$dir" ] || die "cannot make a folder for the server in /tmp"

# Nothing of the caller's own server may leak in.
for name in $(compgen -e | grep '^PG')
do
	[ "$name" = PG_CONFIG ] || unset "$name"
done

install_copy "$dir/pg"
bindir=$("$PG_CONFIG" --bindir)
as_owner "$bindir/initdb" -D "$dir/data" -U postgres -A trust --no-sync \
	-E UTF8 --locale=C >"$dir/initdb.log" 2>&1 ||
{
	cat "$dir/initdb.log" >&2
	die "initdb failed"
}
{
	echo "listen_addresses = ''"
	echo "unix_socket_directories = '$dir'"
	for setting in "${settings[@]}"
	do
		value=${setting#*=}
		echo "${setting%%=*} = '${value//\'/\'\'}'"
	done
} >>"$dir/data/postgresql.conf"
as_owner "$bindir/pg_ctl" -D "$dir/data" -l "$dir/log" -t 60 -s -w start ||
{
	tail -n 20 "$dir/log" >&2
	die "the server did not start"
}

export PG_CONFIG NVS_CLUSTER="$dir" PATH="$bindir:$PATH"
export PGHOST="$dir" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
"$@"
status=$?
# The reports of assertions and sanitizers come before the end of a process.
if [ $status -ne 0 ] && grep -q 'PANIC:\|terminated by signal' "$dir/log"
then
	say "The server crashed; from its log:"
	grep -A 20 'PANIC:\|TRAP:\|Sanitizer:\|runtime error:\|by signal' \
		"$dir/log" | head -n 60 >&2
fi
exit $status
