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
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/advisory.h"
#include "base/arg.h"
#include "base/grant.h"
#include "route/foreign_code.h"
#include "store/grant.h"
#include "stream/append.h"
#include "stream/statement.h"
#include "stream/walk.h"

/* What head_set() takes from a row. */
#define HEAD_COLUMNS \
	"version::pg_catalog.int8, " \
	"type OPERATOR(pg_catalog.=) '" NVS_TYPE_TOMBSTONE "'"

#define HEAD_ORDER \
	"version IS NOT NULL ORDER BY version DESC LIMIT 1"

PG_FUNCTION_INFO_V1(nvs_stream_version);

static bool head_has_versions(const NvsAppend *stream);
static bool head_has_text_keys(const NvsResolved *resolved);
static void head_add_identity(const NvsResolved *resolved, StringInfo buf);
static uint64 head_lock_key(const NvsResolved *resolved);
static bool head_make_tables(NvsAppend *streams, int n);
static void head_find(NvsAppend *streams, int n, NvsUse use);
static bool head_find_one(NvsAppend *stream, NvsUse use);
static void head_lock_subjects(NvsAppend *streams, int n);
static bool head_lock_relations(NvsAppend *streams, int n, bool make);
static void head_check_code(const NvsAppend *streams, int n);
static int	head_compare_locks(const void *a, const void *b);
static void head_check_distinct(const NvsAppend *a, const NvsAppend *b);
static void head_check_writer(const NvsAppend *stream);
static bool head_is_readable(const NvsAppend *stream);
static void head_read(NvsAppend *stream);
static bool head_walk(NvsAppend *stream);
static bool head_is_tombstone(const text *type);
static void head_read_group(NvsAppend **streams, int n);
static bool head_has_key_arrays(const NvsTarget *target);
static void head_add_key_arrays(NvsAppend **streams, int n, NvsParams *params);
static void head_build_many(StringInfo sql, const void *arg);
static void head_set(NvsAppend *stream, HeapTuple row, TupleDesc desc,
					 int column);

/* The head of one stream. */
static const NvsStatement head_of_one = {
	"SELECT " HEAD_COLUMNS " FROM {table} WHERE {keys} AND " HEAD_ORDER
};

/* The heads of several: arrays of the key columns' values. */
static const NvsStatement head_of_many = {.build = head_build_many};

/*
 * Does a stream keep versions?  Yes when its table does not exist yet: a table
 * that is made by an append has them.
 */
static bool
head_has_versions(const NvsAppend *stream)
{
	return stream->resolved.target == NULL ||
		nvs_stream_state(stream->resolved.target)->version != NULL;
}

/* Are a subject's rows told from others by its text alone? */
static bool
head_has_text_keys(const NvsResolved *resolved)
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
 * What tells a stream from others of its store: its subject, or the values of
 * its key columns where the same value may be written in several ways, as a
 * UUID can.
 */
static void
head_add_identity(const NvsResolved *resolved, StringInfo buf)
{
	const NvsTarget *target = resolved->target;
	NvsParams	params;
	int			i;

	if (head_has_text_keys(resolved))
	{
		appendBinaryStringInfo(buf, resolved->subject, resolved->len);
		return;
	}
	nvs_params_init(&params);
	nvs_target_params(resolved, &params);
	appendStringInfo(buf, "%u", target->relid);
	for (i = 0; i < target->nkeys; i++)
	{
		Oid			output;
		bool		varlena;

		if (!target->keys[i].filters)
			continue;
		getTypeOutputInfo(target->keys[i].field->type, &output, &varlena);
		appendStringInfoChar(buf, '\0');
		appendStringInfoString(buf, OidOutputFunctionCall(output,
														  params.values[i]));
	}
}

/*
 * The key of a stream's lock.  It is of the store that the subject belongs to
 * as the caller's default store has it: the same subject may be another's, too.
 */
static uint64
head_lock_key(const NvsResolved *resolved)
{
	const NvsStore *store = resolved->target != NULL ?
		resolved->target->store : nvs_store_of(resolved->subject,
											   resolved->len);
	uint32		number = store == NULL ? 0 : store->number;
	StringInfoData buf;

	if (head_has_text_keys(resolved))
		return nvs_lock_key(number, resolved->subject, resolved->len);
	initStringInfo(&buf);
	head_add_identity(resolved, &buf);
	return nvs_lock_key(number, buf.data, buf.len);
}

/* For qsort(): by key, and of equal keys the exclusive lock first. */
static int
head_compare_locks(const void *a, const void *b)
{
	const NvsAppend *x = *(NvsAppend *const *) a;
	const NvsAppend *y = *(NvsAppend *const *) b;

	if (x->lock != y->lock)
		return x->lock < y->lock ? -1 : 1;
	return (y->nevents > 0) - (x->nevents > 0);
}

