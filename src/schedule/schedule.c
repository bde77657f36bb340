/*
 * schedule/schedule.c
 *	  Setting schedules, and what operators do with them.
 *
 * A schedule is a row of {prefix}_scheduler_jobs, which is a table of entries
 * as well: {prefix}:scheduler:jobs.  next_run_at says when it is due, in
 * milliseconds since 1970 as all times there, and config what is done then:
 *
 *		{"subject": ..., "event": ..., "missed": ..., "graceMs": ...}
 *
 * or "queue" and "job" in place of the first two.  Rows whose config has
 * neither are somebody else's, and left alone.  schedule/run.c makes the runs;
 * one that failed, and is tried again, may leave there when it was, "triedAt".
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "base/arg.h"
#include "base/time.h"
#include "queue/job.h"
#include "schedule/schedule.h"
#include "store/store.h"

/* Bytes of the name of a schedule. */
#define MAX_NAME_BYTES	1024

/* Arguments of schedule_set() and schedule_job(). */
enum
{
	ARG_NAME,
	ARG_PLACE,					/* a subject, or a queue */
	ARG_WHAT,					/* an event, or a job */
	ARG_CRON,
	ARG_EVERY,
	ARG_AT,
	ARG_TIME_ZONE,
	ARG_MISSED,
	ARG_GRACE,
	ARG_STORE
};

static const NvsTableSetColumn schedule_columns[] = {
	{0, "job_id", TEXTOID, true},
	{0, "name", TEXTOID},
	{0, "job_name", TEXTOID},
	{0, "type", TEXTOID},
	{0, "schedule", TEXTOID},
	{0, "cron", TEXTOID},
	{0, "interval", INT8OID},
	{0, "execute_at", INT8OID},
	{0, "timezone", TEXTOID},
	{0, "enabled", BOOLOID},
	{0, "scheduled_at", INT8OID},
	{0, "last_run_at", INT8OID},
	{0, "next_run_at", INT8OID},
	{0, "status", TEXTOID},
	{0, "config", JSONBOID},
	{0, "authors", TEXTARRAYOID},
	{-1}
};

/* The table of a store that has its schedules. */
const NvsTableSetKind nvs_schedule_tables = {
	1, {"scheduler_jobs"}, schedule_columns, true
};

PG_FUNCTION_INFO_V1(nvs_schedule_set);
PG_FUNCTION_INFO_V1(nvs_schedule_job);
PG_FUNCTION_INFO_V1(nvs_schedule_delete);
PG_FUNCTION_INFO_V1(nvs_schedule_pause);
PG_FUNCTION_INFO_V1(nvs_schedule_resume);
PG_FUNCTION_INFO_V1(nvs_schedule_list);

static void schedule_check_name(const text *name);
static void schedule_check_subject(const NvsTableSet *set,
								   const text *subject);
static void schedule_check_event(Jsonb *event);
static void schedule_check_job(Jsonb *job);
static Datum schedule_set_call(FunctionCallInfo fcinfo, bool is_job);
static void schedule_check_arguments(FunctionCallInfo fcinfo, bool is_job);
static int64 schedule_grace(FunctionCallInfo fcinfo);
static void schedule_check_queue(FunctionCallInfo fcinfo);
static int64 schedule_ms(const Interval *span, const char *name);
static void schedule_check_timing(FunctionCallInfo fcinfo);
static bool schedule_first(FunctionCallInfo fcinfo, int64 now, int64 *first);
static void schedule_add_timing(FunctionCallInfo fcinfo, NvsParams *params);
static void schedule_params(FunctionCallInfo fcinfo, bool is_job, int64 now,
							NvsParams *params);
static bool schedule_next(const Datum *row, const bool *isnull, int64 now,
						  int64 *next);
static void schedule_put_row(TupleTableSlot *slot, void *arg);

/* Is a schedule due at the same times as before, and nobody else's? */
#define SAME(column)	"NOT nvent.entry_is_changed(t." column ", EXCLUDED." \
	column ")"
