/*
 * stream/scan.c
 *	  Events of a pattern, from all tables that may hold them.
 *
 * The tables are read one after the other, each up to the position that the
 * page cannot reach beyond any more; what they hold is merged by position.
 * Of equal positions, which adopted tables may have, all are taken or none.
 *
 * A table whose pattern's subject is known is read by its key.  Any other is
 * walked in the order of positions, which is cheap where many rows match or
 * few are new.  Where neither holds, the walk gives up and the positions are
 * found by one statement that has the whole condition, for which the planner
 * takes the index on (subject, id), or on (captured column, id), when the
 * pattern begins with enough literal tokens.
 *
 * Everything runs under the active snapshot and needs SPI.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "errors.h"
#include "base/guc.h"
#include "stream/scan.h"
#include "stream/statement.h"

/* Rows that a walk looks at in one go, at least and at most. */
#define WALK_MIN	64
#define WALK_MAX	4096

/* A walk gives up after WALK_MAX rows when fewer than one in so many match. */
#define WALK_SHARE	16

/* Events that one page may have, their equals aside. */
#define NVS_MAX_PAGE	65536

/* A table, as it is looked at for a pattern. */
typedef struct Source
{
	NvsTarget  *target;
	NvsStreamState *state;
	bool		whole;			/* has a column for the whole subject */
	bool		keyed;			/* the conditions name all key columns */
	bool		ranged;			/* and are said by nvs_stream_range() */
	int			nconditions;
	StringInfoData conditions;	/* " AND ..." on the key columns */
	NvsParams	params;			/* of the conditions */
	char	   *list;			/* the columns to read */
	int			first_text;		/* key columns as text, behind the others */
	TupleDesc	desc;			/* of the rows, kept; NULL before the first */
} Source;

static bool may_hold(const NvsPattern *pattern, const NvsRoute *route);
static bool may_hold_type(const NvsPattern *pattern, const char *type);
static bool patterns_overlap(const NvsPattern *a, const NvsPattern *b);
static bool is_rest(const NvsPatternToken *token);
static bool may_be(const NvsPattern *pattern, int token, const char *text,
				   int len);
static bool open_source(NvsScan *scan, NvsRoute *route, List *sources,
						Source *source);
static void add_subject_condition(NvsScan *scan, Source *source);
static void add_capture_conditions(NvsScan *scan, Source *source);
static void add_condition(Source *source, const NvsField *field,
						  const char *text, bool literal);
static const char *token_start(const NvsScan *scan, int token);
static bool already_read(List *sources, const NvsTarget *target);
static void scan_source(NvsScan *scan, Source *source);
static void scan_key(NvsScan *scan, Source *source);
static bool walk(NvsScan *scan, Source *source, int64 *position);
static void sift(NvsScan *scan, Source *source, int64 position);
static SPIPlanPtr scan_plan(NvsScan *scan, Source *source, NvsParams *params,
							int64 position, int limit, int options,
							const char *head, bool conditions,
							bool sift);
static void add_filters(const NvsScan *scan, const NvsTarget *target,
						NvsParams *params, StringInfo sql);
static int	take_rows(NvsScan *scan, Source *source);
static int64 row_position(const Source *source, HeapTuple row,
						  TupleDesc desc);
static char *row_subject(const Source *source, HeapTuple row, TupleDesc desc);
static bool row_matches(const NvsScan *scan, const Source *source,
						HeapTuple row, TupleDesc desc, const char *subject);
static void add_found(NvsScan *scan, const NvsFound *found);
static void cut_page(NvsScan *scan);
static int	compare_found(const void *a, const void *b);

/* Say what is looked for; store is the name of one, or NULL. */
void
nvs_scan_init(NvsScan *scan, text *pattern, text *store)
{
	char	   *prefix;

	memset(scan, 0, sizeof(NvsScan));
	scan->pattern_text = text_to_cstring(pattern);
	scan->pattern = nvs_pattern_compile(scan->pattern_text,
										strlen(scan->pattern_text));
	scan->cxt = CurrentMemoryContext;
	if (store == NULL)
	{
		scan->store = nvs_store_of(scan->pattern_text,
								   strlen(scan->pattern_text));
		return;
	}
	prefix = text_to_cstring(store);
	scan->store = nvs_store_find(prefix, strlen(prefix));
	if (scan->store == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NO_STORE),
				 errmsg("store \"%s\" does not exist", prefix)));
}

