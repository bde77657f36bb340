# Attacks: roles with ever more rights plant code of their own wherever
# PostgreSQL lets them, and all of them call every function, beside workers.
# Nobody's code runs with rights that he lacks, and no store changes, is locked or
# waits by what somebody does who has no right on it.
#
# test/attack/ has what is planted and called, and in cases/ one attack each,
# whose last line of output is to be "held".  ATTACK may be a regular expression
# for the titles of parts that are to be run.
#
# Seen to fail by each fault that a case or a comment here is about; with
# partition keys left out of route/foreign_code.c, and types of locks out of
# route/target.c (a superuser's maintain() runs a tenant's code); with the rights
# to a stream not asked for before its lock is taken (a stranger holds it).

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Nvent;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $dir = "$FindBin::RealBin/../attack";
my %schema = (nvent => 'public', shop => 'shop', evil => 'tenant', views => 'tenant', odd => 'tenant');

# Faults that are known and not yet mended: what a finding looks like, and why.
my @known = ();

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'EOT');
shared_preload_libraries = 'nvent_store'
max_worker_processes = 50
max_connections = 60
autovacuum = off
fsync = off
client_min_messages = error
log_line_prefix = '%d/%b/%a '
log_error_verbosity = terse
log_min_error_statement = panic
nvent_store.maintenance_interval = 0
EOT
$node->start;

my $log = 0;
my $admin = $node->safe_psql('postgres', 'SELECT current_user');

