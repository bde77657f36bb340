
-- Cron expressions.  See src/schedule/.

CREATE FUNCTION nvent.cron_next(
    expression text,
    time_zone text DEFAULT 'UTC',
    after timestamptz DEFAULT pg_catalog.now()
) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'nvs_cron_next'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.cron_next(text, text, timestamptz) IS
'Tells when a cron expression is due the next time after some point in time.

An expression has five fields with blanks between them, or six, with the second first: second 0 to
59, minute 0 to 59, hour 0 to 23, day of month 1 to 31, month 1 to 12 or `jan` to `dec`, day of week
0 to 7 or `sun` to `sat`, where 0 and 7 are Sunday. Without a second it is second 0. A field is `*`,
a value, a range `a-b`, or a list of these with commas; `/n` takes each n-th value of `*` or of a
range, and `a/n` each n-th from a on. Both fields of days may be `?`, which is `*`. Case does not
matter. A day of month may also be `L`, the last day; `L-n`, n days before it; `nW`, the day from
Monday to Friday of the same month that is nearest to day n; `LW`, the last one of them. A day of
week may also be `a#n`, the n-th a of the month, and `aL`, its last a. In place of the fields
there may be `@hourly`, `@daily`, `@midnight`, `@weekly` (on Sunday), `@monthly`, `@yearly` or
`@annually`.

When neither day of month nor day of week begins with `*` or `?`, a day matches that one of them
matches, as in every cron: `0 0 13 * 5` is each Friday and each 13th. Otherwise it has to match
both.

Where the clocks of the time zone are put forward or back, an expression whose hours are not all 24
is due when the clock shows or passes a time for the first time: a time that is left out is due at
the first instant after it (`30 2 * * *` at 3:00; several such times are due there once), and a time
that comes twice is due the first time only. One whose hours are all 24, as of `*/15 * * * *`, goes
on through both: it is due whenever the clock shows a time that it matches, so in the hour that comes
twice both times, and in one that is left out not.

Arguments:
  expression: at most 1,024 bytes
  time_zone: a name of pg_timezone_names, in any case; no POSIX specification such as UTC+2
  after: a point in time, itself excluded
Returns:
  the first time after it, in whole seconds; NULL beyond the end of timestamps, and for NULL
Raises:
  22023: the expression is none, DETAIL says which field and why; or names only days that none of
    its months has, as `0 0 30 2 *`; there is no such time zone; after is infinite
Example:
  SELECT nvent.cron_next(''30 2 * * *'', ''Europe/Berlin'', ''2026-03-28 12:00 UTC'');
  -- 2026-03-29 01:00:00+00';

CREATE FUNCTION nvent.schedule_preview(
    expression text,
    time_zone text DEFAULT 'UTC',
    after timestamptz DEFAULT pg_catalog.now(),
    max_count integer DEFAULT 10
) RETURNS SETOF timestamptz
AS 'MODULE_PATHNAME', 'nvs_schedule_preview'
LANGUAGE C STABLE STRICT PARALLEL SAFE
ROWS 10;

COMMENT ON FUNCTION nvent.schedule_preview(text, text, timestamptz, integer) IS
'Shows the next times at which a cron expression is due, as nvent.cron_next has them.

Arguments:
  expression: a cron expression
  time_zone: a name of pg_timezone_names
  after: a point in time, itself excluded
  max_count: how many times at most; 0 to 10,000
Returns:
  the times in order; fewer at the end of timestamps; none for NULL
Raises:
  22023: as nvent.cron_next; max_count is not from 0 to 10,000
