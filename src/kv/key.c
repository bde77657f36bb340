/*
 * kv/key.c
 *	  Keys: what can be one, and which relation holds it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "kv/overwrite.h"

/* What the statements of a relation say about its column updated_at. */
typedef struct KeyTouch
{
	const char *column;
	const char *value;
	const char *set;
} KeyTouch;

static const KeyTouch key_touch = {
	", updated_at",
	", pg_catalog.statement_timestamp()",
	", updated_at = pg_catalog.statement_timestamp()"
};
static const KeyTouch key_no_touch = {"", "", ""};

static void key_check(const char *key, int len);
static void key_compile(NvsTarget *target);
static void key_compile_lookup(NvsTarget *target);

/*
 * Find the relation of a key.  Returns false when nothing holds it and nothing
 * is to be written; raises 22023 for text that cannot be a key.  See
 * nvs_route_find().
 */
bool
nvs_kv_resolve(text *key, NvsUse use, NvsResolved *resolved)
{
	const char *data = VARDATA_ANY(key);
	int			len = VARSIZE_ANY_EXHDR(key);

	key_check(data, len);
	if (!nvs_route_find(NVS_KIND_KV, data, len, use, resolved))
		return false;
	if (unlikely(resolved->target->state == NULL))
		key_compile(resolved->target);
	return true;
}

/*
 * Is a key known to be in the relation of a target, which the caller has locked
 * for what it is about to do?  *resolved is what the key before it was found
 * as, in that relation.
 */
bool
nvs_kv_is_of(text *key, const NvsTarget *target, NvsResolved *resolved)
{
	const char *data = VARDATA_ANY(key);
	int			len = VARSIZE_ANY_EXHDR(key);

	key_check(data, len);
	return nvs_route_is_beside(NVS_KIND_KV, resolved, data, len) ||
		nvs_route_known(NVS_KIND_KV, data, len, resolved) == target;
}

/*
 * Find and lock the relation of a key that can be read by a lookup; false when
 * it cannot, or not yet.  See nvs_lookup_find().
 */
bool
nvs_kv_lookup(text *key, NvsResolved *resolved)
{
	const char *data = VARDATA_ANY(key);
	int			len = VARSIZE_ANY_EXHDR(key);

	key_check(data, len);
	return nvs_lookup_find(NVS_KIND_KV, data, len, resolved);
}

/* Raise an error unless this can be a key. */
static void
key_check(const char *key, int len)
{
	if (likely(len > 0 && len <= NVS_KV_KEY_MAX_BYTES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 len == 0 ? errmsg("key must not be empty") :
			 errmsg("key \"%.*s...\" is too long",
					pg_mbcliplen(key, len, 64), key),
			 errdetail("A key has 1 to %d bytes; this one has %d.",
					   NVS_KV_KEY_MAX_BYTES, len)));
}

/*
 * Find out how rows of a relation are found and overwritten, and define the
 * names about updated_at for its statements, once: target->state says that it
 * is done.
 */
static void
key_compile(NvsTarget *target)
{
	const NvsField *field = nvs_fields_column(target->map, "updated_at");
	const KeyTouch *touch = &key_no_touch;
	NvsKvState *state = MemoryContextAlloc(target->cxt, sizeof(NvsKvState));

	if (field != NULL && field->type == TIMESTAMPTZOID)
		touch = &key_touch;
	key_compile_lookup(target);
	state->columns = nvs_kv_overwrite_compile(target);
	nvs_planset_define(target->plans, "touch_column", touch->column);
	nvs_planset_define(target->plans, "touch_value", touch->value);
	nvs_planset_define(target->plans, "touch_set", touch->set);
	target->state = state;
}

/* Have rows be found by their key, for nvs_kv_lookup_row(). */
static void
key_compile_lookup(NvsTarget *target)
{
	const NvsLookupKey key = {nvs_fields_column(target->map, "key"), 0};
	const NvsField *columns[2];

	columns[0] = nvs_fields_column(target->map, "expires_at");
	columns[1] = nvs_fields_column(target->map, "value");
	nvs_lookup_compile(target, &key, 1, columns, lengthof(columns));
}

/*
 * Find a live key: its expires_at and its value, which are the scan's until it
 * finds another one.  False when it is absent.
 */
bool
nvs_kv_lookup_row(NvsLookupScan *scan, text *key, Datum row[2],
				  bool isnull[2])
{
	Datum		param = PointerGetDatum(key);

	if (!nvs_lookup_row(scan, &param))
		return false;
	row[0] = nvs_lookup_column(scan, 0, &isnull[0]);
	row[1] = nvs_lookup_column(scan, 1, &isnull[1]);
	return nvs_kv_is_live(row, isnull);
}

/* Is a row of expires_at and value live for a read? */
bool
nvs_kv_is_live(const Datum row[2], const bool isnull[2])
{
	return !isnull[1] &&
		(isnull[0] ||
		 DatumGetTimestampTz(row[0]) > GetCurrentStatementStartTimestamp());
}

/*
 * Report that a relation took fewer rows than it was given: nothing but a
 * trigger, rule or policy of its owner's does that.
 */
void
nvs_kv_refused(const NvsTarget *target)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg("table %s did not take every key", target->name),
			 errdetail("A trigger, rule or policy kept rows out.")));
}
