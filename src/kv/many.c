/*
 * kv/many.c
 *	  Keys and their values: many keys in one call.
 *
 * The keys of a call are sorted by relation and bytes, and each relation is
 * asked once.  Rows are locked in that order, so two calls that name the same
 * keys in any order wait for one another and never deadlock.  A call that reads
 * one relation need not sort them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "base/arg.h"
#include "kv/overwrite.h"

/* Keys that one call may name. */
#define MANY_MAX_KEYS	65536

/* $1 keys; a row for each that is live, with its place among them. */
static const NvsStatement many_select = {
	"SELECT u.n, t.value FROM ROWS FROM (pg_catalog.unnest($1)) "
	"WITH ORDINALITY u (key, n) JOIN {table} AS t "
	"ON t.key OPERATOR(pg_catalog.=) u.key WHERE " NVS_KV_LIVE
};

/*
 * $1 keys, $2 their values, and $3 the time to live.  Functions in the list of
 * what is selected give row by row; in FROM they would all be stored first.
 */
#define MANY_UPSERT(expiry) \
	NVS_KV_INSERT "SELECT pg_catalog.unnest($1), pg_catalog.unnest($2), " \
	expiry "{touch_value} " \
	"ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value{touch_set}, " \
	"expires_at = " expiry
static const NvsStatement many_upsert = {
	MANY_UPSERT("NULL::pg_catalog.timestamptz")
};
static const NvsStatement many_upsert_expiring = {
	MANY_UPSERT(NVS_KV_AFTER("$3"))
};

/* $1 keys.  Rows are locked in their order: two calls cannot deadlock. */
static const NvsStatement many_delete = {
	"WITH held AS MATERIALIZED (SELECT t.key FROM {table} AS t "
	"WHERE t.key OPERATOR(pg_catalog.=) ANY ($1) "
	"ORDER BY t.key COLLATE pg_catalog.\"C\" FOR UPDATE), "
	"gone AS (DELETE FROM {table} AS t USING held "
	"WHERE t.key OPERATOR(pg_catalog.=) held.key "
	"RETURNING " NVS_KV_LIVE_NOW " AS live) "
	"SELECT pg_catalog.count(*) FROM gone WHERE gone.live"
};
static const NvsStatement many_delete_one = {
	"DELETE FROM {table} AS t WHERE " NVS_KV_THIS_KEY
	" RETURNING " NVS_KV_LIVE_NOW
};

/* One of the keys that a call names. */
typedef struct ManyKey
{
	text	   *key;
	const char *data;			/* its bytes */
	int			len;
	Datum		value;			/* of kv_mset() */
	NvsTarget  *target;			/* NULL: no store holds it */
	int			index;			/* where the caller has it */
} ManyKey;

/* Where the rows of kv_mget() go. */
typedef struct ManyRows
{
	Tuplestorestate *store;
	TupleDesc	desc;
} ManyRows;

/* Values that are selected; in the order of the caller's keys. */
typedef struct ManyValues
{
	const ManyKey *keys;		/* of the present group */
	Datum	   *values;			/* in cxt */
	bool	   *found;
	MemoryContext cxt;
} ManyValues;

/* many_sort(keys, n): qsort() whose comparisons are no calls. */
static int	many_compare(const ManyKey *x, const ManyKey *y);

#define ST_SORT many_sort
#define ST_ELEMENT_TYPE ManyKey
#define ST_COMPARE(x, y) many_compare(x, y)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

PG_FUNCTION_INFO_V1(nvs_kv_mget);
PG_FUNCTION_INFO_V1(nvs_kv_mset);
PG_FUNCTION_INFO_V1(nvs_kv_delete);

static ManyKey *many_read_keys(FunctionCallInfo fcinfo, int *n);
static ManyKey *many_read_entries(Jsonb *entries, int *n);
static void many_name(ManyKey *key, text *name, int index);
static void many_resolve(ManyKey *keys, int n, NvsUse use);
static Oid	many_relation(const ManyKey *key);
static int	many_group_end(const ManyKey *keys, int n, int begin);
static Datum *many_key_datums(const ManyKey *keys, int n);
static Datum many_key_array(const ManyKey *keys, int n);
static void many_give(ManyRows *rows, const ManyKey *key, Datum value,
					  bool isnull);
