/*
 * kv/many.c
 *	  Keys and their values: many keys in one call.
 *
 * The keys of a call are sorted by relation and bytes, and each relation is
 * asked once.  Rows are locked in that order, so two calls that name the same
 * keys in any order wait for one another and never deadlock.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "errors.h"
#include "base/arg.h"
#include "kv/kv.h"

/* One of the keys that a call names. */
typedef struct ManyKey
{
	text	   *key;
	Datum		value;			/* of kv_mset() */
	NvsTarget  *target;			/* NULL: no store holds it */
	int			index;			/* where the caller has it */
} ManyKey;

PG_FUNCTION_INFO_V1(nvs_kv_mget);
PG_FUNCTION_INFO_V1(nvs_kv_mset);
PG_FUNCTION_INFO_V1(nvs_kv_delete);

static void check_count(int n);
static ManyKey *read_keys(ArrayType *array, int *n);
static ManyKey *read_entries(Jsonb *entries, int *n);
static void sort_keys(ManyKey *keys, int n, bool write);
static int	compare_keys(const void *a, const void *b);
static int	group_end(const ManyKey *keys, int n, int begin);
static Datum *key_datums(const ManyKey *keys, int n);
static Datum text_array(Datum *elements, int n);
static void fetch_group(const ManyKey *keys, int n, Datum *values,
						bool *found);
static void set_group(const ManyKey *keys, int n, Interval *ttl);
static int	drop_repeated(ManyKey *keys, int n);

/* Raise an error when a call names too many keys. */
static void
check_count(int n)
{
	if (n > NVS_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many keys in one call: %d", n),
				 errdetail("One call names at most %d.", NVS_MAX_KEYS)));
}

/* The keys of an array argument, in its order. */
static ManyKey *
read_keys(ArrayType *array, int *n)
{
	ManyKey    *keys;
	Datum	   *elements;
	bool	   *nulls;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, n);
	check_count(*n);
	keys = palloc0(sizeof(ManyKey) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("key %d must not be null", i + 1)));
		keys[i].key = DatumGetTextPP(elements[i]);
		keys[i].index = i;
	}
	return keys;
}

/* The keys and values of an object. */
static ManyKey *
read_entries(Jsonb *entries, int *n)
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
	check_count(*n);
	keys = palloc0(sizeof(ManyKey) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, *n + i);

		keys[i].key = cstring_to_text_with_len(name.data, name.len);
		keys[i].value = JsonbPGetDatum(nvs_child_document(value));
		keys[i].index = i;
	}
	return keys;
}

/* Find the relation of each key and sort by relation and key. */
static void
sort_keys(ManyKey *keys, int n, bool write)
{
	NvsResolved resolved;
	int			i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nvs_kv_find(keys[i].key, write, &resolved))
			keys[i].target = resolved.target;
	}
	qsort(keys, n, sizeof(ManyKey), compare_keys);
}

/* qsort comparator: by relation, those without one first, then by bytes. */
static int
compare_keys(const void *a, const void *b)
{
	const ManyKey *x = a;
	const ManyKey *y = b;
	Oid			xrel = x->target == NULL ? InvalidOid : x->target->relid;
	Oid			yrel = y->target == NULL ? InvalidOid : y->target->relid;
	int			xlen = VARSIZE_ANY_EXHDR(x->key);
	int			ylen = VARSIZE_ANY_EXHDR(y->key);
	int			cmp;

	if (xrel != yrel)
		return xrel < yrel ? -1 : 1;
	cmp = memcmp(VARDATA_ANY(x->key), VARDATA_ANY(y->key), Min(xlen, ylen));
	return cmp != 0 ? cmp : xlen - ylen;
}

/* Where the keys of the relation of keys[begin] end. */
static int
group_end(const ManyKey *keys, int n, int begin)
{
	int			i = begin + 1;

	while (i < n && keys[i].target != NULL &&
		   keys[i].target->relid == keys[begin].target->relid)
		i++;
	return i;
}

/* The keys as an array in C. */
static Datum *
key_datums(const ManyKey *keys, int n)
{
	Datum	   *result = palloc(sizeof(Datum) * n);
	int			i;

	for (i = 0; i < n; i++)
		result[i] = PointerGetDatum(keys[i].key);
	return result;
}