/* Look for another pattern too, with all else as it was. */
void
nvs_scan_again(NvsScan *scan, const char *pattern)
{
	scan->pattern_text = pstrdup(pattern);
	scan->pattern = nvs_pattern_compile(pattern, strlen(pattern));
}

/* Raise an error unless a page may have so many events. */
void
nvs_scan_check_count(int32 count)
{
	if (count < 1 || count > NVS_MAX_PAGE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_count\" must be from 1 to %d",
						NVS_MAX_PAGE),
				 errdetail("It is %d.", count)));
}

/* Keep events of these types only. */
void
nvs_scan_types(NvsScan *scan, ArrayType *types)
{
	bool	   *nulls;
	int			i;

	scan->types = PointerGetDatum(types);
	deconstruct_array(types, TEXTOID, -1, false, TYPALIGN_INT,
					  &scan->type_texts, &nulls, &scan->ntypes);
	for (i = 0; i < scan->ntypes; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("type %d must not be null", i + 1)));
}

/* Find the events. */
void
nvs_scan_run(NvsScan *scan)
{
	List	   *sources = NIL;
	ListCell   *lc;

	if (scan->store == NULL || scan->after >= scan->upto)
		return;
	/* All of them first: a query may run code that changes the routes. */
	foreach(lc, nvs_route_list(scan->store))
	{
		NvsRoute   *route = lfirst(lc);
		Source	   *source = palloc(sizeof(Source));

		CHECK_FOR_INTERRUPTS();
		if (route->kind == NVS_KIND_STREAM &&
			may_hold(scan->pattern, route) &&
			open_source(scan, route, sources, source) &&
			(scan->correlation == NULL || source->state->meta != NULL))
			sources = lappend(sources, source);
	}
	foreach(lc, sources)
	{
		scan_source(scan, lfirst(lc));
		cut_page(scan);
	}
}

/* Could a route's relation hold subjects that match? */
static bool
may_hold(const NvsPattern *pattern, const NvsRoute *route)
{
	if (route->pattern != NULL)
		return patterns_overlap(pattern, route->pattern);
	return may_hold_type(pattern, route->type);
}

/* Is there a matching subject whose second token, or only one, is type? */
static bool
may_hold_type(const NvsPattern *pattern, const char *type)
{
	int			len = strlen(type);

	if (pattern->ntokens == 1)
		return is_rest(&pattern->tokens[0]) ||
			may_be(pattern, 0, type, len);
	return may_be(pattern, 1, type, len);
}

/* Could token i of a subject be this text, as far as the pattern says? */
static bool
may_be(const NvsPattern *pattern, int i, const char *text, int len)
{
	const NvsPatternToken *token = &pattern->tokens[i];

	return token->kind != NVS_TOKEN_LITERAL ||
		(token->len == len &&
		 memcmp(pattern->text +token->offset, text, len) == 0);
}

/* Does a pattern's token match all that is left? */
static bool
is_rest(const NvsPatternToken *token)
{
	return token->kind == NVS_TOKEN_REST ||
		token->kind == NVS_TOKEN_CAPTURE_REST;
}

/* Is there a subject that both match? */
static bool
patterns_overlap(const NvsPattern *a, const NvsPattern *b)
{
	int			i;

	for (i = 0; i < a->ntokens && i < b->ntokens; i++)
	{
		const NvsPatternToken *token = &b->tokens[i];

		if (is_rest(&a->tokens[i]) || is_rest(token))
			return true;
		if (token->kind == NVS_TOKEN_LITERAL &&
			!may_be(a, i, b->text +token->offset, token->len))
			return false;
	}
	return a->ntokens == b->ntokens;
}

/* Is a relation to be read under another route? */
static bool
already_read(List *sources, const NvsTarget *target)
{
	ListCell   *lc;

	foreach(lc, sources)
		if (((Source *) lfirst(lc))->target->relid == target->relid)
		return true;
	return false;
}

