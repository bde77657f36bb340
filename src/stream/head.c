/*
 * stream/head.c
 *	  Locks of subjects, and the last versions of their streams.
 *
 * Whoever appends to a versioned stream holds its subject's lock until the
 * end of the transaction; who only looks at it holds the lock shared.  Locks
 * of one call are taken in the order of their keys, so that no two calls wait
 * for each other.  The key does not depend on the relation, which may not be
 * there yet.  Heads are read after that with the latest snapshot, whatever
 * the transaction's own: under every isolation level what a caller expected is
 * compared with what is committed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/advisory.h"
#include "base/arg.h"
#include "stream/stream.h"

#define HEAD_COLUMNS \
	"version::pg_catalog.int8, " \
	"type OPERATOR(pg_catalog.=) '" NVS_TYPE_TOMBSTONE "'"

PG_FUNCTION_INFO_V1(nvs_stream_version);

static bool has_versions(const NvsAppend *stream);
static bool has_text_keys(const NvsResolved *resolved);
static uint64 lock_key(const NvsResolved *resolved);
static int	by_lock(const void *a, const void *b);
static void read_head(NvsAppend *stream);
static void read_heads_of(NvsAppend **streams, int n);
static SPIPlanPtr heads_plan(const NvsTarget *target, NvsParams *params);
static void set_head(NvsAppend *stream, HeapTuple row, TupleDesc desc,
					 int column);

/* A subject that nothing holds yet is locked: its table may be being made. */
static bool
has_versions(const NvsAppend *stream)
{
	return stream->resolved.target == NULL ||
		nvs_stream_state(stream->resolved.target)->version != NULL;
}

/* Are a subject's rows told from others by its text alone? */
static bool
has_text_keys(const NvsResolved *resolved)
{
	const NvsTarget *target = resolved->target;
	int			i;

	for (i = 0; target != NULL && i < target->nkeys; i++)
		if (target->keys[i].filters &&
			target->keys[i].field->kind != NVS_FIELD_TEXT)
			return false;
	return true;
}

/*
 * The key of a subject's lock: its text, or the values of its key columns
 * where the same value may be written in several ways, as a UUID can.
 */
static uint64
lock_key(const NvsResolved *resolved)
{
	const NvsTarget *target = resolved->target;
	NvsParams	params;
	uint64		hash;
	int			i;

	if (has_text_keys(resolved))
		return nvs_hash(resolved->subject, resolved->len, 0);
	nvs_params_init(&params);
	nvs_route_params(resolved, &params);
	hash = target->relid;
	for (i = 0; i < target->nkeys; i++)
	{
		Oid			output;
		bool		varlena;
		char	   *s;

		if (!target->keys[i].filters)
			continue;
		getTypeOutputInfo(target->keys[i].field->type, &output, &varlena);
		s = OidOutputFunctionCall(output, params.values[i]);
		hash = nvs_hash(s, strlen(s), hash);
	}
	return hash;
}

/* Order of locks; of equal keys the exclusive one comes first. */
static int
by_lock(const void *a, const void *b)
{
	const NvsAppend *x = *(NvsAppend *const *) a;
	const NvsAppend *y = *(NvsAppend *const *) b;

	if (x->lock != y->lock)
		return x->lock < y->lock ? -1 : 1;
	return (y->nevents > 0) - (x->nevents > 0);
}

/* Lock subjects until the end of the transaction. */
void
nvs_stream_lock(NvsAppend *streams, int n)
{
	NvsAppend **order = palloc(sizeof(NvsAppend *) * n);
	int			i;

	PreventCommandIfReadOnly("nvent.stream_append()");
	for (i = 0; i < n; i++)
	{
		streams[i].lock = lock_key(&streams[i].resolved);
		order[i] = &streams[i];
	}
	if (n > 1)
		qsort(order, n, sizeof(NvsAppend *), by_lock);
	for (i = 0; i < n; i++)
	{
		if (!has_versions(order[i]))
			continue;
		if (i > 0 && order[i]->lock == order[i - 1]->lock)
		{
			if (!has_text_keys(&order[i]->resolved))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("subjects \"%.*s\" and \"%.*s\" are the same "
								"stream", order[i - 1]->resolved.len,
								order[i - 1]->resolved.subject,
								order[i]->resolved.len,
								order[i]->resolved.subject)));
			continue;
		}
		nvs_lock(NVS_LOCK_SUBJECT, order[i]->lock,
				 order[i]->nevents > 0 ? ExclusiveLock : ShareLock);
	}
	pfree(order);
}

/* Look up the heads of locked streams, one statement for each relation. */
void
nvs_stream_heads(NvsAppend *streams, int n)
{
	NvsAppend **group;
	bool	   *done;
	bool		any = false;
	int			i;
	int			k;

	for (i = 0; i < n; i++)
	{
		streams[i].head = 0;
		streams[i].closed = false;
		any = any || (streams[i].resolved.target != NULL &&
					  has_versions(&streams[i]));
	}
	if (!any)
		return;
	group = palloc(sizeof(NvsAppend *) * n);
	done = palloc0(sizeof(bool) * n);
	PushActiveSnapshot(GetLatestSnapshot());
	for (i = 0; i < n; i++)
	{
		NvsTarget  *target = streams[i].resolved.target;
		int			ngroup = 0;

		if (done[i] || target == NULL || !has_versions(&streams[i]))
			continue;
		for (k = i; k < n; k++)
			if (streams[k].resolved.target == target)
			{
				group[ngroup++] = &streams[k];
				done[k] = true;
			}
		read_heads_of(group, ngroup);
	}
	PopActiveSnapshot();
	pfree(group);
	pfree(done);
}

