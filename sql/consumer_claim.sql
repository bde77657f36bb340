-- Claims and leases: who is claimed, in which order, for how long;
-- acknowledging, renewing and blocking by token or owner, one and many.
-- Positions and marks are set by hand, so that they are numbers of the test's
-- own.
SET client_min_messages = warning;

SELECT nvent.store_create();
-- Consumers of a priority and a position, all with work up to 1000.
CREATE FUNCTION fill(n integer) RETURNS void LANGUAGE sql BEGIN ATOMIC
    DELETE FROM nvent_consumers;
    SELECT nvent.consumer_subscribe('c' || lpad(i::text, 2, '0'), mark => 1000, after => i,
        lane => CASE i % 2 WHEN 0 THEN 'even' ELSE 'odd' END) FROM generate_series(1, n) AS i;
END;
SELECT fill(12);

-- The lagging end: by position where priorities are equal.
SELECT name, position, lagging FROM nvent.consumer_claim(3);
-- Of two places or more a quarter, one at least, does not look at priorities:
-- no priority starves anybody.
SELECT nvent.consumer_prioritize(ARRAY['c10', 'c11', 'c12'], 5), nvent.consumer_prioritize(ARRAY['c09'], 7);
SELECT name, priority, lagging FROM nvent.consumer_claim(1);
SELECT name, priority, lagging FROM nvent.consumer_claim(4);
SELECT fill(12);
SELECT nvent.consumer_prioritize(ARRAY['c09', 'c10', 'c11', 'c12'], 5);
SELECT name, priority FROM nvent.consumer_claim(2);
SELECT name, priority FROM nvent.consumer_claim(8);
-- The leading end: the furthest ahead, whatever its priority.  A lease
-- is of one end; each consumer is leased once.
SELECT fill(6);
SELECT nvent.consumer_prioritize(ARRAY['c01'], 5);
SELECT name, lagging FROM nvent.consumer_claim(1, max_leading => 2);
SELECT name, lagging FROM nvent.consumer_claim(0, max_leading => 1);
SELECT name, lagging FROM nvent.consumer_claim(2, max_leading => 2);
SELECT name, lagging FROM nvent.consumer_claim(2, max_leading => 2);
-- Only one lane, by the same rules.
SELECT fill(8);
SELECT nvent.consumer_prioritize(ARRAY['c08'], 1);
SELECT name, lane, lagging FROM nvent.consumer_claim(2, lane => 'even', max_leading => 1);
SELECT name, lane, lagging FROM nvent.consumer_claim(NULL, lane => 'even', max_leading => 1);
SELECT name, lane FROM nvent.consumer_claim(NULL, lane => 'none');
SELECT name, lane FROM nvent.consumer_claim(NULL);
-- Nobody, everybody, too many, nonsense.
SELECT fill(3);
SELECT count(*) FROM nvent.consumer_claim(0);
SELECT count(*) FROM nvent.consumer_claim(100000, max_leading => 100000);
SELECT nvent.consumer_claim(-1);
SELECT nvent.consumer_claim(1, max_leading => -1);
SELECT nvent.consumer_claim(1000000, max_leading => 1);
SELECT nvent.consumer_claim(1, lease => NULL);

-- Who can be leased: position < mark; not blocked; no running lease;
-- no running deferral.  A consumer without a mark has no work.
SELECT fill(6);
SELECT nvent.consumer_subscribe('unmarked');
SELECT nvent.consumer_reset(ARRAY['c01'], 1000), nvent.consumer_reset(ARRAY['c02'], 1001);
SELECT nvent.consumer_defer(ARRAY['c03'], now() + interval '1 h');
SELECT token FROM nvent.consumer_claim(1) \gset
SELECT nvent.consumer_block('c04', :token, 'x'), nvent.consumer_ack('c04', :token, 4);
SELECT name FROM nvent.consumer_claim(1);
SELECT name FROM nvent.consumer_claim();

