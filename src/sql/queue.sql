
-- Queues of jobs.  See src/queue/queue.c.

CREATE FUNCTION nvent.queue_changed() RETURNS trigger
AS 'MODULE_PATHNAME', 'nvs_queue_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_changed() IS
'trigger of a store''s tables of queues: has every session read them again after commit';

CREATE FUNCTION nvent.queue_counted() RETURNS trigger
AS 'MODULE_PATHNAME', 'nvs_queue_counted'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_counted() IS
'trigger of rows of a store''s tables of jobs: has nvent.queue_stats know of each change';

CREATE FUNCTION nvent.queue_policy_changed() RETURNS trigger
AS 'MODULE_PATHNAME', 'nvs_queue_policy_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_policy_changed() IS
'trigger of a store''s queues: refuses that the policy of one is changed';

CREATE FUNCTION nvent.queue_binding_check() RETURNS trigger
AS 'MODULE_PATHNAME', 'nvs_queue_binding_check'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_binding_check() IS
'trigger of a store''s bindings of queues: refuses what is no pattern, and all but the owner''s to what is appended';

CREATE FUNCTION nvent.queue_create(
    queue text,
    policy text DEFAULT 'standard',
    priority integer DEFAULT 0,
    lease interval DEFAULT '15 minutes',
    max_run interval DEFAULT NULL,
    retry_limit integer DEFAULT 2,
    retry_delay interval DEFAULT '0',
    retry_backoff boolean DEFAULT false,
    retry_delay_max interval DEFAULT NULL,
    dead_letter text DEFAULT NULL,
    keep_queued interval DEFAULT '14 days',
    keep_ended interval DEFAULT '7 days',
    notify text DEFAULT 'off',
    group_limit integer DEFAULT NULL,
    rate_limit integer DEFAULT NULL,
    rate_interval interval DEFAULT NULL,
    group_rate_limit integer DEFAULT NULL,
    group_rate_interval interval DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_create(
    text, text, integer, interval, interval, integer, interval, boolean, interval, text, interval,
    interval, text, integer, integer, interval, integer, interval, text
) IS
'Makes a queue.

One that is there stays as it is; change it by UPDATE of its row in {store}_queues, whose columns have
the names of these arguments; but for policy, group_limit and group_rate_limit, which it keeps. What is
said of retries and leases holds for jobs that say nothing else.

By the policy, a job is not sent, or not fetched, while another one has its key. Jobs without a key
count as having one and the same. Dead letters are put into the queue whatever their keys are, and keep
nobody from sending.

Where one job of a key is active at a time, the others wait, and nobody else waits for them. In a stately
queue a job fails for good, whatever retries it has left, when another of its key already waits to be
tried again. In a key_strict_fifo queue jobs of a key are fetched one after another, those of a higher
priority first, and of one priority in the order in which they were sent; only what is completed,
cancelled or deleted lets the next one go: one that waits to be tried again does not, nor one that has
failed for good, see nvent.queue_blocked. A job that is to start later takes its place when it can start.

With a group_limit, only so many jobs of a group are active at a time, exactly; the group is what
nvent.queue_send says, and jobs that have none are not limited. Others of the group wait, and nobody
else waits for them.

With a rate_limit, no more jobs begin in any time as long as rate_interval, exactly, whoever fetches; each
attempt counts, when it begins and whatever becomes of it. What is not used is not saved up. With a
group_rate_limit, the same holds for each group, and nobody else waits for those that do.

Arguments:
  queue: text of 1 to 255 bytes
  policy: ''standard'' for any number of jobs of a key; ''short'' for one whose state is created, which
    is until it is fetched for the first time; ''exclusive'' for one that has not ended, so is not
    completed, cancelled, or failed for good; ''singleton'' for one that is active; ''stately'' for one
    of each state up to there, created, retry and active; ''key_strict_fifo'' for one after another
  priority: of jobs that have none of their own; higher goes first
  lease: how long a worker has a job, from when it is fetched or touched
  max_run: how long one attempt may last, however often it is touched; NULL for no limit
  retry_limit: how often a job that failed, or whose lease ran out, is tried again
  retry_delay: how long a job that failed waits before that
  retry_backoff: whether that is doubled each time, from 1 second at least, and then anything from
    half of it to all of it
  retry_delay_max: the longest that it waits; NULL for no limit
  dead_letter: queue that gets a copy of jobs that failed for good; NULL for none
  keep_queued: how long jobs may be queued before nvent.maintain deletes them; NULL for ever
  keep_ended: how long jobs that have ended are kept; 0 deletes them when they are completed, NULL
    keeps them for ever
  notify: whether sessions that LISTEN on {store}_events are told of jobs that can be fetched, once for
    each transaction, by {"queue": name}: ''worker'' (inline where there is none), ''inline'', ''off'',
    or NULL for what nvent_store.notify says. Who waits by nvent.queue_await needs none of it, and what
    comes due later is not told
  group_limit: how many jobs of a group may be active at a time, up to 10,000; NULL for any number
  rate_limit: how many jobs may begin in a rate_interval, up to 10,000; NULL for any number
  rate_interval: up to 100 years, with months of 30 days; NULL where there is no rate_limit
  group_rate_limit: how many jobs of a group may begin in a group_rate_interval; NULL for any number
  group_rate_interval: the same for it
  store: the store; NULL is the default store
Returns:
  true when it was made, false when it was there
Raises:
  22004: queue, policy, priority, lease or something of retries is NULL
  22023: the name is empty or too long, there is no such policy or mode, lease or max_run is not positive,
    retry_limit is negative, a limit is out of range, or one of a rate and its interval is there without
    the other
  42704: there is no queue of the name dead_letter
  NV009: there is no such store
Locks:
  in every session, the queues of the store are read again after commit
Example:
  SELECT nvent.queue_create(''emails'', retry_limit => 5, retry_backoff => true);';

CREATE FUNCTION nvent.queue_pause(queue text, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_pause'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_pause(text, text) IS
'Has no more jobs fetched from a queue; jobs can be sent, and those that are active go on.

Arguments:
  queue: the queue
  store: the store; NULL is the default store
Returns:
  true when it was paused, false when it had been before
Raises:
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the queue until the transaction ends
Example:
  SELECT nvent.queue_pause(''emails'');';

CREATE FUNCTION nvent.queue_unpause(queue text, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_unpause'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_unpause(text, text) IS
'Has jobs fetched again from a queue that was paused.

Arguments:
  queue: the queue
  store: the store; NULL is the default store
Returns:
  true when it goes on, false when it was not paused
Raises:
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the queue until the transaction ends
Example:
  SELECT nvent.queue_unpause(''emails'');';

CREATE FUNCTION nvent.queue_purge(queue text, store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_queue_purge'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_purge(text, text) IS
'Deletes the jobs of a queue that are queued: ready, deferred, or waiting to be tried again or for others.

Jobs that others are just fetching or changing are left out, and so are active ones.

Arguments:
  queue: the queue
  store: the store; NULL is the default store
Returns:
  how many were deleted
Raises:
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the rows of the jobs until the transaction ends
Example:
  SELECT nvent.queue_purge(''emails'');';

CREATE FUNCTION nvent.queue_drop(queue text, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_drop'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_drop(text, text) IS
'Drops a queue with all of its jobs.

Jobs of others whose dead letter queue it is stay where they are when they fail, with a warning.

Arguments:
  queue: the queue
  store: the store; NULL is the default store
Returns:
  true when it was dropped, false when there is none
Raises:
  NV009: there is no such store
Locks:
  the rows of its jobs until the transaction ends
Example:
  SELECT nvent.queue_drop(''emails'');';

CREATE FUNCTION nvent.queue_list(
    queue text DEFAULT NULL,
    store text DEFAULT NULL,
    OUT queue text,
    OUT policy text,
    OUT priority integer,
    OUT lease interval,
    OUT max_run interval,
    OUT retry_limit integer,
    OUT retry_delay interval,
    OUT retry_backoff boolean,
    OUT retry_delay_max interval,
    OUT dead_letter text,
    OUT keep_queued interval,
    OUT keep_ended interval,
    OUT notify text,
    OUT group_limit integer,
    OUT rate_limit integer,
    OUT rate_interval interval,
    OUT group_rate_limit integer,
    OUT group_rate_interval interval,
    OUT paused_at timestamptz,
    OUT unlogged boolean,
    OUT created_at timestamptz,
    OUT updated_at timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_list'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_list(text, text) IS
'Lists queues with what is said of them.

They are what the caller may read of {store}_queues. How many jobs they have tells nvent.queue_stats, what
they are bound to nvent.queue_bindings.

Arguments:
  queue: the queue; NULL for all
  store: the store; NULL is the default store
Returns:
  a row for each queue, by its name; none when there is none
Columns:
  queue: its name
  policy: this and all others up to group_rate_interval as they were given to nvent.queue_create, or set since
  priority: of jobs that have none of their own
  lease: how long a worker has a job
  max_run: how long one attempt may last; NULL for no limit
  retry_limit: how often a job is tried again
  retry_delay: how long it waits before that
  retry_backoff: whether that is doubled each time
  retry_delay_max: the longest that it waits; NULL for no limit
  dead_letter: queue that gets a copy of jobs that failed for good; NULL for none
  keep_queued: how long jobs may be queued; NULL for ever
  keep_ended: how long jobs that have ended are kept; NULL for ever
  notify: how sessions that listen are told of jobs; NULL is for what nvent_store.notify says
  group_limit: how many jobs of a group may be active; NULL for any number
  rate_limit: how many jobs may begin in a rate_interval; NULL for any number
  rate_interval: the same for it
  group_rate_limit: how many of a group may begin in a group_rate_interval; NULL for any number
  group_rate_interval: the same for it
  paused_at: since when it is paused; NULL when it is not
  unlogged: whether a crash loses its jobs, see nvent.queue_set_unlogged
  created_at: when it was made
  updated_at: when it was made, paused or unpaused last
Raises:
  NV009: there is no such store
Example:
  SELECT queue, policy, retry_limit, paused_at FROM nvent.queue_list();';

CREATE FUNCTION nvent.queue_set_unlogged(
    unlogged boolean DEFAULT true,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_set_unlogged'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_set_unlogged(boolean, text) IS
'Has the jobs of all queues of a store not be written to the write-ahead log: they are cheaper, and a
crash loses them.

After a crash, or where a backup of the server''s files is restored, the queues of the store are there, as
are bindings and schedules, and they are empty: no job is left, nor a key, a slot or a flow, and none that
has ended. That holds for the job of an event that is still there, too. A server that is stopped in order
keeps them. On a standby jobs cannot be read, and when that is promoted there are none. pg_dump on the
primary has them, unless told --no-unlogged-table-data. Use a store of its own for queues that may be
lost, beside one for those that may not.

Jobs that are there stay, in either direction; the tables are written anew.

Arguments:
  unlogged: false has them be written to the log again
  store: the store; NULL is the default store
Returns:
  true when it was changed, false when it was so
Raises:
  22004: unlogged is NULL
  42501: the caller is not the store''s owner
  42P01: the store has no queues, as its layout is an older one
  NV009: there is no such store
Locks:
  the store, and its tables of queues and jobs against everybody, until the transaction ends
Example:
  SELECT nvent.queue_set_unlogged();';

CREATE FUNCTION nvent.queue_send(
    queue text,
    data jsonb DEFAULT NULL,
    priority integer DEFAULT NULL,
    key text DEFAULT NULL,
    start_after interval DEFAULT NULL,
    start_at timestamptz DEFAULT NULL,
    lease interval DEFAULT NULL,
    max_run interval DEFAULT NULL,
    retry_limit integer DEFAULT NULL,
    retry_delay interval DEFAULT NULL,
    retry_backoff boolean DEFAULT NULL,
    retry_delay_max interval DEFAULT NULL,
    dead_letter text DEFAULT NULL,
    throttle interval DEFAULT NULL,
    debounce interval DEFAULT NULL,
    group_name text DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_queue_send'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_send(
    text, jsonb, integer, text, interval, timestamptz, interval, interval, integer, interval, boolean,
    interval, text, interval, interval, text, text
) IS
'Sends a job: it is there when the transaction commits, with all else that this wrote.

Of what is NULL the queue''s own setting holds, see nvent.queue_create. In a queue whose policy is short,
exclusive or stately, the job is not sent while another has its key. Whether that is so may be up to another
transaction, which sends, fetches or settles that job; then it is waited for, and what it did counts
once it commits. The other job can begin before this transaction commits: it does not see what this one
wrote. Commit first, and send then, where that matters.

A throttled job takes a slot of time, and is not sent when it is taken: in each slot there is one job of a
key, and jobs without a key count as having one and the same. Slots of one length follow one another since
1970, in UTC. However soon the job is completed or deleted, the slot stays taken; when it is cancelled,
the slot is free.

Arguments:
  queue: the queue
  data: what the worker gets; NULL for nothing
  priority: higher goes first
  key: what the job is about, of 1 to 1,000 bytes, by which nvent.queue_find finds it; NULL for none
  start_after: how long it waits before it can be fetched, from now
  start_at: when it can be fetched; not beside start_after
  lease: as in nvent.queue_create, like all that follow
  max_run: the longest that an attempt may last
  retry_limit: how often it is tried again
  retry_delay: how long it waits before that
  retry_backoff: whether that is doubled
  retry_delay_max: the longest that it waits
  dead_letter: queue that gets a copy when it failed for good
  throttle: length of the slot that the job takes, up to 100 years; NULL for none
  debounce: the same; when the slot is taken, it takes the next one, and starts when that begins
  group_name: of 1 to 1,000 bytes, which group it is of where the queue has limits of these; NULL for none
  store: the store; NULL is the default store
Returns:
  the id of the job, a position as those of events are; NULL when another has its key or its slot
Raises:
  42704: there is no such queue, or none of the name dead_letter
  22023: start_after and start_at are both there, or throttle and debounce; the key or group_name is empty
    or too long, or the key missing where the policy is key_strict_fifo; lease, max_run, throttle or debounce is not
    positive, or one of the last two has months; or retry_limit is negative
  40001: in REPEATABLE READ or SERIALIZABLE, when the key or the slot was taken since the snapshot
  27000: a trigger or rule of its tables keeps a job back, or changes its id
  NV009: there is no such store
Locks:
  the key and the slot until the transaction ends, if they are taken: others that want them wait; and the
  first job of a priority, for which others that send the first one wait
Example:
  SELECT nvent.queue_send(''emails'', ''{"to": "ada@example.com"}'', start_after => ''5 minutes'');';

CREATE FUNCTION nvent.queue_send_batch(
    queue text,
    jobs jsonb[],
    store text DEFAULT NULL
) RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'nvs_queue_send_batch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_send_batch(text, jsonb[], text) IS
'Sends many jobs, all or none; but for those whose keys or slots others have, as nvent.queue_send says,
or earlier ones of the call.

Arguments:
  queue: the queue
  jobs: at most 100,000 objects with the members data, key, priority, startAfter, startAt, lease,
    maxRun, retryLimit, retryDelay, retryBackoff, retryDelayMax, deadLetter, throttle, debounce and
    group, none of which is needed; a time is a string, an interval a string or a number of seconds
  store: the store; NULL is the default store
Returns:
  the ids of the jobs, in their order, in which they will also be fetched; NULL in the place of one
  that was not sent
Raises:
  42704: there is no such queue
  40001: in REPEATABLE READ or SERIALIZABLE, when a key was taken since the snapshot
  27000: a trigger or rule of its tables keeps a job back, or changes its id
  22004: a job is NULL
  22023: a job is not an object, has another member or one that is out of range, or startAfter and startAt
  54000: there are too many jobs
  NV009: there is no such store
Locks:
  as nvent.queue_send, keys in their order
Example:
  SELECT nvent.queue_send_batch(''emails'', ARRAY[''{"data": 1}'', ''{"data": 2, "priority": 10}'']::jsonb[]);';

CREATE FUNCTION nvent.queue_bind(
    queue text,
    pattern text,
    on_append boolean DEFAULT false,
    types text[] DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_bind'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_bind(text, text, boolean, text[], text) IS
'Binds a queue to a pattern: what is published for a subject that matches comes to it, see
nvent.queue_publish; or, with on_append, what is appended to a stream whose subject matches.

With on_append each event that nvent.stream_append, nvent.stream_append_batch, nvent.stream_append_many or
a schedule appends makes a job in the same transaction: both are there when it commits, or neither is.
The data of the job is the record of the event, as nvent.stream_read has it, with its subject, its
position `id`, type and data, but without `pii`, which may have to be erased. Its key is the subject,
which has to be of at most 1,000 bytes then; all else is as the queue has it, and where its policy allows
no more jobs of a key, there is no job. Jobs of one call are in the order of its events, and so are those
of one stream that has versions. Events that are restored, that INSERT or COPY writes, or a function that
truncates or closes a stream, make none; nor does an append that is repeated by its event ids.

The job is sent as who appends, so he needs the right to send to the queue, as nvent.store_grant gives
it to who writes; else the append fails. Appends that begin when this has committed make jobs; one that
is under way may or may not.

A queue that several of its patterns match gets one job. A binding is a row of {store}_queue_bindings, and
goes with its queue.

Arguments:
  queue: the queue
  pattern: of subjects, as everywhere; for on_append, of subjects in the store
  on_append: whether it is about events that are appended, and not about what is published; only the
    owner of the store may say so
  types: of the events, with on_append; NULL for all. Another call sets them anew
  store: the store; NULL is the default store
Returns:
  true when that was new, false when it was so
Raises:
  22004: queue, pattern or on_append is NULL
  22023: types are empty, or there without on_append; or the pattern is one of another store
  42501: with on_append, when the caller does not own the store
  42704: there is no such queue
  NV005: the pattern is not valid
  NV009: there is no such store
Locks:
  the row of the queue against being dropped, until the transaction ends; in every session, the
  bindings of the store are read again after commit
Example:
  SELECT nvent.queue_bind(''emails'', ''user:*:created'');';

CREATE FUNCTION nvent.queue_unbind(
    queue text,
    pattern text,
    on_append boolean DEFAULT false,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_unbind'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_unbind(text, text, boolean, text) IS
'Takes a binding back; jobs that it made stay.

Arguments:
  queue: the queue
  pattern: as it was given to nvent.queue_bind
  on_append: the same
  store: the store; NULL is the default store
Returns:
  true when it was taken back, false when there is none
Raises:
  22004: queue, pattern or on_append is NULL
  42704: there is no such queue
  NV009: there is no such store
Locks:
  as nvent.queue_bind
Example:
  SELECT nvent.queue_unbind(''emails'', ''user:*:created'');';

CREATE FUNCTION nvent.queue_bindings(
    queue text DEFAULT NULL,
    store text DEFAULT NULL,
    OUT queue_name text,
    OUT pattern text,
    OUT on_append boolean,
    OUT types text[],
    OUT created_at timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_bindings'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_bindings(text, text) IS
'Lists what queues are bound to.

Arguments:
  queue: the queue; NULL for all
  store: the store; NULL is the default store
Returns:
  a row for each binding, by name and pattern
Columns:
  queue_name: the queue
  pattern: what it is bound to
  on_append: whether by events that are appended
  types: of these events; NULL for all
  created_at: since when
Raises:
  NV009: there is no such store
Example:
  SELECT queue_name, pattern FROM nvent.queue_bindings();';

CREATE FUNCTION nvent.queue_publish(
    subject text,
    data jsonb DEFAULT NULL,
    priority integer DEFAULT NULL,
    key text DEFAULT NULL,
    start_after interval DEFAULT NULL,
    start_at timestamptz DEFAULT NULL,
    lease interval DEFAULT NULL,
    max_run interval DEFAULT NULL,
    retry_limit integer DEFAULT NULL,
    retry_delay interval DEFAULT NULL,
    retry_backoff boolean DEFAULT NULL,
    retry_delay_max interval DEFAULT NULL,
    dead_letter text DEFAULT NULL,
    throttle interval DEFAULT NULL,
    debounce interval DEFAULT NULL,
    store text DEFAULT NULL,
    OUT queue text,
    OUT id bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_publish'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_publish(
    text, jsonb, integer, text, interval, timestamptz, interval, interval, integer, interval, boolean,
    interval, text, interval, interval, text
) IS
'Sends a job to each queue that is bound to a subject by nvent.queue_bind, without on_append; all or none.

Who publishes needs the right to send to these queues. One that a policy hides from him gets nothing.

Arguments:
  subject: what it is about, which patterns are matched with; 1 to 1,024 bytes
  data: what the workers get; NULL for nothing
  priority: as in nvent.queue_send, for each of the jobs, like all that follow
  key: what the jobs are about
  start_after: how long they wait before they can be fetched
  start_at: when they can be fetched
  lease: how long a worker has one
  max_run: the longest that an attempt may last
  retry_limit: how often one is tried again
  retry_delay: how long it waits before that
  retry_backoff: whether that is doubled
  retry_delay_max: the longest that it waits
  dead_letter: queue that gets a copy of one that failed for good
  throttle: length of the slot that it takes in its queue
  debounce: the same, or the next one
  store: whose queues; NULL is the default store
Returns:
  a row for each of these queues; none when there is no such queue
Columns:
  queue: a queue that is bound to the subject
  id: of its job; NULL when another has its key or its slot
Raises:
  22004: subject is NULL
  22023: an argument is one that nvent.queue_send does not take, or a key is missing where the policy
    of a queue is key_strict_fifo
  27000: as nvent.queue_send
  40001: as nvent.queue_send
  42501: the caller may not send to a queue
  42704: there is no queue of the name dead_letter
  NV004: the subject is not valid
  NV009: there is no such store
Locks:
  as nvent.queue_send, for one queue after another in the order in which they were made
Example:
  SELECT * FROM nvent.queue_publish(''user:17:created'', ''{"id": 17}'');';

CREATE FUNCTION nvent.queue_flow(
    jobs jsonb[],
    store text DEFAULT NULL
) RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'nvs_queue_flow'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_flow(jsonb[], text) IS
'Sends jobs of which some wait for others, in one or several queues: a flow, all or none.

A job that waits for others, its parents, can be fetched when all of them are completed, from the
moment on at which the transaction commits that completes the last one; not before its startAfter or
startAt. What becomes of it when a parent ends otherwise, that is fails for good, or is cancelled or
deleted, is up to its onFailure. Until then its state is `waiting`, and it is kept however long that
lasts, as are its parents. nvent.queue_parents shows how these ended, and what they left.

One that was cancelled, or failed, for a parent, is run by nvent.queue_resume or nvent.queue_retry
whatever its parents did then. Where a parent is tried again by them, children that still wait do so
for it.

Arguments:
  jobs: at most 100,000 objects with the members of nvent.queue_send_batch, and queue: the queue, which
    each must have; name: text of 1 to 255 bytes, by which those behind it in this array name it; after:
    the name of a job before it, or an array of such names, for which it waits; onFailure: `cancel`,
    which is meant without it, to be cancelled when a parent ends in another way than completed; `fail`
    to fail for good, without a dead letter; `run` to be run nonetheless; `wait` until somebody has the
    parent be completed, and to be cancelled when it is deleted
  store: the store; NULL is the default store
Returns:
  the ids of the jobs, in their order
Raises:
  42704: there is no such queue
  23505: the policy of a queue does not allow one of the jobs, as another has its key
  27000: a trigger or rule of its tables keeps a job back, or changes its id
  22004: a job is NULL
  22023: a job is not an object, or has another member, or one that is out of range; a job waits for
    none that is before it; two have the same name
  54000: there are too many jobs
  NV009: there is no such store
Locks:
  as nvent.queue_send, keys and slots queue by queue in the order in which these were made. Whoever ends
  a parent, by completing, failing, cancelling or deleting it, locks its children that wait until the
  transaction ends, in the order of their ids; who ends another parent of one of them waits for that. He
  needs the rights of who fetches, also on the children''s queues
Example:
  SELECT nvent.queue_flow(ARRAY[''{"name": "fetch", "queue": "emails"}'',
      ''{"name": "resize", "queue": "emails", "after": "fetch"}'',
      ''{"queue": "emails", "after": ["fetch", "resize"], "onFailure": "run"}'']::jsonb[]);';

CREATE FUNCTION nvent.queue_fetch(
    queue text,
    max_count integer DEFAULT 1,
    worker text DEFAULT NULL,
    store text DEFAULT NULL,
    OUT id bigint,
    OUT attempt integer,
    OUT data jsonb,
    OUT priority integer,
    OUT retries integer,
    OUT created_at timestamptz,
    OUT lease_until timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_fetch'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_fetch(text, integer, text, text) IS
'Leases jobs to a worker: those of the highest priority, and of these the oldest.

Commit at once: others see from then on that the jobs are taken. When the transaction is rolled back
it is as if they had never been fetched. Jobs that another transaction is just fetching are passed
over, never waited for. A lease that has run out is the end of its attempt.

Where the policy of the queue is about jobs that are active, or it has a limit, at most 500 are fetched
at once, and jobs whose keys or groups others have are passed over. With a rate_limit, what another
transaction is just fetching counts, and is not waited for; in REPEATABLE READ and SERIALIZABLE a rate
that others have used since the snapshot is an error, 40001. Fewer than there are may come when many of these are met.

Arguments:
  queue: the queue
  max_count: how many at most, up to 100,000
  worker: any text that says who asks; NULL is the application_name of the session, '''' is for none
  store: the store; NULL is the default store
Returns:
  a row for each job
Columns:
  id: the job
  attempt: which attempt this is, from 1; what settles the job has to name it
  data: what was sent
  priority: the job''s
  retries: how many retries it has used up
  created_at: when it was sent
  lease_until: when the lease runs out
Raises:
  42704: there is no such queue
  22023: max_count is negative or too high
  40001: in REPEATABLE READ or SERIALIZABLE, when a job was taken since the snapshot
  NV009: there is no such store
Locks:
  the rows of the jobs until the transaction ends
Example:
  SELECT id, attempt, data FROM nvent.queue_fetch(''emails'', 10, worker => ''host-1'');';

CREATE FUNCTION nvent.queue_complete(
    queue text,
    id bigint,
    attempt integer,
    output jsonb DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_complete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_complete(text, bigint, integer, jsonb, text) IS
'Completes a job that was fetched, if the lease is still held.

In the transaction of what the job wrote, both count or none: check the result, and roll back when it
is false.

Arguments:
  queue: the queue
  id: the job
  attempt: as nvent.queue_fetch returned it
  output: anything to keep with it; NULL for none
  store: the store; NULL is the default store
Returns:
  true when it was completed, false when the lease is lost: run out, settled before, or cancelled
Raises:
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the attempt until the transaction ends
Example:
  SELECT nvent.queue_complete(''emails'', 42, 1, ''{"sent": true}'');';

CREATE FUNCTION nvent.queue_complete_many(
    queue text,
    ids bigint[],
    attempts integer[],
    outputs jsonb[] DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'nvs_queue_complete_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_complete_many(text, bigint[], integer[], jsonb[], text) IS
'Completes many jobs that were fetched: those whose leases are still held.

Arguments:
  queue: the queue
  ids: at most 100,000 jobs
  attempts: of each, at the same place
  outputs: the same; NULL for none
  store: the store; NULL is the default store
Returns:
  the ids of those that were completed, in no order
Raises:
  42704: there is no such queue
  2202E: the arrays differ in length
  54000: there are too many jobs
  NV009: there is no such store
Locks:
  the rows of the attempts until the transaction ends, in the order of the ids
Example:
  SELECT nvent.queue_complete_many(''emails'', ARRAY[42, 43], ARRAY[1, 1]);';

CREATE FUNCTION nvent.queue_fail(
    queue text,
    id bigint,
    attempt integer,
    error jsonb DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_fail'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_fail(text, bigint, integer, jsonb, text) IS
'Has an attempt fail, if the lease is still held: the job is tried again, or has failed for good.

One that has failed for good is copied to its dead letter queue in the same transaction.

Arguments:
  queue: the queue
  id: the job
  attempt: as nvent.queue_fetch returned it
  error: what went wrong; NULL for nothing to say
  store: the store; NULL is the default store
Returns:
  true when it was held, false when the lease is lost
Raises:
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the attempt until the transaction ends
Example:
  SELECT nvent.queue_fail(''emails'', 42, 1, ''{"message": "no such host"}'');';

CREATE FUNCTION nvent.queue_work(
    queue text,
    completed jsonb DEFAULT NULL,
    failed jsonb DEFAULT NULL,
    max_count integer DEFAULT 1,
    worker text DEFAULT NULL,
    store text DEFAULT NULL,
    touched jsonb DEFAULT NULL,
    OUT id bigint,
    OUT attempt integer,
    OUT data jsonb,
    OUT priority integer,
    OUT retries integer,
    OUT created_at timestamptz,
    OUT lease_until timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_work'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_work(text, jsonb, jsonb, integer, text, text, jsonb) IS
'Completes jobs, has others fail, touches those that are still worked on, and leases the next ones, in
one call: what a worker does in a loop.

Of jobs whose leases are lost nothing counts; a warning says how many there were, and names those that
were to be touched, up to 20 of them: the work on these is in vain. A job that is named twice is settled
once, and one that is to be settled is not touched.

Arguments:
  queue: the queue
  completed: an array of {"id", "attempt", "output"}, at most 100,000; NULL for none
  failed: an array of {"id", "attempt", "error"}, the same
  max_count: how many to fetch at most; 0 for none
  worker: any text that says who asks; NULL is the application_name of the session, '''' is for none
  store: the store; NULL is the default store
  touched: an array of {"id", "attempt", "progress"}, the same, of jobs that go on: their leases last from
    now on, as by nvent.queue_touch; without "progress", or with null, that is left as it is
Returns:
  a row for each job that is fetched, as nvent.queue_fetch
Columns:
  id: the job
  attempt: which attempt this is, from 1
  data: what was sent
  priority: the job''s
  retries: how many retries it has used up
  created_at: when it was sent
  lease_until: when the lease runs out
Raises:
  42704: there is no such queue
  22023: completed, failed or touched is not an array of objects with id and attempt, or max_count is
    out of range
  54000: there are too many jobs
  40001: in REPEATABLE READ or SERIALIZABLE, when a job was changed since the snapshot
  NV009: there is no such store
Locks:
  the rows of the jobs until the transaction ends, those that are named in the order of their ids
Example:
  SELECT * FROM nvent.queue_work(''emails'', ''[{"id": 42, "attempt": 1}]'', max_count => 10,
      touched => ''[{"id": 43, "attempt": 1, "progress": 50}]'');';

CREATE PROCEDURE nvent.queue_await(
    queue text,
    timeout interval DEFAULT NULL,
    store text DEFAULT NULL
)
AS 'MODULE_PATHNAME', 'nvs_queue_await'
LANGUAGE C;

COMMENT ON PROCEDURE nvent.queue_await(text, interval, text) IS
'Waits until nvent.queue_fetch would return a job, and takes none.

A transaction that commits jobs wakes as many of those who wait, by itself, if it ran with the shared
memory of this extension; without, they look 20 times a second. Jobs that come due, delays that are over
and leases that run out wake them in time. What is done to the tables by hand is found within 10
seconds, as is the end of a prepared transaction where the library is not preloaded.

Outside of a transaction block it holds neither a snapshot nor a lock while it waits, and commits what a
look for jobs changes, as for leases that have run out. Inside of one, and in a function, it waits
nvent_store.max_wait at most. It returns when there is something or the time is up: nvent.queue_fetch
tells which. A smart shutdown ends it with an error, within 5 seconds.

Arguments:
  queue: the queue; while it is paused there is nothing
  timeout: how long; NULL is for good
  store: the store; NULL is the default store
Raises:
  42704: there is no such queue, or it was dropped meanwhile
  25000: in REPEATABLE READ and SERIALIZABLE inside of a transaction block
  25006: on a standby
  57P01: the server is to stop
  NV009: there is no such store
Locks:
  those of nvent.queue_fetch, while it looks
Example:
  CALL nvent.queue_await(''emails'', ''10 min'');';

CREATE PROCEDURE nvent.queue_work_await(
    queue text,
    completed jsonb DEFAULT NULL,
    failed jsonb DEFAULT NULL,
    max_count integer DEFAULT 1,
    timeout interval DEFAULT NULL,
    worker text DEFAULT NULL,
    store text DEFAULT NULL,
    INOUT jobs jsonb DEFAULT NULL,
    touched jsonb DEFAULT NULL
)
AS 'MODULE_PATHNAME', 'nvs_queue_work_await'
LANGUAGE C;

COMMENT ON PROCEDURE nvent.queue_work_await(
    text, jsonb, jsonb, integer, interval, text, text, jsonb, jsonb
) IS
'Completes jobs, has others fail, touches those that are still worked on, and leases the next ones as
soon as there are any, in one call: what a worker does in a loop.

It settles as nvent.queue_work does, and commits that, before it waits as nvent.queue_await does.

Arguments:
  queue: the queue
  completed: an array of {"id", "attempt", "output"}, at most 100,000; NULL for none. Other members do
    not count, so jobs that were returned can be passed as they are
  failed: an array of {"id", "attempt", "error"}, the same
  max_count: how many to fetch at most; 0 for none, without waiting
  timeout: how long to wait; NULL is for good
  worker: any text that says who asks; NULL is the application_name of the session, '''' is for none
  store: the store; NULL is the default store
  jobs: may be left out
  touched: an array of {"id", "attempt", "progress"}, the same, of jobs that go on, see nvent.queue_work
Returns:
  jobs: an array with an object for each job that is fetched, whose members are the columns of
    nvent.queue_fetch; an empty one when the time is up
Raises:
  42704: this and all others as nvent.queue_work and nvent.queue_await
Locks:
  those of nvent.queue_work, but none while it waits
Example:
  CALL nvent.queue_work_await(''emails'', ''[{"id": 42, "attempt": 1}]'', timeout => ''1 min'');';

CREATE FUNCTION nvent.queue_touch(
    queue text,
    id bigint,
    attempt integer,
    lease interval DEFAULT NULL,
    progress jsonb DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'nvs_queue_touch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_touch(text, bigint, integer, interval, jsonb, text) IS
'Has a lease last from now on, if it is still held.

Arguments:
  queue: the queue
  id: the job
  attempt: as nvent.queue_fetch returned it
  lease: how long; NULL is the job''s own, or the queue''s
  progress: how far the work has come, as in nvent.queue_progress; NULL, or a JSON null, leaves it as it is
  store: the store; NULL is the default store
Returns:
  when it runs out now, not after the job''s max_run; NULL when the lease is lost
Raises:
  22023: lease is not positive
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the attempt until the transaction ends
Example:
  SELECT nvent.queue_touch(''emails'', 42, 1);';

CREATE FUNCTION nvent.queue_progress(
    queue text,
    id bigint,
    attempt integer,
    progress jsonb,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_progress'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_progress(text, bigint, integer, jsonb, text) IS
'Says how far the work on a job has come, if its lease is still held: a number or anything else.

Others read it by nvent.queue_get, nvent.queue_find, nvent.queue_runs and nvent.queue_active when the
transaction has committed. It is that of one attempt, is kept with it when it has ended, and the next
attempt begins with none. The lease lasts no longer for it; nvent.queue_touch sets both.

It is as cheap as can be said often: a row is written in the place of the one before, and to no index.

Arguments:
  queue: the queue
  id: the job
  attempt: as nvent.queue_fetch returned it
  progress: how far it has come; NULL, or a JSON null, takes back what was said before
  store: the store; NULL is the default store
Returns:
  true when it was noted, false when the lease is lost
Raises:
  40001: in REPEATABLE READ or SERIALIZABLE, when the job was fetched or changed since the snapshot
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the attempt until the transaction ends: say it in a transaction of its own
Example:
  SELECT nvent.queue_progress(''emails'', 42, 1, ''50'');';

CREATE FUNCTION nvent.queue_release(
    queue text,
    id bigint,
    attempt integer,
    start_after interval DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_release'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_release(text, bigint, integer, interval, text) IS
'Gives a job back, if the lease is still held: for somebody else, or for later. No retry is used up.

In a queue whose policy is stately it waits as one that is tried again, which only one of a key may. In
one whose policy is key_strict_fifo it stays the first of its key.

Arguments:
  queue: the queue
  id: the job
  attempt: as nvent.queue_fetch returned it
  start_after: how long it waits before it can be fetched; NULL for at once
  store: the store; NULL is the default store
Returns:
  true when it was given back, false when the lease is lost
Raises:
  55000: the policy is stately, and another job of the key waits to be tried again
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the attempt until the transaction ends
Example:
  SELECT nvent.queue_release(''emails'', 42, 1, start_after => ''1 hour'');';

CREATE FUNCTION nvent.queue_cancel(queue text, id bigint, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_cancel'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_cancel(text, bigint, text) IS
'Cancels a job that has not ended: it is not fetched, and who has it loses the lease.

Arguments:
  queue: the queue
  id: the job
  store: the store; NULL is the default store
Returns:
  true when it was cancelled; false when it has ended, or there is none
Raises:
  27000: a trigger, rule or policy of its tables keeps the job from being changed
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the job or its attempt until the transaction ends; it waits for who is just fetching or
    settling the job
Example:
  SELECT nvent.queue_cancel(''emails'', 42);';

CREATE FUNCTION nvent.queue_cancel_many(queue text, ids bigint[], store text DEFAULT NULL) RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'nvs_queue_cancel_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_cancel_many(text, bigint[], text) IS
'Cancels jobs that have not ended.

All is done in one transaction, in the order of their ids.

Arguments:
  queue: the queue
  ids: the jobs; one that is NULL, or comes again, is left out
  store: the store; NULL is the default store
Returns:
  the ids of those that were cancelled, as queue_cancel says, in their order
Raises:
  27000: a trigger, rule or policy of its tables keeps a job from being changed
  42704: there is no such queue
  54000: more than 100,000 jobs
  NV009: there is no such store
Locks:
  as queue_cancel, for each of them
Example:
  SELECT nvent.queue_cancel_many(''emails'', ''{42,43}'');';

CREATE FUNCTION nvent.queue_resume(queue text, id bigint, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_resume'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_resume(text, bigint, text) IS
'Has a job that was cancelled be fetched again.

In a queue whose policy is exclusive it takes its key again, and stays cancelled when another has it. In
one whose policy is stately it waits as one that is tried again, and stays cancelled when another does.
In others it needs no key. It starts no sooner than it was to start, nor before its slot of time does; one
of a flow that has no slot is ready at once.

Arguments:
  queue: the queue
  id: the job
  store: the store; NULL is the default store
Returns:
  true when it goes on; false when it was not cancelled, there is none, or another has its key or its slot
Raises:
  27000: a trigger, rule or policy of its tables keeps the job from being changed
  40001: in REPEATABLE READ or SERIALIZABLE, when its key was taken since the snapshot
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of its last attempt until the transaction ends
Example:
  SELECT nvent.queue_resume(''emails'', 42);';

CREATE FUNCTION nvent.queue_resume_many(queue text, ids bigint[], store text DEFAULT NULL) RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'nvs_queue_resume_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_resume_many(text, bigint[], text) IS
'Has jobs that were cancelled be fetched again.

All is done in one transaction, in the order of their ids. Of two that need one key the first goes on.
In a queue whose policy is stately one stays as it is, too, where another of its key is just about to wait
to be tried again, or not to any more; but for the first that goes on, that is waited for.

Arguments:
  queue: the queue
  ids: the jobs; one that is NULL, or comes again, is left out
  store: the store; NULL is the default store
Returns:
  the ids of those that go on, as queue_resume says, in their order
Raises:
  27000: a trigger, rule or policy of its tables keeps a job from being changed
  40001: in REPEATABLE READ or SERIALIZABLE, when a key was taken since the snapshot
  42704: there is no such queue
  54000: more than 100,000 jobs
  NV009: there is no such store
Locks:
  as queue_resume, for each of them, and then keys in their order
Example:
  SELECT nvent.queue_resume_many(''emails'', ''{42,43}'');';

CREATE FUNCTION nvent.queue_retry(queue text, id bigint, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_retry'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_retry(text, bigint, text) IS
'Has a job that failed for good be tried once more.

A copy of it in a dead letter queue stays there. In a queue whose policy is exclusive it takes its key
again, and stays failed when another has it; in one whose policy is stately it stays failed when another
of its key waits to be tried again.

Arguments:
  queue: the queue
  id: the job
  store: the store; NULL is the default store
Returns:
  true when it is ready now; false when it has not failed, there is none, or another has its key
Raises:
  27000: a trigger, rule or policy of its tables keeps the job from being changed
  40001: in REPEATABLE READ or SERIALIZABLE, when its key was taken since the snapshot
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of its last attempt until the transaction ends
Example:
  SELECT nvent.queue_retry(''emails'', 42);';

CREATE FUNCTION nvent.queue_retry_many(queue text, ids bigint[], store text DEFAULT NULL) RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'nvs_queue_retry_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_retry_many(text, bigint[], text) IS
'Has jobs that failed for good be tried once more.

All is done in one transaction, in the order of their ids. Of two that need one key the first goes on.
In a queue whose policy is stately one stays as it is, too, where another of its key is just about to wait
to be tried again, or not to any more; but for the first that goes on, that is waited for.

Arguments:
  queue: the queue
  ids: the jobs; one that is NULL, or comes again, is left out
  store: the store; NULL is the default store
Returns:
  the ids of those that are ready now, as queue_retry says, in their order
Raises:
  27000: this and all others as nvent.queue_resume_many
Locks:
  as queue_retry, for each of them, and then keys in their order
Example:
  SELECT nvent.queue_retry_many(''emails'', ''{42,43}'');';

CREATE FUNCTION nvent.queue_delete(queue text, id bigint, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_delete(text, bigint, text) IS
'Deletes a job wherever it stands, with its attempts; who has it loses the lease.

Arguments:
  queue: the queue
  id: the job
  store: the store; NULL is the default store
Returns:
  true when it was deleted, false when there is none
Raises:
  27000: a trigger, rule or policy of its tables keeps the job from being changed
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the rows of the job until the transaction ends; it waits for who is just fetching or settling it
Example:
  SELECT nvent.queue_delete(''emails'', 42);';

CREATE FUNCTION nvent.queue_delete_many(queue text, ids bigint[], store text DEFAULT NULL) RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'nvs_queue_delete_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_delete_many(text, bigint[], text) IS
'Deletes jobs wherever they stand, with their attempts.

All is done in one transaction, in the order of their ids.

Arguments:
  queue: the queue
  ids: the jobs; one that is NULL, or comes again, is left out
  store: the store; NULL is the default store
Returns:
  the ids of those that were deleted, in their order
Raises:
  27000: a trigger, rule or policy of its tables keeps a job from being changed
  42704: there is no such queue
  54000: more than 100,000 jobs
  NV009: there is no such store
Locks:
  as queue_delete, for each of them
Example:
  SELECT nvent.queue_delete_many(''emails'', ''{42,43}'');';

CREATE FUNCTION nvent.queue_redrive(
    queue text,
    max_count integer DEFAULT 1000,
    source text DEFAULT NULL,
    target text DEFAULT NULL,
    preview boolean DEFAULT false,
    store text DEFAULT NULL,
    OUT id bigint,
    OUT source text,
    OUT source_id bigint,
    OUT attempts integer,
    OUT error jsonb,
    OUT target text,
    OUT job bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_redrive'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;

COMMENT ON FUNCTION nvent.queue_redrive(text, integer, text, text, boolean, text) IS
'Puts dead letters back where they came from: those that are queued, the oldest first.

Each is a new job there, with the data, the key, the priority, and whatever else was said of the job that
failed; and it is gone here, in the same transaction. All of its retries are before it. Dead letters that
others are just fetching or changing are passed over. One stays when there is no queue for it, or when
another job has its key there; it counts all the same.

Arguments:
  queue: the queue that they are in
  max_count: how many at most, up to 100,000
  source: of which queue; NULL for all
  target: a queue that all of them go to; NULL is where each came from
  preview: only show them, without changing or locking anything; whether a key is free shows later
  store: the store; NULL is the default store
Returns:
  a row for each dead letter, the oldest first
Columns:
  id: the dead letter
  source: the queue of the job that failed
  source_id: its id
  attempts: how many attempts it had
  error: what the last one left
  target: the queue that it goes to; NULL when there is none, and it stays
  job: its id there; NULL when it stays, and in a preview
Raises:
  42704: there is no such queue, or none of the name target
  22023: max_count is negative or too high, or target is the queue itself
  40001: in REPEATABLE READ or SERIALIZABLE, when a dead letter was taken since the snapshot
  NV009: there is no such store
Locks:
  the rows of the jobs until the transaction ends
Example:
  SELECT id, source, target FROM nvent.queue_redrive(''failed'', preview => true);';

CREATE FUNCTION nvent.queue_update(
    queue text,
    id bigint DEFAULT NULL,
    data jsonb DEFAULT NULL,
    priority integer DEFAULT NULL,
    key text DEFAULT NULL,
    start_after interval DEFAULT NULL,
    start_at timestamptz DEFAULT NULL,
    lease interval DEFAULT NULL,
    max_run interval DEFAULT NULL,
    retry_limit integer DEFAULT NULL,
    retry_delay interval DEFAULT NULL,
    retry_backoff boolean DEFAULT NULL,
    retry_delay_max interval DEFAULT NULL,
    dead_letter text DEFAULT NULL,
    group_name text DEFAULT NULL,
    merge boolean DEFAULT false,
    match text DEFAULT 'newest',
    store text DEFAULT NULL
) RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'nvs_queue_update'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION nvent.queue_update(
    text, bigint, jsonb, integer, text, interval, timestamptz, interval, interval, integer, interval,
    boolean, interval, text, text, boolean, text, text
) IS
'Changes a job that is queued: its data, its priority, when it starts, and whatever else was said of it.

Queued are jobs that can be fetched now or later: ready, deferred, given back, or waiting to be tried
again. What has begun is not changed. Who is just fetching the job is waited for, and then it has begun,
unless that is rolled back. What is NULL stays as it is. The next fetch has the job as it is then.

Arguments:
  queue: the queue
  id: the job; or NULL for those of a key
  data: what the worker gets
  priority: higher goes first, and of one priority the job that was sent first
  key: the key, which stays; not beside id
  start_after: how long it waits from now before it can be fetched; 0 for at once
  start_at: when it can be fetched; not beside start_after
  lease: as in nvent.queue_create, like all that follow
  max_run: the longest that an attempt may last
  retry_limit: how often it is tried again
  retry_delay: how long it waits before that
  retry_backoff: whether that is doubled
  retry_delay_max: the longest that it waits
  dead_letter: queue that gets a copy when it failed for good
  group_name: the group that it is of, as in nvent.queue_send
  merge: whether data is merged into what is there, as nvent.jsonb_merge_patch does
  match: which of the jobs of a key that are queued: newest, oldest or all
  store: the store; NULL is the default store
Returns:
  the ids of the jobs that were changed, in their order; none when there is none that is queued
Raises:
  42704: there is no such queue, or none of the name dead_letter
  22004: merge or match is NULL
  22023: neither id nor key is there, or both, or start_after and start_at; there is no such match; the key
    or group_name is empty or too long, lease or max_run is not positive, or retry_limit is negative
  27000: a trigger, rule or policy of its tables keeps a job from being changed
  40001: in REPEATABLE READ or SERIALIZABLE, when a job was changed or fetched since the snapshot
  NV009: there is no such store
Locks:
  the rows of the jobs until the transaction ends; those who fetch pass them over meanwhile
Example:
  SELECT nvent.queue_update(''emails'', 42, ''{"to": "eve@example.com"}'', merge => true, start_after => ''1 hour'');';

CREATE FUNCTION nvent.queue_upsert(
    queue text,
    data jsonb DEFAULT NULL,
    priority integer DEFAULT NULL,
    key text DEFAULT NULL,
    start_after interval DEFAULT NULL,
    start_at timestamptz DEFAULT NULL,
    lease interval DEFAULT NULL,
    max_run interval DEFAULT NULL,
    retry_limit integer DEFAULT NULL,
    retry_delay interval DEFAULT NULL,
    retry_backoff boolean DEFAULT NULL,
    retry_delay_max interval DEFAULT NULL,
    dead_letter text DEFAULT NULL,
    group_name text DEFAULT NULL,
    merge boolean DEFAULT false,
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_queue_upsert'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_upsert(
    text, jsonb, integer, text, interval, timestamptz, interval, interval, integer, interval, boolean,
    interval, text, text, boolean, text
) IS
'Changes the newest job of a key that is queued, or sends one where there is none.

Of those who do so at once one sends the job, and the others wait for him and change it: so there is one
that is queued, as long as nobody sends jobs of the key in another way. It is changed as by
nvent.queue_update, and sent as by nvent.queue_send.

Arguments:
  queue: the queue
  data: what the worker gets
  priority: higher goes first
  key: what the job is about, of 1 to 1,000 bytes
  start_after: how long it waits from now before it can be fetched
  start_at: when it can be fetched; not beside start_after
  lease: as in nvent.queue_create, like all that follow
  max_run: the longest that an attempt may last
  retry_limit: how often it is tried again
  retry_delay: how long it waits before that
  retry_backoff: whether that is doubled
  retry_delay_max: the longest that it waits
  dead_letter: queue that gets a copy when it failed for good
  group_name: the group that it is of, as in nvent.queue_send
  merge: whether data is merged into that of a job which is there
  store: the store; NULL is the default store
Returns:
  the id of the job; NULL when none is queued, and by the queue''s policy none can be sent
Raises:
  42704: there is no such queue, or none of the name dead_letter
  22004: key or merge is NULL
  22023: start_after and start_at are both there, the key or group_name is empty or too long, lease or
    max_run is not positive, or retry_limit is negative
  27000: a trigger, rule or policy of its tables keeps the job from being changed
  40001: in REPEATABLE READ or SERIALIZABLE, when the job was sent, changed or fetched since the snapshot
  NV009: there is no such store
Locks:
  the key until the transaction ends: others that upsert a job of it wait; and the row of the job
Example:
  SELECT nvent.queue_upsert(''emails'', ''{"to": "ada@example.com"}'', key => ''welcome ada'', start_after => ''1 hour'');';

CREATE FUNCTION nvent.queue_get(
    queue text,
    id bigint,
    store text DEFAULT NULL,
    OUT id bigint,
    OUT state text,
    OUT priority integer,
    OUT data jsonb,
    OUT attempt integer,
    OUT retries integer,
    OUT created_at timestamptz,
    OUT start_at timestamptz,
    OUT started_at timestamptz,
    OUT lease_until timestamptz,
    OUT ended_at timestamptz,
    OUT worker text,
    OUT output jsonb,
    OUT origin jsonb,
    OUT key text,
    OUT waits_for integer,
    OUT progress jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_get'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION nvent.queue_get(text, bigint, text) IS
'Shows a job.

Arguments:
  queue: the queue
  id: the job
  store: the store; NULL is the default store
Returns:
  one row, or none when there is no such job
Columns:
  id: the job
  state: waiting, created, retry, active, completed, failed or cancelled
  priority: the job''s
  data: what was sent
  attempt: the last attempt, 0 before the first
  retries: how many retries it has used up
  created_at: when it was sent
  start_at: when it can be fetched, if that is later
  started_at: when the last attempt began
  lease_until: when its lease runs out, or did
  ended_at: when it ended
  worker: who has or had it
  output: what it left, or its error
  origin: of a dead letter, {"queue", "id", "attempts", "priority", "createdAt", "options", "error",
    "root"} of the job that failed; of one that was put back, {"root"}: {"queue", "id"} of the job that
    was sent once
  key: what it is about
  waits_for: for how many jobs it has yet to wait; NULL when it does not
  progress: how far the last attempt has come, see nvent.queue_progress
Raises:
  42704: there is no such queue
  NV009: there is no such store
Example:
  SELECT state, output FROM nvent.queue_get(''emails'', 42);';

CREATE FUNCTION nvent.queue_parents(
    queue text,
    id bigint,
    store text DEFAULT NULL,
    OUT id bigint,
    OUT queue text,
    OUT outcome text,
    OUT output jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_parents'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_parents(text, bigint, text) IS
'Shows the jobs that a job of a flow waits for, or has waited for: for its worker what they left.

That is there for as long as the job itself is, whatever becomes of its parents.

Arguments:
  queue: the queue of the job
  id: the job
  store: the store; NULL is the default store
Returns:
  a row for each parent, in the order in which they were sent
Columns:
  id: the parent
  queue: its queue, NULL when that was dropped
  outcome: completed, failed, cancelled or deleted; NULL while it has not ended
  output: what it left when it ended, or the error by which it failed
Raises:
  42704: there is no such queue
  NV009: there is no such store
Example:
  SELECT id, outcome, output FROM nvent.queue_parents(''emails'', 44);';

CREATE FUNCTION nvent.queue_children(
    queue text,
    id bigint,
    store text DEFAULT NULL,
    OUT id bigint,
    OUT queue text,
    OUT waits boolean
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_children'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_children(text, bigint, text) IS
'Shows the jobs that wait for a job of a flow, or have waited for it.

Arguments:
  queue: the queue of the job
  id: the job
  store: the store; NULL is the default store
Returns:
  a row for each child, in the order in which they were sent
Columns:
  id: the child
  queue: its queue
  waits: whether it still waits, for this job or another
Raises:
  42704: there is no such queue
  NV009: there is no such store
Example:
  SELECT id, waits FROM nvent.queue_children(''emails'', 42);';

CREATE FUNCTION nvent.queue_find(
    queue text,
    key text DEFAULT NULL,
    data jsonb DEFAULT NULL,
    states text[] DEFAULT NULL,
    after bigint DEFAULT NULL,
    max_count integer DEFAULT 1000,
    store text DEFAULT NULL,
    OUT id bigint,
    OUT state text,
    OUT priority integer,
    OUT data jsonb,
    OUT attempt integer,
    OUT retries integer,
    OUT created_at timestamptz,
    OUT start_at timestamptz,
    OUT started_at timestamptz,
    OUT lease_until timestamptz,
    OUT ended_at timestamptz,
    OUT worker text,
    OUT output jsonb,
    OUT origin jsonb,
    OUT key text,
    OUT waits_for integer,
    OUT progress jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_find'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_find(text, text, jsonb, text[], bigint, integer, text) IS
'Shows jobs of a queue by their key, their data or their states, whatever its policy is; all of its jobs
when none of these is given.

A key is found by an index that is there. Data is found by one that you make where it pays, since whoever
sends has to write it: CREATE INDEX ON {store}_jobs USING gin (data jsonb_path_ops). Without it all jobs of
the queue are read, as they are for states alone until there are enough.

Arguments:
  queue: the queue
  key: the key; NULL for any, or none
  data: what the data of the jobs contains, as jsonb has it with @>; NULL for any
  states: which of the states that nvent.queue_get shows; NULL for all
  after: only jobs with a higher id: that of the last one of a page, for the next; NULL begins at the first
  max_count: how many at most, up to 100,000
  store: the store; NULL is the default store
Returns:
  a row for each job, the oldest first
Columns:
  id: this and all others as in nvent.queue_get
Raises:
  22004: max_count is NULL, or one of the states
  22023: max_count is negative or too high, or there is no such state
  42704: there is no such queue
  NV009: there is no such store
Example:
  SELECT id, state FROM nvent.queue_find(''emails'', data => ''{"to": "ada"}'', states => ''{created,retry}'');';

CREATE FUNCTION nvent.queue_runs(
    queue text,
    id bigint,
    store text DEFAULT NULL,
    OUT attempt integer,
    OUT outcome text,
    OUT worker text,
    OUT started_at timestamptz,
    OUT lease_until timestamptz,
    OUT ended_at timestamptz,
    OUT output jsonb,
    OUT progress jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_runs'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 3;

COMMENT ON FUNCTION nvent.queue_runs(text, bigint, text) IS
'Shows the attempts at a job.

Arguments:
  queue: the queue
  id: the job
  store: the store; NULL is the default store
Returns:
  a row for each attempt, the first one first
Columns:
  attempt: its number
  outcome: active, completed, failed, expired, released, cancelled, or resumed, which was cancelled
  worker: who had it
  started_at: when it began
  lease_until: when its lease runs out, or did
  ended_at: when it ended
  output: what it left, or its error
  progress: how far it had come, see nvent.queue_progress
Raises:
  42704: there is no such queue
  NV009: there is no such store
Example:
  SELECT * FROM nvent.queue_runs(''emails'', 42);';

CREATE FUNCTION nvent.queue_blocked(
    queue text,
    store text DEFAULT NULL,
    OUT key text,
    OUT id bigint,
    OUT attempt integer,
    OUT failed_at timestamptz,
    OUT error jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_blocked'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_blocked(text, text) IS
'Shows the keys of a queue whose policy is key_strict_fifo that are blocked: a job of each has failed for
good, and the others wait.

They go on when the job is retried and completed, or deleted, or given up by nvent.queue_unblock.

Arguments:
  queue: the queue
  store: the store; NULL is the default store
Returns:
  a row for each key, in their order; none where the policy is another
Columns:
  key: the key
  id: the job that failed
  attempt: its last attempt
  failed_at: when that ended
  error: what went wrong
Raises:
  42704: there is no such queue
  NV009: there is no such store
Example:
  SELECT key, id, error FROM nvent.queue_blocked(''accounts'');';

CREATE FUNCTION nvent.queue_unblock(queue text, key text, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_queue_unblock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.queue_unblock(text, text, text) IS
'Gives up the job that has failed for good and blocks a key: it stays failed, and the next one of the key
goes on.

Arguments:
  queue: the queue
  key: the key
  store: the store; NULL is the default store
Returns:
  true when it goes on; false when no failed job kept it
Raises:
  42704: there is no such queue
  NV009: there is no such store
Locks:
  the row of the last attempt at that job until the transaction ends
Example:
  SELECT nvent.queue_unblock(''accounts'', ''ada'');';

CREATE FUNCTION nvent.queue_active(
    queue text,
    store text DEFAULT NULL,
    OUT id bigint,
    OUT attempt integer,
    OUT worker text,
    OUT started_at timestamptz,
    OUT lease_until timestamptz,
    OUT age interval,
    OUT progress jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_active'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 100;

COMMENT ON FUNCTION nvent.queue_active(text, text) IS
'Shows who works on what: the jobs that are active, with those whose leases have run out and that nobody
has fetched since.

It looks through the runs whose leases have not run out by their time, also those that have ended before.

Arguments:
  queue: the queue
  store: the store; NULL is the default store
Returns:
  a row for each job, those whose leases run out first come first
Columns:
  id: the job
  attempt: which attempt it is
  worker: who has it, as nvent.queue_fetch was told, else the application_name of the session that fetched it
  started_at: when it was fetched
  lease_until: when its lease runs out, or did
  age: how long it has been active
  progress: how far it has come, see nvent.queue_progress
Raises:
  42704: there is no such queue
  NV009: there is no such store
Example:
  SELECT worker, count(*), max(age) FROM nvent.queue_active(''emails'') GROUP BY worker;';

CREATE FUNCTION nvent.queue_stats(
    queue text DEFAULT NULL,
    store text DEFAULT NULL,
    OUT queue text,
    OUT depth bigint,
    OUT ready bigint,
    OUT deferred bigint,
    OUT retry bigint,
    OUT blocked bigint,
    OUT waiting bigint,
    OUT active bigint,
    OUT completed bigint,
    OUT failed bigint,
    OUT cancelled bigint,
    OUT oldest_age interval,
    OUT wait_p50 interval,
    OUT wait_p95 interval,
    OUT wait_p99 interval,
    OUT run_p50 interval,
    OUT run_p95 interval,
    OUT run_p99 interval
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_queue_stats'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION nvent.queue_stats(text, text) IS
'Tells how many jobs of a queue are where, how old the oldest is, and how long jobs wait and run.

The numbers are exact: what one snapshot shows, which is taken for each queue, and that of the
transaction where it keeps one. In shared memory they are known. There a queue is counted when it is first
asked for after the server has started, and again after a transaction that was prepared, that changed more
than 8 queues, or that changed rows while the triggers of the tables were disabled. While one is open
that is older than such a count, and where there is no shared memory, on a standby, for who keeps his
snapshot, and for who does not see all rows, they are counted each time.

Arguments:
  queue: the queue; NULL for all of the store
  store: the store; NULL is the default store
Returns:
  a row for each queue, by its name
Columns:
  queue: its name
  depth: jobs that are queued: the sum of the next five
  ready: jobs that can be fetched now, even if the queue is paused
  deferred: jobs that have not been fetched, and are to start later
  retry: jobs that were fetched, and are to be again later
  blocked: jobs that a fetch passed by, as others of their key come first
  waiting: jobs that wait for other jobs, see nvent.queue_flow
  active: jobs that somebody has, also those whose leases have run out and that nobody fetched since
  completed: jobs that were completed and are still kept
  failed: jobs that failed for good and are still kept
  cancelled: jobs that were cancelled and are still kept
  oldest_age: how long the job that comes next has been there since it was sent, or was to start: of
    those of each priority the oldest; NULL for none
  wait_p50: how long half of the jobs were there, at most, before they were fetched for the first time;
    of the 1,000 attempts whose leases end last, the newest ones where leases are alike
  wait_p95: the same by 95 percent
  wait_p99: the same by 99 percent
  run_p50: how long attempts took until they were completed or failed, of the same 1,000
  run_p95: the same by 95 percent
  run_p99: the same by 99 percent
Raises:
  42704: there is no such queue
  NV009: there is no such store
Example:
  SELECT queue, ready, active, failed, oldest_age FROM nvent.queue_stats();';

-- A store's owner has them on tables.
REVOKE ALL ON FUNCTION
    nvent.queue_binding_check,
    nvent.queue_changed,
    nvent.queue_counted,
    nvent.queue_policy_changed
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    nvent.queue_binding_check,
    nvent.queue_changed,
    nvent.queue_counted,
    nvent.queue_policy_changed
TO @extowner@ WITH GRANT OPTION;
