/*
 * stream/source.c
 *	  A table that a scan reads: what to ask it, and what its rows are.
 *
 * What a scan's pattern asks of subjects becomes conditions on the columns
 * that tell the table's subjects apart: one for the whole subject, or one for
 * each capture of the pattern of the table's route.  Conditions may let more
 * through than matches; stream/scan.c looks at each row again.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "stream/source.h"
#include "stream/statement.h"

static bool source_is_listed(List *sources, const NvsTarget *target);
static NvsSource *source_open(NvsScan *scan, NvsTarget *target);
static void source_add_subject(const NvsScan *scan, NvsSource *source);
static void source_add_captures(const NvsScan *scan, NvsSource *source);
static bool source_add_capture(const NvsScan *scan, NvsSource *source,
							   const NvsField *field, int token);
static bool source_add_rest(const NvsScan *scan, NvsSource *source,
							const NvsField *field, int token);
static const char *source_token_start(const NvsScan *scan, int token);
static void source_add_equal(NvsSource *source, const NvsField *field,
							 const char *text);
static void source_add_token(NvsSource *source, const NvsField *field);
static void source_add_match(NvsSource *source, const NvsField *field,
							 const char *pattern);
static void source_list_columns(NvsSource *source);
static void source_add_params(const NvsSource *source, NvsParams *params);
static void source_build_range(const NvsSource *source, StringInfo sql,
							   int from, int upto);
static void source_build_filters(const NvsScan *scan, const NvsTarget *target,
								 NvsParams *params, StringInfo sql);
static void source_build_time(const char *operator, int64 ms,
							  NvsParams *params, StringInfo sql);
static void source_build_correlation(const NvsScan *scan, NvsParams *params,
									 StringInfo sql);
static void source_build_member(const NvsScan *scan, const NvsTarget *target,
								NvsParams *params, StringInfo sql);
static void source_build_rows(StringInfo sql, const void *arg);

/* Rows of a source by an array of positions. */
static const NvsStatement source_rows = {.build = source_build_rows};

/* The relations of a scan's window that may hold what it looks for, once. */
List *
nvs_source_list(NvsScan *scan)
{
	List	   *sources = NIL;
	ListCell   *lc;

	foreach(lc, scan->window->targets)
	{
		NvsTarget  *target = lfirst(lc);
		NvsSource  *source;

		CHECK_FOR_INTERRUPTS();
		if (!nvs_window_may_hold(scan->pattern, target->route) ||
			source_is_listed(sources, target))
			continue;
		source = source_open(scan, target);
		if (source != NULL &&
			(scan->correlation == NULL || source->state->meta != NULL))
			sources = lappend(sources, source);
	}
	return sources;
}

/* Is a relation to be read under another route? */
static bool
source_is_listed(List *sources, const NvsTarget *target)
{
	ListCell   *lc;

	foreach(lc, sources)
	{
		if (((NvsSource *) lfirst(lc))->target->relid == target->relid)
			return true;
	}
	return false;
}

/*
 * Work out how to read a relation.  Returns NULL when it has no columns that
 * tell its subjects.
 */
static NvsSource *
source_open(NvsScan *scan, NvsTarget *target)
{
	NvsSource  *source = palloc0(sizeof(NvsSource));

	source->target = target;
	source->state = nvs_stream_state(target);
	source->whole = target->nkeys > 0 && target->keys[0].capture < 0;
	nvs_params_init(&source->params);
	initStringInfo(&source->conditions);
	if (source->whole)
		source_add_subject(scan, source);
	else if (target->route->pattern != NULL)
		source_add_captures(scan, source);
	else
		return NULL;
	source->by_version = source->keyed &&
		nvs_stream_orders(target)->no_positions;
	source->ranged = source->keyed && nvs_stream_has_range(target) &&
		!source->by_version;
	return source;
}

/* Add the condition on a column for the whole subject. */
static void
source_add_subject(const NvsScan *scan, NvsSource *source)
{
	const NvsField *field = source->target->keys[0].field;

	source->keyed = scan->pattern->is_literal;
	if (source->keyed)
		source_add_equal(source, field, scan->pattern->bytes);
	else
		source_add_match(source, field, scan->pattern_text);
}

