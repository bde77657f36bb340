/*
 * queue/job.c
 *	  New jobs: their members, and putting them into a queue.
 *
 * A job that may start at once is one row.  One that is to start later has a
 * turn besides, so that those who fetch do not meet it before.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/guc.h"
#include "base/time.h"
#include "json/build.h"
#include "position/position.h"
#include "queue/direct.h"
#include "queue/slot.h"
#include "wakeup/notify.h"

/* A member of a job in JSON, and the option that it is. */
typedef struct JobMember
{
	const char *name;
	NvsJobOption option;
	bool		is_delay;		/* an interval from now, for a time */
} JobMember;

static const JobMember job_members[] = {
	{"priority", NVS_JOB_PRIORITY},
	{"key", NVS_JOB_KEY},
	{"startAfter", NVS_JOB_DUE_AT, true},
	{"startAt", NVS_JOB_DUE_AT},
	{"lease", NVS_JOB_LEASE},
	{"maxRun", NVS_JOB_MAX_RUN},
	{"retryLimit", NVS_JOB_RETRY_LIMIT},
	{"retryDelay", NVS_JOB_RETRY_DELAY},
	{"retryBackoff", NVS_JOB_RETRY_BACKOFF},
	{"retryDelayMax", NVS_JOB_RETRY_DELAY_MAX},
	{"deadLetter", NVS_JOB_DEAD_LETTER},
	{"group", NVS_JOB_GROUP}
};

/* Types of the options, as the table has them. */
static const Oid job_types[NVS_JOB_OPTIONS] = {
	INT4OID, TEXTOID, TIMESTAMPTZOID, INTERVALOID, INTERVALOID, INT4OID,
	INTERVALOID, BOOLOID, INTERVALOID, TEXTOID, JSONBOID, BOOLOID, TEXTOID
};

/* $1 queue, $2 priority, $3 data. */
static const NvsStatement job_insert_one = {
	"INSERT INTO {jobs} (queue, priority, data) VALUES ($1, $2, $3) "
	"RETURNING id"
};

/* $1 queue, $2 priorities, $3 data of each. */
static const NvsStatement job_insert = {
	"INSERT INTO {jobs} (queue, priority, data) SELECT $1, u.priority, u.data "
	"FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) "
	"u (priority, data) RETURNING id"
};

/* In SQL, arrays for NVS_JOB_COLUMNS from $2 on. */
#define JOB_ARRAYS \
	"pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), " \
	"pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7), " \
	"pg_catalog.unnest($8), pg_catalog.unnest($9), pg_catalog.unnest($10), " \
	"pg_catalog.unnest($11), pg_catalog.unnest($12), pg_catalog.unnest($13), " \
	"pg_catalog.unnest($14), pg_catalog.unnest($15)"

/* $1 queue, $2 data of each, from $3 on its options. */
static const NvsStatement job_insert_options = {
	"INSERT INTO {jobs} (queue, " NVS_JOB_COLUMNS ") "
	"SELECT $1, u.* FROM ROWS FROM (" JOB_ARRAYS ") u RETURNING id"
};

/* $1 queue, $2 data of each, from $3 on its options, $16 its id. */
static const NvsStatement job_insert_keyed = {
	"INSERT INTO {jobs} (queue, " NVS_JOB_COLUMNS ", id) "
	"SELECT $1, u.* FROM ROWS FROM (" JOB_ARRAYS ", pg_catalog.unnest($16)) u "
	"RETURNING id"
};

/* $1 queue, $2 ids, $3 priorities, $4 times. */
static const NvsStatement job_defer = {
	"INSERT INTO {job_turns} (queue, id, priority, due_at) "
	"SELECT $1, u.id, u.priority, u.due_at "
	"FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), "
	"pg_catalog.unnest($4)) u (id, priority, due_at)"
};

