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

#include "base/arg.h"
#include "base/guc.h"
#include "base/text.h"
#include "kv/kv.h"
#include "store/check.h"

/* Rows that are fetched, and deleted, at a time. */
#define BATCH_ROWS	1000

/* What keys are looked for, and where. */
typedef struct KvScan
{
	text	   *pattern;
	char	   *prefix;			/* what every match begins with */
	int			prefix_len;
	char	   *upper;			/* behind every match; upper_len 0: none */
	int			upper_len;
	bool		reads;			/* live rows and their values, not just keys */
	char	   *store;			/* NULL when there is none to look in */
	int			nsources;
	struct KvScanSource *sources;
} KvScan;

/* One relation of a scan, and the batch of its rows that is at hand. */
typedef struct KvScanSource
{
	const KvScan *scan;
	NvsTarget  *target;
	text	   *after;			/* keys up to this one are done; or NULL */
	SPITupleTable *rows;		/* the batch, in SPI's memory */
	uint64		nrows;
	uint64		next;			/* the present row */
	bool		last;			/* no batch follows */
} KvScanSource;

PG_FUNCTION_INFO_V1(nvs_kv_scan);
PG_FUNCTION_INFO_V1(nvs_kv_clear);

static void kv_scan_begin(KvScan *scan, text *pattern, text *after,
						  bool reads);
static int	kv_scan_compare_targets(const ListCell *a, const ListCell *b);
static bool kv_scan_advance(KvScanSource *source, int64 wanted);
static void kv_scan_fetch(KvScanSource *source, int64 wanted);
static void kv_scan_text(const KvScanSource *source, int64 limit,
						 NvsParams *params, StringInfo sql);
static void kv_scan_add_bound(StringInfo sql, NvsParams *params,
							  const char *operator, const char *key, int len);
static text *kv_scan_key(const KvScanSource *source);
static bool kv_scan_owns(const KvScanSource *source, const text *key);
static KvScanSource *kv_scan_first(KvScan *scan, int64 wanted);
static void kv_scan_emit(KvScanSource *source, Tuplestorestate *result,
						 TupleDesc desc);
static text *kv_scan_stars(text *pattern);
static int64 kv_scan_clear(KvScanSource *source);

/*
 * Begin a scan: find the store and the relations that a glob is looked for in.
 * Raises an error for text that is no glob.
 */
static void
kv_scan_begin(KvScan *scan, text *pattern, text *after, bool reads)
{
	const char *pat = VARDATA_ANY(pattern);
	int			len = VARSIZE_ANY_EXHDR(pattern);
	const NvsStore *store;
	List	   *targets;
	ListCell   *lc;
	bool		is_literal;

	nvs_glob_validate(pat, len);
	memset(scan, 0, sizeof(KvScan));
	scan->pattern = pattern;
	scan->reads = reads;
	scan->prefix = palloc(len + 1);
	scan->prefix_len = nvs_glob_prefix(pat, len, scan->prefix, &is_literal);
	scan->upper = palloc(len + 1);
	scan->upper_len = nvs_prefix_upper(scan->prefix, scan->prefix_len,
									   scan->upper);

	if (is_literal || memchr(scan->prefix, ':', scan->prefix_len) != NULL)
		store = nvs_store_of(scan->prefix, scan->prefix_len);
	else
		store = nvs_store_find_default();
	if (store == NULL)
	{
		nvs_store_check_adopted();
		return;
	}
	scan->store = pstrdup(store->prefix);

	/* In the order in which many keys are locked, too. */
	targets = nvs_route_targets(NVS_KIND_KV, store, reads ? NVS_USE_READ :
								NVS_USE_CHANGE, false);
	list_sort(targets, kv_scan_compare_targets);
	scan->sources = palloc0(sizeof(KvScanSource) * list_length(targets));
	foreach(lc, targets)
	{
		KvScanSource *source = &scan->sources[scan->nsources++];

		source->scan = scan;
		source->target = lfirst(lc);
		source->after = after;
	}
}

