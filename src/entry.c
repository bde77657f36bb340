/*
 * entry.c
 *	  Indexed entries: add, update and delete by key and id.
 *
 * An entry is an id, a score and metadata, a JSON object.  Metadata fields
 * that the table has columns for live there; the others in its column extra.
 * index_add() replaces all of an entry, index_update() merges into it as
 * RFC 7396 says; both are one statement on the row as it is when the row's
 * lock is had, so no update is lost and none needs a retry.
 *
 * An update that would change nothing writes nothing: it answers the version
 * that the entry has.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "entry.h"
#include "errors.h"
#include "jsonb_paths.h"
#include "miscadmin.h"
#include "util.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

/* Looks at an entry that no update reached before somebody must be at fault. */
#define MAX_UPDATE_TRIES	10

PG_FUNCTION_INFO_V1(nvs_is_changed);
PG_FUNCTION_INFO_V1(nvs_index_add);
PG_FUNCTION_INFO_V1(nvs_index_update);
PG_FUNCTION_INFO_V1(nvs_index_delete);

static NvsEntryState *compile_state(NvsTarget *target);
static const NvsField *find_id(NvsTarget *target, char **conflict);
static const NvsField *id_of_index(NvsTarget *target, Oid indexid,
								   char **conflict);
static void parse_metadata(const NvsTarget *target, const Jsonb *doc,
						   NvsEntryFields *fields);
static void parse_stats(const NvsTarget *target, NvsJsonbChild stats,
						NvsEntryFields *fields);
static void give(const NvsTarget *target, const NvsField *field,
				 NvsJsonbChild value, NvsEntryFields *fields);
static Jsonb *rest_document(const NvsTarget *target, NvsEntryFields *fields);
static void add_text(const NvsPlace *place, NvsEntryFields *fields,
					 double score, NvsParams *params, StringInfo sql);
static void add_column(StringInfo columns, StringInfo values,
					   const NvsField *field, int param);
static bool add_default(const NvsPlace *place, const NvsField *field,
						bool given, double score, NvsParams *params,
						int *param);
static void append_replace(const NvsTarget *target, StringInfo sql);
static void set_field(const NvsField *field, NvsJsonbChild value,
					  NvsParams *params, StringInfo set, StringInfo differs);
static void set_expression(const char *column, const char *expression,
						   StringInfo set, StringInfo differs);
static void clear_stats(const NvsTarget *target, NvsEntryFields *fields);
static bool update_text(const NvsPlace *place, NvsEntryFields *fields,
						NvsParams *params, StringInfo set,
						StringInfo differs);
static bool run_update(const NvsPlace *place, const NvsParams *params,
					   const char *where, const char *set,
					   const char *differs, int64 *version);

/*
 * Find the relation of a key and make sure its state is there.  Returns
 * false when nothing holds the key.
 */
bool
nvs_entry_place(text *key, bool write, NvsPlace *place)
{
	NvsTarget  *target;

	if (!nvs_route_find(NVS_TIER_INDEX, VARDATA_ANY(key),
						VARSIZE_ANY_EXHDR(key), write, place))
		return false;
	target = place->target;
	if (target->state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(target->cxt);

		target->state = compile_state(target);
		MemoryContextSwitchTo(old);
	}
	return true;
}

/* Sort the columns of a relation into what they mean for entries. */
static NvsEntryState *
compile_state(NvsTarget *target)
{
	NvsEntryState *state = palloc0(sizeof(NvsEntryState));
	NvsFieldMap *map = target->map;
	int			i;

	state->id = find_id(target, &state->conflict);
	(void) nvs_fields_reserve(map, state->id->column);
	state->version = nvs_fields_reserve(map, "version");
	state->score = nvs_fields_reserve(map, "score");
	state->extra = nvs_fields_reserve(map, "extra");
	if (state->extra != NULL && state->extra->kind != NVS_FIELD_JSONB)
		state->extra = NULL;
	state->updated_at = nvs_fields_column(map, "updated_at");
	if (state->updated_at != NULL && state->updated_at->type == TIMESTAMPTZOID)
		(void) nvs_fields_reserve(map, "updated_at");
	else
		state->updated_at = NULL;

	state->read = palloc(sizeof(NvsField *) * (map->nfields + 1));
	for (i = 0; i < map->nfields; i++)
		if (!map->fields[i].reserved)
			state->read[state->nread++] = &map->fields[i];
	state->read_list = nvs_fields_select_list(map);
	return state;
}

