/*
 * queue/lane.c
 *	  Lanes: jobs of which only so many may be active at a time.
 *
 * The jobs of a key are a lane where the policy of a queue lets one of them be
 * active, and those of a group where the queue has a limit for them.  A lane
 * has places, which are rows of {job_lanes} while somebody has them; a unique
 * index sees to it that nobody else does.  Who fetches a job of a lane takes a
 * place (queue/admit.c), and never waits for one:
 *
 *	- a place is locked by an advisory lock before its row is written, so the
 *	  rows of others that are not committed need not be seen;
 *	- a job whose lane is full as all see it waits: its turn, which it gets if
 *	  it has none, is due at infinity and names the lane.  So those who fetch
 *	  step over it once, however many there are of one lane.
 *
 * Who ends a run gives its place back, by the same row: it says that there is
 * room in the lane, until somebody who fetches has made as many turns due that
 * wait there.  Nothing is looked for by who ends a run, so he waits for
 * nobody, and need not see who begins to wait just then.  Those who have jobs
 * wait share a lock of the lane; when a row is deleted for which no turn
 * waits, that lock is held alone.  So either the job that waits is seen, or
 * the room is by who would have had it wait.
 *
 * A turn that was made due, and is deleted before it has run, says in its
 * place that there is room.
 *
 * The place of the job of a key that waits to be tried again is waited for, and
 * in no order by those who end runs.  So who has jobs go on that had ended, in
 * that of their keys, waits for none of those while he has a place himself:
 * their locks tell him of them.
 *
 * Places of rates are given back by time alone: see queue/rate.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "base/advisory.h"
#include "base/text.h"
#include "queue/lane.h"
#include "wakeup/jobs.h"

/* Rows that say that there is room, which one look deals with. */
#define MAX_WAKE	256

/* What a lock of a lane is taken on where it is not one of its places. */
#define WAITING	(-2)
#define RETRIES	(-3)			/* places of all lanes, of jobs that wait */

/* Places that a transaction tells of by a lock each. */
#define MAX_TOLD	500

/* $1 queue, $2 ids, $3 and $4 the first and the last of the places. */
static const NvsStatement lane_release = {
	"UPDATE {job_lanes} l SET held = false "
	"WHERE l.id OPERATOR(pg_catalog.=) ANY ($2) AND l.held "
	"AND " NVS_IN_QUEUE("l", "1") " "
	"AND l.place OPERATOR(pg_catalog.>=) $3 "
	"AND l.place OPERATOR(pg_catalog.<=) $4 AND l.free_at IS NULL"
};

/* Give back all places of jobs $2 of queue $1, but for those that are there. */
static const NvsStatement lane_forget = {
	"UPDATE {job_lanes} o SET held = false "
	"WHERE o.id OPERATOR(pg_catalog.=) ANY ($2) AND o.held "
	"AND " NVS_IN_QUEUE("o", "1") " AND o.free_at IS NULL "
	"AND (SELECT j.id FROM "
	NVS_JOB_AT(NVS_ALL_PRIORITIES, "o.id", "OFFSET 0")
	"LIMIT 1) IS NULL"
};

/* The lane of the key of job $3 of queue $1 and priority $2. */
static const NvsStatement lane_of_key = {
	"SELECT pg_catalog.concat('k', j.key) FROM {jobs} j "
	"WHERE " NVS_THIS_JOB("j")
};

/* Have job $3 of queue $1, of lane $4, be the one of its key that waits. */
#define TAKE_RETRY(condition) \
	"INSERT INTO {job_lanes} (queue, lane, place, id, held) " \
	"SELECT j.queue, $4, -1, j.id, true " \
	"FROM {jobs} j WHERE " NVS_THIS_JOB("j") " " condition \
	"ON CONFLICT (queue, lane, place) WHERE held DO NOTHING"

static const NvsStatement lane_take_retry = {
	TAKE_RETRY("")
};

