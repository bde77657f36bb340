/*
 * entry/increment.c
 *	  Indexed entries: atomic counters.
 *
 * An increment adds to a column or to a number inside a column of documents,
 * in one statement on the row as it is when the row's lock is had; several of
 * them in one call make one row version.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "base/arg.h"
#include "base/text.h"
#include "entry/entry.h"

PG_FUNCTION_INFO_V1(nvs_entry_increment);
PG_FUNCTION_INFO_V1(nvs_entry_increment_many);

/* The increments of one column. */
typedef struct ColumnSet
{
	const NvsField *field;
	char	   *number;			/* its new value, if it is a number itself */
	int			depth;			/* else the increments inside it, */
	StringInfoData calls;		/* and the ends of their calls */
} ColumnSet;

/* An UPDATE in the making, and what came of it. */
typedef struct Increments
{
	const NvsTarget *target;
	NvsResolved resolved;
	NvsParams	params;
	SPIPlanPtr *slot;			/* of the plan, NULL if it is found by text */
	bool	   *touched;		/* columns, for each of the map */
	ColumnSet  *columns;
	int			ncolumns;
	StringInfoData returning;
	int			n;
	Datum	   *values;			/* the numbers, in cxt */
	bool	   *nulls;
	MemoryContext cxt;
} Increments;

static void begin(Increments *inc, text *key, text *id, int n);
static void add_increment(Increments *inc, const char *name, int len,
						  NvsJsonbChild by);
static ColumnSet *column_set(Increments *inc, const NvsField *field);
static void add_to_column(Increments *inc, const NvsField *field,
						  const char *name, int len, NvsJsonbChild by);
static int	number_param(Increments *inc, const NvsField *field,
						 const char *name, int len, NvsJsonbChild by);
static char *old_number(Increments *inc, const NvsField *field);
static void add_to_document(Increments *inc, const NvsField *field,
							const char *path, int len, NvsJsonbChild by);
static void run(Increments *inc, text *key, text *id);
static SPIPlanPtr make_plan(Increments *inc);
static bool is_there(Increments *inc);
static void set_document(Increments *inc, const ColumnSet *column,
						 const char *stripped, StringInfo sql);
pg_noreturn static void not_a_number(const char *name, int len,
									 const char *detail);
pg_noreturn static void no_entry(text *key, text *id);

/* nvent.entry_increment(key, id, field, by): the new value. */
Datum
nvs_entry_increment(PG_FUNCTION_ARGS)
{
	Increments	inc;
	NvsJsonbChild by;
	Numeric		number;
	text	   *key;
	text	   *id;
	text	   *field;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "id");
	NVS_REQUIRE_ARG(2, "field");
	NVS_REQUIRE_ARG(3, "by");
	key = PG_GETARG_TEXT_PP(0);
	id = PG_GETARG_TEXT_PP(1);
	field = PG_GETARG_TEXT_PP(2);
	number = PG_GETARG_NUMERIC(3);
	if (numeric_is_nan(number) || numeric_is_inf(number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("increment must be a finite number")));
	by.type = JENTRY_ISNUMERIC;
	by.data = (const char *) number;
	by.len = VARSIZE_ANY(number);
	inc.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	begin(&inc, key, id, 1);
	add_increment(&inc, VARDATA_ANY(field), VARSIZE_ANY_EXHDR(field), by);
	run(&inc, key, id);
	nvs_spi_end();
	if (inc.nulls[0])
		PG_RETURN_NULL();
	PG_RETURN_DATUM(inc.values[0]);
}

/*
 * nvent.entry_increment_many(key, id, increments): {"field": by} in, {"field":
 * new value} out.
 */
