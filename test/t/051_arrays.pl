# Calls that take arrays cost what their elements cost: of ten times the elements
# the processor time is ten times as long, and not a hundred.  No clock is looked
# at, but the time that the session's process has had.
#
# Seen to fail with types of events compared one by one: stream_poll.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Utils;
use Test::More;

my $few = 1000;
my $many = 10 * $few;
my $node = plain_server('arrays', "jit = off\n");

# What is called with arrays of N elements, the N-th part of which begins at I:
# ten calls with a tenth each do the same as one with all.
my $names = q(ARRAY(SELECT 'c' || k FROM generate_series(I + 1, I + N) k));
my $some = q(ARRAY(SELECT 't' || k FROM generate_series(I + 1, I + N) k));
my $jobs = q(ARRAY(SELECT id FROM jobs ORDER BY id OFFSET I LIMIT N));
my %calls = (
	'01 consumer_mark' =>
	  "nvent.consumer_mark($names, array_fill(5::bigint, ARRAY[N]))",
	'02 consumer_claim' => q(nvent.consumer_claim(N, '1 hour', owner => 'w', max_scan => NULL)),
	'03 consumer_ack_many' =>
	  "nvent.consumer_ack_many($names, NULL, array_fill(1::bigint, ARRAY[N]), owner => 'w')",
	'04 consumer_claim, again' =>
	  q(nvent.consumer_claim(N, '1 hour', owner => 'w', max_scan => NULL)),
	'05 consumer_block_many' =>
	  "nvent.consumer_block_many($names, NULL, $some, owner => 'w')",
	'06 consumer_unblock' => "nvent.consumer_unblock($names)",
	'07 consumer_list' => "nvent.consumer_list($names, max_count => NULL)",
	'10 stream_append_batch' =>
	  q(nvent.stream_append_batch('order:1', ARRAY(SELECT jsonb_build_object('type', 't' || k, 'eventId', 'e' || k) FROM generate_series(I + 1, I + N) k))),
	# A page of N events, each of its own type.
	'11 stream_poll' =>
	  "unnest((nvent.stream_poll('order:>', FIRST + I, N, $some)).events)",
	'12 stream_poll, one subject' =>
	  "unnest((nvent.stream_poll('order:1', FIRST + I, N, $some)).events)",
	'13 stream_read' =>
	  "nvent.stream_read('order:1', after => FIRST + I, types => $some, max_count => N)",
	'14 stream_stats' =>
	  "nvent.stream_stats('order:>', exclude => $some)",
	'20 kv_mset' =>
	  q(nvent.kv_mset((SELECT jsonb_object_agg('k:' || k, k) FROM generate_series(I + 1, I + N) k))),
	'21 kv_mget' =>
	  q(nvent.kv_mget(ARRAY(SELECT 'k:' || k FROM generate_series(I + 1, I + N) k))),
	'30 queue_cancel_many' => "nvent.queue_cancel_many('q', $jobs)",
	'31 queue_resume_many' => "nvent.queue_resume_many('q', $jobs)",
	'32 queue_delete_many' => "nvent.queue_delete_many('q', $jobs)",
	'22 kv_delete' =>
	  q(nvent.kv_delete(VARIADIC ARRAY(SELECT 'k:' || k FROM generate_series(I + 1, I + N) k))),
);

# used(SQL): milliseconds of processor time that a session took for it, once
# what it needs has been compiled.
sub used
{
	my ($sql) = @_;
	my (undef, $out, $err) = $node->psql('postgres', <<"EOT");
SET client_min_messages = warning;
SELECT nvent.stream_version('order:1'), nvent.kv_get('k:1');
SELECT nvent.consumer_list(max_count => 1);
SET client_min_messages = log;
SET log_statement_stats = on;
$sql
EOT
	my $sum = 0;

	$sum += 1000 * ($1 + $2)
	  while $err =~ /!\s+([\d.]+) s user, ([\d.]+) s system, [\d.]+ s elapsed/g;
	unlike($err, qr/ERROR/, 'no error');
	return $sum;
}

$node->safe_psql('postgres', <<"EOT");
SET client_min_messages = warning;
SELECT nvent.store_create('nvent');
SELECT count(nvent.consumer_subscribe('c' || k, 'order:' || k)) FROM generate_series(1, $many) k;
SELECT nvent.consumer_correlate() FROM generate_series(1, $many / 1000 + 1);
SELECT nvent.stream_append('order:0', '{"type": "first"}');
SELECT nvent.queue_create('q');
CREATE TABLE jobs AS SELECT nvent.queue_send_batch('q', array_fill('{}'::jsonb, ARRAY[$many])) AS id;
VACUUM ANALYZE;
EOT
my $first;

# call(NAME, I, N)
sub call
{
	my ($name, $i, $n) = @_;
	my $call = $calls{$name};

	# The position before the events that are there from some test on.
	$first //= $node->safe_psql('postgres',
		"SELECT min(id) - 1 FROM nvent_stream_order WHERE subject = 'order:1'")
	  if $call =~ /FIRST/;
	$call =~ s/\bI\b/$i/g;
	$call =~ s/\bN\b/$n/g;
	$call =~ s/\bFIRST\b/$first/g if defined $first;
	return "SELECT count(x) FROM (SELECT $call AS x) s;\n";
}

foreach my $name (sort keys %calls)
{
	# What changes rows is undone for the second side, and then done to stay.
	my $parts = used('BEGIN;' . join('', map { call($name, $_ * $few, $few) } 0 .. 9)
		. 'ROLLBACK;');
	my $whole = used(call($name, 0, $many));

	cmp_ok($whole, '<', 3 * $parts + 20,
		substr($name, 3) . ': ten times as many, ten times the time');
	note(sprintf('%s: %.1f ms in ten parts, %.1f in one', $name, $parts, $whole));
}

done_testing();