/* Texts as an array of SQL's. */
static Datum
text_array(Datum *elements, int n)
{
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* nvent.kv_mget(keys): a row for each, in their order, NULL when absent. */
Datum
nvs_kv_mget(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	ArrayType  *array;
	ManyKey    *keys;
	Datum	   *values;
	bool	   *found;
	Datum	   *names;
	int			n;
	int			i;

	NVS_REQUIRE_ARG(0, "keys");
	array = PG_GETARG_ARRAYTYPE_P(0);
	keys = read_keys(array, &n);
	names = key_datums(keys, n);
	values = palloc0(sizeof(Datum) * Max(n, 1));
	found = palloc0(sizeof(bool) * Max(n, 1));

	nvs_spi_begin();
	sort_keys(keys, n, false);
	for (i = 0; i < n;)
	{
		int			end = i + 1;

		if (keys[i].target != NULL)
		{
			end = group_end(keys, n, i);
			fetch_group(&keys[i], end - i, values, found);
		}
		i = end;
	}
	for (i = 0; i < n; i++)
	{
		Datum		row[2];
		bool		nulls[2] = {false, false};

		row[0] = names[i];
		row[1] = values[i];
		nulls[1] = !found[i];
		tuplestore_putvalues(result, desc, row, nulls);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Fetch the values of keys of one relation; they are in SPI's memory. */
static void
fetch_group(const ManyKey *keys, int n, Datum *values, bool *found)
{
	Datum		param = text_array(key_datums(keys, n), n);
	uint64		i;

	nvs_plan_execute(nvs_kv_plan(keys[0].target, NVS_KV_MGET), &param, NULL,
					 true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		int64		which = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		int			index = keys[which - 1].index;

		values[index] = SPI_getbinval(row, desc, 2, &isnull);
		found[index] = !isnull;
	}
}

/* nvent.kv_mset(entries, ttl): how many keys were set, which is all. */
Datum
nvs_kv_mset(PG_FUNCTION_ARGS)
{
	Interval   *ttl = nvs_ttl_argument(fcinfo, 1, "ttl");
	ManyKey    *keys;
	int			n;
	int			i;

	NVS_REQUIRE_ARG(0, "entries");
	keys = read_entries(PG_GETARG_JSONB_P(0), &n);
	PreventCommandIfReadOnly("nvent.kv_mset()");

	nvs_spi_begin();
	sort_keys(keys, n, true);
	for (i = 0; i < n;)
	{
		int			end = group_end(keys, n, i);

		set_group(&keys[i], end - i, ttl);
		i = end;
	}
	nvs_spi_end();
	PG_RETURN_INT64(n);
}

/* Set keys of one relation. */
static void
set_group(const ManyKey *keys, int n, Interval *ttl)
{
	NvsTarget  *target = keys[0].target;
	Datum	   *elements = palloc(sizeof(Datum) * n);
	Datum		params[3];
	char		nulls[3] = {' ', ' ', ' '};
	int			i;

	for (i = 0; i < n; i++)
		elements[i] = keys[i].value;
	params[0] = text_array(key_datums(keys, n), n);
	params[1] = PointerGetDatum(construct_array(elements, n, JSONBOID, -1,
												false, TYPALIGN_INT));
	params[2] = PointerGetDatum(ttl);
	if (ttl == NULL)
		nulls[2] = 'n';
	if (nvs_plan_execute(nvs_kv_plan(target, NVS_KV_MSET), params, nulls,
						 false, 0) != n)
		nvs_kv_refused(target);
}

/* nvent.kv_delete(keys): how many of them were there. */
Datum
nvs_kv_delete(PG_FUNCTION_ARGS)
{
	ManyKey    *keys;
	int64		deleted = 0;
	int			n;
	int			i;

	NVS_REQUIRE_ARG(0, "keys");
	keys = read_keys(PG_GETARG_ARRAYTYPE_P(0), &n);
	PreventCommandIfReadOnly("nvent.kv_delete()");

	nvs_spi_begin();
	sort_keys(keys, n, false);
	n = drop_repeated(keys, n);
	for (i = 0; i < n;)
	{
		int			end = i + 1;

		if (keys[i].target != NULL)
		{
			end = group_end(keys, n, i);
			deleted += nvs_kv_delete_many(keys[i].target,
										  key_datums(&keys[i], end - i),
										  end - i);
		}
		i = end;
	}
	nvs_spi_end();
	PG_RETURN_INT64(deleted);
}

/* Keep one of each key among sorted ones; returns how many there are. */
static int
drop_repeated(ManyKey *keys, int n)
{
	int			kept = 0;
	int			i;

	for (i = 0; i < n; i++)
		if (i == 0 || compare_keys(&keys[kept - 1], &keys[i]) != 0)
			keys[kept++] = keys[i];
	return kept;
}

/*
 * Delete the rows of sorted, distinct keys, expired ones too.  Returns how
 * many were live.
 */
int64
nvs_kv_delete_many(NvsTarget *target, Datum *keys, int n)
{
	Datum		param;
	Datum		answer;

	if (n == 1)
	{
		if (!nvs_plan_first(nvs_kv_plan(target, NVS_KV_DELETE), keys, NULL,
							false, CurrentMemoryContext, &answer))
			return 0;
		return DatumGetBool(answer) ? 1 : 0;
	}
	param = text_array(keys, n);
	if (!nvs_plan_first(nvs_kv_plan(target, NVS_KV_DELETE_MANY), &param, NULL,
						false, CurrentMemoryContext, &answer))
		elog(ERROR, "unexpected: count(*) gave no row");
	return DatumGetInt64(answer);
}
