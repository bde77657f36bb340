/*
 * queue/count.c
 *	  How many rows a queue has, without counting them each time.
 *
 * A queue is counted once, when it is first asked for, and from then on what
 * each transaction has changed (queue/note.c) is added in shared memory once it
 * has committed.  Who asks gets what his snapshot shows: he takes it with the
 * table's lock held.  What was added before is in it.  Transactions that commit
 * just then have told in their slots what they changed, and of those which the
 * snapshot shows already he adds that for himself; who counts marks it as
 * counted, so that it is not added later.
 *
 * Nobody is relied upon to note all that he changes: triggers can be disabled,
 * and tables emptied.  Each transaction compares its notes with the numbers of
 * rows that PostgreSQL's own statistics have of it; where they differ the
 * queues of the store are miscounted, and are counted anew by who asks next.
 * So they are when a transaction was prepared, since it may be committed by
 * somebody who does not know what it changed.
 *
 * A transaction that began before its store was known here has not told
 * anything, and one that has spoiled the counts may still be open: a count is
 * kept only when its snapshot shows that all transactions from before have
 * ended.
 *
 * Where there is no shared memory, on a standby, for who keeps his snapshot and
 * for who does not see all rows, they are counted each time.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "base/time.h"
#include "position/xact.h"
#include "queue/internal.h"
#include "queue/note.h"

/* Places in which the counts of a queue may be. */
#define COUNT_WAYS	8

/* In SQL, turns of new jobs or of others, in the order of NvsCount. */
#define COUNT_TURNS(attempts) \
	"pg_catalog.count(*) FILTER (WHERE u.attempt OPERATOR(pg_catalog." \
	attempts ") 0 AND u.due_at IS NULL), " \
	"pg_catalog.count(*) FILTER (WHERE u.attempt OPERATOR(pg_catalog." \
	attempts ") 0 AND u.due_at IS NOT NULL AND NOT (u.lane IS NOT NULL " \
	"AND u.due_at OPERATOR(pg_catalog.=) 'infinity')), " \
	"pg_catalog.count(*) FILTER (WHERE u.attempt OPERATOR(pg_catalog." \
	attempts ") 0 AND u.lane IS NOT NULL " \
	"AND u.due_at OPERATOR(pg_catalog.=) 'infinity')"

/* $1 queue; in the order of NvsCount. */
static const NvsStatement count_rows = {
	"SELECT (SELECT pg_catalog.count(*) FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) $1), t.*, "
	"(SELECT pg_catalog.count(*) FROM {job_waits} w "
	"WHERE w.queue OPERATOR(pg_catalog.=) $1), r.* FROM "
	"(SELECT " COUNT_TURNS("=") ", " COUNT_TURNS(">") " FROM {job_turns} u "
	"WHERE u.queue OPERATOR(pg_catalog.=) $1) t, "
	"(SELECT "
	"pg_catalog.count(*) FILTER (WHERE s.attempt OPERATOR(pg_catalog.=) 1), "
	"pg_catalog.count(*) FILTER (WHERE s.outcome IS NULL), "
	"pg_catalog.count(*) FILTER (WHERE s.outcome OPERATOR(pg_catalog.=) '"
	NVS_RUN_COMPLETED "'), "
	"pg_catalog.count(*) FILTER (WHERE s.outcome OPERATOR(pg_catalog.=) '"
	NVS_RUN_CANCELLED "') FROM {job_runs} s "
	"WHERE s.queue OPERATOR(pg_catalog.=) $1) r",
	.mode = NVS_PLAN_AUTO
};

/* The tables of a store that are counted, in their set. */
static const int count_tables[NVS_COUNT_TABLES] = {
	NVS_TABLE_JOBS, NVS_TABLE_TURNS, NVS_TABLE_RUNS, NVS_TABLE_WAITS
};

/* A store of our database, as this session knows it. */
typedef struct CountStore
{
	Oid			relids[NVS_COUNT_TABLES];
	int64		missing;		/* rows that this commit did not note */
	bool		spoiled;		/* by it */
} CountStore;

static CountStore stores[NVS_COUNT_STORES];
static int	nstores = 0;