/*
 * Raise an error when two subjects that have the same lock are one stream: they
 * may merely have the same hash.
 */
static void
head_check_distinct(const NvsAppend *a, const NvsAppend *b)
{
	StringInfoData x;
	StringInfoData y;

	initStringInfo(&x);
	initStringInfo(&y);
	head_add_identity(&a->resolved, &x);
	head_add_identity(&b->resolved, &y);
	if (x.len == y.len && memcmp(x.data, y.data, x.len) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subjects \"%.*s\" and \"%.*s\" are the same stream",
						a->resolved.len, a->resolved.subject,
						b->resolved.len, b->resolved.subject)));
}

/* Name the stream of the subject that is argument n of a SQL function. */
void
nvs_stream_name(FunctionCallInfo fcinfo, int n, NvsAppend *stream)
{
	text	   *subject = PG_GETARG_TEXT_PP(n);

	stream->resolved.subject = VARDATA_ANY(subject);
	stream->resolved.len = VARSIZE_ANY_EXHDR(subject);
}

/*
 * Raise an error unless the caller may write to a stream: whoever may not is
 * not to keep others from it.
 */
static void
head_check_writer(const NvsAppend *stream)
{
	const NvsResolved *resolved = &stream->resolved;
	const NvsStore *store;

	if (resolved->target != NULL)
	{
		nvs_check_use_known(&resolved->target->allowed,
							resolved->target->relid,
							NVS_ACL_WRITE & ~NVS_ACL_READ);
		return;
	}
	store = nvs_store_of(resolved->subject, resolved->len);
	if (store != NULL)
		nvs_store_check_writer(store);
}

/*
 * Find the relations of a call's streams, and lock the subjects, those that get
 * events exclusively, and then the relations, until the end of the transaction.
 * A target is NULL when nothing holds the subject; with make, a table for
 * events is made instead.  Subjects of plain logs are not locked.
 *
 * Who held a subject's lock may have altered the relation or the route: the
 * relations are found again when the locks are there, and so on until they are
 * those that the locks were taken for.
 */
void
nvs_stream_lock(NvsAppend *streams, int n, bool make)
{
	PreventCommandIfReadOnly("nvent.stream_append()");
	do
	{
		head_find(streams, n, NVS_USE_LOOK);
		if (make && head_make_tables(streams, n))
			head_find(streams, n, NVS_USE_LOOK);
		head_lock_subjects(streams, n);
	}
	while (!head_lock_relations(streams, n, make));
	head_check_code(streams, n);
}

/* Raise an error when code would run that is foreign to us and refused. */
static void
head_check_code(const NvsAppend *streams, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (streams[i].resolved.target != NULL)
			nvs_check_foreign_code(streams[i].resolved.target->relid,
								   TRIGGER_TYPE_INSERT,
								   streams[i].resolved.target->name);
}

/*
 * Make the tables of those streams that get events and have none; false when
 * there is no such stream.
 */
static bool
head_make_tables(NvsAppend *streams, int n)
{
	const NvsResolved **missing = palloc(sizeof(NvsResolved *) * n);
	int			nmissing = 0;
	int			i;

	for (i = 0; i < n; i++)
		if (streams[i].nevents > 0 && streams[i].resolved.target == NULL)
			missing[nmissing++] = &streams[i].resolved;
	if (nmissing > 0)
		nvs_route_make_streams(missing, nmissing);
	pfree(missing);
	return nmissing > 0;
}

/* Find the relations of streams for a use, and which keys their locks have. */
static void
head_find(NvsAppend *streams, int n, NvsUse use)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) head_find_one(&streams[i], use);
		streams[i].lock = head_lock_key(&streams[i].resolved);
	}
}

/* Find the relation of a stream; its target is NULL when there is none. */
static bool
head_find_one(NvsAppend *stream, NvsUse use)
{
	NvsResolved *resolved = &stream->resolved;

	if (nvs_stream_resolve(resolved->subject, resolved->len, use, resolved))
		return true;
	resolved->target = NULL;
	return false;
}

/* Lock the subjects of streams in the order of their keys. */
static void
head_lock_subjects(NvsAppend *streams, int n)
{
	NvsAppend **order = palloc(sizeof(NvsAppend *) * n);
	int			i;

	for (i = 0; i < n; i++)
	{
		head_check_writer(&streams[i]);
		order[i] = &streams[i];
	}
	if (n > 1)
		qsort(order, n, sizeof(NvsAppend *), head_compare_locks);
	for (i = 0; i < n; i++)
	{
		if (!head_has_versions(order[i]))
			continue;
		if (i > 0 && order[i]->lock == order[i - 1]->lock)
			head_check_distinct(order[i - 1], order[i]);
		else
			nvs_lock(NVS_LOCK_SUBJECT, order[i]->lock,
					 order[i]->nevents > 0 ? ExclusiveLock : ShareLock);
	}
	pfree(order);
}

