/*
 * entry/read.c
 *	  Entries: get one, read many by score and filter.
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

#include "base/arg.h"
#include "base/text.h"
#include "entry/entry.h"

static const NvsStatement read_one = {
	"SELECT {columns} FROM {table} AS t WHERE {this_entry}"
};

PG_FUNCTION_INFO_V1(nvs_entry_get);
PG_FUNCTION_INFO_V1(nvs_entry_read);

/* Arguments of nvent.entry_read(). */
enum
{
	ARG_KEY,
	ARG_MAX_COUNT,
	ARG_ROW_OFFSET,
	ARG_FILTER,
	ARG_AFTER_SCORE,
	ARG_AFTER_ID,
	ARG_MIN_SCORE,
	ARG_MAX_SCORE,
	ARG_ASCENDING
};

/* What makes entries of rows. */
typedef struct EntryReader
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
} EntryReader;

static bool read_look_up(const NvsResolved *resolved, text *id,
						 NvsLookupScan *scan, Datum *entry);
static Datum read_found(NvsTarget *target, NvsLookupScan *scan,
						MemoryContext cxt);
static bool read_select(text *key, text *id, Datum *entry);
static void read_init(EntryReader *reader, NvsTarget *target);
static void read_get_row(TupleTableSlot *slot, void *arg);
static void read_row(TupleTableSlot *slot, void *arg);
static Datum read_make_entry(EntryReader *reader, Datum *values, bool *nulls,
							 MemoryContext cxt);
static void read_make_metadata(EntryReader *reader, Datum *values, bool *nulls);
static void read_add_extra(EntryReader *reader, const Jsonb *extra);
static void read_add_stats(EntryReader *reader, NvsJsonbChild stats);
static bool read_note_leftover(EntryReader *reader, const NvsField *field,
							   NvsJsonbChild value);
static void read_add_aliases(EntryReader *reader, Datum *values, bool *nulls);
static void read_add_column(EntryReader *reader, const NvsField *field,
							Datum value, bool isnull);
static void read_add_named(EntryReader *reader, NvsJsonb *record,
						   const char *name, int len, const NvsField *field,
						   Datum value, bool isnull);
static void read_emit(const NvsTarget *target, const char *name, int len,
					  const NvsField *field, Datum value, bool iso,
					  NvsJsonb *record);
static void read_emit_id(const NvsTarget *target, Datum value,
						 NvsJsonb *entry);
static void read_build(FunctionCallInfo fcinfo, const NvsResolved *resolved,
					   int64 count, NvsParams *params, StringInfo sql);
static void read_build_cursor(FunctionCallInfo fcinfo,
							  const NvsEntryState *state, bool ascending,
							  NvsParams *params, StringInfo sql);

/* nvent.entry_get(key, id): the entry, NULL when there is none. */
Datum
nvs_entry_get(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	text	   *id = PG_GETARG_TEXT_PP(1);
	NvsResolved resolved;
	NvsLookupScan scan;
	Datum		entry;
	bool		found;

	if (unlikely(!nvs_entry_lookup(key, &resolved) ||
				 !nvs_lookup_begin(resolved.target, &scan)))
		found = read_select(key, id, &entry);
	else
		found = read_look_up(&resolved, id, &scan, &entry);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(entry);
}

/*
 * Make an entry that a lookup finds, and end that; false when it is absent.
 * Where a user's code may run, what that calls is not to free the target: only
 * what is a call of ours by SPI, too, keeps it from that.
 */
static bool
read_look_up(const NvsResolved *resolved, text *id, NvsLookupScan *scan,
			 Datum *entry)
{
	NvsEntryState *state = resolved->target->state;
	MemoryContext cxt = CurrentMemoryContext;
	bool		runs_code = state->runs_code;
	NvsParams	params;
	bool		found;

	if (runs_code)
		nvs_spi_begin();
	nvs_entry_params(resolved, id, &params);
	found = nvs_lookup_row(scan, params.values);
	if (found)
		*entry = read_found(resolved->target, scan, cxt);
	nvs_lookup_end(scan);
	if (runs_code)
		nvs_spi_end();
	return found;
}

/* The entry that a lookup has found; it is in cxt. */
static Datum
read_found(NvsTarget *target, NvsLookupScan *scan, MemoryContext cxt)
{
	EntryReader reader;
	Datum	   *values;
	bool	   *nulls;

	read_init(&reader, target);
	nvs_lookup_columns(scan, &values, &nulls);
	return read_make_entry(&reader, values, nulls, cxt);
}

