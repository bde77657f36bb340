/*
 * schedule/run.c
 *	  Runs of schedules that are due: an event or a job each.
 *
 * A run is what schedule/fire.c does and the move of next_run_at, both or
 * neither, while the row is locked; others pass over it, so that any number of
 * sessions may do this at once, and each time that is due is run by one of
 * them.  A run has a subtransaction of its own, that one that fails keeps no
 * other from its turn.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/arg.h"
#include "base/guc.h"
#include "base/time.h"
#include "route/foreign_code.h"
#include "schedule/internal.h"
#include "schedule/schedule.h"
#include "store/store.h"

/* In SQL, when a run of schedule t was last tried in vain. */
#define TRIED_AT	"(t.config OPERATOR(pg_catalog.->) 'triedAt')"

/* Runs that one call may make. */
#define MAX_RUNS	10000

PG_FUNCTION_INFO_V1(nvs_schedule_run);

static bool schedule_is_usable(const NvsStore *store);
static void schedule_find_due(NvsSchedulePass *pass);
static bool schedule_try(NvsSchedulePass *pass, NvsDueSchedule *schedule);
static bool schedule_step(NvsSchedulePass *pass, NvsDueSchedule *schedule);
static bool schedule_skip(const NvsTiming *timing, NvsDueSchedule *schedule,
						  int64 now, bool *has_next);
static void schedule_check_authors(const NvsSchedulePass *pass);
static void schedule_move(NvsSchedulePass *pass,
						  const NvsDueSchedule *schedule, bool has_next,
						  int64 ran);
static bool schedule_is_passing(int sqlerrcode);
static void schedule_failed(NvsSchedulePass *pass,
							const NvsDueSchedule *schedule,
							const ErrorData *error);
static void schedule_collect(TupleTableSlot *slot, void *arg);

/*
 * $1 now, $2 how many: those first that were due first, or were tried in vain
 * the longest ago.  A row may have anything for when that was.
 */
static const NvsStatement schedule_due = {
	"SELECT t.job_id::pg_catalog.text, t.cron::pg_catalog.text, "
	"COALESCE(t.timezone, 'UTC')::pg_catalog.text, "
	"t.interval::pg_catalog.int8, t.next_run_at::pg_catalog.int8, "
	"t.config OPERATOR(pg_catalog.->>) 'subject', "
	"t.config OPERATOR(pg_catalog.->) 'event', "
	"COALESCE(t.config OPERATOR(pg_catalog.->>) 'missed', 'once'), "
	"COALESCE(t.config OPERATOR(pg_catalog.->>) 'graceMs', '60000'), "
	"t.config OPERATOR(pg_catalog.->>) 'queue', "
	"t.config OPERATOR(pg_catalog.->) 'job', t.authors "
	"FROM {scheduler_jobs} AS t "
	"WHERE t.status OPERATOR(pg_catalog.=) 'pending' AND t.enabled "
	"AND t.next_run_at OPERATOR(pg_catalog.<=) $1 "
	"AND " NVS_IS_SCHEDULE("t") " "
	"ORDER BY CASE WHEN pg_catalog.jsonb_typeof(" TRIED_AT ") "
	"OPERATOR(pg_catalog.=) 'number' "
	"THEN GREATEST(t.next_run_at::pg_catalog.numeric, "
	"LEAST(" TRIED_AT "::pg_catalog.numeric, $1::pg_catalog.numeric)) "
	"ELSE t.next_run_at::pg_catalog.numeric END "
	"LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED"
};

/* $1 name, $2 when it was tried in vain, in milliseconds. */
static const NvsStatement schedule_set_tried = {
	"UPDATE {scheduler_jobs} AS t SET config = t.config "
	"OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('triedAt', $2), "
	"version = t.version OPERATOR(pg_catalog.+) 1, "
	"updated_at = pg_catalog.now() WHERE t.job_id OPERATOR(pg_catalog.=) $1"
};

