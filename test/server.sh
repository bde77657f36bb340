#!/bin/bash
# test/server.sh: builds a PostgreSQL that finds more, and prints its pg_config.
#
#	test/server.sh assert	with assertions
#	test/server.sh asan	with AddressSanitizer and UBSan as well
#
# The major is the one that tests take otherwise; what is missing for building
# it is installed.  The source comes through
# test/source.sh; what was built stays in the cache, so that this takes minutes
# once.  JOBS=1 uses one core.

. "$(dirname "$0")/lib.sh"

kind=${1:-}
flags='-Og -g -fno-omit-frame-pointer'
case $kind in
	assert) ;;
	asan)
		# The first finding ends the process, so that no test can pass it.
		flags+=' -fsanitize=address,undefined -fno-sanitize-recover=all'
		# The programs of the build itself may leak what they like.
		export ASAN_OPTIONS=detect_leaks=0
		;;
	*) die "which server, assert or asan?" ;;
esac

"$TOP/test/setup.sh" bison flex bzip2 pkg-config libicu-dev libxml2-dev ||
	exit 1
PG_CONFIG=$(pg_choose) || die "no usable PostgreSQL; run test/setup.sh"
major=$(pg_major "$PG_CONFIG")
source=$("$TOP/test/source.sh" "$major") || exit 1
version=${source##*/postgresql-*_}
version=${version%.orig.tar.*}
cache=$(cache_dir) || exit 1
prefix=$cache/$version-$kind

# What our tests do not use is left out, to need few packages.
options=(--prefix="$prefix" --enable-cassert --enable-debug
	--enable-tap-tests --with-icu --with-libxml --without-readline
	--without-zlib)

# build_server: below the cache, as /tmp may be small.
build_server()
{
	cd "$work" && tar --strip-components=1 -xf "$source" &&
		CFLAGS=$flags ./configure -q "${options[@]}" &&
		nice make -s -j "${JOBS:-$(nproc)}" &&
		make -s install &&
		make -s -C src/test/isolation install
}

# What it was built with is noted when all is there.
if [ "$(cat "$prefix/options" 2>/dev/null)" != "$flags ${options[*]}" ]
then
	say "server: building PostgreSQL $version ($kind) into $prefix"
	work=$(mktemp -d "$cache/build-XXXXXX") || exit 1
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	rm -rf "$prefix"
	(build_server) >"$work.log" 2>&1 || {
		tail -n 40 "$work.log" >&2
		rm -rf "$prefix" "$work.log"
		die "cannot build PostgreSQL $version"
	}
	rm -f "$work.log"
	echo "$flags ${options[*]}" >"$prefix/options"
fi
printf '%s\n' "$prefix/bin/pg_config"
