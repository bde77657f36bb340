
-- What is to be done from time to time, and who does it.  See src/worker/notifier.c,
-- src/worker/maintainer.c and src/worker/maintain.c.

-- Its statements are large, and planned for one execution: compiling them, which
-- cannot be cancelled, takes longer than that.
CREATE FUNCTION nvent.maintain(
    budget integer DEFAULT 1000,
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_maintain'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET jit = off;

COMMENT ON FUNCTION nvent.maintain(integer, text) IS
'Removes rows of expired keys and locks and makes runs of schedules, in one bounded pass.

Call it from time to time, in any number of sessions; nothing else depends on it. It passes over
tables on which the caller lacks SELECT, UPDATE or DELETE, and over rows that others have locked. It
works as the caller, with whom triggers and policies run as with any DELETE of the caller''s; called
by a superuser, as the owner of each store. A key
that expired in this hour may be left to a later pass. Runs are made as by nvent.schedule_run(), for
half of the budget.

A table is left alone, with a warning, when deleting from it would run code with privileges that the
code''s author lacks: a trigger, policy, index, constraint or statistics whose functions, operators
or types belong to a role that is not the caller, a superuser or a member of the caller''s role. So
is a table with a rule, with a trigger for DELETE that has a condition or arguments, with a policy
that reads another table, or with a foreign key that refers to it, whoever calls. The
maintenance process calls it as the store''s owner, and warns once in the server''s log.

Arguments:
  budget: how many rows and runs at most
  store: one store, and no other is touched; NULL for all
Returns:
  how many rows were removed and runs were made
Raises:
  NV009: there is no such store
  22023: budget is negative
Locks:
  the tables, as DELETE does, the rows that it removes, and what nvent.schedule_run() locks, until
    the transaction ends
Example:
  SELECT nvent.maintain();';

CREATE FUNCTION nvent.worker_status(
    OUT preloaded boolean,
    OUT mode text,
    OUT notifier_pid integer,
    OUT maintenance_pid integer,
    OUT has_unsent boolean,
    OUT ring_bytes bigint,
    OUT resyncs bigint,
    OUT waiters integer
) RETURNS record
AS 'MODULE_PATHNAME', 'nvs_worker_status'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.worker_status() IS
'Shows how this database''s processes do, and whether preloading works.

Returns:
  one row; all but the first two is NULL without shared memory
Columns:
  preloaded: whether the server has loaded the library at its start, so that there can be processes
  mode: how an append of this session is announced now, as nvent_store.notify has it: `inline` in
    place of `worker` where no notifier is there and none could be started
  notifier_pid: the process that notifies; NULL when none is running, as none is needed
  maintenance_pid: the process that calls nvent.maintain(); NULL when none is running
  has_unsent: whether there is anything to tell that has not been told, be it only because an
    appender is open
  ring_bytes: bytes that the notifier has yet to take from the ring
  resyncs: how often since the server start something had no room in the ring, or a prepared
    transaction that may have appended was committed, so that all listeners had to read again
  waiters: sessions that wait for events or jobs
Example:
  SELECT * FROM nvent.worker_status();';

-- For who owns or administers a store, see src/store/grant.c.
REVOKE ALL ON FUNCTION
    nvent.maintain
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    nvent.maintain
TO @extowner@ WITH GRANT OPTION;