/* Who is giving the place back has it until that is committed. */
static const NvsStatement lane_take_free_retry = {
	TAKE_RETRY("AND NOT EXISTS (SELECT FROM {job_lanes} l "
			   "WHERE l.queue OPERATOR(pg_catalog.=) $1 "
			   "AND l.lane OPERATOR(pg_catalog.=) $4 "
			   "AND l.place OPERATOR(pg_catalog.=) -1 AND l.held) ")
};

/* $1 queue, $2 lane, $3 id. */
static const NvsStatement lane_leave = {
	"INSERT INTO {job_lanes} (queue, lane, place, id, held) "
	"VALUES ($1, $2, 0, $3, false)"
};

/*
 * $1 queue, $2 ids of jobs whose turns are locked.  Of those that wait one for
 * each lane does: they keep no room from others, but who looked while they were
 * locked may have passed them over.
 */
static const NvsStatement lane_leave_all = {
	"INSERT INTO {job_lanes} (queue, lane, place, id, held) "
	"SELECT t.queue, t.lane, 0, pg_catalog.min(t.id), false "
	"FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) ANY ($2) "
	"AND " NVS_IN_QUEUE("t", "1") " AND t.lane IS NOT NULL "
	"GROUP BY t.queue, t.lane, CASE WHEN t.due_at IS NULL THEN t.id END"
};

/* Up to $2 rows of queue $1 that say where there is room, locked. */
static const NvsStatement lane_room = {
	"SELECT l.lane, l.ctid FROM {job_lanes} l "
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 AND NOT l.held "
	"ORDER BY l.queue, l.lane LIMIT $2 FOR UPDATE SKIP LOCKED"
};

/* Make due up to as many turns $3 as there are of each lane $2 of queue $1. */
static const NvsStatement lane_make_due = {
	"UPDATE {job_turns} t SET due_at = NULL "
	"WHERE t.id OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT w.id FROM ROWS FROM ("
	"pg_catalog.unnest($2), pg_catalog.unnest($3)) u (lane, n), "
	"LATERAL (SELECT s.id FROM {job_turns} s "
	"WHERE s.queue OPERATOR(pg_catalog.=) $1 "
	"AND s.lane OPERATOR(pg_catalog.=) u.lane AND " NVS_WAITS_IN_LANE("s") " "
	"ORDER BY s.queue, s.lane, s.priority DESC, s.id LIMIT u.n "
	"FOR UPDATE SKIP LOCKED) w)) RETURNING t.lane"
};

/* $1 rows of lanes whose turns are due. */
static const NvsStatement lane_forget_room = {
	"DELETE FROM {job_lanes} l WHERE l.ctid OPERATOR(pg_catalog.=) ANY ($1)"
};

/* $1 rows of lanes in which no job waits. */
static const NvsStatement lane_forget_idle = {
	"DELETE FROM {job_lanes} l WHERE l.ctid OPERATOR(pg_catalog.=) ANY ($1) "
	"AND (SELECT t.id FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) l.queue "
	"AND t.lane OPERATOR(pg_catalog.=) l.lane AND " NVS_WAITS_IN_LANE("t") " "
	"LIMIT 1) IS NULL"
};

/*
 * Give back up to $2 places of queue $1 that jobs have which are gone, deleted
 * by hand.
 */
static const NvsStatement lane_mend_places = {
	"UPDATE {job_lanes} l SET held = false "
	"WHERE l.ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT h.ctid FROM {job_lanes} h "
	"WHERE h.queue OPERATOR(pg_catalog.=) $1 AND h.held "
	"AND h.free_at IS NULL AND (SELECT j.id FROM "
	NVS_JOB_AT(NVS_ALL_PRIORITIES, "h.id", "OFFSET 0")
	"LIMIT 1) IS NULL "
	"LIMIT $2 FOR UPDATE SKIP LOCKED))"
};

/*
 * Say that there is room in up to $2 lanes of queue $1 where turns wait and
 * nobody has a place, nor was room said to be: from one lane to the next.
 */
