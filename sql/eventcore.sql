-- What eventcore asks of a store, in SQL alone: versions that count events,
-- batches over several streams, reads over all of them, checkpoints, one leader
-- at a time, and snapshots with version vectors.
--
-- Seen to fail: with the expectations of streams that get no event left
-- unchecked, the stale reader writes; with the versions of snapshots not
-- compared, the older state is loaded.
SELECT nvent.store_create();

-- A command reads what it decides on.  A stream that nobody wrote is empty.
SELECT count(*) FROM nvent.stream_read('account::ada', max_count => NULL);
SELECT nvent.stream_append_many('[
    {"subject": "account::ada", "expected": 0,
     "events": [{"type": "Deposited", "data": {"amount": 100}}]},
    {"subject": "account::bob", "expected": "none",
     "events": [{"type": "Deposited", "data": {"amount": 20}}]}]') - '{id,ts}'::text[] AS event;
-- Each stream has its own events, and versions count them.
SELECT event ->> 'subject' AS stream, event -> 'version' AS version, event -> 'data' AS data
FROM nvent.stream_read('account::ada', max_count => NULL);
SELECT event ->> 'subject' AS stream, event -> 'version' AS version, event -> 'data' AS data
FROM nvent.stream_read('account::bob', max_count => NULL);

-- A transfer writes to two streams, and looks at a third, which must be as it
-- was: {limit: 0, ada: 1, bob: 1} is the vector of what it read.
SELECT nvent.stream_append_many('[
    {"subject": "account::ada", "expected": 1, "events": [{"type": "Withdrawn", "data": {"amount": 30}}]},
    {"subject": "account::bob", "expected": 1, "events": [{"type": "Deposited", "data": {"amount": 30}}]},
    {"subject": "limit::ada", "expected": 0}]') - '{id,ts,data}'::text[] AS event;
-- Who read the same before writes nothing, in no stream: one of two is stale.
SELECT nvent.stream_append_many('[
    {"subject": "account::ada", "expected": 1, "events": [{"type": "Withdrawn", "data": {"amount": 90}}]},
    {"subject": "account::bob", "expected": 2, "events": [{"type": "Deposited", "data": {"amount": 90}}]}]');
SELECT nvent.stream_version('account::ada'), nvent.stream_version('account::bob');
-- Both are, and the answer has both.
SELECT nvent.stream_append_many('[
    {"subject": "account::ada", "expected": 1, "events": [{"type": "Withdrawn"}]},
    {"subject": "account::bob", "expected": 1, "events": [{"type": "Deposited"}]}]');
-- A stream that is only looked at counts as well.
SELECT nvent.stream_append('limit::ada', '{"type": "Frozen"}') ->> 'version' AS version;
SELECT nvent.stream_append_many('[
    {"subject": "limit::ada", "expected": 0},
    {"subject": "account::eve", "expected": 0, "events": [{"type": "Deposited"}]}]');
SELECT nvent.stream_append_many('[
    {"subject": "limit::ada", "expected": 1},
    {"subject": "account::eve", "expected": 0, "events": [{"type": "Deposited"}]}]') ->> 'version' AS version;
-- What nobody may say: two expectations of one stream.
SELECT nvent.stream_append_many('[
    {"subject": "account::eve", "expected": 1, "events": [{"type": "Deposited"}]},
    {"subject": "account::eve", "expected": 2, "events": [{"type": "Deposited"}]}]');
-- A batch without events only verifies.
SELECT count(*) FROM nvent.stream_append_many('[{"subject": "account::eve", "expected": 1}]');
SELECT count(*) FROM nvent.stream_append_many('[]');

-- A state that was folded up to a version goes on behind it.
SELECT event -> 'version' AS version, event ->> 'type' AS type
FROM nvent.stream_read('account::ada', after_version => 1);

