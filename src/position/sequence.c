/*
 * position/sequence.c
 *	  The sequence that positions are drawn from, nvent.position_seq.
 *
 * Shared memory knows the highest position drawn by nvent.next_position(), so
 * that the worker need not read the sequence.  What others drew, by nextval(),
 * is only in the sequence itself.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "commands/sequence.h"
#include "storage/bufmgr.h"
#include "utils/inval.h"

#include "compat.h"
#include "base/identity.h"
#include "position/internal.h"

/* OID of the sequence, InvalidOid when it is to be looked up. */
static Oid	sequence_relid = InvalidOid;

static void sequence_relcache_callback(Datum arg, Oid relid);
static Oid	sequence_get_relid(void);
pg_noreturn static void sequence_moved_back(int64 position);

/* Register the callback. */
void
nvs_sequence_init(void)
{
	CacheRegisterRelcacheCallback(sequence_relcache_callback, (Datum) 0);
}

/* The extension may have been dropped and made again. */
static void
sequence_relcache_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	if (relid == InvalidOid || relid == sequence_relid)
		sequence_relid = InvalidOid;
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
 * Draw a position, and tell shared memory, db, of it, if there is any.  The
 * low-water mark must be published.
 */
int64
nvs_sequence_next(NvsDatabase *db)
{
	int64		position = nextval_internal(sequence_get_relid(), false);
	uint64		drawn;

	if (position < nvs_low_water_mark_last())
		sequence_moved_back(position);
	if (db == NULL)
		return position;
	drawn = pg_atomic_read_u64(&db->drawn);
	while (drawn < (uint64) position &&
		   !pg_atomic_compare_exchange_u64(&db->drawn, &drawn, position))
		;
	return position;
}

/*
 * Raise the error that somebody has moved the sequence back: readers may have
 * passed the position that was drawn.
 */
static void
sequence_moved_back(int64 position)
{
	int64		last = nvs_low_water_mark_last() - 1;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("sequence nvent.position_seq was moved back"),
			 errdetail("Position %lld was drawn after %lld, and readers that "
					   "have passed it would never get its event.",
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
	Relation	rel = relation_open(sequence_get_relid(), AccessShareLock);
	Buffer		buffer = ReadBuffer(rel, 0);
	Form_pg_sequence_data data;
	HeapTupleHeader row;
	Page		page;
	int64		last;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	row = (HeapTupleHeader) PageGetItem(page,
										PageGetItemId(page,
													  FirstOffsetNumber));
	data = (Form_pg_sequence_data) ((char *) row + row->t_hoff);
	last = data->is_called ? data->last_value : data->last_value - 1;
	if (logged != NULL)
		*logged = PageGetLSN(page);
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