/* $1 name, $2 next_run_at, $3 last_run_at or NULL to leave it. */
static const NvsStatement schedule_set_next = {
	"UPDATE {scheduler_jobs} AS t SET next_run_at = $2, "
	"last_run_at = COALESCE($3, t.last_run_at), "
	"status = CASE WHEN $2 IS NULL THEN 'completed' ELSE t.status END, "
	"version = t.version OPERATOR(pg_catalog.+) 1, "
	"updated_at = pg_catalog.now() WHERE t.job_id OPERATOR(pg_catalog.=) $1"
};

/* $1 name, $2 the error. */
static const NvsStatement schedule_set_failed = {
	"UPDATE {scheduler_jobs} AS t SET status = 'failed', "
	"config = t.config OPERATOR(pg_catalog.||) "
	"pg_catalog.jsonb_build_object('error', $2), "
	"version = t.version OPERATOR(pg_catalog.+) 1, "
	"updated_at = pg_catalog.now() WHERE t.job_id OPERATOR(pg_catalog.=) $1"
};

/* nvent.schedule_run(store, max_count): how many runs it made. */
Datum
nvs_schedule_run(PG_FUNCTION_ARGS)
{
	int64		made;
	int32		max_count;
	NvsIdentity saved;
	bool		lent;
	const char *prefix = PG_ARGISNULL(0) ? nvs_default_store :
		text_to_cstring(PG_GETARG_TEXT_PP(0));

	NVS_REQUIRE_ARG(1, "max_count");
	max_count = PG_GETARG_INT32(1);
	if (max_count < 0 || max_count > MAX_RUNS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_count\" must be from 0 to %d",
						MAX_RUNS),
				 errdetail("It is %d.", max_count)));
	PreventCommandIfReadOnly("nvent.schedule_run()");
	nvs_spi_begin();
	lent = nvs_store_act_as_owner(nvs_store_require(prefix), &saved);
	made = nvs_schedule_pass(prefix, max_count);
	if (lent)
		nvs_become_caller(&saved);
	nvs_spi_end();
	PG_RETURN_INT64(made);
}

/*
 * Make at most so many of the runs that are due in a store, those first that
 * were due first, as whoever we are; returns how many were made.  Nothing is
 * done, and nothing locked, for who may not change schedules, or where the
 * store is gone.  Inside nvs_spi_begin().
 */
int64
nvs_schedule_pass(const char *prefix, int64 max_count)
{
	NvsSchedulePass pass = {NULL, CurrentMemoryContext};
	const NvsStore *store;
	ListCell   *lc;

	/* Nothing is locked or raised for who has nothing to do here. */
	store = nvs_store_find(prefix, strlen(prefix));
	if (store == NULL || !schedule_is_usable(store))
		return 0;
	pass.set = nvs_table_set_find(&nvs_schedule_tables, prefix,
								  RowExclusiveLock);
	if (pass.set == NULL || max_count == 0 ||
		nvs_has_foreign_code(pass.set->relids[0], TRIGGER_TYPE_UPDATE,
							 pass.set->tables[0]))
		return 0;

	/* A row of which it is not known who wrote it must not be run. */
	schedule_check_authors(&pass);
	pass.left = Min(max_count, MAX_RUNS);
	schedule_find_due(&pass);

	/* One that makes up for what was missed is run until it has. */
	foreach(lc, pass.schedules)
	{
		while (pass.left > 0 && schedule_try(&pass, lfirst(lc)))
			CHECK_FOR_INTERRUPTS();
	}
	return Min(max_count, MAX_RUNS) - pass.left;
}

/*
 * Find the schedules that are due, as many as runs may be made, and lock their
 * rows; those that others have locked are theirs.
 */
static void
schedule_find_due(NvsSchedulePass *pass)
{
	NvsParams	params;
	SPIPlanPtr	plan;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(nvs_now_ms()), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(pass->left), false);
	plan = nvs_statement_plan(pass->set->plans, &schedule_due, &params, NULL);
	(void) nvs_execute_each(plan, &params, false, schedule_collect, pass);
	pass->full = list_length(pass->schedules) >= pass->left;
}

