/*
 * kv/scan.c
 *	  Keys and their values: all keys that a glob matches.
 *
 * A glob is looked for in one store: the one that its literal beginning names,
 * when that reaches beyond the first ':' or is all of it, else the default
 * store.  Each relation of that store is read in the order of keys, by bytes,
 * within the range that the literal beginning gives, a batch at a time; what
 * nvent.kv_get() would not find there (a row of another store or route, or of
 * nobody's) is passed over.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errors.h"
#include "base/arg.h"
#include "base/guc.h"
#include "kv/kv.h"

/* Rows that are fetched, and deleted, at a time. */
#define BATCH_ROWS	1000

/* What a walk over keys is about. */
typedef struct Walk
{
	text	   *pattern;
	char	   *prefix;			/* what every match begins with */
	int			prefix_len;
	char	   *upper;			/* behind every match; upper_len 0: none */
	int			upper_len;
	bool		reads;			/* live rows and their values, not just keys */
	char	   *store;			/* NULL when there is none to look in */
	int			nsources;
	struct Source *sources;
} Walk;

/* One relation of a walk. */
typedef struct Source
{
	const Walk *walk;
	NvsTarget  *target;
	text	   *after;			/* keys up to this one are done; or NULL */
	SPITupleTable *rows;		/* the present batch */
	uint64		nrows;
	uint64		next;
	bool		last;			/* no batch follows */
} Source;

PG_FUNCTION_INFO_V1(nvs_kv_scan);
PG_FUNCTION_INFO_V1(nvs_kv_clear);

static void walk_begin(Walk *walk, text *pattern, text *after, bool reads);
static int	compare_targets(const ListCell *a, const ListCell *b);
static bool source_advance(Source *source, int64 wanted);
static void source_fetch(Source *source, int64 wanted);
static void fetch_text(const Source *source, int64 limit, NvsParams *params,
					   StringInfo sql);
static void add_bound(StringInfo sql, NvsParams *params, const char *operator,
					  const char *key, int len);
static text *source_key(const Source *source);
static bool source_owns(const Source *source, const text *key);
static int	compare_texts(const text *a, const text *b);
static Source *first_source(Walk *walk, int64 wanted);
static void emit_row(Source *source, Tuplestorestate *result, TupleDesc desc);
static int64 clear_source(Source *source);

/* Find the store and the relations that a glob is looked for in. */
static void
walk_begin(Walk *walk, text *pattern, text *after, bool reads)
{
	const char *pat = VARDATA_ANY(pattern);
	int			len = VARSIZE_ANY_EXHDR(pattern);
	const NvsStore *store;
	List	   *targets;
	ListCell   *lc;
	bool		is_literal;

	nvs_glob_validate(pat, len);
	memset(walk, 0, sizeof(Walk));
	walk->pattern = pattern;
	walk->reads = reads;
	walk->prefix = palloc(len + 1);
	walk->prefix_len = nvs_glob_prefix(pat, len, walk->prefix, &is_literal);
	walk->upper = palloc(len + 1);
	walk->upper_len = nvs_prefix_upper(walk->prefix, walk->prefix_len,
									   walk->upper);

	if (is_literal || memchr(walk->prefix, ':', walk->prefix_len) != NULL)
		store = nvs_store_of(walk->prefix, walk->prefix_len);
	else
		store = nvs_store_find(nvs_default_store,
							   strlen(nvs_default_store));
	if (store == NULL)
		return;
	walk->store = pstrdup(store->prefix);

	/* In the order in which many keys are locked, too. */
	targets = nvs_route_targets(NVS_KIND_KV, store, false);
	list_sort(targets, compare_targets);
	walk->sources = palloc0(sizeof(Source) * list_length(targets));
	foreach(lc, targets)
	{
		Source	   *source = &walk->sources[walk->nsources++];

		source->walk = walk;
		source->target = lfirst(lc);
		source->after = after;
	}
}

/* list_sort comparator: by relation. */
static int
compare_targets(const ListCell *a, const ListCell *b)
{
	Oid			x = ((NvsTarget *) lfirst(a))->relid;
	Oid			y = ((NvsTarget *) lfirst(b))->relid;

	return x < y ? -1 : x > y;
}

/*
 * Make rows[next] the next row that belongs to the walk, fetching a batch of
 * at most wanted rows when that is needed.  Returns false at the end.
 */
static bool
source_advance(Source *source, int64 wanted)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (source->next == source->nrows)
		{
			if (source->last)
				return false;
			source_fetch(source, wanted);
		}
		else if (source_owns(source, source_key(source)))
			return true;
		else
			source->next++;
	}
}

/* Fetch the next batch. */
static void
source_fetch(Source *source, int64 wanted)
{
	int64		limit = Min(wanted, BATCH_ROWS);
	NvsParams	params;
	StringInfoData sql;
	SPIPlanPtr	plan;

	if (source->rows != NULL)
	{
		source->next = source->nrows - 1;
		source->after = DatumGetTextPCopy(PointerGetDatum(source_key(source)));
		SPI_freetuptable(source->rows);
	}
	nvs_params_init(&params);
	initStringInfo(&sql);
	fetch_text(source, limit, &params, &sql);

	/* Where a range lies and how long it is decides about the index. */
	plan = nvs_planset_text(source->target->plans, sql.data, &params,
							CURSOR_OPT_CUSTOM_PLAN);
	nvs_plan_execute(plan, params.values, params.nulls, source->walk->reads,
					 0);
	source->rows = SPI_tuptable;
	source->nrows = SPI_processed;
	source->next = 0;
	source->last = SPI_processed < limit;
}

