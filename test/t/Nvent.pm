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

our @EXPORT = qw(new_server plain_server crash is_up append append_sql attempt
  answer load listener notified page silent wait_until activity
  send_sql synchronous sleeper
  notifier_pid maintainer_pid library program contents_sql random_seed);

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

# is_up(NODE): does it take connections?  Nothing is written to psql, which may be
# gone by then.
sub is_up
{
	my ($node) = @_;

	return IPC::Run::run([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'SELECT 1' ], '<', '/dev/null', '&>', '/dev/null');
}

# Words of pg_config.
sub pg_config
{
	my $answer = qx($ENV{PG_CONFIG} $_[0]);

	chomp $answer;
	return $answer;
}

# compile(NAME, ARG...): has the compiler make a file of that name, and returns
# its path.
sub compile
{
	my ($name, @args) = @_;
	my $path = PostgreSQL::Test::Utils::tempdir() . "/$name";

	system($ENV{CC} // 'cc', '-O2', '-w', '-o', $path, @args) == 0
	  or BAIL_OUT("cannot build $name");
	return $path;
}

# library(NAME): the path of a library that is built of test/hooks/NAME.c.
sub library
{
	my ($name) = @_;

	return compile("nvs_$name.so", '-fPIC', '-shared',
		'-I' . pg_config('--includedir-server'),
		"$FindBin::RealBin/../hooks/$name.c");
}

# program(DIR): the path of a client that is built of what is in that folder of
# test/, has threads, and bears the folder's name.
sub program
{
	my ($dir) = @_;
	my $libdir = pg_config('--libdir');

	return compile($dir =~ s{.*/}{}r, '-g', '-pthread', '-D_GNU_SOURCE',
		'-I' . pg_config('--includedir'),
		glob("$FindBin::RealBin/../$dir/*.c"),
		"-L$libdir", "-Wl,-rpath,$libdir", '-lpq');
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

# answer(NODE, SQL, DATABASE, ROLE): what a statement returns, or the SQLSTATE of
# its error.
sub answer
{
	my ($state, $out) = attempt(@_);

	return $state || $out;
}

# contents_sql(RELATION...): the statement that returns a line for each table,
# with the number and the sum of its rows, and for each sequence, with its state,
# but for those.
sub contents_sql
{
	my $but = join ', ', map { "'$_'::regclass" } @_;

	return qq{
	SELECT c.oid::regclass || ': ' || (xpath('/row/c/text()', query_to_xml(format(
		CASE relkind WHEN 'S' THEN 'SELECT last_value || '' '' || is_called AS c FROM %s'
		ELSE 'SELECT count(*) || '' '' || coalesce(md5(string_agg(t::text, ''|'' ORDER BY t::text)), '''') AS c FROM %s t' END,
		c.oid::regclass), false, true, '')))[1]::text
	FROM pg_class c WHERE relkind IN ('r', 'p', 'S') AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
		AND relnamespace::regnamespace::text !~ '^pg_' AND c.oid NOT IN ($but)
	ORDER BY 1};
}

# random_seed(): of what a test does by chance, which is said, so that it can be
# done again: NVS_SEED in the environment.
sub random_seed
{
	my $seed = $ENV{NVS_SEED} // int(rand(1000000));

	note "NVS_SEED=$seed";
	srand($seed);
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

# activity(NODE, PID, EXPRESSION): what is said of a process.
sub activity
{
	my ($node, $pid, $expression) = @_;

	return $node->safe_psql('postgres',
		"SELECT $expression FROM pg_stat_activity WHERE pid = $pid");
}

# send_sql(SESSION, SQL): have a session run it, without waiting for its end.  What
# is answered at once comes with the line that says it was sent, and is kept for who
# asks the session next.
sub send_sql
{
	my ($session, $sql) = @_;
	my $out = $session->query_until(qr/^sent\r?\n/m, "\\echo sent\n$sql;\n");

	$out =~ s/^sent\r?\n//m;
	$session->{stdout} = $out . $session->{stdout};
}

# synchronous(NODE, NAMES): have commits wait for standbys of these names, or for
# none.  That is so from when the checkpointer has read its settings, which it has
# when it answers.
sub synchronous
{
	my ($node, $names) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$names'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = '$names'") or return 0;
	$node->safe_psql('postgres', 'CHECKPOINT');
	return 1;
}

# sleeper(NODE, SQL): a session that runs it, and waits; and its process.
sub sleeper
{
	my ($node, $sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	send_sql($session, $sql);
	wait_until(sub { activity($node, $pid, "wait_event = 'Extension'") eq 't' })
		or die "$sql does not wait";
	return ($session, $pid);
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
