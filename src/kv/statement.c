/*
 * kv/statement.c
 *	  The statements of the key/value kind, and finding a key's relation.
 *
 * The texts are one for all relations but for the table's name and its column
 * updated_at, which a user's table need not have.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "base/time.h"
#include "kv/kv.h"

#define ABSENT_NOW	"NOT " NVS_KV_LIVE_NOW
#define THIS_KEY	"t.key OPERATOR(pg_catalog.=) $1"
#define AFTER(ttl)	"pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) " ttl
#define EXPIRY		"COALESCE($3, " AFTER("$4") ")"
#define INSERT_ROW	"INSERT INTO {table} AS t (key, value, expires_at{column}) "
#define UPSERT \
	INSERT_ROW "VALUES ($1, $2, " EXPIRY "{now}) " \
	"ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value{touch}, " \
	"expires_at = "

/* A statement; {table} and the parts about updated_at are filled in. */
typedef struct Statement
{
	const char *text;
	int			nargs;
	Oid			types[4];
} Statement;

static const Statement statements[] = {
	[NVS_KV_GET] = {
		"SELECT t.expires_at, t.value FROM {table} AS t WHERE " THIS_KEY,
	1, {TEXTOID}},
	[NVS_KV_SET] = {
		UPSERT EXPIRY,
	4, {TEXTOID, JSONBOID, TIMESTAMPTZOID, INTERVALOID}},
	[NVS_KV_SET_NX] = {
		UPSERT EXPIRY " WHERE " ABSENT_NOW,
	4, {TEXTOID, JSONBOID, TIMESTAMPTZOID, INTERVALOID}},
	[NVS_KV_SET_KEEP] = {
		UPSERT "CASE WHEN " NVS_KV_LIVE_NOW " THEN t.expires_at END",
	4, {TEXTOID, JSONBOID, TIMESTAMPTZOID, INTERVALOID}},
	[NVS_KV_INCREMENT] = {
		INSERT_ROW "VALUES ($1, pg_catalog.to_jsonb($2), NULL{now}) "
		"ON CONFLICT (key) DO UPDATE SET value = pg_catalog.to_jsonb("
		"t.value::pg_catalog.numeric OPERATOR(pg_catalog.+) $2){touch} "
		"WHERE " NVS_KV_LIVE_NOW " AND pg_catalog.jsonb_typeof(t.value) "
		"OPERATOR(pg_catalog.=) 'number' "
		"RETURNING t.value::pg_catalog.numeric",
	2, {TEXTOID, NUMERICOID}},
	[NVS_KV_RESTART] = {
		"UPDATE {table} AS t SET value = pg_catalog.to_jsonb($2){touch}, "
		"expires_at = NULL WHERE " THIS_KEY " AND " ABSENT_NOW,
	2, {TEXTOID, NUMERICOID}},
	[NVS_KV_HOLD] = {
		"SELECT t.expires_at, t.value FROM {table} AS t WHERE " THIS_KEY
		" FOR NO KEY UPDATE",
	1, {TEXTOID}},
	[NVS_KV_UPDATE] = {
		"UPDATE {table} AS t SET value = $2, expires_at = $3{touch} "
		"WHERE " THIS_KEY,
	3, {TEXTOID, JSONBOID, TIMESTAMPTZOID}},
	[NVS_KV_INSERT] = {
		INSERT_ROW "VALUES ($1, $2, $3{now}) ON CONFLICT (key) DO NOTHING",
	3, {TEXTOID, JSONBOID, TIMESTAMPTZOID}},
	[NVS_KV_TOUCH] = {
		"UPDATE {table} AS t SET expires_at = $2{touch} WHERE " THIS_KEY,
	2, {TEXTOID, TIMESTAMPTZOID}},
	[NVS_KV_DELETE] = {
		"DELETE FROM {table} AS t WHERE " THIS_KEY
		" RETURNING " NVS_KV_LIVE_NOW,
	1, {TEXTOID}},
	[NVS_KV_GETDEL] = {
		"DELETE FROM {table} AS t WHERE " THIS_KEY
		" RETURNING CASE WHEN " NVS_KV_LIVE_NOW " THEN t.value END",
	1, {TEXTOID}},
	[NVS_KV_MGET] = {
		"SELECT u.n, t.value FROM ROWS FROM (pg_catalog.unnest($1)) "
		"WITH ORDINALITY u (key, n) JOIN {table} AS t "
		"ON t.key OPERATOR(pg_catalog.=) u.key WHERE " NVS_KV_LIVE,
	1, {TEXTARRAYOID}},
	[NVS_KV_MSET] = {
		INSERT_ROW "SELECT u.key, u.value, " AFTER("$3") "{now} "
		"FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) "
		"u (key, value) "
		"ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value{touch}, "
		"expires_at = " AFTER("$3"),
	3, {TEXTARRAYOID, JSONBARRAYOID, INTERVALOID}},

	/* Rows are locked in the order of keys: two calls cannot deadlock. */
	[NVS_KV_DELETE_MANY] = {
		"WITH held AS MATERIALIZED (SELECT t.key FROM {table} AS t "
		"WHERE t.key OPERATOR(pg_catalog.=) ANY ($1) "
		"ORDER BY t.key COLLATE pg_catalog.\"C\" FOR UPDATE), "
		"gone AS (DELETE FROM {table} AS t USING held "
		"WHERE t.key OPERATOR(pg_catalog.=) held.key "
		"RETURNING " NVS_KV_LIVE_NOW " AS live) "
		"SELECT pg_catalog.count(*) FROM gone WHERE gone.live",
	1, {TEXTARRAYOID}}
};