/* $1 queue, $2 priority. */
static const NvsStatement job_add_level = {
	"INSERT INTO {job_levels} (queue, priority) VALUES ($1, $2) "
	"ON CONFLICT DO NOTHING"
};

/* Where the ids of inserted jobs go. */
typedef struct JobIds
{
	int64	   *ids;
	int			n;
} JobIds;

static void job_read_member(NvsNewJob *job, NvsJsonbChild name,
							NvsJsonbChild value, int n);
static const JobMember *job_member(NvsJsonbChild name);
static Datum job_member_value(const JobMember *member, NvsJsonbChild value,
							  int n);
pg_noreturn static void job_refuse_member(const char *name, int n,
										  const char *wanted);
static char *job_numeric_text(NvsJsonbChild value);
static char *job_member_text(NvsJsonbChild value);
static void job_write_member(NvsJsonb *doc, const JobMember *member,
							 Datum value);
static char *job_interval_text(Datum value);
static bool job_read_slot(NvsNewJob *job, NvsJsonbChild name,
						  NvsJsonbChild value, int n);
static Datum job_read_span(char *text);
static void jobs_check(NvsTableSet *set, const NvsNewJob *jobs, int n,
					   int before);
static bool jobs_have_level(const NvsQueue *queue, int32 priority);
static void jobs_put(NvsTableSet *set, NvsQueue *queue, NvsNewJob *jobs, int n,
					 int64 *ids, bool has_ids);
static void jobs_insert_chosen(NvsTableSet *set, NvsQueue *queue,
							   NvsNewJob *jobs, int n, int64 *ids,
							   bool has_ids);
static void jobs_take_slots(NvsTableSet *set, NvsQueue *queue,
							NvsNewJob *jobs, int n, int64 *ids, bool has_ids);
static void jobs_insert(NvsTableSet *set, NvsQueue *queue,
						const NvsNewJob *jobs, int n, int64 *ids,
						bool has_ids);
static void jobs_insert_by_statement(NvsTableSet *set, const NvsQueue *queue,
									 const NvsNewJob *jobs, int n,
									 int64 *ids, bool has_ids);
static const NvsStatement *jobs_statement(const NvsQueue *queue,
										  const NvsNewJob *jobs, int n,
										  const int64 *ids,
										  NvsParams *params);
pg_noreturn static void job_refuse_keyless(const NvsQueue *queue, int n);
static void job_check_dead_letter(NvsTableSet *set, const NvsNewJob *job);
static void job_check(const NvsNewJob *job, int n);
static bool jobs_have_options(const NvsNewJob *jobs, int n);
static void jobs_add_column(NvsParams *params, const NvsNewJob *jobs, int n,
							int option);
static void jobs_add_data(NvsParams *params, const NvsNewJob *jobs, int n);
static void jobs_add_ids(NvsParams *params, const int64 *ids, int n);
static bool jobs_may_be_changed(Oid relid);
static void jobs_keep_id(TupleTableSlot *slot, void *arg);
static void jobs_note(const NvsTableSet *set, const NvsQueue *queue,
					  const NvsNewJob *jobs, int n, const int64 *ids);
static void jobs_defer(NvsTableSet *set, const NvsQueue *queue,
					   const NvsNewJob *jobs, int n, const int64 *ids);

/* Make a job without data and options. */
void
nvs_job_init(NvsNewJob *job)
{
	int			i;

	memset(job, 0, sizeof(NvsNewJob));
	for (i = 0; i < NVS_JOB_OPTIONS; i++)
		job->isnull[i] = true;
}

/* Have a job start a time from now; at once when that is not positive. */
void
nvs_job_start_after(NvsNewJob *job, const Interval *span)
{
	TimestampTz due = nvs_after(GetCurrentTimestamp(), span);

	nvs_job_set(job, NVS_JOB_DUE_AT, TimestampTzGetDatum(due));
}

/*
 * Read a job from an object, the nth of a call; an error for a member that
 * means nothing, since it would be lost.
 */