static const NvsStatement lane_mend_lanes = {
	"WITH RECURSIVE n AS ((SELECT t.lane FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND " NVS_IN_LANE("t") " "
	"ORDER BY t.queue, t.lane LIMIT 1) "
	"UNION ALL SELECT (SELECT t.lane FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 "
	"AND t.lane OPERATOR(pg_catalog.>) n.lane AND " NVS_IN_LANE("t") " "
	"ORDER BY t.queue, t.lane LIMIT 1) FROM n WHERE n.lane IS NOT NULL) "
	"INSERT INTO {job_lanes} (queue, lane, place, id, held) "
	"SELECT $1, n.lane, 0, 0, false FROM n WHERE n.lane IS NOT NULL "
	"AND (SELECT l.id FROM {job_lanes} l "
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 "
	"AND l.lane OPERATOR(pg_catalog.=) n.lane AND l.held LIMIT 1) IS NULL "
	"AND (SELECT l.id FROM {job_lanes} l "
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 "
	"AND l.lane OPERATOR(pg_catalog.=) n.lane AND NOT l.held LIMIT 1) IS NULL "
	"LIMIT $2"
};

/* A lane in which there is room. */
typedef struct LaneRoom
{
	text	   *lane;
	int			n;				/* rows that say so */
	int			first;			/* the first of them */
	int			due;			/* turns that were made due for them */
} LaneRoom;

/* The lanes in which there is room, as one look finds them. */
typedef struct LaneRooms
{
	LaneRoom   *lanes;
	int			n;
	Datum	   *rows;			/* tid */
	int			nrows;
	MemoryContext cxt;
} LaneRooms;

static uint64 lane_lock_key(const NvsTableSet *set, const NvsQueue *queue,
							const text *lane, int place);
static void lane_make_room(NvsTableSet *set, const NvsQueue *queue,
						   const NvsStatement *statement,
						   const NvsParams *params);
static text *lane_of_job(NvsTableSet *set, const NvsQueue *queue,
						 int32 priority, int64 id);
static void lane_tell_retry(const NvsTableSet *set, const NvsQueue *queue,
							const text *lane);
static bool lane_run_retry(NvsTableSet *set, const NvsQueue *queue,
						   int32 priority, int64 id, text *lane,
						   const NvsStatement *statement);
static void lane_job_params(NvsParams *params, const NvsQueue *queue,
							int32 priority, int64 id);
static void lanes_params(NvsParams *params, const NvsQueue *queue,
						 const Datum *ids, int n);
static void lane_keep_room(TupleTableSlot *slot, void *arg);
static void lane_count_due(TupleTableSlot *slot, void *arg);
static void lanes_make_due(NvsTableSet *set, const NvsQueue *queue,
						   LaneRooms *rooms);
static void lanes_forget_rooms(NvsTableSet *set, const NvsQueue *queue,
							   const LaneRooms *rooms);
static void lanes_delete(NvsTableSet *set, const NvsStatement *statement,
						 const Datum *rows, int n);

/* Run a statement that says that there is room; who waits for jobs is told. */
static void
lane_make_room(NvsTableSet *set, const NvsQueue *queue,
			   const NvsStatement *statement, const NvsParams *params)
{
	uint64		n = nvs_table_set_run(set, statement, params);

	if (n > 0)
		nvs_jobs_note_ready(queue->wakeup, n);
}

/* Is a lane that of a key? */
bool
nvs_lane_is_of_key(const text *lane)
{
	return *VARDATA_ANY(lane) == NVS_LANE_KEY;
}

/* The name of the lane of a kind, of a key or a group; NULL for none. */
text *
nvs_lane_name(char kind, const text *of)
{
	int			len = of == NULL ? 0 : VARSIZE_ANY_EXHDR(of);
	text	   *lane = palloc(VARHDRSZ + 1 + len);

	SET_VARSIZE(lane, VARHDRSZ + 1 + len);
	*VARDATA(lane) = kind;
	if (len > 0)
		memcpy(VARDATA(lane) + 1, VARDATA_ANY(of), len);
	return lane;
}