/* Make an entry that a statement finds; false when it is absent. */
static bool
read_select(text *key, text *id, Datum *entry)
{
	NvsResolved resolved;
	NvsParams	params;
	EntryReader reader;
	SPIPlanPtr	plan;
	uint64		found = 0;

	reader.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	if (nvs_entry_resolve(key, NVS_USE_READ, &resolved))
	{
		nvs_entry_params(&resolved, id, &params);
		plan = nvs_statement_plan(resolved.target->plans, &read_one, &params,
								  NULL);
		read_init(&reader, resolved.target);
		found = nvs_execute_each(plan, &params, true, read_get_row, &reader);
	}
	nvs_spi_end();
	if (found > 0)
		*entry = reader.value;
	return found > 0;
}

/* Prepare to make entries of a target's rows. */
static void
read_init(EntryReader *reader, NvsTarget *target)
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

/* Make the one entry of nvent.entry_get(); arg is an EntryReader. */
static void
read_get_row(TupleTableSlot *slot, void *arg)
{
	EntryReader *reader = arg;

	slot_getallattrs(slot);
	reader->value = read_make_entry(reader, slot->tts_values,
									slot->tts_isnull, reader->cxt);
}

/* Make one of the entries of nvent.entry_read(); arg is an EntryReader. */
static void
read_row(TupleTableSlot *slot, void *arg)
{
	EntryReader *reader = arg;
	MemoryContext old = MemoryContextSwitchTo(reader->row_cxt);
	Datum		entry;
	bool		isnull = false;

	CHECK_FOR_INTERRUPTS();
	slot_getallattrs(slot);
	entry = read_make_entry(reader, slot->tts_values, slot->tts_isnull,
							reader->row_cxt);
	tuplestore_putvalues(reader->result, reader->desc, &entry, &isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->row_cxt);
}

/* The entry of a row, all columns of the relation; it is in cxt. */
static Datum
read_make_entry(EntryReader *reader, Datum *values, bool *nulls,
				MemoryContext cxt)
{
	const NvsTarget *target = reader->target;
	const NvsEntryState *state = target->state;
	const NvsField *fields = target->map->fields;
	MemoryContext old;
	Datum		result;
	int			i;

	nvs_jsonb_init(&reader->entry);
	read_make_metadata(reader, values, nulls);

	/* Around it id and score. */
	i = state->id - fields;
	if (nulls[i])
		nvs_jsonb_add_null(&reader->entry, NVS_KEY("id"));
	else
		read_emit_id(target, values[i], &reader->entry);
	i = state->score - fields;
	if (!nulls[i])
		read_emit(target, NVS_KEY("score"), state->score, values[i], false,
				  &reader->entry);
	nvs_jsonb_add_object(&reader->entry, NVS_KEY("metadata"),
						 &reader->metadata);
	old = MemoryContextSwitchTo(cxt);
	result = JsonbPGetDatum(nvs_jsonb_finish(&reader->entry));
	MemoryContextSwitchTo(old);
	return result;
}

/*
 * Put the metadata of a row together, in reader->metadata: what is in extra,
 * and then the columns, whose values count where both have a name.
 */
static void
read_make_metadata(EntryReader *reader, Datum *values, bool *nulls)
{
	const NvsTarget *target = reader->target;
	const NvsEntryState *state = target->state;
	const NvsField *fields = target->map->fields;
	int			i;

	nvs_jsonb_init(&reader->metadata);
	nvs_jsonb_init(&reader->stats);
	if (reader->leftovers != NULL)
		memset(reader->leftovers, 0,
			   sizeof(NvsJsonbChild) * target->map->nfields);

	/*
	 * Extra, which may have leftovers: these are held back until their
	 * columns are known.
	 */
	if (state->extra != NULL && !nulls[state->extra - fields])
		read_add_extra(reader, DatumGetJsonbP(values[state->extra - fields]));

	/* A version that is NULL counts as 0, in updates, too. */
	for (i = 0; i < state->nread; i++)
	{
		const NvsField *field = state->read[i];
		int			k = field - fields;

		if (field != state->version)
			read_add_column(reader, field, values[k], nulls[k]);
		else
			nvs_field_emit(field, nulls[k] ? (Datum) 0 : values[k], false,
						   &reader->metadata);
	}

	read_add_aliases(reader, values, nulls);
	if (reader->stats.npairs > 0)
		nvs_jsonb_add_object(&reader->metadata, NVS_KEY("stats"),
							 &reader->stats);
}