void
nvs_job_read(NvsNewJob *job, Jsonb *doc, int n)
{
	const JsonbContainer *jc = &doc->root;
	int			nmembers;
	int			i;

	nvs_job_init(job);
	if (!JB_ROOT_IS_OBJECT(doc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job %d must be a JSON object", n),
				 errhint("Write {\"data\": ...}.")));
	nmembers = JsonContainerSize(jc);
	for (i = 0; i < nmembers; i++)
		job_read_member(job, nvs_jsonb_child(jc, i),
						nvs_jsonb_child(jc, nmembers + i), n);
}

/* Read a member of the nth job: its data, a slot, or an option. */
static void
job_read_member(NvsNewJob *job, NvsJsonbChild name, NvsJsonbChild value, int n)
{
	const JobMember *member;

	if (name.len == 4 && memcmp(name.data, "data", 4) == 0)
	{
		job->data = JsonbPGetDatum(nvs_jsonb_from_child(value));
		job->has_data = true;
		return;
	}
	if (job_read_slot(job, name, value, n))
		return;
	member = job_member(name);
	if (member == NULL)
		job_refuse_member(pnstrdup(name.data, name.len), n, NULL);
	if (value.type == JENTRY_ISNULL)
		return;
	if (member->option == NVS_JOB_DUE_AT && !job->isnull[NVS_JOB_DUE_AT])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("startAfter and startAt of job %d exclude each other",
						n)));
	nvs_job_set(job, member->option, job_member_value(member, value, n));
}

/* Read throttle or debounce of the nth job; false for another member. */
static bool
job_read_slot(NvsNewJob *job, NvsJsonbChild name, NvsJsonbChild value, int n)
{
	bool		is_slot = name.len == 8;	/* both names have that */
	bool		or_next = is_slot && memcmp(name.data, "debounce", 8) == 0;
	Datum		span;

	if (!or_next && !(is_slot && memcmp(name.data, "throttle", 8) == 0))
		return false;
	if (value.type == JENTRY_ISNULL)
		return true;
	if (value.type == JENTRY_ISCONTAINER)
		job_refuse_member(or_next ? "debounce" : "throttle", n,
						  "a string or a number");
	span = job_read_span(job_member_text(value));
	nvs_job_throttle(job, DatumGetIntervalP(span), or_next, n);
	return true;
}