-- What a lease is.  Tokens of later claims are higher; one of a claim that
-- leases nothing is not drawn.
SELECT fill(1);
SELECT token AS first FROM nvent.consumer_claim(lease => '0', owner => 'w1') \gset
SELECT count(*) FROM nvent.consumer_claim(lane => 'none');
SELECT token = :first + 1 AS next, owner, attempt, position, mark, source, leased_until > now() AS leased
FROM nvent.consumer_claim(owner => 'w2');
-- The same holder cannot lease what it holds.
SELECT count(*) FROM nvent.consumer_claim(owner => 'w2');
-- Attempts: each lease since the last acknowledgement, whoever had it;
-- a lease of no length, or less, has ended at once, and nobody waits.
SELECT nvent.consumer_reset(NULL);
SELECT attempt FROM nvent.consumer_claim(lease => '0', owner => 'w1');
SELECT attempt FROM nvent.consumer_claim(lease => '-1 s', owner => 'w2');
SELECT attempt, token FROM nvent.consumer_claim(owner => 'w3') \gset
SELECT :attempt;
UPDATE nvent_consumers SET attempt = 2147483647, leased_until = now(), due_at = now();
SELECT attempt, token FROM nvent.consumer_claim() \gset
SELECT :attempt;
-- Leases that ran out come back in the order of priority, together with those
-- that never began.
SELECT fill(6);
SELECT count(*) FROM nvent.consumer_claim(6, lease => '0');
SELECT nvent.consumer_prioritize(ARRAY['c06'], 1);
SELECT name, attempt FROM nvent.consumer_claim(1);
SELECT name, attempt FROM nvent.consumer_claim(2);
-- So do many: more than one claim makes free.
SELECT fill(99);
SELECT count(*) FROM nvent.consumer_claim(99, lease => '0');
SELECT count(*) FROM generate_series(1, 40) AS i, nvent.consumer_claim(3 + i - i);

-- Acknowledgement: the position moves, the lease and the attempts end.
SELECT fill(2);
SELECT token FROM nvent.consumer_claim(1) \gset
SELECT nvent.consumer_ack('c01', :token, 500);
SELECT name, position, attempt, owner, token, leased_until FROM nvent.consumer_list(ARRAY['c01']);
-- The consumer that is up to its mark has no work until there is a higher one.
SELECT token FROM nvent.consumer_claim(1) \gset
SELECT nvent.consumer_reset(ARRAY['c01']);
SELECT name, token FROM nvent.consumer_claim(1) \gset
SELECT nvent.consumer_ack(:'name', :token, 1000);
SELECT name FROM nvent.consumer_claim(1, lane => 'odd');
SELECT nvent.consumer_mark(ARRAY['c01'], ARRAY[1001]);
SELECT name, token FROM nvent.consumer_claim(1, lane => 'odd') \gset
SELECT :'name';
-- A position does not go back, unless forced.
SELECT nvent.consumer_ack('c01', :token, 999);
\set VERBOSITY sqlstate
SELECT nvent.consumer_ack('c01', :token, 999);
\set VERBOSITY default
SELECT nvent.consumer_ack('c01', :token, 999, force => true);
SELECT position FROM nvent.consumer_list(ARRAY['c01']);
-- A lease that was given back, is another's or never was refuses, NV002, and
-- leaves all as it is.
SELECT nvent.consumer_ack('c01', -1, 1000);
SELECT nvent.consumer_ack('nobody', 1, 1000);
\set VERBOSITY sqlstate
SELECT nvent.consumer_ack('c01', :token, 1000);
SELECT nvent.consumer_renew('c01', :token);
SELECT nvent.consumer_block('c01', :token, 'x');
\set VERBOSITY default
SELECT position FROM nvent.consumer_list(ARRAY['c01']);
-- A lease that ran out is held until somebody else takes it.
SELECT fill(1);
SELECT token FROM nvent.consumer_claim(1, lease => '0', owner => 'w1') \gset
SELECT nvent.consumer_ack('c01', :token, 2);
SELECT token FROM nvent.consumer_claim(1, lease => '0', owner => 'w1') \gset
SELECT nvent.consumer_renew('c01', :token, '1 h') > now() + interval '59 min';
SELECT count(*) FROM nvent.consumer_claim();
SELECT nvent.consumer_renew('c01', :token, '0') <= clock_timestamp();
SELECT token AS second FROM nvent.consumer_claim(1, lease => '0', owner => 'w2') \gset
\set VERBOSITY sqlstate
SELECT nvent.consumer_renew('c01', :token, '1 h');
SELECT nvent.consumer_ack('c01', :token, 3);
\set VERBOSITY default
SELECT :token < :second AS higher, nvent.consumer_ack('c01', :second, 3);
-- By owner alone, by both, by neither.
SELECT token FROM nvent.consumer_claim(1, owner => 'w1') \gset
\set VERBOSITY sqlstate
SELECT nvent.consumer_ack('c01', NULL, 4, owner => 'w2');
SELECT nvent.consumer_ack('c01', :token, 4, owner => 'w2');
\set VERBOSITY default
SELECT nvent.consumer_ack('c01', NULL, 4, owner => 'w1');
SELECT nvent.consumer_ack('c01', NULL, 4);
SELECT nvent.consumer_ack(NULL, 1, 4);
SELECT nvent.consumer_ack('c01', 1, NULL);
SELECT nvent.consumer_ack('c01', 1, 1, force => NULL);
SELECT nvent.consumer_renew('c01', NULL);
SELECT nvent.consumer_renew('c01', 1, NULL);
-- With a delay: partial progress, and the attempts go on from what is given.
SELECT token FROM nvent.consumer_claim(1) \gset
SELECT nvent.consumer_ack('c01', :token, 5, defer_until => now() + interval '1 h', attempt => 3);
SELECT position, attempt, deferred_until > now() AS deferred FROM nvent.consumer_list();
SELECT count(*) FROM nvent.consumer_claim();
SELECT nvent.consumer_defer(NULL, now());
UPDATE nvent_consumers SET attempt = 3;
SELECT attempt, token FROM nvent.consumer_claim(1) \gset
SELECT :attempt;
-- An acknowledgement ends a deferral.
SELECT nvent.consumer_ack('c01', :token, 6);
SELECT deferred_until, attempt FROM nvent.consumer_list();

