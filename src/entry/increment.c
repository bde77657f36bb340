/*
 * entry/increment.c
 *	  Entries: atomic counters.
 *
 * An increment adds to a column or to a number inside a column of documents,
 * in one statement on the row as it is when the row's lock is had; several of
 * them in one call make one row version.
 *
 * Of an entry that is there and that nobody else has, entry/overwrite.c does
 * that without a statement.  The increment of one column alone has a fixed
 * statement for each column.  All others are put together when they are needed.
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
#include "entry/overwrite.h"

static const NvsStatement increment_look = {
	"SELECT FROM {table} AS t WHERE {this_entry}"
};

PG_FUNCTION_INFO_V1(nvs_entry_increment);
PG_FUNCTION_INFO_V1(nvs_entry_increment_many);

/* The increments of one column, as SQL. */
typedef struct IncrementColumn
{
	const NvsField *field;
	char	   *number;			/* its new value, if it is a number itself */
	int			depth;			/* else the increments inside it, */
	StringInfoData calls;		/* and the ends of their calls */
} IncrementColumn;

/* An UPDATE, in the making, and what came of it. */
typedef struct EntryIncrements
{
	NvsResolved resolved;
	const NvsTarget *target;
	NvsParams	params;
	NvsEntryChanges changes;	/* what it does, without a statement, */
	bool		overwrites;		/* ... if that can be done */
	const NvsField *alone;		/* the one column that changes; or NULL, and */
	bool	   *touched;		/* ... columns, for each of the map, */
	IncrementColumn *columns;	/* ... what they become, */
	int			ncolumns;
	StringInfoData returning;	/* ... and the numbers in them */
	int			n;
	Datum	   *values;			/* the new numbers, in cxt */
	bool	   *nulls;
	MemoryContext cxt;
} EntryIncrements;

static Jsonb *increment_result(const EntryIncrements *inc,
							   const JsonbContainer *jc);
static void increment_begin(EntryIncrements *inc, text *key, text *id, int n);
static void increment_add(EntryIncrements *inc, const char *name, int len,
						  NvsJsonbChild by);
static IncrementColumn *increment_column(EntryIncrements *inc,
										 const NvsField *field);
static void increment_add_number(EntryIncrements *inc, const NvsField *field,
								 const char *name, int len, NvsJsonbChild by);
static int	increment_param(EntryIncrements *inc, const NvsField *field,
							const char *name, int len, NvsJsonbChild by);
static char *increment_old_number(EntryIncrements *inc,
								  const NvsField *field);
static void increment_add_nested(EntryIncrements *inc, const NvsField *field,
								 const char *path, int len, NvsJsonbChild by);
static void increment_change(EntryIncrements *inc, NvsEntryChangeKind kind,
							 const NvsField *field, Datum value);
static void increment_run(EntryIncrements *inc, text *key, text *id);
static bool increment_overwrite(EntryIncrements *inc);
static const NvsStatement *increment_statement(const NvsTarget *target,
											   const NvsField *field);
static void increment_build_alone(StringInfo sql, const void *arg);
static SPIPlanPtr increment_plan(EntryIncrements *inc);
static bool increment_is_there(EntryIncrements *inc, text *id);
static void increment_build_document(EntryIncrements *inc,
									 const IncrementColumn *column,
									 const char *stripped, StringInfo sql);
pg_noreturn static void increment_not_a_number(const char *name, int len,
											   const char *detail);
pg_noreturn static void increment_no_entry(text *key, text *id);

/* nvent.entry_increment(key, id, field, by): the new value. */
Datum
nvs_entry_increment(PG_FUNCTION_ARGS)
{
	EntryIncrements inc;
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

	/* As a number in JSON, which increments in an object are. */
	by.type = JENTRY_ISNUMERIC;
	by.data = (const char *) number;
	by.len = VARSIZE_ANY(number);

	inc.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	increment_begin(&inc, key, id, 1);
	increment_add(&inc, VARDATA_ANY(field), VARSIZE_ANY_EXHDR(field), by);
	increment_run(&inc, key, id);
	nvs_spi_end();

	/* A trigger can have taken the number away. */
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
	EntryIncrements inc;
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

	/* All of them are one UPDATE, and one new version. */
	inc.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	increment_begin(&inc, key, id, n);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild by = nvs_jsonb_child(jc, n + i);

		CHECK_FOR_INTERRUPTS();
		nvs_check_number(pnstrdup(name.data, name.len), by);
		increment_add(&inc, name.data, name.len, by);
	}
	increment_run(&inc, key, id);
	nvs_spi_end();
	PG_RETURN_JSONB_P(increment_result(&inc, jc));
}