/* The changes of which stores has all. */
static uint64 known_changes = 0;

/* Has our slot what this transaction changed? */
static bool told = false;

static NvsCountTable *count_table(void);
static NvsCountSlot *count_slot(NvsCountTable *table);
static void count_before_commit(void);
static void count_before_prepare(void);
static bool count_learn_stores(NvsCountTable *table);
static CountStore *count_store_of(Oid relid);
static void count_compare(bool prepared);
static void count_add_changed(bool prepared);
static void count_spoil_those(NvsCountTable *table);
static void count_spoil(NvsCountTable *table, CountStore *store);
static void count_tell(NvsCountTable *table);
static bool count_tell_note(NvsCountSlot *slot, const CountStore *store,
							const NvsCountNote *note);
static void count_after_locks(const NvsXactEnd *end);
static void count_add(NvsCountTable *table, Oid database,
					  const NvsCountDelta *delta);
static NvsCountedQueue *count_find(NvsCountTable *table, Oid database,
								   Oid jobs, int32 queue, bool make);
static NvsCountedStore *count_find_store(NvsCountTable *table, Oid jobs);
static NvsCountedStore *count_add_store(NvsCountTable *table,
										const NvsTableSet *set);
static uint64 count_next_xid(void);
static uint64 count_oldest_xid(const Snapshot snapshot);
static bool count_may_read(const NvsTableSet *set);
static bool count_is_shared(const NvsTableSet *set);
static bool count_push_known(NvsCountTable *table, const NvsTableSet *set,
							 int32 queue, int64 *counts);
static void count_push_anew(NvsCountTable *table, const NvsTableSet *set,
							int32 queue, int64 *counts);
static uint64 count_begin(NvsCountTable *table, const NvsTableSet *set,
						  int32 queue);
static void count_shown(NvsCountTable *table, Oid jobs, int32 queue,
						const Snapshot snapshot, int64 *counts);
static void count_end(NvsCountTable *table, const NvsTableSet *set,
					  int32 queue, uint64 token, const int64 *counts);
static void count_add_own(const NvsTableSet *set, int32 queue, int sign,
						  int64 *counts);
static void count_by_query(const NvsTableSet *set, int32 queue,
						   int64 *counts);

/* Hand over what is to be done when transactions end. */
void
nvs_count_init(void)
{
	static const NvsXactHandlers handlers = {
		.before_commit = count_before_commit,
		.before_prepare = count_before_prepare,
		.after_locks = count_after_locks,
		.before_subcommit = nvs_notes_merge,
		.after_subabort = nvs_notes_drop
	};

	nvs_xact_register(&handlers);
}

/* The counts in shared memory; NULL where there are none. */
static NvsCountTable *
count_table(void)
{
	return nvs_shmem_available() ? nvs_shmem_counts() : NULL;
}

/* Our own slot; NULL when we have none. */
static NvsCountSlot *
count_slot(NvsCountTable *table)
{
	int			i = nvs_my_proc_number();

	return i < nvs_shmem_slots() ? &table->slots[i] : NULL;
}

/* Tell what this transaction has changed, before others can see it. */
static void
count_before_commit(void)
{
	NvsCountTable *table = count_table();

	if (table == NULL || !TransactionIdIsValid(GetTopTransactionIdIfAny()) ||
		!count_learn_stores(table))
		return;
	count_compare(false);
	count_spoil_those(table);
	if (nvs_note_get(0) != NULL)
		count_tell(table);
}

/* Spoil the counts of what a transaction has changed that will be prepared. */
static void
count_before_prepare(void)
{
	NvsCountTable *table = count_table();

	if (table == NULL || !count_learn_stores(table))
		return;
	count_compare(true);
	count_spoil_those(table);
}

/* Learn which stores of our database are counted; false when none is. */
static bool
count_learn_stores(NvsCountTable *table)
{
	uint64		changes = pg_atomic_read_u64(&table->changes);
	int			i;

	if (changes == known_changes)
		return nstores > 0;
	LWLockAcquire(&table->lock, LW_SHARED);
	known_changes = pg_atomic_read_u64(&table->changes);
	nstores = 0;
	for (i = 0; i < NVS_COUNT_STORES; i++)
		if (table->stores[i].database == MyDatabaseId)
			memcpy(stores[nstores++].relids, table->stores[i].relids,
				   sizeof(stores[0].relids));
	LWLockRelease(&table->lock);
	return nstores > 0;
}

