/*
 * entry/read.c
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

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "errors.h"
#include "base/arg.h"
#include "base/text.h"
#include "entry/entry.h"

PG_FUNCTION_INFO_V1(nvs_entry_get);
PG_FUNCTION_INFO_V1(nvs_entry_read);

/* What makes entries of rows. */
typedef struct Reader
{
	NvsTarget  *target;
	NvsJsonbChild *leftovers;	/* for each column, NULL if there are none */
	NvsJsonb	entry;
	NvsJsonb	metadata;
	NvsJsonb	stats;
	MemoryContext row_cxt;		/* what a row needs */
	MemoryContext cxt;			/* of the entry that is got */
	Tuplestorestate *result;	/* or where entries go */
	TupleDesc	desc;
	Datum		value;
} Reader;

static void reader_init(Reader *reader, NvsTarget *target);
static void get_row(TupleTableSlot *slot, void *arg);
static void read_row(TupleTableSlot *slot, void *arg);
static Datum make_entry(Reader *reader, TupleTableSlot *slot,
						MemoryContext cxt);
static void add_extra(Reader *reader, const Jsonb *extra);
static void add_stats(Reader *reader, NvsJsonbChild stats);
static bool note_leftover(Reader *reader, const NvsField *field,
						  NvsJsonbChild value);
static void add_column(Reader *reader, const NvsField *field, Datum value,
					   bool isnull);
static void emit(const NvsTarget *target, const char *name, int len,
				 const NvsField *field, Datum value, bool iso,
				 NvsJsonb *record);
static void emit_id(const NvsTarget *target, Datum value, NvsJsonb *entry);
static void read_text(FunctionCallInfo fcinfo, const NvsResolved *resolved,
					  int64 count, NvsParams *params, StringInfo sql);
static void add_cursor(FunctionCallInfo fcinfo, const NvsEntryState *state,
					   bool ascending, NvsParams *params, StringInfo sql);

/* nvent.entry_get(key, id): the entry, NULL when there is none. */
Datum
nvs_entry_get(PG_FUNCTION_ARGS)
{
	NvsResolved resolved;
	NvsParams	params;
	Reader		reader;
	SPIPlanPtr *plan;
	uint64		found;

	reader.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	if (!nvs_entry_resolve(PG_GETARG_TEXT_PP(0), false, &resolved))
	{
		nvs_spi_end();
		PG_RETURN_NULL();
	}
	nvs_entry_params(&resolved, PG_GETARG_TEXT_PP(1), &params);
	plan = nvs_planset_slot(resolved.target->plans, NVS_ENTRY_GET);
	if (*plan == NULL)
	{
		const NvsEntryState *state = resolved.target->state;
		StringInfoData sql;

		initStringInfo(&sql);
		nvs_sql(&sql, "SELECT ", state->read_list, " FROM ",
				resolved.target->name, " AS t WHERE ");
		nvs_entry_where(&resolved, &sql);
		*plan = nvs_plan_prepare(sql.data, params.n, params.types,
								 CURSOR_OPT_GENERIC_PLAN);
	}
	reader_init(&reader, resolved.target);
	found = nvs_plan_each(*plan, params.values, params.nulls, true, get_row,
						  &reader);
	nvs_spi_end();
	if (found == 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(reader.value);
}

/* Prepare to make entries of a target's rows. */
static void
reader_init(Reader *reader, NvsTarget *target)
{
	const NvsEntryState *state = target->state;

	reader->target = target;
	reader->leftovers = NULL;
	if (state->leftovers)
		reader->leftovers = palloc(sizeof(NvsJsonbChild) *
								   target->map->nfields);
	nvs_jsonb_init(&reader->entry);
	nvs_jsonb_init(&reader->metadata);
	nvs_jsonb_init(&reader->stats);
}

/* Make the entry that is got; arg is a Reader. */
static void
get_row(TupleTableSlot *slot, void *arg)
{
	Reader	   *reader = arg;

	reader->value = make_entry(reader, slot, reader->cxt);
}

/* Make one of the entries that are read; arg is a Reader. */
static void
read_row(TupleTableSlot *slot, void *arg)
{
	Reader	   *reader = arg;
	MemoryContext old = MemoryContextSwitchTo(reader->row_cxt);
	Datum		entry;
	bool		isnull = false;

	CHECK_FOR_INTERRUPTS();
	entry = make_entry(reader, slot, reader->row_cxt);
	tuplestore_putvalues(reader->result, reader->desc, &entry, &isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->row_cxt);
}

/* The entry of a row whose columns are those of the read list. */
static Datum
make_entry(Reader *reader, TupleTableSlot *slot, MemoryContext cxt)
{
	const NvsTarget *target = reader->target;
	const NvsEntryState *state = target->state;
	const NvsField *fields = target->map->fields;
	Datum	   *values;
	bool	   *nulls;
	MemoryContext old;
	Datum		result;
	int			i;

	slot_getallattrs(slot);
	values = slot->tts_values;
	nulls = slot->tts_isnull;
	nvs_jsonb_init(&reader->entry);
	nvs_jsonb_init(&reader->metadata);
	nvs_jsonb_init(&reader->stats);
	if (reader->leftovers != NULL)
		memset(reader->leftovers, 0,
			   sizeof(NvsJsonbChild) * target->map->nfields);
	if (state->extra != NULL && !nulls[state->extra - fields])
		add_extra(reader, DatumGetJsonbP(values[state->extra - fields]));
	for (i = 0; i < state->nread; i++)
	{
		const NvsField *field = state->read[i];
		int			k = field - fields;

		if (field != state->version)
			add_column(reader, field, values[k], nulls[k]);
		else
			nvs_field_emit(field, nulls[k] ? (Datum) 0 : values[k], false,
						   &reader->metadata);
	}
	if (reader->stats.npairs > 0)
		nvs_jsonb_add_object(&reader->metadata, NVS_KEY("stats"),
							 &reader->stats);
	emit_id(target, values[state->id - fields], &reader->entry);
	i = state->score - fields;
	if (!nulls[i])
		emit(target, NVS_KEY("score"), state->score, values[i], false,
			 &reader->entry);
	nvs_jsonb_add_object(&reader->entry, NVS_KEY("metadata"),
						 &reader->metadata);
	old = MemoryContextSwitchTo(cxt);
	result = JsonbPGetDatum(nvs_jsonb_finish(&reader->entry));
	MemoryContextSwitchTo(old);
	return result;
}

/* The fields that have no column; "stats" joins that of the columns. */
static void
add_extra(Reader *reader, const Jsonb *extra)
{
	const NvsFieldMap *map = reader->target->map;
	const JsonbContainer *jc = &extra->root;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	if (!JB_ROOT_IS_OBJECT(extra))
		return;
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);

		if (map->has_stats && name.len == 5 &&
			memcmp(name.data, "stats", 5) == 0 && nvs_jsonb_is_object(value))
			add_stats(reader, value);
		else if (reader->leftovers == NULL ||
				 !note_leftover(reader, nvs_field_find(map, name.data,
													   name.len), value))
			nvs_jsonb_add_child(&reader->metadata, name.data, name.len,
								value);
	}
}

