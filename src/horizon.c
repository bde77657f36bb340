/*
 * horizon.c
 *	  Positions of events, and up to which of them everything is settled.
 *
 * A position is drawn before its row can be seen, so a reader that follows by
 * position must not pass one that may still appear.  An appender publishes a
 * floor before it draws: none of its positions is at or below the floor.  The
 * floor is a transaction-level advisory lock whose tag is the number; it goes
 * with the transaction, after its rows have become visible, and stays with a
 * prepared one.  What lies at or below every floor is settled.
 *
 * The floor is itself drawn from the sequence: a reader that noted the
 * sequence before the floor was there meets only positions above its note.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "compat.h"
#include "fmgr.h"
#include "horizon.h"
#include "miscadmin.h"
#include "plan.h"
#include "storage/lock.h"
#include "util.h"
#include "utils/inval.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(nvs_next_position_sql);
PG_FUNCTION_INFO_V1(nvs_safe_position_sql);

static Oid	sequence_relid = InvalidOid;

/* Transaction whose floor is published; its top-level local id. */
static LocalTransactionId floor_lxid = InvalidLocalTransactionId;

static SPIPlanPtr last_value_plan = NULL;

static void sequence_callback(Datum arg, Oid relid);
static void publish_floor(void);
static int64 last_position(void);

/* Register the callback that forgets the sequence's OID. */
void
nvs_horizon_init(void)
{
	CacheRegisterRelcacheCallback(sequence_callback, (Datum) 0);
}

/* The extension may have been dropped and made again. */
static void
sequence_callback(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == sequence_relid)
		sequence_relid = InvalidOid;
}

/* Draw a position for a row that this transaction inserts. */
int64
nvs_next_position(void)
{
	if (!OidIsValid(sequence_relid))
		sequence_relid = nvs_registry_table("position_seq");
	if (floor_lxid != nvs_transaction_id())
		publish_floor();
	return nextval_internal(sequence_relid, false);
}

/*
 * Publish this transaction's floor.  A rollback to a savepoint would release
 * a lock taken inside it, but not undo positions drawn before: floors are
 * therefore owned by the top-level transaction.
 */
static void
publish_floor(void)
{
	ResourceOwner old = CurrentResourceOwner;
	int64		floor = nextval_internal(sequence_relid, false);

	CurrentResourceOwner = TopTransactionResourceOwner;
	nvs_lock(NVS_LOCK_FLOOR, (uint64) floor, ExclusiveLock);
	CurrentResourceOwner = old;
	floor_lxid = nvs_transaction_id();
}

/* The highest position that has been drawn. */
static int64
last_position(void)
{
	NvsIdentity saved;
	bool		isnull;
	int64		result;

	nvs_become_owner(&saved);
	if (last_value_plan == NULL)
		last_value_plan = nvs_plan_prepare(
			"SELECT CASE WHEN is_called THEN last_value "
			"ELSE last_value OPERATOR(pg_catalog.-) 1 END "
			"FROM nvent.position_seq", 0, NULL, 0);
	nvs_plan_execute(last_value_plan, NULL, NULL, true, 1);
	result = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	nvs_become_caller(&saved);
	return result;
}

/*
 * The position at or below which everything is settled: read it first, take
 * a snapshot after that, then read rows up to it.  Needs SPI.
 */
int64
nvs_safe_position(void)
{
	int64		safe = last_position();
	LockData   *locks = GetLockStatusData();
	int			i;

	for (i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];
		int64		floor;

		if (lock->locktag.locktag_type != LOCKTAG_ADVISORY ||
			lock->locktag.locktag_field1 != MyDatabaseId ||
			lock->locktag.locktag_field4 != NVS_LOCK_FLOOR)
			continue;
		floor = (int64) (((uint64) lock->locktag.locktag_field2 << 32) |
						 lock->locktag.locktag_field3);
		if (floor - 1 < safe)
			safe = floor - 1;
	}
	return safe;
}

/* nvent.next_position() */
Datum
nvs_next_position_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(nvs_next_position());
}

/* nvent.safe_position() */
Datum
nvs_safe_position_sql(PG_FUNCTION_ARGS)
{
	int64		safe;

	nvs_spi_begin();
	safe = nvs_safe_position();
	nvs_spi_end();
	PG_RETURN_INT64(safe);
}
