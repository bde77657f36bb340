/*
 * store/adopt_event.c
 *	  Tables of events that are adopted: their ids become positions, and generic
 *	  stream tables are found.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/plan.h"
#include "base/text.h"
#include "position/position.h"
#include "store/adoption.h"
#include "store/layout.h"
#include "store/stream_table.h"

/*
 * The highest position that adopted events may have: beyond it a mistaken id
 * would leave too few for all the events to come.
 */
#define ADOPT_MAX_POSITION	(PG_INT64_MAX / 2)

/* The columns of a generic stream table. */
static const NvsAdoptionType adopt_stream_types[] = {
	{NULL, "id", {INT8OID}, "bigint"},
	{NULL, "ts", ADOPT_BIGINT},
	{NULL, "type", ADOPT_TEXT},
	{NULL, "subject", ADOPT_TEXT}
};

/* The sequence of an id column, and the column's default, of table $1. */
static const NvsStatement adopt_id_source = {
	"SELECT pg_catalog.pg_get_serial_sequence($1, 'id'), "
	"(SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) "
	"FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a "
	"ON a.attrelid OPERATOR(pg_catalog.=) d.adrelid "
	"AND a.attnum OPERATOR(pg_catalog.=) d.adnum "
	"WHERE d.adrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass "
	"AND a.attname OPERATOR(pg_catalog.=) 'id')"
};

/* Tables of schema $1 with a column "subject" whose names begin with $2. */
static const NvsStatement adopt_stream_names = {
	"SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c "
	"JOIN pg_catalog.pg_namespace n "
	"ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
	"WHERE n.nspname OPERATOR(pg_catalog.=) $1 "
	"AND pg_catalog.starts_with(c.relname, $2) "
	"AND EXISTS (SELECT FROM pg_catalog.pg_attribute a "
	"WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid "
	"AND a.attname OPERATOR(pg_catalog.=) 'subject' "
	"AND NOT a.attisdropped) ORDER BY c.relname"
};

static bool adopt_raise_position(const char *qualified, const char *sequence);
static bool adopt_highest(const char *qualified, const char *sequence,
						  int64 *highest);
static bool adopt_take_stream(const NvsAdoption *a, const char *name);
static char *adopt_stream_type(const NvsAdoption *a, const char *name);

/*
 * Have a table of events draw its ids from the sequence of positions, the one
 * that the database has, and drop the sequence that it had for itself.  The
 * table must be locked.  What is right already is left alone and not reported.
 */
void
nvs_adopt_ids(NvsAdoption *a, const char *table)
{
	char	   *qualified = nvs_adoption_qualified(a, table);
	Oid			relid = nvs_adoption_relid(a, table);
	List	   *source = nvs_adoption_query(&adopt_id_source, qualified, NULL);
	char	   *sequence = linitial(source);
	char	   *dflt = lsecond(source);
	char	   *draw;

	/* Positions are bigint. */
	if (get_atttype(relid, get_attnum(relid, "id")) != INT8OID)
	{
		nvs_layout_run_table(qualified, "ALTER TABLE {table} ALTER COLUMN id "
							 "TYPE bigint");
		nvs_adoption_report(a, table, pstrdup("column id is bigint"));
	}

	/* What is drawn from now on has to be above what is there. */
	if (adopt_raise_position(qualified, sequence))
		nvs_adoption_report(a, table, pstrdup("new positions are above its ids"));

	/* As PostgreSQL writes that default, so that it is known again. */
	draw = psprintf("nvent.next_position(%s::text)",
					quote_literal_cstr(a->store->prefix));
	if (dflt == NULL || strcmp(dflt, draw) != 0)
	{
		nvs_layout_run_table(qualified,
							 psprintf("ALTER TABLE {table} ALTER COLUMN id "
									  "SET DEFAULT %s", draw));
		nvs_adoption_report(a, table,
							pstrdup("id is drawn from nvent.next_position()"));
	}

	/* Nothing draws from the sequence of its own any more. */
	if (sequence == NULL)
		return;
	nvs_layout_run_table(sequence, "DROP SEQUENCE {table}");
	nvs_adoption_report(a, table, psprintf("sequence %s is dropped", sequence));
}

/*
 * Have positions be above every id of a table, which must be locked, and of the
 * table's own sequence, which may be NULL; true if that took anything.
 */
