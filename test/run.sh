#!/bin/bash
# test/run.sh: sets up, builds and runs all tests ("make test").
#
# TESTS selects parts of "regress isolation tap lint", and NVS_TAP one of the
# TAP tests.  Each runs on a server of its own that is removed afterwards;
# outputs stay in tmp_check/.  The last line is "N passed, N failed", counting
# regression tests, isolation specs, TAP tests and lint rules; a runner that
# dies counts as one that failed.

. "$(dirname "$0")/lib.sh"

parts=${TESTS:-regress isolation tap lint}
out=$TOP/tmp_check
passed=0
failed=0
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
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

# listed VARIABLE: how many words the Makefile puts into it.
listed()
{
	make -s -C "$TOP" "print-$1" | wc -w
}

# run_pg_regress VARIABLE: run the tests that REGRESS or ISOLATION lists, the
# way "make installcheck" does.  PostgreSQL 16 changed the form of the output.
run_pg_regress()
{
	local other=ISOLATION dir=$out/${1,,} status ok bad

	[ "$1" = REGRESS ] || other=REGRESS
	if [ "$(listed "$1")" -eq 0 ]
	then
		echo "none"
		return
	fi
	mkdir -p "$dir"
	"$TOP/test/cluster.sh" fsync=off max_prepared_transactions=10 -- \
		make -C "$TOP" --no-print-directory -s installcheck \
		PG_CONFIG="$PG_CONFIG" with_llvm=no $other= TAP_TESTS= \
		EXTRA_REGRESS_OPTS="--outputdir=$dir" 2>&1 | tee "$dir/log"
	status=${PIPESTATUS[0]}
	ok=$(grep -cE '^ok [0-9]|\.\.\. ok ' "$dir/log")
	bad=$(grep -cE '^not ok [0-9]|\.\.\. FAILED' "$dir/log")
	[ ! -s "$dir/regression.diffs" ] || [ "$bad" -eq 0 ] ||
		head -n 1000 "$dir/regression.diffs"
	count "$ok" "$bad" "$(listed "$1")" "$status"
}

# run_tap: run test/t as a user that may start servers.  A root-only checkout
# is out of that user's reach, so what the tests read is copied.
run_tap()
{
	local dir=$out/tap owner='' bindir pgxs base log status ok bad
	local PG_CONFIG=$PG_CONFIG

	if ! compgen -G "$TOP/test/t/*.pl" >/dev/null
	then
		echo "none"
		return
	fi
	rm -rf "$dir"
	mkdir -p "$dir"
	work=$(mktemp -d /tmp/nvs-tap-XXXXXX) || return
	tar -C "$TOP" --exclude=./.git --exclude=./tmp_check -cf - . |
		tar -C "$work" -xf - --no-same-owner
	mkdir "$work/logs"
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
		for base in test/t/${NVS_TAP:-*}.pl
		do
			base=${base##*/}
			echo "${base%.pl}"
		done |
		xargs -P "$(nproc)" -I '{}' \
			${owner:+runuser -u $owner --} env -u PGHOST -u PGPORT \
			-u PGUSER -u PGDATABASE HOME="$work" PATH="$bindir:$PATH" \
			PG_CONFIG="$PG_CONFIG" \
			PG_REGRESS="$pgxs/src/test/regress/pg_regress" \
			TESTDIR="$work/run-{}" TESTDATADIR="$work/run-{}/tmp_check" \
			TESTLOGDIR="$work/run-{}/tmp_check/log" \
			bash -c 'mkdir -p "$TESTDIR"
				prove --verbose -I "$2/src/test/perl" -I . \
					"test/t/$1.pl" >"logs/$1" 2>&1
				status=$?
				echo $status >"logs/$1.status"
				[ $status -ne 0 ] || rm -rf "$TESTDIR"' tap '{}' "$pgxs"
	)
	for base in "$TOP"/test/t/${NVS_TAP:-*}.pl
	do
		base=$(basename "$base" .pl)
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

# run_lint: each rule is a line "ok - ..." or "not ok - ...".
run_lint()
{
	local status

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
		regress) run_pg_regress REGRESS ;;
		isolation) run_pg_regress ISOLATION ;;
		tap) run_tap ;;
		lint) run_lint ;;
	esac
done
finish
