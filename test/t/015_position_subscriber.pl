# A logical subscriber that gets the event tables and the published position is
# read in REPEATABLE READ: it shows what is settled on the publisher, in order,
# and passes no open appender there.  In READ COMMITTED nothing is settled, as
# nothing was drawn there, and a cursor of the publisher is an error; nor can
# anything be appended below what is published.
#
# Seen to fail, with the position of the subscriber's own sequence in place of
# the published one in nvs_position_push_snapshot(): nothing is read.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = "wal_level = logical\nnvent_store.publish_interval = 0\n";
my $publisher = new_server('publisher', $conf);
my $subscriber = new_server('subscriber', $conf);
my $cursor = 0;

# What a reader on the subscriber gets that goes on where it was.
sub next_page
{
	my ($out, $events);

	$publisher->wait_for_catchup('sub');
	$out = $subscriber->safe_psql('postgres', <<"EOT");
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT next_cursor, ARRAY(SELECT nvent.subject_id(e ->> 'subject') FROM unnest(events) e)
FROM nvent.stream_poll('nvent:t:>', $cursor);
COMMIT;
EOT
	($cursor, $events) = $out =~ /^(\d+)\|\{(.*)\}$/;
	return $events;
}

append($publisher, 'begin');
$publisher->safe_psql('postgres', 'SELECT nvent.position_publish(); CREATE PUBLICATION pub FOR TABLE nvent_stream_t, nvent.published_position');
$subscriber->safe_psql('postgres', q{SELECT nvent.store_create(), nvent.stream_create_table('t'); DELETE FROM nvent.published_position});
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION sub CONNECTION \$\$" . $publisher->connstr('postgres') . '$$ PUBLICATION pub');
ok($subscriber->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_subscription_rel WHERE srsubstate = 'r'}), 'subscribed');
is(next_page(), 'begin', 'what is there is read');
my $open = $publisher->background_psql('postgres');
$open->query_safe('BEGIN; ' . append_sql('slow'));
append($publisher, 'fast');
$publisher->safe_psql('postgres', 'SELECT nvent.position_publish()');
is(next_page(), '', 'an open appender of the publisher is not passed');
$open->query_safe('COMMIT');
$publisher->safe_psql('postgres', 'SELECT nvent.position_publish()');
is(next_page(), 'slow,fast', 'then all of it, in order');
is(join(' ', attempt($subscriber, "SELECT nvent.stream_poll('nvent:t:>', $cursor)")), 'NV021 ', 'READ COMMITTED: the cursor is not of the subscriber');
is($subscriber->safe_psql('postgres', q{SELECT events FROM nvent.stream_poll('nvent:t:>', 0)}), '{}', 'READ COMMITTED: nothing is settled');
is(join(' ', attempt($subscriber, append_sql('own'))), '55000 ', 'nothing is appended below what readers have passed');
$open->quit;
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION sub');
$subscriber->stop;
$publisher->stop;

done_testing();