/* The store that is counted and has a table; NULL when there is none. */
static CountStore *
count_store_of(Oid relid)
{
	int			i;
	int			k;

	for (i = 0; i < nstores; i++)
		for (k = 0; k < NVS_COUNT_TABLES; k++)
			if (stores[i].relids[k] == relid)
				return &stores[i];
	return NULL;
}

/*
 * See of which stores the transaction has changed other rows than it has noted;
 * those are spoiled, and if it is to be prepared all that it has changed.
 * Without statistics there is nothing to compare with.
 */
static void
count_compare(bool prepared)
{
	const NvsCountNote *note;
	CountStore *store;
	int			i;

	for (i = 0; i < nstores; i++)
	{
		stores[i].missing = 0;
		stores[i].spoiled = !pgstat_track_counts;
	}

	/* What was changed, less what was noted, is what nobody noted. */
	count_add_changed(prepared);
	for (i = 0; (note = nvs_note_get(i)) != NULL; i++)
		if ((store = count_store_of(note->relid)) != NULL)
			store->missing -= note->rows;
	for (i = 0; i < nstores; i++)
		stores[i].spoiled |= stores[i].missing != 0;
}

/*
 * Add to what is missing of stores how many rows the transaction has changed,
 * as PostgreSQL's statistics have it: of each of its open levels, those that
 * have ended being in these.  A table that was emptied or dropped is spoiled.
 */
static void
count_add_changed(bool prepared)
{
	const PgStat_SubXactStatus *level =
		pgstat_get_xact_stack_level(GetCurrentTransactionNestLevel());
	CountStore *store;

	for (; level != NULL; level = level->prev)
	{
		const PgStat_TableXactStatus *changed = level->first;

		for (; changed != NULL; changed = changed->next)
			if ((store = count_store_of(nvs_changed_table(changed))) != NULL)
			{
				store->missing += changed->tuples_inserted +
					changed->tuples_updated + changed->tuples_deleted;
				store->spoiled |= changed->truncdropped || prepared;
			}
	}
}

/* Spoil the stores that a comparison found to be. */
static void
count_spoil_those(NvsCountTable *table)
{
	int			i;

	for (i = 0; i < nstores; i++)
		if (stores[i].spoiled)
			count_spoil(table, &stores[i]);
}

/* Have the queues of a store be counted anew, once we have ended. */
static void
count_spoil(NvsCountTable *table, CountStore *store)
{
	NvsCountedStore *now;

	store->spoiled = true;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	now = count_find_store(table, store->relids[0]);
	if (now != NULL)
	{
		now->generation = ++table->next_token;
		now->since = count_next_xid();
	}
	LWLockRelease(&table->lock);
}

/*
 * Put the notes on stores that are counted right into our slot; when there are
 * too many for it, their store is spoiled.
 */
static void
count_tell(NvsCountTable *table)
{
	NvsCountSlot *slot = count_slot(table);
	const NvsCountNote *note;
	CountStore *store;
	bool		full[NVS_COUNT_STORES] = {false};
	int			i;

	LWLockAcquire(&table->lock, LW_SHARED);
	if (slot != NULL)
		slot->n = 0;
	for (i = 0; (note = nvs_note_get(i)) != NULL; i++)
		if ((store = count_store_of(note->relid)) != NULL &&
			!store->spoiled &&
			(slot == NULL || !count_tell_note(slot, store, note)))
			full[store - stores] = true;
	if (slot != NULL && slot->n > 0)
	{
		slot->database = MyDatabaseId;
		slot->xid = GetTopTransactionIdIfAny();
		told = true;
	}
	LWLockRelease(&table->lock);
	for (i = 0; i < nstores; i++)
		if (full[i])
			count_spoil(table, &stores[i]);
}