/* The fields of "stats" that have no column. */
static void
add_stats(Reader *reader, NvsJsonbChild stats)
{
	const NvsFieldMap *map = reader->target->map;
	const JsonbContainer *jc = (const JsonbContainer *) stats.data;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);

		if (reader->leftovers == NULL ||
			!note_leftover(reader, nvs_field_find_stat(map, name.data,
													   name.len), value))
			nvs_jsonb_add_child(&reader->stats, name.data, name.len, value);
	}
}

/* Keep what a field had before it had a column until that has been seen. */
static bool
note_leftover(Reader *reader, const NvsField *field, NvsJsonbChild value)
{
	if (field == NULL || !nvs_leftover_possible(reader->target, field))
		return false;
	reader->leftovers[field - reader->target->map->fields] = value;
	return true;
}

/* A field from its column, or from what extra still has of it. */
static void
add_column(Reader *reader, const NvsField *field, Datum value, bool isnull)
{
	NvsJsonb   *record = field->in_stats ? &reader->stats : &reader->metadata;

	if (reader->leftovers != NULL)
	{
		NvsJsonbChild *leftover =
			&reader->leftovers[field - reader->target->map->fields];

		if (leftover->data != NULL &&
			nvs_leftover_is_default(reader->target, field, value, isnull))
		{
			nvs_jsonb_add_child(record, field->name, field->namelen,
								*leftover);
			return;
		}
	}
	if (!isnull)
		emit(reader->target, field->name, field->namelen, field, value, true,
			 record);
}

/* Add the value of a column as it is stored. */
static void
emit(const NvsTarget *target, const char *name, int len,
	 const NvsField *field, Datum value, bool iso, NvsJsonb *record)
{
	const NvsEntryState *state = target->state;

	if (field->kind == NVS_FIELD_OTHER)
		value = FunctionCall1(&state->to_json[field - target->map->fields],
							  value);
	nvs_field_emit_as(name, len, field, value, iso, record);
}

/* The id is a string, as it was given. */
static void
emit_id(const NvsTarget *target, Datum value, NvsJsonb *entry)
{
	const NvsEntryState *state = target->state;
	char	   *text;
	int64		number;
	Oid			output;
	bool		varlena;

	switch (state->id->kind)
	{
		case NVS_FIELD_INT2:
			number = DatumGetInt16(value);
			break;
		case NVS_FIELD_INT4:
			number = DatumGetInt32(value);
			break;
		case NVS_FIELD_INT8:
		case NVS_FIELD_MS:
			number = DatumGetInt64(value);
			break;
		case NVS_FIELD_TEXT:
			emit(target, NVS_KEY("id"), state->id, value, false, entry);
			return;
		default:
			getTypeOutputInfo(state->id->type, &output, &varlena);
			text = OidOutputFunctionCall(output, value);

			nvs_jsonb_add_text(entry, NVS_KEY("id"), text, strlen(text));
			return;
	}
	text = palloc(MAXINT8LEN + 1);

	nvs_jsonb_add_text(entry, NVS_KEY("id"), text, pg_lltoa(number, text));
}

