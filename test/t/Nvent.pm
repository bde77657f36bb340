# What the TAP tests share: servers with nvent_store, statements and loads that
# are run on them, and listeners.

package Nvent;

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(new_server plain_server crash append append_sql attempt load
  listener notified page silent wait_until notifier_pid maintainer_pid library);

# start_server(NAME, CONF...): a server that has the extension in database
# postgres, and can have a standby.
sub start_server
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', $_) foreach @conf;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION nvent_store');
	return $node;
}

# new_server(NAME, CONF): one that preloads the library.
sub new_server
{
	my ($name, $conf) = @_;

	return start_server($name, <<'EOT', $conf // ());
shared_preload_libraries = 'nvent_store'
max_prepared_transactions = 10
max_connections = 50
autovacuum = off
EOT
}

# plain_server(NAME, CONF): one that loads it when it is used.
sub plain_server
{
	my ($name, $conf) = @_;

	return start_server($name, "max_connections = 50\nautovacuum = off\n",
		$conf // ());
}

# crash(NODE): as a crash leaves it, and up again.
sub crash
{
	my ($node) = @_;

	$node->stop('immediate');
	$node->start;
}

# library(NAME): the path of a library that is built of test/hooks/NAME.c.
sub library
{
	my ($name) = @_;
	my $path = PostgreSQL::Test::Utils::tempdir() . "/nvs_$name.so";
	my $include = qx($ENV{PG_CONFIG} --includedir-server);

	chomp $include;
	system($ENV{CC} // 'cc', '-O2', '-w', '-fPIC', '-shared', "-I$include",
		'-o', $path, "$FindBin::RealBin/../hooks/$name.c") == 0
	  or BAIL_OUT("cannot build $name");
	return $path;
}

# append_sql(SUBJECT): the statement that appends to nvent:t:SUBJECT and returns
# the event's position.
sub append_sql
{
	my ($subject) = @_;

	return "SELECT nvent.stream_append('nvent:t:$subject', '{\"type\": \"x\"}') ->> 'id'";
}

# append(NODE, SUBJECT, DATABASE): the position of an event that is appended.
sub append
{
	my ($node, $subject, $database) = @_;

	return $node->safe_psql($database // 'postgres', append_sql($subject));
}

# attempt(NODE, SQL, DATABASE, ROLE): the SQLSTATE of its error, empty when
# there is none, and what it returned.
sub attempt
{
	my ($node, $sql, $database, $role) = @_;
	my ($ret, $out, $err) = $node->psql($database // 'postgres',
		"\\set VERBOSITY sqlstate\n$sql",
		extra_params => defined $role ? [ '-U', $role ] : []);

	return ($err =~ /ERROR:\s+(\w{5})/ ? $1 : $ret != 0 ? $err : '', $out);
}

my $nscripts = 0;

# load(NODE, TITLE, ARGS, SCRIPT...): pgbench runs the scripts with these
# arguments, and no client meets an error.  A script may begin with its weight,
# as in "@6 SELECT 1".
sub load
{
	my ($node, $title, $args, @scripts) = @_;
	my @files;

	foreach my $script (@scripts)
	{
		my $weight = $script =~ s/^(\@\d+)\s// ? $1 : '';
		my $file = $node->basedir . '/load' . $nscripts++ . '.sql';

		append_to_file($file, $script);
		push @files, '-f', $file . $weight;
	}
	$node->command_ok([ 'pgbench', '-n', '-j', 2, @$args, @files, 'postgres' ],
		$title);
}

# listener(NODE, CHANNEL, DATABASE): a session that listens.
sub listener
{
	my ($node, $channel, $database) = @_;
	my $psql = $node->background_psql($database // 'postgres');

	$psql->query_safe("LISTEN \"$channel\"");
	return $psql;
}

# page(NODE, CURSOR): what a reader of nvent:t:> gets that goes on from there,
# as the last parts of the subjects; and its cursor from then on.
sub page
{
	my ($node, $cursor) = @_;
	my $out = $node->safe_psql('postgres', <<"EOT");
SELECT next_cursor, ARRAY(SELECT nvent.subject_id(e ->> 'subject') FROM unnest(events) e)
FROM nvent.stream_poll('nvent:t:>', $cursor)
EOT
	my ($next, $events) = $out =~ /^(\d+)\|\{(.*)\}$/;

	return ($events, $next);
}

# Payloads that arrived since the last call.
sub payloads
{
	my ($psql) = @_;

	# psql shows notifications when it has run a command.
	my $out = $psql->query('SELECT');
	return $out =~ /with payload "(.*)" received/g;
}

# notified(LISTENER, REGEX...): the payloads up to the one with which all of
# the expressions were seen; none when they were not before long.
sub notified
{
	my ($psql, @wanted) = @_;
	my $until = time + 20;
	my @seen;

	while (@wanted && time < $until)
	{
		foreach my $payload (payloads($psql))
		{
			push @seen, $payload;
			@wanted = grep { $payload !~ $_ } @wanted;
		}
		usleep(5000) if @wanted;
	}
	diag("not seen: @wanted; seen: @seen") if @wanted;
	return @wanted ? () : @seen;
}

# silent(LISTENER, SECONDS): what arrives in that time, which is to be nothing.
sub silent
{
	my ($psql, $seconds) = @_;

	usleep(1000000 * $seconds);
	return join ' ', payloads($psql);
}

# wait_until(CODE): is it true before long?
sub wait_until
{
	my ($code) = @_;
	my $until = time + 30;

	while (time < $until)
	{
		return 1 if $code->();
		usleep(20000);
	}
	return 0;
}

# process_pid(NODE, TYPE, DATABASE): a database's process of that type; empty when
# there is none.
sub process_pid
{
	my ($node, $type, $database) = @_;

	$database //= 'postgres';
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'nvent_store $type' AND datname = '$database'"
	);
}

# notifier_pid(NODE, DATABASE)
sub notifier_pid
{
	my ($node, $database) = @_;

	return process_pid($node, 'notifier', $database);
}

# maintainer_pid(NODE, DATABASE)
sub maintainer_pid
{
	my ($node, $database) = @_;

	return process_pid($node, 'maintenance', $database);
}

1;