Example:
  SELECT * FROM nvent.schedule_preview(''0 9 * * mon#1'', ''America/New_York'', max_count => 3);';

-- Schedules.  See src/schedule/schedule.c and src/schedule/run.c.

CREATE FUNCTION nvent.schedule_author() RETURNS trigger
AS 'MODULE_PATHNAME', 'nvs_schedule_author'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.schedule_author() IS
'trigger of a store''s schedules: keeps who wrote each of them';

-- A store's owner has it on the table.
REVOKE ALL ON FUNCTION nvent.schedule_author FROM PUBLIC;
GRANT EXECUTE ON FUNCTION nvent.schedule_author TO @extowner@ WITH GRANT OPTION;

CREATE FUNCTION nvent.schedule_set(
    name text,
    subject text,
    event jsonb,
    cron text DEFAULT NULL,
    every interval DEFAULT NULL,
    at timestamptz DEFAULT NULL,
    time_zone text DEFAULT 'UTC',
    missed text DEFAULT 'once',
    grace interval DEFAULT '1 minute',
    store text DEFAULT NULL
) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'nvs_schedule_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.schedule_set(text, text, jsonb, text, interval, timestamptz, text, text, interval, text) IS
'Has an event appended from time to time: sets a schedule, a row of {store}_scheduler_jobs.

One of cron, every and at says when. Each run appends the event with the fields scheduleName and
scheduledAt, when it was due in milliseconds since 1970. nvent.schedule_run() makes the runs, and
nvent.maintain(), which the maintenance process calls. A schedule that is set again with the same
times, by the role that set it, goes on as it was, paused or not: set it whenever your program starts.
With other times, or by another role, it begins anew.

A run is missed when nobody makes it before the next one is due. It appends to the schedule''s store
alone, and with the rights of its authors: who sets a schedule is its only author, and whoever writes
its row otherwise, as by nvent.schedule_resume() or UPDATE, becomes one besides. Each of them must have
INSERT on the table when the run is made, and no policy of it may restrict him. A run that fails for a
reason that does not pass, as that one, has the schedule be `failed`, with the error, until
nvent.schedule_resume(). Authors are known by their names.

Arguments:
  name: the schedule''s, 1 to 1,024 bytes
  subject: a subject of the store
  event: a JSON object with a type and without an eventId
  cron: an expression as of nvent.cron_next
  every: from one second to 100 years, without months; it is due first when that has passed
  at: a point in time, once
  time_zone: of cron, a name of pg_timezone_names
  missed: `once`: one run stands for all that were missed; `all`: each is made; `skip`: those that
    are later than grace are not
  grace: of `skip`, without months; make it longer than the time between two passes of maintenance
  store: NULL is the default store
Returns:
  when it is due next; NULL for never, as when it was due once and has been run
Raises:
  22023: not one of cron, every and at is given; one of the arguments is none; the subject is of
    another store
  NV004: the text is not a subject
  NV009: there is no such store, or no default store, and nvent_store.auto_create is off
Locks:
  the row of the schedule until the transaction ends
Example:
  SELECT nvent.schedule_set(''nightly'', ''nvent:report:daily'', ''{"type": "wanted"}'',
      cron => ''30 2 * * *'', time_zone => ''Europe/Berlin'');';

CREATE FUNCTION nvent.schedule_job(
    name text,
    queue text,
    job jsonb DEFAULT '{}',
    cron text DEFAULT NULL,
    every interval DEFAULT NULL,
    at timestamptz DEFAULT NULL,
    time_zone text DEFAULT 'UTC',
    missed text DEFAULT 'once',
    grace interval DEFAULT '1 minute',
    store text DEFAULT NULL
) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'nvs_schedule_job'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.schedule_job(text, text, jsonb, text, interval, timestamptz, text, text, interval, text) IS
'Has a job sent from time to time: as nvent.schedule_set, with a queue in place of a subject.

Each run sends one job, whose data has the fields scheduleName and scheduledAt besides its own; none,
where the policy of the queue refuses it. Each author of the schedule must have SELECT, INSERT,
UPDATE and DELETE on the store''s tables of queues, as nvent.store_grant() gives them for "write".

Arguments:
  name: the schedule''s, 1 to 1,024 bytes; events and jobs have them in common
  queue: a queue of the store
  job: an object as of nvent.queue_send_batch; its data must be an object
  cron: an expression as of nvent.cron_next
  every: from one second to 100 years, without months; it is due first when that has passed
  at: a point in time, once
  time_zone: of cron, a name of pg_timezone_names
  missed: `once`, `all` or `skip`
  grace: of `skip`, without months
  store: NULL is the default store
Returns:
  when it is due next; NULL for never, as when it was due once and has been run
Raises:
  22023: not one of cron, every and at is given; one of the arguments is none, or the job could not be sent
  42704: there is no such queue, or queue of dead letters
  NV009: there is no such store
Locks:
  the row of the schedule until the transaction ends
Example:
  SELECT nvent.schedule_job(''digest'', ''emails'', ''{"data": {"kind": "digest"}}'', cron => ''0 7 * * mon'',
      time_zone => ''Europe/Berlin'');';

CREATE FUNCTION nvent.schedule_delete(
    name text,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_schedule_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.schedule_delete(text, text) IS
'Deletes a schedule.

Arguments:
  name: the schedule
  store: NULL is the default store
Returns:
  true when it was deleted, false when there was none
Raises:
  NV009: there is no such store
Locks:
  the row of the schedule until the transaction ends; waits for a run of it that is open
Example:
  SELECT nvent.schedule_delete(''nightly'');';

CREATE FUNCTION nvent.schedule_pause(
    name text,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_schedule_pause'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.schedule_pause(text, text) IS
'Has a schedule make no runs until nvent.schedule_resume().

Arguments:
  name: the schedule
  store: NULL is the default store
Returns:
  true when it was paused, false when it was before or there is none
Raises:
  NV009: there is no such store
Locks:
  the row of the schedule until the transaction ends; waits for a run of it that is open
Example:
  SELECT nvent.schedule_pause(''nightly'');';

CREATE FUNCTION nvent.schedule_resume(
    name text,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_schedule_resume'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.schedule_resume(text, text) IS
'Has a schedule that is paused or failed make runs again, from now on.

What was due meanwhile is not made up for, unless it is due only once.

Arguments:
  name: the schedule
  store: NULL is the default store
Returns:
  true when it makes runs again, false when it did before or there is none
Raises:
  22023: a row that was written by hand has no valid times
  NV009: there is no such store
Locks:
  the row of the schedule until the transaction ends; waits for a run of it that is open
Example:
  SELECT nvent.schedule_resume(''nightly'');';

CREATE FUNCTION nvent.schedule_list(
    store text DEFAULT NULL,
    OUT name text,
    OUT cron text,
    OUT every interval,
    OUT at timestamptz,
    OUT time_zone text,
    OUT subject text,
    OUT event jsonb,
    OUT missed text,
    OUT grace interval,
    OUT enabled boolean,
    OUT status text,
    OUT last_run_at timestamptz,
    OUT next_run_at timestamptz,
    OUT error text,
    OUT queue text,
    OUT job jsonb,
    OUT authors text[]
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_schedule_list'
LANGUAGE C STABLE PARALLEL UNSAFE
ROWS 100;

COMMENT ON FUNCTION nvent.schedule_list(text) IS
'Lists the schedules of a store, by name.

Arguments:
  store: NULL is the default store
Returns:
  a row for each; none when there is no default store
Columns:
  name: the schedule
  cron: its cron expression, or NULL
  every: its interval, or NULL
  at: when it is due, if it is once; else NULL
  time_zone: of cron, else NULL
  subject: to which runs append; NULL for a job
  event: what they append
  missed: `skip`, `once` or `all`
  grace: of `skip`
  enabled: false when it is paused
  status: `pending`; `completed` when it is due never more; `failed` when a run failed
  last_run_at: when it was run last
  next_run_at: when it is due next
  error: of a run that failed, or NULL
  queue: to which runs send; NULL for an event
  job: what they send
  authors: the roles that wrote the schedule; NULL when nobody knows, and then it is not run
Raises:
  NV009: there is no such store
Example:
  SELECT name, next_run_at FROM nvent.schedule_list();';

CREATE FUNCTION nvent.schedule_run(
    store text DEFAULT NULL,
    max_count integer DEFAULT 100
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_schedule_run'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.schedule_run(text, integer) IS
'Makes the runs of schedules that are due by the clock, in any number of sessions at once.

Those that were due first are made first. Each is made once: it is the caller''s transaction that
appends, and when that rolls back, the run is made again. Rows that others have locked are passed
over. nvent.maintain() does the same, for half of its budget.

It works as the caller, and for a superuser as the store''s owner, who needs SELECT and UPDATE on {store}_scheduler_jobs, without which it does
nothing, and the right to append or send, which the authors of the schedule need as well. A run that fails is undone and a warning, and keeps no other from
its turn; it is made later when a lock was not to be had. With code of others behind the tables it
does as nvent.maintain().

Arguments:
  store: NULL is the default store
  max_count: how many runs at most; 0 to 10,000
Returns:
  how many runs were made
Raises:
  22023: max_count is not from 0 to 10,000
  40001: in REPEATABLE READ or SERIALIZABLE, when a schedule was changed since the snapshot
  42P16: {store}_scheduler_jobs lacks a trigger that keeps who writes schedules, or a role besides
    its owner may make triggers on it
  NV009: there is no such store
Locks:
  the rows of the schedules that are due, and what nvent.stream_append() locks, until the transaction
    ends
Example:
  SELECT nvent.schedule_run();';
