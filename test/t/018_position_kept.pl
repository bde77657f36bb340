# Positions that nvent.next_position_in_copy() has drawn ahead are of their
# transaction: a caller who keeps them for the next one (test/hooks/kept.c) gets
# others, so no reader has passed the row that gets one.
#
# Seen to fail with the comparison of transactions taken out of route/copy.c.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use Test::More;

my $library = library('kept');

foreach my $node (new_server('main'), plain_server('plain'))
{
	my $name = $node->name;

	$node->safe_psql('postgres', qq{
		SELECT nvent.store_create();
		SELECT nvent.stream_create_table('t', versioned => false);
		CREATE FUNCTION kept(oid, text) RETURNS bigint AS '$library' LANGUAGE C;
	});

	my $writer = $node->background_psql('postgres');
	my $position = q{kept('nvent.next_position_in_copy(text)'::regprocedure, 'nvent')};

	# One, one, and two at once, of which one is left.
	$writer->query_safe("BEGIN; SELECT $position; SELECT $position; SELECT $position; COMMIT");
	my $other = append($node, 'other');
	$writer->query_safe(qq{BEGIN; INSERT INTO nvent_stream_t (id, subject, ts, type)
		SELECT $position, 'nvent:t:kept', 1, 'x'});
	my $cursor = $node->safe_psql('postgres', q{SELECT next_cursor FROM nvent.stream_poll('nvent:t:>', 0)});
	cmp_ok($cursor, '>=', $other, "$name: a reader has passed what was committed");
	$writer->query_safe('COMMIT');
	is($node->safe_psql('postgres', qq{SELECT e ->> 'subject' FROM nvent.stream_poll('nvent:t:>', $cursor), unnest(events) e}),
		'nvent:t:kept', "$name: and sees what is committed after that");
	$writer->quit;
	$node->stop;
}

done_testing();