/* list_sort comparator: by relation. */
static int
kv_scan_compare_targets(const ListCell *a, const ListCell *b)
{
	Oid			x = ((NvsTarget *) lfirst(a))->relid;
	Oid			y = ((NvsTarget *) lfirst(b))->relid;

	return x < y ? -1 : x > y;
}

/*
 * Make rows[next] the next row that belongs to the scan, fetching a batch of
 * at most wanted rows when that is needed.  Returns false at the end.
 */
static bool
kv_scan_advance(KvScanSource *source, int64 wanted)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (source->next == source->nrows)
		{
			if (source->last)
				return false;
			kv_scan_fetch(source, wanted);
		}
		else if (kv_scan_owns(source, kv_scan_key(source)))
			return true;
		else
			source->next++;
	}
}

/* Fetch the next batch of at most wanted rows. */
static void
kv_scan_fetch(KvScanSource *source, int64 wanted)
{
	int64		limit = Min(wanted, BATCH_ROWS);
	NvsParams	params;
	StringInfoData sql;
	SPIPlanPtr	plan;
	Datum		key;

	if (source->rows != NULL)
	{
		source->next = source->nrows - 1;
		key = PointerGetDatum(kv_scan_key(source));
		source->after = DatumGetTextPCopy(key);
		SPI_freetuptable(source->rows);
	}
	nvs_params_init(&params);
	initStringInfo(&sql);
	kv_scan_text(source, limit, &params, &sql);

	/* Where a range lies and how long it is decides about the index. */
	plan = nvs_statement_plan_text(source->target->plans, sql.data, &params,
								   NVS_PLAN_CUSTOM);
	nvs_execute(plan, &params, source->scan->reads, 0);
	source->rows = SPI_tuptable;
	source->nrows = SPI_processed;
	source->next = 0;
	source->last = SPI_processed < limit;
}

/* The statement that fetches a batch. */
static void
kv_scan_text(const KvScanSource *source, int64 limit, NvsParams *params,
			 StringInfo sql)
{
	const KvScan *scan = source->scan;
	text	   *after = source->after;

	appendStringInfo(sql, "SELECT t.key%s FROM %s AS t "
					 "WHERE nvent.kv_glob_matches(t.key, $%d)",
					 scan->reads ? ", t.value, t.expires_at" : "",
					 source->target->name,
					 nvs_params_add(params, TEXTOID,
									PointerGetDatum(scan->pattern), false));
	if (after != NULL)
		kv_scan_add_bound(sql, params, ">", VARDATA_ANY(after),
						  VARSIZE_ANY_EXHDR(after));
	if (scan->prefix_len > 0)
		kv_scan_add_bound(sql, params, ">=", scan->prefix, scan->prefix_len);
	if (scan->upper_len > 0)
		kv_scan_add_bound(sql, params, "<", scan->upper, scan->upper_len);
	if (scan->reads)
		appendStringInfoString(sql, " AND " NVS_KV_LIVE);
	appendStringInfo(sql, " ORDER BY t.key COLLATE pg_catalog.\"C\" LIMIT $%d",
					 nvs_params_add(params, INT8OID, Int64GetDatum(limit),
									false));
}

/* Add a bound of the keys, by bytes. */
static void
kv_scan_add_bound(StringInfo sql, NvsParams *params, const char *operator,
				  const char *key, int len)
{
	text	   *bound = cstring_to_text_with_len(key, len);

	appendStringInfo(sql, " AND t.key COLLATE pg_catalog.\"C\" "
					 "OPERATOR(pg_catalog.%s) $%d", operator,
					 nvs_params_add(params, TEXTOID, PointerGetDatum(bound),
									false));
}

/* The key of a source's present row. */
static text *
kv_scan_key(const KvScanSource *source)
{
	bool		isnull;

	return DatumGetTextPP(SPI_getbinval(source->rows->vals[source->next],
										source->rows->tupdesc, 1, &isnull));
}