/* Read an interval. */
static Datum
job_read_span(char *text)
{
	return DirectFunctionCall3(interval_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/*
 * Take a job from a row that has NVS_JOB_COLUMNS.  It points to what the row
 * points to.
 */
void
nvs_job_take(NvsNewJob *job, const Datum *row, const bool *isnull)
{
	int			i;

	nvs_job_init(job);
	job->data = row[0];
	job->has_data = !isnull[0];
	for (i = 0; i < NVS_JOB_OPTIONS; i++)
		if (!isnull[i + 1])
			nvs_job_set(job, i, row[i + 1]);
}

/*
 * What is said of how a job is to be run, as nvs_job_read() reads it; but for
 * its key, priority and time, which belong to the queue that it is in.
 */
Jsonb *
nvs_job_options(const NvsNewJob *job)
{
	NvsJsonb	doc;
	int			i;

	nvs_jsonb_init(&doc);
	for (i = 0; i < lengthof(job_members); i++)
	{
		const JobMember *member = &job_members[i];

		if (member->option != NVS_JOB_PRIORITY &&
			member->option != NVS_JOB_KEY &&
			member->option != NVS_JOB_DUE_AT && !job->isnull[member->option])
			job_write_member(&doc, member, job->options[member->option]);
	}
	return nvs_jsonb_finish(&doc);
}

/* Add a member to an object, as nvs_job_read() reads it. */
static void
job_write_member(NvsJsonb *doc, const JobMember *member, Datum value)
{
	Size		len = strlen(member->name);
	char	   *string;

	switch (job_types[member->option])
	{
		case INT4OID:
			nvs_jsonb_add_int64(doc, member->name, len, DatumGetInt32(value));
			return;
		case BOOLOID:
			nvs_jsonb_add_bool(doc, member->name, len, DatumGetBool(value));
			return;
		case INTERVALOID:
			string = job_interval_text(value);
			break;
		default:
			string = TextDatumGetCString(value);
	}
	nvs_jsonb_add_text(doc, member->name, len, string, strlen(string));
}

/* An interval as text that means the same whatever IntervalStyle is. */
static char *
job_interval_text(Datum value)
{
	int			style = IntervalStyle;
	char	   *volatile text = NULL;

	PG_TRY();
	{
		IntervalStyle = INTSTYLE_ISO_8601;
		text = DatumGetCString(DirectFunctionCall1(interval_out, value));
	}
	PG_FINALLY();
	{
		IntervalStyle = style;
	}
	PG_END_TRY();
	return text;
}

/* The option of a member's name; NULL when there is none. */
static const JobMember *
job_member(NvsJsonbChild name)
{
	int			i;

	for (i = 0; i < lengthof(job_members); i++)
		if (strlen(job_members[i].name) == name.len &&
			memcmp(job_members[i].name, name.data, name.len) == 0)
			return &job_members[i];
	return NULL;
}

/* The value of a member of the nth job, as the option's type. */
static Datum
job_member_value(const JobMember *member, NvsJsonbChild value, int n)
{
	char	   *text;
	Oid			typinput;
	Oid			typioparam;
	Datum		span;

	if (value.type == JENTRY_ISCONTAINER)
		job_refuse_member(member->name, n, "a string, a number or a boolean");
	text = job_member_text(value);

	if (member->is_delay)
	{
		span = job_read_span(text);
		return TimestampTzGetDatum(nvs_after(GetCurrentTimestamp(),
											 DatumGetIntervalP(span)));
	}
	getTypeInputInfo(job_types[member->option], &typinput, &typioparam);
	return OidInputFunctionCall(typinput, text, typioparam, -1);
}

/* Report a member of the nth job that is not known, or not what is wanted. */
static void
job_refuse_member(const char *name, int n, const char *wanted)
{
	if (wanted == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized member \"%s\" of job %d", name, n),
				 errhint("What belongs to the job itself goes into \"data\".")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("member \"%s\" of job %d must be %s", name, n, wanted)));
}

/* A number as text. */
static char *
job_numeric_text(NvsJsonbChild value)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   PointerGetDatum(value.data)));
}

/* A string, number or boolean as text. */
static char *
job_member_text(NvsJsonbChild value)
{
	switch (value.type)
	{
		case JENTRY_ISBOOL_TRUE:
			return "true";
		case JENTRY_ISBOOL_FALSE:
			return "false";
		case JENTRY_ISNUMERIC:
			return job_numeric_text(value);
		default:
			return pnstrdup(value.data, value.len);
	}
}

/*
 * Raise an error for what is out of range of what is said of jobs, which come
 * behind others in the call.
 */
static void
jobs_check(NvsTableSet *set, const NvsNewJob *jobs, int n, int before)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		job_check(&jobs[i], before + i + 1);
		if (!jobs[i].isnull[NVS_JOB_DEAD_LETTER])
			job_check_dead_letter(set, &jobs[i]);
	}
}

/*
 * Check what is said of jobs that are there, an error for what is out of range;
 * and make the levels of their priorities.
 */
void
nvs_jobs_check(NvsTableSet *set, const NvsQueue *queue,
			   const NvsNewJob *jobs, int n)
{
	jobs_check(set, jobs, n, 0);
	nvs_jobs_add_levels(set, queue, jobs, n);
}

/*
 * Raise an error for jobs that could not be put into a queue at any time.  So
 * many others come before them in the call.
 */
