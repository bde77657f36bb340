/*
 * consumer/subscribe.c
 *	  Makes, changes and removes consumers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errors.h"
#include "consumer/internal.h"
#include "position/position.h"
#include "store/store.h"
#include "subject/subject.h"

PG_FUNCTION_INFO_V1(nvs_consumer_subscribe);
PG_FUNCTION_INFO_V1(nvs_consumer_unsubscribe);

static void subscribe_add_pattern(FunctionCallInfo fcinfo, int arg,
								  const NvsConsumers *consumers,
								  NvsParams *params);
static void subscribe_check_store(const char *pattern, int len,
								  const NvsPattern *compiled,
								  const NvsConsumers *consumers);

/* A new consumer's position and source are those of the call, NULL is none. */
static const NvsStatement subscribe_upsert = {
	"INSERT INTO {consumers} AS c (name, pattern, prefix, source, "
	"lane, priority, position, mark, initialized) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $2 IS NULL) "
	"ON CONFLICT (name) DO UPDATE SET "
	"pattern = COALESCE(EXCLUDED.pattern, c.pattern), "
	"prefix = COALESCE(EXCLUDED.prefix, c.prefix), "
	"lane = EXCLUDED.lane, "
	"priority = GREATEST(c.priority, EXCLUDED.priority), "
	"mark = GREATEST(c.mark, EXCLUDED.mark), "
	"initialized = c.initialized AND (EXCLUDED.pattern IS NULL OR "
	"NOT nvent.entry_is_changed(c.pattern, EXCLUDED.pattern)) "
	"WHERE nvent.entry_is_changed(c.pattern, "
	"COALESCE(EXCLUDED.pattern, c.pattern)) "
	"OR nvent.entry_is_changed(c.lane, EXCLUDED.lane) "
	"OR c.priority OPERATOR(pg_catalog.<) EXCLUDED.priority "
	"OR nvent.entry_is_changed(c.mark, GREATEST(c.mark, EXCLUDED.mark)) "
	"RETURNING c.xmax OPERATOR(pg_catalog.=) '0'::pg_catalog.xid"
};

/*
 * nvent.consumer_subscribe(name, pattern, lane, priority, after, source, mark,
 * store): true when the consumer was not there.  Its row is locked until
 * commit.
 *
 * No scan has looked at the events of a new pattern: the next one is to
 * initialize the consumer, which takes it up to what was scanned before.
 */
Datum
nvs_consumer_subscribe(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	Datum		inserted;
	bool		written;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(2, "lane");
	NVS_REQUIRE_ARG(3, "priority");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(0), "consumer");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(2), "lane");
	PreventCommandIfReadOnly("nvent.consumer_subscribe()");

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 7, NVS_USE_WRITE);

	/* The parameters, in the order of the statement's columns. */
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	subscribe_add_pattern(fcinfo, 1, consumers, &params);
	nvs_params_add_arg(&params, fcinfo, 5, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 2, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 3, INT4OID);
	/* A consumer that does not say where begins behind all that is settled. */
	if (PG_ARGISNULL(4))
		nvs_params_add(&params, INT8OID,
					   Int64GetDatum(nvs_position_safe(consumers->number)),
					   false);
	else
		nvs_params_add_arg(&params, fcinfo, 4, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 6, INT8OID);

	/* No row comes back where nothing changes. */
	written = nvs_execute_first(nvs_statement_plan(consumers->plans,
												   &subscribe_upsert, &params,
												   NULL),
								&params, false, CurrentMemoryContext,
								&inserted);
	nvs_spi_end();
	PG_RETURN_BOOL(written && DatumGetBool(inserted));
}

/* Add the pattern that argument arg is, and the literal text it begins with. */
static void
subscribe_add_pattern(FunctionCallInfo fcinfo, int arg,
					  const NvsConsumers *consumers, NvsParams *params)
{
	text	   *pattern;
	const char *data;
	int			len;
	NvsPattern *compiled;
	int			prefix;
	bool		is_literal;

	if (PG_ARGISNULL(arg))
	{
		nvs_params_add(params, TEXTOID, (Datum) 0, true);
		nvs_params_add(params, TEXTOID, (Datum) 0, true);
		return;
	}
	pattern = PG_GETARG_TEXT_PP(arg);
	data = VARDATA_ANY(pattern);
	len = VARSIZE_ANY_EXHDR(pattern);
	compiled = nvs_pattern_compile(data, len);
	if (compiled->prefix_tokens > 0)
		subscribe_check_store(data, len, compiled, consumers);
	prefix = nvs_pattern_prefix(compiled, &is_literal);
	nvs_params_add(params, TEXTOID, PointerGetDatum(pattern), false);
	nvs_params_add(params, TEXTOID,
				   PointerGetDatum(cstring_to_text_with_len(compiled->bytes,
															prefix)),
				   false);
}

/*
 * Raise an error when a pattern, which begins with a literal token, is for
 * subjects of another store than the consumer's.
 */
static void
subscribe_check_store(const char *pattern, int len,
					  const NvsPattern *compiled,
					  const NvsConsumers *consumers)
{
	const NvsStore *other = nvs_store_of_pattern(compiled);

	if (other != NULL && strcmp(other->prefix, consumers->prefix) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subjects of pattern \"%.*s\" are in store \"%s\"",
						len, pattern, other->prefix),
				 errdetail("The consumer is in store \"%s\".",
						   consumers->prefix),
				 errhint("Pass store => %s.",
						 quote_literal_cstr(other->prefix))));
}

static const NvsStatement subscribe_delete = {
	"DELETE FROM {consumers} WHERE name OPERATOR(pg_catalog.=) $1"
};

/* nvent.consumer_unsubscribe(name, store): false when it was not there. */
Datum
nvs_consumer_unsubscribe(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(0, "name");
	PreventCommandIfReadOnly("nvent.consumer_unsubscribe()");
	PG_RETURN_BOOL(nvs_consumer_delete(fcinfo, &subscribe_delete));
}