#define SAME_TIMES		SAME("cron") " AND " SAME("interval") " AND " \
	SAME("execute_at") " AND " SAME("timezone") " AND " SAME("authors")

/*
 * $1 name, $2 type, $3 cron, $4 interval, $5 execute_at, $6 timezone, $7 now,
 * $8 next_run_at, $9 and $10 what is done, $11 missed, $12 grace, $13 and $14
 * the names of $9 and $10.  One that is set again as it was, by who set it,
 * goes on as it was, so that a program may set its schedules whenever it
 * starts.
 */
static const NvsStatement schedule_upsert = {
	"INSERT INTO {scheduler_jobs} AS t (job_id, name, job_name, type, "
	"schedule, cron, interval, execute_at, timezone, scheduled_at, "
	"next_run_at, status, config) "
	"VALUES ($1, $1, $1, $2, $3, $3, $4, $5, $6, $7, $8, 'pending', "
	"pg_catalog.jsonb_build_object($13, $9, $14, $10, "
	"'missed', $11, 'graceMs', $12)) "
	"ON CONFLICT (job_id) DO UPDATE SET name = EXCLUDED.name, "
	"job_name = EXCLUDED.job_name, type = EXCLUDED.type, "
	"schedule = EXCLUDED.schedule, cron = EXCLUDED.cron, "
	"interval = EXCLUDED.interval, execute_at = EXCLUDED.execute_at, "
	"timezone = EXCLUDED.timezone, config = EXCLUDED.config, "
	"scheduled_at = CASE WHEN " SAME_TIMES " THEN t.scheduled_at "
	"ELSE EXCLUDED.scheduled_at END, "
	"next_run_at = CASE WHEN " SAME_TIMES " THEN t.next_run_at "
	"ELSE EXCLUDED.next_run_at END, "
	"status = CASE WHEN " SAME_TIMES " AND t.next_run_at IS NULL "
	"THEN t.status ELSE 'pending' END, "
	"version = t.version OPERATOR(pg_catalog.+) 1, updated_at = pg_catalog.now() "
	"RETURNING t.next_run_at::pg_catalog.int8"
};

static const NvsStatement schedule_delete = {
	"DELETE FROM {scheduler_jobs} WHERE job_id OPERATOR(pg_catalog.=) $1"
};

static const NvsStatement schedule_pause = {
	"UPDATE {scheduler_jobs} AS t SET enabled = false, "
	"version = t.version OPERATOR(pg_catalog.+) 1, updated_at = pg_catalog.now() "
	"WHERE t.job_id OPERATOR(pg_catalog.=) $1 "
	"AND t.enabled IS NOT FALSE"
};

/* A schedule that waits for nothing: it is paused, or its last run failed. */
static const NvsStatement schedule_stopped = {
	"SELECT t.cron::pg_catalog.text, t.timezone::pg_catalog.text, "
	"t.interval::pg_catalog.int8, t.next_run_at::pg_catalog.int8 "
	"FROM {scheduler_jobs} AS t WHERE t.job_id OPERATOR(pg_catalog.=) $1 "
	"AND (t.enabled IS NOT TRUE "
	"OR t.status OPERATOR(pg_catalog.=) 'failed') FOR NO KEY UPDATE"
};

static const NvsStatement schedule_resume = {
	"UPDATE {scheduler_jobs} AS t SET enabled = true, "
	"status = CASE WHEN $2 IS NULL THEN t.status ELSE 'pending' END, "
	"next_run_at = $2, "
	"config = t.config OPERATOR(pg_catalog.-) 'error'::pg_catalog.text, "
	"version = t.version OPERATOR(pg_catalog.+) 1, updated_at = pg_catalog.now() "
	"WHERE t.job_id OPERATOR(pg_catalog.=) $1"
};

/* Milliseconds as a time and as an interval; NULL for what is neither. */
#define IN_RANGE(ms, then) "CASE WHEN " ms \
	" OPERATOR(pg_catalog.>=) -210866803200000 AND " ms \
	" OPERATOR(pg_catalog.<) 9224318016000000 THEN " then " END"