/*
 * Lock the relations of streams whose subjects are locked; false when one of
 * them turns out to need another lock of its subject.
 */
static bool
head_lock_relations(NvsAppend *streams, int n, bool make)
{
	bool		same = true;
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsAppend  *stream = &streams[i];
		bool		locked = head_has_versions(stream);
		uint64		lock = stream->lock;
		NvsUse		use = make ? NVS_USE_WRITE : NVS_USE_CHANGE;

		CHECK_FOR_INTERRUPTS();
		(void) head_find_one(stream, stream->nevents > 0 ? use :
							 NVS_USE_READ_LATEST);
		stream->lock = head_lock_key(&stream->resolved);
		if (head_has_versions(stream) && !(locked && stream->lock == lock))
			same = false;
	}
	return same;
}

/* Is there a relation that has the head of a stream? */
static bool
head_is_readable(const NvsAppend *stream)
{
	return stream->resolved.target != NULL && head_has_versions(stream);
}

/*
 * Look up the heads of locked streams, one statement for each relation.  What
 * has no relation or no versions is at 0 and open.
 */
void
nvs_stream_heads(NvsAppend *streams, int n)
{
	NvsAppend **group;
	bool	   *done;
	bool		any = false;
	int			i;
	int			k;

	/* Without versions there is nothing to read, and no snapshot to take. */
	for (i = 0; i < n; i++)
	{
		streams[i].head = 0;
		streams[i].closed = false;
		any = any || head_is_readable(&streams[i]);
	}
	if (!any)
		return;

	/*
	 * As of now, whatever the isolation level: only what is committed can be
	 * compared with what a caller expects.
	 */
	group = palloc(sizeof(NvsAppend *) * n);
	done = palloc0(sizeof(bool) * n);
	PushActiveSnapshot(GetLatestSnapshot());
	for (i = 0; i < n; i++)
	{
		int			ngroup = 0;

		if (done[i] || !head_is_readable(&streams[i]))
			continue;

		/* Those of one relation, which no other group has. */
		for (k = i; k < n; k++)
			if (streams[k].resolved.target == streams[i].resolved.target)
			{
				group[ngroup++] = &streams[k];
				done[k] = true;
			}
		head_read_group(group, ngroup);
	}
	PopActiveSnapshot();
	pfree(group);
	pfree(done);
}

/*
 * Lock the stream of the subject in argument 0, which is about to be changed,
 * and read its head.  Returns false when nothing holds it; with make its table
 * is made instead.  A transaction that keeps its snapshot cannot change what it
 * does not see.
 */
bool
nvs_stream_hold(FunctionCallInfo fcinfo, NvsAppend *stream, bool make)
{
	NvsAppend	seen;

	nvs_stream_name(fcinfo, 0, stream);
	stream->nevents = 1;
	nvs_stream_lock(stream, 1, make);
	if (stream->resolved.target == NULL)
		return false;
	nvs_stream_heads(stream, 1);
	if (!IsolationUsesXactSnapshot() || !head_has_versions(stream))
		return true;
	seen = *stream;
	seen.head = 0;
	head_read(&seen);
	if (seen.head != stream->head)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent "
						"appends to stream \"%.*s\"", stream->resolved.len,
						stream->resolved.subject)));
	return true;
}

/*
 * Read the head of one stream, whose relation is locked; it stays as it is when
 * there is no event.
 */
