/*
 * position/sequence.c
 *	  The sequence that positions are drawn from, nvent.position_seq.
 *
 * Shared memory knows the highest position drawn by nvent.next_position(), so
 * that the notifier need not read the sequence.  What others drew, by nextval,
 * is only in the sequence itself.
 *
 * No position is drawn twice, whatever readers hold as their cursors.  In a
 * crash they hold nothing that was not flushed, see nvs_sequence_last().  A
 * server that is promoted, or recovers to a point in time, may lack what its
 * predecessor drew, without a trace: it begins a new timeline, and before the
 * first draw on that the sequence jumps.  So it does in a database that was
 * restored from a dump.  nvent.position_timeline is a sequence, too, since it
 * has to be crash-safe but must not be rolled back: its value is the timeline
 * for which the sequence has jumped.
 *
 * What an administrator could do to the sequence is looked at before the first
 * draw and whenever it was altered.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/rmgr.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_class.h"
#include "catalog/pg_sequence.h"
#include "commands/sequence.h"
#include "common/int.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "base/identity.h"
#include "base/inval.h"
#include "position/internal.h"
#include "position/position.h"

/* How far the sequence jumps on a new timeline. */
#define TIMELINE_STEP	(INT64CONST(1) << 32)

/* OID of the sequence, InvalidOid when it is to be looked up. */
static Oid	sequence_relid = InvalidOid;

/* How often it may have been altered, and as of when it was looked at. */
static uint64 changes = 1;
static uint64 changes_seen = 0;

/* How far apart positions are, as of then. */
static int64 increment = 1;

/* The highest position that this process knows of in sequence highest_of. */
static int64 highest = 0;
static Oid	highest_of = InvalidOid;

static void sequence_relcache_callback(Datum arg, Oid relid);
static void sequence_syscache_callback(Datum arg, int cacheid,
									   uint32 hashvalue);
static Oid	sequence_get_relid(void);
static Form_pg_sequence_data sequence_data(Buffer buffer);
static int64 sequence_read(Oid relid, XLogRecPtr *logged);
static void sequence_check_options(Oid relid);
static void sequence_check_timeline(Oid relid);
static void sequence_jump(Oid relid);
static void sequence_set(Oid relid, int64 value);
static void sequence_check_published(Oid relid);
static bool sequence_raise(Oid relid, int64 highest);
static bool sequence_move(Oid relid, int64 highest);
static void sequence_log(Relation rel, Buffer buffer);
static int	sequence_take_logged(int64 *positions, int n);
pg_noreturn static void sequence_unfit(char *detail);
pg_noreturn static void sequence_moved_back(int64 position, int64 last);

/* Register the callbacks. */
void
nvs_sequence_init(void)
{
	nvs_inval_register(sequence_relcache_callback);
	CacheRegisterSyscacheCallback(SEQRELID, sequence_syscache_callback,
								  (Datum) 0);
}

/* The extension may have been dropped and made again. */
static void
sequence_relcache_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	if (relid != InvalidOid && relid != sequence_relid)
		return;
	sequence_relid = InvalidOid;
	changes++;
}

/* Some sequence was altered. */
static void
sequence_syscache_callback(Datum arg pg_attribute_unused(),
						   int cacheid pg_attribute_unused(),
						   uint32 hashvalue pg_attribute_unused())
{
	changes++;
}

/* OID of the sequence; raises 42P01 when there is none. */
static Oid
sequence_get_relid(void)
{
	if (!OidIsValid(sequence_relid))
		sequence_relid = nvs_registry_table("position_seq");
	return sequence_relid;
}

/*
 * Make sure that what is drawn from the sequence next is above all that was
 * drawn before, on whichever timeline; an error when it cannot be.  db is our
 * database in shared memory, NULL where there is none.
 */
void
nvs_sequence_prepare(NvsDatabase *db)
{
	uint64		changes_now = changes;
	Oid			relid;

	if (changes_now == changes_seen)
		return;
	relid = sequence_get_relid();
	sequence_check_options(relid);
	sequence_check_timeline(relid);
	if (db == NULL || db->sequence != relid)
		sequence_check_published(relid);
	if (highest_of != relid)
		highest = 0;
	highest_of = relid;
	changes_seen = changes_now;
}

