# After pg_upgrade of a server that preloads the library, stores, events, keys,
# the sequence of positions, cursors and consumers are as they were, and go on; with
# nvent_store.notify left alone, and said.  From the same major; from another
# one where oldinstall, as for PostgreSQL's own test, is where that is installed,
# with an nvent_store in it.
#
# Seen to fail when the setting's default, or "worker" in postgresql.conf, was
# refused in a binary upgrade: the servers do not start.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Every row that is to be the same; the published position is read on its own.
my $contents = contents_sql('nvent.published_position');

# server(NAME, CONF, INSTALL): one that preloads, not started.
sub server
{
	my ($name, $conf, $install) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, defined $install ? (install_path => $install) : ());

	$node->init;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'nvent_store'\nautovacuum = off\n$conf");
	return $node;
}

# upgrade(TITLE, CONF): of a server with a store to a new one.
sub upgrade
{
	my ($title, $conf) = @_;
	my $old = server("old_$title", $conf, $ENV{oldinstall});
	my $new = server("new_$title", $conf);
	my ($before, $cursor, $last);

	$old->start;
	$old->safe_psql('postgres', q{
		CREATE EXTENSION nvent_store;
		SELECT nvent.store_create(), nvent.store_create('My-App', 'My "Own" Schema');
		SELECT nvent.stream_append('nvent:t:' || n % 7, '{"type": "x"}') FROM generate_series(1, 100) n;
		SELECT nvent.stream_append('My-App:flow:run:r', '{"type": "x"}');
		SELECT nvent.entry_add('nvent:flows', 'f', 5, '{"registeredAt": 5}'), nvent.kv_set('k', '1', '1 day');
		SELECT nvent.consumer_subscribe('c', 'nvent:t:>');
		BEGIN; SELECT count(nvent.next_position('nvent')) FROM generate_series(1, 10); ROLLBACK;
	});
	$cursor = $old->safe_psql('postgres', q{SELECT next_cursor FROM nvent.stream_poll('nvent:>', 0, 50)});
	$last = $old->safe_psql('postgres', 'SELECT nvent.safe_position()');
	ok(wait_until(sub { $old->safe_psql('postgres', 'SELECT position FROM nvent.published_position') == $last }),
		"$title: the old server's worker runs");
	$before = $old->safe_psql('postgres', $contents);
	$old->stop;

	command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
			'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
			'-s', $new->host, '-p', $old->port, '-P', $new->port ], "$title: pg_upgrade");
	$new->start;
	is($new->safe_psql('postgres', $contents), $before, "$title: all of it is there");
	is($new->safe_psql('postgres', 'SELECT nvent.safe_position()'), $last, "$title: and so is the position");
	is($new->safe_psql('postgres', "SELECT cardinality(events) FROM nvent.stream_poll('nvent:>', $cursor)"),
		50, "$title: a reader goes on");
	cmp_ok(append($new, 'after'), '>', $last, "$title: positions go on");
	is($new->safe_psql('postgres', "SELECT cardinality(events) FROM nvent.stream_poll('nvent:>', $last)"),
		1, "$title: and are read");
	is($new->safe_psql('postgres', "SELECT name, position < mark FROM nvent.consumer_claim()"), 'c|t',
		"$title: a consumer has work");
	ok(wait_until(sub { $new->safe_psql('postgres', 'SELECT position FROM nvent.published_position') > $last }),
		"$title: the new server's worker runs");
	is($new->safe_psql('postgres', 'SHOW nvent_store.notify'), 'worker', "$title: and notifies");
	$new->stop;
}

upgrade('default', '');
upgrade('worker', "nvent_store.notify = 'worker'\n");

done_testing();
