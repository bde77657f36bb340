#!/bin/bash
# test/vpath.sh: builds and installs from another folder than that of the sources.
#
# The sources are a copy that nothing was built in, and nothing may be written
# there.  Warnings are errors, as in test/run.sh; PG_CONFIG chooses the server.
# PGXS cannot build from sources whose folder has a blank in its name.

. "$(dirname "$0")/lib.sh"

# from_outside TARGET...: make them in $work/build.
from_outside()
{
	make -C "$work/build" -f "$source/Makefile" --no-print-directory -s \
		-j "$(nproc)" PG_CONFIG="$PG_CONFIG" with_llvm=no \
		COPT="${COPT--Werror}" DESTDIR="$work/root" "$@"
}

# files DIR: the names of the files that are there.
files()
{
	(cd "$1" && find . -type f | sort)
}

need_space 100
"$TOP/test/setup.sh" || exit 1
PG_CONFIG=$(pg_choose) || die "no usable PostgreSQL; run test/setup.sh"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
source=$work/sources
mkdir "$source" "$work/build" &&
	git -C "$TOP" ls-files -z |
	tar -C "$TOP" --null -T - -cf - | tar -C "$source" -xf - || exit 1
before=$(files "$source")

echo "== build for $("$PG_CONFIG" --version), apart from the sources"
from_outside all && from_outside install || die "it does not build"
[ "$(files "$source")" = "$before" ] || die "it writes among the sources"
[ -f "$work/root$("$PG_CONFIG" --pkglibdir)/nvent_store.so" ] &&
	[ -f "$work/root$("$PG_CONFIG" --sharedir)/extension/nvent_store.control" ] ||
	die "it is not installed"
from_outside clean && [ -z "$(find "$work/build" -name '*.o')" ] ||
	die "it is not cleaned up"
echo "1 passed, 0 failed"