/* The new numbers, by the names in jc that they were asked for by. */
static Jsonb *
increment_result(const EntryIncrements *inc, const JsonbContainer *jc)
{
	NvsJsonb	result;
	int			i;

	nvs_jsonb_init(&result);
	for (i = 0; i < inc->n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);

		if (inc->nulls[i])
			nvs_jsonb_add_null(&result, name.data, name.len);
		else
			nvs_emit_numeric(&result, name.data, name.len,
							 DatumGetNumeric(inc->values[i]));
	}
	return nvs_jsonb_finish(&result);
}

/*
 * Begin an UPDATE of n numbers.  Raises NV008 when nothing holds the key;
 * results will be in the memory context that is inc->cxt.
 */
static void
increment_begin(EntryIncrements *inc, text *key, text *id, int n)
{
	if (!nvs_entry_resolve(key, NVS_USE_CHANGE, &inc->resolved))
		increment_no_entry(key, id);
	inc->target = inc->resolved.target;
	nvs_entry_params(&inc->resolved, id, &inc->params);
	inc->alone = NULL;
	inc->touched = palloc0(sizeof(bool) * inc->target->map->nfields);
	/* One more for extra, which may lose something. */
	inc->columns = palloc(sizeof(IncrementColumn) * (n + 1));
	inc->ncolumns = 0;
	initStringInfo(&inc->returning);
	memset(&inc->changes, 0, sizeof(inc->changes));
	inc->changes.changes = palloc0(sizeof(NvsEntryChange) * n);
	inc->changes.touch = true;
	inc->overwrites = true;
	inc->n = n;
	inc->values = MemoryContextAlloc(inc->cxt, sizeof(Datum) * n);
	inc->nulls = MemoryContextAlloc(inc->cxt, sizeof(bool) * n);
}

/*
 * Add one increment.  Raises an error for a field that is not there, cannot be
 * written or is no number by its type.
 */
static void
increment_add(EntryIncrements *inc, const char *name, int len,
			  NvsJsonbChild by)
{
	const NvsTarget *target = inc->target;
	const NvsEntryState *state = target->state;
	const NvsField *field;
	int			consumed;

	nvs_entry_check_path(name, len);
	field = nvs_entry_find(target, name, len, &consumed);
	/* We count that one. */
	if (field == state->version)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"version\" cannot be written"),
				 errdetail("It counts the changes of the entry.")));

	/*
	 * A column, or a number inside its documents; else in extra, if there is
	 * that.
	 */
	if (field != NULL)
	{
		nvs_entry_check_writable(target, field);
		inc->touched[field - target->map->fields] = true;
		if (consumed == len)
			increment_add_number(inc, field, name, len, by);
		else if (field->takes_json)
			increment_add_nested(inc, field, name + consumed + 1,
								 len - consumed - 1, by);
		else
			increment_not_a_number(name, len,
								   psprintf("Field \"%s\" has no fields of "
											"its own.", field->label));
	}
	else if (nvs_entry_is_stats(target, name, len))
		increment_not_a_number(name, len, "It is an object.");
	else if (state->extra != NULL)
		increment_add_nested(inc, state->extra, name, len, by);
	else
		nvs_entry_no_column(target, name, len);
}

/* The increments of a column so far. */
static IncrementColumn *
increment_column(EntryIncrements *inc, const NvsField *field)
{
	IncrementColumn *column;
	int			i;

	for (i = 0; i < inc->ncolumns; i++)
		if (inc->columns[i].field == field)
			return &inc->columns[i];
	column = &inc->columns[inc->ncolumns++];
	column->field = field;
	column->number = NULL;
	column->depth = 0;
	initStringInfo(&column->calls);
	return column;
}

/* Add to a number that has its own column. */
static void
increment_add_number(EntryIncrements *inc, const NvsField *field,
					 const char *name, int len, NvsJsonbChild by)
{
	int			param = increment_param(inc, field, name, len, by);
	IncrementColumn *column;
	StringInfoData sql;

	increment_change(inc, NVS_CHANGE_ADD, field,
					 inc->params.values[param - 1]);
	if (inc->n == 1 &&
		!nvs_entry_leftover_possible(inc->target->state, field))
	{
		inc->alone = field;
		return;
	}
	column = increment_column(inc, field);
	if (column->number != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" is given twice", field->label),
				 errdetail("Column \"%s\" has more than one name.",
						   field->column)));
	initStringInfo(&sql);
	nvs_sql(&sql, "COALESCE(", increment_old_number(inc, field), ", 0)");
	nvs_sql_param(&sql, " OPERATOR(pg_catalog.+) ", param);
	column->number = sql.data;
	nvs_sql(&inc->returning, inc->returning.len > 0 ? ", t." : "t.",
			field->quoted, "::pg_catalog.numeric");
}