/*
 * Add the conditions on the columns of captures: what the scan's pattern asks
 * of the tokens that the route's captures.
 */
static void
source_add_captures(const NvsScan *scan, NvsSource *source)
{
	const NvsTarget *target = source->target;
	const NvsPattern *held = target->route->pattern;
	int			nequal = 0;
	int			i;

	for (i = 0; i < target->nkeys; i++)
	{
		int			token = held->capture_token[target->keys[i].capture];
		const NvsField *field = target->keys[i].field;

		if (token >= scan->pattern->ntokens)
			break;
		if (held->tokens[token].kind == NVS_TOKEN_CAPTURE)
			nequal += source_add_capture(scan, source, field, token);
		else
			nequal += source_add_rest(scan, source, field, token);
	}
	source->keyed = nequal == target->nkeys;
}

/* Add the condition on one token; false when it does not name a value. */
static bool
source_add_capture(const NvsScan *scan, NvsSource *source,
				   const NvsField *field, int token)
{
	const NvsPattern *asked = scan->pattern;
	const NvsPatternToken *literal = &asked->tokens[token];

	if (literal->kind != NVS_TOKEN_LITERAL)
		return false;
	source_add_equal(source, field,
					 pnstrdup(asked->bytes + literal->offset, literal->len));
	return true;
}

/*
 * Add the condition on the rest from a token on, a pattern of its own; false
 * when it does not name a value.
 */
static bool
source_add_rest(const NvsScan *scan, NvsSource *source, const NvsField *field,
				int token)
{
	const NvsPattern *asked = scan->pattern;
	int			i;

	if (nvs_token_is_rest(&asked->tokens[token]))
		return false;
	for (i = token; i < asked->ntokens; i++)
	{
		if (asked->tokens[i].kind == NVS_TOKEN_LITERAL)
			continue;
		if (token == asked->ntokens - 1)
			source_add_token(source, field);
		else
			source_add_match(source, field, source_token_start(scan, token));
		return false;
	}
	source_add_equal(source, field,
					 asked->bytes + asked->tokens[token].offset);
	return true;
}

/* Where a token begins in the pattern as it was given. */
static const char *
source_token_start(const NvsScan *scan, int token)
{
	const char *p = scan->pattern_text;

	while (token-- > 0)
		p = strchr(p, ':') + 1;
	return p;
}

/* Ask of a key column to equal a text. */
static void
source_add_equal(NvsSource *source, const NvsField *field, const char *text)
{
	Datum		value = nvs_field_text_datum(field, text, strlen(text));
	int			p = nvs_params_add(&source->params, field->type, value, false);

	appendStringInfo(&source->conditions,
					 " AND %s OPERATOR(pg_catalog.=) $%d", field->quoted, p);
}

/* Ask of a key column to be one token; it is no subject when it is empty. */
static void
source_add_token(NvsSource *source, const NvsField *field)
{
	appendStringInfo(&source->conditions,
					 " AND pg_catalog.strpos(%s::pg_catalog.text, ':') "
					 "OPERATOR(pg_catalog.=) 0", field->quoted);
}

/* Ask of a key column to match a pattern. */
static void
source_add_match(NvsSource *source, const NvsField *field,
				 const char *pattern)
{
	int			p = nvs_params_add(&source->params, TEXTOID,
								   CStringGetTextDatum(pattern), false);

	appendStringInfo(&source->conditions,
					 " AND nvent.subject_matches(%s%s, $%d)", field->quoted,
					 field->kind == NVS_FIELD_TEXT ? "" : "::pg_catalog.text",
					 p);
}

/*
 * List the columns for statements to read: the read list, and the key columns
 * as text.
 */
static void
source_list_columns(NvsSource *source)
{
	const NvsTarget *target = source->target;
	StringInfoData list;
	int			i;

	if (source->list != NULL)
		return;
	initStringInfo(&list);
	appendStringInfoString(&list, source->state->read_list);
	source->first_text = target->map->nfields + 1;
	for (i = 0; i < target->nkeys; i++)
		appendStringInfo(&list, ", %s::pg_catalog.text",
						 target->keys[i].field->quoted);
	source->list = list.data;
}

