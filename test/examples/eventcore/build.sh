#!/bin/bash
# test/examples/eventcore/build.sh: builds the program of this folder, and prints
# its path.
#
# Takes cargo and Debian's crates, librust-tokio-postgres-dev, and no network.
# What it built stays in the cache under a checksum of the sources, so that it
# takes minutes once; there others find it, or what was wrong with it.  Ends with
# 77 where there is none and none can be built, which is no fault of the sources.

. "$(dirname "$0")/../../lib.sh"

crates=/usr/share/cargo/registry
dir=$(cache_dir)/rust || exit 1

# cannot MESSAGE...: there is nothing to build it with.
cannot()
{
	(die "$@")
	exit 77
}

# compile: which versions there are is the distribution's, so nothing is locked
# here, and the sources' folder stays as it is.
compile()
{
	CARGO_HOME=$work/home CARGO_PROFILE_DEV_DEBUG=0 cargo build --quiet \
		--offline --manifest-path "$work/Cargo.toml" --target-dir "$dir/target" \
		--config 'source.crates-io.replace-with = "debian"' \
		--config "source.debian.directory = \"$crates\""
}

cd "$(dirname "$0")" || exit 1
key=$(cat Cargo.toml src/*.rs | sha256sum | cut -c1-16)
program=$dir/transfer-$key
if [ ! -x "$program" ] && [ -e "$program.log" ] && [ ! -w "$dir" ]
then
	cat "$program.log" >&2
	die "the Rust example cannot be built"
elif [ ! -x "$program" ]
then
	command -v cargo >/dev/null || cannot "there is no cargo"
	compgen -G "$crates/tokio-postgres-*" >/dev/null ||
		cannot "there is no crate tokio-postgres in $crates"
	mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ] ||
		cannot "$program is not there, and cannot be made"
	work=$(mktemp -d "$dir/build-XXXXXX") || exit 1
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	say "examples: building the Rust example into $dir"
	cp -R Cargo.toml src "$work" && compile >"$work/log" 2>&1 || {
		cp "$work/log" "$program.log"
		cat "$work/log" >&2
		die "the Rust example cannot be built"
	}
	cp "$dir/target/debug/transfer" "$work/transfer" &&
		mv "$work/transfer" "$program" || exit 1
	rm -f "$program.log"
fi
printf '%s\n' "$program"
