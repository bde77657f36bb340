#!/bin/bash
# test/examples/setup.sh: gets what the tests of the clients in this folder take:
# Node, of the distribution, and its package pg, of npm.
#
# Says what it is going to get, and nothing when nothing is missing.  Nobody
# needs it: without these 090_clients.pl is skipped.

. "$(dirname "$0")/../lib.sh"

NODE_PATH=$(node_path)
export NODE_PATH

have_pg()
{
	node -e 'require("pg")' 2>/dev/null
}

have_pg && exit 0

# Debian's has pg as a package.
if ! command -v node >/dev/null
then
	"$TOP/test/setup.sh" nodejs node-pg || exit 1
	have_pg || die "node does not find pg, which is installed"
	exit 0
fi
command -v npm >/dev/null || die "no npm here to get pg with"
say "setup: getting pg of npm"
umask 022
log=$(npm --silent --no-audit --no-fund --no-update-notifier \
	--prefix "$(cache_dir)/node" install pg@8 2>&1) ||
	die "npm cannot get pg: $log"
have_pg || die "npm got pg, but node does not find it"