void
nvs_jobs_check_new(NvsTableSet *set, const NvsQueue *queue,
				   const NvsNewJob *jobs, int n, int before)
{
	int			i;

	for (i = 0; i < n; i++)
		if (queue->policy == NVS_POLICY_KEY_STRICT_FIFO &&
			jobs[i].isnull[NVS_JOB_KEY] && jobs[i].isnull[NVS_JOB_ORIGIN])
			job_refuse_keyless(queue, before + i + 1);
	jobs_check(set, jobs, n, before);
}

/*
 * Put jobs into a queue, in their order; ids gets the id of each, 0 where the
 * queue's policy allows no more jobs of its key.  Jobs without a priority get
 * the queue's.
 */
void
nvs_jobs_insert(NvsTableSet *set, NvsQueue *queue, NvsNewJob *jobs, int n,
				int64 *ids)
{
	nvs_jobs_check_new(set, queue, jobs, n, 0);
	nvs_jobs_set_priority(queue, jobs, n);
	nvs_jobs_add_levels(set, queue, jobs, n);
	jobs_put(set, queue, jobs, n, ids, false);
}

/*
 * Put jobs that were checked, and have priorities whose levels are there, into
 * a queue.  Each has an id already, which becomes 0 where the queue's policy
 * allows no more jobs of its key.
 */
void
nvs_jobs_insert_drawn(NvsTableSet *set, NvsQueue *queue, NvsNewJob *jobs,
					  int n, int64 *ids)
{
	jobs_put(set, queue, jobs, n, ids, true);
}

/* Give jobs without a priority that of their queue. */
void
nvs_jobs_set_priority(const NvsQueue *queue, NvsNewJob *jobs, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (jobs[i].isnull[NVS_JOB_PRIORITY])
			nvs_job_set(&jobs[i], NVS_JOB_PRIORITY,
						Int32GetDatum(queue->priority));
}

/* Put complete jobs into a queue, as far as its policy and slots allow. */
static void
jobs_put(NvsTableSet *set, NvsQueue *queue, NvsNewJob *jobs, int n,
		 int64 *ids, bool has_ids)
{
	if (nvs_policy_takes_keys(queue->policy) || nvs_jobs_have_slots(jobs, n))
		jobs_insert_chosen(set, queue, jobs, n, ids, has_ids);
	else
		jobs_insert(set, queue, jobs, n, ids, has_ids);
}

/*
 * Put those jobs into a queue whose keys and slots are free; the ids of others
 * are 0.
 */
static void
jobs_insert_chosen(NvsTableSet *set, NvsQueue *queue, NvsNewJob *jobs, int n,
				   int64 *ids, bool has_ids)
{
	NvsNewJob  *kept = palloc(sizeof(NvsNewJob) * n);
	int64	   *kept_ids = palloc(sizeof(int64) * n);
	int			nkept = 0;
	int			i;

	if (nvs_policy_takes_keys(queue->policy))
		nvs_keys_take(set, queue, jobs, n, ids, has_ids);
	if (nvs_jobs_have_slots(jobs, n))
		jobs_take_slots(set, queue, jobs, n, ids, has_ids);
	for (i = 0; i < n; i++)
		if (ids[i] != 0)
		{
			kept_ids[nkept] = ids[i];
			kept[nkept++] = jobs[i];
		}
	if (nkept > 0)
		jobs_insert(set, queue, kept, nkept, kept_ids, true);
}

/*
 * Take the slots of jobs, which have their ids if the queue's policy is about
 * keys, and get them now otherwise, unless they have them anyhow.  What is
 * refused gives its key back.
 */