/*
 * Work out how to read a route's relation; false when it is gone or among the
 * sources that there are.
 */
static bool
open_source(NvsScan *scan, NvsRoute *route, List *sources, Source *source)
{
	StringInfoData list;
	int			i;

	memset(source, 0, sizeof(Source));
	source->target = nvs_target_get(route);
	if (source->target == NULL || already_read(sources, source->target))
		return false;
	source->state = nvs_stream_state(source->target);
	source->whole = source->target->nkeys > 0 &&
		source->target->keys[0].capture < 0;
	nvs_params_init(&source->params);
	initStringInfo(&source->conditions);
	if (source->whole)
		add_subject_condition(scan, source);
	else if (route->pattern != NULL)
		add_capture_conditions(scan, source);
	else
		return false;
	source->ranged = source->keyed && nvs_stream_has_range(source->target);

	initStringInfo(&list);
	appendStringInfoString(&list, source->state->read_list);
	source->first_text = source->target->map->nfields + 1;
	for (i = 0; i < source->target->nkeys; i++)
		appendStringInfo(&list, ", %s::pg_catalog.text",
						 source->target->keys[i].field->quoted);
	source->list = list.data;
	return true;
}

/* Condition of a relation that has a column for the whole subject. */
static void
add_subject_condition(NvsScan *scan, Source *source)
{
	source->keyed = scan->pattern->is_literal;
	add_condition(source, source->target->keys[0].field, scan->pattern_text,
				  source->keyed);
}

/*
 * Conditions of a relation that has a column for each capture of its route's
 * pattern: what the one pattern asks of the tokens that the other captures.
 */
static void
add_capture_conditions(NvsScan *scan, Source *source)
{
	const NvsPattern *asked = scan->pattern;
	const NvsTarget *target = source->target;
	const NvsPattern *held = target->route->pattern;
	int			nequal = 0;
	int			i;

	for (i = 0; i < target->nkeys; i++)
	{
		int			token = held->capture_token[target->keys[i].capture];
		const NvsField *field = target->keys[i].field;
		const char *start;
		const char *end;
		bool		literal = true;
		int			t;

		if (token >= asked->ntokens)
			break;
		start = token_start(scan, token);
		if (held->tokens[token].kind == NVS_TOKEN_CAPTURE)
		{
			end = strchr(start, ':');
			if (asked->tokens[token].kind != NVS_TOKEN_LITERAL)
				continue;
			add_condition(source, field, end == NULL ? start :
						  pnstrdup(start, end - start), true);
			nequal++;
			continue;
		}
		/* The capture of the rest: a pattern of its own. */
		if (is_rest(&asked->tokens[token]))
			continue;
		for (t = token; t < asked->ntokens; t++)
			if (asked->tokens[t].kind != NVS_TOKEN_LITERAL)
				literal = false;
		add_condition(source, field, start, literal);
		nequal += literal ? 1 : 0;
	}
	source->keyed = nequal == target->nkeys;
}

/* Where a token begins in the pattern as it was given. */
static const char *
token_start(const NvsScan *scan, int token)
{
	const char *p = scan->pattern_text;

	while (token-- > 0)
		p = strchr(p, ':') + 1;
	return p;
}

/* Ask of a key column to equal a text, or to match it as a pattern. */
static void
add_condition(Source *source, const NvsField *field, const char *text,
			  bool literal)
{
	if (literal)
		appendStringInfo(&source->conditions,
						 " AND %s OPERATOR(pg_catalog.=) $%d", field->quoted,
						 nvs_params_add(&source->params, field->type,
										nvs_field_text_datum(field, text,
															 strlen(text)),
										false));
	else
		appendStringInfo(&source->conditions,
						 field->kind == NVS_FIELD_TEXT ?
						 " AND nvent.subject_matches(%s, $%d)" :
						 " AND nvent.subject_matches(%s::pg_catalog.text, "
						 "$%d)", field->quoted,
						 nvs_params_add(&source->params, TEXTOID,
										CStringGetTextDatum(text), false));
	source->nconditions++;
}