/*
 * The column that, with those of the key, makes an entry unique: what a
 * unique index has besides them.
 */
static const NvsField *
find_id(NvsTarget *target, char **conflict)
{
	Relation	rel = table_open(target->relid, AccessShareLock);
	List	   *indexes = RelationGetIndexList(rel);
	Oid			pkey = RelationGetPrimaryKeyIndex(rel);
	const NvsField *id = NULL;
	ListCell   *lc;

	if (OidIsValid(pkey))
		id = id_of_index(target, pkey, conflict);
	foreach(lc, indexes)
	{
		if (id != NULL)
			break;
		id = id_of_index(target, lfirst_oid(lc), conflict);
	}
	table_close(rel, AccessShareLock);
	if (id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation %s cannot hold entries", target->name),
				 errdetail("It has no unique index on the columns of its key "
						   "and one column more, the id.")));
	return id;
}

/* The id column if this index makes entries unique, else NULL. */
static const NvsField *
id_of_index(NvsTarget *target, Oid indexid, char **conflict)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID,
										ObjectIdGetDatum(indexid));
	Form_pg_index form;
	StringInfoData columns;
	const NvsField *id = NULL;
	int			nkeys = 0;
	int			found = 0;
	int			i;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", indexid);
	form = (Form_pg_index) GETSTRUCT(tuple);
	for (i = 0; i < target->nkeys; i++)
		if (target->keys[i].filters)
			nkeys++;
	initStringInfo(&columns);
	if (form->indisunique && form->indimmediate && form->indisvalid &&
		form->indnkeyatts == nkeys + 1 &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
		heap_attisnull(tuple, Anum_pg_index_indexprs, NULL))
		for (i = 0; i < form->indnkeyatts; i++)
		{
			const char *column = get_attname(target->relid,
											 form->indkey.values[i], false);
			const NvsField *field = nvs_fields_column(target->map, column);

			if (nvs_route_is_key(target, field))
				found++;
			else
				id = field;
			appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "",
							 field->quoted);
		}
	ReleaseSysCache(tuple);
	*conflict = columns.data;
	return found == nkeys ? id : NULL;
}

/* The parameters of a key and an id, in the order that the WHERE has them. */
void
nvs_entry_params(const NvsPlace *place, text *id, NvsParams *params)
{
	const NvsEntryState *state = place->target->state;

	nvs_params_init(params);
	nvs_route_params(place, params);
	nvs_params_add(params, state->id->type,
				   nvs_field_text_datum(state->id, VARDATA_ANY(id),
										VARSIZE_ANY_EXHDR(id)), false);
}

/* The condition on key and id, whose values are the first parameters. */
void
nvs_entry_where(const NvsPlace *place, StringInfo sql)
{
	const NvsTarget *target = place->target;
	const NvsEntryState *state = target->state;

	nvs_route_where(target, sql);
	appendStringInfo(sql, " AND %s OPERATOR(pg_catalog.=) $%d",
					 state->id->quoted, target->nkeys + 1);
}

/* Report a field that the table has no place for. */
void
nvs_entry_no_column(const NvsTarget *target, const char *name, int len)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table %s has no column for field \"%.*s\"",
					target->name, len, name),
			 errhint("Add the column, or a column \"extra\" of type jsonb for "
					 "all such fields.")));
}