#define SECONDS(ms) "(" ms "::pg_catalog.float8 " \
	"OPERATOR(pg_catalog./) 1000::pg_catalog.float8)"
#define TIME(ms) IN_RANGE(ms, "pg_catalog.to_timestamp(" SECONDS(ms) ")")
#define SPAN(ms) IN_RANGE(ms, "pg_catalog.make_interval(secs => " \
						  SECONDS(ms) ")")
#define GRACE	"(t.config OPERATOR(pg_catalog.->) 'graceMs')"

static const NvsStatement schedule_list = {
	"SELECT t.job_id::pg_catalog.text, t.cron::pg_catalog.text, "
	SPAN("t.interval") ", " TIME("t.execute_at") ", "
	"t.timezone::pg_catalog.text, "
	"t.config OPERATOR(pg_catalog.->>) 'subject', "
	"t.config OPERATOR(pg_catalog.->) 'event', "
	"t.config OPERATOR(pg_catalog.->>) 'missed', "
	"CASE WHEN pg_catalog.jsonb_typeof(" GRACE ") "
	"OPERATOR(pg_catalog.=) 'number' "
	"THEN " SPAN(GRACE "::pg_catalog.numeric") " END, "
	"COALESCE(t.enabled, false), t.status::pg_catalog.text, "
	TIME("t.last_run_at") ", " TIME("t.next_run_at") ", "
	"t.config OPERATOR(pg_catalog.->>) 'error', "
	"t.config OPERATOR(pg_catalog.->>) 'queue', "
	"t.config OPERATOR(pg_catalog.->) 'job', t.authors::pg_catalog.text[] "
	"FROM {scheduler_jobs} AS t WHERE " NVS_IS_SCHEDULE("t") " "
	"ORDER BY t.job_id"
};

/* Raise an error for a name that is empty, or too long for an index. */
static void
schedule_check_name(const text *name)
{
	int			len = VARSIZE_ANY_EXHDR(name);

	if (len == 0 || len > MAX_NAME_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of a schedule must have 1 to %d bytes",
						MAX_NAME_BYTES),
				 errdetail("This one has %d.", len)));
}

/* Raise an error for what is no subject of the schedule's store. */
static void
schedule_check_subject(const NvsTableSet *set, const text *subject)
{
	const char *data = VARDATA_ANY(subject);
	int			len = VARSIZE_ANY_EXHDR(subject);

	nvs_subject_validate(data, len);
	if (!nvs_store_owns(nvs_store_require(set->prefix), data, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subject \"%.*s\" is not in store \"%s\"", len, data,
						set->prefix),
				 errdetail("The events of a schedule go to its own store.")));
}

/* Raise an error for what cannot be an event of any stream. */
static void
schedule_check_event(Jsonb *event)
{
	JsonbContainer *root = &event->root;
	JsonbValue	value;
	JsonbValue *type = NULL;

	if (JB_ROOT_IS_OBJECT(event))
		type = getKeyJsonValueFromContainer(root, "type", 4, &value);
	if (type == NULL || type->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event must be a JSON object with a field \"type\", a string")));
	if (getKeyJsonValueFromContainer(root, "eventId", 7, &value) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event of a schedule must not have an id"),
				 errdetail("Each run appends another event.")));
}

/* Raise an error for what cannot be a job. */
static void
schedule_check_job(Jsonb *job)
{
	NvsNewJob	read;

	nvs_job_read(&read, job, 1);
	if (read.has_data && !JB_ROOT_IS_OBJECT(DatumGetJsonbP(read.data)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("member \"data\" of a scheduled job must be a JSON object"),
				 errdetail("Each run adds to it which schedule it is of, and when it was due.")));
}