/* Read a source the best way that there is. */
static void
scan_source(NvsScan *scan, Source *source)
{
	int64		position = scan->after;

	if (source->keyed)
		scan_key(scan, source);
	else if (!walk(scan, source, &position))
		sift(scan, source, position);
}

/* Read a source by its key, in the order of positions. */
static void
scan_key(NvsScan *scan, Source *source)
{
	NvsParams	params;
	SPIPlanPtr	plan;

	plan = scan_plan(scan, source, &params, scan->after, scan->limit,
					 CURSOR_OPT_GENERIC_PLAN, source->list, true, false);
	nvs_plan_execute(plan, params.values, params.nulls, true, 0);
	(void) take_rows(scan, source);
}

/*
 * Read a source in the order of positions and keep what matches.  Returns
 * true when that was all; false when too little matched, and then *position
 * is how far it came.
 */
static bool
walk(NvsScan *scan, Source *source, int64 *position)
{
	int64		looked_at = 0;
	int64		matched = 0;
	int			chunk = Max(scan->limit, WALK_MIN);

	for (;;)
	{
		NvsParams	params;
		SPIPlanPtr	plan;
		uint64		n;

		chunk = Min(chunk, Max(scan->limit, WALK_MAX));
		plan = scan_plan(scan, source, &params, *position, chunk,
						 CURSOR_OPT_GENERIC_PLAN, source->list, false, false);
		n = nvs_plan_execute(plan, params.values, params.nulls, true, 0);
		if (n > 0)
			*position = row_position(source, SPI_tuptable->vals[n - 1],
									 SPI_tuptable->tupdesc);
		looked_at += n;
		matched += take_rows(scan, source);
		if (n < chunk || matched >= scan->limit)
			return true;
		if (looked_at >= WALK_MAX && matched * WALK_SHARE < looked_at)
			return false;
		chunk *= 2;
	}
}

/*
 * Have one statement find the positions above this one, then read their rows.
 * OFFSET 0 keeps the planner from taking the order of positions for a way to
 * find few rows soon: that was the walk.
 */
static void
sift(NvsScan *scan, Source *source, int64 position)
{
	NvsParams	params;
	SPIPlanPtr	plan;
	Datum	   *ids;
	bool		isnull;
	uint64		n;
	uint64		i;

	plan = scan_plan(scan, source, &params, position, scan->limit,
					 CURSOR_OPT_CUSTOM_PLAN, "id", true, true);
	n = nvs_plan_execute(plan, params.values, params.nulls, true, 0);
	ids = palloc(sizeof(Datum) * Max(n, 1));
	for (i = 0; i < n; i++)
		ids[i] = Int64GetDatum(
							   DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
														   SPI_tuptable->tupdesc, 1, &isnull)));
	SPI_freetuptable(SPI_tuptable);
	if (n == 0)
		return;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8ARRAYOID, PointerGetDatum(
														  construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
																		  TYPALIGN_DOUBLE)), false);
	plan = nvs_planset_text(source->target->plans,
							psprintf("SELECT %s FROM %s WHERE "
									 "id OPERATOR(pg_catalog.=) ANY ($1)",
									 source->list, source->target->name),
							&params, CURSOR_OPT_GENERIC_PLAN);
	nvs_plan_execute(plan, params.values, params.nulls, true, 0);
	(void) take_rows(scan, source);
}

/*
 * A statement over the positions above one, in their order.  sift has it find
 * all that match before it puts them in order.
 */