/* The statement that fetches a batch. */
static void
fetch_text(const Source *source, int64 limit, NvsParams *params,
		   StringInfo sql)
{
	const Walk *walk = source->walk;
	text	   *after = source->after;

	appendStringInfo(sql, "SELECT t.key%s FROM %s AS t "
					 "WHERE nvent.kv_glob_matches(t.key, $%d)",
					 walk->reads ? ", t.value, t.expires_at" : "",
					 source->target->name,
					 nvs_params_add(params, TEXTOID,
									PointerGetDatum(walk->pattern), false));
	if (after != NULL)
		add_bound(sql, params, ">", VARDATA_ANY(after),
				  VARSIZE_ANY_EXHDR(after));
	if (walk->prefix_len > 0)
		add_bound(sql, params, ">=", walk->prefix, walk->prefix_len);
	if (walk->upper_len > 0)
		add_bound(sql, params, "<", walk->upper, walk->upper_len);
	if (walk->reads)
		appendStringInfoString(sql, " AND " NVS_KV_LIVE);
	appendStringInfo(sql, " ORDER BY t.key COLLATE pg_catalog.\"C\" LIMIT $%d",
					 nvs_params_add(params, INT8OID, Int64GetDatum(limit),
									false));
}

/* Add a bound of the keys, by bytes. */
static void
add_bound(StringInfo sql, NvsParams *params, const char *operator,
		  const char *key, int len)
{
	text	   *bound = cstring_to_text_with_len(key, len);

	appendStringInfo(sql, " AND t.key COLLATE pg_catalog.\"C\" "
					 "OPERATOR(pg_catalog.%s) $%d", operator,
					 nvs_params_add(params, TEXTOID, PointerGetDatum(bound),
									false));
}

/* The key of the present row. */
static text *
source_key(const Source *source)
{
	bool		isnull;

	return DatumGetTextPP(SPI_getbinval(source->rows->vals[source->next],
										source->rows->tupdesc, 1, &isnull));
}

/* Would nvent.kv_get() look for this key here? */
static bool
source_owns(const Source *source, const text *key)
{
	const char *data = VARDATA_ANY(key);
	int			len = VARSIZE_ANY_EXHDR(key);
	NvsResolved resolved;

	return len > 0 && len <= NVS_KEY_MAX_BYTES &&
		nvs_route_find(NVS_KIND_KV, data, len, false, &resolved) &&
		resolved.target->relid == source->target->relid &&
		strcmp(resolved.target->store->prefix, source->walk->store) == 0;
}

/* Order keys by their bytes. */
static int
compare_texts(const text *a, const text *b)
{
	int			alen = VARSIZE_ANY_EXHDR(a);
	int			blen = VARSIZE_ANY_EXHDR(b);
	int			cmp = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(alen, blen));

	return cmp != 0 ? cmp : alen - blen;
}

/* The source whose present row comes first; NULL when all are at the end. */
static Source *
first_source(Walk *walk, int64 wanted)
{
	Source	   *first = NULL;
	int			i;

	for (i = 0; i < walk->nsources; i++)
	{
		Source	   *source = &walk->sources[i];

		if (source_advance(source, wanted) &&
			(first == NULL ||
			 compare_texts(source_key(source), source_key(first)) < 0))
			first = source;
	}
	return first;
}

/*
 * nvent.kv_scan(pattern, after, max_count): live keys in the order of their
 * bytes.
 */
Datum
nvs_kv_scan(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	text	   *after = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	int64		wanted = nvs_count_argument(fcinfo, 2, "max_count");
	Walk		walk;
	Source	   *source;

	NVS_REQUIRE_ARG(0, "pattern");
	if (wanted < 0)
		wanted = PG_INT64_MAX;
	nvs_spi_begin();
	walk_begin(&walk, PG_GETARG_TEXT_PP(0), after, true);
	for (; wanted > 0; wanted--)
	{
		source = first_source(&walk, wanted);
		if (source == NULL)
			break;
		emit_row(source, result, desc);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Answer the present row of a source, and move on. */
static void
emit_row(Source *source, Tuplestorestate *result, TupleDesc desc)
{
	Datum		values[3];
	bool		nulls[3];
	int			i;

	for (i = 0; i < 3; i++)
		values[i] = SPI_getbinval(source->rows->vals[source->next],
								  source->rows->tupdesc, i + 1, &nulls[i]);
	tuplestore_putvalues(result, desc, values, nulls);
	source->next++;
}

/* nvent.kv_clear(pattern): how many live keys were deleted. */
Datum
nvs_kv_clear(PG_FUNCTION_ARGS)
{
	Walk		walk;
	int64		cleared = 0;
	int			i;

	NVS_REQUIRE_ARG(0, "pattern");
	PreventCommandIfReadOnly("nvent.kv_clear()");
	nvs_spi_begin();
	walk_begin(&walk, PG_GETARG_TEXT_PP(0), NULL, false);
	for (i = 0; i < walk.nsources; i++)
		cleared += clear_source(&walk.sources[i]);
	nvs_spi_end();
	PG_RETURN_INT64(cleared);
}

/* Delete what a source holds, in batches; returns how many were live. */
static int64
clear_source(Source *source)
{
	Datum	   *keys = palloc(sizeof(Datum) * BATCH_ROWS);
	int64		cleared = 0;

	do
	{
		int			n = 0;

		CHECK_FOR_INTERRUPTS();
		source_fetch(source, BATCH_ROWS);
		for (; source->next < source->nrows; source->next++)
			if (source_owns(source, source_key(source)))
				keys[n++] = PointerGetDatum(source_key(source));
		if (n > 0)
			cleared += nvs_kv_delete_many(source->target, keys, n);
	}
	while (!source->last);
	return cleared;
}
