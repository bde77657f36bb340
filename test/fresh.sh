#!/bin/bash
# test/fresh.sh: README's commands on systems that have just been installed.
#
#	test/fresh.sh [CASE]...      which of the cases below; the default is all
#	SUITES="bookworm trixie"     Debian's releases; forky, the next one, too
#	COMMANDS="demo test"         make targets to run in each
#
# Makes Debian systems of nothing but the base with debootstrap, puts a clone
# of the last commit into each, types what README says first, and then the
# commands.  What was installed by hand on the machine that runs this is not
# there, so a step that setup.sh forgets is found.  Needs root, and a Debian
# machine whose package sources it uses; base systems are kept in CACHE
# (/var/tmp/nvent_store-fresh), the systems themselves are removed.
#
# Cases:
#	bare    nothing but the base system
#	client  server, client and libpq-dev, but no server headers
#	libpq   make and libpq-dev only
#	two     two majors of PostgreSQL, where the suite's neighbour has another
#	user    an ordinary user with sudo
#	nosudo  an ordinary user without: a clear error, and nothing else

. "$(dirname "$0")/lib.sh"

all='bare client libpq two user nosudo'
cache=${CACHE:-/var/tmp/nvent_store-fresh}
suites=${SUITES:-bookworm trixie}
commands=${COMMANDS:-demo test}
failed=0

# What README has people type on a system with nothing on it.
first='apt-get update && apt-get install --yes git make'

[ "$(id -u)" -eq 0 ] || die "this needs root"
for tool in debootstrap unshare git
do
	command -v $tool >/dev/null ||
		apt-get install --yes -qq $tool >/dev/null 2>&1 ||
		die "this needs $tool"
done
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
	'Component: main' | head -n 1)
[ -n "$mirror" ] || die "this machine has no package source"

# base SUITE: make the base system of a suite once; print its tarball.
base()
{
	local tarball=$cache/$1.tar script=/usr/share/debootstrap/scripts/$1 dir

	# An older debootstrap does not know newer suites, which are made alike.
	[ -e "$script" ] || script=${script%/*}/sid
	if [ ! -f "$tarball" ]
	then
		mkdir -p "$cache" && dir=$(mktemp -d "$cache/$1-XXXXXX") || return 1
		say "fresh: making a base system of $1"
		debootstrap --variant=minbase --include=ca-certificates "$1" "$dir" \
			"$mirror" "$script" >"$cache/$1.log" 2>&1 &&
			tar -C "$dir" -cf "$tarball.new" . &&
			mv "$tarball.new" "$tarball" ||
		{
			tail -n 20 "$cache/$1.log" >&2
			rm -rf "$dir"
			return 1
		}
		rm -rf "$dir"
	fi
	echo "$tarball"
}

# enter DIR COMMAND...: run it inside a system, with mounts and processes that
# end with it.
enter()
{
	local dir=$1

	shift
	# shellcheck disable=SC2016
	unshare --mount --pid --fork --kill-child bash -c '
		dir=$1
		shift
		mount --make-rprivate / &&
		mount -t proc proc "$dir/proc" &&
		mount --rbind /dev "$dir/dev" &&
		mount -t tmpfs tmpfs "$dir/dev/shm" &&
		exec chroot "$dir" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			HOME=/root LANG=C.UTF-8 TERM=dumb "$@"' enter "$dir" "$@" </dev/null
}

# neighbour SUITE: another suite with another major.
neighbour()
{
	case $1 in
		bookworm) echo trixie ;;
		*) echo bookworm ;;
	esac
}

# prepare CASE DIR SUITE: what is on that system before anybody types anything.
prepare()
{
	local packages='' dir=$2

	case $1 in
		client) packages='postgresql libpq-dev' ;;
		libpq) packages='libpq-dev' ;;
		two)
			echo "deb $mirror $(neighbour "$3") main" \
				>"$dir/etc/apt/sources.list.d/neighbour.list"
			packages='postgresql-15 postgresql-17'
			;;
		user) packages=sudo ;;
	esac
	enter "$dir" bash -c "$first" &&
		if [ -n "$packages" ]
		then
			# shellcheck disable=SC2086
			enter "$dir" env DEBIAN_FRONTEND=noninteractive \
				apt-get install --yes --no-install-recommends $packages
		fi
	[ $? -eq 0 ] || return 1
	case $1 in
		user | nosudo)
			enter "$dir" useradd --create-home --shell /bin/bash dev ||
				return 1
			;;
	esac
	[ "$1" != user ] ||
		echo 'dev ALL=(ALL) NOPASSWD: ALL' >"$dir/etc/sudoers.d/dev"
}

# type_in CASE DIR COMMAND: run make COMMAND in the clone, as that case's user.
type_in()
{
	case $1 in
		user | nosudo)
			enter "$2" runuser -u dev -- env HOME=/home/dev \
				make -C /srv/nvent_store "$3"
			;;
		*) enter "$2" make -C /srv/nvent_store "$3" ;;
	esac
}

# try CASE SUITE: one system, all commands; a line for each.
try()
{
	local dir log tarball command status

	tarball=$(base "$2") && dir=$(mktemp -d "$cache/system-XXXXXX") || return 1
	# shellcheck disable=SC2064
	[ -n "${KEEP:-}" ] || trap "rm -rf '$dir'" RETURN
	log=$cache/$2-$1.log
	# Lists of the next release end within days, which a mirror may be behind.
	tar -C "$dir" -xf "$tarball" && chmod 755 "$dir" &&
		echo 'Acquire::Check-Valid-Until "false";' \
			>"$dir/etc/apt/apt.conf.d/99valid" &&
		prepare "$1" "$dir" "$2" >"$log" 2>&1 &&
		git clone -q "file://$TOP" "$dir/srv/nvent_store" &&
		case $1 in
			user | nosudo) enter "$dir" chown -R dev: /srv/nvent_store ;;
		esac ||
	{
		tail -n 20 "$log" >&2
		echo "not ok - $2 $1: cannot make the system"
		return 1
	}
	for command in $commands
	do
		type_in "$1" "$dir" "$command" >"$log" 2>&1
		status=$?
		if [ "$1" = nosudo ]
		then
			# It says what it would have done as root, and ends.
			[ $status -ne 0 ] && grep -q 'needs root or sudo' "$log"
			status=$?
		fi
		if [ $status -eq 0 ]
		then
			echo "ok - $2 $1: make $command"
		else
			tail -n 40 "$log" | sed 's/^/    /'
			echo "not ok - $2 $1: make $command (log: $log)"
			failed=1
		fi
	done
}

for case in "$@"
do
	[[ " $all " == *" $case "* ]] || die "no case \"$case\"; there are: $all"
done
for suite in $suites
do
	for case in ${@:-$all}
	do
		try "$case" "$suite" || failed=1
	done
done
exit $failed
