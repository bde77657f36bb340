/*
 * entry_read.c
 *	  Indexed entries: get one, read many by score and filter.
 *
 * An entry comes back as {"id", "score", "metadata"}; metadata is the table's
 * columns and what is in extra, with "version".  Times in columns come back
 * as ISO-8601.
 *
 * Entries are ordered by score and then id, so that a page is the same
 * whatever is updated between pages; a cursor is the last entry's two.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "entry.h"
#include "errors.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "util.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(nvs_index_get);
PG_FUNCTION_INFO_V1(nvs_index_read);

static Datum make_entry(const NvsTarget *target, HeapTuple row,
						TupleDesc desc, MemoryContext cxt);
static void add_extra(const NvsTarget *target, Jsonb *extra,
					  NvsJsonb *metadata, NvsJsonb *stats);
static void add_members(const JsonbContainer *jc, NvsJsonb *object,
						NvsJsonb *stats);
static void read_text(FunctionCallInfo fcinfo, const NvsPlace *place,
					  int64 count, NvsParams *params, StringInfo sql);
static void add_filter(const NvsTarget *target, const Jsonb *filter,
					   NvsParams *params, StringInfo sql);
static void filter_field(const NvsTarget *target, NvsJsonbChild name,
						 NvsJsonbChild value, NvsParams *params,
						 StringInfo sql);
static const NvsField *filter_column(const NvsTarget *target,
									 const char *name, int len,
									 const char **path, int *pathlen);
static void filter_scalar(const NvsField *field, NvsJsonbChild value,
						  NvsParams *params, StringInfo sql);
static void filter_document(const char *column, const char *path, int len,
							NvsJsonbChild value, NvsParams *params,
							StringInfo sql);
static Jsonb *nest(const char *path, int len, NvsJsonbChild value);
static Datum path_array(const char *path, int len);

/* nvent.index_get(key, id): the entry, NULL when there is none. */
Datum
nvs_index_get(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	NvsPlace	place;
	NvsParams	params;
	SPIPlanPtr *plan;
	Datum		entry;

	nvs_spi_begin();
	if (!nvs_entry_place(PG_GETARG_TEXT_PP(0), false, &place))
	{
		nvs_spi_end();
		PG_RETURN_NULL();
	}
	nvs_entry_params(&place, PG_GETARG_TEXT_PP(1), &params);
	plan = nvs_planset_slot(place.target->plans, NVS_ENTRY_GET);
	if (*plan == NULL)
	{
		const NvsEntryState *state = place.target->state;
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "SELECT %s FROM %s WHERE ", state->read_list,
						 place.target->name);
		nvs_entry_where(&place, &sql);
		*plan = nvs_plan_prepare(sql.data, params.n, params.types,
								 CURSOR_OPT_GENERIC_PLAN);
	}
	if (nvs_plan_execute(*plan, params.values, params.nulls, true, 0) == 0)
	{
		nvs_spi_end();
		PG_RETURN_NULL();
	}
	entry = make_entry(place.target, SPI_tuptable->vals[0],
					   SPI_tuptable->tupdesc, cxt);
	nvs_spi_end();
	PG_RETURN_DATUM(entry);
}

/* The value of a column of a row whose columns are the read list. */
static Datum
column(const NvsTarget *target, const NvsField *field, HeapTuple row,
	   TupleDesc desc, bool *isnull)
{
	return SPI_getbinval(row, desc, field - target->map->fields + 1, isnull);
}