/* The key of the lock of a place of a lane. */
static uint64
lane_lock_key(const NvsTableSet *set, const NvsQueue *queue, const text *lane,
			  int place)
{
	uint64		hash = nvs_hash(VARDATA_ANY(lane), VARSIZE_ANY_EXHDR(lane),
								(uint64) queue->number << 32 | (uint32) place);

	return (uint64) set->number << 32 | (uint32) hash;
}

/* Lock a place of a lane until the transaction ends, if nobody else has. */
bool
nvs_lane_lock(const NvsTableSet *set, const NvsQueue *queue, const text *lane,
			  int place, LOCKMODE mode)
{
	return nvs_lock_if_free(NVS_LOCK_LANE,
							lane_lock_key(set, queue, lane, place), mode);
}

/* Let go of a place that was locked, and not taken. */
void
nvs_lane_unlock(const NvsTableSet *set, const NvsQueue *queue,
				const text *lane, int place, LOCKMODE mode)
{
	nvs_unlock(NVS_LOCK_LANE, lane_lock_key(set, queue, lane, place), mode);
}

/*
 * Lock, until the transaction ends, what those lock who have jobs of a lane
 * wait, if nobody else has.
 */
bool
nvs_lane_lock_waiting(const NvsTableSet *set, const NvsQueue *queue,
					  const text *lane, LOCKMODE mode)
{
	return nvs_lane_lock(set, queue, lane, WAITING, mode);
}

/*
 * Have a job whose run has ended be the one of its key that waits to be tried
 * again; false when there is another.  Whoever is about to be, or not to be, is
 * waited for.
 */
bool
nvs_lane_wait_again(NvsTableSet *set, const NvsQueue *queue, int32 priority,
					int64 id)
{
	text	   *lane = lane_of_job(set, queue, priority, id);

	if (lane == NULL)
		return false;
	lane_tell_retry(set, queue, lane);
	return lane_run_retry(set, queue, priority, id, lane, &lane_take_retry);
}

/*
 * Tell by a lock, until the transaction ends, that we may have the place of the
 * job of a lane that waits to be tried again.  As there is room for only so
 * many locks, some of them tell of all lanes of the queue.
 */
static void
lane_tell_retry(const NvsTableSet *set, const NvsQueue *queue,
				const text *lane)
{
	static FullTransactionId teller;
	static int	told;
	FullTransactionId xid = GetTopFullTransactionId();

	if (!FullTransactionIdEquals(teller, xid))
	{
		teller = xid;
		told = 0;
	}
	nvs_lock(NVS_LOCK_LANE,
			 told++ < MAX_TOLD ?
			 lane_lock_key(set, queue, lane, NVS_PLACE_RETRY) :
			 lane_lock_key(set, queue, cstring_to_text(""), RETRIES),
			 ShareLock);
}

/*
 * Have a job that had ended be the one of its key that waits to be tried again;
 * false when there is another.  Whoever is about to be, or not to be, is waited
 * for if may_wait; else he counts as another, unless he has a job go on, too.
 *
 * The locks keep those away whose runs end, who wait for our row then: while we
 * have one, we do not wait for theirs.
 */
bool
nvs_lane_go_on(NvsTableSet *set, const NvsQueue *queue, int32 priority,
			   int64 id, bool may_wait)
{
	text	   *lane = lane_of_job(set, queue, priority, id);
	uint64		one;
	uint64		all;
	bool		taken = false;

	if (lane == NULL)
		return false;
	if (may_wait)
		return lane_run_retry(set, queue, priority, id, lane,
							  &lane_take_retry);
	one = lane_lock_key(set, queue, lane, NVS_PLACE_RETRY);
	all = lane_lock_key(set, queue, cstring_to_text(""), RETRIES);
	if (!nvs_lock_if_free(NVS_LOCK_LANE, one, ExclusiveLock))
		return false;
	if (nvs_lock_if_free(NVS_LOCK_LANE, all, ExclusiveLock))
	{
		taken = lane_run_retry(set, queue, priority, id, lane,
							   &lane_take_free_retry);
		nvs_unlock(NVS_LOCK_LANE, all, ExclusiveLock);
	}
	nvs_unlock(NVS_LOCK_LANE, one, ExclusiveLock);
	return taken;
}

