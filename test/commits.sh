#!/bin/bash
# test/commits.sh: every commit passes the tests, not the last one alone.
#
# BASE is the commit that is known to pass (origin/main, when nothing is said);
# those behind it are checked out into a clone of their own, oldest first, and
# tested by what they have themselves.  TESTS and ONLY are as in test/run.sh;
# the default is all but the TAP tests, which take most of the time.  What is
# not committed is not tested.  Ends at the first commit that fails, naming it.

. "$(dirname "$0")/lib.sh"

# one COMMIT: test it in the clone, as it was; its last line is its counts.
one()
{
	say "== $(git -C "$work/clone" log -1 --format='%h %s' "$1")"
	git -C "$work/clone" checkout -q --detach "$1" &&
		git -C "$work/clone" clean -qfdx &&
		"$work/clone/test/run.sh" > "$work/log" 2>&1
}

need_space 300
BASE=${BASE:-origin/main}
export TESTS=${TESTS:-regress isolation lint}
commits=$(git -C "$TOP" rev-list --reverse "$BASE..HEAD") ||
	die "BASE=$BASE is no commit"
[ -n "$commits" ] || die "no commit is behind $BASE"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
git clone -q "$TOP" "$work/clone" || exit 1

passed=0
for commit in $commits
do
	if ! one "$commit"
	then
		cat "$work/log"
		say "${0##*/}: $commit fails the tests"
		echo "$passed passed, 1 failed"
		exit 1
	fi
	tail -n 1 "$work/log" >&2
	passed=$((passed + 1))
done
echo "$passed passed, 0 failed"
