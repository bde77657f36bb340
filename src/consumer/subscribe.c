/*
 * consumer/subscribe.c
 *	  Makes, changes and removes consumers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errors.h"
#include "consumer/consumer.h"
#include "position/position.h"
#include "subject/subject.h"

PG_FUNCTION_INFO_V1(nvs_consumer_subscribe);
PG_FUNCTION_INFO_V1(nvs_consumer_unsubscribe);

static void add_pattern(NvsParams *params, const NvsConsumers *consumers,
						text *pattern);

/* Add a pattern and the literal text that it begins with. */
static void
add_pattern(NvsParams *params, const NvsConsumers *consumers, text *pattern)
{
	const char *s;
	int			len;
	int			prefix;
	bool		is_literal;
	NvsPattern *compiled;

	if (pattern == NULL)
	{
		nvs_params_add(params, TEXTOID, 0, true);
		nvs_params_add(params, TEXTOID, 0, true);
		return;
	}
	s = VARDATA_ANY(pattern);
	len = VARSIZE_ANY_EXHDR(pattern);
	compiled = nvs_pattern_compile(s, len);
	prefix = nvs_pattern_prefix(compiled, &is_literal);
	if (compiled->prefix_tokens > 0)
	{
		const NvsStore *other = nvs_store_of_pattern(compiled);

		if (other != NULL && strcmp(other->prefix, consumers->prefix) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("subjects of pattern \"%.*s\" are in store "
							"\"%s\"", len, s, other->prefix),
					 errdetail("The consumer is in store \"%s\".",
							   consumers->prefix),
					 errhint("Pass store => %s.",
							 quote_literal_cstr(other->prefix))));
	}
	nvs_params_add(params, TEXTOID, PointerGetDatum(pattern), false);
	nvs_params_add(params, TEXTOID,
				   PointerGetDatum(cstring_to_text_with_len(compiled->text,
															prefix)), false);
}

static const NvsStatement subscribe_subscribe = {
	"INSERT INTO {consumers} AS c (name, pattern, prefix, source, "
	"lane, priority, position, mark, admitted) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $2 IS NULL) "
	"ON CONFLICT (name) DO UPDATE SET "
	"pattern = COALESCE(EXCLUDED.pattern, c.pattern), "
	"prefix = COALESCE(EXCLUDED.prefix, c.prefix), "
	"lane = EXCLUDED.lane, "
	"priority = GREATEST(c.priority, EXCLUDED.priority), "
	"mark = GREATEST(c.mark, EXCLUDED.mark), "
	"admitted = c.admitted AND (EXCLUDED.pattern IS NULL OR "
	"NOT nvent.entry_is_changed(c.pattern, EXCLUDED.pattern)) "
	"WHERE nvent.entry_is_changed(c.pattern, "
	"COALESCE(EXCLUDED.pattern, c.pattern)) "
	"OR nvent.entry_is_changed(c.lane, EXCLUDED.lane) "
	"OR c.priority OPERATOR(pg_catalog.<) EXCLUDED.priority "
	"OR nvent.entry_is_changed(c.mark, GREATEST(c.mark, EXCLUDED.mark)) "
	"RETURNING c.xmax OPERATOR(pg_catalog.=) '0'::pg_catalog.xid"
};

/*
 * nvent.consumer_subscribe(name, pattern, lane, priority, after, source,
 * mark, store): true when the consumer was not there.
 *
 * A new pattern has not been looked at by any scan, so the consumer is to be
 * admitted by the next one, which takes it up to what was scanned before.
 */
Datum
nvs_consumer_subscribe(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	text	   *pattern = NULL;
	bool		isnull;
	bool		inserted = false;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(2, "lane");
	NVS_REQUIRE_ARG(3, "priority");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(0), "consumer");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(2), "lane");
	PreventCommandIfReadOnly("nvent.consumer_subscribe()");
	if (!PG_ARGISNULL(1))
		pattern = PG_GETARG_TEXT_PP(1);

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 7, true);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	add_pattern(&params, consumers, pattern);
	nvs_params_add_arg(&params, fcinfo, 5, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 2, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 3, INT4OID);
	nvs_params_add(&params, INT8OID, PG_ARGISNULL(4) ?
				   Int64GetDatum(nvs_position_safe()) : PG_GETARG_DATUM(4),
				   false);
	nvs_params_add_arg(&params, fcinfo, 6, INT8OID);
	if (nvs_consumer_run(consumers, &subscribe_subscribe, &params) > 0)
		inserted = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
											  SPI_tuptable->tupdesc, 1,
											  &isnull));
	nvs_spi_end();
	PG_RETURN_BOOL(inserted);
}

static const NvsStatement subscribe_unsubscribe = {
	"DELETE FROM {consumers} WHERE name OPERATOR(pg_catalog.=) $1"
};

/* nvent.consumer_unsubscribe(name, store): false when it was not there. */
Datum
nvs_consumer_unsubscribe(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	uint64		deleted;

	NVS_REQUIRE_ARG(0, "name");
	PreventCommandIfReadOnly("nvent.consumer_unsubscribe()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 1);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	deleted = nvs_consumer_run(consumers, &subscribe_unsubscribe, &params);
	nvs_spi_end();
	PG_RETURN_BOOL(deleted > 0);
}
