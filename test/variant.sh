#!/bin/bash
# test/variant.sh: the tests on a server, or of a build, that finds more.
#
#	test/variant.sh assert	a PostgreSQL with assertions; all tests
#	test/variant.sh asan	with AddressSanitizer and UBSan as well
#	test/variant.sh clang	built by clang, and its warnings are errors
#
# TESTS selects parts, as in test/run.sh.  Under sanitizers, and with clang,
# the default is regress: the others take long or show nothing new.

. "$(dirname "$0")/lib.sh"

case ${1:-} in
	assert | asan)
		PG_CONFIG=$("$TOP/test/server.sh" "$1") || exit 1
		# Warnings depend on how much is optimized; here that is little.
		export PG_CONFIG COPT=
		;;
	clang)
		"$TOP/test/setup.sh" clang || exit 1
		# The server's flags and headers are for gcc; clang does not know all.
		COPT='-Wall -Wextra -Werror -Wno-unknown-warning-option'
		COPT+=' -Wno-ignored-optimization-argument -Wno-ignored-attributes'
		export CC=clang COPT
		;;
	*) die "which variant, assert, asan or clang?" ;;
esac
if [ "$1" = asan ]
then
	# Backends free by exiting.  A finding ends the process, which ends the
	# server, and test/cluster.sh shows the report.
	export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:print_stacktrace=1
	export UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1
fi
[ "$1" = assert ] || export TESTS=${TESTS:-regress}
exec "$TOP/test/run.sh"