PG_FUNCTION_INFO_V1(nvs_kv_expire_bucket);

static void expand_statement(const NvsTarget *target, const char *text,
							 StringInfo sql);

/* nvent.kv_expire_bucket(expires_at): by whole hours; NULL for never. */
Datum
nvs_kv_expire_bucket(PG_FUNCTION_ARGS)
{
	TimestampTz expires_at = PG_GETARG_TIMESTAMPTZ(0);

	if (TIMESTAMP_NOT_FINITE(expires_at))
		PG_RETURN_NULL();
	PG_RETURN_INT32(nvs_timestamptz_to_hours(expires_at));
}

/* Raise an error unless this can be a key. */
void
nvs_kv_check_key(const char *key, int len)
{
	if (likely(len > 0 && len <= NVS_KEY_MAX_BYTES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 len == 0 ? errmsg("key must not be empty") :
			 errmsg("key \"%.*s...\" is too long",
					pg_mbcliplen(key, len, 64), key),
			 errdetail("A key has 1 to %d bytes; this one has %d.",
					   NVS_KEY_MAX_BYTES, len)));
}

/* Find the relation of a key; see nvs_route_find(). */
bool
nvs_kv_find(text *key, bool write, NvsResolved *resolved)
{
	const char *data = VARDATA_ANY(key);
	int			len = VARSIZE_ANY_EXHDR(key);

	nvs_kv_check_key(data, len);
	return nvs_route_find(NVS_KIND_KV, data, len, write, resolved);
}

/* One of the statements above, for a relation. */
SPIPlanPtr
nvs_kv_plan(NvsTarget *target, NvsKvStatement which)
{
	SPIPlanPtr *plan = nvs_planset_slot(target->plans, which);

	if (unlikely(*plan == NULL))
	{
		const Statement *s = &statements[which];
		StringInfoData sql;

		initStringInfo(&sql);
		expand_statement(target, s->text, &sql);
		*plan = nvs_plan_prepare(sql.data, s->nargs, s->types,
								 CURSOR_OPT_GENERIC_PLAN);
	}
	return *plan;
}

/* Fill in a statement; updated_at is written where the relation has it. */
static void
expand_statement(const NvsTarget *target, const char *text, StringInfo sql)
{
	static const char *const parts[][2] = {
		{"{column}", ", updated_at"},
		{"{now}", ", pg_catalog.statement_timestamp()"},
		{"{touch}", ", updated_at = pg_catalog.statement_timestamp()"}
	};
	const NvsField *field = nvs_fields_column(target->map, "updated_at");
	bool		touches = field != NULL && field->type == TIMESTAMPTZOID;
	const char *p = text;

	while (*p != '\0')
	{
		int			i;

		if (*p != '{')
		{
			appendStringInfoChar(sql, *p++);
			continue;
		}
		for (i = 0; i < lengthof(parts); i++)
			if (touches && strncmp(p, parts[i][0], strlen(parts[i][0])) == 0)
				appendStringInfoString(sql, parts[i][1]);
		if (strncmp(p, "{table}", strlen("{table}")) == 0)
			appendStringInfoString(sql, target->name);
		p = strchr(p, '}') + 1;
	}
}

/* Report that a relation's trigger, rule or policy kept a row out. */
void
nvs_kv_refused(const NvsTarget *target)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg("table %s did not take every key", target->name),
			 errdetail("A trigger, rule or policy kept rows out.")));
}