/* Sort the fields of metadata into columns and the rest. */
static void
parse_metadata(const NvsTarget *target, const Jsonb *doc,
			   NvsEntryFields *fields)
{
	const NvsFieldMap *map = target->map;
	const JsonbContainer *jc = &doc->root;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	if (!JB_ROOT_IS_OBJECT(doc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metadata must be a JSON object")));
	fields->given = palloc0(sizeof(bool) * map->nfields);
	fields->values = palloc(sizeof(NvsJsonbChild) * map->nfields);
	nvs_jsonb_init(&fields->rest);
	nvs_jsonb_init(&fields->rest_stats);
	fields->clear_stats = false;
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		const NvsField *field = nvs_field_find(map, name.data, name.len);

		if (field != NULL)
			give(target, field, value, fields);
		else if (name.len == 7 && memcmp(name.data, "version", 7) == 0)
			continue;			/* ours to count */
		else if (map->has_stats && name.len == 5 &&
				 memcmp(name.data, "stats", 5) == 0)
			parse_stats(target, value, fields);
		else
			nvs_jsonb_add_child(&fields->rest, name.data, name.len, value);
	}
}

/* The same for the object "stats", each of whose fields may be a column. */
static void
parse_stats(const NvsTarget *target, NvsJsonbChild stats,
			NvsEntryFields *fields)
{
	const JsonbContainer *jc = (const JsonbContainer *) stats.data;
	uint32		n;
	uint32		i;

	if (stats.type == JENTRY_ISNULL)
	{
		fields->clear_stats = true;
		return;
	}
	if (!nvs_jsonb_is_object(stats))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"stats\" must be an object"),
				 errdetail("Table %s has columns for its fields.",
						   target->name)));
	n = JsonContainerSize(jc);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		const NvsField *field = nvs_field_find_stat(target->map, name.data,
													name.len);

		if (field != NULL)
			give(target, field, value, fields);
		else
			nvs_jsonb_add_child(&fields->rest_stats, name.data, name.len,
								value);
	}
}

/* Note a value for a column. */
static void
give(const NvsTarget *target, const NvsField *field, NvsJsonbChild value,
	 NvsEntryFields *fields)
{
	int			i = field - target->map->fields;

	if (fields->given[i])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" is given twice", field->name),
				 errdetail("Column \"%s\" has more than one name.",
						   field->column)));
	fields->given[i] = true;
	fields->values[i] = value;
}

/* What goes to column extra; NULL when there is nothing. */
static Jsonb *
rest_document(const NvsTarget *target, NvsEntryFields *fields)
{
	const NvsEntryState *state = target->state;

	if (fields->rest_stats.npairs > 0)
		nvs_jsonb_add_object(&fields->rest, NVS_KEY("stats"),
							 &fields->rest_stats);
	else if (fields->clear_stats)
		nvs_jsonb_add_null(&fields->rest, NVS_KEY("stats"));
	if (fields->rest.npairs == 0)
		return NULL;
	if (state->extra == NULL)
		nvs_entry_no_column(target, fields->rest.pairs[0].key,
							fields->rest.pairs[0].keylen);
	return nvs_jsonb_finish(&fields->rest);
}

/* nvent.index_add(key, id, score, metadata): the entry's version. */
Datum
nvs_index_add(PG_FUNCTION_ARGS)
{
	NvsPlace	place;
	NvsParams	params;
	NvsEntryFields fields;
	StringInfoData sql;
	SPIPlanPtr	plan;
	double		score;
	Datum		version;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "id");
	NVS_REQUIRE_ARG(2, "score");
	NVS_REQUIRE_ARG(3, "metadata");
	score = PG_GETARG_FLOAT8(2);
	if (isnan(score) || isinf(score))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a score must be a finite number")));
	nvs_spi_begin();
	(void) nvs_entry_place(PG_GETARG_TEXT_PP(0), true, &place);
	parse_metadata(place.target, PG_GETARG_JSONB_P(3), &fields);
	nvs_entry_params(&place, PG_GETARG_TEXT_PP(1), &params);
	initStringInfo(&sql);
	add_text(&place, &fields, score, &params, &sql);
	plan = nvs_planset_text(place.target->plans, sql.data, &params,
							CURSOR_OPT_GENERIC_PLAN);
	if (!nvs_plan_first(plan, params.values, params.nulls, false,
						CurrentMemoryContext, &version))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take the entry",
						place.target->name),
				 errdetail("A trigger or rule kept the row out.")));
	nvs_spi_end();
	PG_RETURN_DATUM(version);
}