static void
jobs_take_slots(NvsTableSet *set, NvsQueue *queue, NvsNewJob *jobs, int n,
				int64 *ids, bool has_ids)
{
	int64	   *before = palloc(sizeof(int64) * n);
	Datum	   *refused = palloc(sizeof(Datum) * n);
	int			nrefused = 0;
	int			i;

	if (!nvs_policy_takes_keys(queue->policy) && !has_ids)
	{
		for (i = 0; i < n; i++)
			ids[i] = 1;
		nvs_slots_look(set, queue, jobs, n, ids);
		nvs_jobs_draw(set, ids, n);
	}
	memcpy(before, ids, sizeof(int64) * n);
	nvs_slots_take(set, queue, jobs, n, ids);
	for (i = 0; i < n; i++)
		if (before[i] != ids[i])
			refused[nrefused++] = Int64GetDatum(before[i]);
	nvs_keys_release(set, queue, refused, nrefused);
}

/* Put complete jobs into a queue; ids has the id of each, or gets it. */
static void
jobs_insert(NvsTableSet *set, NvsQueue *queue, const NvsNewJob *jobs, int n,
			int64 *ids, bool has_ids)
{
	if (!nvs_direct_send(set, queue, jobs, n, ids, has_ids))
		jobs_insert_by_statement(set, queue, jobs, n, ids, has_ids);
	jobs_defer(set, queue, jobs, n, ids);
	jobs_note(set, queue, jobs, n, ids);
	nvs_notify_jobs_drawn(n);

	/* No commit flushes it, and who knows a job has no other one by its id. */
	if (queue->unlogged)
		nvs_position_keep_drawn();
}

/*
 * Put complete jobs into a queue by a statement, which triggers, rules and
 * policies of the tables may have something to say to.
 */
static void
jobs_insert_by_statement(NvsTableSet *set, const NvsQueue *queue,
						 const NvsNewJob *jobs, int n, int64 *ids,
						 bool has_ids)
{
	JobIds		kept = {ids, 0};
	int64	   *drawn = NULL;
	NvsParams	params;
	const NvsStatement *statement;
	int			i;

	/* Where others may change ids, they are known before. */
	if (!has_ids && jobs_may_be_changed(set->relids[NVS_TABLE_JOBS]))
	{
		for (i = 0; i < n; i++)
			ids[i] = 1;
		nvs_jobs_draw(set, ids, n);
		has_ids = true;
	}
	if (has_ids)
	{
		drawn = palloc(sizeof(int64) * n);
		memcpy(drawn, ids, sizeof(int64) * n);
	}

	statement = jobs_statement(queue, jobs, n, drawn, &params);
	(void) nvs_table_set_each_of(set, statement, &params, false, n,
								 jobs_keep_id, &kept);
	if (kept.n != n)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a trigger or rule of %s kept back %d of %d jobs",
						set->tables[NVS_TABLE_JOBS], n - kept.n, n)));
	for (i = 0; drawn != NULL && i < n; i++)
		if (ids[i] != drawn[i])
			ereport(ERROR,
					(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
					 errmsg("a trigger or rule of %s changed the id of a job",
							set->tables[NVS_TABLE_JOBS]),
					 errdetail("It was " INT64_FORMAT ", by which its key and its turn know it.",
							   drawn[i])));
}

/*
 * May a trigger or a rule have a say in the rows that are put into a table,
 * which is locked?
 */
static bool
jobs_may_be_changed(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);
	const TriggerDesc *triggers = rel->trigdesc;
	bool		may = rel->rd_rules != NULL ||
		(triggers != NULL && triggers->trig_insert_before_row);

	/* Its partitions have triggers of their own. */
	may = may || rel->rd_rel->relkind != RELKIND_RELATION;

	relation_close(rel, NoLock);
	return may;
}

/*
 * Have those who fetch look for the jobs if they commit behind others, and
 * those who wait for jobs, or for when they come due.
 */