-- A reader over streams has a cursor, and all streams one order.
SELECT n, e ->> 'subject' AS stream, e ->> 'type' AS type
FROM nvent.stream_poll('>', 0, 100), unnest(events) WITH ORDINALITY AS u(e, n) ORDER BY n;
WITH three AS (SELECT next_cursor FROM nvent.stream_poll('>', 0, 3))
SELECT cardinality(events) AS rest, events[1] ->> 'subject' AS stream
FROM three, nvent.stream_poll('>', three.next_cursor, 100);
-- Conditions come before the page is cut.
SELECT e ->> 'subject' AS stream
FROM nvent.stream_poll('account:>', 0, 1, types => '{Withdrawn}'), unnest(events) AS e;
SELECT DISTINCT e ->> 'subject' COLLATE "C" AS stream
FROM nvent.stream_poll('>', 0, 100, subject_regex => '^account::[a-b]'), unnest(events) AS e ORDER BY 1;
-- A prefix is of the beginning alone, and one character is one.
SELECT nvent.stream_append('my-account::al', '{"type": "Opened"}') ->> 'version' AS version;
SELECT DISTINCT e ->> 'subject' COLLATE "C" AS stream
FROM nvent.stream_poll('>', 0, 100, subject_regex => '^account::'), unnest(events) AS e ORDER BY 1;
SELECT DISTINCT e ->> 'subject' COLLATE "C" AS stream
FROM nvent.stream_poll('>', 0, 100, subject_regex => '^account::.da$'), unnest(events) AS e ORDER BY 1;

-- A projection keeps how far it came, under its name, in the transaction of
-- what it writes.
SELECT count(*) FROM nvent.checkpoint_load('balances');
SELECT nvent.checkpoint_save('balances', 3);
SELECT nvent.checkpoint_save('balances', 5), nvent.checkpoint_save('mails', 1);
SELECT name, position FROM unnest('{balances,mails}'::text[]) AS name, nvent.checkpoint_load(name) ORDER BY name;
-- It does not go back by mistake, but on purpose.
SELECT nvent.checkpoint_save('balances', 4);
SELECT nvent.checkpoint_save('balances', 4, force => true);

-- One leader: who comes second is told at once, and the names are independent.
SELECT nvent.lock_acquire('balances', '1 minute', 'one') IS NOT NULL AS leads;
SELECT nvent.lock_acquire('balances', '1 minute', 'two') IS NOT NULL AS leads;
SELECT nvent.lock_acquire('mails', '1 minute', 'two') IS NOT NULL AS leads;
-- Who was followed by another can write no more, whatever it still believes.
SELECT token AS old FROM nvent.lock_acquire('balances', '1 minute', 'one') AS token \gset
SELECT nvent.lock_release('balances', :old) AS released;
SELECT token AS new FROM nvent.lock_acquire('balances', '1 minute', 'two') AS token \gset
SELECT nvent.checkpoint_save('balances', 6, :new);
\set VERBOSITY terse
SELECT :new > :old AS higher;
DO $$ BEGIN
    PERFORM nvent.checkpoint_save('balances', 7, 1);
EXCEPTION WHEN SQLSTATE 'NV002' THEN RAISE NOTICE 'fenced';
END $$;
\set VERBOSITY default

-- The state of a command with its version vector: an older one never replaces
-- it, nor does one that leaves a stream out.
SELECT count(*) FROM nvent.snapshot_load('transfer:ada');
SELECT nvent.snapshot_save('transfer:ada', '{"total": 13}', '{"account::ada": 4, "account::bob": 9}', '{"balances": 6}');
SELECT nvent.snapshot_save('transfer:ada', '{"total": 11}', '{"account::ada": 3, "account::bob": 8}');
SELECT nvent.snapshot_save('transfer:ada', '{"total": 12}', '{"account::ada": 5, "account::bob": 8}');
SELECT nvent.snapshot_save('transfer:ada', '{"total": 14}', '{"account::ada": 5}');
SELECT state, versions, extra FROM nvent.snapshot_load('transfer:ada');
SELECT nvent.snapshot_save('transfer:ada', '{"total": 15}', '{"account::ada": 5, "account::bob": 9}');
SELECT state, versions, extra FROM nvent.snapshot_load('transfer:ada');

-- Events are not changed: UPDATE and DELETE are refused.
SELECT nvent.stream_protect(relation) FROM nvent.stream_tables('nvent') WHERE type = 'account';
UPDATE nvent_stream_account SET data = '{}';
DELETE FROM nvent_stream_account;

SET client_min_messages = warning;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
