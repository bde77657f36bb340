/*
 * wakeup/jobs.c
 *	  Sessions that wait for jobs, and waking them.
 *
 * A session says in shared memory which queue it waits for, then looks for
 * jobs, and sleeps when there is none.  Whoever commits jobs wakes as many
 * sessions as there are jobs, by himself: one that is not waited for costs him
 * a look at a counter, and no other process comes between.  A job can be
 * fetched as soon as it is committed, whatever positions are settled.
 *
 * Nothing is lost between looking and sleeping: a job that the session's
 * snapshot does not show yet is committed when the session has long said what
 * it waits for.  Who is woken and leaves without a look wakes another.
 *
 * Of the sessions that wait for a queue one keeps time: it knows when the next
 * of its jobs comes due, and looks then; when it leaves, it wakes another,
 * which keeps time from then on.  Who commits something that comes due wakes
 * it if it would look too late.
 *
 * What a transaction did is noted with the subtransaction that did it.  One
 * that is rolled back hands back what it took, and what others passed over
 * since it had rows locked.  A prepared transaction tells nobody: its end has
 * everybody look (worker/utility.c).  Everybody looks every few seconds anyway,
 * so that nobody misses what was done by hand.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "position/shmem.h"
#include "position/xact.h"
#include "wakeup/jobs.h"
#include "wakeup/wait.h"

/* Queues of which a transaction notes what it did; of more it wakes all. */
#define MAX_NOTES	32

/* No more sessions are woken at once. */
#define MAX_WOKEN	(1 << 20)

/* What this transaction did to a queue, at one nesting level. */
typedef struct JobsNote
{
	uint64		queue;
	int			level;
	int			ready;			/* jobs that can be fetched once we commit */
	int			taken;			/* that can if we do not */
	TimestampTz due_at;			/* when the next comes due; 0: none does */
} JobsNote;

static JobsNote notes[MAX_NOTES];
static int	nnotes = 0;
static bool note_all = false;

/* Which queue this session waits for; 0: for none. */
static uint64 my_queue = 0;

/* Does it keep time? */
static bool keeps_time = false;

static NvsJobWaiter *jobs_mine(void);
static JobsNote *jobs_note_of(uint64 queue);
static void jobs_wake(uint64 queue, int n);
static bool jobs_wake_one(int number, uint64 queue);
static void jobs_wake_for(uint64 queue, TimestampTz due_at);
static bool jobs_anybody_waits(void);
static void jobs_merge_level(int level);
static void jobs_undo_level(int level);
static void jobs_after_locks(const NvsXactEnd *end);
static void jobs_committed(void);
static void jobs_rolled_back(void);

/* Hand over what is to be done when transactions end. */
void
nvs_jobs_init(void)
{
	static const NvsXactHandlers handlers = {
		.after_locks = jobs_after_locks,
		.before_subcommit = jobs_merge_level,
		.after_subabort = jobs_undo_level
	};

	nvs_xact_register(&handlers);
}

/* What stands for a queue here: by the table of its jobs and its number. */
uint64
nvs_jobs_queue(Oid relid, int32 number)
{
	uint32		parts[3] = {MyDatabaseId, relid, (uint32) number};

	return hash_bytes_extended((const unsigned char *) parts, sizeof(parts),
							   0) | 1;
}

/* This session's entry in shared memory. */
static NvsJobWaiter *
jobs_mine(void)
{
	return nvs_shmem_job_waiter(nvs_my_proc_number());
}

/*
 * Say which queue this session waits for, until nvs_jobs_wait_end(): by then it
 * has to look once more.  False without shared memory, or when it waits for
 * something already, further up in the same call: then it is not woken.
 */
bool
nvs_jobs_wait_begin(uint64 queue)
{
	if (my_queue != 0 || !nvs_shmem_available() ||
		nvs_shmem_my_slot() == NULL)
		return false;
	my_queue = queue;
	pg_atomic_write_u32(&jobs_mine()->database, MyDatabaseId);
	pg_atomic_fetch_add_u32(nvs_shmem_job_waiters(), 1);
	nvs_jobs_wait_again();
	return true;
}

/*
 * To be called before this session looks for jobs: it is then woken only for
 * those that come later.
 */
void
nvs_jobs_wait_again(void)
{
	keeps_time = false;
	pg_atomic_write_u64(&jobs_mine()->looks_at, 0);
	pg_atomic_write_u64(&jobs_mine()->queue, my_queue);
	pg_memory_barrier();
}

/*
 * Wait for this queue.  True when it was another so far: then this session has
 * to look once more.
 */
bool
nvs_jobs_wait_for(uint64 queue)
{
	if (my_queue == queue)
		return false;
	my_queue = queue;
	nvs_jobs_wait_again();
	return true;
}

/* Has somebody woken this session since? */
bool
nvs_jobs_is_woken(void)
{
	return pg_atomic_read_u64(&jobs_mine()->queue) == 0;
}