static void
head_read(NvsAppend *stream)
{
	NvsTarget  *target = stream->resolved.target;
	NvsParams	params;
	SPIPlanPtr	plan;

	if (head_walk(stream))
		return;

	nvs_params_init(&params);
	nvs_target_params(&stream->resolved, &params);
	plan = nvs_statement_plan(target->plans, &head_of_one, &params, NULL);
	if (nvs_execute(plan, &params, true, 1) > 0)
		head_set(stream, SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/*
 * Read the head of one stream without a statement, if it is the last row of an
 * index: false if not.  That does not depend on what a plan was made for, and
 * one that is made for a table of few rows reads all of them, and is kept while
 * they become many.
 */
static bool
head_walk(NvsAppend *stream)
{
	const NvsResolved *resolved = &stream->resolved;
	const NvsStreamState *state = nvs_stream_orders(resolved->target);
	text	   *subject;
	HeapTuple	row;
	NvsWalk		walk;

	if (!OidIsValid(state->by_version))
		return false;

	/*
	 * The last version of the subject is the last entry that the index has
	 * for it.
	 */
	subject = cstring_to_text_with_len(resolved->subject, resolved->len);
	if (!nvs_walk_value(&walk, resolved->target->relid, state->by_version,
						PointerGetDatum(subject)))
		return false;
	row = nvs_walk_back(&walk);
	if (HeapTupleIsValid(row))
	{
		bool		isnull;
		Datum		type = nvs_walk_column(&walk, row, state->type->attnum,
										   &isnull);

		stream->closed = !isnull && head_is_tombstone(DatumGetTextPP(type));
		stream->head =
			DatumGetInt64(nvs_walk_column(&walk, row, state->version->attnum,
										  &isnull));
	}

	nvs_walk_end(&walk);
	return true;
}

/* Is this the type of an event that closes its stream? */
static bool
head_is_tombstone(const text *type)
{
	const char *tombstone = NVS_TYPE_TOMBSTONE;

	return VARSIZE_ANY_EXHDR(type) == strlen(tombstone) &&
		memcmp(VARDATA_ANY(type), tombstone, strlen(tombstone)) == 0;
}

/* Read the heads of several streams of one relation. */
static void
head_read_group(NvsAppend **streams, int n)
{
	NvsTarget  *target = streams[0]->resolved.target;
	NvsParams	params;
	SPIPlanPtr	plan;
	uint64		i;

	if (n == 1 || OidIsValid(nvs_stream_orders(target)->by_version) ||
		!head_has_key_arrays(target))
	{
		for (i = 0; i < n; i++)
			head_read(streams[i]);
		return;
	}
	nvs_params_init(&params);
	head_add_key_arrays(streams, n, &params);
	plan = nvs_statement_plan(target->plans, &head_of_many, &params, target);
	nvs_execute(plan, &params, true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		int			k = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull));

		head_set(streams[k - 1], row, desc, 2);
	}
}

/* Are there arrays of the types of all key columns? */
static bool
head_has_key_arrays(const NvsTarget *target)
{
	int			k;

	for (k = 0; k < target->nkeys; k++)
		if (!OidIsValid(get_array_type(target->keys[k].field->type)))
			return false;
	return true;
}

/* Add an array for each key column: its values of several streams. */
static void
head_add_key_arrays(NvsAppend **streams, int n, NvsParams *params)
{
	const NvsTarget *target = streams[0]->resolved.target;
	Datum	   *values = palloc(sizeof(Datum) * n * target->nkeys);
	int			i;
	int			k;

	for (i = 0; i < n; i++)
	{
		NvsParams	keys;

		nvs_params_init(&keys);
		nvs_target_params(&streams[i]->resolved, &keys);
		for (k = 0; k < target->nkeys; k++)
			values[k * n + i] = keys.values[k];
	}
	for (k = 0; k < target->nkeys; k++)
		nvs_stream_add_array(params, target->keys[k].field->type,
							 values + k * n, NULL, n);
}

/* Write the statement for several: a lookup for each element of the arrays. */
static void
head_build_many(StringInfo sql, const void *arg)
{
	const NvsTarget *target = arg;
	int			k;

	appendStringInfoString(sql, "SELECT k.n::pg_catalog.int4, e.* "
						   "FROM ROWS FROM (");
	for (k = 0; k < target->nkeys; k++)
		appendStringInfo(sql, "%spg_catalog.unnest($%d)", k > 0 ? ", " : "",
						 k + 1);
	appendStringInfoString(sql, ") WITH ORDINALITY k (");
	for (k = 0; k < target->nkeys; k++)
		appendStringInfo(sql, "k%d, ", k);
	appendStringInfo(sql, "n) CROSS JOIN LATERAL (SELECT " HEAD_COLUMNS
					 " FROM %s t WHERE ", target->name);
	for (k = 0; k < target->nkeys; k++)
		if (target->keys[k].filters)
			appendStringInfo(sql, "t.%s OPERATOR(pg_catalog.=) k.k%d AND ",
							 target->keys[k].field->quoted, k);
	appendStringInfoString(sql, HEAD_ORDER ") e");
}

/* Take HEAD_COLUMNS from a row, where they begin at a column. */
static void
head_set(NvsAppend *stream, HeapTuple row, TupleDesc desc, int column)
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
	if (nvs_stream_resolve_arg(fcinfo, 0, NVS_USE_READ, &stream.resolved))
	{
		if (!head_has_versions(&stream))
			nvs_stream_unversioned(&stream.resolved);
		stream.head = 0;
		head_read(&stream);
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