/*
 * Lock a stream that is about to be changed and read its head.  A transaction
 * that keeps its snapshot cannot change what it does not see.
 */
void
nvs_stream_hold(NvsAppend *stream)
{
	NvsAppend	seen = *stream;

	stream->nevents = 1;
	nvs_stream_lock(stream, 1);
	nvs_stream_heads(stream, 1);
	if (!IsolationUsesXactSnapshot() || !has_versions(stream))
		return;
	seen.head = 0;
	read_head(&seen);
	if (seen.head != stream->head)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent "
						"appends to stream \"%.*s\"", stream->resolved.len,
						stream->resolved.subject)));
}

/* The head of one stream. */
static void
read_head(NvsAppend *stream)
{
	NvsTarget  *target = stream->resolved.target;
	SPIPlanPtr *plan = nvs_planset_slot(target->plans, NVS_STREAM_PLAN_HEAD);
	NvsParams	params;

	nvs_params_init(&params);
	nvs_route_params(&stream->resolved, &params);
	if (*plan == NULL)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "SELECT " HEAD_COLUMNS " FROM %s WHERE ",
						 target->name);
		nvs_route_where(target, &sql);
		appendStringInfoString(&sql, " AND version IS NOT NULL "
							   "ORDER BY version DESC LIMIT 1");
		*plan = nvs_plan_prepare(sql.data, params.n, params.types,
								 CURSOR_OPT_GENERIC_PLAN);
	}
	if (nvs_plan_execute(*plan, params.values, params.nulls, true, 1) > 0)
		set_head(stream, SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* The heads of several streams of one relation. */
static void
read_heads_of(NvsAppend **streams, int n)
{
	NvsTarget  *target = streams[0]->resolved.target;
	NvsParams	each;
	NvsParams	arrays;
	Datum	   *values;
	SPIPlanPtr	plan;
	int			i;
	int			k;

	for (k = 0; k < target->nkeys; k++)
		if (!OidIsValid(get_array_type(target->keys[k].field->type)))
			break;
	if (n == 1 || k < target->nkeys)
	{
		for (i = 0; i < n; i++)
			read_head(streams[i]);
		return;
	}

	values = palloc(sizeof(Datum) * n * target->nkeys);
	for (i = 0; i < n; i++)
	{
		nvs_params_init(&each);
		nvs_route_params(&streams[i]->resolved, &each);
		for (k = 0; k < target->nkeys; k++)
			values[k * n + i] = each.values[k];
	}
	nvs_params_init(&arrays);
	for (k = 0; k < target->nkeys; k++)
	{
		Oid			type = target->keys[k].field->type;

		nvs_params_add(&arrays, get_array_type(type),
					   nvs_column_array(type, values + k * n, NULL, n),
					   false);
	}
	plan = heads_plan(target, &arrays);
	nvs_plan_execute(plan, arrays.values, arrays.nulls, true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		bool		isnull;

		k = DatumGetInt32(SPI_getbinval(row, SPI_tuptable->tupdesc, 1,
										&isnull));
		set_head(streams[k - 1], row, SPI_tuptable->tupdesc, 2);
	}
}

/* The statement for several: a lookup for each element of the arrays. */
static SPIPlanPtr
heads_plan(const NvsTarget *target, NvsParams *params)
{
	StringInfoData sql;
	const char *and = "";
	int			k;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT k.n::pg_catalog.int4, e.* "
						   "FROM ROWS FROM (");
	for (k = 0; k < target->nkeys; k++)
		appendStringInfo(&sql, "%spg_catalog.unnest($%d)", k > 0 ? ", " : "",
						 k + 1);
	appendStringInfoString(&sql, ") WITH ORDINALITY k (");
	for (k = 0; k < target->nkeys; k++)
		appendStringInfo(&sql, "k%d, ", k);
	appendStringInfo(&sql, "n) CROSS JOIN LATERAL (SELECT " HEAD_COLUMNS
					 " FROM %s t WHERE ", target->name);
	for (k = 0; k < target->nkeys; k++)
	{
		if (!target->keys[k].filters)
			continue;
		appendStringInfo(&sql, "%st.%s OPERATOR(pg_catalog.=) k.k%d", and,
						 target->keys[k].field->quoted, k);
		and = " AND ";
	}
	appendStringInfo(&sql, "%sversion IS NOT NULL "
					 "ORDER BY version DESC LIMIT 1) e", and);
	return nvs_planset_text(target->plans, sql.data, params,
							CURSOR_OPT_GENERIC_PLAN);
}

/* Take HEAD_COLUMNS from a row. */
static void
set_head(NvsAppend *stream, HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		closed;

	stream->head = DatumGetInt64(SPI_getbinval(row, desc, column, &isnull));
	closed = SPI_getbinval(row, desc, column + 1, &isnull);
	stream->closed = !isnull && DatumGetBool(closed);
}

/* nvent.stream_version(subject): 0 when it has no event. */
Datum
nvs_stream_version(PG_FUNCTION_ARGS)
{
	NvsAppend	stream;
	int64		version = 0;

	NVS_REQUIRE_ARG(0, "subject");
	nvs_spi_begin();
	if (nvs_stream_resolve(PG_GETARG_TEXT_PP(0), false, &stream.resolved))
	{
		if (!has_versions(&stream))
			nvs_stream_unversioned(&stream.resolved);
		stream.head = 0;
		read_head(&stream);
		version = stream.head;
	}
	nvs_spi_end();
	PG_RETURN_INT64(version);
}

/* Report that a version is asked of a plain log. */
void
nvs_stream_unversioned(const NvsResolved *resolved)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("stream \"%.*s\" has no versions", resolved->len,
					resolved->subject),
			 errdetail("Table %s has no column \"version\".",
					   resolved->target->name)));
}