/* The entry of a row whose columns are the read list. */
static Datum
make_entry(const NvsTarget *target, HeapTuple row, TupleDesc desc,
		   MemoryContext cxt)
{
	const NvsEntryState *state = target->state;
	MemoryContext old;
	NvsJsonb	entry;
	NvsJsonb	metadata;
	NvsJsonb	stats;
	Datum		value;
	bool		isnull;
	int			i;

	nvs_jsonb_init(&entry);
	nvs_jsonb_init(&metadata);
	nvs_jsonb_init(&stats);
	if (state->extra != NULL)
	{
		value = column(target, state->extra, row, desc, &isnull);
		if (!isnull)
			add_extra(target, DatumGetJsonbP(value), &metadata, &stats);
	}
	for (i = 0; i < state->nread; i++)
	{
		const NvsField *field = state->read[i];

		value = column(target, field, row, desc, &isnull);
		if (!isnull)
			nvs_field_emit(field, value, true,
						   field->in_stats ? &stats : &metadata);
	}
	if (stats.npairs > 0)
		nvs_jsonb_add_object(&metadata, NVS_KEY("stats"), &stats);
	value = column(target, state->version, row, desc, &isnull);
	if (!isnull)
		nvs_field_emit(state->version, value, false, &metadata);

	value = column(target, state->id, row, desc, &isnull);
	nvs_field_emit_as(NVS_KEY("id"), state->id, value, false, &entry);
	value = column(target, state->score, row, desc, &isnull);
	if (!isnull)
		nvs_field_emit(state->score, value, false, &entry);
	nvs_jsonb_add_object(&entry, NVS_KEY("metadata"), &metadata);
	old = MemoryContextSwitchTo(cxt);
	value = JsonbPGetDatum(nvs_jsonb_finish(&entry));
	MemoryContextSwitchTo(old);
	return value;
}

/* The fields that have no column; "stats" joins that of the columns. */
static void
add_extra(const NvsTarget *target, Jsonb *extra, NvsJsonb *metadata,
		  NvsJsonb *stats)
{
	if (!JB_ROOT_IS_OBJECT(extra))
		return;
	add_members(&extra->root, metadata,
				target->map->has_stats ? stats : NULL);
}

/* Add an object's members to another; those of "stats" to stats, if given. */
static void
add_members(const JsonbContainer *jc, NvsJsonb *object, NvsJsonb *stats)
{
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);

		if (stats != NULL && name.len == 5 &&
			memcmp(name.data, "stats", 5) == 0 && nvs_jsonb_is_object(value))
			add_members((const JsonbContainer *) value.data, stats, NULL);
		else
			nvs_jsonb_add_child(object, name.data, name.len, value);
	}
}

/*
 * nvent.index_read(key, max_count, row_offset, filter, after_score, after_id,
 * min_score, max_score, ascending): entries, highest score first.
 */
