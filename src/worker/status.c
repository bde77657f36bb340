/*
 * worker/status.c
 *	  How the processes of a database do, as SQL shows it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "compat.h"
#include "base/guc.h"
#include "wakeup/jobs.h"
#include "wakeup/notify.h"
#include "wakeup/ring.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(nvs_worker_status);

/* Columns of nvent.worker_status(). */
enum
{
	STATUS_PRELOADED,
	STATUS_MODE,
	STATUS_NOTIFIER,
	STATUS_MAINTAINER,
	STATUS_HAS_UNSENT,
	STATUS_RING_BYTES,
	STATUS_RESYNCS,
	STATUS_WAITERS,
	STATUS_COLUMNS
};

static Datum status_pid(NvsDatabase *db, NvsProcessKind kind, bool *isnull);

/* nvent.worker_status() */
Datum
nvs_worker_status(PG_FUNCTION_ARGS)
{
	NvsDatabase *db = nvs_shmem_database();
	TupleDesc	desc;
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "unexpected result type");

	/* What can be said in any database, and without shared memory. */
	memset(nulls, db == NULL, sizeof(nulls));
	nulls[STATUS_PRELOADED] = false;
	values[STATUS_PRELOADED] = BoolGetDatum(nvs_worker_possible);
	nulls[STATUS_MODE] = false;
	values[STATUS_MODE] =
		CStringGetTextDatum(nvs_notify_name(nvs_notify_mode(-1)));

	/* What is known of this one. */
	if (db != NULL)
	{
		values[STATUS_NOTIFIER] = status_pid(db, NVS_NOTIFIER,
											 &nulls[STATUS_NOTIFIER]);
		values[STATUS_MAINTAINER] = status_pid(db, NVS_MAINTAINER,
											   &nulls[STATUS_MAINTAINER]);
		values[STATUS_HAS_UNSENT] = BoolGetDatum(nvs_shmem_is_untold(db));
		values[STATUS_RING_BYTES] = Int64GetDatum(nvs_ring_used(db));
		values[STATUS_RESYNCS] =
			Int64GetDatum(pg_atomic_read_u64(&db->resyncs));
		values[STATUS_WAITERS] =
			Int32GetDatum(pg_atomic_read_u32(&db->waiters) +
						  nvs_jobs_waiters());
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/* Process of a database's notifier or maintenance; NULL when there is none. */
static Datum
status_pid(NvsDatabase *db, NvsProcessKind kind, bool *isnull)
{
	uint32		number = pg_atomic_read_u32(&db->processes[kind].number);

	*isnull = number == 0;
	return *isnull ? (Datum) 0 :
		Int32GetDatum(GetPGProcByNumber(number - 1)->pid);
}