/* INSERT ... ON CONFLICT of one entry. */
static void
add_text(const NvsPlace *place, NvsEntryFields *fields, double score,
		 NvsParams *params, StringInfo sql)
{
	const NvsTarget *target = place->target;
	const NvsEntryState *state = target->state;
	const NvsFieldMap *map = target->map;
	StringInfoData columns;
	StringInfoData values;
	Jsonb	   *rest;
	int			i;

	initStringInfo(&columns);
	initStringInfo(&values);
	for (i = 0; i < target->nkeys; i++)
		add_column(&columns, &values, target->keys[i].field, i + 1);
	add_column(&columns, &values, state->id, target->nkeys + 1);
	add_column(&columns, &values, state->score,
			   nvs_params_add(params, FLOAT8OID, Float8GetDatum(score),
							  false));
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];
		bool		given = fields->given[i];
		int			param = 0;

		if (given && fields->values[i].type != JENTRY_ISNULL)
		{
			bool		isnull;
			Datum		value = nvs_field_datum(field, fields->values[i],
												&isnull);

			param = nvs_params_add(params, field->type, value, isnull);
		}
		else if (field->reserved ||
				 !add_default(place, field, given, score, params, &param))
			continue;
		add_column(&columns, &values, field, param);
	}
	fields->clear_stats = false;	/* all that was there goes anyway */
	rest = rest_document(target, fields);
	if (rest != NULL)
		add_column(&columns, &values, state->extra,
				   nvs_params_add(params, JSONBOID, JsonbPGetDatum(rest),
								  false));
	appendStringInfo(sql, "INSERT INTO %s AS t (%s) VALUES (%s)",
					 target->name, columns.data, values.data);
	append_replace(target, sql);
}

/* Name a column and its parameter. */
static void
add_column(StringInfo columns, StringInfo values, const NvsField *field,
		   int param)
{
	const char *comma = columns->len > 0 ? ", " : "";

	appendStringInfo(columns, "%s%s", comma, field->quoted);
	appendStringInfo(values, "%s$%d", comma, param);
}

/*
 * A column for which there is no value, or null: does the INSERT name it?  A
 * time that must not be NULL is the score, as it is with the adapter.
 */
static bool
add_default(const NvsPlace *place, const NvsField *field, bool given,
			double score, NvsParams *params, int *param)
{
	if (field->not_null && !field->has_default && field->kind == NVS_FIELD_MS)
	{
		Datum		value = DirectFunctionCall1(dtoi8,
												Float8GetDatum(floor(score)));

		*param = nvs_params_add(params, INT8OID, value, false);
		return true;
	}
	if (!given || (field->not_null && field->has_default))
		return false;
	*param = nvs_params_add(params, field->type, (Datum) 0, true);
	return true;
}

/* What becomes of an entry that is there: all of it is replaced. */
static void
append_replace(const NvsTarget *target, StringInfo sql)
{
	const NvsEntryState *state = target->state;
	int			i;

	appendStringInfo(sql, " ON CONFLICT (%s) DO UPDATE SET "
					 "score = EXCLUDED.score, "
					 "version = t.version OPERATOR(pg_catalog.+) 1",
					 state->conflict);
	if (state->updated_at != NULL)
		appendStringInfoString(sql, ", updated_at = pg_catalog.now()");
	if (state->extra != NULL)
		appendStringInfo(sql, ", %s = EXCLUDED.%s", state->extra->quoted,
						 state->extra->quoted);
	for (i = 0; i < state->nread; i++)
		appendStringInfo(sql, ", %s = EXCLUDED.%s", state->read[i]->quoted,
						 state->read[i]->quoted);
	appendStringInfoString(sql, " RETURNING t.version::pg_catalog.int8");
}

/*
 * nvent.index_update(key, id, metadata, expected_version, touch): the
 * entry's version; NULL when there is no such entry or it is not at the
 * expected version.
 */