/* Put a note into a slot, with the lock held; false when it has no room. */
static bool
count_tell_note(NvsCountSlot *slot, const CountStore *store,
				const NvsCountNote *note)
{
	NvsCountDelta *delta;
	int			i;

	for (i = 0; i < slot->n; i++)
		if (slot->deltas[i].jobs == store->relids[0] &&
			slot->deltas[i].queue == note->queue)
			break;
	if (i == NVS_COUNT_DELTAS)
		return false;
	delta = &slot->deltas[i];
	if (i == slot->n)
	{
		memset(delta, 0, sizeof(NvsCountDelta));
		delta->jobs = store->relids[0];
		delta->queue = note->queue;
		slot->n++;
	}
	for (i = 0; i < NVS_COUNTS; i++)
		delta->counts[i] += note->counts[i];
	return true;
}

/* Add what was told to the counts, once it is committed.  Does not raise. */
static void
count_after_locks(const NvsXactEnd *end)
{
	NvsCountTable *table;
	NvsCountSlot *slot;
	int			i;

	nvs_notes_forget();
	if (!told)
		return;
	told = false;
	table = nvs_shmem_counts();
	slot = count_slot(table);
	LWLockAcquire(&table->lock, LW_SHARED);
	if (end->outcome == NVS_XACT_COMMITTED)
		for (i = 0; i < slot->n; i++)
			if (!slot->deltas[i].counted)
				count_add(table, slot->database, &slot->deltas[i]);
	slot->xid = InvalidTransactionId;
	LWLockRelease(&table->lock);
}

/* Add to the counts of a queue, if it has any; the lock is held. */
static void
count_add(NvsCountTable *table, Oid database, const NvsCountDelta *delta)
{
	NvsCountedQueue *counted = count_find(table, database, delta->jobs,
										  delta->queue, false);
	int			i;

	for (i = 0; counted != NULL && i < NVS_COUNTS; i++)
		if (delta->counts[i] != 0)
			pg_atomic_fetch_add_u64(&counted->counts[i], delta->counts[i]);
}

/*
 * The counts of a queue, NULL when there are none; the lock is held.  To make
 * them, for which it is held exclusively, the oldest others go.
 */
static NvsCountedQueue *
count_find(NvsCountTable *table, Oid database, Oid jobs, int32 queue,
		   bool make)
{
	uint32		hash = (database * 31 + jobs) * 31 + (uint32) queue;
	NvsCountedQueue *places =
		&table->queues[hash % (NVS_COUNT_QUEUES / COUNT_WAYS) * COUNT_WAYS];
	NvsCountedQueue *oldest = places;
	int			i;

	for (i = 0; i < COUNT_WAYS; i++)
	{
		if (places[i].database == database && places[i].jobs == jobs &&
			places[i].queue == queue)
			return &places[i];
		if (places[i].used_at < oldest->used_at)
			oldest = &places[i];
	}
	if (!make)
		return NULL;
	oldest->database = database;
	oldest->jobs = jobs;
	oldest->queue = queue;
	return oldest;
}

/* A store of our database by its table of jobs; the lock is held. */
static NvsCountedStore *
count_find_store(NvsCountTable *table, Oid jobs)
{
	int			i;

	for (i = 0; i < NVS_COUNT_STORES; i++)
		if (table->stores[i].database == MyDatabaseId &&
			table->stores[i].relids[0] == jobs)
			return &table->stores[i];
	return NULL;
}

/*
 * Enter a store, in place of the one that was not asked for the longest; the
 * lock is held exclusively.  Who commits learns of it, or began before.
 */
static NvsCountedStore *
count_add_store(NvsCountTable *table, const NvsTableSet *set)
{
	NvsCountedStore *store = &table->stores[0];
	int			i;

	for (i = 1; i < NVS_COUNT_STORES; i++)
		if (table->stores[i].used_at < store->used_at)
			store = &table->stores[i];
	store->database = MyDatabaseId;
	for (i = 0; i < NVS_COUNT_TABLES; i++)
		store->relids[i] = set->relids[count_tables[i]];
	store->generation = ++table->next_token;
	pg_atomic_fetch_add_u64(&table->changes, 1);
	store->since = count_next_xid();
	return store;
}