static void
jobs_note(const NvsTableSet *set, const NvsQueue *queue,
		  const NvsNewJob *jobs, int n, const int64 *ids)
{
	int			nready = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		Datum		priority = jobs[i].options[NVS_JOB_PRIORITY];
		Datum		due_at = jobs[i].options[NVS_JOB_DUE_AT];

		if (jobs[i].isnull[NVS_JOB_DUE_AT])
			nready++;
		else
			nvs_queue_due(queue, DatumGetTimestampTz(due_at));
		if (i == 0 || priority != jobs[i - 1].options[NVS_JOB_PRIORITY])
			nvs_hint_note(queue, DatumGetInt32(priority), ids[i], true);
	}
	nvs_queue_ready(set, queue, nready);
}

/*
 * The statement that inserts jobs, and its parameters: the narrowest that has
 * all that is said of them.  ids is NULL where these are to be drawn.
 */
static const NvsStatement *
jobs_statement(const NvsQueue *queue, const NvsNewJob *jobs, int n,
			   const int64 *ids, NvsParams *params)
{
	int			i;

	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(queue->number), false);
	if (ids != NULL || jobs_have_options(jobs, n))
	{
		jobs_add_data(params, jobs, n);
		for (i = 0; i < NVS_JOB_OPTIONS; i++)
			jobs_add_column(params, jobs, n, i);
		if (ids == NULL)
			return &job_insert_options;
		jobs_add_ids(params, ids, n);
		return &job_insert_keyed;
	}
	if (n == 1)
	{
		nvs_params_add(params, INT4OID, jobs->options[NVS_JOB_PRIORITY],
					   false);
		nvs_params_add(params, JSONBOID, jobs->data, !jobs->has_data);
		return &job_insert_one;
	}
	jobs_add_column(params, jobs, n, NVS_JOB_PRIORITY);
	jobs_add_data(params, jobs, n);
	return &job_insert;
}

/* Report the nth job, which has no key, and goes where keys are strict. */
static void
job_refuse_keyless(const NvsQueue *queue, int n)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("job %d of queue \"%s\" must have a key", n, queue->name),
			 errdetail("By the policy of the queue, jobs of a key are run one "
					   "after another.")));
}

/* Raise an error for a job whose dead letter queue does not exist. */
static void
job_check_dead_letter(NvsTableSet *set, const NvsNewJob *job)
{
	Datum		name = job->options[NVS_JOB_DEAD_LETTER];

	(void) nvs_queue_require(set, TextDatumGetCString(name));
}

/* Raise an error for an option of the nth job that is out of range. */
static void
job_check(const NvsNewJob *job, int n)
{
	static const NvsJobOption spans[] = {
		NVS_JOB_LEASE, NVS_JOB_MAX_RUN
	};
	TimestampTz now = GetCurrentTimestamp();
	int			i;

	if (!job->isnull[NVS_JOB_RETRY_LIMIT] &&
		DatumGetInt32(job->options[NVS_JOB_RETRY_LIMIT]) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("retry limit of job %d must not be negative", n)));
	if (!job->isnull[NVS_JOB_KEY])
		nvs_key_check(job->options[NVS_JOB_KEY], "key", n);
	if (!job->isnull[NVS_JOB_GROUP])
		nvs_key_check(job->options[NVS_JOB_GROUP], "group", n);
	for (i = 0; i < lengthof(spans); i++)
		if (!job->isnull[spans[i]] &&
			nvs_after(now, DatumGetIntervalP(job->options[spans[i]])) <= now)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s of job %d must be greater than zero",
							spans[i] == NVS_JOB_LEASE ? "lease" : "longest run",
							n)));
}

/*
 * Make the levels of priorities that are new to a queue, in their order: who
 * makes the same ones waits for our transaction, and we for no one behind us.
 * Who sends jobs to several queues does this first, in the order of their
 * numbers.  Jobs without a priority are left out.
 */