/*
 * The plan of a query over the positions above one, and up to that of the
 * scan; sets its parameters.  limit is of rows, and equal positions come all
 * or not at all.
 *
 * Positions of all that match are found before they are put in order: OFFSET 0
 * keeps the planner from taking the order of positions for a way to find few
 * rows soon.  Only the values say what is found best in which way.
 */
SPIPlanPtr
nvs_source_plan(const NvsScan *scan, NvsSource *source, NvsSourceQuery query,
				int64 position, int limit, NvsParams *params)
{
	bool		filters = query != NVS_SOURCE_BY_POSITION;
	bool		materialize = query == NVS_SOURCE_POSITIONS;
	bool		by_value = materialize;
	StringInfoData sql;
	int			p;

	source_list_columns(source);
	nvs_params_init(params);
	initStringInfo(&sql);
	if (materialize)
		appendStringInfoString(&sql, "SELECT id FROM (");
	appendStringInfo(&sql, "SELECT %s FROM %s WHERE ",
					 materialize ? "id" : source->list, source->target->name);

	/* The conditions, whose parameters are the first. */
	if (filters)
		source_add_params(source, params);
	p = nvs_params_add(params, INT8OID, Int64GetDatum(position), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(scan->upto), false);
	source_build_range(source, &sql, p, p + 1);
	if (filters && !source->ranged)
		appendStringInfoString(&sql, source->conditions.data);
	if (filters && scan->types != (Datum) 0)
		by_value |= nvs_stream_types(params, &sql, scan->types);
	source_build_filters(scan, source->target, params, &sql);

	/* The order and the limit. */
	p = nvs_params_add(params, INT8OID, Int64GetDatum(limit), false);
	if (materialize)
		appendStringInfo(&sql, " OFFSET 0) s ORDER BY id LIMIT $%d", p);
	else
		appendStringInfo(&sql,
						 " ORDER BY %s%sid FETCH FIRST $%d ROWS WITH TIES",
						 source->ranged ?
						 source->target->keys[0].field->quoted : "",
						 source->ranged ? ", " : "", p);
	return nvs_statement_plan_text(source->target->plans, sql.data, params,
								   by_value ? NVS_PLAN_CUSTOM :
								   NVS_PLAN_GENERIC);
}

/*
 * The plan that reads the subject of a source by version, up to so many rows
 * whatever they are, and says of each in a column at the end whether it is
 * between the scan's positions and passes its filters; sets its parameters.
 */
SPIPlanPtr
nvs_source_plan_short(const NvsScan *scan, NvsSource *source, int limit,
					  NvsParams *params)
{
	const char *key = source->target->keys[0].field->quoted;
	StringInfoData sql;
	int			p;

	nvs_params_init(params);
	source_add_params(source, params);
	source_list_columns(source);
	p = nvs_params_add(params, INT8OID, Int64GetDatum(scan->after), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(scan->upto), false);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s, ", source->list);
	source_build_range(source, &sql, p, p + 1);
	if (scan->types != (Datum) 0)
		(void) nvs_stream_types(params, &sql, scan->types);
	source_build_filters(scan, source->target, params, &sql);
	p = nvs_params_add(params, INT8OID, Int64GetDatum(limit), false);
	appendStringInfo(&sql, " FROM %s WHERE %s OPERATOR(pg_catalog.>=) $1 "
					 "AND %s OPERATOR(pg_catalog.<=) $1 "
					 "ORDER BY %s, version LIMIT $%d", source->target->name,
					 key, key, key, p);
	return nvs_statement_plan_text(source->target->plans, sql.data, params,
								   NVS_PLAN_GENERIC);
}

/* Begin parameters with those of the conditions on key columns. */
static void
source_add_params(const NvsSource *source, NvsParams *params)
{
	int			i;

	for (i = 0; i < source->params.n; i++)
		nvs_params_add(params, source->params.types[i],
					   source->params.values[i], false);
}

