/*
 * entry_increment.c
 *	  Indexed entries: atomic counters.
 *
 * An increment adds to a column or to a number inside a jsonb column, in one
 * statement on the row as it is when the row's lock is had; several of them
 * in one call make one row version.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "entry.h"
#include "errors.h"
#include "util.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(nvs_index_increment);
PG_FUNCTION_INFO_V1(nvs_index_increment_many);

/* The increments of one column, and what is returned of it. */
typedef struct ColumnSet
{
	const NvsField *field;
	char	   *expression;		/* its new value */
	bool		plain;			/* the column itself is the number */
} ColumnSet;

/* An UPDATE in the making. */
typedef struct Increments
{
	const NvsPlace *place;
	NvsParams	params;
	ColumnSet  *columns;
	int			ncolumns;
	StringInfoData returning;
} Increments;

static void begin(Increments *inc, const NvsPlace *place, text *id, int n);
static void add_increment(Increments *inc, const char *name, int len,
						  NvsJsonbChild by);
static const NvsField *counter_column(const NvsTarget *target,
									  const char *name, int len,
									  int *consumed);
static ColumnSet *column_set(Increments *inc, const NvsField *field);
static void add_to_column(Increments *inc, const NvsField *field,
						  const char *name, int len, NvsJsonbChild by);
static void add_to_document(Increments *inc, const NvsField *field,
							const char *path, int len, NvsJsonbChild by);
static void run(Increments *inc, text *key, text *id);
static void no_entry(text *key, text *id) pg_attribute_noreturn();

/* nvent.index_increment(key, id, field, by): the new value. */
Datum
nvs_index_increment(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext old;
	NvsPlace	place;
	Increments	inc;
	NvsJsonbChild by;
	text	   *key;
	text	   *id;
	text	   *field;
	Datum		value;
	bool		isnull;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "id");
	NVS_REQUIRE_ARG(2, "field");
	NVS_REQUIRE_ARG(3, "by");
	key = PG_GETARG_TEXT_PP(0);
	id = PG_GETARG_TEXT_PP(1);
	field = PG_GETARG_TEXT_PP(2);
	by.type = JENTRY_ISNUMERIC;
	by.data = (const char *) PG_GETARG_NUMERIC(3);
	by.len = VARSIZE_ANY(by.data);
	nvs_spi_begin();
	if (!nvs_entry_place(key, false, &place))
		no_entry(key, id);
	begin(&inc, &place, id, 1);
	add_increment(&inc, VARDATA_ANY(field), VARSIZE_ANY_EXHDR(field), by);
	run(&inc, key, id);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	old = MemoryContextSwitchTo(cxt);
	value = NumericGetDatum(DatumGetNumericCopy(value));
	MemoryContextSwitchTo(old);
	nvs_spi_end();
	PG_RETURN_DATUM(value);
}

/*
 * nvent.index_increment_many(key, id, increments): {"field": by} in, {"field":
 * new value} out.
 */
Datum
nvs_index_increment_many(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext old;
	NvsPlace	place;
	Increments	inc;
	NvsJsonb	result;
	Jsonb	   *increments;
	const JsonbContainer *jc;
	text	   *key;
	text	   *id;
	Datum		value;
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
	nvs_spi_begin();
	if (!nvs_entry_place(key, false, &place))
		no_entry(key, id);
	begin(&inc, &place, id, n);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild by = nvs_jsonb_child(jc, n + i);

		nvs_check_number(pnstrdup(name.data, name.len), by);
		add_increment(&inc, name.data, name.len, by);
	}
	run(&inc, key, id);

	nvs_jsonb_init(&result);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		bool		isnull;

		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
							  i + 1, &isnull);
		nvs_jsonb_add_numeric(&result, name.data, name.len,
							  DatumGetNumeric(value));
	}
	old = MemoryContextSwitchTo(cxt);
	value = JsonbPGetDatum(nvs_jsonb_finish(&result));
	MemoryContextSwitchTo(old);
	nvs_spi_end();
	PG_RETURN_DATUM(value);
}

/* Begin an UPDATE of at most n columns. */
static void
begin(Increments *inc, const NvsPlace *place, text *id, int n)
{
	inc->place = place;
	nvs_entry_params(place, id, &inc->params);
	inc->columns = palloc(sizeof(ColumnSet) * n);
	inc->ncolumns = 0;
	initStringInfo(&inc->returning);
}

/* Add one increment. */
static void
add_increment(Increments *inc, const char *name, int len, NvsJsonbChild by)
{
	const NvsTarget *target = inc->place->target;
	const NvsEntryState *state = target->state;
	int			consumed;
	const NvsField *field = counter_column(target, name, len, &consumed);

	if (field == NULL)
	{
		if (state->extra == NULL)
			nvs_entry_no_column(target, name, len);
		add_to_document(inc, state->extra, name, len, by);
	}
	else if (consumed < len)
		add_to_document(inc, field, name + consumed, len - consumed, by);
	else
		add_to_column(inc, field, name, len, by);
}