Datum
nvs_index_read(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	int64		count = nvs_count_argument(fcinfo, 1, "max_count");
	NvsPlace	place;
	NvsParams	params;
	StringInfoData sql;
	SPIPlanPtr	plan;
	uint64		i;

	NVS_REQUIRE_ARG(0, "key");
	if (PG_ARGISNULL(4) != PG_ARGISNULL(5))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"after_score\" and \"after_id\" go "
						"together"),
				 errhint("Pass score and id of the last entry that you "
						 "have.")));
	nvs_spi_begin();
	if (!nvs_entry_place(PG_GETARG_TEXT_PP(0), false, &place))
	{
		nvs_spi_end();
		return (Datum) 0;
	}
	nvs_params_init(&params);
	nvs_route_params(&place, &params);
	initStringInfo(&sql);
	read_text(fcinfo, &place, count, &params, &sql);
	/* With a filter the values decide which index is worth it. */
	plan = nvs_planset_text(place.target->plans, sql.data, &params,
							PG_ARGISNULL(3) ? CURSOR_OPT_GENERIC_PLAN : 0);
	nvs_plan_execute(plan, params.values, params.nulls, true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull = false;
		Datum		entry = make_entry(place.target, SPI_tuptable->vals[i],
									   SPI_tuptable->tupdesc,
									   CurrentMemoryContext);

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(result, desc, &entry, &isnull);
		pfree(DatumGetPointer(entry));
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* SELECT of a page of entries. */
static void
read_text(FunctionCallInfo fcinfo, const NvsPlace *place, int64 count,
		  NvsParams *params, StringInfo sql)
{
	const NvsTarget *target = place->target;
	const NvsEntryState *state = target->state;
	bool		ascending = NVS_ARG_OR(8, PG_GETARG_BOOL, false);
	int64		offset = nvs_count_argument(fcinfo, 2, "row_offset");

	appendStringInfo(sql, "SELECT %s FROM %s WHERE ", state->read_list,
					 target->name);
	nvs_route_where(target, sql);
	if (!PG_ARGISNULL(3))
		add_filter(target, PG_GETARG_JSONB_P(3), params, sql);
	if (!PG_ARGISNULL(4))
	{
		text	   *id = PG_GETARG_TEXT_PP(5);
		Datum		after = nvs_field_text_datum(state->id, VARDATA_ANY(id),
												 VARSIZE_ANY_EXHDR(id));
		int			n = nvs_params_add(params, FLOAT8OID, PG_GETARG_DATUM(4),
									   false);

		appendStringInfo(sql, " AND (score, %s) OPERATOR(pg_catalog.%s) "
						 "($%d, $%d)", state->id->quoted,
						 ascending ? ">" : "<", n,
						 nvs_params_add(params, state->id->type, after,
										false));
	}
	if (!PG_ARGISNULL(6))
		appendStringInfo(sql, " AND score OPERATOR(pg_catalog.>=) $%d",
						 nvs_params_add(params, FLOAT8OID,
										PG_GETARG_DATUM(6), false));
	if (!PG_ARGISNULL(7))
		appendStringInfo(sql, " AND score OPERATOR(pg_catalog.<=) $%d",
						 nvs_params_add(params, FLOAT8OID,
										PG_GETARG_DATUM(7), false));
	appendStringInfo(sql, " ORDER BY score%s, %s%s",
					 ascending ? "" : " DESC", state->id->quoted,
					 ascending ? "" : " DESC");
	if (count >= 0)
		appendStringInfo(sql, " LIMIT $%d",
						 nvs_params_add(params, INT8OID,
										Int64GetDatum(count), false));
	if (offset > 0)
		appendStringInfo(sql, " OFFSET $%d",
						 nvs_params_add(params, INT8OID,
										Int64GetDatum(offset), false));
}

/* Conditions of a filter, {"field": value or [value, ...]}, all of them. */
static void
add_filter(const NvsTarget *target, const Jsonb *filter, NvsParams *params,
		   StringInfo sql)
{
	const JsonbContainer *jc = &filter->root;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	if (!JB_ROOT_IS_OBJECT(filter))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a filter must be a JSON object"),
				 errhint("Write {\"status\": \"running\"}, or {\"status\": "
						 "[\"running\", \"awaiting\"]} for either.")));
	for (i = 0; i < n; i++)
		filter_field(target, nvs_jsonb_child(jc, i),
					 nvs_jsonb_child(jc, n + i), params, sql);
}

/* One condition; an array is any of its elements. */
static void
filter_field(const NvsTarget *target, NvsJsonbChild name,
			 NvsJsonbChild value, NvsParams *params, StringInfo sql)
{
	const NvsEntryState *state = target->state;
	const char *path;
	int			pathlen;
	const NvsField *field = filter_column(target, name.data, name.len, &path,
										  &pathlen);
	const JsonbContainer *list = NULL;
	uint32		n = 1;
	uint32		i;

	if (field == NULL && state->extra == NULL)
		nvs_entry_no_column(target, name.data, name.len);
	if (value.type == JENTRY_ISCONTAINER && !nvs_jsonb_is_object(value))
	{
		list = (const JsonbContainer *) value.data;
		n = JsonContainerSize(list);
	}
	appendStringInfoString(sql, " AND (");
	if (n == 0)
		appendStringInfoString(sql, "false");
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild one = list == NULL ? value : nvs_jsonb_child(list, i);

		if (i > 0)
			appendStringInfoString(sql, " OR ");
		if (field == NULL)
			filter_document(state->extra->quoted, name.data, name.len, one,
							params, sql);
		else if (path != NULL)
			filter_document(field->quoted, path, pathlen, one, params, sql);
		else
			filter_scalar(field, one, params, sql);
	}
	appendStringInfoChar(sql, ')');
}