static bool many_look_up(ManyRows *rows, const ManyKey *keys, int n);
static void many_select_all(ManyRows *rows, const ManyKey *keys, int n);
static void many_select_group(ManyValues *values, int n);
static void many_keep_value(TupleTableSlot *slot, void *arg);
static void many_upsert_group(const ManyKey *keys, int n, Interval *ttl);
static int	many_overwrite(const ManyKey *keys, int n, Interval *ttl);
static void many_set_group(const ManyKey *keys, int n, Interval *ttl);
static int	many_drop_repeated(ManyKey *keys, int n);

/* The keys of argument 0, an array that is not NULL, in its order. */
static ManyKey *
many_read_keys(FunctionCallInfo fcinfo, int *n)
{
	NvsArrayArgs arrays = {"keys", MANY_MAX_KEYS, NULL, 0};
	ManyKey    *keys;
	Datum	   *elements;
	bool	   *nulls;
	int			i;

	(void) nvs_array_argument(&arrays, fcinfo, 0, "keys", &elements, &nulls);
	*n = arrays.length;
	keys = palloc0(sizeof(ManyKey) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("key %d must not be null", i + 1)));
		many_name(&keys[i], DatumGetTextPP(elements[i]), i);
	}
	return keys;
}

/* The keys and values of an object. */
static ManyKey *
many_read_entries(Jsonb *entries, int *n)
{
	const JsonbContainer *jc = &entries->root;
	ManyKey    *keys;
	int			i;

	if (!JB_ROOT_IS_OBJECT(entries))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"entries\" must be a JSON object"),
				 errhint("Write {\"key\": value}.")));
	*n = JsonContainerSize(jc);
	if (*n > MANY_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many keys in one call: %d", *n),
				 errdetail("One call names at most %d.", MANY_MAX_KEYS)));
	keys = palloc0(sizeof(ManyKey) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, *n + i);

		many_name(&keys[i], cstring_to_text_with_len(name.data, name.len), i);
		keys[i].value = JsonbPGetDatum(nvs_jsonb_from_child(value));
	}
	return keys;
}

/* Set the name of a key, and which of the caller's it is. */
static void
many_name(ManyKey *key, text *name, int index)
{
	key->key = name;
	key->data = VARDATA_ANY(name);
	key->len = VARSIZE_ANY_EXHDR(name);
	key->index = index;
}

/*
 * Find the relation of each key, and lock it.  What is known to be in the same
 * one as the key before it needs no other lock.
 */
static void
many_resolve(ManyKey *keys, int n, NvsUse use)
{
	NvsResolved resolved;
	NvsTarget  *last = NULL;
	int			i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (last == NULL || !nvs_kv_is_of(keys[i].key, last, &resolved))
			last = nvs_kv_resolve(keys[i].key, use, &resolved) ?
				resolved.target : NULL;
		keys[i].target = last;
	}
}

/* The relation that holds a key; InvalidOid for none. */
static Oid
many_relation(const ManyKey *key)
{
	return key->target == NULL ? InvalidOid : key->target->relid;
}

/* The order of keys: by relation, those without one first, then by bytes. */
static int
many_compare(const ManyKey *x, const ManyKey *y)
{
	Oid			xrel = many_relation(x);
	Oid			yrel = many_relation(y);
	int			cmp;

	if (xrel != yrel)
		return xrel < yrel ? -1 : 1;
	cmp = memcmp(x->data, y->data, Min(x->len, y->len));
	return cmp != 0 ? cmp : x->len - y->len;
}

/*
 * Where the group of sorted keys that are in one relation, or in none, ends
 * that begins there.
 */
static int
many_group_end(const ManyKey *keys, int n, int begin)
{
	Oid			relation = many_relation(&keys[begin]);
	int			i = begin + 1;

	while (i < n && many_relation(&keys[i]) == relation)
		i++;
	return i;
}

/* The keys as an array in C. */
static Datum *
many_key_datums(const ManyKey *keys, int n)
{
	Datum	   *result = palloc(sizeof(Datum) * n);
	int			i;

	for (i = 0; i < n; i++)
		result[i] = PointerGetDatum(keys[i].key);
	return result;
}

/* The keys as a text[]. */
static Datum
many_key_array(const ManyKey *keys, int n)
{
	return nvs_array_of(TEXTOID, many_key_datums(keys, n), NULL, n);
}

