# test/lib.sh: what the scripts of this folder share; sourced, never run.
#
# Wants bash.  Sets TOP, the checkout, and defines functions only.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1

[ -w "${TMPDIR:-/tmp}" ] || unset TMPDIR

# A make that started us has no say in the makes that we start.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

# say MESSAGE...: one line of progress, on stderr.
say()
{
	printf '%s\n' "$*" >&2
}

die()
{
	say "${0##*/}: $*"
	exit 1
}

# need_root WHY: as_root() will do; sudo asks for its password here.
need_root()
{
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
		die "$1 needs root or sudo"
	as_root true || die "$1 needs root"
}

# as_root COMMAND...: run it as root, through sudo when need be.
as_root()
{
	if [ "$(id -u)" -eq 0 ]
	then
		"$@"
	else
		sudo "$@"
	fi
}

# need_space MB: temporary files of that size have room.
need_space()
{
	local dir=${TMPDIR:-/tmp} free

	free=$(df -Pk "$dir" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "${free:-0}" -ge "$1" ] || die "$dir has ${free:-0} MB free, and" \
		"$1 MB are needed; TMPDIR can name another folder"
}

# cache_dir: print the folder for what is slow to get: sources and servers that
# were built from them.  NVS_CACHE names another; root's is one that the user
# who runs the servers can read.
cache_dir()
{
	local dir=${NVS_CACHE:-}

	if [ -z "$dir" ] && [ "$(id -u)" -eq 0 ]
	then
		dir=/var/cache/nvent_store
	elif [ -z "$dir" ]
	then
		dir=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/nvent_store
	fi
	mkdir -p "$dir" && printf '%s\n' "$dir"
}

# node_path: where node looks for packages, pg above all: what NODE_PATH names,
# what test/examples/setup.sh has got, Debian's, and those of npm for all.
node_path()
{
	printf '%s\n' "${NODE_PATH:+$NODE_PATH:}$(cache_dir)/node/node_modules:/usr/share/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules"
}

# in_cluster SCRIPT: has a script that was called without one run again on a
# private server, with what is built now.
in_cluster()
{
	[ -z "${NVS_CLUSTER:-}" ] || return 0
	PG_CONFIG=$(pg_choose) || die "no usable PostgreSQL; run test/setup.sh"
	export PG_CONFIG
	build || die "the build failed"
	exec "$TOP/test/cluster.sh" fsync=off -- "$1"
}

# pg_major PG_CONFIG: its major version, 15 for "PostgreSQL 15.18 (Debian)".
pg_major()
{
	"$1" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9]*\).*/\1/p'
}

# pg_usable PG_CONFIG: can we build for that server, start it and test it?
pg_usable()
{
	local bindir pgxs include major

	command -v "$1" >/dev/null || return 1
	bindir=$("$1" --bindir 2>/dev/null) || return 1
	pgxs=$("$1" --pgxs 2>/dev/null) || return 1
	include=$("$1" --includedir-server 2>/dev/null) || return 1
	major=$(pg_major "$1")
	[ "${major:-0}" -ge 15 ] && [ -f "$pgxs" ] &&
		[ -f "$include/postgres.h" ] &&
		[ -x "$bindir/postgres" ] && [ -x "$bindir/initdb" ] &&
		[ -x "$bindir/psql" ] && [ -x "$bindir/pgbench" ] &&
		[ -x "${pgxs%/makefiles/*}/test/regress/pg_regress" ]
}

# pg_choose: print the pg_config to use: PG_CONFIG from the environment, else
# the one that a bare "make" takes, else the newest that has all parts.
pg_choose()
{
	local candidate

	if [ -n "${PG_CONFIG:-}" ]
	then
		pg_usable "$PG_CONFIG" && command -v "$PG_CONFIG"
		return
	fi
	for candidate in pg_config \
		$(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -Vr)
	do
		if pg_usable "$candidate"
		then
			command -v "$candidate"
			return
		fi
	done
	return 1
}

# pgxs TARGET...: make them in the checkout for $PG_CONFIG, with the compiler
# CC if that is set, and without the bitcode for JIT inlining, which takes
# longer than everything else.
pgxs()
{
	make -C "$TOP" --no-print-directory PG_CONFIG="$PG_CONFIG" \
		with_llvm=no ${CC:+CC="$CC"} "$@"
}

# build: compile the checkout, quietly; what the tools said is shown when they
# fail.
build()
{
	local log

	log=$(pgxs -s -j "$(nproc)" all COPT="${COPT-}" 2>&1) || {
		tail -n 60 <<<"$log" >&2
		return 1
	}
}

# pg_copy ROOT: make a PostgreSQL of our own below ROOT, so that installing
# touches no server of this machine, and let PG_CONFIG be its.  Programs find
# their libraries relative to themselves: they are copied, all else is linked.
pg_copy()
{
	local root=$1 bin lib share include server

	bin=$("$PG_CONFIG" --bindir) && lib=$("$PG_CONFIG" --pkglibdir) &&
		share=$("$PG_CONFIG" --sharedir) &&
		include=$("$PG_CONFIG" --includedir) &&
		server=$("$PG_CONFIG" --includedir-server) || return 1
	mkdir -p "$root$bin" "$root$lib" "$root$share/extension" \
		"$root${include%/*}" || return 1
	cp -RL "$bin/." "$root$bin/" || return 1
	ln -s "$include" "$root$include" || return 1
	# Most have the server's headers below those.
	[ -e "$root$server" ] || {
		mkdir -p "$root${server%/*}" && ln -s "$server" "$root$server"
	} || return 1
	find "$lib" -mindepth 1 -maxdepth 1 ! -name 'nvent_store*' \
		-exec ln -s -t "$root$lib" {} + &&
		find "$share" -mindepth 1 -maxdepth 1 ! -name extension \
			-exec ln -s -t "$root$share" {} + &&
		find "$share/extension" -mindepth 1 -maxdepth 1 \
			! -name 'nvent_store*' \
			-exec ln -s -t "$root$share/extension" {} + || return 1
	PG_CONFIG=$root$bin/pg_config
	[ "$("$PG_CONFIG" --pkglibdir)" = "$root$lib" ] ||
		die "PostgreSQL in $bin cannot be run from another folder"
}

# install_copy ROOT: install what build() made into a PostgreSQL of our own.
install_copy()
{
	local log

	pg_copy "$1" || die "cannot copy PostgreSQL to $1"
	log=$(pgxs install 2>&1) || die "cannot install into $1:" "$log"
}