/*
 * Add the number for a column as a parameter, of the type that its type is
 * added to with; returns its number.  Raises NV007 for a column of other types.
 */
static int
increment_param(EntryIncrements *inc, const NvsField *field, const char *name,
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
			increment_not_a_number(name, len,
								   psprintf("Column \"%s\" of table %s is "
											"of type %s.", field->column,
											inc->target->name,
											format_type_be(field->type)));
	}
}

/* The SQL expression of the number in a column, or in its leftover. */
static char *
increment_old_number(EntryIncrements *inc, const NvsField *field)
{
	char	   *name;
	StringInfoData sql;

	initStringInfo(&sql);
	if (!nvs_entry_leftover_possible(inc->target->state, field))
	{
		nvs_sql(&sql, "t.", field->quoted);
		return sql.data;
	}

	/* jsonb_increment() by 0 raises the error for what is no number. */
	name = quote_literal_cstr(field->name);
	nvs_sql(&sql, "CASE WHEN ",
			nvs_entry_leftover_counts(inc->target, field, &inc->params),
			" THEN (nvent.jsonb_increment(pg_catalog.jsonb_build_object(",
			name, ", ", nvs_entry_leftover_value(inc->target, field),
			"), ARRAY[", name, "], 0) OPERATOR(pg_catalog.->>) ", name,
			")::pg_catalog.numeric ELSE t.", field->quoted, " END");
	return sql.data;
}

/* Note an increment as a change that takes no statement, if there is one. */
static void
increment_change(EntryIncrements *inc, NvsEntryChangeKind kind,
				 const NvsField *field, Datum value)
{
	NvsEntryChange *change = &inc->changes.changes[inc->changes.n++];

	change->kind = kind;
	change->field = field;
	change->value = value;
	inc->overwrites = inc->overwrites &&
		nvs_entry_overwrite_can(inc->target, field, kind);
}

/* Add to a number at a dotted path in a column of documents. */
static void
increment_add_nested(EntryIncrements *inc, const NvsField *field,
					 const char *path, int len, NvsJsonbChild by)
{
	IncrementColumn *column = increment_column(inc, field);
	NvsEntryChange *change = &inc->changes.changes[inc->changes.n];
	int			p = nvs_params_add(&inc->params, TEXTARRAYOID,
								   nvs_entry_path(path, len), false);

	increment_change(inc, NVS_CHANGE_ADD_AT, field, PointerGetDatum(by.data));
	change->path = nvs_entry_path_keys(path, len, &change->npath);
	nvs_sql_param(&column->calls, ", ", p);
	nvs_sql_param(&column->calls, ", ",
				  nvs_params_add(&inc->params, NUMERICOID,
								 PointerGetDatum(by.data), false));
	nvs_sql(&column->calls, ")");
	column->depth++;
	nvs_sql(&inc->returning, inc->returning.len > 0 ? ", (t." : "(t.",
			field->quoted, "::pg_catalog.jsonb");
	nvs_sql_param(&inc->returning, " OPERATOR(pg_catalog.#>>) ", p);
	nvs_sql(&inc->returning, ")::pg_catalog.numeric");
}

/*
 * Do what the UPDATE does, or run it, and keep the numbers.  Raises an error
 * when there is no such entry, or when it is there and cannot be updated.
 */
static void
increment_run(EntryIncrements *inc, text *key, text *id)
{
	SPIPlanPtr	plan;
	int			retries;

	if (increment_overwrite(inc))
		return;
	if (inc->alone != NULL)
		plan = nvs_statement_plan(inc->target->plans,
								  increment_statement(inc->target,
													  inc->alone),
								  &inc->params, inc);
	else
		plan = increment_plan(inc);
	for (retries = 0; retries < NVS_ENTRY_MAX_RETRIES; retries++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nvs_execute_row(plan, &inc->params, false, inc->cxt, inc->n,
							inc->values, inc->nulls))
			return;
		if (!increment_is_there(inc, id))
			increment_no_entry(key, id);
	}
	nvs_entry_refused(inc->target);
}

/* Do it without a statement; false when it has to be one. */
static bool
increment_overwrite(EntryIncrements *inc)
{
	int64		version;

	if (!inc->overwrites ||
		nvs_entry_overwrite(inc->target, &inc->params, &inc->changes,
							&version, inc->values,
							inc->cxt) != NVS_ENTRY_CHANGED)
		return false;
	memset(inc->nulls, false, sizeof(bool) * inc->n);
	return true;
}