/*
 * Keep time, unless another session does: true when it is up to us to find out
 * when something comes due.
 */
bool
nvs_jobs_keep_time(void)
{
	int			n = nvs_shmem_slots();
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsJobWaiter *waiter = nvs_shmem_job_waiter(i);

		if (pg_atomic_read_u64(&waiter->queue) == my_queue &&
			pg_atomic_read_u64(&waiter->looks_at) != 0)
			return false;
	}

	/* Until we have found out, whatever comes due has us look again. */
	keeps_time = true;
	pg_atomic_write_u64(&jobs_mine()->looks_at, PG_INT64_MAX);
	pg_memory_barrier();
	return true;
}

/* Say when this session, which keeps time, is going to look. */
void
nvs_jobs_keep_time_until(TimestampTz at)
{
	pg_atomic_write_u64(&jobs_mine()->looks_at, at);
}

/*
 * This session waits no more.  What it was woken for and did not look for, and
 * its keeping time, are another's from here on.  Does not raise.
 */
void
nvs_jobs_wait_end(bool failed)
{
	NvsJobWaiter *mine;
	uint64		queue = my_queue;

	if (queue == 0)
		return;
	mine = jobs_mine();
	my_queue = 0;
	if (pg_atomic_exchange_u64(&mine->queue, 0) == 0)
		failed = true;
	pg_atomic_write_u64(&mine->looks_at, 0);
	pg_atomic_write_u32(&mine->database, InvalidOid);
	pg_atomic_fetch_sub_u32(nvs_shmem_job_waiters(), 1);
	if (failed || keeps_time)
		jobs_wake(queue, 1);
	keeps_time = false;
}

/*
 * The note of a queue at this nesting level; NULL when there is no room, or
 * nobody who could be woken.
 */
static JobsNote *
jobs_note_of(uint64 queue)
{
	int			level = GetCurrentTransactionNestLevel();
	int			i;

	/* When the transaction is over it is too late to ask for memory. */
	if (!nvs_shmem_available())
		return NULL;
	for (i = nnotes - 1; i >= 0; i--)
		if (notes[i].queue == queue && notes[i].level == level)
			return &notes[i];
	if (nnotes == MAX_NOTES)
	{
		note_all = true;
		return NULL;
	}
	memset(&notes[nnotes], 0, sizeof(JobsNote));
	notes[nnotes].queue = queue;
	notes[nnotes].level = level;
	return &notes[nnotes++];
}

/* Note that this transaction may lock rows of a queue. */
void
nvs_jobs_note(uint64 queue)
{
	nvs_jobs_note_taken(queue, 0);
}

/* Note that so many jobs can be fetched once this transaction commits. */
void
nvs_jobs_note_ready(uint64 queue, int n)
{
	JobsNote   *note = jobs_note_of(queue);

	if (note != NULL)
		note->ready = Min(note->ready + n, MAX_WOKEN);
}

/* Note that something comes due then, once this transaction commits. */
void
nvs_jobs_note_due(uint64 queue, TimestampTz at)
{
	JobsNote   *note = jobs_note_of(queue);

	if (note != NULL && (note->due_at == 0 || note->due_at > at))
		note->due_at = at;
}

/* Note that so many jobs can be fetched by others if we are rolled back. */
void
nvs_jobs_note_taken(uint64 queue, int n)
{
	JobsNote   *note = jobs_note_of(queue);

	if (note != NULL)
		note->taken = Min(note->taken + n, MAX_WOKEN);
}

/* Note that what is said of queues changes: all have to look. */
void
nvs_jobs_note_all(void)
{
	note_all = nvs_shmem_available();
}

/* Forget what was noted at this nesting level, which is to be rolled back. */
void
nvs_jobs_forget(void)
{
	int			level = GetCurrentTransactionNestLevel();

	while (nnotes > 0 && notes[nnotes - 1].level >= level)
		nnotes--;
}

/* Does anybody wait?  What he is to find must have been written before. */
static bool
jobs_anybody_waits(void)
{
	if (!nvs_shmem_available())
		return false;
	pg_memory_barrier();
	return pg_atomic_read_u32(nvs_shmem_job_waiters()) != 0;
}

/*
 * Wake so many of those who wait for a queue, and who keeps time as the last.
 * Does not raise.
 */
static void
jobs_wake(uint64 queue, int n)
{
	int			slots = nvs_shmem_slots();
	int			pass;
	int			i;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < slots && n > 0; i++)
		{
			NvsJobWaiter *waiter = nvs_shmem_job_waiter(i);

			if (pg_atomic_read_u64(&waiter->queue) == queue &&
				(pass == 1 || pg_atomic_read_u64(&waiter->looks_at) == 0) &&
				jobs_wake_one(i, queue))
				n--;
		}
}