/* Raise an error when the sequence would not give ascending positions. */
static void
sequence_check_options(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(relid));
	Form_pg_sequence form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for sequence %u", relid);
	form = (Form_pg_sequence) GETSTRUCT(tuple);
	if (form->seqcache != 1)
		sequence_unfit(psprintf("It has CACHE %lld: each session would draw "
								"from a range of its own.",
								(long long) form->seqcache));
	if (form->seqcycle)
		sequence_unfit("It has CYCLE: positions would begin again.");
	if (form->seqincrement <= 0)
		sequence_unfit(psprintf("It has INCREMENT %lld: positions would "
								"descend.", (long long) form->seqincrement));
	if (get_rel_persistence(relid) != RELPERSISTENCE_PERMANENT)
		sequence_unfit("It is unlogged: positions would begin again after a "
					   "crash.");
	increment = form->seqincrement;
	ReleaseSysCache(tuple);
}

/* Raise the error that the sequence cannot be drawn from. */
static void
sequence_unfit(char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("sequence nvent.position_seq cannot give positions"),
			 errdetail_internal("%s", detail),
			 errhint("Run ALTER SEQUENCE nvent.position_seq INCREMENT 1 "
					 "CACHE 1 NO CYCLE, and SET LOGGED.")));
}

/* Have the sequence jump if it has not on this timeline; one process does. */
static void
sequence_check_timeline(Oid relid)
{
	int64		timeline = GetWALInsertionTimeLine();
	Oid			marker = nvs_registry_table("position_timeline");

	if (sequence_read(marker, NULL) == timeline)
		return;
	/* Released as soon as it is done, which no rollback undoes. */
	LockRelationOid(marker, ShareUpdateExclusiveLock);
	if (sequence_read(marker, NULL) != timeline)
	{
		sequence_jump(relid);
		sequence_set(marker, timeline);
	}
	UnlockRelationOid(marker, ShareUpdateExclusiveLock);
}

/*
 * Have the sequence jump, unless nothing was ever drawn from it.  Who raises it
 * further meanwhile is not undone.
 */
static void
sequence_jump(Oid relid)
{
	int64		last = sequence_read(relid, NULL);
	int64		next;

	if (last == 0)
		return;
	if (pg_add_s64_overflow(last, TIMELINE_STEP, &next))
		ereport(ERROR,
				(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
				 errmsg("there are no positions left for a new timeline"),
				 errdetail("The last one was %lld.", (long long) last)));
	(void) sequence_raise(relid, next);
}

/* setval() of one of our sequences, as the extension's owner. */
static void
sequence_set(Oid relid, int64 value)
{
	NvsIdentity saved;

	nvs_become_owner(&saved);
	(void) DirectFunctionCall2(setval_oid, ObjectIdGetDatum(relid),
							   Int64GetDatum(value));
	nvs_become_caller(&saved);
}

/*
 * Have all positions that are drawn from now on be above this one, which is
 * not undone by a rollback; true if that took anything.  Waits for nobody who
 * draws, and keeps nobody waiting.
 */
bool
nvs_position_raise(int64 highest)
{
	Oid			relid = sequence_get_relid();

	sequence_check_options(relid);
	return sequence_raise(relid, highest);
}

/* Raise the sequence, if it is below; an error when none would be left. */
static bool
sequence_raise(Oid relid, int64 highest)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(relid));
	Form_pg_sequence form;
	int64		last;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for sequence %u", relid);
	form = (Form_pg_sequence) GETSTRUCT(tuple);
	last = form->seqmax - form->seqincrement;
	ReleaseSysCache(tuple);
	if (highest > last)
		ereport(ERROR,
				(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
				 errmsg("there are no positions left above %lld",
						(long long) highest),
				 errdetail("Sequence nvent.position_seq has none above %lld.",
						   (long long) last)));
	return sequence_move(relid, highest);
}

