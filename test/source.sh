#!/bin/bash
# test/source.sh: fetches PostgreSQL's source archive, and prints its path.
#
#	test/source.sh MAJOR...
#
# The first major that can be had is taken.  Archives come from Debian's (or
# the distribution's) servers through apt, which checks their signatures; the
# machine's own sources and lists stay as they are.  An archive is kept in the
# cache and not fetched twice.

. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || die "which major?"
dir=$(cache_dir)/source && mkdir -p "$dir" || die "cannot make $dir"

# cached: print the newest archive of the majors that is there.
cached()
{
	local major file

	for major
	do
		file=$(find "$dir" -name "postgresql-${major}_*.orig.tar.*" |
			sort -V | tail -n 1)
		[ -z "$file" ] || { printf '%s\n' "$file"; return; }
	done
	return 1
}

# private_apt ARGUMENT...: apt-get or apt-cache with a state of its own.
private_apt()
{
	local program=$1

	shift
	"$program" -qq -c "$work/apt.conf" "$@"
}

# configure_apt: where binary packages come from there are sources too; a
# Debian also has those of its later releases, which have later majors.
configure_apt()
{
	local uri release component origin suite

	mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/keys"
	cp /etc/apt/trusted.gpg.d/*.gpg /etc/apt/trusted.gpg.d/*.asc \
		/usr/share/keyrings/*archive-keyring.gpg \
		/usr/share/postgresql-common/pgdg/*.asc "$work/keys" 2>/dev/null
	cat >"$work/apt.conf" <<-CONF
		Dir::Etc::SourceList "$work/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::Etc::TrustedParts "$work/keys";
		Dir::State::Lists "$work/lists";
		Dir::Cache "$work/cache";
		APT::Sandbox::User "root";
		Acquire::http::Timeout "20";
		Acquire::https::Timeout "20";
		Acquire::Retries "0";
		Acquire::Languages "none";
	CONF
	apt-get indextargets 'Created-By: Packages' \
		--format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' |
		sort -u |
		while read -r uri release component origin
		do
			case $origin in
				Debian) ;;
				Ubuntu | *postgresql*) ;;
				*) continue ;;
			esac
			echo "deb-src $uri $release $component"
			case $origin:$release:$component in
				Debian:*-*) ;;
				Debian:*:main)
					for suite in stable testing
					do
						echo "deb-src $uri $suite main"
					done ;;
			esac
		done >"$work/sources.list"
}

# fetch MAJOR: get the newest version that the servers really hold.
fetch()
{
	local package=postgresql-$1 version

	while read -r version
	do
		(cd "$dir" && private_apt apt-get source --tar-only \
			"$package=$version") >"$work/log" 2>&1 && return
	done < <(private_apt apt-cache showsrc "$package" 2>/dev/null |
		sed -n 's/^Version: //p' | sort -Vru)
	return 1
}

! cached "$@" || exit 0
command -v apt-get >/dev/null ||
	die "no apt-get here; put postgresql-${1}_VERSION.orig.tar.bz2 into $dir"
work=$(mktemp -d) || die "cannot make a folder in ${TMPDIR:-/tmp}"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
configure_apt
say "source: fetching PostgreSQL $1"
# One source that is out of order does not matter when another has it.
private_apt apt-get update >"$work/update" 2>&1
for major
do
	! fetch "$major" || break
done
cached "$@" || {
	cat "$work/update" "$work/log" 2>/dev/null | tail -n 5 >&2
	die "no server has the source of PostgreSQL $*; put" \
		"postgresql-${1}_VERSION.orig.tar.bz2 into $dir"
}