Datum
nvs_entry_increment_many(PG_FUNCTION_ARGS)
{
	Increments	inc;
	NvsJsonb	result;
	Jsonb	   *increments;
	const JsonbContainer *jc;
	text	   *key;
	text	   *id;
	uint32		n;
	uint32		i;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "id");
	NVS_REQUIRE_ARG(2, "increments");
	key = PG_GETARG_TEXT_PP(0);
	id = PG_GETARG_TEXT_PP(1);
	increments = PG_GETARG_JSONB_P(2);
	jc = &increments->root;
	n = JsonContainerSize(jc);
	if (!JB_ROOT_IS_OBJECT(increments) || n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("increments must be a JSON object that is not empty"),
				 errhint("Write {\"stats.total\": 1, \"stats.running\": "
						 "-1}.")));
	inc.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	begin(&inc, key, id, n);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild by = nvs_jsonb_child(jc, n + i);

		CHECK_FOR_INTERRUPTS();
		nvs_check_number(pnstrdup(name.data, name.len), by);
		add_increment(&inc, name.data, name.len, by);
	}
	run(&inc, key, id);
	nvs_spi_end();

	nvs_jsonb_init(&result);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);

		if (inc.nulls[i])
			nvs_jsonb_add_null(&result, name.data, name.len);
		else
			nvs_emit_numeric(&result, name.data, name.len,
							 DatumGetNumeric(inc.values[i]));
	}
	PG_RETURN_JSONB_P(nvs_jsonb_finish(&result));
}

/* Begin an UPDATE of n numbers. */
static void
begin(Increments *inc, text *key, text *id, int n)
{
	if (!nvs_entry_resolve(key, false, &inc->resolved))
		no_entry(key, id);
	inc->target = inc->resolved.target;
	nvs_entry_params(&inc->resolved, id, &inc->params);
	inc->slot = NULL;
	inc->touched = palloc0(sizeof(bool) * inc->target->map->nfields);
	/* One more for extra, which may lose something. */
	inc->columns = palloc(sizeof(ColumnSet) * (n + 1));
	inc->ncolumns = 0;
	initStringInfo(&inc->returning);
	inc->n = n;
	inc->values = MemoryContextAlloc(inc->cxt, sizeof(Datum) * n);
	inc->nulls = MemoryContextAlloc(inc->cxt, sizeof(bool) * n);
}

/* Add one increment. */
static void
add_increment(Increments *inc, const char *name, int len, NvsJsonbChild by)
{
	const NvsTarget *target = inc->target;
	const NvsEntryState *state = target->state;
	const NvsField *field;
	int			consumed;

	nvs_entry_check_path(name, len);
	field = nvs_entry_find(target, name, len, &consumed);
	if (field == state->version)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"version\" cannot be written"),
				 errdetail("It counts the changes of the entry.")));
	if (field != NULL)
	{
		nvs_entry_check_written(target, field);
		inc->touched[field - target->map->fields] = true;
		if (consumed == len)
			add_to_column(inc, field, name, len, by);
		else if (field->takes_json)
			add_to_document(inc, field, name + consumed + 1,
							len - consumed - 1, by);
		else
			not_a_number(name, len, psprintf("Field \"%s\" has no fields of "
											 "its own.", field->label));
	}
	else if (target->map->has_stats && len == 5 &&
			 memcmp(name, "stats", 5) == 0)
		not_a_number(name, len, "It is an object.");
	else if (state->extra != NULL)
		add_to_document(inc, state->extra, name, len, by);
	else
		nvs_entry_no_column(target, name, len);
}

/* The increments of a column so far. */
static ColumnSet *
column_set(Increments *inc, const NvsField *field)
{
	ColumnSet  *set;
	int			i;

	for (i = 0; i < inc->ncolumns; i++)
		if (inc->columns[i].field == field)
			return &inc->columns[i];
	set = &inc->columns[inc->ncolumns++];
	set->field = field;
	set->number = NULL;
	set->depth = 0;
	initStringInfo(&set->calls);
	return set;
}

