/*
 * entry/filter.c
 *	  Filters of nvent.entry_read as SQL conditions.
 *
 * A filter is {"field": value or [value, ...]}, all of whose conditions must
 * hold.  Names choose columns of the field map or become paths, values become
 * parameters: no text of the caller's is ever SQL.
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/arg.h"
#include "base/text.h"
#include "entry/entry.h"

/*
 * Values that a filter may have, and those among them for fields that are in
 * documents.  The planner looks at each value and cannot be cancelled
 * meanwhile; documents take it thirty times as long.
 */
#define FILTER_MAX_VALUES		65536
#define FILTER_MAX_DOCUMENTS	1000

/* The conditions of a filter, in the making. */
typedef struct EntryFilter
{
	const NvsTarget *target;
	NvsParams  *params;
	StringInfo	sql;
	Size		nvalues;		/* so far */
	Size		ndocuments;		/* so far; of fields that are in documents */
} EntryFilter;

/* The values that a condition allows. */
typedef struct FilterValues
{
	NvsJsonbChild *items;		/* none of them null */
	uint32		n;
	bool		null;			/* the field may be unset, too */
} FilterValues;

static void filter_field(EntryFilter *filter, NvsJsonbChild name,
						 NvsJsonbChild value);
static void filter_list_values(NvsJsonbChild value, FilterValues *values);
static void filter_count_documents(EntryFilter *filter,
								   const FilterValues *values);
static void filter_column(EntryFilter *filter, const NvsField *field,
						  const FilterValues *values);
static void filter_compare_column(EntryFilter *filter, const NvsField *field,
								  const FilterValues *values);
static char *filter_equality(Oid type);
static void filter_any_of(EntryFilter *filter, Oid type, Datum *list, int n);
static void filter_json_values(EntryFilter *filter, const FilterValues *values,
							   const NvsJsonbKey *path, int npath);
static void filter_leftover(EntryFilter *filter, const NvsField *field,
							const FilterValues *values);
static void filter_leftover_contains(EntryFilter *filter,
									 const NvsField *field,
									 const FilterValues *values,
									 const NvsJsonbKey *path, int npath);
static void filter_document(EntryFilter *filter, const NvsField *field,
							const char *path, int len,
							const FilterValues *values);
static void filter_path_is(EntryFilter *filter, const char *document, int p,
						   const FilterValues *values);

/*
 * Add the conditions of a filter to a WHERE clause that has one already, and
 * their parameters.  Raises an error for a value that a field cannot have.
 */
void
nvs_entry_filter(const NvsTarget *target, const Jsonb *doc,
				 NvsParams *params, StringInfo sql)
{
	EntryFilter filter = {target, params, sql, 0, 0};
	const JsonbContainer *jc = &doc->root;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	if (!JB_ROOT_IS_OBJECT(doc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a filter must be a JSON object"),
				 errhint("Write {\"status\": \"running\"}, or {\"status\": "
						 "[\"running\", \"awaiting\"]} for either.")));
	for (i = 0; i < n; i++)
		filter_field(&filter, nvs_jsonb_child(jc, i),
					 nvs_jsonb_child(jc, n + i));
}

/* Add the condition on one field; an array is any of its elements. */
static void
filter_field(EntryFilter *filter, NvsJsonbChild name, NvsJsonbChild value)
{
	const NvsTarget *target = filter->target;
	const NvsEntryState *state = target->state;
	int			consumed;
	const NvsField *field = nvs_entry_find(target, name.data, name.len,
										   &consumed);
	FilterValues values;

	/* Each value is a parameter, or a part of one. */
	filter_list_values(value, &values);
	filter->nvalues += values.n;
	if (filter->nvalues > FILTER_MAX_VALUES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("filter has too many values"),
				 errdetail("A filter has at most %d.", FILTER_MAX_VALUES)));

	/*
	 * What the name leads to: a column, something inside one that has
	 * documents, all of "stats", which is no value, or what has no column.
	 */
	nvs_sql(filter->sql, " AND (");
	if (field != NULL && consumed == name.len)
		filter_column(filter, field, &values);
	else if (field != NULL && field->takes_json)
		filter_document(filter, field, name.data + consumed + 1,
						name.len - consumed - 1, &values);
	else if (nvs_entry_is_stats(target, name.data, name.len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot filter by all of \"stats\""),
				 errdetail("Table %s has columns for its fields.",
						   target->name),
				 errhint("Write {\"stats.total\": 1}.")));
	else if (state->extra != NULL)
		filter_document(filter, state->extra, name.data, name.len, &values);
	else
		nvs_entry_no_column(target, name.data, name.len);
	nvs_sql(filter->sql, ")");
}

/* Take the values of a condition apart, null from the others. */
static void
filter_list_values(NvsJsonbChild value, FilterValues *values)
{
	const JsonbContainer *list = (const JsonbContainer *) value.data;
	bool		is_list = value.type == JENTRY_ISCONTAINER &&
		!nvs_jsonb_is_object(value);
	uint32		n = is_list ? JsonContainerSize(list) : 1;
	uint32		i;

	values->items = palloc(sizeof(NvsJsonbChild) * Max(n, 1));
	values->n = 0;
	values->null = false;
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild item = is_list ? nvs_jsonb_child(list, i) : value;

		if (item.type == JENTRY_ISNULL)
			values->null = true;
		else
			values->items[values->n++] = item;
	}
}