/*
 * nvent.entry_read(key, max_count, row_offset, filter, after_score, after_id,
 * min_score, max_score, ascending): entries, highest score first.
 */
Datum
nvs_entry_read(PG_FUNCTION_ARGS)
{
	int64		count = nvs_count_argument(fcinfo, 1, "max_count");
	NvsResolved resolved;
	NvsParams	params;
	Reader		reader;
	StringInfoData sql;
	SPIPlanPtr	plan;

	NVS_REQUIRE_ARG(0, "key");
	if (PG_ARGISNULL(4) != PG_ARGISNULL(5))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"after_score\" and \"after_id\" go "
						"together"),
				 errhint("Pass score and id of the last entry that you "
						 "have.")));
	reader.result = nvs_result_set(fcinfo, &reader.desc);
	nvs_spi_begin();
	if (!nvs_entry_resolve(PG_GETARG_TEXT_PP(0), false, &resolved))
	{
		nvs_spi_end();
		return (Datum) 0;
	}
	nvs_params_init(&params);
	nvs_route_params(&resolved, &params);
	initStringInfo(&sql);
	read_text(fcinfo, &resolved, count, &params, &sql);
	/* With a filter the values decide which index is worth it. */
	plan = nvs_planset_text(resolved.target->plans, sql.data, &params,
							PG_ARGISNULL(3) ? CURSOR_OPT_GENERIC_PLAN : 0);
	reader_init(&reader, resolved.target);
	reader.row_cxt = AllocSetContextCreate(CurrentMemoryContext,
										   "nvent_store entry",
										   ALLOCSET_DEFAULT_SIZES);
	nvs_plan_each(plan, params.values, params.nulls, true, read_row, &reader);
	nvs_spi_end();
	return (Datum) 0;
}

/* SELECT of a page of entries. */
static void
read_text(FunctionCallInfo fcinfo, const NvsResolved *resolved, int64 count,
		  NvsParams *params, StringInfo sql)
{
	const NvsTarget *target = resolved->target;
	const NvsEntryState *state = target->state;
	const char *direction = " DESC";
	bool		ascending = NVS_ARG_OR(8, PG_GETARG_BOOL, false);
	int32		offset = NVS_ARG_OR(2, PG_GETARG_INT32, 0);

	if (offset < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"row_offset\" must not be negative"),
				 errdetail("It is %d.", offset)));
	if (ascending)
		direction = "";
	nvs_sql(sql, "SELECT ", state->read_list, " FROM ", target->name,
			" AS t WHERE ");
	nvs_route_where(target, sql);
	if (!PG_ARGISNULL(3))
		nvs_entry_filter(target, PG_GETARG_JSONB_P(3), params, sql);
	if (!PG_ARGISNULL(4))
		add_cursor(fcinfo, state, ascending, params, sql);
	if (!PG_ARGISNULL(6))
		nvs_sql_param(sql, " AND score OPERATOR(pg_catalog.>=) ",
					  nvs_params_add(params, FLOAT8OID,
									 PG_GETARG_DATUM(6), false));
	if (!PG_ARGISNULL(7))
		nvs_sql_param(sql, " AND score OPERATOR(pg_catalog.<=) ",
					  nvs_params_add(params, FLOAT8OID,
									 PG_GETARG_DATUM(7), false));
	nvs_sql(sql, " ORDER BY score", direction, ", ", state->id->quoted,
			direction);
	if (count >= 0)
		nvs_sql_param(sql, " LIMIT ",
					  nvs_params_add(params, INT8OID,
									 Int64GetDatum(count), false));
	if (offset > 0)
		nvs_sql_param(sql, " OFFSET ",
					  nvs_params_add(params, INT8OID,
									 Int64GetDatum(offset), false));
}

/* The condition that an entry comes after the cursor. */
static void
add_cursor(FunctionCallInfo fcinfo, const NvsEntryState *state,
		   bool ascending, NvsParams *params, StringInfo sql)
{
	text	   *id = PG_GETARG_TEXT_PP(5);
	Datum		after = nvs_field_text_datum(state->id, VARDATA_ANY(id),
											 VARSIZE_ANY_EXHDR(id));

	nvs_sql(sql, " AND (score, ", state->id->quoted,
			ascending ? ") OPERATOR(pg_catalog.>) (" :
			") OPERATOR(pg_catalog.<) (");
	nvs_sql_param(sql, "", nvs_params_add(params, FLOAT8OID,
										  PG_GETARG_DATUM(4), false));
	nvs_sql_param(sql, ", ", nvs_params_add(params, state->id->type, after,
											false));
	nvs_sql(sql, ")");
}
