#!/bin/bash
# test/scripts.sh: tests of the scripts themselves.
#
# Each is a line "ok - ..." or "not ok - ..." with what was seen below it.
# Programs that do harm or take long, such as apt-get, are played by others.

. "$(dirname "$0")/lib.sh"

work=$(mktemp -d) || die "cannot make a folder in ${TMPDIR:-/tmp}"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

# test_that TITLE FUNCTION: it holds when FUNCTION succeeds; what it prints is
# shown when it does not.  It runs in a folder of its own.
test_that()
{
	local output

	mkdir "$work/test" "$work/test/bin"
	if output=$(cd "$work/test" && "$2" 2>&1)
	then
		echo "ok - $1"
	else
		echo "not ok - $1"
		printf '%s\n' "$output" | head -n 40 | sed 's/^/    /'
		failed=1
	fi
	rm -rf "$work/test"
}

# program NAME TEXT: play a program, by a shell script of that text.
program()
{
	printf '#!/bin/sh\n%s\n' "$2" >"bin/$1"
	chmod +x "bin/$1"
}

# run COMMAND...: with the played programs first; sets output and status.
run()
{
	output=$(PATH=$PWD/bin:$PATH "$@" 2>&1)
	status=$?
	echo "\$ $*"
	printf '%s\n' "$output" "exit code $status"
}

# says TEXT [N]: the output has N lines (1) with TEXT in them.
says()
{
	[ "$(grep -cF -- "$1" <<<"$output")" -eq "${2:-1}" ]
}

# --- setup.sh ---

# The major that nobody has is always missing.
setup()
{
	run env PG_CONFIG=/usr/lib/postgresql/99/bin/pg_config "$TOP/test/setup.sh"
}

# Root's sudo is found by its path, so all of PATH is played.
setup_without_sudo()
{
	local dir name

	for name in bash cat dirname df awk env grep id mktemp perl rm sed sort \
		tail make cc head dpkg-query apt-cache
	do
		ln -s "$(command -v "$name" || command -v true)" "bin/$name"
	done
	rm bin/id
	program id 'echo 1000'
	program apt-get 'echo "apt-get ran"'
	PATH=$PWD/bin setup
	[ $status -eq 1 ] && says 'needs root or sudo' && says 'apt-get ran' 0
}

setup_refused()
{
	program id 'echo 1000'
	program apt-get :
	program sudo 'echo "sudo: not in the sudoers file" >&2; exit 1'
	setup
	[ $status -eq 1 ] && says 'sudo: not in the sudoers file'
}

setup_apt_reason()
{
	program id 'echo 0'
	program apt-get 'echo "E: The server is gone" >&2; exit 100'
	setup
	[ $status -eq 1 ] && says 'E: The server is gone' &&
		says 'cannot install'
}

# One that installs nothing is found out afterwards.
setup_broken_source()
{
	program id 'echo 0'
	program apt-get 'echo "$@" >>log
		case $* in
			*update*) echo "E: The third party is gone" >&2; exit 100 ;;
		esac'
	setup
	grep -q ' install .*postgresql-99' log && says 'third party' 0 &&
		says 'but PostgreSQL cannot be used'
}

setup_full_tmp()
{
	program df 'echo head; echo "tmpfs 100 100 0 100% /tmp"'
	setup
	[ $status -eq 1 ] && says '/tmp has 0 MB free'
}

test_that 'setup: without sudo it says so' setup_without_sudo
test_that 'setup: the reason of sudo is shown' setup_refused
test_that 'setup: the reason of apt-get is shown, once' setup_apt_reason
test_that 'setup: a broken package source does not matter' setup_broken_source
test_that 'setup: a full /tmp is told' setup_full_tmp

# --- Building ---

# Make and what it starts are interrupted as by Ctrl-C: in a process group of
# their own, and without the disregard for it that jobs inherit.
interrupted()
{
	local pid

	mkdir tmp
	program make 'touch started; exec sleep 60'
	cat >script <<-SCRIPT
		. '$TOP/test/lib.sh'
		trap 'exit 1' INT
		PG_CONFIG=pg_config build
	SCRIPT
	TMPDIR=$PWD/tmp PATH=$PWD/bin:$PATH \
		env --default-signal=INT setsid bash script &
	pid=$!
	while [ ! -e started ]
	do
		kill -0 $pid || return 1
	done
	kill -INT -- -$pid
	wait $pid
	ls -A tmp
	[ -z "$(ls -A tmp)" ]
}

make_without_server()
{
	run make -C "$TOP" -n all PG_CONFIG="$PWD/bin/pg_config"
	[ $status -ne 0 ] && says 'PG_CONFIG=' && says 'No rule' 0
}

