#!/bin/bash
# test/readme_tests.sh: are all tests named in test/README.md, as it says?
#
# Prints a line for each offence, nothing when there is none: a test that
# README.md does not name, or names and is not there; what is to be looked for in
# it and is not in it; a name that does not begin with a folder of src/; a number
# of two TAP tests; a test without a comment at its top; a spec or TAP test that
# does not say how it was seen to fail.

. "$(dirname "$0")/lib.sh"

cd "$TOP" || exit 1

# Tests of the whole extension, which no module is the subject of.
whole=' extension errors security catalog adapter eventcore examples '

# What there is, and what the tables name.
comm -3 <(printf '%s\n' sql/*.sql test/specs/*.spec test/t/*.pl |
	sed 's|.*/||' | sort) \
	<(grep -oE '`[a-z0-9_]+\.(sql|spec|pl)`' test/README.md | tr -d '`' |
		sort -u) |
	sed -e 's/^\t\(.*\)/\1: in test\/README.md, but there is no such test/' \
		-e '/:/!s/$/: not in test\/README.md/'

# `FILE`: "PHRASE", "PHRASE" in a table: a comment of FILE has each.
perl -0777 - test/README.md <<'PERL'
	use strict;
	use warnings;
	my $readme = <>;
	while ($readme =~ /`(\w+\.(sql|spec|pl))`: ((?:"[^"]+"(?:, )?)+)/g)
	{
		my ($file, $phrases) = ($1, $3);
		my $path = { sql => 'sql', spec => 'test/specs', pl => 'test/t' }->{$2};
		open my $in, '<', "$path/$file" or next;
		my $text = <$in>;
		$text =~ s/\s*\n(?:--|#)\s*/ /g;
		foreach my $phrase ($phrases =~ /"([^"]+)"/g)
		{
			print "test/README.md: no \"$phrase\" in $file\n"
				if $text !~ /\Q$phrase\E/i;
		}
	}
PERL

for test in sql/*.sql test/specs/*.spec test/t/*.pl
do
	name=$(basename "$test")
	name=${name%.*}
	case $test in
		*.pl)
			[[ $name =~ ^[0-9]{3}_[a-z_]+$ ]] ||
				echo "$test: not NNN_name.pl"
			;;
		*)
			[ -d "src/${name%%_*}" ] || [[ $whole == *" $name "* ]] ||
				echo "$test: src/${name%%_*} is no module"
			;;
	esac
	head -n 1 "$test" | grep -qE '^(#|--) [A-Z]' ||
		echo "$test: does not open with what it shows"
	# This one runs others, which say it.
	[ "${test##*.}" = sql ] || [ "$name" = 001_preloaded ] ||
		grep -q '^# Seen to fail' "$test" ||
		echo "$test: does not say how it was seen to fail"
done

printf '%s\n' test/t/*.pl | sed 's|.*/\([0-9]*\)_.*|\1|' | uniq -d |
	sed 's|$|: the number of more than one TAP test|'