/* Milliseconds of a span of time; raises 22023 when that depends on a month. */
static int64
schedule_ms(const Interval *span, const char *name)
{
	int64		days = span->day;

	if (span->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not have months", name),
				 errdetail("Months are not equally long."),
				 errhint("Use a cron expression.")));
	if (pg_add_s64_overflow(days * (SECS_PER_DAY * INT64CONST(1000)),
							span->time / 1000, &days))
		ereport(ERROR,
				(errcode(ERRCODE_INTERVAL_FIELD_OVERFLOW),
				 errmsg("interval out of range")));
	return days;
}

/* Raise an error unless one argument says when a schedule is due. */
static void
schedule_check_timing(FunctionCallInfo fcinfo)
{
	int			n = !PG_ARGISNULL(ARG_CRON) + !PG_ARGISNULL(ARG_EVERY) +
		!PG_ARGISNULL(ARG_AT);

	if (n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("one of \"cron\", \"every\" and \"at\" must say when a schedule is due"),
				 errdetail("%d of them do.", n)));
	if (!PG_ARGISNULL(ARG_AT) &&
		TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(ARG_AT)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"at\" must be finite")));
}

/* When a schedule that is set now is due first; false for never. */
static bool
schedule_first(FunctionCallInfo fcinfo, int64 now, int64 *first)
{
	NvsTiming	timing;
	bool		has_every = !PG_ARGISNULL(ARG_EVERY);
	int64		every = has_every ?
		schedule_ms(PG_GETARG_INTERVAL_P(ARG_EVERY), "every") : 0;

	nvs_timing_init(&timing, PG_ARGISNULL(ARG_CRON) ? NULL :
					PG_GETARG_TEXT_PP(ARG_CRON),
					text_to_cstring(PG_GETARG_TEXT_PP(ARG_TIME_ZONE)),
					has_every, every);
	if (PG_ARGISNULL(ARG_AT))
		return nvs_timing_next(&timing, now, now, first);
	*first = nvs_timestamptz_to_ms(PG_GETARG_TIMESTAMPTZ(ARG_AT));
	return true;
}

/* Add parameters 2 to 6: the type, and what says when it is due. */
static void
schedule_add_timing(FunctionCallInfo fcinfo, NvsParams *params)
{
	bool		has_cron = !PG_ARGISNULL(ARG_CRON);
	bool		has_every = !PG_ARGISNULL(ARG_EVERY);
	bool		has_at = !PG_ARGISNULL(ARG_AT);
	int64		ms = 0;

	nvs_params_add(params, TEXTOID,
				   CStringGetTextDatum(has_cron ? "cron" :
									   has_every ? "interval" : "once"),
				   false);
	nvs_params_add_arg(params, fcinfo, ARG_CRON, TEXTOID);
	if (has_every)
		ms = schedule_ms(PG_GETARG_INTERVAL_P(ARG_EVERY), "every");
	nvs_params_add(params, INT8OID, Int64GetDatum(ms), !has_every);
	if (has_at)
		ms = nvs_timestamptz_to_ms(PG_GETARG_TIMESTAMPTZ(ARG_AT));
	nvs_params_add(params, INT8OID, Int64GetDatum(ms), !has_at);
	if (has_cron)
		nvs_params_add_arg(params, fcinfo, ARG_TIME_ZONE, TEXTOID);
	else
		nvs_params_add(params, TEXTOID, (Datum) 0, true);
}

/*
 * nvent.schedule_set(name, subject, event, cron, every, at, time_zone, missed,
 * grace, store): when it is due next; NULL for never.
 */
Datum
nvs_schedule_set(PG_FUNCTION_ARGS)
{
	return schedule_set_call(fcinfo, false);
}

/*
 * nvent.schedule_job(name, queue, job, cron, every, at, time_zone, missed,
 * grace, store): when the job is sent next; NULL for never.
 */
Datum
nvs_schedule_job(PG_FUNCTION_ARGS)
{
	return schedule_set_call(fcinfo, true);
}

/*
 * Set a schedule that appends an event, or sends a job: when it is due next, a
 * timestamptz, NULL for never.
 */