/* Raise an error when nobody keeps who writes schedules. */
static void
schedule_check_authors(const NvsSchedulePass *pass)
{
	if (!nvs_schedule_keeps_authors(pass->set->relids[0]))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("table %s does not keep who writes schedules",
						pass->set->tables[0]),
				 errdetail("It lacks triggers, for each row that is inserted or updated, that call nvent.schedule_author() before and after that, or a role besides its owner has the privilege TRIGGER on it.")));
}

/*
 * Is a store's table of schedules there, with the columns that it should have,
 * and may we read and change it?
 */
static bool
schedule_is_usable(const NvsStore *store)
{
	Oid			relid = nvs_relation_find(store, NULL,
										  psprintf("%s_scheduler_jobs",
												   store->prefix));
	const NvsTableSetColumn *column = nvs_schedule_tables.columns;

	if (!OidIsValid(relid) || !nvs_relation_is_own(store, relid, true))
		return false;
	for (; column->table >= 0; column++)
		if (get_atttype(relid, get_attnum(relid, column->name)) != column->type)
			return false;
	return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		pg_class_aclcheck(relid, GetUserId(), ACL_UPDATE) == ACLCHECK_OK;
}

/* Keep a row of schedule_due, for the pass that arg is. */
static void
schedule_collect(TupleTableSlot *slot, void *arg)
{
	NvsSchedulePass *pass = arg;
	MemoryContext old = MemoryContextSwitchTo(pass->cxt);
	NvsDueSchedule *schedule = palloc0(sizeof(NvsDueSchedule));
	bool	   *isnull = slot->tts_isnull;
	Datum	   *values = slot->tts_values;

	slot_getallattrs(slot);
	schedule->name = PointerGetDatum(DatumGetTextPCopy(values[0]));
	schedule->cron = isnull[1] ? NULL : DatumGetTextPCopy(values[1]);
	schedule->zone = TextDatumGetCString(values[2]);
	schedule->has_every = !isnull[3];
	schedule->every = isnull[3] ? 0 : DatumGetInt64(values[3]);
	schedule->due = DatumGetInt64(values[4]);
	schedule->subject = isnull[5] ? NULL : TextDatumGetCString(values[5]);
	schedule->event = isnull[6] ? (Datum) 0 :
		PointerGetDatum(PG_DETOAST_DATUM_COPY(values[6]));
	schedule->missed = TextDatumGetCString(values[7]);
	schedule->grace = TextDatumGetCString(values[8]);
	schedule->queue = isnull[9] ? NULL : TextDatumGetCString(values[9]);
	schedule->job = isnull[10] ? (Datum) 0 :
		PointerGetDatum(PG_DETOAST_DATUM_COPY(values[10]));
	schedule->authors = isnull[11] ? NULL :
		DatumGetArrayTypePCopy(values[11]);
	pass->schedules = lappend(pass->schedules, schedule);
	MemoryContextSwitchTo(old);
}

/*
 * Make a run in a subtransaction.  One that fails is undone and said so; where
 * it is not for a passing reason it is not tried again.  Returns whether the
 * schedule is still due.
 */
