#!/bin/bash
# test/examples/setup.sh: gets what the tests of the clients in this folder take:
# Node, of the distribution, and its package pg, of npm.
#
#	test/examples/setup.sh [all]
#
# With "all" also what single tests take, as far as it is to be had: Chromium
# and npm's playwright-core, @rotorsoft/act and zod of npm, PgBouncer, psycopg2,
# Go and Java with their drivers, cargo and the crate tokio-postgres, by which it
# builds the example in Rust, once.  Says what it is going to get, and nothing
# when nothing is missing.  Nobody needs it: without these 090_clients.pl, or the
# tests that take them, are skipped.

. "$(dirname "$0")/../lib.sh"

NODE_PATH=$(node_path)
export NODE_PATH

# have NAME: does node find the package?
have()
{
	node -e "require('$1')" >/dev/null 2>&1
}

# get NAME VERSION: have npm get a package.
get()
{
	local log

	! have "$1" || return 0
	command -v npm >/dev/null || die "no npm here to get $1 with"
	say "setup: getting $1 of npm"
	umask 022
	log=$(npm --silent --no-audit --no-fund --no-update-notifier \
		--prefix "$(cache_dir)/node" install "$1@$2" 2>&1) ||
		die "npm cannot get $1: $log"
	have "$1" || die "npm got $1, but node does not find it"
}

# Debian's has pg as a package.
if ! command -v node >/dev/null
then
	"$TOP/test/setup.sh" nodejs node-pg || exit 1
	have pg || die "node does not find pg, which is installed"
fi
get pg 8 || exit 1
if [ "${1:-}" = all ]
then
	for package in chromium pgbouncer python3-psycopg2 golang-go golang-github-lib-pq-dev \
		default-jdk-headless libpostgresql-jdbc-java cargo librust-tokio-postgres-dev
	do
		("$TOP/test/setup.sh" "$package")
	done
	(get playwright-core 1)
	(get @rotorsoft/act 1)
	(get zod 4)
	"$TOP/test/examples/eventcore/build.sh" >/dev/null
fi
exit 0