# wanted(TITLE): is a part to be run?  ATTACK may have a regular expression for
# the titles of those that are.
sub wanted
{
	my ($title) = @_;

	return $title =~ ($ENV{ATTACK} // '.');
}

# script(DATABASE, ROLE, SQL, VARIABLE => VALUE...): what psql prints that runs
# it; errors do not end it.  ROLE is undef for whom the server belongs to.
sub script
{
	my ($db, $role, $sql, %variables) = @_;
	my ($out, $err) = ('', '');

	$node->psql($db, $sql, on_error_stop => 0, stdout => \$out, stderr => \$err, extra_params =>
		[ $role ? ('-U', $role) : (), map { ('-v', "$_=$variables{$_}") } sort keys %variables ]);
	return wantarray ? ($out, $err) : $out;
}

# run_file(DATABASE, ROLE, FILE, ...): a file of test/attack, in which nothing
# fails.
sub run_file
{
	my ($db, $role, $file, %variables) = @_;
	my ($out, $err) = script($db, $role, slurp_file("$dir/$file"), %variables);

	is($err, '', "$file as " . ($role // 'superuser') . ($variables{store} ? " for $variables{store}" : ''));
}

# copy_database(NAME): a database with all that was planted.
sub copy_database
{
	my ($name) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE attacked");
	$node->safe_psql($name, 'UPDATE attack.store SET rows = attack.rows(store, schema), shape = attack.shape(store, schema)');
}

# logged(): lines of ours that were logged since the last call, as {database,
# backend, call, text}.
sub logged
{
	my @lines;
	my $text = slurp_file($node->logfile, $log);

	$log += length $text;
	while ($text =~ m{^(\S*?)/([^/\n]*)/(\S*) LOG:  ((?:SPY|CHANGED|LOCKED) .*)$}mg)
	{
		push @lines, { database => $1, backend => $2, call => $3, text => $4 };
	}
	return @lines;
}

# finding(LINE): what is wrong with a line of the log; nothing when nothing is.
#
# Code may run as its author.  It may run as a caller if the call was to the
# store that it is in, as a trigger of any table does; but maintenance asks for
# no table, and whoever else it runs as has lent its rights.  (A superuser may be
# the owner of the store for that.)
sub finding
{
	my ($line) = @_;
	my ($caller, $function, $store) = split m{/}, $line->{call};

	return "$line->{call}: $line->{text}" if $line->{text} !~ /^SPY author=(\S+) user=(\S+) session=(\S+) place=(.*)/;
	my ($author, $user, $session, $place) = ($1, $2, $3, $4);
	return () if $user eq $author || $user eq 'watcher';
	# In the cases only who attacks counts, and who has all rights.
	return () if $line->{database} =~ /^case/ && ($author ne 'tenant' || $user ne 'root') && $place !~ /^trap/;
	return () if $line->{backend} eq 'client backend' && defined $store && ($user eq $session || $session eq 'root')
	  && ($function // '') !~ /^(maintain|schedule_run)$/ && $place =~ /^\Q$store\E_/;
	return "code of $author ran as $user" . ($line->{backend} eq 'client backend' ? ' in ' . ($function // $line->{call}) : ' in the worker') . ", $place";
}

# report(TITLE, FINDING...): passes without findings; known ones are TODO.
sub report
{
	my ($title, @findings) = @_;
	my %seen;
	my @new = grep { !$seen{$_}++ } @findings;

	foreach my $known (@known)
	{
		my @of = grep { "$title: $_" =~ $known->[0] } @new or next;

		@new = grep { "$title: $_" !~ $known->[0] } @new;
		local $TODO = $known->[1];
		fail("$title: $_") foreach $of[0];
	}
	is(join("\n", @new), '', $title);
}

# Everything is planted in one database, of which each role attacks a copy.
$node->safe_psql('postgres', 'CREATE DATABASE attacked');
run_file('attacked', undef, 'setup.sql');
run_file('attacked', $_, 'spy.sql') foreach qw(tenant shopkeeper keeper grantee stranger writer);
run_file('attacked', 'tenant', 'owner.sql', store => 'evil', schema => 'tenant');
run_file('attacked', 'shopkeeper', 'owner.sql', store => 'shop', schema => 'shop');
run_file('attacked', 'keeper', 'owner.sql', store => 'nvent', schema => 'public');
run_file('attacked', 'tenant', 'odd.sql');
run_file('attacked', 'grantee', 'grantee.sql');
run_file('attacked', 'tenant', 'traps.sql');

# Every function is called; those aside that only PostgreSQL calls.
my @calls = grep { !/^\s*--/ && /\S/ } split /\n/, slurp_file("$dir/calls.sql");
my $all = join '', @calls;
my @uncalled = grep { $all !~ /nvent\.$_\b/ } split /\n/, $node->safe_psql('attacked', q{
	SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'nvent'::regnamespace
	AND NOT 'internal'::regtype = ANY (proargtypes) AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)});
is("@uncalled", '', 'calls.sql calls every function');

# Who calls has temporary things of the names of PostgreSQL's and ours, too.
my $temporary = q{
	SELECT pg_catalog.format('CREATE DOMAIN pg_temp.%I AS pg_catalog.%1$I CHECK (%I.spy(''trap: temporary type %1$s''))', t, current_user)
	FROM pg_catalog.unnest('{text,jsonb,timestamptz,name,oid}'::pg_catalog.text[]) t \gexec
	SELECT pg_catalog.format('CREATE VIEW pg_temp.%I AS SELECT %I.spy(''trap: temporary table %1$s'') AS prefix', t, current_user)
	FROM pg_catalog.unnest('{store,route,stream_table,published_position,position_seq,nvent_kv,shop_kv,evil_kv,pg_class,pg_namespace}'::pg_catalog.text[]) t \gexec
};

# calls_script(ROLE): every call, to each store, and after each what is checked.
sub calls_script
{
	my ($role) = @_;
	# The last two are there for what their code does to others.
	my @stores = (qw(nvent shop evil), $role =~ /root|tenant/ ? qw(views odd) : ());
	my $sql = "\\set VERBOSITY sqlstate\n" . ($role eq 'root' ? '' : $temporary);

	foreach my $template (@calls)
	{
		my ($function) = $template =~ /nvent\.(\w+)/;

		foreach my $store ($template !~ /\{s\}/ ? 'none' : @stores)
		{
			my $call = $template =~ s/\{s\}/$store/gr =~ s/\{schema\}/$schema{$store}/gr;
			my ($begin, $commit) = $call =~ /^CALL/ ? ('', '') : ('BEGIN;', 'COMMIT;');

			$sql .= "SET application_name = '$role/$function/$store'; $begin\n$call\n\\if :ERROR\n" .
			  ($call =~ /-- fails$/ ? '' : "\\echo \@ $role/$function/$store :LAST_ERROR_SQLSTATE\n") .
			  ($begin ? "ROLLBACK;\n" : '') . "\\else\nSELECT attack.check_locks(); $commit SELECT attack.check_stores();\n\\endif\n";
		}
	}
	return $sql;
}

foreach my $role (grep { wanted("$_ calls") } qw(stranger writer grantee tenant shopkeeper keeper root))
{
	copy_database("by_$role");
	logged();
	local $ENV{PGOPTIONS} = '-c search_path=pg_temp,traps,pg_catalog';
	my ($out, $err) = script("by_$role", $role, calls_script($role));
	my @errors = $out =~ /^\@ (\S+ \w+)/mg;

	report("$role calls every function", map { finding($_) } grep { $_->{backend} eq 'client backend' } logged());
	is(join("\n", grep { /XX|57P/ } @errors), '', "$role meets no internal error");
	is(join("\n", grep { m{/nvent } } @errors), '', 'all calls are sensible ones') if $role eq 'root';
}


# Whom does a role keep waiting that holds all of it in one open transaction?
# What fails is undone, as in a transaction that goes on.
my %owner = (nvent => 'keeper', shop => 'shopkeeper');
my @deeds = (
	append => q{SELECT nvent.stream_append('{s}:order:1', '{"type": "t"}')}, first => q{SELECT nvent.stream_append('{s}:unheard:1', '{"type": "t"}')},
	bare => q{SET nvent_store.default_store = '{s}'; SELECT nvent.stream_append('order:1', '{"type": "t"}')},
	set => q{SELECT nvent.kv_set('{s}:k', '1')}, add => q{SELECT nvent.entry_add('{s}:x', 'i', 1, '{}')}, lock => q{SELECT nvent.lock_acquire('{s}:free', '1 s')},
	subscribe => q{SELECT nvent.consumer_subscribe('z', '{s}:>', store => '{s}')}, claim => q{SELECT nvent.consumer_claim(store => '{s}')},
	fetch => q{SELECT nvent.consumer_fetch(store => '{s}')}, maintain => q{SELECT nvent.maintain(store => '{s}')},
	create => q{SELECT nvent.stream_create_table('made', store => '{s}')}, retain => q{SELECT nvent.stream_retain('order', '1 day', '{s}')},
	route => q{SELECT nvent.route_add('kv', '{s}:own:>', '{schema}.{s}_kv'), nvent.route_drop('kv', '{s}:own:>')}, migrate => q{SELECT nvent.store_migrate('{s}')},
	grant => q{SELECT nvent.store_grant('writer', 'read', '{s}')},
	alter => q{ALTER TABLE {schema}.{s}_stream_order ADD x int}, clear => q{SELECT nvent.stream_clear('{s}')}, drop => q{SELECT nvent.stream_drop_table('order', '{s}')});

# Is what the owner has appended there for its readers?
my $poll = q{
SELECT nvent.stream_append('{s}:flow:run:9', '{"type": "t"}') ->> 'id' AS id \gset
SELECT count(*) = 1 AS found FROM nvent.stream_poll('{s}:flow:run:9', 0) p, unnest(p.events) e WHERE e ->> 'id' = :'id' \gset
\if :found
\else
\echo @ poll {s}
\endif
};

# hold(SESSION, STATEMENT...): begins a transaction of those that succeed.
sub hold
{
	my ($session, @statements) = @_;
	my $file = $node->basedir . '/held.sql';

	unlink $file;
	append_to_file($file, join '', 'BEGIN;', map { "SAVEPOINT s;\n$_\n\\if :ERROR\nROLLBACK TO s;\n\\endif\nRELEASE s;\n" } @statements);
	$session->query("\\i $file");
}

# kept_waiting(DATABASE, SESSION, ROLE, CALLS): deeds of owners of other stores
# that fail or wait while the calls are held.
sub kept_waiting
{
	my ($db, $session, $role, @held) = @_;
	my @late;

	hold($session, @held);
	foreach my $store (grep { $owner{$_} ne $role } sort keys %owner)
	{
		my $sql = "\\set VERBOSITY terse\nSET lock_timeout = '300 ms';\n";

		for (my $i = 0; $i < @deeds; $i += 2)
		{
			$sql .= "BEGIN;\n$deeds[$i + 1];\n\\if :ERROR\n\\echo \@ $deeds[$i] $store\n\\endif\nROLLBACK;\n";
		}
		$sql .= $poll;
		$sql =~ s/\{s\}/$store/g;
		$sql =~ s/\{schema\}/$schema{$store}/g;
		push @late, script($db, $owner{$store}, $sql) =~ /^\@ (.*)/mg;
	}
	$session->query('ROLLBACK');
	return @late;
}

# culprits(...): which of the calls keep whom waiting.
sub culprits
{
	my ($db, $session, $role, @held) = @_;
	my @late = kept_waiting($db, $session, $role, @held);
	my $half = @held >> 1;

	return () if !@late;
	return map { "$held[0] holds up $_" } @late if @held == 1;
	return (culprits($db, $session, $role, @held[ 0 .. $half - 1 ]), culprits($db, $session, $role, @held[ $half .. $#held ]));
}

foreach my $role (grep { wanted("beside $_") } qw(stranger tenant shopkeeper keeper))
{
	my $db = "beside_$role";
	my $own = { tenant => 'evil', shopkeeper => 'shop', keeper => 'nvent', stranger => 'none' }->{$role};
	my @held;

	foreach my $template (grep { !/^CALL|, 0\)|route_drop/ } @calls)
	{
		push @held, $template =~ s/\{s\}/$_/gr =~ s/\{schema\}/$schema{$_}/gr foreach $template =~ /\{s\}/ ? (qw(nvent shop), $own eq 'evil' ? $own : ()) : 'none';
		# With its own store as the default one, it writes what others call theirs.
		push @held, $template =~ s/\{s\}://gr =~ s/\{s\}/$own/gr if $template =~ /\{s\}:/ && $own ne 'none';
	}
	@held = grep { !/\{/ || !/\{s/ } @held;
	copy_database($db);
	my $session = $node->background_psql($db, on_error_stop => 0, extra_params => [ '-U', $role ]);
	$session->query("SET nvent_store.default_store = '$own'");
	is(join(' ', kept_waiting($db, $session, $role)), '', "owners of stores beside an idle $role");
	report("beside $role", culprits($db, $session, $role, @held));
	$session->quit;
}

# Who has no right to do it does not even wait: nobody queues behind him.  The
# owner has all of it open, the schema's tables aside, which any query locks.
foreach my $owner (grep { wanted("behind $_") } qw(keeper shopkeeper))
{
	my ($store) = grep { $owner{$_} eq $owner } keys %owner;
	my @of = map { s/\{s\}/$store/gr =~ s/\{schema\}/$schema{$store}/gr } grep { /\{s\}/ && !/^CALL/ } @calls;
	my @own = grep { !/_protect|_clear|_drop|migrate|retain/ } @of;
	my $db = "behind_$owner";

	copy_database($db);
	my $session = $node->background_psql($db, on_error_stop => 0, extra_params => [ '-U', $owner ]);
	hold($session, @own);
	foreach my $role (qw(stranger tenant))
	{
		my $sql = "SET lock_timeout = '50 ms';\n";

		$sql .= "$of[$_]\nSELECT :'LAST_ERROR_SQLSTATE' = '55P03' AS late \\gset\n\\if :late\n\\echo \@ $_\n\\endif\n" foreach 0 .. $#of;
		$sql =~ s/SELECT :'LAST/\\if :ERROR\nSELECT :'LAST/g;
		$sql =~ s/(\\echo \@ \d+\n\\endif)/$1\n\\endif/g;
		report("$role behind $owner", map { "waits in $of[$_]" } script($db, $role, $sql) =~ /^\@ (\d+)$/mg);
	}
	$session->quit;
}

# The workers: what they run, and who keeps a listener of a store waiting.
my $worked = 'beside_workers';

# told(ROLE, SQL): does a listener of store shop hear within seconds of what it
# gets while a role has done this in an open transaction?
sub told
{
	my ($role, $sql) = @_;
	my $session = $node->background_psql($worked, on_error_stop => 0, extra_params => [ '-U', $role ]);
	my $listener = listener($node, 'shop_events', $worked);
	my $until = time + 10;
	my $heard = '';

	$session->query("BEGIN; $sql");
	script($worked, 'shopkeeper', q{SELECT nvent.stream_append('shop:order:1', '{"type": "t"}')});
	while (time < $until && $heard !~ /shop:order:1/)
	{
		usleep(10000);
		$heard .= $listener->query('SELECT');
	}
	$session->query('ROLLBACK');
	$session->quit;
	$listener->quit;
	return $heard =~ /shop:order:1/ ? () : "$role is in the way with $sql";
}

# expired(TABLE): whether what has expired goes from a table within seconds.
sub expired
{
	my ($table) = @_;

	$node->safe_psql($worked, "INSERT INTO $table (key, value, expires_at) VALUES ('gone', '1', '2000-01-01')");
	return wait_until(sub { $node->safe_psql($worked, "SELECT count(*) FROM $table WHERE key = 'gone'") eq '0' }) ? () : "what has expired stays in $table";
}

if (wanted('workers'))
{
	copy_database($worked);
	# A table such as the tenant's, with a trigger that has a condition, is left alone.
	script($worked, 'shopkeeper', q{SELECT nvent.store_create('clean', 'shopkeeper')});
	$node->append_conf('postgresql.conf', 'nvent_store.maintenance_interval = 200ms');
	# Nothing is appended there, so that it is no active database.
	$node->append_conf('postgresql.conf', 'nvent_store.worker_naptime = 500ms');
	$node->reload;
	logged();
	report('workers maintain', expired('shopkeeper.clean_kv'), map { finding($_) } grep { $_->{backend} ne 'client backend' } logged());
	report('workers notify', map { told(@$_) } ([ 'stranger', 'SELECT 1' ], [ 'stranger', 'SELECT nvent.position_publish()' ],
		[ 'tenant', q{SELECT nvent.stream_append('evil:order:1', '{"type": "t"}')} ], [ 'tenant', 'LOCK TABLE tenant.evil_kv' ],
		[ 'grantee', 'LOCK TABLE shop.shop_kv, shop.shop_locks' ], [ 'tenant', 'LOCK TABLE nvent.store, nvent.published_position IN ACCESS SHARE MODE' ]));

	# Code of a tenant that sleeps or fails in maintenance is his own loss.
	script($worked, 'tenant', q{
		CREATE FUNCTION tenant.sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN OLD; END $$;
		CREATE TRIGGER aaa BEFORE DELETE ON tenant.evil_kv FOR EACH ROW EXECUTE FUNCTION tenant.sleep();
		INSERT INTO tenant.evil_kv (key, value, expires_at) VALUES ('evil:old', '1', '2000-01-01')});
	usleep(500000);
	report('workers notify beside sleeping code', told('stranger', 'SELECT 1'));
	report('workers maintain beside sleeping code', expired('shopkeeper.clean_kv'));

	# A role without rights has the worker of a database leave.
	script('postgres', 'stranger', join ' ', map { "SET statement_timeout = '$_ ms'; DROP DATABASE $worked; ALTER DATABASE $worked RENAME TO x; CREATE DATABASE y TEMPLATE $worked; ALTER DATABASE $worked SET TABLESPACE pg_default;" } (1, 1, 2, 2, 3, 5, 10));
	report('workers notify after DROP DATABASE', told('stranger', 'SELECT 1'));
	$node->append_conf('postgresql.conf', 'nvent_store.maintenance_interval = 0');
	$node->reload;
}

# The attacks one by one.
foreach my $case (grep { wanted("case $_") } map { m{/(\w+)\.sql$} } glob "$dir/cases/*.sql")
{
	my $file = "$dir/cases/$case.sql";
	my ($out, $err);

	copy_database("case_$case");
	logged();
	($out, $err) = script("case_$case", undef, slurp_file($file), admin => $admin);
	my ($last) = $out =~ /(.*)\s*\z/;
	my ($error) = $err =~ /.*^psql\S* ERROR: +(.*)/ms ? $1 : '';
	# What was to be attacked must have been there.
	my ($unmade) = $err =~ /^CONTEXT:.*(function attack\.\w+)/m;
	report("case $case", $last eq 'held' ? () : "$last ($error)", $unmade // (), map { finding($_) } logged());
	note($err);
	$node->safe_psql('postgres', 'ALTER ROLE tenant NOSUPERUSER; ALTER ROLE grantee NOSUPERUSER');
	$node->safe_psql('postgres', "DROP DATABASE case_$case");
}

$node->stop;
done_testing();