/*
 * Move the sequence up to a position; false if it is there.  Comparing and
 * moving are one, under the lock of the page, as with setval() they would not
 * be.  The sequence stays locked as by nextval().
 */
static bool
sequence_move(Oid relid, int64 highest)
{
	Relation	rel = relation_open(relid, RowExclusiveLock);
	Buffer		buffer = ReadBuffer(rel, 0);
	Form_pg_sequence_data data;
	bool		moves;

	/* A commit is to flush what is written here; not to be had below. */
	(void) GetTopTransactionId();
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	data = sequence_data(buffer);
	moves = highest > (data->is_called ? data->last_value :
					   data->last_value - 1);
	if (moves)
	{
		START_CRIT_SECTION();
		MarkBufferDirty(buffer);
		data->last_value = highest;
		data->is_called = true;
		data->log_cnt = 0;
		if (RelationNeedsWAL(rel))
			sequence_log(rel, buffer);
		END_CRIT_SECTION();
	}
	UnlockReleaseBuffer(buffer);
	relation_close(rel, NoLock);
	return moves;
}

/*
 * Log a sequence's page, which is locked, as nextval() does.  Before the lock
 * goes: whoever reads the page takes its place in the log for how far that has
 * to be flushed lest its value be drawn again.
 */
static void
sequence_log(Relation rel, Buffer buffer)
{
	Page		page = BufferGetPage(buffer);
	ItemId		id = PageGetItemId(page, FirstOffsetNumber);
	xl_seq_rec	record;
	XLogRecPtr	logged;

	XLogBeginInsert();
	XLogRegisterBuffer(0, buffer, REGBUF_WILL_INIT);
	nvs_set_sequence_locator(&record, rel);
	XLogRegisterData((char *) &record, sizeof(record));
	XLogRegisterData((char *) PageGetItem(page, id), ItemIdGetLength(id));
	logged = XLogInsert(RM_SEQ_ID, XLOG_SEQ_LOG);
	PageSetLSN(page, logged);
}

/* Raise an error when readers may be beyond the end of the sequence. */
static void
sequence_check_published(Oid relid)
{
	int64		published = nvs_published_position_highest();
	int64		last = sequence_read(relid, NULL);

	if (last < published)
		sequence_moved_back(last + 1, published);
}

/*
 * Draw n positions, in ascending order, and tell shared memory, db, of them, if
 * there is any.  The low-water mark must be published.
 */
void
nvs_sequence_draw(NvsDatabase *db, int64 *positions, int n)
{
	int			i = 0;
	uint64		drawn;

	/*
	 * What is below our mark, or below one that we drew, readers may have
	 * passed.
	 */
	while (i < n)
	{
		int64		last = Max(highest, nvs_low_water_mark_last() - 1);
		int64		position = nextval_internal(sequence_get_relid(), false);
		int			taken;

		if (position <= last)
			sequence_moved_back(position, last);
		highest = position;
		positions[i++] = position;

		/* It is locked now, for the transaction: nobody alters it. */
		nvs_sequence_prepare(db);

		/* As many more as the log has by now, without a call for each. */
		taken = sequence_take_logged(positions + i, n - i);
		if (taken > 0 && positions[i] <= position)
			sequence_moved_back(positions[i], position);
		i += taken;
		highest = positions[i - 1];
	}

	/* The highest that anybody drew: another session may be further. */
	if (db == NULL)
		return;
	drawn = pg_atomic_read_u64(&db->drawn);
	while (drawn < (uint64) highest &&
		   !pg_atomic_compare_exchange_u64(&db->drawn, &drawn, highest))
		;
}

/*
 * Draw at most n positions that the log has already: whenever nextval() writes
 * to it, that is for 32 more than it draws.  These it counts in the sequence's
 * page alone, and so do we, as many as there are at once.  Returns how many:
 * none where a checkpoint has begun since, after which nextval() has to write.
 * This transaction has drawn from the sequence by nextval(), hence locked it.
 */