# Built in a folder of its own: all goes there, and nothing beside the sources.
# Not optimized, which is faster.
vpath()
{
	mkdir checkout build root
	(cd "$TOP" && find src Makefile *.control \( -name '*.[ch]' -o \
		-name '*.sql' -o -name '*.control' -o -name Makefile \) \
		-print0 | tar --null -cf - -T -) | tar -C checkout -xf -
	(cd checkout && find . | sort) >before
	PG_CONFIG=$(pg_choose) || return
	run make -s -C build -f ../checkout/Makefile -j "$(nproc)" install \
		PG_CONFIG="$PG_CONFIG" with_llvm=no DESTDIR="$PWD/root" \
		COPT='-O0 -g0 -U_FORTIFY_SOURCE'
	[ $status -eq 0 ] && (cd checkout && find . | sort) | diff before - &&
		[ "$(find root -type f | sed 's,.*/,,; s,--.*\.,.,' | sort |
			tr '\n' ' ')" = \
			'nvent_store.control nvent_store.so nvent_store.sql ' ]
}

test_that 'build: an interrupt leaves no files' interrupted
test_that 'make: in a folder of its own (VPATH)' vpath
test_that 'make: without pg_config it says what to do' make_without_server

# --- run.sh ---

# A checkout with a blank in its path, with played builds and servers: cluster.sh
# runs nothing, and tells of two tests what pg_regress would.
played_checkout()
{
	mkdir -p 'a b/test/t'
	cp "$TOP"/test/run.sh "$TOP"/test/lib.sh 'a b/test'
	touch 'a b/test/t/007_tap.pl'
	program make 'case $* in
		*print-REGRESS*) echo one two ;;
		*print-ISOLATION*) echo spec ;;
	esac'
	program setup.sh ''
	program cluster.sh 'printf "%s\n" "$@"
		echo "ok 1 - one"; echo "$SECOND"'
	mv bin/setup.sh bin/cluster.sh 'a b/test'
}

run_with_blank()
{
	played_checkout
	run env TESTS=regress SECOND='test two ... ok 5 ms' 'a b/test/run.sh'
	says --outputdir=tmp_check/regress && says '2 passed, 0 failed'
}

run_counts()
{
	played_checkout
	run env TESTS=regress SECOND='not ok 2 - two' 'a b/test/run.sh'
	[ $status -eq 1 ] && says '1 passed, 1 failed' || return
	run env TESTS=regress SECOND= 'a b/test/run.sh'
	[ $status -eq 1 ] && says '1 of 2 tests have no result' &&
		says '1 passed, 1 failed'
}

run_only()
{
	played_checkout
	run env ONLY=one 'a b/test/run.sh'
	says 'REGRESS=one ' && says '== isolation' 0 && says '== lint' 0 &&
		says '1 passed, 0 failed' || return
	run env ONLY='one three' 'a b/test/run.sh'
	[ $status -eq 1 ] && says 'there is no test "three"'
}

test_that 'run: the path of the checkout may have a blank' run_with_blank
test_that 'run: a test without a result has failed' run_counts
test_that 'run: ONLY chooses tests and parts, and must exist' run_only

# --- cycles.sh ---

# compile FILE TEXT: a file of src/ and its object.
compile()
{
	mkdir -p "src/${1%/*}"
	printf '%s\n' "$2" >"src/$1"
	cc -c -o "src/${1%.c}.o" "src/$1"
}

# Three files in two folders; back in the second calls ahead in the first.
small_tree()
{
	compile low/ahead.c 'int ahead(void) { return 1; }'
	compile low/user.c 'int ahead(void); int user(void) { return ahead(); }'
	compile high/back.c 'int ahead(void); int back(void) { return ahead(); }'
}

cycles_none()
{
	small_tree
	run "$TOP/test/cycles.sh" files
	[ "$status$output" = 0 ] || return
	run "$TOP/test/cycles.sh" folders
	[ "$status$output" = 0 ]
}

cycles_of_files()
{
	small_tree
	compile low/ahead.c 'int user(void); int ahead(void) { return user(); }'
	run "$TOP/test/cycles.sh" files
	says low/ahead.c && says low/user.c || return
	run "$TOP/test/cycles.sh" folders
	[ "$status$output" = 0 ]
}

# No two files call each other here, but the folders do; by a variable.
cycles_of_folders()
{
	small_tree
	compile high/other.c 'int other = 1;'
	compile low/third.c 'extern int other; int third(void) { return other; }'
	run "$TOP/test/cycles.sh" files
	[ "$status$output" = 0 ] || return
	run "$TOP/test/cycles.sh" folders
	says 'src/low/' && says 'src/high/'
}

cycles_stale()
{
	small_tree
	compile low/gone.c 'int back(void); int gone(void) { return back(); }'
	compile high/back.c 'int gone(void); int back(void) { return gone(); }'
	rm src/low/gone.c
	run "$TOP/test/cycles.sh" files
	[ "$status$output" = 0 ]
}

cycles_unbuilt()
{
	small_tree
	touch -d '1 hour ago' src/low/user.o
	run "$TOP/test/cycles.sh" files
	[ $status -eq 3 ] && says 'src/low/user.c is not built' || return
	rm src/low/user.o
	run "$TOP/test/cycles.sh" folders
	[ $status -eq 3 ]
}

test_that 'cycles: none in a tree without' cycles_none
test_that 'cycles: two files that call each other' cycles_of_files
test_that 'cycles: two folders, by different files' cycles_of_folders
test_that 'cycles: not by the object of a file that is gone' cycles_stale
test_that 'cycles: a tree that is not built is told' cycles_unbuilt

exit $failed