/* Wake a session; false when another has done so. */
static bool
jobs_wake_one(int number, uint64 queue)
{
	NvsJobWaiter *waiter = nvs_shmem_job_waiter(number);

	if (!pg_atomic_compare_exchange_u64(&waiter->queue, &queue, 0))
		return false;
	nvs_shmem_wake_process(number);
	return true;
}

/*
 * Have somebody look for a queue's jobs by this time, which everybody does when
 * it is far enough.  Does not raise.
 */
static void
jobs_wake_for(uint64 queue, TimestampTz due_at)
{
	int			slots = nvs_shmem_slots();
	int			late = -1;
	int			i;

	if (due_at > TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											 NVS_NAP_WOKEN))
		return;
	for (i = 0; i < slots; i++)
	{
		NvsJobWaiter *waiter = nvs_shmem_job_waiter(i);
		TimestampTz at;

		if (pg_atomic_read_u64(&waiter->queue) != queue)
			continue;
		at = pg_atomic_read_u64(&waiter->looks_at);
		if (at != 0 && at <= due_at)
			return;
		if (at != 0)
			late = i;
	}
	if (late < 0 || !jobs_wake_one(late, queue))
		jobs_wake(queue, 1);
}

/* Have all look who wait for jobs of this database.  Does not raise. */
void
nvs_jobs_wake_all(void)
{
	int			slots;
	int			i;

	if (!jobs_anybody_waits())
		return;
	slots = nvs_shmem_slots();
	for (i = 0; i < slots; i++)
	{
		NvsJobWaiter *waiter = nvs_shmem_job_waiter(i);
		uint64		queue = pg_atomic_read_u64(&waiter->queue);

		if (queue != 0 &&
			pg_atomic_read_u32(&waiter->database) == MyDatabaseId)
			(void) jobs_wake_one(i, queue);
	}
}

/* How many sessions wait for jobs of this database. */
int
nvs_jobs_waiters(void)
{
	int			count = 0;
	int			i;

	if (jobs_anybody_waits())
		for (i = 0; i < nvs_shmem_slots(); i++)
			if (pg_atomic_read_u32(&nvs_shmem_job_waiter(i)->database) ==
				MyDatabaseId)
				count++;
	return count;
}

/* What was noted at a nesting level is its parent's from now on. */
static void
jobs_merge_level(int level)
{
	int			i;

	while (nnotes > 0 && notes[nnotes - 1].level >= level)
	{
		JobsNote	mine = notes[nnotes - 1];

		for (i = nnotes - 2; i >= 0; i--)
			if (notes[i].queue == mine.queue && notes[i].level == level - 1)
				break;
		if (i < 0)
		{
			/* All of this level are behind those of its parent. */
			for (i = nnotes - 1; i > 0 && notes[i - 1].level >= level; i--)
				notes[i] = notes[i - 1];
			notes[i] = mine;
			notes[i].level = level - 1;
			continue;
		}
		notes[i].ready = Min(notes[i].ready + mine.ready, MAX_WOKEN);
		notes[i].taken = Min(notes[i].taken + mine.taken, MAX_WOKEN);
		if (mine.due_at != 0 &&
			(notes[i].due_at == 0 || notes[i].due_at > mine.due_at))
			notes[i].due_at = mine.due_at;
		nnotes--;
	}
}

/* A subtransaction is gone: hand back what it took.  Does not raise. */
static void
jobs_undo_level(int level)
{
	bool		anybody = nnotes > 0 && jobs_anybody_waits();

	while (nnotes > 0 && notes[nnotes - 1].level >= level)
	{
		nnotes--;
		if (anybody)
			jobs_wake(notes[nnotes].queue, notes[nnotes].taken + 1);
	}
}

/* The transaction is over.  Does not raise. */
static void
jobs_after_locks(const NvsXactEnd *end)
{
	if ((nnotes > 0 || note_all) && jobs_anybody_waits())
	{
		if (note_all && end->outcome != NVS_XACT_PREPARED)
			nvs_jobs_wake_all();
		else if (end->outcome == NVS_XACT_COMMITTED)
			jobs_committed();
		else if (end->outcome == NVS_XACT_ABORTED)
			jobs_rolled_back();
	}
	nnotes = 0;
	note_all = false;
}

/* Wake whom the notes are for. */
static void
jobs_committed(void)
{
	int			i;

	for (i = 0; i < nnotes; i++)
	{
		if (notes[i].ready > 0)
			jobs_wake(notes[i].queue, notes[i].ready);
		if (notes[i].due_at != 0)
			jobs_wake_for(notes[i].queue, notes[i].due_at);
	}
}

/* Wake those to whom it is handed back what this transaction took. */
static void
jobs_rolled_back(void)
{
	int			i;

	for (i = 0; i < nnotes; i++)
		jobs_wake(notes[i].queue, notes[i].taken + 1);
}