/* The statement of one column alone.  They live as long as their target. */
static const NvsStatement *
increment_statement(const NvsTarget *target, const NvsField *field)
{
	NvsEntryState *state = target->state;
	int			i;

	if (state->increments == NULL)
	{
		NvsStatement *statements =
			MemoryContextAllocZero(target->cxt, sizeof(NvsStatement) *
								   target->map->nfields);

		for (i = 0; i < target->map->nfields; i++)
			statements[i].build = increment_build_alone;
		state->increments = statements;
	}
	return &state->increments[field - target->map->fields];
}

/*
 * Build the UPDATE of one column alone; arg is an EntryIncrements, whose last
 * parameter is what is added.
 */
static void
increment_build_alone(StringInfo sql, const void *arg)
{
	const EntryIncrements *inc = arg;
	const NvsEntryState *state = inc->target->state;
	const char *column = inc->alone->quoted;

	nvs_sql(sql, "UPDATE ", inc->target->name, " AS t SET ",
			state->set_always, ", ", column, " = COALESCE(t.", column,
			", 0)");
	nvs_sql_param(sql, " OPERATOR(pg_catalog.+) ", inc->params.n);
	nvs_sql(sql, " WHERE ", state->this_entry, " RETURNING t.", column,
			"::pg_catalog.numeric");
}

/*
 * The plan of the UPDATE of several numbers, or of one that may have a
 * leftover; kept with the target, by its text.
 */
static SPIPlanPtr
increment_plan(EntryIncrements *inc)
{
	const NvsTarget *target = inc->target;
	const NvsEntryState *state = target->state;
	char	   *stripped = NULL;
	StringInfoData sql;
	int			i;

	/* Leftovers of the columns are taken out, by which extra is set, too. */
	if (state->leftovers)
		stripped = nvs_entry_leftover_strip(target, inc->touched);
	if (stripped != NULL)
		(void) increment_column(inc, state->extra);

	/* What each column becomes. */
	initStringInfo(&sql);
	nvs_sql(&sql, "UPDATE ", target->name, " AS t SET ", state->set_always);
	for (i = 0; i < inc->ncolumns; i++)
	{
		const IncrementColumn *column = &inc->columns[i];

		nvs_sql(&sql, ", ", column->field->quoted, " = ");
		if (column->number != NULL)
			nvs_sql(&sql, column->number);
		else
			increment_build_document(inc, column, stripped, &sql);
	}

	nvs_sql(&sql, " WHERE ", state->this_entry, " RETURNING ",
			inc->returning.data);
	return nvs_statement_plan_text(target->plans, sql.data, &inc->params,
								   NVS_PLAN_GENERIC);
}

/* Can the entry be seen, now that no update has reached it? */
static bool
increment_is_there(EntryIncrements *inc, text *id)
{
	NvsParams	params;

	nvs_entry_params(&inc->resolved, id, &params);
	return nvs_execute(nvs_statement_plan(inc->target->plans,
										  &increment_look, &params, NULL),
					   &params, false, 1) > 0;
}

/*
 * Add the new value of a column of documents: nested calls, one for each
 * increment.  stripped is extra without leftovers, NULL if there are none.
 */
static void
increment_build_document(EntryIncrements *inc, const IncrementColumn *column,
						 const char *stripped, StringInfo sql)
{
	const NvsEntryState *state = inc->target->state;
	const NvsField *field = column->field;
	int			i;

	for (i = 0; i < column->depth; i++)
		nvs_sql(sql, "nvent.jsonb_increment(");
	if (field == state->extra && stripped != NULL)
		nvs_sql(sql, stripped);
	else if (nvs_entry_leftover_possible(state, field))
		nvs_sql(sql, "CASE WHEN ",
				nvs_entry_leftover_counts(inc->target, field, &inc->params),
				" THEN ", nvs_entry_leftover_value(inc->target, field),
				" ELSE t.", field->quoted, "::pg_catalog.jsonb END");
	else
		nvs_sql(sql, "t.", field->quoted,
				field->kind == NVS_FIELD_JSONB ? "" :
				"::pg_catalog.jsonb");
	nvs_sql(sql, column->calls.data);
}

/* Report a field that cannot be added to. */
static void
increment_not_a_number(const char *name, int len, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_NVS_NOT_A_NUMBER),
			 errmsg("value of \"%.*s\" is not a number", len, name),
			 errdetail_internal("%s", detail)));
}

/* Report that there is nothing to increment. */
static void
increment_no_entry(text *key, text *id)
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
