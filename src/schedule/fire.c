/*
 * schedule/fire.c
 *	  What a run of a schedule does: it appends an event, or sends a job.
 *
 * A row says what goes where, and whoever wrote it need not be who runs it.  So
 * that nobody does by a schedule what he may not do himself, a run wants all
 * authors of the row (schedule/author.c) to have the right to write to the
 * tables that it writes to, now and not when they wrote the row.  It goes to
 * the schedule's own store.  And as nobody asks for these tables by name,
 * nothing that is foreign to who runs them may run (route/foreign_code.h).
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "queue/queue.h"
#include "route/binding.h"
#include "route/foreign_code.h"
#include "route/route.h"
#include "schedule/internal.h"
#include "schedule/schedule.h"

/* What is needed on the tables of queues to send a job. */
#define FIRE_SEND_PRIVILEGES \
	(ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE)

/* $1 subject, $2 event, $3 name, $4 when it was due. */
static const NvsStatement fire_event = {
	"SELECT nvent.stream_append($1, $2 OPERATOR(pg_catalog.||) "
	"pg_catalog.jsonb_build_object('scheduleName', $3, 'scheduledAt', $4))"
};

/* $1 queue, $2 job, $3 name, $4 when it was due, $5 store. */
static const NvsStatement fire_job = {
	"SELECT s.id FROM nvent.queue_send_batch($1, ARRAY["
	"$2 OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('data', "
	"COALESCE($2 OPERATOR(pg_catalog.->) 'data', '{}'::pg_catalog.jsonb) "
	"OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object("
	"'scheduleName', $3, 'scheduledAt', $4))], $5) s (id)"
};

static void fire_append(NvsSchedulePass *pass,
						const NvsDueSchedule *schedule);
static void fire_run_event(NvsSchedulePass *pass, const NvsParams *params);
static void fire_check_place(const NvsDueSchedule *schedule, Oid relid);
static void fire_check_bound(NvsSchedulePass *pass,
							 const NvsDueSchedule *schedule);
static NvsTableSet *fire_check_queues(NvsSchedulePass *pass,
									  const NvsDueSchedule *schedule);
static void fire_send(NvsSchedulePass *pass, const NvsDueSchedule *schedule);
static void fire_check_table(NvsSchedulePass *pass,
							 const NvsDueSchedule *schedule, Oid relid,
							 const char *table, AclMode privileges,
							 int16 events);
static void fire_check_rows(NvsSchedulePass *pass, Oid relid,
							const char *table);
static void fire_check_code(NvsSchedulePass *pass, Oid relid,
							const char *table, int16 events);

/* Do what a schedule is for. */
void
nvs_schedule_fire(NvsSchedulePass *pass, const NvsDueSchedule *schedule)
{
	if (schedule->authors == NULL)
	{
		pass->refused = true;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("it is not known who wrote the schedule"),
				 errhint("Delete it and set it again.")));
	}
	if (schedule->subject != NULL)
		fire_append(pass, schedule);
	else
		fire_send(pass, schedule);
}

/*
 * Append the event of a schedule, to a stream of its store.  The table is
 * locked from when it was looked at.
 */
static void
fire_append(NvsSchedulePass *pass, const NvsDueSchedule *schedule)
{
	int			len = strlen(schedule->subject);
	NvsResolved resolved;
	NvsParams	params;
	Oid			relid;

	if (!nvs_store_owns(nvs_store_require(pass->set->prefix),
						schedule->subject, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subject \"%s\" is not in store \"%s\"",
						schedule->subject, pass->set->prefix)));

	/* The table is made now, where it is to be, so that it can be asked for. */
	(void) nvs_route_find(NVS_KIND_STREAM, schedule->subject, len,
						  NVS_USE_WRITE, &resolved);
	relid = resolved.target->relid;
	fire_check_table(pass, schedule, relid, resolved.target->name, ACL_INSERT,
					 TRIGGER_TYPE_INSERT);
	fire_check_bound(pass, schedule);

	/* It goes where the route says by then: to this table, or it is undone. */
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(schedule->subject),
				   false);
	nvs_params_add(&params, JSONBOID, schedule->event, schedule->event == 0);
	nvs_params_add(&params, TEXTOID, schedule->name, false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(schedule->due), false);
	fire_run_event(pass, &params);
	fire_check_place(schedule, relid);

	/* Again: a queue may have been bound meanwhile. */
	fire_check_bound(pass, schedule);
}

/*
 * Append the event, wherever that goes: while it waits for the subject's lock
 * the route may be moved, or a queue bound, by who holds it.  That is an error
 * afterwards, when it would be too late for what is foreign to have run.
 */