/* The lane of a job's key; NULL when the job is gone. */
static text *
lane_of_job(NvsTableSet *set, const NvsQueue *queue, int32 priority, int64 id)
{
	NvsParams	params;
	Datum		lane;

	lane_job_params(&params, queue, priority, id);
	if (!nvs_execute_first(nvs_statement_plan(set->plans, &lane_of_key,
											  &params, NULL),
						   &params, false, CurrentMemoryContext, &lane))
		return NULL;
	return DatumGetTextPP(lane);
}

/* Take the place of the job of a lane that waits to be tried again. */
static bool
lane_run_retry(NvsTableSet *set, const NvsQueue *queue, int32 priority,
			   int64 id, text *lane, const NvsStatement *statement)
{
	NvsParams	params;

	lane_job_params(&params, queue, priority, id);
	nvs_params_add(&params, TEXTOID, PointerGetDatum(lane), false);
	return nvs_table_set_run(set, statement, &params) > 0;
}

/* The parameters that name a job. */
static void
lane_job_params(NvsParams *params, const NvsQueue *queue, int32 priority,
				int64 id)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(params, INT4OID, Int32GetDatum(priority), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(id), false);
}

/* The parameters that name a queue and jobs of it. */
static void
lanes_params(NvsParams *params, const NvsQueue *queue, const Datum *ids,
			 int n)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
}

/* Give back places that jobs, int8, have, from one to another. */
void
nvs_lanes_release(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
				  int n, int first_place, int last_place)
{
	NvsParams	params;

	if (!queue->has_lanes || n == 0)
		return;
	lanes_params(&params, queue, ids, n);
	nvs_params_add(&params, INT4OID, Int32GetDatum(first_place), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(last_place), false);
	lane_make_room(set, queue, &lane_release, &params);
}

/* Give back the places of those among jobs, int8, that we have deleted. */
void
nvs_lanes_forget(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
				 int n)
{
	NvsParams	params;

	if (!queue->has_lanes || n == 0)
		return;
	lanes_params(&params, queue, ids, n);
	lane_make_room(set, queue, &lane_forget, &params);
}

/* A turn of a lane was deleted, which another one may have waited for. */
void
nvs_lane_leave(NvsTableSet *set, const NvsQueue *queue, Datum lane, int64 id)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TEXTOID, lane, false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(id), false);
	lane_make_room(set, queue, &lane_leave, &params);
}

/* Turns of jobs, int8, which are locked, are about to be deleted. */
void
nvs_lanes_leave(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
				int n)
{
	NvsParams	params;

	if (!queue->has_lanes || n == 0)
		return;
	lanes_params(&params, queue, ids, n);
	lane_make_room(set, queue, &lane_leave_all, &params);
}

/*
 * Where there is room in lanes, make turns due that wait there, for up to limit
 * places.
 */
void
nvs_lanes_wake(NvsTableSet *set, const NvsQueue *queue, int64 limit)
{
	LaneRooms	rooms = {NULL, 0, NULL, 0, CurrentMemoryContext};
	NvsParams	params;

	limit = Min(limit, MAX_WAKE);
	rooms.lanes = palloc(sizeof(LaneRoom) * limit);
	rooms.rows = palloc(sizeof(Datum) * limit);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(limit), false);
	(void) nvs_table_set_each(set, &lane_room, &params, false, lane_keep_room,
							  &rooms);
	if (rooms.n == 0)
		return;
	lanes_make_due(set, queue, &rooms);
	lanes_forget_rooms(set, queue, &rooms);
}

