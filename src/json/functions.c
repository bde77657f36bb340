/*
 * json/functions.c
 *	  The jsonb functions of SQL: arguments in, one call, result out.
 *
 * What they answer is said in src/sql/json.sql.  Results may be one of the
 * arguments, so no detoasted argument is freed here; the executor resets the
 * context of a row.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/arg.h"
#include "json/merge.h"
#include "json/paths.h"
#include "json/tree.h"

PG_FUNCTION_INFO_V1(nvs_jsonb_deep_merge);
PG_FUNCTION_INFO_V1(nvs_jsonb_merge_patch);
PG_FUNCTION_INFO_V1(nvs_jsonb_deep_merge_transfn);
PG_FUNCTION_INFO_V1(nvs_jsonb_deep_merge_finalfn);
PG_FUNCTION_INFO_V1(nvs_jsonb_expand_paths);
PG_FUNCTION_INFO_V1(nvs_jsonb_set_path);
PG_FUNCTION_INFO_V1(nvs_jsonb_increment);

typedef Jsonb *(*MergeFunction) (const Jsonb *target, const Jsonb *source,
								 bool *changed);

/* The merge of arguments 0 and 1, of which either may be NULL. */
static Datum
functions_merge(FunctionCallInfo fcinfo, MergeFunction merge)
{
	const Jsonb *target = NULL;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		return PG_GETARG_DATUM(0);
	}
	if (!PG_ARGISNULL(0))
		target = PG_GETARG_JSONB_P(0);
	PG_RETURN_JSONB_P(merge(target, PG_GETARG_JSONB_P(1), NULL));
}

/* nvent.jsonb_deep_merge(target, source) */
Datum
nvs_jsonb_deep_merge(PG_FUNCTION_ARGS)
{
	return functions_merge(fcinfo, nvs_merge_deep);
}

/* nvent.jsonb_merge_patch(target, patch) */
Datum
nvs_jsonb_merge_patch(PG_FUNCTION_ARGS)
{
	return functions_merge(fcinfo, nvs_merge_patch);
}

/*
 * Transition function of jsonb_deep_merge_agg.  There is no state before the
 * first row that is not NULL, and so no result without one.  The tree copies
 * what it keeps, since the row is gone after the call.
 */
Datum
nvs_jsonb_deep_merge_transfn(PG_FUNCTION_ARGS)
{
	NvsJsonbTree *tree = NULL;
	MemoryContext mcxt;

	if (!AggCheckCallContext(fcinfo, &mcxt))
		elog(ERROR, "unexpected call of an aggregate's transition function");
	if (!PG_ARGISNULL(0))
		tree = (NvsJsonbTree *) PG_GETARG_POINTER(0);
	if (!PG_ARGISNULL(1))
	{
		if (tree == NULL)
			tree = nvs_jsonb_tree_create(mcxt, NVS_NULLS_DELETE, true);
		nvs_jsonb_tree_merge(tree, PG_GETARG_JSONB_P(1));
	}
	if (tree == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(tree);
}

/*
 * Final function of jsonb_deep_merge_agg.  It leaves the state as it is, since
 * a window goes on with it.
 */
Datum
nvs_jsonb_deep_merge_finalfn(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(nvs_jsonb_tree_finish((NvsJsonbTree *)
											PG_GETARG_POINTER(0)));
}

/* nvent.jsonb_expand_paths(doc) */
Datum
nvs_jsonb_expand_paths(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(nvs_paths_expand(PG_GETARG_JSONB_P(0)));
}

/*
 * The keys of a path argument, and how many there are.  They point into the
 * array, which must stay.  Raises an error for a path that is too long.
 */
static NvsJsonbKey *
functions_path_argument(ArrayType *array, int *npath)
{
	NvsJsonbKey *path;
	Datum	   *elems;
	bool	   *nulls;
	int			i;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("path must be a one-dimensional array")));
	nvs_paths_check_length(ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)),
						   NULL, 0);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, &nulls, npath);
	path = palloc(Max(*npath, 1) * sizeof(NvsJsonbKey));
	for (i = 0; i < *npath; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("path element %d must not be null", i + 1)));
		path[i].data = VARDATA_ANY(DatumGetPointer(elems[i]));
		path[i].len = VARSIZE_ANY_EXHDR(DatumGetPointer(elems[i]));
	}
	return path;
}

/* nvent.jsonb_set_path(doc, path, value) */
Datum
nvs_jsonb_set_path(PG_FUNCTION_ARGS)
{
	const Jsonb *doc = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	NvsJsonbKey *path;
	int			npath;

	NVS_REQUIRE_ARG(1, "path");
	NVS_REQUIRE_ARG(2, "value");
	path = functions_path_argument(PG_GETARG_ARRAYTYPE_P(1), &npath);
	PG_RETURN_JSONB_P(nvs_paths_set(doc, path, npath, PG_GETARG_JSONB_P(2)));
}

/* nvent.jsonb_increment(doc, path, by) */
Datum
nvs_jsonb_increment(PG_FUNCTION_ARGS)
{
	const Jsonb *doc = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	NvsJsonbKey *path;
	int			npath;

	NVS_REQUIRE_ARG(1, "path");
	NVS_REQUIRE_ARG(2, "by");
	path = functions_path_argument(PG_GETARG_ARRAYTYPE_P(1), &npath);
	PG_RETURN_JSONB_P(nvs_paths_increment(doc, path, npath,
										  PG_GETARG_NUMERIC(2), NULL));
}