/* Would nvent.kv_get() look for this key here? */
static bool
kv_scan_owns(const KvScanSource *source, const text *key)
{
	const char *data = VARDATA_ANY(key);
	int			len = VARSIZE_ANY_EXHDR(key);
	NvsResolved resolved;

	return len > 0 && len <= NVS_KV_KEY_MAX_BYTES &&
		nvs_route_find(NVS_KIND_KV, data, len, NVS_USE_LOOK, &resolved) &&
		resolved.target->relid == source->target->relid &&
		strcmp(resolved.target->store->prefix, source->scan->store) == 0;
}

/* The source whose present row comes first; NULL when all are at the end. */
static KvScanSource *
kv_scan_first(KvScan *scan, int64 wanted)
{
	KvScanSource *first = NULL;
	int			i;

	for (i = 0; i < scan->nsources; i++)
	{
		KvScanSource *source = &scan->sources[i];

		if (kv_scan_advance(source, wanted) &&
			(first == NULL ||
			 nvs_text_compare(kv_scan_key(source),
							  kv_scan_key(first)) < 0))
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
	KvScan		scan;
	KvScanSource *source;

	NVS_REQUIRE_ARG(0, "pattern");
	if (wanted < 0)
		wanted = PG_INT64_MAX;
	nvs_spi_begin();
	kv_scan_begin(&scan, PG_GETARG_TEXT_PP(0), after, true);
	for (; wanted > 0; wanted--)
	{
		source = kv_scan_first(&scan, wanted);
		if (source == NULL)
			break;
		kv_scan_emit(source, result, desc);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Add the present row of a source to the result, and move on. */
static void
kv_scan_emit(KvScanSource *source, Tuplestorestate *result, TupleDesc desc)
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

/* nvent.kv_clear(pattern, only_stars): how many live keys were deleted. */
Datum
nvs_kv_clear(PG_FUNCTION_ARGS)
{
	KvScan		scan;
	int64		cleared = 0;
	text	   *pattern;
	int			i;

	NVS_REQUIRE_ARG(0, "pattern");
	pattern = PG_GETARG_TEXT_PP(0);
	PreventCommandIfReadOnly("nvent.kv_clear()");
	nvs_spi_begin();
	if (NVS_ARG_OR(1, PG_GETARG_BOOL, false))
		pattern = kv_scan_stars(pattern);
	kv_scan_begin(&scan, pattern, NULL, false);
	for (i = 0; i < scan.nsources; i++)
		cleared += kv_scan_clear(&scan.sources[i]);
	nvs_spi_end();
	PG_RETURN_INT64(cleared);
}

/* A glob that takes everything of a pattern but "*" as it is. */
static text *
kv_scan_stars(text *pattern)
{
	const char *bytes = VARDATA_ANY(pattern);
	int			len = VARSIZE_ANY_EXHDR(pattern);
	StringInfoData glob;
	int			i;

	initStringInfo(&glob);
	for (i = 0; i < len; i++)
	{
		if (strchr("?[]\\", bytes[i]) != NULL)
			appendStringInfoChar(&glob, '\\');
		appendStringInfoChar(&glob, bytes[i]);
	}
	return cstring_to_text_with_len(glob.data, glob.len);
}

/*
 * Delete the rows of a source that the scan finds, in batches.  Returns how
 * many were live.
 */
static int64
kv_scan_clear(KvScanSource *source)
{
	Datum	   *keys = palloc(sizeof(Datum) * BATCH_ROWS);
	int64		cleared = 0;

	do
	{
		int			n = 0;

		CHECK_FOR_INTERRUPTS();
		kv_scan_fetch(source, BATCH_ROWS);
		for (; source->next < source->nrows; source->next++)
			if (kv_scan_owns(source, kv_scan_key(source)))
				keys[n++] = PointerGetDatum(kv_scan_key(source));
		if (n > 0)
			cleared += nvs_kv_delete_sorted(source->target, keys, n);
	}
	while (!source->last);
	return cleared;
}