static int
sequence_take_logged(int64 *positions, int n)
{
	Relation	rel;
	Buffer		buffer;
	Form_pg_sequence_data data;
	int			i;

	if (n == 0)
		return 0;

	rel = relation_open(sequence_get_relid(), NoLock);
	buffer = ReadBuffer(rel, 0);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	data = sequence_data(buffer);
	n = Min(n, data->log_cnt);

	/* Marked before we look: a checkpoint that begins later writes it. */
	MarkBufferDirty(buffer);
	if (!data->is_called ||
		PageGetLSN(BufferGetPage(buffer)) <= GetRedoRecPtr())
		n = 0;

	/*
	 * Drawn by counting, in the page alone, as nextval() does between two
	 * records.
	 */
	for (i = 0; i < n; i++)
		positions[i] = data->last_value + (i + 1) * increment;
	if (n > 0)
	{
		data->last_value = positions[n - 1];
		data->log_cnt -= n;
	}
	UnlockReleaseBuffer(buffer);
	relation_close(rel, NoLock);
	return n;
}

/*
 * Raise the error that somebody has moved the sequence back: readers may have
 * passed the position that is drawn next, last being one that was drawn.
 */
static void
sequence_moved_back(int64 position, int64 last)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("sequence nvent.position_seq was moved back"),
			 errdetail("It is at %lld, and %lld was drawn before: readers "
					   "that have passed it would not get the event.",
					   (long long) position, (long long) last),
			 errhint("Run SELECT setval('nvent.position_seq', %lld).",
					 (long long) last)));
}

/*
 * The highest position that has been drawn, straight from the sequence.
 * *logged, unless logged is NULL, is up to where the write-ahead log has to be
 * flushed lest the position be drawn again after a crash.
 */
int64
nvs_sequence_last(XLogRecPtr *logged)
{
	return sequence_read(sequence_get_relid(), logged);
}

/*
 * The highest position that a reader may have got, here or on a server that
 * this one has followed.
 */
int64
nvs_sequence_reach(void)
{
	Oid			marker = nvs_registry_table("position_timeline");
	int64		last = nvs_sequence_last(NULL);
	int64		reach;

	/* Where nothing was drawn, the sequence does not jump either. */
	if (last == 0 ||
		sequence_read(marker, NULL) == (int64) GetWALInsertionTimeLine())
		return last;
	return pg_add_s64_overflow(last, TIMELINE_STEP, &reach) ?
		PG_INT64_MAX : reach;
}

/* What a sequence's page, which is locked, says. */
static Form_pg_sequence_data
sequence_data(Buffer buffer)
{
	Page		page = BufferGetPage(buffer);
	ItemId		id = PageGetItemId(page, FirstOffsetNumber);
	HeapTupleHeader row = (HeapTupleHeader) PageGetItem(page, id);

	return (Form_pg_sequence_data) ((char *) row + row->t_hoff);
}

/*
 * The last value of a sequence, 0 when there is none yet; *logged, unless it is
 * NULL, is up to where the log has been written for it.
 */
static int64
sequence_read(Oid relid, XLogRecPtr *logged)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	Buffer		buffer = ReadBuffer(rel, 0);
	Form_pg_sequence_data data;
	int64		last;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	data = sequence_data(buffer);
	last = data->is_called ? data->last_value : data->last_value - 1;
	if (logged != NULL)
		*logged = PageGetLSN(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	relation_close(rel, AccessShareLock);
	return last;
}

/*
 * Have shared memory know the highest position drawn: after a server start,
 * and when the sequence is another one than before.
 */
void
nvs_sequence_seed(NvsDatabase *db)
{
	Oid			relid = sequence_get_relid();
	int64		last;

	if (db->sequence == relid)
		return;
	last = nvs_sequence_last(NULL);
	SpinLockAcquire(&db->mutex);
	if (db->sequence != relid)
	{
		pg_atomic_write_u64(&db->drawn, last);
		db->sequence = relid;
	}
	SpinLockRelease(&db->mutex);
}