/*
 * The column of a field that may be dotted.  *path is what is left of it
 * inside a jsonb column, NULL for all of the column.
 */
static const NvsField *
filter_column(const NvsTarget *target, const char *name, int len,
			  const char **path, int *pathlen)
{
	const NvsEntryState *state = target->state;
	const char *dot = memchr(name, '.', len);
	int			first = dot == NULL ? len : dot - name;
	const NvsField *field;

	*path = NULL;
	*pathlen = 0;
	if (dot == NULL && len == 7 && memcmp(name, "version", 7) == 0)
		return state->version;
	if (dot != NULL && first == 5 && memcmp(name, "stats", 5) == 0)
	{
		field = nvs_field_find_stat(target->map, dot + 1, len - first - 1);
		if (field != NULL)
			return field;
	}
	field = nvs_field_find(target->map, name, first);
	if (field == NULL || dot == NULL)
		return field;
	if (field->kind != NVS_FIELD_JSONB)
		return NULL;
	*path = dot + 1;
	*pathlen = len - first - 1;
	return field;
}

/* A column is a value; null is a column that is not set. */
static void
filter_scalar(const NvsField *field, NvsJsonbChild value, NvsParams *params,
			  StringInfo sql)
{
	bool		isnull;
	Datum		datum;

	if (value.type == JENTRY_ISNULL)
	{
		appendStringInfo(sql, "%s IS NULL", field->quoted);
		return;
	}
	datum = nvs_field_datum(field, value, &isnull);
	appendStringInfo(sql, "%s OPERATOR(pg_catalog.=) $%d", field->quoted,
					 nvs_params_add(params, field->type, datum, isnull));
}

/*
 * A value at a dotted path in a jsonb column.  Containment comes first, since
 * a GIN index answers it; it holds for more than equal documents.
 */
static void
filter_document(const char *column, const char *path, int len,
				NvsJsonbChild value, NvsParams *params, StringInfo sql)
{
	int			p = nvs_params_add(params, TEXTARRAYOID,
								   path_array(path, len), false);

	if (value.type == JENTRY_ISNULL)
	{
		appendStringInfo(sql, "COALESCE(pg_catalog.jsonb_extract_path(%s, "
						 "VARIADIC $%d), 'null') "
						 "OPERATOR(pg_catalog.=) 'null'::pg_catalog.jsonb",
						 column, p);
		return;
	}
	appendStringInfo(sql, "%s OPERATOR(pg_catalog.@>) $%d", column,
					 nvs_params_add(params, JSONBOID,
									JsonbPGetDatum(nest(path, len, value)),
									false));
	appendStringInfo(sql, " AND pg_catalog.jsonb_extract_path(%s, "
					 "VARIADIC $%d) OPERATOR(pg_catalog.=) $%d", column, p,
					 nvs_params_add(params, JSONBOID,
									JsonbPGetDatum(nvs_child_document(value)),
									false));
}

/* {"a": {"b": value}} for the path a.b. */
static Jsonb *
nest(const char *path, int len, NvsJsonbChild value)
{
	const char *end = path + len;

	for (;;)
	{
		const char *start = end;
		NvsJsonb	object;
		Jsonb	   *document;

		while (start > path && start[-1] != '.')
			start--;
		nvs_jsonb_init(&object);
		nvs_jsonb_add_child(&object, start, end - start, value);
		document = nvs_jsonb_finish(&object);
		if (start == path)
			return document;
		value = nvs_jsonb_root(document);
		end = start - 1;
	}
}

/* The path a.b as {a,b}. */
static Datum
path_array(const char *path, int len)
{
	return PointerGetDatum(DatumGetArrayTypeP(
		OidFunctionCall2Coll(F_STRING_TO_ARRAY_TEXT_TEXT, C_COLLATION_OID,
							 PointerGetDatum(cstring_to_text_with_len(path, len)),
							 CStringGetTextDatum("."))));
}