static void
fire_run_event(NvsSchedulePass *pass, const NvsParams *params)
{
	bool		was_refused = nvs_refuse_foreign_code(true);

	PG_TRY();
	{
		(void) nvs_table_set_run(pass->set, &fire_event, params);
	}
	PG_FINALLY();
	{
		(void) nvs_refuse_foreign_code(was_refused);
	}
	PG_END_TRY();
}

/* Raise an error unless a run may send the jobs that its event makes. */
static void
fire_check_bound(NvsSchedulePass *pass, const NvsDueSchedule *schedule)
{
	const NvsStore *store = nvs_store_require(pass->set->prefix);

	if (nvs_bindings_of_event(store, schedule->subject,
							  strlen(schedule->subject), NULL, 0) != NIL)
		(void) fire_check_queues(pass, schedule);
}

/* Raise an error when an event went elsewhere than was looked at before. */
static void
fire_check_place(const NvsDueSchedule *schedule, Oid relid)
{
	NvsResolved resolved;

	if (!nvs_route_find(NVS_KIND_STREAM, schedule->subject,
						strlen(schedule->subject), NVS_USE_CHANGE,
						&resolved) || resolved.target->relid != relid)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("subject \"%s\" was moved to another table",
						schedule->subject)));
}

/*
 * Raise an error unless a run may send jobs: who sends reads queues, and
 * writes to each of their tables, which are returned, NULL when there are none.
 * What was kept for a job that is gone is deleted, and what waits for room is
 * told of it.
 */
static NvsTableSet *
fire_check_queues(NvsSchedulePass *pass, const NvsDueSchedule *schedule)
{
	NvsTableSet *queues = nvs_table_set_find(&nvs_queue_tables,
											 pass->set->prefix,
											 RowExclusiveLock);
	int			i;

	for (i = 0; queues != NULL && i < queues->kind->ntables; i++)
		fire_check_table(pass, schedule, queues->relids[i], queues->tables[i],
						 i == 0 ? ACL_SELECT : FIRE_SEND_PRIVILEGES,
						 i == 0 ? TRIGGER_TYPE_INSERT : NVS_ANY_CHANGE);
	return queues;
}

/* Send the job of a schedule, to a queue of its store. */
static void
fire_send(NvsSchedulePass *pass, const NvsDueSchedule *schedule)
{
	NvsParams	params;

	if (fire_check_queues(pass, schedule) == NULL)
		nvs_queue_missing(schedule->queue);
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(schedule->queue),
				   false);
	nvs_params_add(&params, JSONBOID, schedule->job, false);
	nvs_params_add(&params, TEXTOID, schedule->name, false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(schedule->due), false);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(pass->set->prefix),
				   false);
	nvs_table_set_run(pass->set, &fire_job, &params);
}

/*
 * Raise an error unless a run may write to a table: see the top of this file.
 */
static void
fire_check_table(NvsSchedulePass *pass, const NvsDueSchedule *schedule,
				 Oid relid, const char *table, AclMode privileges,
				 int16 events)
{
	char	   *role = nvs_schedule_outsider(schedule->authors, relid,
											 privileges);

	if (role != NULL)
	{
		pass->refused = true;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the schedule must not write to table %s", table),
				 errdetail("Role \"%s\" is one of its authors, and lacks the right to do so, or a policy of the table restricts it.",
						   role),
				 errhint("Grant the role that right, or delete the schedule and set it again.")));
	}
	if (!list_member_oid(pass->checked, relid))
	{
		fire_check_rows(pass, relid, table);
		fire_check_code(pass, relid, table, events);
	}
}

/*
 * Raise an error when a table of the store is being restored: what a run wrote
 * would be in the way of rows that are to come.
 */
static void
fire_check_rows(NvsSchedulePass *pass, Oid relid, const char *table)
{
	const NvsStore *store = nvs_store_require(pass->set->prefix);
	char	   *prefix = psprintf("%s_", store->prefix);

	if (get_rel_namespace(relid) == store->nspid &&
		strncmp(get_rel_name(relid), prefix, strlen(prefix)) == 0 &&
		!nvs_relation_has_index(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has no index", table),
				 errdetail("It is being restored, or has lost its primary key."),
				 errhint("Schedules run again when it has one.")));
}

/* Raise an error when code would run that is foreign to us. */
static void
fire_check_code(NvsSchedulePass *pass, Oid relid, const char *table,
				int16 events)
{
	char	   *code = nvs_foreign_code(relid, events);

	if (code != NULL)
	{
		pass->refused = true;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("a run that writes to table %s would execute code of another role",
						table),
				 errdetail("The author of %s may lack privileges of role \"%s\", which it would run with.",
						   code, GetUserNameFromId(GetUserId(), false)),
				 errhint("Call nvent.schedule_run() as a role whose privileges the author has, or remove the code.")));
	}
	pass->checked = lappend_oid(pass->checked, relid);
}