static SPIPlanPtr
scan_plan(NvsScan *scan, Source *source, NvsParams *params, int64 position,
		  int limit, int options, const char *head, bool conditions,
		  bool sift)
{
	StringInfoData sql;
	int			i;
	int			p;

	nvs_params_init(params);
	initStringInfo(&sql);
	if (sift)
		appendStringInfo(&sql, "SELECT %s FROM (", head);
	appendStringInfo(&sql, "SELECT %s FROM %s WHERE ", head,
					 source->target->name);
	for (i = 0; conditions && i < source->params.n; i++)
		nvs_params_add(params, source->params.types[i],
					   source->params.values[i], false);
	p = nvs_params_add(params, INT8OID, Int64GetDatum(position), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(scan->upto), false);
	if (source->ranged)
		nvs_stream_range(source->target, &sql, 1, "id",
						 psprintf("> $%d", p), psprintf("<= $%d", p + 1));
	else
		appendStringInfo(&sql, "id OPERATOR(pg_catalog.>) $%d "
						 "AND id OPERATOR(pg_catalog.<=) $%d", p, p + 1);
	if (conditions && !source->ranged)
		appendStringInfoString(&sql, source->conditions.data);
	if (conditions && scan->types != (Datum) 0)
	{
		p = nvs_params_add(params, TEXTARRAYOID, scan->types, false);
		appendStringInfo(&sql, " AND type OPERATOR(pg_catalog.=) ANY ($%d)",
						 p);
	}
	add_filters(scan, source->target, params, &sql);
	p = nvs_params_add(params, INT8OID, Int64GetDatum(limit), false);
	if (sift)
		appendStringInfo(&sql, " OFFSET 0) s ORDER BY id LIMIT $%d", p);
	else
		appendStringInfo(&sql,
						 " ORDER BY %s%sid FETCH FIRST $%d ROWS WITH TIES",
						 source->ranged ?
						 source->target->keys[0].field->quoted : "",
						 source->ranged ? ", " : "", p);
	return nvs_planset_text(source->target->plans, sql.data, params,
							options);
}

/* Conditions that only the database checks, however a source is read. */
static void
add_filters(const NvsScan *scan, const NvsTarget *target,
			NvsParams *params, StringInfo sql)
{
	const char *subject;
	int			p;

	if (scan->correlation != NULL)
	{
		p = nvs_params_add(params, TEXTOID,
						   CStringGetTextDatum(scan->correlation), false);
		nvs_params_add(params, TEXTOID,
					   CStringGetTextDatum(psprintf("%s:",
													scan->correlation)),
					   false);
		appendStringInfo(sql, " AND ((meta OPERATOR(pg_catalog.->>) "
						 "'correlation') OPERATOR(pg_catalog.=) $%d "
						 "OR pg_catalog.starts_with(meta "
						 "OPERATOR(pg_catalog.->>) 'correlation', $%d))", p,
						 p + 1);
	}
	if (scan->size_of_group == 0)
		return;
	subject = nvs_stream_subject(target);
	p = nvs_params_add(params, INT4OID, Int32GetDatum(scan->size_of_group),
					   false);
	nvs_params_add(params, INT4OID, Int32GetDatum(scan->category_tokens),
				   false);
	nvs_params_add(params, INT4OID, Int32GetDatum(scan->member), false);
	appendStringInfo(sql, " AND nvent.subject_member(%s, $%d, $%d) "
					 "OPERATOR(pg_catalog.=) $%d", subject, p, p + 1, p + 2);
}

/* Keep those of the rows just read that match; returns how many. */
static int
take_rows(NvsScan *scan, Source *source)
{
	SPITupleTable *rows = SPI_tuptable;
	int			before = scan->nfound;
	uint64		i;

	for (i = 0; i < rows->numvals; i++)
	{
		HeapTuple	row = rows->vals[i];
		char	   *subject = row_subject(source, row, rows->tupdesc);
		MemoryContext old;
		NvsFound	found;

		CHECK_FOR_INTERRUPTS();
		if (subject == NULL)
			continue;
		if (!row_matches(scan, source, row, rows->tupdesc, subject))
		{
			pfree(subject);
			continue;
		}
		old = MemoryContextSwitchTo(scan->cxt);
		if (source->desc == NULL)
			source->desc = CreateTupleDescCopy(rows->tupdesc);
		found.target = source->target;
		found.subject = pstrdup(subject);
		found.len = strlen(subject);
		found.row = heap_copytuple(row);
		found.desc = source->desc;
		found.id = row_position(source, found.row, found.desc);
		add_found(scan, &found);
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(rows);
	return scan->nfound - before;
}

/* A row's position. */
static int64
row_position(const Source *source, HeapTuple row, TupleDesc desc)
{
	const NvsField *id = source->state->id;
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(row, desc,
									   id - source->target->map->fields + 1,
									   &isnull));
}