-- Many at once: those that are not held are left out.
SELECT fill(5);
SELECT DISTINCT token FROM nvent.consumer_claim(4) \gset
SELECT name, position, attempt, lane, source, deferred_until > now() AS deferred
FROM nvent.consumer_ack_many(ARRAY['c04', 'c01', 'c02', 'c05', 'nobody', 'c03'],
    ARRAY[:token, :token, :token - 1, :token, :token, :token], ARRAY[40, 10, 20, 50, 60, 1],
    ARRAY[NULL, now() + interval '1 h', NULL, NULL, NULL, NULL], ARRAY[NULL, 2, NULL, NULL, NULL, NULL])
ORDER BY name;
SELECT name, position, attempt, token IS NOT NULL AS held FROM nvent.consumer_list();
SELECT name, position FROM nvent.consumer_ack_many(ARRAY['c03'], ARRAY[:token], ARRAY[1], force => true);
SELECT count(*) FROM nvent.consumer_ack_many('{}', '{}', '{}');
SELECT count(*) FROM nvent.consumer_ack_many(ARRAY['c02', NULL], ARRAY[NULL, 1], ARRAY[9, 9]);
SELECT count(*) FROM nvent.consumer_ack_many(ARRAY['c02'], ARRAY[:token], ARRAY[NULL::bigint]);
SELECT name FROM nvent.consumer_ack_many(ARRAY['c02', 'c02'], ARRAY[:token, :token], ARRAY[20, 20]);
SELECT nvent.consumer_ack_many(ARRAY['c02'], ARRAY[1, 2], ARRAY[20]);
SELECT nvent.consumer_ack_many(ARRAY['c02'], ARRAY[1], ARRAY[20, 21]);
SELECT nvent.consumer_ack_many(ARRAY['c02'], ARRAY[1], ARRAY[20], '{}');
SELECT nvent.consumer_ack_many(ARRAY['c02'], ARRAY[1], ARRAY[20], NULL, '{}');
SELECT nvent.consumer_ack_many(ARRAY['c02'], NULL, ARRAY[20]);
SELECT nvent.consumer_ack_many(NULL, NULL, ARRAY[20], owner => 'x');
SELECT count(*) FROM nvent.consumer_claim(owner => 'me');
SELECT name FROM nvent.consumer_ack_many(ARRAY['c02', 'c03'], NULL, ARRAY[20, 30], owner => 'me') ORDER BY name;
-- Leases of several owners: each by its own, by the one for all, or not.
SELECT fill(4);
SELECT count(*) FROM nvent.consumer_claim(2, owner => 'me');
SELECT count(*) FROM nvent.consumer_claim(2, owner => 'you');
SELECT name, position FROM nvent.consumer_ack_many(ARRAY['c01', 'c02', 'c03', 'c04'], NULL, ARRAY[1, 2, 3, 4],
    owners => ARRAY['you', 'me', 'you', NULL]) ORDER BY name;
SELECT name, position FROM nvent.consumer_ack_many(ARRAY['c01', 'c04'], NULL, ARRAY[1, 4],
    owners => ARRAY['me', NULL], owner => 'you') ORDER BY name;
SELECT nvent.consumer_ack_many(ARRAY['c01'], NULL, ARRAY[1], owners => '{a,b}');