/* Add to a number that has its own column. */
static void
add_to_column(Increments *inc, const NvsField *field, const char *name,
			  int len, NvsJsonbChild by)
{
	const NvsEntryState *state = inc->target->state;
	int			counter = state->counters[field - inc->target->map->fields];
	int			param = number_param(inc, field, name, len, by);
	ColumnSet  *set;
	StringInfoData sql;

	/* The increment of one column is what must be fast. */
	if (inc->n == 1 && counter > 0)
		inc->slot = nvs_planset_slot(inc->target->plans, counter);
	if (inc->slot != NULL && *inc->slot != NULL)
		return;
	set = column_set(inc, field);
	if (set->number != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" is given twice", field->label),
				 errdetail("Column \"%s\" has more than one name.",
						   field->column)));
	initStringInfo(&sql);
	nvs_sql(&sql, "COALESCE(", old_number(inc, field), ", 0)");
	nvs_sql_param(&sql, " OPERATOR(pg_catalog.+) ", param);
	set->number = sql.data;
	nvs_sql(&inc->returning, inc->returning.len > 0 ? ", t." : "t.",
			field->quoted, "::pg_catalog.numeric");
}

/* The parameter that is added to a column, of which type it may be. */
static int
number_param(Increments *inc, const NvsField *field, const char *name,
			 int len, NvsJsonbChild by)
{
	NvsField	whole = *field;
	Datum		value = PointerGetDatum(by.data);
	bool		isnull;

	switch (getBaseType(field->type))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			/* A domain's constraint is not about what is added. */
			whole.kind = NVS_FIELD_INT8;
			return nvs_params_add(&inc->params, INT8OID,
								  nvs_field_datum(&whole, by, &isnull),
								  false);
		case FLOAT4OID:
		case FLOAT8OID:
			return nvs_params_add(&inc->params, FLOAT8OID,
								  DirectFunctionCall1(numeric_float8, value),
								  false);
		case NUMERICOID:
			return nvs_params_add(&inc->params, NUMERICOID, value, false);
		default:
			not_a_number(name, len,
						 psprintf("Column \"%s\" of table %s is of type %s.",
								  field->column, inc->target->name,
								  format_type_be(field->type)));
	}
}

/* The number that a column has, or that extra still has of it. */
static char *
old_number(Increments *inc, const NvsField *field)
{
	char	   *name;
	StringInfoData sql;

	initStringInfo(&sql);
	if (!nvs_leftover_possible(inc->target, field))
	{
		nvs_sql(&sql, "t.", field->quoted);
		return sql.data;
	}
	/* An increment by nothing says what is wrong with what is no number. */
	name = quote_literal_cstr(field->name);
	nvs_sql(&sql, "CASE WHEN ",
			nvs_leftover_counts(inc->target, field, &inc->params),
			" THEN (nvent.jsonb_increment(pg_catalog.jsonb_build_object(",
			name, ", ", nvs_leftover_value(inc->target, field),
			"), ARRAY[", name, "], 0) OPERATOR(pg_catalog.->>) ", name,
			")::pg_catalog.numeric ELSE t.", field->quoted, " END");
	return sql.data;
}

/* Add to a number at a dotted path in a column of documents. */
static void
add_to_document(Increments *inc, const NvsField *field, const char *path,
				int len, NvsJsonbChild by)
{
	ColumnSet  *set = column_set(inc, field);
	int			p = nvs_params_add(&inc->params, TEXTARRAYOID,
								   nvs_entry_path(path, len), false);

	nvs_sql_param(&set->calls, ", ", p);
	nvs_sql_param(&set->calls, ", ",
				  nvs_params_add(&inc->params, NUMERICOID,
								 PointerGetDatum(by.data), false));
	nvs_sql(&set->calls, ")");
	set->depth++;
	nvs_sql(&inc->returning, inc->returning.len > 0 ? ", (t." : "(t.",
			field->quoted, "::pg_catalog.jsonb");
	nvs_sql_param(&inc->returning, " OPERATOR(pg_catalog.#>>) ", p);
	nvs_sql(&inc->returning, ")::pg_catalog.numeric");
}

/* Run the UPDATE and keep the numbers that it returns. */
static void
run(Increments *inc, text *key, text *id)
{
	SPIPlanPtr	plan = inc->slot != NULL ? *inc->slot : NULL;
	int			tries;

	if (plan == NULL)
		plan = make_plan(inc);
	for (tries = 0; tries < NVS_MAX_TRIES; tries++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nvs_plan_row(plan, inc->params.values, inc->params.nulls, false,
						 inc->cxt, inc->n, inc->values, inc->nulls))
			return;
		if (!is_there(inc))
			no_entry(key, id);
	}
	nvs_entry_not_taken(inc->target);
}