static bool
adopt_raise_position(const char *qualified, const char *sequence)
{
	int64		highest;

	if (!adopt_highest(qualified, sequence, &highest))
		return false;
	if (highest > ADOPT_MAX_POSITION)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("id %lld of table %s is too high to be a position",
						(long long) highest, qualified),
				 errdetail("Positions of adopted events are at most %lld.",
						   (long long) ADOPT_MAX_POSITION),
				 errhint("Number the events of the table anew.")));
	return nvs_position_raise(highest);
}

/*
 * The highest id of a table and of its own sequence, which may be NULL; false
 * when there is none.  Both are somebody's, and their names are text of a
 * statement: it is run as the caller, and what it returns is a number.
 */
static bool
adopt_highest(const char *qualified, const char *sequence, int64 *highest)
{
	const char *drawn = "";
	bool		isnull;

	if (sequence != NULL)
		drawn = psprintf(", (SELECT last_value FROM %s WHERE is_called)",
						 sequence);
	nvs_adoption_read(psprintf("SELECT GREATEST("
							   "pg_catalog.max(id)::pg_catalog.int8%s) "
							   "FROM %s", drawn, qualified));
	*highest = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										   SPI_tuptable->tupdesc, 1, &isnull));
	return !isnull;
}

/*
 * Take over the generic stream tables, which are of layout from: those with the
 * name of the type of their subjects.  Returns their types, as String.
 */
List *
nvs_adopt_streams(NvsAdoption *a, int from)
{
	const NvsStore *store = a->store;
	List	   *types = NIL;
	ListCell   *lc;

	foreach(lc, nvs_adoption_query(&adopt_stream_names, store->schema,
								   nvs_adoption_name(a, "stream_")))
	{
		char	   *name = lfirst(lc);
		char	   *table = name + strlen(store->prefix) + 1;
		char	   *type;

		if (!adopt_take_stream(a, name))
			continue;
		type = adopt_stream_type(a, name);

		if (type == NULL)
			nvs_adoption_report(a, table,
								pstrdup("left alone: it is empty and its name "
										"is a hash"));

		/*
		 * A name that is not that of its type is of a table that nothing
		 * would look for.
		 */
		if (type == NULL ||
			strcmp(nvs_stream_table_name(store->prefix, type), name) != 0)
			continue;

		/*
		 * It is one: its ids, what later layouts changed, and then it is
		 * listed for the registry.
		 */
		nvs_adoption_check_types(a, table, nvs_adoption_relid(a, table),
								 adopt_stream_types,
								 lengthof(adopt_stream_types));
		nvs_adopt_ids(a, table);
		nvs_layout_raise_stream(store, name, from);
		nvs_adoption_report(a, table,
							psprintf("stream table of type \"%s\"", type));
		types = lappend(types, makeString(type));
	}
	return types;
}

/*
 * Lock a relation that may be a generic stream table against everybody until
 * the end of the transaction; false when it is no plain table of the store's
 * owner, and therefore none.
 */
static bool
adopt_take_stream(const NvsAdoption *a, const char *name)
{
	Oid			relid = nvs_relation_find(a->store, NULL, name);

	if (!OidIsValid(relid) || !nvs_relation_is_own(a->store, relid, true))
		return false;
	relid = nvs_relation_lock(a->store, NULL, name, true,
							  AccessExclusiveLock);
	if (!OidIsValid(relid))
		return false;
	nvs_adoption_check_plain(a, relid);
	return true;
}

/*
 * The type of a table that may be a generic stream table: that of one of the
 * subjects in it, else what its name says; NULL when the table is empty and its
 * name is a hash.
 */
static char *
adopt_stream_type(const NvsAdoption *a, const char *name)
{
	const NvsStore *store = a->store;
	char	   *subject = NULL;
	NvsSpan		type;

	nvs_adoption_read(psprintf("SELECT subject FROM %s LIMIT 1",
							   nvs_qualified(store->schema, name)));
	if (SPI_processed > 0)
		subject = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
							   1);
	if (subject != NULL)
	{
		type = nvs_stream_type_of(store->prefix, subject, strlen(subject));
		return pnstrdup(subject + type.offset, type.len);
	}
	if (nvs_stream_table_hashed(name))
		return NULL;
	return pstrdup(name + strlen(nvs_adoption_name(a, "stream_")));
}