/* Write the range of positions between two parameters. */
static void
source_build_range(const NvsSource *source, StringInfo sql, int from, int upto)
{
	if (source->ranged)
		nvs_stream_range(source->target, sql, 1, "id",
						 psprintf("> $%d", from), psprintf("<= $%d", upto));
	else
		appendStringInfo(sql, "id OPERATOR(pg_catalog.>) $%d "
						 "AND id OPERATOR(pg_catalog.<=) $%d", from, upto);
}

/* Does a scan ask for what source_build_filters() writes conditions on? */
bool
nvs_source_filters(const NvsScan *scan)
{
	return scan->correlation != NULL || scan->size_of_group != 0 ||
		scan->subject_regex != NULL || scan->no_snapshots ||
		scan->since != PG_INT64_MIN || scan->until != PG_INT64_MAX;
}

/* Write the conditions on rows besides those on pattern and types. */
static void
source_build_filters(const NvsScan *scan, const NvsTarget *target,
					 NvsParams *params, StringInfo sql)
{
	if (scan->since != PG_INT64_MIN)
		source_build_time(">=", scan->since, params, sql);
	if (scan->until != PG_INT64_MAX)
		source_build_time("<=", scan->until, params, sql);
	if (scan->no_snapshots)
		appendStringInfoString(sql, " AND type OPERATOR(pg_catalog.<>) '"
							   NVS_TYPE_SNAPSHOT "'");
	if (scan->subject_regex != NULL)
	{
		Datum		regex = CStringGetTextDatum(scan->subject_regex);

		appendStringInfo(sql, " AND (%s) COLLATE pg_catalog.\"C\" "
						 "OPERATOR(pg_catalog.~) $%d",
						 nvs_stream_subject(target),
						 nvs_params_add(params, TEXTOID, regex, false));
	}
	source_build_correlation(scan, params, sql);
	source_build_member(scan, target, params, sql);
}

/* Write a condition on the time of an event. */
static void
source_build_time(const char *operator, int64 ms, NvsParams *params,
				  StringInfo sql)
{
	appendStringInfo(sql, " AND ts OPERATOR(pg_catalog.%s) $%d", operator,
					 nvs_params_add(params, INT8OID, Int64GetDatum(ms),
									false));
}

/* Write the condition on the correlation, or on what it begins with. */
static void
source_build_correlation(const NvsScan *scan, NvsParams *params,
						 StringInfo sql)
{
	char	   *below;
	int			p;

	if (scan->correlation == NULL)
		return;
	below = psprintf("%s:", scan->correlation);
	p = nvs_params_add(params, TEXTOID,
					   CStringGetTextDatum(scan->correlation), false);
	nvs_params_add(params, TEXTOID, CStringGetTextDatum(below), false);
	appendStringInfo(sql, " AND ((meta OPERATOR(pg_catalog.->>) "
					 "'correlation') OPERATOR(pg_catalog.=) $%d "
					 "OR pg_catalog.starts_with(meta "
					 "OPERATOR(pg_catalog.->>) 'correlation', $%d))",
					 p, p + 1);
}

/* Write the condition that a subject is a group member's. */
static void
source_build_member(const NvsScan *scan, const NvsTarget *target,
					NvsParams *params, StringInfo sql)
{
	int			p;

	if (scan->size_of_group == 0)
		return;
	p = nvs_params_add(params, INT4OID, Int32GetDatum(scan->size_of_group),
					   false);
	nvs_params_add(params, INT4OID, Int32GetDatum(scan->category_tokens),
				   false);
	nvs_params_add(params, INT4OID, Int32GetDatum(scan->member), false);
	appendStringInfo(sql, " AND nvent.subject_member(%s, $%d, $%d) "
					 "OPERATOR(pg_catalog.=) $%d", nvs_stream_subject(target),
					 p, p + 1, p + 2);
}

/* The plan that reads rows by their positions, a parameter of bigint[]. */
SPIPlanPtr
nvs_source_plan_rows(NvsSource *source, const NvsParams *params)
{
	source_list_columns(source);
	return nvs_statement_plan(source->target->plans, &source_rows, params,
							  source);
}

/* Write the statement source_rows; arg is the source. */
static void
source_build_rows(StringInfo sql, const void *arg)
{
	const NvsSource *source = arg;

	appendStringInfo(sql, "SELECT %s FROM %s "
					 "WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
					 source->list, source->target->name);
}
