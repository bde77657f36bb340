#!/bin/bash
# test/run.sh: sets up, builds and runs all tests ("make test").
#
# TESTS selects parts of "regress isolation tap lint", and ONLY names tests of
# any of these: ONLY="kv kv_nx_race 003_standby".  Each part runs on a server of
# its own that is removed afterwards; outputs stay in tmp_check/.  The last line
# is "N passed, N failed", counting regression tests, isolation specs, TAP tests
# and lint rules; a runner that dies counts as one that failed.

. "$(dirname "$0")/lib.sh"

parts=${TESTS:-regress isolation tap lint}
only=${ONLY:-}
out=$TOP/tmp_check
passed=0
failed=0
work=

# An interrupt leaves the servers of TAP tests running.
cleanup()
{
	local file pid

	[ -n "$work" ] || return
	for file in "$work"/run-*/tmp_check/*/pgdata/postmaster.pid
	do
		read -r pid 2>/dev/null <"$file" || continue
		kill -QUIT "$pid" 2>/dev/null
		# It ends its processes within seconds, one way or the other.
		for _ in $(seq 100)
		do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

finish()
{
	echo "$passed passed, $failed failed"
	[ $failed -eq 0 ]
	exit
}

# count PASSED FAILED [EXPECTED] [STATUS]: add a part's results.  Tests that
# have no result failed, and so did a runner that says so without naming one.
count()
{
	local ok=$1 bad=$2 expected=${3:-0} status=${4:-0}

	if [ $((ok + bad)) -lt "$expected" ]
	then
		echo "$((expected - ok - bad)) of $expected tests have no result"
		bad=$((expected - ok))
	elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]
	then
		echo "the runner failed (exit code $status)"
		bad=1
	fi
	passed=$((passed + ok))
	failed=$((failed + bad))
}

# tests PART: the names of its tests, in the order in which they run; with ONLY
# those of them that it names.
tests()
{
	local name

	case $1 in
		regress | isolation) make -s -C "$TOP" "print-${1^^}" ;;
		tap)
			for name in "$TOP"/test/t/*.pl
			do
				basename "$name" .pl
			done ;;
	esac | tr -s '[:blank:]' '\n' | while read -r name
	do
		[[ -n $only && " $only " != *" $name "* ]] || echo "$name"
	done
}

# choose_parts: those that have tests which ONLY names; each name has a test.
choose_parts()
{
	local part name found=

	parts=
	for part in regress isolation tap
	do
		name=$(tests "$part" | tr '\n' ' ')
		[ -z "$name" ] || parts+=" $part"
		found+=" $name"
	done
	for name in $only
	do
		[[ $found == *" $name "* ]] || die "there is no test \"$name\""
	done
}

# run_pg_regress PART: run "make installcheck", but in a folder for outputs that
# is named from the checkout, whose path may have blanks in it.  PostgreSQL 16
# changed the form of the output.
run_pg_regress()
{
	local dir=$out/$1 other=ISOLATION list status ok bad

	[ "$1" = regress ] || other=REGRESS
	list=$(tests "$1" | tr '\n' ' ')
	mkdir -p "$dir"
	"$TOP/test/cluster.sh" fsync=off max_prepared_transactions=10 -- \
		make -C "$TOP" --no-print-directory -s installcheck \
		PG_CONFIG="$PG_CONFIG" with_llvm=no "${1^^}=$list" $other= \
		TAP_TESTS= EXTRA_REGRESS_OPTS="--outputdir=tmp_check/$1" 2>&1 |
		tee "$dir/log"
	status=${PIPESTATUS[0]}
	ok=$(grep -cE '^ok [0-9]|\.\.\. ok ' "$dir/log")
	bad=$(grep -cE '^not ok [0-9]|\.\.\. FAILED' "$dir/log")
	[ ! -s "$dir/regression.diffs" ] || [ "$bad" -eq 0 ] ||
		head -n 1000 "$dir/regression.diffs"
	count "$ok" "$bad" "$(wc -w <<<"$list")" "$status"
}

# run_tap: run test/t as a user that may start servers.  A root-only checkout
# is out of that user's reach, so what the tests read is copied.
run_tap()
{
	local dir=$out/tap owner='' bindir pgxs base log status ok bad
	local PG_CONFIG=$PG_CONFIG

	rm -rf "$dir"
	mkdir -p "$dir"
	work=$(mktemp -d /tmp/nvs-tap-XXXXXX) || return
	tar -C "$TOP" --exclude=./.git --exclude=./tmp_check -cf - . |
		tar -C "$work" -xf - --no-same-owner
	mkdir "$work/logs" "$work/tmp"
	if [ "$(id -u)" -eq 0 ]
	then
		owner=nobody
		! getent passwd postgres >/dev/null || owner=postgres
		chown -R "$owner:" "$work"
	fi

	install_copy "$work/pg"
	bindir=$("$PG_CONFIG" --bindir)
	pgxs=$("$PG_CONFIG" --pgxs)
	pgxs=${pgxs%/src/makefiles/pgxs.mk}
	# Each file gets a prove, and a folder for its servers, of its own.
	(
		cd "$work" || exit 1
		tests tap | xargs -P "$(nproc)" -I '{}' \
			${owner:+runuser -u $owner --} env -u PGHOST -u PGPORT \
			-u PGUSER -u PGDATABASE HOME="$work" TMPDIR="$work/tmp" \
			PATH="$bindir:$PATH" \
			PG_CONFIG="$PG_CONFIG" \
			PG_REGRESS="$pgxs/src/test/regress/pg_regress" \
			NODE_PATH="$(node_path)" NVS_CACHE="$(cache_dir)" \
			TESTDIR="$work/run-{}" TESTDATADIR="$work/run-{}/tmp_check" \
			TESTLOGDIR="$work/run-{}/tmp_check/log" \
			bash -c 'mkdir -p "$TESTDIR"
				prove --verbose -I "$2/src/test/perl" -I . \
					"test/t/$1.pl" >"logs/$1" 2>&1
				status=$?
				echo $status >"logs/$1.status"
				[ $status -ne 0 ] || rm -rf "$TESTDIR"' tap '{}' "$pgxs"
	)
	for base in $(tests tap)
	do
		log=$dir/$base.log
		cp "$work/logs/$base" "$log" 2>/dev/null || touch "$log"
		ok=$(grep -cE '^ok ' "$log")
		bad=$(grep -E '^not ok ' "$log" | grep -cv '[^\\]# TODO')
		status=$(cat "$work/logs/$base.status" 2>/dev/null || echo 1)
		if [ "$status" -eq 0 ] && grep -qx 'Result: NOTESTS' "$log"
		then
			grep -m 1 'skipped:' "$log"
			continue
		fi
		printf '%-40s %s ok, %s not ok\n' "$base" "$ok" "$bad"
		if [ "$status" -ne 0 ]
		then
			tail -n 100 "$log"
			cp -R "$work/run-$base/tmp_check/log" "$dir/$base" 2>/dev/null
		fi
		count "$ok" "$bad" 1 "$status"
	done
	rm -rf "$work"
}

# run_lint: each rule is a line "ok - ..." or "not ok - ..."; warnings, and
# rules that were skipped, count as neither.  Getting pgindent takes seconds,
# once; without a network its rule is skipped.
run_lint()
{
	local status

	"$TOP/test/indent.sh" get || echo "no pgindent to be had"
	"$TOP/test/lint.sh" | tee "$out/lint.log"
	status=${PIPESTATUS[0]}
	count "$(grep -c '^ok ' "$out/lint.log")" \
		"$(grep -c '^not ok ' "$out/lint.log")" 1 "$status"
}

for part in $parts
do
	case $part in
		regress | isolation | tap | lint) ;;
		*) die "no part \"$part\"; TESTS is of regress isolation tap lint" ;;
	esac
done

cd "$TOP" || exit 1
mkdir -p "$out" || exit 1
need_space 500
[ -z "$only" ] || choose_parts
if ! "$TOP/test/setup.sh" || ! PG_CONFIG=$(pg_choose)
then
	count 0 1
	finish
fi
export PG_CONFIG
echo "== build for $("$PG_CONFIG" --version)"
# A warning is an error here, and nowhere else: compilers differ.
if ! COPT=${COPT--Werror} build
then
	count 0 1
	finish
fi
for part in $parts
do
	echo "== $part"
	case $part in
		regress | isolation) run_pg_regress "$part" ;;
		tap) run_tap ;;
		lint) run_lint ;;
	esac
done
finish