/* Put the UPDATE together. */
static SPIPlanPtr
make_plan(Increments *inc)
{
	const NvsTarget *target = inc->target;
	const NvsEntryState *state = target->state;
	char	   *stripped = NULL;
	StringInfoData sql;
	int			i;

	if (state->leftovers)
		stripped = nvs_leftover_strip(target, inc->touched);
	if (stripped != NULL)
		(void) column_set(inc, state->extra);
	initStringInfo(&sql);
	nvs_sql(&sql, "UPDATE ", target->name, " AS t SET ", state->set_always);
	for (i = 0; i < inc->ncolumns; i++)
	{
		const ColumnSet *column = &inc->columns[i];

		nvs_sql(&sql, ", ", column->field->quoted, " = ");
		if (column->number != NULL)
			nvs_sql(&sql, column->number);
		else
			set_document(inc, column, stripped, &sql);
	}
	nvs_sql(&sql, " WHERE ");
	nvs_entry_where(&inc->resolved, &sql);
	nvs_sql(&sql, " RETURNING ", inc->returning.data);
	if (inc->slot == NULL)
		return nvs_planset_text(target->plans, sql.data, &inc->params,
								CURSOR_OPT_GENERIC_PLAN);
	*inc->slot = nvs_plan_prepare(sql.data, inc->params.n, inc->params.types,
								  CURSOR_OPT_GENERIC_PLAN);
	return *inc->slot;
}

/* Can the entry be seen, now that no update has reached it? */
static bool
is_there(Increments *inc)
{
	StringInfoData sql;
	SPIPlanPtr	plan;

	initStringInfo(&sql);
	nvs_sql(&sql, "SELECT FROM ", inc->target->name, " AS t WHERE ");
	nvs_entry_where(&inc->resolved, &sql);
	plan = nvs_planset_text(inc->target->plans, sql.data, &inc->params,
							CURSOR_OPT_GENERIC_PLAN);
	return nvs_plan_execute(plan, inc->params.values, inc->params.nulls,
							false, 1) > 0;
}

/* The new value of a column of documents. */
static void
set_document(Increments *inc, const ColumnSet *column, const char *stripped,
			 StringInfo sql)
{
	const NvsEntryState *state = inc->target->state;
	const NvsField *field = column->field;
	int			i;

	for (i = 0; i < column->depth; i++)
		nvs_sql(sql, "nvent.jsonb_increment(");
	if (field == state->extra && stripped != NULL)
		nvs_sql(sql, stripped);
	else if (nvs_leftover_possible(inc->target, field))
		nvs_sql(sql, "CASE WHEN ",
				nvs_leftover_counts(inc->target, field, &inc->params),
				" THEN ", nvs_leftover_value(inc->target, field),
				" ELSE t.", field->quoted, "::pg_catalog.jsonb END");
	else
		nvs_sql(sql, "t.", field->quoted,
				field->kind == NVS_FIELD_JSONB ? "" :
				"::pg_catalog.jsonb");
	nvs_sql(sql, column->calls.data);
}

/* Report a field that cannot be added to. */
static void
not_a_number(const char *name, int len, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_NVS_NOT_A_NUMBER),
			 errmsg("value of \"%.*s\" is not a number", len, name),
			 errdetail_internal("%s", detail)));
}

/* Report that there is nothing to increment. */
static void
no_entry(text *key, text *id)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"key\": ");
	escape_json(&detail, text_to_cstring(key));
	appendStringInfoString(&detail, ", \"id\": ");
	escape_json(&detail, text_to_cstring(id));
	appendStringInfoChar(&detail, '}');
	ereport(ERROR,
			(errcode(ERRCODE_NVS_NO_ENTRY),
			 errmsg("entry \"%s\" of \"%s\" does not exist",
					text_to_cstring(id), text_to_cstring(key)),
			 errdetail_internal("%s", detail.data),
			 errhint("Add it first with nvent.entry_add().")));
}