static bool
schedule_try(NvsSchedulePass *pass, NvsDueSchedule *schedule)
{
	ResourceOwner owner = CurrentResourceOwner;
	NvsDueSchedule kept = *schedule;
	List	   *checked = list_copy(pass->checked);
	volatile bool again = false;

	/* What a run that fails has changed of these is put back below. */
	pass->refused = false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(pass->cxt);
	PG_TRY();
	{
		again = schedule_step(pass, schedule);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		/* The error is copied to where the subtransaction does not take it. */
		MemoryContextSwitchTo(pass->cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(pass->cxt);
		CurrentResourceOwner = owner;
		*schedule = kept;
		pass->checked = checked;

		/* Who cancels means the call; all else is of this schedule alone. */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		schedule_failed(pass, schedule, error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(pass->cxt);
	CurrentResourceOwner = owner;
	return again;
}

/*
 * Make the run of a schedule, or none where it is missed, and have it wait for
 * the next one.  Returns whether that is due already and to be made up for.
 */
static bool
schedule_step(NvsSchedulePass *pass, NvsDueSchedule *schedule)
{
	int64		now = nvs_now_ms();
	NvsMissed	missed = nvs_schedule_missed(schedule->missed);
	bool		has_next = true;
	NvsTiming	timing;
	int64		next;

	nvs_timing_init(&timing, schedule->cron, schedule->zone,
					schedule->has_every, schedule->every);
	schedule->due = Max(schedule->due, 0);
	if (missed == NVS_MISSED_SKIP &&
		schedule_skip(&timing, schedule, now, &has_next))
	{
		schedule_move(pass, schedule, has_next, -1);
		return false;
	}
	nvs_schedule_fire(pass, schedule);
	has_next = nvs_timing_next(&timing, schedule->due,
							   missed == NVS_MISSED_ALL ? schedule->due : now,
							   &next);
	if (has_next)
		schedule->due = next;
	schedule_move(pass, schedule, has_next, now);
	pass->left--;
	return has_next && schedule->due <= now;
}

/*
 * Pass over the runs that are later than their grace.  Returns whether there
 * were any, and none is due then; *has_next says whether there is one at all.
 */
static bool
schedule_skip(const NvsTiming *timing, NvsDueSchedule *schedule, int64 now,
			  bool *has_next)
{
	Datum text = CStringGetDatum(schedule->grace);
	int64		grace = DatumGetInt64(DirectFunctionCall1(int8in, text));
	int64		next;

	if (grace < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("grace of a schedule must not be negative")));
	if (now - schedule->due <= grace)
		return false;
	*has_next = nvs_timing_next(timing, schedule->due, now - grace - 1, &next);
	if (!*has_next)
		return true;
	schedule->due = next;
	return next > now;
}

/*
 * Have a schedule wait for the time at which it is due next, or complete it;
 * ran is when it was run, -1 if it was not.
 */
static void
schedule_move(NvsSchedulePass *pass, const NvsDueSchedule *schedule,
			  bool has_next, int64 ran)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, schedule->name, false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(schedule->due), !has_next);
	nvs_params_add(&params, INT8OID, Int64GetDatum(ran), ran < 0);
	if (nvs_schedule_write(pass->set, NVS_AUTHOR_KEEP, &schedule_set_next,
						   &params, NULL, NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take the next run of a schedule",
						pass->set->tables[0]),
				 errdetail("A trigger, rule or policy kept it as it was.")));
}

/* May a run be made another time, or by somebody else, that failed by this? */
static bool
schedule_is_passing(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_T_R_SERIALIZATION_FAILURE) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_LOCK_NOT_AVAILABLE) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_QUERY_CANCELED);
}

/*
 * A run failed: say so.  Unless it is for a reason that passes, as a lock that
 * was not to be had, the schedule stays so until somebody resumes it.
 */
static void
schedule_failed(NvsSchedulePass *pass, const NvsDueSchedule *schedule,
				const ErrorData *error)
{
	NvsParams	params;

	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("run of schedule \"%s\" of store \"%s\" failed: %s",
					TextDatumGetCString(schedule->name), pass->set->prefix,
					error->message),
			 error->detail == NULL ? 0 : errdetail_internal("%s",
															error->detail),
			 error->hint == NULL ? 0 : errhint("%s", error->hint)));
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, schedule->name, false);
	if (schedule_is_passing(error->sqlerrcode) && !pass->refused)
	{
		/* It must not keep others from being found, pass after pass. */
		nvs_params_add(&params, INT8OID, Int64GetDatum(nvs_now_ms()), false);
		if (pass->full)
			(void) nvs_schedule_write(pass->set, NVS_AUTHOR_KEEP,
									  &schedule_set_tried, &params, NULL,
									  NULL);
		return;
	}
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(error->message),
				   false);
	(void) nvs_schedule_write(pass->set, NVS_AUTHOR_KEEP,
							  &schedule_set_failed, &params, NULL, NULL);
}
