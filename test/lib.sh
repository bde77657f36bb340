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

# as_root COMMAND...: run it as root, through sudo when need be.
as_root()
{
	if [ "$(id -u)" -eq 0 ]
	then
		"$@"
	elif command -v sudo >/dev/null
	then
		sudo "$@"
	else
		die "this needs root or sudo: $*"
	fi
}

# pg_major PG_CONFIG: its major version, 15 for "PostgreSQL 15.18 (Debian)".
pg_major()
{
	"$1" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9]*\).*/\1/p'
}

# pg_usable PG_CONFIG: can we build for that server, start it and test it?
pg_usable()
{
	local bindir pgxs major

	command -v "$1" >/dev/null || return 1
	bindir=$("$1" --bindir 2>/dev/null) || return 1
	pgxs=$("$1" --pgxs 2>/dev/null) || return 1
	major=$(pg_major "$1")
	[ "${major:-0}" -ge 15 ] && [ -f "$pgxs" ] &&
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

# build_install: compile the checkout and install it for $PG_CONFIG, quietly;
# what the tools said is shown when they fail.  Without the bitcode for JIT
# inlining, which takes longer to make than everything else.
build_install()
{
	local log status=0

	log=$(mktemp) || return 1
	if ! make -C "$TOP" --no-print-directory -j "$(nproc)" all \
		PG_CONFIG="$PG_CONFIG" with_llvm=no COPT="${COPT-}" >"$log" 2>&1
	then
		status=1
	elif [ -w "$("$PG_CONFIG" --pkglibdir)" ]
	then
		make -C "$TOP" --no-print-directory install \
			PG_CONFIG="$PG_CONFIG" with_llvm=no >"$log" 2>&1 || status=1
	else
		as_root make -C "$TOP" --no-print-directory install \
			PG_CONFIG="$PG_CONFIG" with_llvm=no >"$log" 2>&1 || status=1
	fi
	[ $status -eq 0 ] || tail -n 60 "$log" >&2
	rm -f "$log"
	return $status
}