/* Keep a row that says that there is room; those of a lane come together. */
static void
lane_keep_room(TupleTableSlot *slot, void *arg)
{
	LaneRooms  *rooms = arg;
	LaneRoom   *room;
	bool		isnull;
	MemoryContext old = MemoryContextSwitchTo(rooms->cxt);
	text	   *lane = DatumGetTextPP(slot_getattr(slot, 1, &isnull));

	room = rooms->n > 0 ? &rooms->lanes[rooms->n - 1] : NULL;
	if (room == NULL || nvs_text_compare(room->lane, lane) != 0)
	{
		room = &rooms->lanes[rooms->n++];
		room->lane = cstring_to_text_with_len(VARDATA_ANY(lane),
											  VARSIZE_ANY_EXHDR(lane));
		room->first = rooms->nrows;
		room->n = room->due = 0;
	}
	room->n++;
	rooms->rows[rooms->nrows++] =
		datumCopy(slot_getattr(slot, 2, &isnull), false,
				  sizeof(ItemPointerData));
	MemoryContextSwitchTo(old);
}

/* Make turns due for the room that there is. */
static void
lanes_make_due(NvsTableSet *set, const NvsQueue *queue, LaneRooms *rooms)
{
	Datum	   *lanes = palloc(sizeof(Datum) * rooms->n);
	Datum	   *counts = palloc(sizeof(Datum) * rooms->n);
	NvsParams	params;
	int			i;

	for (i = 0; i < rooms->n; i++)
	{
		lanes[i] = PointerGetDatum(rooms->lanes[i].lane);
		counts[i] = Int32GetDatum(rooms->lanes[i].n);
	}
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, lanes, NULL, rooms->n), false);
	nvs_params_add(&params, INT4ARRAYOID,
				   nvs_array_of(INT4OID, counts, NULL, rooms->n), false);
	(void) nvs_table_set_each(set, &lane_make_due, &params, false,
							  lane_count_due, rooms);
}

/* A turn of a lane was made due. */
static void
lane_count_due(TupleTableSlot *slot, void *arg)
{
	LaneRooms  *rooms = arg;
	bool		isnull;
	text	   *lane = DatumGetTextPP(slot_getattr(slot, 1, &isnull));
	int			i;

	for (i = 0; i < rooms->n; i++)
		if (nvs_text_compare(rooms->lanes[i].lane, lane) == 0)
			rooms->lanes[i].due++;
}

/*
 * Delete the rows for each of which a turn is due, and those of lanes in which
 * none waits, nor is just made to.
 */
static void
lanes_forget_rooms(NvsTableSet *set, const NvsQueue *queue,
				   const LaneRooms *rooms)
{
	Datum	   *used = palloc(sizeof(Datum) * rooms->nrows);
	Datum	   *idle = palloc(sizeof(Datum) * rooms->nrows);
	int			nused = 0;
	int			nidle = 0;
	int			i;
	int			k;

	for (i = 0; i < rooms->n; i++)
	{
		const LaneRoom *room = &rooms->lanes[i];

		if (room->due >= room->n)
			for (k = 0; k < room->n; k++)
				used[nused++] = rooms->rows[room->first + k];
		else if (!IsolationUsesXactSnapshot() &&
				 nvs_lane_lock_waiting(set, queue, room->lane,
									   ExclusiveLock))
			for (k = 0; k < room->n; k++)
				idle[nidle++] = rooms->rows[room->first + k];
	}
	lanes_delete(set, &lane_forget_room, used, nused);
	lanes_delete(set, &lane_forget_idle, idle, nidle);
}

/* Delete rows of lanes by a statement. */
static void
lanes_delete(NvsTableSet *set, const NvsStatement *statement,
			 const Datum *rows, int n)
{
	NvsParams	params;

	if (n == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, TIDARRAYOID, nvs_array_of(TIDOID, rows, NULL, n),
				   false);
	(void) nvs_table_set_run(set, statement, &params);
}

/*
 * Let jobs go that wait for what somebody has deleted by hand, as far as limit
 * goes.  Room that is said to be and is not has a job look, and wait again.
 */
void
nvs_lanes_mend(NvsTableSet *set, const NvsQueue *queue, int64 limit)
{
	NvsParams	params;

	if (!queue->has_lanes || !nvs_queue_shows_all(set))
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(limit), false);
	lane_make_room(set, queue, &lane_mend_lanes, &params);
	lane_make_room(set, queue, &lane_mend_places, &params);
}