-- Block keeps lease and position, so what was handled is acknowledged
-- after it; block and error stay.
SELECT fill(2);
SELECT token FROM nvent.consumer_claim(1, lease => '1 h') \gset
SELECT nvent.consumer_block('c01', :token, 'broken'), nvent.consumer_block('c01', :token, 'again');
SELECT nvent.consumer_ack('c01', :token, 7);
SELECT name, position, attempt, blocked, error, token FROM nvent.consumer_list(ARRAY['c01']);
SELECT name FROM nvent.consumer_claim();
SELECT nvent.consumer_unblock(ARRAY['c01']);
SELECT name, position, attempt, error FROM nvent.consumer_claim(), LATERAL (SELECT l.error FROM nvent.consumer_list(ARRAY['c01']) l) l;
-- An old holder's acknowledgement after reset and unblock does nothing.
SELECT token FROM nvent.consumer_list(ARRAY['c01']) \gset
SELECT nvent.consumer_block('c01', :token, NULL);
SELECT nvent.consumer_unblock(NULL);
\set VERBOSITY sqlstate
SELECT nvent.consumer_ack('c01', :token, 8);
\set VERBOSITY default
SELECT position FROM nvent.consumer_list(ARRAY['c01']);
SELECT nvent.consumer_block(NULL, 1, 'x');
SELECT nvent.consumer_block('c01', NULL, 'x');
-- Many at once.
SELECT fill(4);
SELECT DISTINCT token FROM nvent.consumer_claim(3, owner => 'me') \gset
SELECT nvent.consumer_block('c02', :token, 'first');
SELECT name, position, attempt FROM nvent.consumer_block_many(ARRAY['c03', 'c02', 'c01', 'c04', 'nobody'],
    ARRAY[:token, :token, :token - 1, :token, :token], ARRAY['e3', 'e2', 'e1', 'e4', 'e'])
ORDER BY name;
SELECT name FROM nvent.consumer_block_many(ARRAY['c01'], NULL, NULL, owner => 'me');
SELECT name, blocked, error FROM nvent.consumer_list();
SELECT nvent.consumer_block_many(ARRAY['c01'], NULL, NULL);
SELECT nvent.consumer_block_many(ARRAY['c01'], ARRAY[1], '{}');
SELECT nvent.consumer_block_many(NULL, NULL, NULL, owner => 'me');
SELECT fill(3);
SELECT count(*) FROM nvent.consumer_claim(1, owner => 'me');
SELECT count(*) FROM nvent.consumer_claim(2, owner => 'you');
SELECT name FROM nvent.consumer_block_many(ARRAY['c01', 'c02', 'c03'], NULL, NULL, ARRAY['me', 'me', NULL], owner => 'you')
ORDER BY name;

-- What is claimed and acknowledged over any number of rounds is each consumer
-- once, and nothing stays behind.
SELECT fill(60);
CREATE TABLE seen (round integer, name text, token bigint);
DO $$
DECLARE
    r integer;
BEGIN
    FOR r IN 1..100 LOOP
        INSERT INTO seen
        SELECT r, c.name, c.token FROM nvent.consumer_claim(r % 5, max_leading => r % 3) AS c;
        PERFORM a.name
        FROM (SELECT array_agg(s.name) AS names, array_agg(s.token) AS tokens,
                     array_agg(1000::bigint) AS uptos
              FROM seen AS s WHERE s.round = r) AS s,
             nvent.consumer_ack_many(s.names, s.tokens, s.uptos) AS a
        WHERE s.names IS NOT NULL;
    END LOOP;
END
$$;
SELECT count(*), count(DISTINCT name) FROM seen;
SELECT with_work, furthest_ahead FROM nvent.consumer_stats();

-- A claim of a lane without work does not walk those of others.  Seen to fail: lane = $2.
DELETE FROM nvent_consumers;
SELECT count(nvent.consumer_subscribe('busy' || i, mark => 1000, lane => 'busy')) FROM generate_series(1, 300) AS i;
SELECT count(*) FROM nvent.consumer_claim(2, lane => 'busy', max_leading => 1);
VACUUM ANALYZE nvent_consumers;
CREATE FUNCTION pg_temp.walked() RETURNS numeric LANGUAGE sql AS $$
    SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_index
    WHERE indrelid = 'nvent_consumers'::regclass AND indexrelid::regclass::text ~ 'position' $$;
BEGIN;
SELECT pg_temp.walked() AS walked \gset
SELECT count(*) FROM nvent.consumer_claim(2, lane => 'idle', max_leading => 1);
SELECT pg_temp.walked() - :walked AS walked;
COMMIT;

DROP TABLE seen;
DROP FUNCTION fill;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
