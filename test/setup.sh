#!/bin/bash
# test/setup.sh: installs what building and testing need, on Debian and kin.
#
#	test/setup.sh [PACKAGE]...
#
# Says in one line what it is going to install, and nothing when nothing is
# missing.  Takes the distribution's own PostgreSQL, or with PG_CONFIG set to
# /usr/lib/postgresql/NN/bin/pg_config that major.  PACKAGEs are wanted too; a
# program of the same name will do.  Upgrades nothing.

. "$(dirname "$0")/lib.sh"

need_space 10
log=$(mktemp) || exit 1
conf_dir=/etc/postgresql-common/createcluster.d
conf=
made_dir=

# Undo what held off the package's own cluster.
cleanup()
{
	rm -f "$log"
	[ -z "$conf" ] || as_root rm -f "$conf"
	[ -z "$made_dir" ] ||
		as_root rmdir --ignore-fail-on-non-empty "$conf_dir" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# apt ARGUMENT...: apt-get, which adds to the log.
apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1
}

# update: read the lists, once.  When one of the sources is out of order the
# others may do, so it is installing that must succeed.
update()
{
	[ -z "$updated" ] || return
	updated=1
	apt update
}

have_package()
{
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null |
		grep -qx installed
}

# The major that PG_CONFIG names, or the distribution's; empty if unknown.
wanted_major()
{
	if [ -n "${PG_CONFIG:-}" ]
	then
		printf '%s\n' "$PG_CONFIG" |
			sed -n 's,^/usr/lib/postgresql/\([0-9]*\)/bin/pg_config$,\1,p'
	else
		apt-cache depends postgresql 2>/dev/null |
			sed -n 's/^ *Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1
	fi
}

# A fresh server package makes and starts a cluster "main", which nobody here
# needs: hold it off while we install.
no_main_cluster()
{
	[ ! -e "/etc/postgresql/$1" ] || return 0
	if [ ! -d $conf_dir ]
	then
		as_root mkdir -p $conf_dir
		made_dir=1
	fi
	conf=$conf_dir/nvent_store-setup.conf
	echo 'create_main_cluster = false' | as_root tee $conf >/dev/null
}

missing=()
have_package libipc-run-perl || perl -MIPC::Run -e 1 2>/dev/null ||
	missing+=(libipc-run-perl)
if ! command -v make >/dev/null || ! command -v cc >/dev/null ||
	! echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1
then
	missing+=(build-essential)
fi
for package
do
	command -v "$package" >/dev/null || have_package "$package" ||
		missing+=("$package")
done

need_server=
pg_choose >/dev/null || need_server=1
[ -n "$need_server" ] || [ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
	die "no apt-get here; install PostgreSQL 15 or later with its server" \
		"headers, a C compiler, make and Perl's IPC::Run by hand" \
		"${*:+and $*}"

need_root "installing packages"

updated=
if [ -n "$need_server" ]
then
	major=$(wanted_major)
	if [ -z "$major" ] && [ -z "${PG_CONFIG:-}" ]
	then
		update
		major=$(wanted_major)
	fi
	[ -n "$major" ] || die "cannot use PG_CONFIG=\"${PG_CONFIG:-}\", and no" \
		"package is known that has it"
	[ "$major" -ge 15 ] || die "this distribution has PostgreSQL $major;" \
		"nvent_store needs 15 or later, which PostgreSQL has packages of"
	for package in "postgresql-$major" "postgresql-server-dev-$major"
	do
		have_package "$package" || missing+=("$package")
	done
fi
[ ${#missing[@]} -gt 0 ] || die "all packages are there, but PostgreSQL" \
	"cannot be used; is PG_CONFIG right?"

say "setup: installing ${missing[*]}"
update
[ -z "$need_server" ] || no_main_cluster "$major"
apt install --yes --no-install-recommends --no-upgrade "${missing[@]}" || {
	# What apt-get says of a source it says again when it installs.
	awk '!seen[$0]++' "$log" | tail -n 20 >&2
	die "cannot install ${missing[*]}"
}
pg_choose >/dev/null || die "installed ${missing[*]}, but PostgreSQL" \
	"cannot be used"