/* A row's subject; NULL when a part of it is missing. */
static char *
row_subject(const Source *source, HeapTuple row, TupleDesc desc)
{
	const NvsPattern *held = source->target->route->pattern;
	StringInfoData subject;
	int			i;
	int			capture = 0;

	if (source->whole)
		return SPI_getvalue(row, desc, source->first_text);
	initStringInfo(&subject);
	for (i = 0; i < held->ntokens; i++)
	{
		const NvsPatternToken *token = &held->tokens[i];

		if (i > 0)
			appendStringInfoChar(&subject, ':');
		if (token->kind == NVS_TOKEN_LITERAL)
			appendBinaryStringInfo(&subject, held->text +token->offset,
								   token->len);
		else
		{
			char	   *part = SPI_getvalue(row, desc, source->first_text +
											capture++);

			if (part == NULL)
				return NULL;
			appendStringInfoString(&subject, part);
			pfree(part);
		}
	}
	return subject.data;
}

/* Does a row match by its subject and its type? */
static bool
row_matches(const NvsScan *scan, const Source *source, HeapTuple row,
			TupleDesc desc, const char *subject)
{
	text	   *type;
	bool		isnull;
	int			i;

	if (!nvs_pattern_match(scan->pattern, subject, strlen(subject), NULL))
		return false;
	if (scan->types == (Datum) 0)
		return true;
	type = DatumGetTextPP(SPI_getbinval(row, desc, source->state->type -
										source->target->map->fields + 1,
										&isnull));
	for (i = 0; !isnull && i < scan->ntypes; i++)
	{
		text	   *wanted = DatumGetTextPP(scan->type_texts[i]);

		if (VARSIZE_ANY_EXHDR(type) == VARSIZE_ANY_EXHDR(wanted) &&
			memcmp(VARDATA_ANY(type), VARDATA_ANY(wanted),
				   VARSIZE_ANY_EXHDR(type)) == 0)
			return true;
	}
	return false;
}

/* Add an event to what was found. */
static void
add_found(NvsScan *scan, const NvsFound *found)
{
	if (scan->nfound == scan->size)
	{
		scan->size = Max(scan->size * 2, 64);
		if (scan->found == NULL)
			scan->found = palloc(sizeof(NvsFound) * scan->size);
		else
			scan->found = repalloc_huge(scan->found,
										sizeof(NvsFound) * scan->size);
	}
	scan->found[scan->nfound++] = *found;
}

/*
 * Bring what was found in order, drop what the page has no room for, and
 * lower the bound accordingly.  Equal positions stay together.
 */
static void
cut_page(NvsScan *scan)
{
	qsort(scan->found, scan->nfound, sizeof(NvsFound), compare_found);
	if (scan->nfound < scan->limit)
		return;
	scan->full = true;
	scan->upto = scan->found[scan->limit - 1].id;
	while (scan->found[scan->nfound - 1].id > scan->upto)
		heap_freetuple(scan->found[--scan->nfound].row);
}

/* For qsort(): by position, and of equal ones by subject. */
static int
compare_found(const void *a, const void *b)
{
	const NvsFound *x = a;
	const NvsFound *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return strcmp(x->subject, y->subject);
}

/* The records of what was found, as jsonb[] in cxt. */
Datum
nvs_scan_records(const NvsScan *scan, MemoryContext cxt)
{
	Datum	   *records = palloc(sizeof(Datum) * Max(scan->nfound, 1));
	MemoryContext old;
	Datum		page;
	int			i;

	for (i = 0; i < scan->nfound; i++)
	{
		const NvsFound *found = &scan->found[i];
		NvsResolved resolved;

		resolved.target = found->target;
		resolved.subject = found->subject;
		resolved.len = found->len;
		records[i] = nvs_event_record(&resolved, found->row, found->desc,
									  CurrentMemoryContext);
	}
	old = MemoryContextSwitchTo(cxt);
	page = PointerGetDatum(construct_array(records, scan->nfound, JSONBOID,
										   -1, false, TYPALIGN_INT));
	MemoryContextSwitchTo(old);
	return page;
}