Datum
nvs_index_update(PG_FUNCTION_ARGS)
{
	NvsPlace	place;
	NvsParams	params;
	NvsEntryFields fields;
	StringInfoData where;
	StringInfoData set;
	StringInfoData differs;
	bool		touch = NVS_ARG_OR(4, PG_GETARG_BOOL, false);
	bool		found;
	int64		version;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "id");
	NVS_REQUIRE_ARG(2, "metadata");
	nvs_spi_begin();
	if (!nvs_entry_place(PG_GETARG_TEXT_PP(0), false, &place))
	{
		nvs_spi_end();
		PG_RETURN_NULL();
	}
	parse_metadata(place.target, nvs_expand_paths(PG_GETARG_JSONB_P(2)),
				   &fields);
	nvs_entry_params(&place, PG_GETARG_TEXT_PP(1), &params);
	initStringInfo(&where);
	initStringInfo(&set);
	initStringInfo(&differs);
	nvs_entry_where(&place, &where);
	if (!PG_ARGISNULL(3))
		appendStringInfo(&where, " AND version OPERATOR(pg_catalog.=) $%d",
						 nvs_params_add(&params, INT8OID, PG_GETARG_DATUM(3),
										false));
	if (!update_text(&place, &fields, &params, &set, &differs) && !touch)
		appendStringInfoString(&differs, "false");
	found = run_update(&place, &params, where.data, set.data,
					   touch ? NULL : differs.data, &version);
	nvs_spi_end();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(version);
}

/*
 * The SET list of an update, and the condition that it changes something.
 * Returns false when it sets no field.
 */
static bool
update_text(const NvsPlace *place, NvsEntryFields *fields, NvsParams *params,
			StringInfo set, StringInfo differs)
{
	const NvsTarget *target = place->target;
	const NvsEntryState *state = target->state;
	Jsonb	   *rest;
	int			i;

	appendStringInfoString(set, "version = t.version OPERATOR(pg_catalog.+) 1");
	if (state->updated_at != NULL)
		appendStringInfoString(set, ", updated_at = pg_catalog.now()");
	if (fields->clear_stats)
		clear_stats(target, fields);
	for (i = 0; i < target->map->nfields; i++)
		if (fields->given[i])
			set_field(&target->map->fields[i], fields->values[i], params, set,
					  differs);
	rest = rest_document(target, fields);
	if (rest != NULL)
	{
		const char *extra = state->extra->quoted;

		set_expression(extra,
					   psprintf("nvent.jsonb_merge_patch(t.%s, $%d)", extra,
								nvs_params_add(params, JSONBOID,
											   JsonbPGetDatum(rest), false)),
					   set, differs);
	}
	return differs->len > 0;
}

/* "stats": null removes every field of it. */
static void
clear_stats(const NvsTarget *target, NvsEntryFields *fields)
{
	NvsJsonbChild null = {"", 0, JENTRY_ISNULL};
	int			i;

	for (i = 0; i < target->map->nfields; i++)
		if (target->map->fields[i].in_stats &&
			!target->map->fields[i].reserved)
			give(target, &target->map->fields[i], null, fields);
}

/* Set one column: objects merge, null removes, all else replaces. */
static void
set_field(const NvsField *field, NvsJsonbChild value, NvsParams *params,
		  StringInfo set, StringInfo differs)
{
	const char *column = field->quoted;
	Datum		datum;
	bool		isnull;

	if (value.type == JENTRY_ISNULL)
	{
		/* DEFAULT cannot be compared with: such an update always writes. */
		if (field->not_null && field->has_default)
		{
			appendStringInfo(set, ", %s = DEFAULT", column);
			appendStringInfo(differs, "%strue",
							 differs->len > 0 ? " OR " : "");
		}
		else
			set_expression(column, "NULL", set, differs);
		return;
	}
	datum = nvs_field_datum(field, value, &isnull);
	if (nvs_jsonb_is_object(value) && field->kind == NVS_FIELD_JSONB)
		set_expression(column,
					   psprintf("nvent.jsonb_merge_patch(t.%s, $%d)", column,
								nvs_params_add(params, JSONBOID, datum,
											   isnull)),
					   set, differs);
	else
		set_expression(column,
					   psprintf("$%d", nvs_params_add(params, field->type,
													  datum, isnull)),
					   set, differs);
}

