/*
 * stream/tables.c
 *	  Generic stream tables: making and dropping them, and their indexes.
 *
 * nvent.stream_tables(), which lists them, is plain SQL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/arg.h"
#include "base/guc.h"
#include "route/route.h"
#include "store/grant.h"
#include "store/stream_index.h"
#include "store/stream_table.h"

PG_FUNCTION_INFO_V1(nvs_stream_create_table);
PG_FUNCTION_INFO_V1(nvs_stream_drop_table);
PG_FUNCTION_INFO_V1(nvs_stream_index);

static char *tables_store(FunctionCallInfo fcinfo, int n);
static char *tables_split(FunctionCallInfo fcinfo, int n, char *type);
static List *tables_indexes(FunctionCallInfo fcinfo, int n);

/* The prefix of the store that argument n names, or the default one's. */
static char *
tables_store(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return nvs_default_store;
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* The names of indexes that argument n has. */
static List *
tables_indexes(FunctionCallInfo fcinfo, int n)
{
	Datum	   *names;
	bool	   *nulls;
	int			count;

	if (PG_ARGISNULL(n))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false,
					  TYPALIGN_INT, &names, &nulls, &count);
	return nvs_stream_index_names(names, nulls, count);
}

/*
 * nvent.stream_create_table(type, versioned, store, indexes): true if made now.
 */
Datum
nvs_stream_create_table(PG_FUNCTION_ARGS)
{
	char	   *prefix = tables_store(fcinfo, 2);
	List	   *indexes = tables_indexes(fcinfo, 3);
	char	   *type;
	bool		created;

	NVS_REQUIRE_ARG(0, "type");
	NVS_REQUIRE_ARG(1, "versioned");
	type = text_to_cstring(PG_GETARG_TEXT_PP(0));
	nvs_stream_type_check(type);
	nvs_spi_begin();
	/* The default store may not be there yet. */
	if (PG_ARGISNULL(2))
		(void) nvs_store_of_write(prefix, strlen(prefix));
	nvs_store_check_admin(nvs_store_require(prefix));
	(void) nvs_stream_table_create(prefix, type, PG_GETARG_BOOL(1), indexes,
								   &created);
	nvs_spi_end();
	PG_RETURN_BOOL(created);
}

/*
 * The store that a type names, as in store:type, or that argument n does.  A
 * type itself has no colon.
 */
static char *
tables_split(FunctionCallInfo fcinfo, int n, char *type)
{
	char	   *colon = strchr(type, ':');
	char	   *prefix = colon == NULL ? NULL : pnstrdup(type, colon - type);

	if (prefix == NULL)
		return tables_store(fcinfo, n);
	if (strchr(colon + 1, ':') != NULL ||
		nvs_store_find(prefix, strlen(prefix)) == NULL ||
		(!PG_ARGISNULL(n) && strcmp(tables_store(fcinfo, n), prefix) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a type of subjects", type),
				 errhint("Pass the type alone, or after the name of its store "
						 "and a colon.")));
	return prefix;
}

/* nvent.stream_drop_table(type, store): false when there was none. */
Datum
nvs_stream_drop_table(PG_FUNCTION_ARGS)
{
	char	   *type;
	char	   *prefix;
	bool		dropped;

	NVS_REQUIRE_ARG(0, "type");
	type = text_to_cstring(PG_GETARG_TEXT_PP(0));
	nvs_spi_begin();
	if (!PG_ARGISNULL(1))
		(void) nvs_store_require(tables_store(fcinfo, 1));
	prefix = tables_split(fcinfo, 1, type);
	if (strchr(type, ':') != NULL)
		type = strchr(type, ':') + 1;
	dropped = nvs_stream_table_drop(prefix, type);
	nvs_spi_end();
	PG_RETURN_BOOL(dropped);
}

/* nvent.stream_index(type, name, store): false when it was there. */
Datum
nvs_stream_index(PG_FUNCTION_ARGS)
{
	char	   *prefix = tables_store(fcinfo, 2);
	Datum		name;
	bool		isnull = false;
	bool		made;

	NVS_REQUIRE_ARG(0, "type");
	NVS_REQUIRE_ARG(1, "name");
	name = PG_GETARG_DATUM(1);
	nvs_spi_begin();
	made = nvs_stream_table_index(prefix,
								  text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  linitial(nvs_stream_index_names(&name,
																  &isnull,
																  1)));
	nvs_spi_end();
	PG_RETURN_BOOL(made);
}