/* The full id of the next transaction. */
static uint64
count_next_xid(void)
{
	return U64FromFullTransactionId(ReadNextFullTransactionId());
}

/* The full id of the oldest transaction that was open for a snapshot. */
static uint64
count_oldest_xid(const Snapshot snapshot)
{
	uint64		next = count_next_xid();

	return next - (uint32) ((uint32) next - snapshot->xmin);
}

/*
 * Push a snapshot, and tell what it shows of a queue: NVS_COUNTS numbers.  What
 * this transaction has done is in both.
 */
void
nvs_count_push(const NvsTableSet *set, int32 queue, int64 *counts)
{
	if (count_is_shared(set))
	{
		if (!count_push_known(count_table(), set, queue, counts))
			count_push_anew(count_table(), set, queue, counts);
		return;
	}
	if (IsolationUsesXactSnapshot())
	{
		PushCopiedSnapshot(GetTransactionSnapshot());
		UpdateActiveSnapshotCommandId();
	}
	else
		PushActiveSnapshot(GetLatestSnapshot());
	count_by_query(set, queue, counts);
}

/* May the user read the tables of a store that are counted? */
static bool
count_may_read(const NvsTableSet *set)
{
	int			i;

	for (i = 0; i < NVS_COUNT_TABLES; i++)
		if (!nvs_may_use_relation(set->relids[count_tables[i]], ACL_SELECT))
			return false;
	return true;
}

/*
 * Is what the user sees of a store what is counted in shared memory, and what
 * his transaction has noted?
 */
static bool
count_is_shared(const NvsTableSet *set)
{
	NvsCountTable *table = count_table();
	const CountStore *store;

	if (table == NULL || RecoveryInProgress() || !pgstat_track_counts ||
		IsolationUsesXactSnapshot() || !nvs_queue_shows_all(set) ||
		!count_may_read(set))
		return false;
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return true;
	(void) count_learn_stores(table);
	count_compare(false);
	store = count_store_of(set->relids[NVS_TABLE_JOBS]);
	return store != NULL && !store->spoiled;
}

/* Push a snapshot with what is known of a queue; false when it is not. */
static bool
count_push_known(NvsCountTable *table, const NvsTableSet *set, int32 queue,
				 int64 *counts)
{
	Oid			jobs = set->relids[NVS_TABLE_JOBS];
	int64		now = nvs_uptime();
	NvsCountedStore *store;
	NvsCountedQueue *counted;
	bool		known;
	int			i;

	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	store = count_find_store(table, jobs);
	counted = count_find(table, MyDatabaseId, jobs, queue, false);

	/* Of the present store, and not spoiled since it was counted. */
	known = store != NULL && counted != NULL && counted->valid &&
		counted->generation == store->generation;
	if (known)
	{
		store->used_at = counted->used_at = now;
		for (i = 0; i < NVS_COUNTS; i++)
			counts[i] = pg_atomic_read_u64(&counted->counts[i]);
		PushActiveSnapshot(GetLatestSnapshot());
		count_shown(table, jobs, queue, GetActiveSnapshot(), counts);
	}
	LWLockRelease(&table->lock);
	if (known)
		count_add_own(set, queue, 1, counts);
	return known;
}

/* Push a snapshot, count a queue by it, and have it be known from now on. */
static void
count_push_anew(NvsCountTable *table, const NvsTableSet *set, int32 queue,
				int64 *counts)
{
	uint64		token = count_begin(table, set, queue);

	count_by_query(set, queue, counts);
	if (token != 0)
		count_end(table, set, queue, token, counts);
}

/*
 * Begin to count a queue, by the snapshot that is pushed: what commits later is
 * added from here on.  Returns what the count ends with, 0 for one that will
 * not be known.
 */