void
nvs_jobs_add_levels(NvsTableSet *set, const NvsQueue *queue,
					const NvsNewJob *jobs, int n)
{
	List	   *missing = NIL;
	ListCell   *lc;
	int			i;

	for (i = 0; i < n; i++)
	{
		int32		priority = DatumGetInt32(jobs[i].options[NVS_JOB_PRIORITY]);

		if (!jobs[i].isnull[NVS_JOB_PRIORITY] &&
			!jobs_have_level(queue, priority))
			missing = list_append_unique_int(missing, priority);
	}
	list_sort(missing, list_int_cmp);
	foreach(lc, missing)
	{
		NvsParams	params;

		nvs_params_init(&params);
		nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
		nvs_params_add(&params, INT4OID, Int32GetDatum(lfirst_int(lc)), false);
		(void) nvs_table_set_run(set, &job_add_level, &params);
	}
}

/* Has a queue the level of a priority, as far as we know? */
static bool
jobs_have_level(const NvsQueue *queue, int32 priority)
{
	int			i;

	for (i = 0; i < queue->nlevels; i++)
		if (queue->levels[i].priority == priority)
			return true;
	return false;
}

/* Has any of these jobs an option besides its priority? */
static bool
jobs_have_options(const NvsNewJob *jobs, int n)
{
	int			i;
	int			k;

	for (i = 0; i < n; i++)
		for (k = 0; k < NVS_JOB_OPTIONS; k++)
			if (k != NVS_JOB_PRIORITY && !jobs[i].isnull[k])
				return true;
	return false;
}

/* Add an option of all jobs to the parameters, as an array. */
static void
jobs_add_column(NvsParams *params, const NvsNewJob *jobs, int n, int option)
{
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);
	Oid			type = job_types[option];
	int			i;

	for (i = 0; i < n; i++)
	{
		values[i] = jobs[i].options[option];
		nulls[i] = jobs[i].isnull[option];
	}
	nvs_params_add(params, get_array_type(type),
				   nvs_array_of(type, values, nulls, n), false);
}

/* Add the data of all jobs to the parameters, as an array. */
static void
jobs_add_data(NvsParams *params, const NvsNewJob *jobs, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);
	int			i;

	for (i = 0; i < n; i++)
	{
		values[i] = jobs[i].data;
		nulls[i] = !jobs[i].has_data;
	}
	nvs_params_add(params, JSONBARRAYOID,
				   nvs_array_of(JSONBOID, values, nulls, n), false);
}

/* Add the ids of all jobs to the parameters, as an array. */
static void
jobs_add_ids(NvsParams *params, const int64 *ids, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * n);
	int			i;

	for (i = 0; i < n; i++)
		values[i] = Int64GetDatum(ids[i]);
	nvs_params_add(params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, values, NULL, n), false);
}

/* Keep the id of a row that was inserted. */
static void
jobs_keep_id(TupleTableSlot *slot, void *arg)
{
	JobIds	   *kept = arg;
	bool		isnull;

	kept->ids[kept->n++] = DatumGetInt64(slot_getattr(slot, 1, &isnull));
}

/* Give those jobs a turn that are to start later. */
static void
jobs_defer(NvsTableSet *set, const NvsQueue *queue, const NvsNewJob *jobs,
		   int n, const int64 *ids)
{
	NvsNewJob  *later = palloc(sizeof(NvsNewJob) * n);
	Datum	   *late_ids = palloc(sizeof(Datum) * n);
	NvsParams	params;
	int			nlater = 0;
	int			i;

	for (i = 0; i < n; i++)
		if (!jobs[i].isnull[NVS_JOB_DUE_AT] && !jobs[i].waits)
		{
			late_ids[nlater] = Int64GetDatum(ids[i]);
			later[nlater++] = jobs[i];
		}
	if (nlater == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, late_ids, NULL, nlater), false);
	jobs_add_column(&params, later, nlater, NVS_JOB_PRIORITY);
	jobs_add_column(&params, later, nlater, NVS_JOB_DUE_AT);
	(void) nvs_table_set_run(set, &job_defer, &params);
}