/* nvent.kv_mget(keys): a row for each, in their order, NULL when absent. */
Datum
nvs_kv_mget(PG_FUNCTION_ARGS)
{
	ManyRows	rows;
	ManyKey    *keys;
	int			n;

	rows.store = nvs_result_set(fcinfo, &rows.desc);
	NVS_REQUIRE_ARG(0, "keys");
	keys = many_read_keys(fcinfo, &n);

	nvs_spi_begin();
	many_resolve(keys, n, NVS_USE_READ);
	if (n > 0 && !many_look_up(&rows, keys, n))
		many_select_all(&rows, keys, n);
	nvs_spi_end();
	return (Datum) 0;
}

/* Give a key and its value, which may be NULL. */
static void
many_give(ManyRows *rows, const ManyKey *key, Datum value, bool isnull)
{
	Datum		row[2];
	bool		nulls[2] = {false, false};

	row[0] = PointerGetDatum(key->key);
	row[1] = value;
	nulls[1] = isnull;
	tuplestore_putvalues(rows->store, rows->desc, row, nulls);
}

/*
 * Give all keys by one scan of their index.  False when they are in several
 * relations, or in one that cannot be read so: then none has been given.
 */
static bool
many_look_up(ManyRows *rows, const ManyKey *keys, int n)
{
	const NvsTarget *target = keys[0].target;
	NvsLookupScan scan;
	int			i;

	if (target == NULL || many_group_end(keys, n, 0) < n ||
		!nvs_lookup_may_read(target) || !nvs_lookup_begin(target, &scan))
		return false;
	for (i = 0; i < n; i++)
	{
		Datum		row[2];
		bool		isnull[2];
		bool		found;

		CHECK_FOR_INTERRUPTS();
		found = nvs_kv_lookup_row(&scan, keys[i].key, row, isnull);
		many_give(rows, &keys[i], found ? row[1] : 0, !found);
	}
	nvs_lookup_end(&scan);
	return true;
}

/* Give all keys by a statement for each relation that has some. */
static void
many_select_all(ManyRows *rows, const ManyKey *keys, int n)
{
	ManyKey    *sorted = palloc(sizeof(ManyKey) * n);
	ManyValues	values;
	int			end;
	int			i;

	values.values = palloc0(sizeof(Datum) * n);
	values.found = palloc0(sizeof(bool) * n);
	values.cxt = CurrentMemoryContext;
	memcpy(sorted, keys, sizeof(ManyKey) * n);
	many_sort(sorted, n);
	for (i = 0; i < n; i = end)
	{
		end = many_group_end(sorted, n, i);
		values.keys = &sorted[i];
		if (sorted[i].target != NULL)
			many_select_group(&values, end - i);
	}
	for (i = 0; i < n; i++)
		many_give(rows, &keys[i], values.values[i], !values.found[i]);
}

/* Select the values of n keys that are of one relation. */
static void
many_select_group(ManyValues *values, int n)
{
	NvsParams	params;
	SPIPlanPtr	plan;

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID,
				   many_key_array(values->keys, n), false);
	plan = nvs_statement_plan(values->keys[0].target->plans, &many_select,
							  &params, NULL);
	nvs_execute_each(plan, &params, true, many_keep_value, values);
}

/* Keep a value that was fetched; arg is a ManyValues. */
static void
many_keep_value(TupleTableSlot *slot, void *arg)
{
	ManyValues *values = arg;
	MemoryContext old = MemoryContextSwitchTo(values->cxt);
	int64		n;
	int			index;

	slot_getallattrs(slot);
	n = DatumGetInt64(slot->tts_values[0]);
	index = values->keys[n - 1].index;
	values->values[index] = datumCopy(slot->tts_values[1], false, -1);
	values->found[index] = true;
	MemoryContextSwitchTo(old);
}

/* nvent.kv_mset(entries, ttl): how many keys were set, which is all. */
Datum
nvs_kv_mset(PG_FUNCTION_ARGS)
{
	Interval   *ttl = nvs_ttl_argument(fcinfo, 1, "ttl");
	ManyKey    *keys;
	int			n;
	int			end;
	int			i;

	NVS_REQUIRE_ARG(0, "entries");
	keys = many_read_entries(PG_GETARG_JSONB_P(0), &n);
	PreventCommandIfReadOnly("nvent.kv_mset()");

	nvs_spi_begin();
	many_resolve(keys, n, NVS_USE_WRITE);
	many_sort(keys, n);
	for (i = 0; i < n; i = end)
	{
		end = many_group_end(keys, n, i);
		many_set_group(&keys[i], end - i, ttl);
	}
	nvs_spi_end();
	PG_RETURN_INT64(n);
}