static uint64
count_begin(NvsCountTable *table, const NvsTableSet *set, int32 queue)
{
	Oid			jobs = set->relids[NVS_TABLE_JOBS];
	int64		now = nvs_uptime();
	NvsCountedStore *store;
	NvsCountedQueue *counted;
	uint64		token = 0;
	int			i;

	/* With the lock held, the snapshot shows all that was added so far. */
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	store = count_find_store(table, jobs);
	if (store == NULL)
		store = count_add_store(table, set);
	PushActiveSnapshot(GetLatestSnapshot());
	if (count_oldest_xid(GetActiveSnapshot()) >= store->since)
		token = ++table->next_token;

	/* From here on others add, but for what the snapshot shows already. */
	counted = count_find(table, MyDatabaseId, jobs, queue, true);
	counted->generation = store->generation;
	counted->token = token;
	counted->valid = false;
	store->used_at = counted->used_at = now;
	for (i = 0; i < NVS_COUNTS; i++)
		pg_atomic_write_u64(&counted->counts[i], 0);
	count_shown(table, jobs, queue, GetActiveSnapshot(), NULL);
	LWLockRelease(&table->lock);
	return token;
}

/*
 * What those who are just committing told of a queue, and a snapshot shows:
 * added to counts, or marked as counted where that is NULL.  The lock is held
 * exclusively.
 */
static void
count_shown(NvsCountTable *table, Oid jobs, int32 queue,
			const Snapshot snapshot, int64 *counts)
{
	int			i;
	int			k;
	int			c;

	for (i = 0; i < nvs_shmem_slots(); i++)
	{
		NvsCountSlot *slot = &table->slots[i];

		if (!TransactionIdIsValid(slot->xid) ||
			slot->database != MyDatabaseId ||
			XidInMVCCSnapshot(slot->xid, snapshot) ||
			!TransactionIdDidCommit(slot->xid))
			continue;
		for (k = 0; k < slot->n; k++)
		{
			NvsCountDelta *delta = &slot->deltas[k];

			if (delta->jobs != jobs || delta->queue != queue)
				continue;
			if (counts == NULL)
				delta->counted = true;
			for (c = 0; !delta->counted && c < NVS_COUNTS; c++)
				counts[c] += delta->counts[c];
		}
	}
}

/* A queue was counted: that is known now, unless it was spoiled meanwhile. */
static void
count_end(NvsCountTable *table, const NvsTableSet *set, int32 queue,
		  uint64 token, const int64 *counts)
{
	Oid			jobs = set->relids[NVS_TABLE_JOBS];
	int64		others[NVS_COUNTS];
	NvsCountedStore *store;
	NvsCountedQueue *counted;
	int			i;

	memcpy(others, counts, sizeof(others));
	count_add_own(set, queue, -1, others);
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	store = count_find_store(table, jobs);
	counted = count_find(table, MyDatabaseId, jobs, queue, false);
	if (store != NULL && counted != NULL && counted->token == token &&
		counted->generation == store->generation)
	{
		for (i = 0; i < NVS_COUNTS; i++)
			pg_atomic_fetch_add_u64(&counted->counts[i], others[i]);
		counted->valid = true;
	}
	LWLockRelease(&table->lock);
}

/* Add what this transaction noted of a queue to counts, or take it away. */
static void
count_add_own(const NvsTableSet *set, int32 queue, int sign, int64 *counts)
{
	const NvsCountNote *note;
	int			i;
	int			k;
	int			c;

	for (i = 0; (note = nvs_note_get(i)) != NULL; i++)
		for (k = 0; k < NVS_COUNT_TABLES; k++)
			if (note->queue == queue &&
				note->relid == set->relids[count_tables[k]])
				for (c = 0; c < NVS_COUNTS; c++)
					counts[c] += sign * note->counts[c];
}

/* Count the rows of a queue under the active snapshot. */
static void
count_by_query(const NvsTableSet *set, int32 queue, int64 *counts)
{
	NvsParams	params;
	Datum		row[NVS_COUNTS];
	bool		isnull[NVS_COUNTS];
	int			i;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue), false);
	if (!nvs_execute_row(nvs_statement_plan(set->plans, &count_rows, &params,
											NULL),
						 &params, true, CurrentMemoryContext, NVS_COUNTS, row,
						 isnull))
		elog(ERROR, "unexpected result of counting");
	for (i = 0; i < NVS_COUNTS; i++)
		counts[i] = DatumGetInt64(row[i]);
}