/* Raise an error when too many values are for fields in documents. */
static void
filter_count_documents(EntryFilter *filter, const FilterValues *values)
{
	filter->ndocuments += values->n;
	if (filter->ndocuments > FILTER_MAX_DOCUMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("filter has too many values for fields that are kept "
						"in jsonb"),
				 errdetail("A filter has at most %d of those.",
						   FILTER_MAX_DOCUMENTS),
				 errhint("Add a column for the field, or read a part of the "
						 "values at a time.")));
}

/* Add: a column has one of some values, or its leftover in extra has. */
static void
filter_column(EntryFilter *filter, const NvsField *field,
			  const FilterValues *values)
{
	const NvsEntryState *state = filter->target->state;
	bool		leftover = nvs_entry_leftover_possible(state, field);

	if (leftover || field->takes_json)
		filter_count_documents(filter, values);
	if (leftover && values->n > 0)
		nvs_sql(filter->sql, "(");
	filter_compare_column(filter, field, values);
	if (leftover && values->n > 0)
		filter_leftover(filter, field, values);
	if (!values->null)
		return;
	nvs_sql(filter->sql, " OR t.", field->quoted, " IS NULL");
	if (leftover)
		nvs_sql(filter->sql, " AND COALESCE(",
				nvs_entry_leftover_value(filter->target, field),
				", 'null') OPERATOR(pg_catalog.=) 'null'");
}

/* Add: a column has one of some values; false when there are none. */
static void
filter_compare_column(EntryFilter *filter, const NvsField *field,
					  const FilterValues *values)
{
	StringInfo	sql = filter->sql;
	char	   *equal;
	Datum	   *list;
	bool		isnull;
	uint32		i;

	if (values->n == 0)
	{
		nvs_sql(sql, "false");
		return;
	}

	/* Documents are compared as jsonb, also those of type json. */
	if (field->takes_json)
	{
		nvs_sql(sql, "t.", field->quoted, "::pg_catalog.jsonb "
				"OPERATOR(pg_catalog.=) ");
		filter_json_values(filter, values, NULL, 0);
		return;
	}

	/* One comparison with all values, where the type allows it. */
	list = palloc(sizeof(Datum) * values->n);
	for (i = 0; i < values->n; i++)
		list[i] = nvs_field_datum(field, values->items[i], &isnull);
	equal = filter_equality(field->type);
	if (equal != NULL &&
		(values->n == 1 || OidIsValid(get_array_type(field->type))))
	{
		nvs_sql(sql, "t.", field->quoted, equal);
		filter_any_of(filter, field->type, list, values->n);
		return;
	}

	/* Types without equality, and those of which there are no arrays. */
	for (i = 0; i < values->n; i++)
	{
		nvs_sql(sql, i > 0 ? " OR " : "", equal != NULL ? "t." :
				"NOT nvent.entry_is_changed(t.", field->quoted,
				equal != NULL ? equal : ", ");
		filter_any_of(filter, field->type, &list[i], 1);
		nvs_sql(sql, equal != NULL ? "" : ")");
	}
}

/*
 * A type's own equality operator, qualified, with blanks around it; NULL for a
 * type that has none.
 */
static char *
filter_equality(Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR);
	HeapTuple	tuple;
	Form_pg_operator form;
	char	   *result;

	if (!OidIsValid(entry->eq_opr))
		return NULL;
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(entry->eq_opr));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", entry->eq_opr);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf(" OPERATOR(%s.%s) ",
					  quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Add one value as $n, several as ANY ($n), so that one statement serves lists
 * of any length.
 */
static void
filter_any_of(EntryFilter *filter, Oid type, Datum *list, int n)
{
	if (n == 1)
	{
		nvs_sql_param(filter->sql, "",
					  nvs_params_add(filter->params, type, list[0], false));
		return;
	}
	nvs_sql_param(filter->sql, "ANY (",
				  nvs_params_add(filter->params, get_array_type(type),
								 nvs_array_of(type, list, NULL, n), false));
	nvs_sql(filter->sql, ")");
}

/*
 * Add documents as filter_any_of() does: the values, or with a path objects in
 * which it leads to them.
 */
static void
filter_json_values(EntryFilter *filter, const FilterValues *values,
				   const NvsJsonbKey *path, int npath)
{
	Datum	   *list = palloc(sizeof(Datum) * values->n);
	uint32		i;

	for (i = 0; i < values->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		list[i] = JsonbPGetDatum(path == NULL ?
								 nvs_jsonb_from_child(values->items[i]) :
								 nvs_paths_nest(path, npath,
												values->items[i]));
	}
	filter_any_of(filter, JSONBOID, list, values->n);
}