/*
 * Overwrite the rows of n keys of one relation without a statement, up to the
 * first one that needs it: later ones have to be locked after that.  Returns
 * how many have been.
 */
static int
many_overwrite(const ManyKey *keys, int n, Interval *ttl)
{
	NvsKvOverwrite overwrite;
	int			i;

	if (!nvs_kv_overwrite_begin(keys[0].target, &overwrite))
		return 0;
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nvs_kv_overwrite(&overwrite, keys[i].key, keys[i].value, ttl,
							  false, 0))
			break;
	}
	nvs_kv_overwrite_end(&overwrite);
	return i;
}

/* Set n keys of one relation, which are sorted, or raise an error. */
static void
many_set_group(const ManyKey *keys, int n, Interval *ttl)
{
	int			done = many_overwrite(keys, n, ttl);

	if (done < n)
		many_upsert_group(keys + done, n - done, ttl);
}

/* Set n keys of one relation, which are sorted, by a statement. */
static void
many_upsert_group(const ManyKey *keys, int n, Interval *ttl)
{
	NvsTarget  *target = keys[0].target;
	Datum	   *elements = palloc(sizeof(Datum) * n);
	NvsParams	params;
	SPIPlanPtr	plan;
	int			i;

	for (i = 0; i < n; i++)
		elements[i] = keys[i].value;
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID, many_key_array(keys, n), false);
	nvs_params_add(&params, JSONBARRAYOID,
				   nvs_array_of(JSONBOID, elements, NULL, n), false);
	if (ttl != NULL)
		nvs_params_add(&params, INTERVALOID, PointerGetDatum(ttl), false);
	plan = nvs_statement_plan(target->plans, ttl == NULL ? &many_upsert :
							  &many_upsert_expiring, &params, NULL);
	if (nvs_execute(plan, &params, false, 0) != n)
		nvs_kv_refused(target);
}

/* nvent.kv_delete(keys): how many of them were there. */
Datum
nvs_kv_delete(PG_FUNCTION_ARGS)
{
	ManyKey    *keys;
	int64		deleted = 0;
	int			n;
	int			end;
	int			i;

	NVS_REQUIRE_ARG(0, "keys");
	keys = many_read_keys(fcinfo, &n);
	PreventCommandIfReadOnly("nvent.kv_delete()");

	nvs_spi_begin();
	many_resolve(keys, n, NVS_USE_CHANGE);
	many_sort(keys, n);
	n = many_drop_repeated(keys, n);
	for (i = 0; i < n; i = end)
	{
		end = many_group_end(keys, n, i);
		if (keys[i].target != NULL)
			deleted += nvs_kv_delete_sorted(keys[i].target,
											many_key_datums(&keys[i], end - i),
											end - i);
	}
	nvs_spi_end();
	PG_RETURN_INT64(deleted);
}

/* Keep one of each key among sorted ones; returns how many there are. */
static int
many_drop_repeated(ManyKey *keys, int n)
{
	int			kept = 0;
	int			i;

	for (i = 0; i < n; i++)
		if (i == 0 || many_compare(&keys[kept - 1], &keys[i]) != 0)
			keys[kept++] = keys[i];
	return kept;
}

/*
 * Delete the rows of sorted, distinct keys of one relation, expired ones too,
 * locking them in that order and waiting for whoever has one.  Returns how many
 * were live.
 */
int64
nvs_kv_delete_sorted(NvsTarget *target, Datum *keys, int n)
{
	NvsParams	params;
	SPIPlanPtr	plan;
	Datum		answer;

	nvs_params_init(&params);
	if (n == 1)
	{
		nvs_params_add(&params, TEXTOID, keys[0], false);
		plan = nvs_statement_plan(target->plans, &many_delete_one, &params,
								  NULL);
		return nvs_execute_first(plan, &params, false, CurrentMemoryContext,
								 &answer) && DatumGetBool(answer) ? 1 : 0;
	}
	nvs_params_add(&params, TEXTARRAYOID, nvs_array_of(TEXTOID, keys, NULL, n),
				   false);
	plan = nvs_statement_plan(target->plans, &many_delete, &params, NULL);
	if (!nvs_execute_first(plan, &params, false, CurrentMemoryContext,
						   &answer))
		elog(ERROR, "unexpected: count(*) gave no row");
	return DatumGetInt64(answer);
}