/*
 * Add the fields that have no column.  Those in "stats" join the ones that have
 * a column; leftovers wait until their column has been seen.
 */
static void
read_add_extra(EntryReader *reader, const Jsonb *extra)
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

		if (nvs_entry_is_stats(reader->target, name.data, name.len) &&
			nvs_jsonb_is_object(value))
			read_add_stats(reader, value);
		else if (reader->leftovers == NULL ||
				 !read_note_leftover(reader, nvs_field_find(map, name.data,
															name.len), value))
			nvs_jsonb_add_child(&reader->metadata, name.data, name.len,
								value);
	}
}

/* Add the fields of the object "stats" that have no column. */
static void
read_add_stats(EntryReader *reader, NvsJsonbChild stats)
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
			!read_note_leftover(reader, nvs_field_find_stat(map, name.data,
															name.len), value))
			nvs_jsonb_add_child(&reader->stats, name.data, name.len, value);
	}
}

/*
 * Keep what a field had before it had a column until that has been seen.
 * Returns false for a field that cannot have leftovers, or NULL.
 */
static bool
read_note_leftover(EntryReader *reader, const NvsField *field,
				   NvsJsonbChild value)
{
	if (field == NULL ||
		!nvs_entry_leftover_possible(reader->target->state, field))
		return false;
	reader->leftovers[field - reader->target->map->fields] = value;
	return true;
}

/* Add columns under their other names, by which callers may have given them. */
static void
read_add_aliases(EntryReader *reader, Datum *values, bool *nulls)
{
	const NvsFieldMap *map = reader->target->map;
	int			i;

	for (i = 0; i < map->naliases; i++)
	{
		const NvsAlias *alias = &map->aliases[i];
		int			k = alias->field - map->fields;

		if (!alias->field->reserved)
			read_add_named(reader, &reader->metadata, alias->name,
						   strlen(alias->name), alias->field, values[k],
						   nulls[k]);
	}
}

/* Add a field from its column, or from its leftover if that counts. */
static void
read_add_column(EntryReader *reader, const NvsField *field, Datum value,
				bool isnull)
{
	read_add_named(reader, field->in_stats ? &reader->stats :
				   &reader->metadata, field->name, field->namelen, field,
				   value, isnull);
}

/*
 * Add a field from its column, or from its leftover if that counts, under a
 * name, to one of the reader's records.
 */
static void
read_add_named(EntryReader *reader, NvsJsonb *record, const char *name,
			   int len, const NvsField *field, Datum value, bool isnull)
{
	if (reader->leftovers != NULL)
	{
		NvsJsonbChild *leftover =
			&reader->leftovers[field - reader->target->map->fields];

		if (leftover->data != NULL &&
			nvs_entry_leftover_is_default(reader->target, field, value, isnull))
		{
			nvs_jsonb_add_child(record, name, len, *leftover);
			return;
		}
	}
	if (!isnull)
		read_emit(reader->target, name, len, field, value, true, record);
}

/* Add the value of a column under a name. */
static void
read_emit(const NvsTarget *target, const char *name, int len,
		  const NvsField *field, Datum value, bool iso, NvsJsonb *record)
{
	const NvsEntryState *state = target->state;

	if (field->kind == NVS_FIELD_OTHER)
		value = FunctionCall1(&state->to_json[field - target->map->fields],
							  value);
	nvs_field_emit_as(name, len, field, value, iso, record);
}