/*
 * The column of a counter, which may be dotted.  *consumed is how much of
 * the name says the column; the rest is a path in it.
 */
static const NvsField *
counter_column(const NvsTarget *target, const char *name, int len,
			   int *consumed)
{
	const char *dot = memchr(name, '.', len);
	const NvsField *field;

	*consumed = len;
	if (dot == NULL)
		return nvs_field_find(target->map, name, len);
	if (dot - name == 5 && memcmp(name, "stats", 5) == 0)
	{
		field = nvs_field_find_stat(target->map, dot + 1,
									name + len - dot - 1);
		if (field != NULL)
			return field;
	}
	field = nvs_field_find(target->map, name, dot - name);
	if (field == NULL)
		return NULL;
	if (field->kind == NVS_FIELD_JSONB)
		*consumed = dot + 1 - name;
	else
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NOT_A_NUMBER),
				 errmsg("value of \"%.*s\" is not a number", len, name),
				 errdetail("Field \"%s\" has no fields of its own.",
						   field->name)));
	return field;
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
	set->expression = NULL;
	set->plain = false;
	return set;
}

/* Add to a number that has its own column. */
static void
add_to_column(Increments *inc, const NvsField *field, const char *name,
			  int len, NvsJsonbChild by)
{
	ColumnSet  *set = column_set(inc, field);
	Datum		value;
	bool		isnull;

	switch (field->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT8OID:
		case NUMERICOID:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_NVS_NOT_A_NUMBER),
					 errmsg("value of \"%.*s\" is not a number", len, name),
					 errdetail("Column \"%s\" of table %s is of type %s.",
							   field->column, inc->place->target->name,
							   format_type_be(field->type))));
	}
	if (set->expression != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" is given twice", field->name),
				 errdetail("Column \"%s\" has more than one name.",
						   field->column)));
	value = nvs_field_datum(field, by, &isnull);
	set->plain = true;
	set->expression = psprintf("COALESCE(t.%s, 0) OPERATOR(pg_catalog.+) $%d",
							   field->quoted,
							   nvs_params_add(&inc->params, field->type,
											  value, isnull));
	appendStringInfo(&inc->returning, "%st.%s::pg_catalog.numeric",
					 inc->returning.len > 0 ? ", " : "", field->quoted);
}

/* Add to a number at a dotted path in a jsonb column. */
static void
add_to_document(Increments *inc, const NvsField *field, const char *path,
				int len, NvsJsonbChild by)
{
	ColumnSet  *set = column_set(inc, field);
	Datum		array = OidFunctionCall2Coll(F_STRING_TO_ARRAY_TEXT_TEXT,
											 C_COLLATION_OID,
											 PointerGetDatum(cstring_to_text_with_len(path, len)),
											 CStringGetTextDatum("."));
	int			p = nvs_params_add(&inc->params, TEXTARRAYOID, array, false);
	int			b = nvs_params_add(&inc->params, NUMERICOID,
								   PointerGetDatum(by.data), false);

	if (set->expression == NULL)
		set->expression = psprintf("t.%s", field->quoted);
	set->expression = psprintf("nvent.jsonb_increment(%s, $%d, $%d)",
							   set->expression, p, b);
	appendStringInfo(&inc->returning,
					 "%spg_catalog.jsonb_extract_path_text(t.%s, "
					 "VARIADIC $%d)::pg_catalog.numeric",
					 inc->returning.len > 0 ? ", " : "", field->quoted, p);
}

/* Run the UPDATE; its one row is left in SPI_tuptable. */
static void
run(Increments *inc, text *key, text *id)
{
	const NvsTarget *target = inc->place->target;
	const NvsEntryState *state = target->state;
	StringInfoData sql;
	SPIPlanPtr	plan;
	int			i;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET "
					 "version = t.version OPERATOR(pg_catalog.+) 1",
					 target->name);
	if (state->updated_at != NULL)
		appendStringInfoString(&sql, ", updated_at = pg_catalog.now()");
	for (i = 0; i < inc->ncolumns; i++)
		appendStringInfo(&sql, ", %s = %s", inc->columns[i].field->quoted,
						 inc->columns[i].expression);
	appendStringInfoString(&sql, " WHERE ");
	nvs_entry_where(inc->place, &sql);
	appendStringInfo(&sql, " RETURNING %s", inc->returning.data);
	plan = nvs_planset_text(target->plans, sql.data, &inc->params,
							CURSOR_OPT_GENERIC_PLAN);
	if (nvs_plan_execute(plan, inc->params.values, inc->params.nulls, false,
						 0) == 0)
		no_entry(key, id);
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
			 errhint("Add it first with nvent.index_add().")));
}