static Datum
schedule_set_call(FunctionCallInfo fcinfo, bool is_job)
{
	int64		now = nvs_now_ms();
	NvsTableSet *set;
	NvsParams	params;
	bool		found;
	Datum		next;
	bool		isnull;

	schedule_check_arguments(fcinfo, is_job);
	PreventCommandIfReadOnly(is_job ? "nvent.schedule_job()" :
							 "nvent.schedule_set()");
	schedule_params(fcinfo, is_job, now, &params);
	nvs_spi_begin();
	set = nvs_table_set_open(&nvs_schedule_tables, fcinfo, ARG_STORE,
							 NVS_USE_WRITE);

	/* What is written must be possible now; a run looks again. */
	if (is_job)
		schedule_check_queue(fcinfo);
	else
		schedule_check_subject(set, PG_GETARG_TEXT_PP(ARG_PLACE));
	found = nvs_schedule_write(set, NVS_AUTHOR_TAKE, &schedule_upsert, &params,
							   &next, &isnull) > 0;
	nvs_spi_end();
	if (!found || isnull)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(nvs_ms_to_timestamptz(DatumGetInt64(next)));
}

/* The parameters of schedule_upsert, of arguments that were checked. */
static void
schedule_params(FunctionCallInfo fcinfo, bool is_job, int64 now,
				NvsParams *params)
{
	int64		grace = schedule_grace(fcinfo);
	int64		first = 0;
	bool		comes = schedule_first(fcinfo, now, &first);

	nvs_params_init(params);
	nvs_params_add_arg(params, fcinfo, ARG_NAME, TEXTOID);
	schedule_add_timing(fcinfo, params);
	nvs_params_add(params, INT8OID, Int64GetDatum(now), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(first), !comes);
	nvs_params_add_arg(params, fcinfo, ARG_PLACE, TEXTOID);
	nvs_params_add_arg(params, fcinfo, ARG_WHAT, JSONBOID);
	nvs_params_add_arg(params, fcinfo, ARG_MISSED, TEXTOID);
	nvs_params_add(params, INT8OID, Int64GetDatum(grace), false);
	nvs_params_add(params, TEXTOID,
				   CStringGetTextDatum(is_job ? "queue" : "subject"), false);
	nvs_params_add(params, TEXTOID,
				   CStringGetTextDatum(is_job ? "job" : "event"), false);
}

/* Raise an error for arguments of a schedule that are none. */
static void
schedule_check_arguments(FunctionCallInfo fcinfo, bool is_job)
{
	NVS_REQUIRE_ARG(ARG_NAME, "name");
	NVS_REQUIRE_ARG(ARG_PLACE, is_job ? "queue" : "subject");
	NVS_REQUIRE_ARG(ARG_WHAT, is_job ? "job" : "event");
	NVS_REQUIRE_ARG(ARG_TIME_ZONE, "time_zone");
	NVS_REQUIRE_ARG(ARG_MISSED, "missed");
	NVS_REQUIRE_ARG(ARG_GRACE, "grace");
	schedule_check_name(PG_GETARG_TEXT_PP(ARG_NAME));
	if (is_job)
		schedule_check_job(PG_GETARG_JSONB_P(ARG_WHAT));
	else
		schedule_check_event(PG_GETARG_JSONB_P(ARG_WHAT));
	schedule_check_timing(fcinfo);
	(void) nvs_schedule_missed(text_to_cstring(PG_GETARG_TEXT_PP(ARG_MISSED)));
}

/* How late a run may be that is not made up for, in ms. */
static int64
schedule_grace(FunctionCallInfo fcinfo)
{
	int64		grace = schedule_ms(PG_GETARG_INTERVAL_P(ARG_GRACE), "grace");

	if (grace < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"grace\" must not be negative")));
	return grace;
}

/* Raise an error when there is no such queue, or it would not take the job. */
static void
schedule_check_queue(FunctionCallInfo fcinfo)
{
	NvsQueue   *queue;
	NvsTableSet *set = nvs_queue_open(fcinfo, ARG_PLACE, ARG_STORE,
									  NVS_USE_CHANGE, &queue);
	NvsNewJob	job;

	nvs_job_read(&job, PG_GETARG_JSONB_P(ARG_WHAT), 1);
	nvs_jobs_check_new(set, queue, &job, 1, 0);
}

