-- What calls find: two stores with data, tables of users with routes to them,
-- and triggers that run statements.  It is run again when the extension has been
-- dropped.

CREATE EXTENSION nvent_store;
SELECT nvent.store_create('nvent', 'public');
CREATE SCHEMA IF NOT EXISTS other;
SELECT nvent.store_create('other', 'other');

DROP SCHEMA IF EXISTS calls CASCADE;
CREATE SCHEMA calls;
DO $$ BEGIN CREATE ROLE calls_owner; EXCEPTION WHEN duplicate_object THEN END $$;
DO $$ BEGIN CREATE ROLE calls_app; EXCEPTION WHEN duplicate_object THEN END $$;
DO $$ BEGIN CREATE ROLE calls_stranger; EXCEPTION WHEN duplicate_object THEN END $$;
CREATE TYPE calls.mood AS ENUM ('happy', 'sad');
CREATE DOMAIN calls.short AS text CHECK (length(VALUE) < 4);
CREATE TYPE calls.composite AS (a integer, b text);

-- Events with a column for the subject, in partitions, and by hand.
CREATE TABLE public.orders (id bigint DEFAULT nvent.next_position('nvent'), ts bigint, type text, order_id uuid, version bigint, meta jsonb, UNIQUE (order_id, version));
SELECT nvent.route_add('stream', 'uuid:{order_id}', 'public.orders');
CREATE TABLE public.parted (id bigint DEFAULT nvent.next_position('nvent'), ts bigint, type text, subject text, meta jsonb) PARTITION BY HASH (type);
CREATE TABLE public.parted_0 PARTITION OF public.parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT nvent.route_add('stream', 'part:{subject...}', 'public.parted');

-- Entries with columns of all kinds.
CREATE TABLE public.typed (k text, id text, score double precision, version bigint, extra jsonb, amount numeric(4, 1), day date, mood calls.mood, short calls.short, tags text[], ref uuid, pair calls.composite, started_at bigint, twice bigint GENERATED ALWAYS AS (version * 2) STORED, UNIQUE (k, id));
SELECT nvent.route_add('entry', 'typed:{k}', 'public.typed');

CREATE VIEW public.a_view AS SELECT 1::bigint AS id, 2::bigint AS ts, 'a'::text AS type, 'a:1'::text AS subject;

-- Tables whose rows are statements: run when they come, and at the commit.
CREATE TABLE calls.run (statement text);
CREATE TABLE calls.run_at_commit (statement text);
CREATE FUNCTION calls.run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE NEW.statement; RETURN NEW; END $$;
CREATE TRIGGER run BEFORE INSERT ON calls.run FOR EACH ROW EXECUTE FUNCTION calls.run();

-- A server with assertions ends when a subtransaction is rolled back within a COMMIT, as by
-- a block of PL/pgSQL with EXCEPTION in a deferred trigger: RollbackAndReleaseCurrentSubTransaction() asserts that
-- what is around it does not end.  maintain() and schedule_run() roll back some after an error, and the calls that look
-- for a job again some that found it gone.
CREATE FUNCTION calls.run_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF current_setting('debug_assertions') = 'off' OR concat(NEW.statement, current_setting('calls.nested', true)) !~ 'maintain|schedule_run|queue_(cancel|delete|update|upsert)' THEN EXECUTE NEW.statement; END IF; RETURN NEW; END $$;
CREATE CONSTRAINT TRIGGER run AFTER INSERT ON calls.run_at_commit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION calls.run_at_commit();

-- And one inside of what a call does to a store's table.
CREATE FUNCTION calls.nested() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF pg_trigger_depth() < 3 AND current_setting('calls.nested', true) <> '' THEN EXECUTE current_setting('calls.nested'); END IF; RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER nested BEFORE INSERT OR UPDATE OR DELETE ON public.nvent_kv FOR EACH ROW EXECUTE FUNCTION calls.nested();
CREATE TRIGGER nested BEFORE INSERT OR UPDATE OR DELETE ON public.nvent_entries FOR EACH ROW EXECUTE FUNCTION calls.nested();

SELECT nvent.stream_create_table('plain', versioned => false);
SELECT nvent.stream_append(s, '{"type": "a", "data": {"a": 1}}') FROM unnest(ARRAY['a:1', 'a:2', 'b:x:1', 'plain:1', 'c', 'other:a:1', 'part:1']) s;
CREATE TRIGGER nested BEFORE INSERT OR UPDATE OR DELETE ON public.nvent_stream_a FOR EACH ROW EXECUTE FUNCTION calls.nested();
SELECT nvent.entry_add(k, 'i' || i, i, '{"n": 1, "stats": {"runs": 2}}') FROM unnest(ARRAY['k:1', 'k:2', 'typed:t1', 'nvent:flows', 'nvent:triggers']) k, generate_series(0, 4) i;
INSERT INTO public.typed (k) SELECT 't' || i FROM generate_series(0, 2) i;
INSERT INTO public.orders (order_id) SELECT md5(i::text)::uuid FROM generate_series(0, 2) i;
SELECT nvent.kv_set('k:' || i, to_jsonb(i)) FROM generate_series(0, 8) i;
SELECT nvent.consumer_subscribe('n' || i, 'a:>') FROM generate_series(0, 8) i;
SELECT nvent.queue_create('dead', keep_ended => '0');
SELECT nvent.queue_create('jobs', retry_limit => 1, dead_letter => 'dead', keep_ended => '1 second'), nvent.queue_create('unique', 'exclusive', lease => '10 milliseconds');
SELECT nvent.queue_create('fifo', 'key_strict_fifo', retry_limit => 0), nvent.queue_create('single', 'singleton'), nvent.queue_create('stately', 'stately'), nvent.queue_create('limited', group_limit => 2);
SELECT nvent.queue_create('rated', rate_limit => 5, rate_interval => '20 milliseconds'), nvent.queue_create('grouped', 'singleton', group_rate_limit => 2, group_rate_interval => '10 milliseconds');
SELECT nvent.queue_send(q, group_name => 'g' || i % 3) FROM unnest('{limited,rated,grouped}'::text[]) q, generate_series(0, 8) i;
SELECT nvent.queue_send_batch(q, array_fill('{"data": {"a": 1}}'::jsonb, ARRAY[20])) FROM unnest('{jobs,unique}'::text[]) q;
SELECT nvent.queue_send(q, start_after => '1 second', key => 'k:' || i) FROM unnest('{jobs,unique}'::text[]) q, generate_series(0, 8) i;
CREATE TRIGGER nested BEFORE INSERT OR UPDATE OR DELETE ON public.nvent_job_runs FOR EACH ROW EXECUTE FUNCTION calls.nested();
CREATE TRIGGER nested BEFORE INSERT OR UPDATE OR DELETE ON public.nvent_jobs FOR EACH ROW EXECUTE FUNCTION calls.nested();
SELECT nvent.schedule_set('n' || i, 'a:1', '{"type": "a"}', every => '1 second') FROM generate_series(0, 4) i;
SELECT nvent.position_publish();
SELECT nvent.store_grant(r, 'write', s) FROM unnest(ARRAY['calls_app', 'calls_owner']::regrole[]) r, unnest(ARRAY['nvent', 'other']) s;
SELECT nvent.store_grant('calls_owner', 'admin', 'other');
GRANT USAGE ON SCHEMA public, other, calls TO calls_owner, calls_app, calls_stranger;
GRANT ALL ON ALL TABLES IN SCHEMA calls TO PUBLIC;