/*
 * Behind the comparison of a column add: unless extra has the field's value,
 * from before the column was there; then that has one of the values.
 */
static void
filter_leftover(EntryFilter *filter, const NvsField *field,
				const FilterValues *values)
{
	char	   *counts = nvs_entry_leftover_counts(filter->target, field,
												   filter->params);

	nvs_sql(filter->sql, ") AND NOT ", counts, " OR ", counts, " AND ");
	filter_leftover_contains(filter, field, values, NULL, 0);
	nvs_sql(filter->sql, " AND ",
			nvs_entry_leftover_value(filter->target, field),
			" OPERATOR(pg_catalog.=) ");
	filter_json_values(filter, values, NULL, 0);
}

/*
 * Add: a field's leftover contains one of some values, or with a path has it
 * lead to one.  A GIN index on extra answers that; it holds for more than
 * equal documents.
 */
static void
filter_leftover_contains(EntryFilter *filter, const NvsField *field,
						 const FilterValues *values, const NvsJsonbKey *path,
						 int npath)
{
	const NvsEntryState *state = filter->target->state;
	FilterValues nested = *values;
	const char *before = "(t.";
	const NvsEntryExtraPath *paths;
	int			n = nvs_entry_leftover_paths(filter->target, field, &paths);
	int			i;
	uint32		j;

	/* It may be at more than one path of extra: contained at any of them. */
	for (i = 0; i < n; i++)
	{
		/* Each value within the objects that lead to it there. */
		nested.items = palloc(sizeof(NvsJsonbChild) * values->n);
		for (j = 0; j < values->n; j++)
		{
			NvsJsonbChild value = values->items[j];

			CHECK_FOR_INTERRUPTS();
			if (path != NULL)
				value = nvs_jsonb_root(nvs_paths_nest(path, npath, value));
			nested.items[j] = nvs_jsonb_root(nvs_entry_leftover_nest(&paths[i],
																	 value));
		}

		nvs_sql(filter->sql, before, state->extra->quoted,
				" OPERATOR(pg_catalog.@>) ");
		filter_json_values(filter, &nested, NULL, 0);
		before = " OR t.";
	}
	nvs_sql(filter->sql, ")");
}

/*
 * Add: what a dotted path leads to in a column of documents, or in its
 * leftover, is one of some values.  Containment comes first, since a GIN index
 * answers it; it holds for more than equal documents.
 */
static void
filter_document(EntryFilter *filter, const NvsField *field, const char *path,
				int len, const FilterValues *values)
{
	StringInfo	sql = filter->sql;
	char	   *document = psprintf("t.%s%s", field->quoted,
									field->kind == NVS_FIELD_JSONB ? "" :
									"::pg_catalog.jsonb");
	char	   *counts = NULL;
	Datum		names = nvs_entry_path(path, len);
	int			nkeys;
	NvsJsonbKey *keys = nvs_entry_path_keys(path, len, &nkeys);
	int			p;

	filter_count_documents(filter, values);
	if (values->n == 0 && !values->null)
	{
		/* A parameter that is not used would make two statements one text. */
		nvs_sql(sql, "false");
		return;
	}
	p = nvs_params_add(filter->params, TEXTARRAYOID, names, false);
	if (nvs_entry_leftover_possible(filter->target->state, field))
		counts = nvs_entry_leftover_counts(filter->target, field,
										   filter->params);

	/* A value: in the column, or in the leftover if that counts. */
	if (values->n > 0)
	{
		nvs_sql(sql, document, " OPERATOR(pg_catalog.@>) ");
		filter_json_values(filter, values, keys, nkeys);
		nvs_sql(sql, " AND ");
		filter_path_is(filter, document, p, values);
	}
	if (values->n > 0 && counts != NULL)
	{
		nvs_sql(sql, " AND NOT ", counts, " OR ", counts, " AND ");
		filter_leftover_contains(filter, field, values, keys, nkeys);
		nvs_sql(sql, " AND ");
		filter_path_is(filter, nvs_entry_leftover_value(filter->target,
														field), p, values);
	}

	/* No value, or null. */
	if (values->null)
	{
		nvs_sql(sql, values->n > 0 ? " OR " : "", "COALESCE(");
		if (counts != NULL)
			nvs_sql(sql, "CASE WHEN ", counts, " THEN ",
					nvs_entry_leftover_value(filter->target, field), " ELSE ",
					document, " END");
		else
			nvs_sql(sql, document);
		nvs_sql_param(sql, " OPERATOR(pg_catalog.#>) ", p);
		nvs_sql(sql, ", 'null') OPERATOR(pg_catalog.=) 'null'");
	}
}

/* Add: what path $p leads to in a document is one of some values. */
static void
filter_path_is(EntryFilter *filter, const char *document, int p,
			   const FilterValues *values)
{
	nvs_sql(filter->sql, document);
	nvs_sql_param(filter->sql, " OPERATOR(pg_catalog.#>) ", p);
	nvs_sql(filter->sql, " OPERATOR(pg_catalog.=) ");
	filter_json_values(filter, values, NULL, 0);
}