/* Run a statement for the schedule of arguments 0 and 1, a name and a store. */
static bool
schedule_change(FunctionCallInfo fcinfo, const NvsStatement *statement)
{
	NvsTableSet *set;
	NvsParams	params;
	uint64		changed;

	NVS_REQUIRE_ARG(0, "name");
	nvs_spi_begin();
	set = nvs_table_set_require(&nvs_schedule_tables, fcinfo, 1);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	changed = nvs_table_set_run(set, statement, &params);
	nvs_spi_end();
	return changed > 0;
}

/* nvent.schedule_delete(name, store): false when it was not there. */
Datum
nvs_schedule_delete(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("nvent.schedule_delete()");
	PG_RETURN_BOOL(schedule_change(fcinfo, &schedule_delete));
}

/* nvent.schedule_pause(name, store): false when it was not running. */
Datum
nvs_schedule_pause(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("nvent.schedule_pause()");
	PG_RETURN_BOOL(schedule_change(fcinfo, &schedule_pause));
}

/*
 * nvent.schedule_resume(name, store): false when it was running.  What was due
 * while it was not is over, unless it is due only once.
 */
Datum
nvs_schedule_resume(PG_FUNCTION_ARGS)
{
	int64		now = nvs_now_ms();
	NvsTableSet *set;
	NvsParams	params;
	Datum		row[4];
	bool		isnull[4];
	bool		found;

	NVS_REQUIRE_ARG(0, "name");
	PreventCommandIfReadOnly("nvent.schedule_resume()");
	nvs_spi_begin();
	set = nvs_table_set_require(&nvs_schedule_tables, fcinfo, 1);

	/* One that is not running, as we see it; others may resume it, too. */
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	found = nvs_execute_row(nvs_statement_plan(set->plans, &schedule_stopped,
											   &params, NULL),
							&params, false, CurrentMemoryContext, 4, row,
							isnull);

	/* Its row is locked, so what is worked out from it stays right. */
	if (found)
	{
		int64		next;
		bool		comes = schedule_next(row, isnull, now, &next);

		nvs_params_add(&params, INT8OID, Int64GetDatum(next), !comes);
		nvs_table_set_run(set, &schedule_resume, &params);
	}
	nvs_spi_end();
	PG_RETURN_BOOL(found);
}

/*
 * When a schedule is due that goes on now, by its row of schedule_stopped;
 * false for never.  One that is due once is so when it was to be, even if that
 * is over.
 */
static bool
schedule_next(const Datum *row, const bool *isnull, int64 now, int64 *next)
{
	NvsTiming	timing;

	nvs_timing_init(&timing, isnull[0] ? NULL : DatumGetTextPP(row[0]),
					isnull[1] ? "UTC" : TextDatumGetCString(row[1]),
					!isnull[2], isnull[2] ? 0 : DatumGetInt64(row[2]));
	*next = isnull[3] ? now : DatumGetInt64(row[3]);
	if (!timing.has_cron && timing.every == 0)
		return !isnull[3];
	return *next > now || nvs_timing_next(&timing, Max(*next, 0), now, next);
}

/* nvent.schedule_list(store) */
Datum
nvs_schedule_list(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsTableSet *set;
	NvsParams	params;

	nvs_spi_begin();
	set = nvs_table_set_open(&nvs_schedule_tables, fcinfo, 0, NVS_USE_READ);
	if (set != NULL)
	{
		nvs_params_init(&params);
		(void) nvs_table_set_each(set, &schedule_list, &params, true,
								  schedule_put_row, result);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Put a row as it is into the result, a tuplestore, that arg is. */
static void
schedule_put_row(TupleTableSlot *slot, void *arg)
{
	tuplestore_puttupleslot(arg, slot);
}