/* Add the id: a string, whatever the type of its column. */
static void
read_emit_id(const NvsTarget *target, Datum value, NvsJsonb *entry)
{
	const NvsEntryState *state = target->state;
	char	   *text;
	int64		number;
	Oid			output;
	bool		varlena;

	/*
	 * A number is written here, text is copied, and all else is written by
	 * its type's output function.
	 */
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
			read_emit(target, NVS_KEY("id"), state->id, value, false, entry);
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
	int64		count = nvs_count_argument(fcinfo, ARG_MAX_COUNT, "max_count");
	NvsResolved resolved;
	NvsParams	params;
	EntryReader reader;
	StringInfoData sql;
	SPIPlanPtr	plan;

	NVS_REQUIRE_ARG(ARG_KEY, "key");
	if (PG_ARGISNULL(ARG_AFTER_SCORE) != PG_ARGISNULL(ARG_AFTER_ID))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"after_score\" and \"after_id\" must be "
						"given together"),
				 errhint("Pass score and id of the last entry that you "
						 "have.")));

	reader.result = nvs_result_set(fcinfo, &reader.desc);
	nvs_spi_begin();
	/* Reading makes no table: a key that nothing holds has no entries. */
	if (!nvs_entry_resolve(PG_GETARG_TEXT_PP(ARG_KEY), NVS_USE_READ, &resolved))
	{
		nvs_spi_end();
		return (Datum) 0;
	}
	nvs_params_init(&params);
	nvs_target_params(&resolved, &params);
	initStringInfo(&sql);
	read_build(fcinfo, &resolved, count, &params, &sql);

	/* With a filter the values decide which index is worth it. */
	plan = nvs_statement_plan_text(resolved.target->plans, sql.data, &params,
								   PG_ARGISNULL(ARG_FILTER) ?
								   NVS_PLAN_GENERIC : NVS_PLAN_AUTO);

	/* Each row is put together in memory that the next one uses again. */
	read_init(&reader, resolved.target);
	reader.row_cxt = AllocSetContextCreate(CurrentMemoryContext,
										   "nvent_store entry",
										   ALLOCSET_DEFAULT_SIZES);
	nvs_execute_each(plan, &params, true, read_row, &reader);
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Build the SELECT of a page of entries, and add its parameters to those of
 * the key.  The text depends on which arguments there are, not on their
 * values.
 */
static void
read_build(FunctionCallInfo fcinfo, const NvsResolved *resolved, int64 count,
		   NvsParams *params, StringInfo sql)
{
	const NvsTarget *target = resolved->target;
	const NvsEntryState *state = target->state;
	const char *direction = " DESC";
	bool		ascending = NVS_ARG_OR(ARG_ASCENDING, PG_GETARG_BOOL, false);
	int32		offset = NVS_ARG_OR(ARG_ROW_OFFSET, PG_GETARG_INT32, 0);

	if (offset < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"row_offset\" must not be negative"),
				 errdetail("It is %d.", offset)));
	if (ascending)
		direction = "";

	/* What is read, and the conditions that are given. */
	nvs_sql(sql, "SELECT ", state->columns, " FROM ", target->name,
			" AS t WHERE ");
	nvs_target_where(target, sql);
	if (!PG_ARGISNULL(ARG_FILTER))
		nvs_entry_filter(target, PG_GETARG_JSONB_P(ARG_FILTER), params, sql);
	if (!PG_ARGISNULL(ARG_AFTER_SCORE))
		read_build_cursor(fcinfo, state, ascending, params, sql);
	if (!PG_ARGISNULL(ARG_MIN_SCORE))
		nvs_sql_param(sql, " AND score OPERATOR(pg_catalog.>=) ",
					  nvs_params_add(params, FLOAT8OID,
									 PG_GETARG_DATUM(ARG_MIN_SCORE), false));
	if (!PG_ARGISNULL(ARG_MAX_SCORE))
		nvs_sql_param(sql, " AND score OPERATOR(pg_catalog.<=) ",
					  nvs_params_add(params, FLOAT8OID,
									 PG_GETARG_DATUM(ARG_MAX_SCORE), false));

	/* The order, in which ids tell equal scores apart, and the page. */
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

/* Add the condition that an entry comes after the cursor. */
static void
read_build_cursor(FunctionCallInfo fcinfo, const NvsEntryState *state,
				  bool ascending, NvsParams *params, StringInfo sql)
{
	text	   *id = PG_GETARG_TEXT_PP(ARG_AFTER_ID);
	Datum		after = nvs_field_text_datum(state->id, VARDATA_ANY(id),
											 VARSIZE_ANY_EXHDR(id));

	nvs_sql(sql, " AND (score, ", state->id->quoted,
			ascending ? ") OPERATOR(pg_catalog.>) (" :
			") OPERATOR(pg_catalog.<) (");
	nvs_sql_param(sql, "",
				  nvs_params_add(params, FLOAT8OID,
								 PG_GETARG_DATUM(ARG_AFTER_SCORE), false));
	nvs_sql_param(sql, ", ", nvs_params_add(params, state->id->type, after,
											false));
	nvs_sql(sql, ")");
}