/* column = expression, and whether that is a change. */
static void
set_expression(const char *column, const char *expression, StringInfo set,
			   StringInfo differs)
{
	appendStringInfo(set, ", %s = %s", column, expression);
	appendStringInfo(differs, "%snvent.is_changed(t.%s, %s)",
					 differs->len > 0 ? " OR " : "", column, expression);
}

/*
 * Update the entry unless nothing differs.  Whether a row that was not
 * updated is missing or merely the same takes a look at it; if that look
 * finds a difference, the row came or changed meanwhile: once more.
 */
static bool
run_update(const NvsPlace *place, const NvsParams *params, const char *where,
		   const char *set, const char *differs, int64 *version)
{
	const NvsTarget *target = place->target;
	StringInfoData sql;
	StringInfoData look;
	SPIPlanPtr	plan;
	SPIPlanPtr	look_plan;
	Datum		value;
	int			tries;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET %s WHERE %s", target->name,
					 set, where);
	if (differs != NULL)
		appendStringInfo(&sql, " AND (%s)", differs);
	appendStringInfoString(&sql, " RETURNING t.version::pg_catalog.int8");
	plan = nvs_planset_text(target->plans, sql.data, params,
							CURSOR_OPT_GENERIC_PLAN);
	for (tries = 0; tries < MAX_UPDATE_TRIES; tries++)
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (nvs_plan_first(plan, params->values, params->nulls, false,
						   CurrentMemoryContext, &value))
		{
			*version = DatumGetInt64(value);
			return true;
		}
		if (differs == NULL)
			return false;
		initStringInfo(&look);
		appendStringInfo(&look, "SELECT t.version::pg_catalog.int8, (%s) "
						 "FROM %s AS t WHERE %s", differs, target->name,
						 where);
		look_plan = nvs_planset_text(target->plans, look.data, params,
									 CURSOR_OPT_GENERIC_PLAN);
		if (nvs_plan_execute(look_plan, params->values, params->nulls, false,
							 1) == 0)
			return false;
		*version = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
											   SPI_tuptable->tupdesc, 1,
											   &isnull));
		if (!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 2, &isnull)))
			return true;
	}
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg("table %s did not take the update", target->name),
			 errdetail("The entry can be seen, but a trigger, rule or policy "
					   "keeps it from being changed.")));
}

/*
 * nvent.is_changed(before, after): are two values other bytes?  Unlike IS
 * DISTINCT FROM it needs no operator, which the caller's search_path names.
 */
Datum
nvs_is_changed(PG_FUNCTION_ARGS)
{
	int16		typlen;
	bool		typbyval;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(PG_ARGISNULL(0) != PG_ARGISNULL(1));
	get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, 0), &typlen,
					&typbyval);
	PG_RETURN_BOOL(!datum_image_eq(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1),
								   typbyval, typlen));
}

/* nvent.index_delete(key, id): false when there is no such entry. */
Datum
nvs_index_delete(PG_FUNCTION_ARGS)
{
	NvsPlace	place;
	NvsParams	params;
	SPIPlanPtr *plan;
	uint64		deleted;

	nvs_spi_begin();
	if (!nvs_entry_place(PG_GETARG_TEXT_PP(0), false, &place))
	{
		nvs_spi_end();
		PG_RETURN_BOOL(false);
	}
	nvs_entry_params(&place, PG_GETARG_TEXT_PP(1), &params);
	plan = nvs_planset_slot(place.target->plans, NVS_ENTRY_DELETE);
	if (*plan == NULL)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "DELETE FROM %s WHERE ", place.target->name);
		nvs_entry_where(&place, &sql);
		*plan = nvs_plan_prepare(sql.data, params.n, params.types,
								 CURSOR_OPT_GENERIC_PLAN);
	}
	deleted = nvs_plan_execute(*plan, params.values, params.nulls, false, 0);
	nvs_spi_end();
	PG_RETURN_BOOL(deleted > 0);
}
